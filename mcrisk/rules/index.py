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
class MarkRuns(NamedTuple):
    """The minutely marks of the window as runs of equal marks (a row of n minutes is one run), and their weighted sum.

    Run k covers the minutes after run k − 1's end up to its own; slots head + 1 … tail − 1 (cyclic) are free.
    """

    price: Array    # [window_minutes + 2]
    end: Array      # [window_minutes + 2] int32: last minute of the run
    head: Array     # int32: slot of the newest run
    tail: Array     # int32: slot of the run that leaves next
    minute: Array   # int32: newest minute boundary taken in
    total: Array    # Σ_i px_i·e^(−i/decay), quote


def _run_weight(p: Traced, minutes: Array | float) -> Array:
    """Σ of e^(−i/decay) over the newest `minutes` slots."""
    return jnp.expm1(-minutes / p.decay_minutes) / jnp.expm1(-1.0 / p.decay_minutes)


def mark_ewma_init(p: Traced, row: Row, initial_price: Array) -> MarkRuns:
    minute = jnp.floor(row.utc / MINUTE).astype(jnp.int32)
    slots, first = (p.window_minutes + 2,), jnp.zeros((), jnp.int32)
    total = initial_price * _run_weight(p, float(p.window_minutes))
    return MarkRuns(jnp.broadcast_to(jnp.asarray(initial_price, jnp.float64), slots), jnp.broadcast_to(minute, slots),
                    first, first, minute, total)


def _leaving(p: Traced, price: Array, end: Array, tail: Array, newest: Array, last: Array) -> tuple[Array, Array]:
    """(slot of the then oldest run, weighted sum of what leaves): minutes after newest − window up to `last`."""
    unit = -jnp.expm1(-1.0 / p.decay_minutes)

    def weight(minute):
        return jnp.exp((minute - newest).astype(jnp.float64) / p.decay_minutes) / unit

    def more(carry):
        return carry[0] < last

    def drop(carry):
        minute, slot, total = carry
        run_end = end[slot]
        until = jnp.minimum(run_end, last)
        total = total + price[slot] * (weight(until) - weight(minute))
        following = jnp.where(slot == end.shape[0] - 1, 0, slot + 1)
        return until, jnp.where(run_end <= last, following, slot), total

    start = (newest - p.window_minutes, tail, jnp.zeros((), jnp.float64))
    _, tail, total = lax.while_loop(more, drop, start)
    return tail, total


def mark_ewma(p, state, row, previous_index, previous_mark, phase, initial_price):
    """Weighted mean of the minutely marks of one window; each minute passed takes the previous row's mark.

    S ← e^(−n/decay)·(S − what leaves) + mark·Σ_{i<n} e^(−i/decay) for the n minutes of the row: a step touches one slot
    and as many runs as leave, not the whole window. Runs are written before they are read, so that XLA need not copy.
    """
    del previous_index, phase
    minute = jnp.floor(row.utc / MINUTE).astype(jnp.int32)
    n = minute - state.minute
    new = previous_mark * row.index_factor
    free = jnp.where(state.head == state.end.shape[0] - 1, 0, state.head + 1)
    price = state.price.at[free].set(new, mode="promise_in_bounds")
    end = state.end.at[free].set(minute, mode="promise_in_bounds")
    last = jnp.minimum(minute - p.window_minutes, state.minute)
    tail, left = _leaving(p, price, end, state.tail, state.minute, last)
    passed = n.astype(jnp.float64)
    kept = jnp.exp(-passed / p.decay_minutes) * (state.total - left)
    total = kept + new * _run_weight(p, jnp.minimum(passed, p.window_minutes))
    head = jnp.where(n > 0, free, state.head)
    mean = total / _run_weight(p, float(p.window_minutes))
    return MarkRuns(price, end, head, tail, minute, total), jnp.minimum(mean, p.cap_multiple * initial_price)


def mark_ewma_rescale(state: MarkRuns, factor: Array) -> MarkRuns:
    return state._replace(price=state.price * factor, total=state.total * factor)


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


STANDING = ("mark_ewma",)   # kinds whose memory is too large to be chosen between phases row by row: always updated in place

KINDS: dict[str, Rule] = {
    "smoothed_feed": Rule(smoothed_feed_init, smoothed_feed, unchanged),
    "impact_ewma": Rule(_nothing, impact_ewma, unchanged),
    "last_trade": Rule(_nothing, last_trade, unchanged),
    "mark_ewma": Rule(mark_ewma_init, mark_ewma, mark_ewma_rescale),
    "blend": Rule(blend_init, blend, ema_rescale),
    "external": Rule(_nothing, external, unchanged),
}
