"""Which executor runs a cell: the CUDA kernel, compiled C, or JAX lanes anywhere. Imports nothing heavy."""

from __future__ import annotations

import logging
from functools import lru_cache

from mcrisk.engine.cuda import device
from mcrisk.engine.native import compile as compiler
from mcrisk.errors import InputError

NAMES = ("jax", "native", "cupy")   # slowest first
_log = logging.getLogger("mcrisk.engine")


def state(name: str) -> str | None:
    """None when a backend can be used here, else what is missing."""
    if name == "native":
        return None if compiler.find_compiler() else "no C compiler was found (CC, cc, gcc, clang)"
    return device.missing() if name == "cupy" else None


def available() -> list[str]:
    """Names of the backends that can be used here, fastest first."""
    return [name for name in reversed(NAMES) if state(name) is None]


def resolve(name: str) -> str:
    """The backend behind `auto`, or the one asked for; said in the log.

    Raises InputError naming what is missing where it cannot be used.
    """
    if name == "auto":
        chosen = available()[0]
        passed = NAMES[NAMES.index(chosen) + 1:]
        _tell("; ".join([f"backend {chosen}, chosen by 'auto'", *(f"not {better}: {state(better)}" for better in passed[::-1])]))
        return chosen
    if name == "native":
        compiler.require_compiler()
    elif state(name) is not None:
        raise InputError(
            what=f"the backend '{name}' cannot be used here", why=state(name),
            remedy=f"use --backend auto (here: {available()[0]})",
        )
    _tell(f"backend {name}, as asked for")
    return name


@lru_cache(maxsize=8)
def _tell(text: str) -> None:
    """Once per process: every cell of a run asks."""
    _log.info(text)


def environment(name: str) -> str:
    """What decides the last bits of a backend besides its source; part of a run's fingerprint."""
    if name == "cupy":
        return device.environment()
    return compiler.environment() if name == "native" else name
