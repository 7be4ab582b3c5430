"""`mcrisk backends`: what can be used, and the generated kernel in print."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("target", "sign"), [("c", "vector_size"), ("cuda", "__global__")])
def test_the_kernel_is_printed_with_the_names_of_the_rules(mcrisk, target, sign):
    got = mcrisk("backends", "--dump-kernel", "--venue", "kraken-preipo", "--target", target, "--set", "book.accounts=60")
    assert got.code == 0 and sign in got.out
    for words in ("rules/index.py", "rules/liquidation.py", "paths/philox.py", "rules.pre", "snapshots.mark", " mark_"):
        assert words in got.out, words


def test_options_of_the_dump_need_it(mcrisk):
    got = mcrisk("backends", "--venue", "kraken-preipo")
    assert got.code == 2 and "--dump-kernel" in got.err


def test_an_unknown_venue_is_told_with_the_known_ones(mcrisk):
    got = mcrisk("backends", "--dump-kernel", "--venue", "nowhere")
    assert got.code == 2 and "kraken-preipo" in got.err
