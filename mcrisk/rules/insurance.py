"""The insurance fund: selling what it took over, its peak, and the tests that start ADL on its inventory.

Formula   value V = cash + inventory·mark − cost; peak = max of V over the drawdown window (96 buckets);
          drawdown trigger V ≤ (1 − d)·peak; average form V ≤ max((1 − d)·average, floor), the average being the mean of V
          over the window, weighted with dt (24 buckets, `windows.py`);
          backlog trigger: age of the oldest unfilled inventory ≥ a, or its notional > b.
          unwinding per row ≤ turns·share·min(what the side has left, what refills), at the mean price of one such lot.
Symbols   d drawdown fraction, a backlog_age [s], b backlog_notional [quote].
Source    venue-rules.md 3.4 (30 % from the peak within 8 h; a restatement: 30 % below the average of 8 h, at least 50,000;
          backlog of liquidation orders), defaults.md 7 (unwind share).
Date      2026-11-20
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.branch import selected
from mcrisk.rules.desk import DUST, WHOLE
from mcrisk.rules.fills import capacity, mean_price
from mcrisk.rules.types import POST, BookSide
from mcrisk.rules.windows import Window, window_init, window_update

BUCKETS = 96


class Peak(NamedTuple):
    """Ring of the fund's value by time bucket; `written` is the absolute bucket number a slot belongs to."""

    highest: Array  # [96] quote
    written: Array  # [96] int64
    value: Array    # the maximum over the window, quote
    bucket: Array   # int64: bucket it was last reached in


class Unwound(NamedTuple):
    inventory: Array  # [2] long (≥ 0) and short (≤ 0) contracts left
    cost: Array       # [2] Σ q·price of them
    gain: Array       # realised PnL, quote
    signed: Array     # contracts that went to the outside, signed
    value: Array      # Σ signed · price
    gross: Array      # Σ |signed| · price
    bid: BookSide
    ask: BookSide


def start_reference(p, value: Array) -> Peak | Window:
    """Memory of what the drawdown is measured from: the fund's peak or its average, before row 0; value in quote."""
    return start_peak(value) if p.drawdown_of == "peak" else window_init()


def update_reference(p, state: Peak | Window, time: Array, dt: Array, value: Array) -> tuple[Peak | Window, Array]:
    """Take in the row's `value`; the memory and the peak or the average over `drawdown_window` with this row's."""
    if p.drawdown_of == "peak":
        return update_peak(state, p.drawdown_window, time, value)
    return window_update(state, value, dt, time, p.drawdown_window)


def start_peak(value: Array) -> Peak:
    """All slots empty but the first, which holds the initial value."""
    first = jnp.arange(BUCKETS) == 0
    return Peak(jnp.where(first, value, -jnp.inf), jnp.where(first, 0, -(10**9)), value, jnp.int64(0))


def update_peak(peak: Peak, window: Array, time: Array, value: Array) -> tuple[Peak, Array]:
    """Write `value` into the bucket of `time`, then read the maximum over the window.

    The whole ring is read only when the bucket that held the maximum has left the window.
    """
    bucket = jnp.floor(time / (window / BUCKETS)).astype(jnp.int64)
    highest, written = _put_all(peak, bucket, value) if selected() else _put_one(peak, bucket, value)

    def look() -> tuple[Array, Array]:
        inside = jnp.where(written > bucket - BUCKETS, highest, -jnp.inf)
        most = jnp.max(inside)
        return most, jnp.max(jnp.where(inside == most, written, -(10**9)))

    if selected():
        most, at = look()
        return Peak(highest, written, most, at), most
    stands = (peak.bucket > bucket - BUCKETS) & (value < peak.value)
    kept = jnp.maximum(peak.value, value), jnp.where(stands, peak.bucket, bucket)
    most, at = lax.cond(stands | (value >= peak.value), lambda: kept, look)
    return Peak(highest, written, most, at), most


def _put_one(peak: Peak, bucket: Array, value: Array) -> tuple[Array, Array]:
    """(values, bucket numbers) with `value` in its slot."""
    slot = lax.rem(bucket, jnp.int64(BUCKETS)).astype(jnp.int32)
    earlier = jnp.where(peak.written[slot] == bucket, peak.highest[slot], -jnp.inf)
    return (peak.highest.at[slot].set(jnp.maximum(earlier, value), mode="promise_in_bounds"),
            peak.written.at[slot].set(bucket, mode="promise_in_bounds"))


