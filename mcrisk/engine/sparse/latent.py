"""The latent deficit of the whole book: Σ negative equities at the executable price, from prefix sums and the list.

Formula   Σ max(q_ref(z − y), 0) over the reference book at y = (price − funding since the re-strike)/u, less what the listed
          accounts would add to it as reference rows, plus what they add as they are.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.sparse.memory import peek, spanned
from mcrisk.engine.sparse.orders import Orders
from mcrisk.engine.sparse.rows import Book

_NOISE = 1e-12   # of the sums that are subtracted from each other: nothing


def deficit(orders: Orders, book: Book, bid: Array, ask: Array, funding: Array) -> Array:
    """Σ max(−equity, 0) of accounts with a position, longs at `bid`, shorts at `ask`."""
    owed = funding - book.funding
    whole = (_beyond(orders.long_zero, orders.long_size, orders.long_value, (bid - owed) / book.unit, 1.0)
             + _beyond(orders.short_zero, orders.short_size, orders.short_value, (ask - owed) / book.unit, -1.0))

    def corrected(listed, whole):
        def missing(quantity: Array, zero: Array) -> Array:
            price = jnp.where(quantity > 0.0, bid, ask)
            return jnp.maximum(-quantity * (price - funding - zero), 0.0)

        inside = jnp.arange(listed.low.shape[0]) < book.count
        as_reference = jnp.sum(jnp.where(inside, missing(listed.was_quantity, listed.was_zero), 0.0))
        as_they_are = jnp.sum(jnp.where(inside, missing(listed.quantity, listed.zero), 0.0))
        rest = whole - as_reference
        return jnp.where(rest > _NOISE * whole, rest, 0.0) + as_they_are

    return spanned(book.count, book.listed.low.shape[0], corrected, lambda _, whole: whole, book.listed, whole)


def _beyond(zero: Array, size: Array, value: Array, price: Array, side: float) -> Array:
    """Σ |q|·max(side·(z − price), 0) from zero-equity prices in the order the mark meets them."""
    top = zero.shape[0] - 1

    def body(i, place):
        trial = place + (jnp.int64(1) << (top.bit_length() - 1 - i).astype(jnp.int64))
        inside = (trial <= top) & (side * (peek(zero, jnp.minimum(trial, top) - 1) - price) > 0.0)
        return jnp.where(inside, trial, place)

    place = lax.fori_loop(0, top.bit_length(), body, 0)
    return jnp.maximum(side * (peek(value, place) - price * peek(size, place)), 0.0)
