"""The independent oracle: one market, one account at a time, plain Python floats.

Written from the venues' documents and docs/semantics.md, not from mcrisk/rules or mcrisk/engine; slow and readable on
purpose. `from tests.oracle.replay import replay`.
"""
