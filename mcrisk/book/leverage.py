"""Who trades at which effective leverage, so that open interest per band is as the mix says."""

from __future__ import annotations

import difflib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcrisk.book.tiers import tier_arrays
from mcrisk.config.book import BookSpec, LeverageMix
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

Array = NDArray[np.float64]


class Bands(NamedTuple):
    """A mix as arrays, each [bands], lowest first."""

    lower: Array
    upper: Array
    share: Array  # of open interest


def mix_of(spec: BookSpec, venue: Venue) -> LeverageMix:
    """The mix the spec fixes, else the one the venue names. Raises InputError when it does not exist."""
    name = spec.leverage_mix or venue.book
    if name not in spec.leverage_mixes:
        near = difflib.get_close_matches(name, spec.leverage_mixes, n=1)
        raise InputError(
            f"unknown leverage mix '{name}'",
            where="book.leverage_mix",
            why=f"this book knows {', '.join(spec.leverage_mixes) or 'none'}",
            remedy=f"did you mean '{near[0]}'?" if near else None,
        )
    return spec.leverage_mixes[name]


def bands_of(spec: BookSpec, venue: Venue) -> Bands:
    """Bands of the venue's mix in the spec's variant."""
    mix = mix_of(spec, venue)
    return Bands(
        np.array([band.lower for band in mix.bands]),
        np.array([band.upper for band in mix.bands]),
        np.array(mix.shares(spec.variant)),
    )


def prefer(bands: Bands, size: Array, fixed: Array, pick: Array) -> NDArray[np.int64]:
    """Band per account [n] such that open interest per band is as the mix says.

    Shares refer to all open interest of a market, both sides, makers and hedgers included (they fill their own band
    first): published leverage statistics do not separate them either. The others choose from the largest down, among
    the bands that still have room for them, with probability proportional to what each misses; the many small ones
    come last and close the gaps.

    Args:
        size: [n] notional; fixed: [n] leverage of makers and hedgers, NaN for the others; pick: [n] uniforms.
    """
    last = len(bands.lower) - 1
    chosen = np.clip(np.searchsorted(bands.upper, np.nan_to_num(fixed), side="left"), 0, last)
    held = ~np.isnan(fixed)
    missing = bands.share * size.sum() - np.bincount(chosen[held], weights=size[held], minlength=last + 1)
    gap = [max(float(x), 0.0) for x in missing]
    free = np.flatnonzero(~held)
    for i in free[np.argsort(-size[free], kind="stable")]:
        room = [g if g >= size[i] else 0.0 for g in gap]
        room = room if any(room) else gap
        target, band = pick[i] * sum(room), 0
        while band < last and target > room[band]:
            target -= room[band]
            band += 1
        chosen[i] = band
        gap[band] = max(gap[band] - size[i], 0.0)
    return chosen


def draw(bands: Bands, band: NDArray[np.int64], within: Array) -> Array:
    """Leverage wanted per account [n], uniform in its band."""
    return bands.lower[band] + (bands.upper[band] - bands.lower[band]) * within


def admitted(venue: Venue, wanted: Array) -> Array:
    """Largest notional [n] at which the venue's tiers admit each leverage; the first tier's where none does."""
    margin = venue.pre.margin
    tiers = tier_arrays(margin)
    unit = 1.0 if margin.by == "notional" else venue.contract.contract_size * venue.contract.initial_price
    ends = np.concatenate([tiers.lower_edge[1:], [np.inf]]) * unit * (1 - 1e-12)
    return ends[np.maximum(np.searchsorted(tiers.initial, 1.0 / wanted, side="right") - 1, 0)]


def reached(bands: Bands, size: Array, effective: Array) -> Array:
    """Share of open interest per band [bands]; what lies below or above all bands counts to the nearest."""
    band = np.clip(np.searchsorted(bands.upper * (1 + 1e-6), effective, side="left"), 0, len(bands.upper) - 1)
    return np.bincount(band, weights=size, minlength=len(bands.upper)) / max(size.sum(), np.finfo(float).tiny)
