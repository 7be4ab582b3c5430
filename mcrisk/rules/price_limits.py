"""Price limits: trade.xyz discovery bounds, OKX limits, bands.

Formula   discovery_bounds  reference·(1 ± b); oracle ≥ reference·(1 + b·t) re-anchors reference ← reference·(1 + b),
                            mirrored below, at most max_resets times per direction; then the bound is a hard cap
          external_band     live external price·(1 ± b)
          okx_limits        first minutes I·(1 ± X); then High = min{max[I, I(1+Y) + A], I(1+Z)},
                            Low = max{min[I, I(1−Y) + A], I(1−Z)}, A = moving average of (mid − index)
          mid_band          MA(mid)·(1 ± band); in the final window index·(1 ± final_band)
Symbols   b = bound, t = trigger (share of b), I = reference index; X, Y, Z fractions; prices in quote; times in s.
Source    trade.xyz docs, discovery bounds (capture 2026-09-18); OKX "Price limit rules" (2025), seed 003 (2024-09-24).
          Order of ups and downs and the reference of a self-referential index: docs/semantics.md.

Signatures: init(p, reference) -> state; update(p, state, row, index, previous_index, mid, age)
-> (state, index, lower, upper), age in seconds since launch or conversion; 0 and inf where there is no limit.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.params import Traced
from mcrisk.rules.rule import Empty, Rule, unchanged
from mcrisk.rules.windows import Window, window_init, window_rescale, window_update


def _nothing(p: Traced, reference: Array) -> Empty:
    del p, reference
    return Empty()


def no_limits(p, state, row, index, previous_index, mid, age):
    """No limit at all."""
    del p, row, previous_index, mid, age
    return state, index, jnp.zeros_like(index), jnp.full_like(index, jnp.inf)


# ---------------------------------------------------------------- trade.xyz before conversion
class Discovery(NamedTuple):
    reference: Array   # quote
    up: Array          # float64: resets used upwards
    down: Array        # float64: resets used downwards


def discovery_init(p: Traced, reference: Array) -> Discovery:
    del p
    zero = jnp.zeros((), jnp.float64)
    return Discovery(jnp.asarray(reference, jnp.float64), zero, zero)


def _re_anchor(reference, used, direction, p, oracle):
    """Move the reference by the bound while the oracle is at or beyond the trigger; direction is +1 or −1."""

    def touches(carry):
        ref, count = carry
        level = ref * (1.0 + direction * p.bound * p.trigger)
        beyond = oracle >= level if direction > 0 else oracle <= level
        return beyond & (count < p.max_resets)

    def move(carry):
        ref, count = carry
        return ref * (1.0 + direction * p.bound), count + 1.0

    if p.repeat_within_row:
        return lax.while_loop(touches, move, (reference, used))
    hit = touches((reference, used))
    moved, count = move((reference, used))
    return jnp.where(hit, moved, reference), jnp.where(hit, count, used)


def discovery_bounds(p, state, row, index, previous_index, mid, age):
    """Bounds around a reference that re-anchors on the oracle; may stop the oracle at the hard cap."""
    del row, previous_index, mid, age
    reference, up = _re_anchor(state.reference, state.up, 1, p, index)
    reference, down = _re_anchor(reference, state.down, -1, p, index)
    lower, upper = reference * (1.0 - p.bound), reference * (1.0 + p.bound)
    if p.oracle_stops_at_cap:
        index = jnp.where(up >= p.max_resets, jnp.minimum(index, upper), index)
        index = jnp.where(down >= p.max_resets, jnp.maximum(index, lower), index)
    return Discovery(reference, up, down), index, lower, upper


def discovery_rescale(state: Discovery, factor: Array) -> Discovery:
    return Discovery(state.reference * factor, state.up, state.down)


# ---------------------------------------------------------------- trade.xyz after conversion
def external_band(p, state, row, index, previous_index, mid, age):
    """A band around the external price as the venue receives it (its last value between sessions).

    While there never was one (`row.external` 0 or NaN) the index stands in.
    """
    del previous_index, mid, age
    live = jnp.where(row.external > 0.0, row.external * row.index_factor, index)
    return state, index, live * (1.0 - p.bound), live * (1.0 + p.bound)


# ---------------------------------------------------------------- OKX
class OkxState(NamedTuple):
    premium: Window   # of (mid or last) − index, quote
    listed: Array     # bool: a spot index exists


def okx_init(p: Traced, reference: Array) -> OkxState:
    del p, reference
    return OkxState(window_init(), jnp.zeros((), bool))


def _base(p: Traced, listed: Array, index: Array, previous_index: Array) -> Array:
    """The index a band stands on: while it is the contract's own last trade, the one before this row's trade."""
    if p.reference == "previous_index":
        return previous_index
    if p.reference == "previous_until_listed":
        return jnp.where(listed, index, previous_index)
    return index


def okx_limits(p, state, row, index, previous_index, mid, age):
    """Limits by index and mean premium, recomputed each row (the venue's 5 s or 200 ms are shorter than most rows).

    With a self-referential index the reference is the previous row's: a band must not move with the trade it limits.
    """
    listed = state.listed | row.listed
    base = _base(p, listed, index, previous_index)
    price = mid if p.premium_of == "mid" else row.last
    window, premium = window_update(state.premium, price - base, row.dt, row.time, p.average)
    opening = age < p.opening
    high = jnp.minimum(jnp.maximum(base, base * (1.0 + p.y) + premium), base * (1.0 + p.z))
    low = jnp.maximum(jnp.minimum(base, base * (1.0 - p.y) + premium), base * (1.0 - p.z))
    high = jnp.where(opening, base * (1.0 + p.x), high)
    low = jnp.where(opening, base * (1.0 - p.x), low)
    return OkxState(window, listed), index, low, high


def okx_rescale(state: OkxState, factor: Array) -> OkxState:
    return OkxState(window_rescale(state.premium, factor), state.listed)


class BandState(NamedTuple):
    mean: Window
    listed: Array     # bool: a spot index exists


def mid_band_init(p: Traced, reference: Array) -> BandState:
    del p, reference
    return BandState(window_init(), jnp.zeros((), bool))


def mid_band(p, state, row, index, previous_index, mid, age):
    """Band around the mean mid; around the index in the averaging window before a known settlement."""
    del age
    window, mean = window_update(state.mean, mid, row.dt, row.time, p.average)
    listed = state.listed | row.listed
    centre = jnp.where(row.final_hour, _base(p, listed, index, previous_index), mean)
    band = jnp.where(row.final_hour, p.final_band, p.band)
    return BandState(window, listed), index, centre * (1.0 - band), centre * (1.0 + band)


def mid_band_rescale(state: BandState, factor: Array) -> BandState:
    return BandState(window_rescale(state.mean, factor), state.listed)


KINDS: dict[str, Rule] = {
    "none": Rule(_nothing, no_limits, unchanged),
    "discovery_bounds": Rule(discovery_init, discovery_bounds, discovery_rescale),
    "external_band": Rule(_nothing, external_band, unchanged),
    "okx_limits": Rule(okx_init, okx_limits, okx_rescale),
    "mid_band": Rule(mid_band_init, mid_band, mid_band_rescale),
}
