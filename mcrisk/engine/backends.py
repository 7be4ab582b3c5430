"""Which executor runs a cell: JAX lanes anywhere, compiled C where there is a compiler. Imports nothing heavy."""

from __future__ import annotations

import importlib.util

from mcrisk.engine.native import compile as compiler
from mcrisk.errors import InputError

NAMES = ("jax", "native", "cupy")


def state(name: str) -> str | None:
    """None when a backend can be used here, else what is missing."""
    if name == "native":
        return None if compiler.find_compiler() else "no C compiler was found (CC, cc, gcc, clang)"
    if name == "cupy":
        return "the fused CUDA kernel is not part of this version" + (
            "" if importlib.util.find_spec("cupy") else ", and CuPy is not installed")
    return None


def available() -> list[str]:
    """Names of the backends that can be used here, fastest first."""
    return [name for name in reversed(NAMES) if state(name) is None]


def resolve(name: str) -> str:
    """The backend behind `auto`, or the one asked for.

    Raises InputError naming what is missing where it cannot be used.
    """
    if name == "auto":
        return available()[0]
    if name == "native":
        compiler.require_compiler()
    elif state(name) is not None:
        raise InputError(
            what=f"the backend '{name}' cannot be used here", why=state(name),
            remedy=f"use --backend auto (here: {available()[0]})",
        )
    return name


def environment(name: str) -> str:
    """What decides the last bits of a backend besides its source; part of a run's fingerprint."""
    return compiler.environment() if name == "native" else name
