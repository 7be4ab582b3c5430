"""Funding: what longs pay to shorts (positive) per contract at each interval boundary.

Formula   flat               rate
          clamped_premium    R = m·(P' + clamp(i − P', ±c))/divisor, P' = mean premium (m inside P' when it scales the
                             premium only), |R| ≤ cap
          previous_interval  R of an interval = mean premium of the one before / divisor, |R| ≤ cap; the first pays 0
          premium            impact [max(b − O, 0) − max(O − a, 0)]/O; hip3 ½(b + a)/O − 1; mid (mid − O)/O
          paid per contract  Σ over the boundaries in the row of R · (index or mark of the row)
Symbols   O = index; b, a = impact bid, ask; i, c, R, cap = fractions; m = multiplier; interval in seconds (UTC).
Source    Hyperliquid docs, funding (2026-08-22); trade.xyz docs, seed 001 (2026-09-18); OKX seed 004 and WLFI notice
          (2025-08); Kraken MTF funding pages, divisor not found; Binance notices 2025. Facts: venue-rules.md 1.4, 2–5.
          Weights, boundary row, several boundaries: docs/semantics.md section 4.

Signatures: init(p) -> state; update(p, state, row, index, mark, mid) -> (state, Funding); rescale(state, factor);
convert(p_pre, p_post, state) -> state at conversion;
clock(p, state, utc) -> (last_rate, seconds_to_next_boundary, interval), for marks that contain the funding rate.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mcrisk.rules.params import Traced
from mcrisk.rules.quotes import impact_price_difference
from mcrisk.rules.rule import Rule, unchanged
from mcrisk.rules.types import Row


class Funding(NamedTuple):
    """What one row's funding came to."""

    premium: Array             # the row's sample, fraction of the index
    rate_paid: Array           # sum of the rates paid in this row
    paid_per_contract: Array   # quote per unit of the underlying; positive: longs pay
    boundaries: Array          # float64: interval boundaries in this row


class Accrual(NamedTuple):
    """Premium gathered in the open interval. Each sample keeps the multiplier of the phase it was taken in."""

    total: Array       # Σ premium·dt (premium times multiplier where it scales the samples)
    scale: Array       # Σ multiplier·dt (1 where it scales the samples)
    weight: Array      # Σ dt, seconds
    passed: Array      # float64: number of the last boundary passed; −1 = not started
    last_rate: Array   # rate of the last interval paid
    before: Array      # previous_interval: mean premium of the interval before the open one; 0 before the first


def accrual_init(p: Traced) -> Accrual:
    del p
    zero = jnp.zeros((), jnp.float64)
    return Accrual(zero, zero, zero, zero - 1.0, zero, zero)


def convert(before: Traced, after: Traced, state: Accrual) -> Accrual:
    """State of the `after` rule at conversion: the last rate stays; samples stay where both are of one kind.

    A flat rate is the premium formula with the premium set to zero: the open interval's samples are zeros of weight dt.
    """
    fresh = accrual_init(after)
    if before.kind == "flat" and after.kind == "clamped_premium":
        return fresh._replace(last_rate=state.last_rate, scale=state.weight, weight=state.weight)
    if before.kind != after.kind:
        return fresh._replace(last_rate=state.last_rate)
    return state._replace(passed=fresh.passed)   # boundaries are counted in the new interval


def _boundaries(p: Traced, state: Accrual, row: Row) -> tuple[Array, Array]:
    """Number of the newest boundary and how many lie in (t − dt, t]."""
    number = jnp.floor(row.utc / p.interval)
    before = jnp.where(state.passed < 0.0, jnp.floor((row.utc - row.dt) / p.interval), state.passed)
    return number, number - before


def premium_sample(kind: str, row: Row, index: Array, mark: Array, mid: Array) -> Array:
    """Premium of one row as a fraction of the index; a missing side of the impact quotes contributes nothing."""
    if kind == "impact":
        return impact_price_difference(row, index) / index
    if kind == "hip3":
        both = row.has_impact_bid & row.has_impact_ask
        return jnp.where(both, 0.5 * (row.impact_bid + row.impact_ask) / index - 1.0, 0.0)
    return ((mark if kind == "mark" else mid) - index) / index