def _put_all(peak: Peak, bucket: Array, value: Array) -> tuple[Array, Array]:
    """`_put_one` without indexing, which lanes pay dearly."""
    here = jnp.arange(BUCKETS) == bucket % BUCKETS
    same = here & (peak.written == bucket)
    highest = jnp.where(here, jnp.where(same, jnp.maximum(peak.highest, value), value), peak.highest)
    return highest, jnp.where(here, bucket, peak.written)


def _unwind_side(share: Array, held: Array, cost: Array, side: BookSide, limit: Array, sign: float, allowed: Array):
    """One side of the inventory through the book: (left, cost left, gain, signed, value, book side)."""
    room = share * jnp.minimum(capacity(side, limit, sign), side.refill)
    size = jnp.where(allowed, jnp.minimum(jnp.abs(held), room * side.turns), 0.0)
    lot = jnp.minimum(size, room)  # a long row sees several lots, each into a book that has come back
    price = mean_price(side, lot, sign)
    average = cost / jnp.where(held != 0.0, held, 1.0)
    signed = sign * size
    left = jnp.where(size >= WHOLE * jnp.abs(held), 0.0, held - signed)
    return (left, jnp.where(left == 0.0, 0.0, average * left), signed * (price - average), signed, signed * price,
            side._replace(consumed=side.consumed + lot))


def unwind(share: Array, inventory: Array, cost: Array, bid: BookSide, ask: BookSide, lower: Array, upper: Array,
           allowed: Array) -> Unwound:
    """Sell long and buy back short inventory [2] through the book, before the accounts' orders of the row."""
    long_left, long_cost, long_gain, sold, sold_value, bid = _unwind_side(
        share, inventory[0], cost[0], bid, lower, 1.0, allowed)
    short_left, short_cost, short_gain, bought, bought_value, ask = _unwind_side(
        share, inventory[1], cost[1], ask, upper, -1.0, allowed)
    return Unwound(jnp.stack([long_left, short_left]), jnp.stack([long_cost, short_cost]), long_gain + short_gain,
                   sold + bought, sold_value + bought_value, sold_value - bought_value, bid, ask)


def nothing_held(inventory: Array, cost: Array, bid: BookSide, ask: BookSide) -> Unwound:
    """What `unwind` comes to for an empty inventory; any leading axes."""
    none = jnp.zeros_like(inventory[..., 0])
    return Unwound(jnp.zeros_like(inventory), jnp.zeros_like(cost), none, none, none, none, bid, ask)


def backlog_of(inventory: Array, offered: Array, phase: Array) -> Array:
    """Contracts [2] of the inventory that the book has been offered and did not take; counted before conversion only.

    `offered` [2]: the inventory after the row's unwinding; what is taken over later in the row has yet to be offered.
    """
    return jnp.where(phase == POST, 0.0, jnp.minimum(jnp.abs(inventory), jnp.abs(offered)))


def drawdown_trigger(p, value: Array, reference: Array, inventory: Array, mark: Array, age: Array, waiting: Array | None) -> Array:
    """Is ADL on the inventory [2] due? `reference` is the peak or the average of V, `age` [2] seconds since a side arose.

    `waiting` [2], contracts ≥ 0: the backlog, what unwinding could not place in this row. None tests the drawdown only.
    """
    line = (1.0 - p.drawdown) * reference
    if p.drawdown_of == "average":
        line = jnp.maximum(line, p.drawdown_floor)
    held = inventory != 0.0
    line = line + DUST * jnp.sum(jnp.abs(inventory)) * mark  # a value equal to the line but for rounding has reached it
    if waiting is None:
        return jnp.any(held) & (value <= line)
    late = (p.backlog_age > 0.0) & jnp.any((waiting > 0.0) & (age > p.backlog_age))
    large = (p.backlog_notional > 0.0) & (jnp.sum(waiting) * mark > p.backlog_notional)
    return jnp.any(held) & ((value <= line) | late | large)
