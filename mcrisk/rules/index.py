"""Index (oracle) rules: what each venue takes for the price of the underlying.

Formula   smoothed_feed  S + (1 − e^(−dt/ema))·(feed − S), at most max_move per minute from S
          impact_ewma    dt* = min(dt, max_step·τ); S + (1 − e^(−dt*/τ))·[max(b − S, 0) − max(S − a, 0)]
          last_trade     the contract's last trade; spot from listing (or conversion) on
          mark_ewma      Σ_i px_i·e^(−i/decay) / Σ_i e^(−i/decay) over minutely marks, at most cap·initial price
          blend          w·feed + (1 − w)·EMA of the own mark
          external       the fresh spot price; between sessions the last one, or impact_ewma
Symbols   S = previous index; b, a = impact bid, ask; px_i = mark i minutes ago; times in seconds; prices in quote.
Source    Kraken: seed 002, recipe not published (assumption); trade.xyz docs 2026-09-18; OKX seed 004 (2025-08-20);
          Hyperliquid docs, hyperps, 2026-08-22; Ventuals in the same mirror. Facts: venue-rules.md sections 1–4, 14.

Signatures: init(p, row, initial_price) -> state; update(p, state, row, previous_index, previous_mark, phase,
initial_price) -> (state, index); rescale(state, factor) -> state. `row.index_factor` multiplies the input.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.params import Traced
from mcrisk.rules.quotes import impact_price_difference, travel
from mcrisk.rules.rule import Empty, Rule, unchanged
from mcrisk.rules.types import POST, TRANSITION, Row
from mcrisk.rules.windows import Ema, ema_init, ema_rescale, ema_update

MINUTE = 60.0


def _nothing(p: Traced, row: Row, initial_price: Array) -> Empty:
    del p, row, initial_price
    return Empty()


# ---------------------------------------------------------------- Kraken PreMarket Synthetic
class SmoothedFeed(NamedTuple):
    started: Array   # bool: has an index been published yet


def smoothed_feed_init(p: Traced, row: Row, initial_price: Array) -> SmoothedFeed:
    del p, row, initial_price
    return SmoothedFeed(jnp.zeros((), bool))


def smoothed_feed(p, state, row, previous_index, previous_mark, phase, initial_price):
    """The feed, smoothed and slowed; the first index is the feed itself. A silent feed keeps its last value."""
    del previous_mark, phase, initial_price
    feed = row.external * row.index_factor
    target = previous_index - jnp.expm1(-row.dt / p.ema) * (feed - previous_index)
    moved = travel(previous_index, target, row.dt, p.max_move_per_minute, MINUTE)
    return SmoothedFeed(jnp.ones_like(state.started)), jnp.where(state.started, moved, feed)


# ---------------------------------------------------------------- trade.xyz internal oracle
def _impact_step(p: Traced, row: Row, previous_index: Array) -> Array:
    dt = jnp.minimum(row.dt, p.max_step_of_tau * p.tau)
    difference = impact_price_difference(row, previous_index, row.index_factor)
    return previous_index - jnp.expm1(-dt / p.tau) * difference


def impact_ewma(p, state, row, previous_index, previous_mark, phase, initial_price):
    """EWMA that only the impact price difference can move."""
    del previous_mark, phase, initial_price
    return state, _impact_step(p, row, previous_index)


# ---------------------------------------------------------------- OKX, Binance: the contract's own last trade
def last_trade(p, state, row, previous_index, previous_mark, phase, initial_price):
    """Last trade, then the spot index (its last known value where it is not fresh; last trade before the first)."""
    del previous_index, previous_mark, initial_price
    spot = phase >= (TRANSITION if p.spot_from == "listed" else POST)
    return state, jnp.where(spot & (row.external > 0.0), row.external, row.last) * row.index_factor


# ---------------------------------------------------------------- Hyperliquid hyperps
class MarkRing(NamedTuple):
    marks: Array    # [window_minutes] mark of minute m in slot m mod window_minutes
    minute: Array   # int32: newest minute boundary written


def mark_ewma_init(p: Traced, row: Row, initial_price: Array) -> MarkRing:
    marks = jnp.broadcast_to(jnp.asarray(initial_price, jnp.float64), (p.window_minutes,))
    return MarkRing(marks, jnp.floor(row.time / MINUTE).astype(jnp.int32))


def mark_ewma(p, state, row, previous_index, previous_mark, phase, initial_price):
    """Weighted mean of the minutely marks of one window; each minute passed takes the previous row's mark.

    The weight of slot i is e^(−age/decay) with age = (newest − i) mod n. Writing it as e^(i/decay) times one of two
    scalars leaves a vector that does not depend on the path, so a step costs one select and one sum over the ring.
    """
    del previous_index, phase
    n = p.window_minutes
    minute = jnp.floor(row.time / MINUTE).astype(jnp.int32)
    newest = lax.rem(minute, jnp.int32(n))
    slot = lax.iota(jnp.int32, n)
    wrapped = slot > newest
    age = jnp.where(wrapped, newest - slot + n, newest - slot)
    marks = jnp.where(age < minute - state.minute, previous_mark * row.index_factor, state.marks)
    growth = jnp.exp(slot.astype(jnp.float64) / p.decay_minutes)
    oldest = jnp.exp(-n / p.decay_minutes)
    weighted = jnp.sum(marks * growth * jnp.where(wrapped, oldest, 1.0))
    norm = (1.0 - oldest) / -jnp.expm1(-1.0 / p.decay_minutes)
    mean = weighted * jnp.exp(-newest.astype(jnp.float64) / p.decay_minutes) / norm
    return MarkRing(marks, minute), jnp.minimum(mean, p.cap_multiple * initial_price)


def mark_ewma_rescale(state: MarkRing, factor: Array) -> MarkRing:
    return MarkRing(state.marks * factor, state.minute)


# ---------------------------------------------------------------- Ventuals
def blend_init(p: Traced, row: Row, initial_price: Array) -> Ema:
    del p, row, initial_price
    return ema_init()


def blend(p, state, row, previous_index, previous_mark, phase, initial_price):
    """Fixed mix of the off-chain feed and an EMA of the own mark; only the feed can carry a unit error."""
    del previous_index, phase, initial_price
    state, own = ema_update(state, previous_mark, row.dt, p.ema)
    feed = row.external * row.index_factor
    return state, p.external_weight * feed + (1.0 - p.external_weight) * own


# ---------------------------------------------------------------- after listing
def external(p, state, row, previous_index, previous_mark, phase, initial_price):
    """The external price while it is fresh, else what `fallback` says.

    `row.external` is 0 or NaN while there never was a value: then the impact EWMA carries the previous index on.
    """
    del previous_mark, phase, initial_price
    usable = (row.external > 0.0) if p.fallback == "hold" else row.has_external
    return state, jnp.where(usable, row.external * row.index_factor, _impact_step(p, row, previous_index))


KINDS: dict[str, Rule] = {
    "smoothed_feed": Rule(smoothed_feed_init, smoothed_feed, unchanged),
    "impact_ewma": Rule(_nothing, impact_ewma, unchanged),
    "last_trade": Rule(_nothing, last_trade, unchanged),
    "mark_ewma": Rule(mark_ewma_init, mark_ewma, mark_ewma_rescale),
    "blend": Rule(blend_init, blend, ema_rescale),
    "external": Rule(_nothing, external, unchanged),
}
