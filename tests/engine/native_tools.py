"""Compile a small JAX function with the native emitter and call it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from mcrisk.engine.native.run import Program, shapes
from mcrisk.engine.native.source import generate


def compiled(function: Any, *args: Any):
    """`function(*args)` as compiled C: a callable from arrays to a list of arrays."""
    source, _ = generate(lambda shared: function(*shared), shapes(args), ())
    program = Program(source, None)
    return lambda *args: [leaf[0] for leaf in program([np.asarray(a) for a in jax.tree.leaves(args)], [], 1)]


def both(function: Any, *args: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Results of the compiled C and of JAX."""
    expected = [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jit(function)(*args))]
    return compiled(function, *args)(*args), expected


def agree(function: Any, *args: Any, rtol: float = 1e-13) -> None:
    """Compiled C and JAX give the same, types and NaNs included."""
    for got, want in zip(*both(function, *args), strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=rtol, atol=1e-300)
