"""Price limits: trade.xyz discovery bounds, OKX limits, bands.

Formula   discovery_bounds  reference·(1 ± b); oracle ≥ reference·(1 + b·t) re-anchors reference ← reference·(1 + b),
                            mirrored below, at most max_resets times per direction; then the bound is a hard cap;
                            anchor external: a fresh external price P sets reference ← P and the counters to 0
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


# ---------------------------------------------------------------- trade.xyz
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
    """Bounds around a reference that re-anchors on the oracle; may stop the oracle at the hard cap.

    With `anchor: external` all of that concerns rows without a fresh external price; one that has it starts afresh.
    """
    del previous_index, mid, age
    by_external = p.anchor == "external"
    oracle = jnp.where(row.has_external, state.reference, index) if by_external else index   # the reference triggers nothing
    reference, up = _re_anchor(state.reference, state.up, 1, p, oracle)
    reference, down = _re_anchor(reference, state.down, -1, p, oracle)
    last_up, last_down = up >= p.max_resets, down >= p.max_resets
    if by_external:
        reference = jnp.where(row.has_external, row.external * row.index_factor, reference)
        up, down = jnp.where(row.has_external, 0.0, up), jnp.where(row.has_external, 0.0, down)
        last_up, last_down = last_up & ~row.has_external, last_down & ~row.has_external
    lower, upper = reference * (1.0 - p.bound), reference * (1.0 + p.bound)
    if p.oracle_stops_at_cap:
        index = jnp.where(last_up, jnp.minimum(index, upper), index)
        index = jnp.where(last_down, jnp.maximum(index, lower), index)
    return Discovery(reference, up, down), index, lower, upper


def discovery_rescale(state: Discovery, factor: Array) -> Discovery:
    return Discovery(state.reference * factor, state.up, state.down)


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
    """Limits by index and mean premium.

    With a self-referential index the reference is the previous row's: a band must not move with the trade it limits. But
    it moves with the trades of the row: recomputed every few seconds, the limits of a long row compound.
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
    if p.reference in ("previous_index", "previous_until_listed"):
        times = jnp.maximum(row.dt / p.recompute, 1.0)
        if p.reference == "previous_until_listed":
            times = jnp.where(listed, 1.0, times)
        low, high = base * (low / base) ** times, base * (high / base) ** times
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
    "okx_limits": Rule(okx_init, okx_limits, okx_rescale),
    "mid_band": Rule(mid_band_init, mid_band, mid_band_rescale),
}
