"""The insurance fund: selling what it took over, its peak, and the tests that start ADL on its inventory.

Formula   value V = cash + inventory·mark − cost; peak = max of V over the drawdown window (96 buckets);
          drawdown trigger V ≤ (1 − d)·peak; average form V ≤ max((1 − d)·average, floor);
          backlog trigger: age of the oldest unfilled inventory ≥ a, or its notional > b.
          unwinding per row ≤ share·min(what the side has left, what refilled in the row), at the batch's mean price.
Symbols   d drawdown fraction, a backlog_age [s], b backlog_notional [quote].
Source    venue-rules.md 3.4 (30 % from the peak within 8 h; backlog of liquidation orders), defaults.md 7 (unwind share).
Date      2026-11-20
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mcrisk.rules.fills import capacity, mean_price
from mcrisk.rules.types import BookSide

BUCKETS = 96


class Peak(NamedTuple):
    """Ring of the fund's value by time bucket; `written` is the absolute bucket number a slot belongs to."""

    highest: Array  # [96] quote
    written: Array  # [96] int64


class Unwound(NamedTuple):
    inventory: Array
    cost: Array
    gain: Array       # realised PnL, quote
    signed: Array     # contracts that went to the outside, signed
    value: Array      # signed · price
    bid: BookSide
    ask: BookSide


def start_peak(value: Array) -> Peak:
    """All slots empty but the first, which holds the initial value."""
    first = jnp.arange(BUCKETS) == 0
    return Peak(jnp.where(first, value, -jnp.inf), jnp.where(first, 0, -(10**9)))


def update_peak(peak: Peak, window: Array, time: Array, value: Array) -> tuple[Peak, Array]:
    """Write `value` into the bucket of `time`, then read the maximum over the window."""
    bucket = jnp.floor(time / (window / BUCKETS)).astype(jnp.int64)
    here = jnp.arange(BUCKETS) == bucket % BUCKETS
    same = here & (peak.written == bucket)
    highest = jnp.where(here, jnp.where(same, jnp.maximum(peak.highest, value), value), peak.highest)
    written = jnp.where(here, bucket, peak.written)
    in_window = written > bucket - BUCKETS
    return Peak(highest, written), jnp.max(jnp.where(in_window, highest, -jnp.inf))


def unwind(share: Array, inventory: Array, cost: Array, bid: BookSide, ask: BookSide, lower: Array, upper: Array,
           allowed: Array) -> Unwound:
    """Sell (or buy back) inventory through the book, before the accounts' orders of the row."""
    is_long = inventory > 0.0
    room_bid = jnp.minimum(capacity(bid, lower, 1.0), bid.refill)
    room_ask = jnp.minimum(capacity(ask, upper, -1.0), ask.refill)
    room = share * jnp.where(is_long, room_bid, room_ask)
    size = jnp.where(allowed, jnp.minimum(jnp.abs(inventory), room), 0.0)
    price = jnp.where(is_long, mean_price(bid, jnp.where(is_long, size, 0.0), 1.0),
                      mean_price(ask, jnp.where(is_long, 0.0, size), -1.0))
    signed = jnp.where(is_long, size, -size)
    average = cost / jnp.where(inventory != 0.0, inventory, 1.0)
    done = size >= jnp.abs(inventory)
    left = jnp.where(done, 0.0, inventory - signed)
    return Unwound(
        left, jnp.where(done, 0.0, average * left), signed * (price - average), signed, signed * price,
        bid._replace(consumed=bid.consumed + jnp.where(is_long, size, 0.0)),
        ask._replace(consumed=ask.consumed + jnp.where(is_long, 0.0, size)),
    )


def drawdown_trigger(p, value: Array, reference: Array, inventory: Array, mark: Array, age: Array) -> Array:
    """Is ADL on the inventory due? `reference` is the peak or the average of V, `age` seconds since inventory arose."""
    line = (1.0 - p.drawdown) * reference
    if p.drawdown_of == "average":
        line = jnp.maximum(line, p.drawdown_floor)
    late = (p.backlog_age > 0.0) & (age >= p.backlog_age)
    large = (p.backlog_notional > 0.0) & (jnp.abs(inventory) * mark > p.backlog_notional)
    return (inventory != 0.0) & ((value <= line) | late | large)
