"""The queue: serve a limited quantity best first, exactly, without sorting.

Formula   everyone before the marginal account gets all, it gets what is left, nobody after it gets anything.
Source    worst-first filling and ADL queues, design.md 2 (steps 6, 8); bisection instead of a sort, design.md 4.1.
Date      2026-11-20
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

_SIGN = jnp.iinfo(jnp.int64).min
_NOISE = 20  # lowest bits of a score that do not count: accounts of equal leverage tie, whatever rounding did to them
_CRUMB = 1e-12  # of the total: what summing in another order can leave for nobody in particular


def queue_fill(first: Array, amount: Array, total: Array) -> Array:
    """Serve `total` to accounts in ascending order of `first` [A], each up to `amount` [A] ≥ 0; ties by index.

    Finds the marginal score by bisection over the float's bits (some fifty sums over A, no sort), so the split is exact:
    everyone before the marginal account gets all of `amount`, it gets the rest, nobody after it gets anything.
    """
    value = jnp.where(first == 0.0, 0.0, first.astype(jnp.float64))  # −0 and 0 are one score
    bits = lax.bitcast_convert_type(value, jnp.int64)
    key = jnp.where(bits < 0, ~bits ^ _SIGN, bits)  # order of the floats as signed integers
    key = (key >> _NOISE) << _NOISE
    enough = jnp.sum(amount) <= total

    def marginal_key(_):
        def body(i, low):
            step = jnp.left_shift(jnp.int64(1), jnp.int64(62) - i.astype(jnp.int64))
            trial = low + step
            served = jnp.sum(jnp.where(key < trial, amount, 0.0))
            return jnp.where(served < total, trial, low)

        negative = jnp.sum(jnp.where(key < 0, amount, 0.0)) >= total
        return lax.fori_loop(0, 63 - _NOISE, body, jnp.where(negative, _SIGN, jnp.int64(0)))

    edge = marginal_key(None)
    before = key < edge
    at = key == edge
    rest = jnp.maximum(total - jnp.sum(jnp.where(before, amount, 0.0)), 0.0)
    index = jnp.arange(first.shape[0], dtype=jnp.int32)
    tied = jnp.where(at, amount, 0.0)
    places = first.shape[0].bit_length()

    def last_served(i, low):
        trial = low + jnp.left_shift(jnp.int32(1), jnp.int32(places - 1) - i.astype(jnp.int32))
        return jnp.where(jnp.sum(jnp.where(index < trial, tied, 0.0)) < rest, trial, low)

    last = lax.fori_loop(0, places, last_served, jnp.int32(0))
    ahead = at & (index < last)
    final = rest - jnp.sum(jnp.where(ahead, amount, 0.0))
    final = jnp.where(final > _CRUMB * total, final, 0.0)
    partial = jnp.where(before | ahead, amount, jnp.where(at & (index == last), jnp.minimum(final, amount), 0.0))
    return jnp.where(enough, amount, partial)