class _Gathered(NamedTuple):
    total: Array
    scale: Array
    weight: Array
    premium: Array      # mean
    multiplier: Array   # mean


def _gather(state: Accrual, sample: Array, multiplier: Array | float, dt: Array) -> _Gathered:
    """Sums and means including this row's sample, which belongs to the interval a boundary row closes."""
    total, scale, weight = state.total + sample * dt, state.scale + multiplier * dt, state.weight + dt
    any_weight = weight > 0.0
    safe = jnp.where(any_weight, weight, 1.0)
    return _Gathered(total, scale, weight, jnp.where(any_weight, total / safe, sample),
                     jnp.where(any_weight, scale / safe, multiplier))


def _after(state: Accrual, now: _Gathered, due: Array, number: Array, rate: Array, before: Array) -> Accrual:
    """State after the row: a boundary empties the sums and fixes the rates."""
    return Accrual(jnp.where(due, 0.0, now.total), jnp.where(due, 0.0, now.scale), jnp.where(due, 0.0, now.weight),
                   number, jnp.where(due, rate, state.last_rate), jnp.where(due, before, state.before))


def _paid(p: Traced, rate: Array, boundaries: Array, premium: Array, index: Array, mark: Array) -> Funding:
    summed = rate * boundaries
    return Funding(premium, summed, summed * (index if p.basis == "oracle" else mark), boundaries)


def no_funding(p, state, row, index, mark, mid):
    """Nothing is ever paid; the premium is shown all the same."""
    del p, row, mark
    zero = jnp.zeros_like(index)
    return state, Funding((mid - index) / index, zero, zero, zero)


def flat(p, state, row, index, mark, mid):
    """A fixed rate; the premium is shown but does not enter."""
    number, n = _boundaries(p, state, row)
    state = state._replace(passed=number, last_rate=jnp.where(n > 0.0, p.rate, state.last_rate),
                           weight=jnp.where(n > 0.0, 0.0, state.weight + row.dt))
    return state, _paid(p, p.rate, n, (mid - index) / index, index, mark)


def clamped_premium(p, state, row, index, mark, mid):
    """Mean premium pulled towards the interest rate by at most the clamp."""
    sample = premium_sample(p.premium, row, index, mark, mid)
    scales_all = p.scales == "all"
    number, n = _boundaries(p, state, row)
    now = _gather(state, sample if scales_all else sample * p.multiplier, p.multiplier if scales_all else 1.0, row.dt)
    pulled = now.premium + jnp.clip(p.interest - now.premium, -p.clamp, p.clamp)
    rate = jnp.clip(pulled / p.divisor * now.multiplier, -p.cap, p.cap)
    due = n > 0.0
    state = _after(state, now, due, number, rate, state.before)
    return state, _paid(p, jnp.where(due, rate, 0.0), n, sample, index, mark)


def previous_interval(p, state, row, index, mark, mid):
    """The rate of an interval comes from the premium of the one before, by the formula of the phase that pays it."""
    sample = premium_sample(p.premium, row, index, mark, mid)
    number, n = _boundaries(p, state, row)
    now = _gather(state, sample, 1.0, row.dt)
    due = n > 0.0
    rate = jnp.where(due, jnp.clip(state.before / p.divisor, -p.cap, p.cap), 0.0)
    return _after(state, now, due, number, rate, now.premium), _paid(p, rate, n, sample, index, mark)


def clock(p: Traced, state: Accrual, utc: Array) -> tuple[Array, Array, Array]:
    """Last rate, seconds to the next boundary and the interval, before this row's funding is settled."""
    if p.kind == "none":
        one = jnp.ones_like(utc)
        return jnp.zeros_like(utc), one, one
    return state.last_rate, (jnp.floor(utc / p.interval) + 1.0) * p.interval - utc, p.interval


KINDS: dict[str, Rule] = {
    "none": Rule(accrual_init, no_funding, unchanged),
    "flat": Rule(accrual_init, flat, unchanged),
    "clamped_premium": Rule(accrual_init, clamped_premium, unchanged),
    "previous_interval": Rule(accrual_init, previous_interval, unchanged),
}
