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

    Finds the marginal score by bisection between scores that occur (about log2 A sums over A, no sort), so the split is
    exact: everyone before the marginal account gets all of `amount`, it gets the rest, nobody after it gets anything.
    """
    bits = lax.bitcast_convert_type(first.astype(jnp.float64), jnp.int64)
    coarse = lax.bitcast_convert_type((bits >> _NOISE) << _NOISE, jnp.float64)
    key = jnp.where(amount > 0.0, coarse, jnp.inf)   # who wants nothing is no score
    enough = jnp.sum(amount) <= total

    def halve(bounds):
        low, high = bounds   # the marginal score is one of those from low to high
        middle = _between(low, high)
        lower = key <= middle
        reached = jnp.sum(jnp.where(lower, amount, 0.0)) >= total
        below = jnp.max(jnp.where(lower, key, -jnp.inf))
        above = jnp.min(jnp.where(lower, jnp.inf, key))
        return jnp.where(reached, low, above), jnp.where(reached, below, high)

    bounds = jnp.min(key), jnp.max(jnp.where(amount > 0.0, coarse, -jnp.inf))
    edge = lax.while_loop(lambda b: (b[0] < b[1]) & ~enough, halve, bounds)[0]
    before, at = key < edge, key == edge
    rest = jnp.maximum(total - jnp.sum(jnp.where(before, amount, 0.0)), 0.0)
    tied = jnp.where(at, amount, 0.0)
    index = jnp.arange(first.shape[0], dtype=jnp.int32)
    places = first.shape[0].bit_length()

    def last_served(i, low):
        trial = low + jnp.left_shift(jnp.int32(1), jnp.int32(places - 1) - i.astype(jnp.int32))
        return jnp.where(jnp.sum(jnp.where(index < trial, tied, 0.0)) < rest, trial, low)

    one = jnp.sum(at.astype(jnp.int32)) <= 1
    last = lax.cond(one, lambda: jnp.max(jnp.where(at, index, 0)),
                    lambda: lax.fori_loop(0, places, last_served, jnp.int32(0)))
    ahead = at & (index < last)
    final = rest - jnp.sum(jnp.where(ahead, amount, 0.0))
    final = jnp.where(final > _CRUMB * total, final, 0.0)
    partial = jnp.where(before | ahead, amount, jnp.where(at & (index == last), jnp.minimum(final, amount), 0.0))
    return jnp.where(enough, amount, partial)


def _between(low: Array, high: Array) -> Array:
    """A number from `low` up to, without, `high`: half of the floats between them lie on either side."""
    a, b = _ordered(low), _ordered(high)
    middle = (a & b) + ((a ^ b) >> 1)   # their mean rounded down, without overflow
    return lax.bitcast_convert_type(jnp.where(middle < 0, ~middle ^ _SIGN, middle), jnp.float64)


def _ordered(value: Array) -> Array:
    """A float's bits as an integer of the same order; −0 and 0 are one."""
    bits = lax.bitcast_convert_type(jnp.where(value == 0.0, 0.0, value), jnp.int64)
    return jnp.where(bits < 0, ~bits ^ _SIGN, bits)
