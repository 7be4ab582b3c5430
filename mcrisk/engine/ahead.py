"""Shocks of several rows drawn at once: on a processor with vectors a Philox block costs as much for four rows as for one.

They are the shocks `paths.draws` gives, row by row; only when they are computed differs. Lanes of a vector machine need
none of this, and a device thread keeps its registers: it draws each row where it is used.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

from mcrisk import paths as model
from mcrisk.engine.markets import over_markets
from mcrisk.engine.trip import Cell, Trip

ROWS = 32   # drawn at once; nine numbers each stay in the first cache


def no_shocks(cell: Cell) -> model.Draws:
    """An empty store, each field [M, ROWS]."""
    heston = cell.params.volatility == "heston"
    zeros = jnp.zeros((cell.streams.company.shape[0], ROWS), jnp.float64)
    return model.Draws(*(zeros,) * 8, zeros if heston else None)


def shocks_of(cell: Cell, trip: Trip, store: model.Draws, k: Array) -> tuple[model.Draws, model.Draws]:
    """The store at row k, filled anew where it has run out, and the row's shocks [M]."""
    heston = cell.params.volatility == "heston"
    place = lax.rem(k, jnp.int32(ROWS))

    def fill(store: model.Draws) -> model.Draws:
        del store
        steps = k.astype(jnp.uint64) + jnp.arange(ROWS, dtype=jnp.uint64)
        one = lambda key: model.draws_of(key, cell.streams.common, trip.lo, trip.hi, steps, heston)  # noqa: E731
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (*x.shape[:-1], ROWS)), over_markets(one, (0,))(cell.streams.company))

    store = lax.cond(place == 0, fill, lambda store: store, store)
    pick = lambda x: lax.dynamic_index_in_dim(x, place, axis=1, keepdims=False)  # noqa: E731
    return store, jax.tree.map(pick, store)
