"""Three primitives for arrays of which only a part is in use or touched; plain JAX, and plain C in generated sources.

span  How much of an array is in use. Arrays whose last axis has the length `axis` are filled from the front with `n`
      elements; what follows is inert, or nobody reads it. JAX works on all of it, generated sources end their loops at `n`.
peek  One element; the index is inside (JAX clamps, generated sources do not look).
poke  An array with one element replaced; the index is inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

span_p, peek_p, poke_p = Primitive("span"), Primitive("peek"), Primitive("poke")


def _peek(array: Array, *index: Array) -> Array:
    return lax.dynamic_slice(array, index, (1,) * array.ndim, allow_negative_indices=False).reshape(())


def _poke(array: Array, value: Array, *index: Array) -> Array:
    return lax.dynamic_update_slice(array, value.reshape((1,) * array.ndim), index, allow_negative_indices=False)


span_p.def_impl(lambda n, *, axis: n)
span_p.def_abstract_eval(lambda n, *, axis: n)
mlir.register_lowering(span_p, lambda context, n, *, axis: [n])
batching.defvectorized(span_p)
peek_p.def_impl(_peek)
peek_p.def_abstract_eval(lambda array, *index: ShapedArray((), array.dtype))
mlir.register_lowering(peek_p, mlir.lower_fun(_peek, multiple_results=False))
poke_p.def_impl(_poke)
poke_p.def_abstract_eval(lambda array, value, *index: array)
mlir.register_lowering(poke_p, mlir.lower_fun(_poke, multiple_results=False))


def peek(array: Array, *index: Array | int) -> Array:
    """One element; `index` (int64) is inside."""
    return peek_p.bind(array, *(jnp.asarray(i, jnp.int64) for i in index))


def poke(array: Array, value: Array, *index: Array | int) -> Array:
    """`array` with one element replaced; `index` (int64) is inside."""
    return poke_p.bind(array, jnp.asarray(value, array.dtype), *(jnp.asarray(i, jnp.int64) for i in index))


def spanned(n: Array, axis: int, body: Callable, otherwise: Callable, *args: Any) -> Any:
    """`body(*args)` with `n` > 0 (int64) elements of `axis` in use, else `otherwise(*args)`.

    Everything that works on that axis, or copies such an array, stands in `body`: the conditional keeps it behind the
    statement that sets its end.
    """
    return lax.cond(span_p.bind(n, axis=axis) > 0, body, otherwise, *args)


__all__ = ["peek", "poke", "spanned"]
