"""Quotes as the rules read them from a row: best prices, mid, medians, speed limits.

Formula   mid = (bid + ask)/2, or last when a side is missing; median(bid, ask, last), same exception;
          travel: previous · (1 − x)^(dt/tick) … previous · (1 + x)^(dt/tick).
Symbols   x = allowed relative change per tick; dt, tick in seconds; prices in quote currency.
Source    best prices: rules/fills.py; docs/semantics.md, conventions; speed limits: trade.xyz and Hyperliquid HIP-3
          documents, Binance pre-market notices (venue-rules.md sections 1.2 and 5.1). Date 2026-09-18.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mcrisk.rules.branch import choose
from mcrisk.rules.fills import best_price
from mcrisk.rules.types import Row


def best_bid(row: Row) -> Array:
    """Best bid after what has been sold into it and not yet refilled."""
    return best_price(row.bid, 1.0)


def best_ask(row: Row) -> Array:
    """Best ask after what has been bought from it and not yet refilled."""
    return best_price(row.ask, -1.0)


def mid_price(row: Row) -> Array:
    """Mean of best bid and ask; the last trade when either side is missing."""
    return jnp.where(row.bid.present & row.ask.present, 0.5 * (best_bid(row) + best_ask(row)), row.last)


def impact_mid(row: Row, mid: Array) -> Array:
    """Mean of the impact prices; the mid when either side lacks the impact depth."""
    both = row.has_impact_bid & row.has_impact_ask
    return jnp.where(both, 0.5 * (row.impact_bid + row.impact_ask), mid)


def median3(a: Array, b: Array, c: Array) -> Array:
    """Middle one of three numbers."""
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))


def book_median(row: Row) -> Array:
    """median(best bid, best ask, last); the last trade when a side is missing."""
    middle = median3(best_bid(row), best_ask(row), row.last)
    return jnp.where(row.bid.present & row.ask.present, middle, row.last)


def impact_price_difference(row: Row, index: Array, factor: Array | float = 1.0) -> Array:
    """max(b − O, 0) − max(O − a, 0) in quote currency; a side without the impact depth contributes 0.

    `factor` multiplies both impact prices (a unit error in the input of an index; 1 for funding).
    """
    above = jnp.where(row.has_impact_bid, jnp.maximum(row.impact_bid * factor - index, 0.0), 0.0)
    below = jnp.where(row.has_impact_ask, jnp.maximum(index - row.impact_ask * factor, 0.0), 0.0)
    return above - below


def travel(previous: Array, value: Array, dt: Array, step: Array, tick: Array | float) -> Array:
    """`value` within what `step` per `tick` seconds allows from `previous` over `dt`; step 0 or dt 0 = no limit.

    dt is 0 only in a run's first row, where nothing has been published yet.
    """


    def hold(value: Array) -> Array:
        ticks = dt / tick   # powers by their logarithms, which are the same in every row
        low = previous * jnp.exp(ticks * jnp.log(jnp.maximum(1.0 - step, 0.0)))
        high = previous * jnp.exp(ticks * jnp.log(1.0 + step))
        return jnp.clip(value, low, high)

    return choose((step > 0.0) & (dt > 0.0), hold, lambda value: value, value)
