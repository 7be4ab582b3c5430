"""Runs: plan → blocks → dask → Zarr store; resume, extend, check, repair.

Names are loaded on first use: workers need few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "run": "api", "check": "api", "repair": "api", "open_run": "result", "list_runs": "result", "RunResult": "result",
    "Engine": "session", "run_with": "session", "plan_of": "session",
}  # fmt: skip
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mcrisk.runs' has no attribute '{name}'")
    return getattr(import_module(f"mcrisk.runs.{_HOME[name]}"), name)
