"""Who trades at which effective leverage, so that open interest per band is as the mix says."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcrisk.config.book import BookSpec, LeverageMix
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

Array = NDArray[np.float64]


def mix_of(spec: BookSpec, venue: Venue) -> LeverageMix:
    """The mix the spec fixes, else the one the venue names. Raises InputError when it does not exist."""
    name = spec.leverage_mix or venue.book
    if name not in spec.leverage_mixes:
        near = difflib.get_close_matches(name, spec.leverage_mixes, n=1)
        raise InputError(f"unknown leverage mix '{name}'", where="book.leverage_mix",
                         why=f"this book knows {', '.join(spec.leverage_mixes) or 'none'}",
                         remedy=f"did you mean '{near[0]}'?" if near else None)
    return spec.leverage_mixes[name]


def assign(
    spec: BookSpec, venues: Sequence[Venue], home: NDArray[np.int64], notional: Array, fixed: Array,
    pick: Array, within: Array, allowed: Array,
) -> Array:
    """Effective leverage per account [A].

    Shares refer to all open interest of a home market, both sides, makers and hedgers included (they fill their own
    band first): published leverage statistics do not separate them either.

    Args:
        home: [A] market whose mix an account follows.
        notional: [A, M] quote.
        fixed: [A] leverage of makers and hedgers, NaN for the others.
        pick, within: [A] uniforms: the band, and the place inside it.
        allowed: [A] largest leverage of the tiers reached.
    """
    total = notional.sum(1)
    result = np.where(np.isnan(fixed), 1.0, fixed)
    for m, venue in enumerate(venues):
        mix = mix_of(spec, venue)
        lower = np.array([band.lower for band in mix.bands])
        upper = np.array([band.upper for band in mix.bands])
        mine = home == m
        missing = np.array(mix.shares(spec.variant)) * total[mine].sum()
        held = mine & ~np.isnan(fixed)
        band_held = np.clip(np.searchsorted(upper, np.minimum(fixed[held], allowed[held]), side="left"), 0, len(upper) - 1)
        missing -= np.bincount(band_held, weights=total[held], minlength=len(upper))
        free = np.flatnonzero(mine & np.isnan(fixed))
        band = _bands(total[free], pick[free], missing, lower, allowed[free])
        top = np.maximum(np.minimum(upper[band], allowed[free]), np.minimum(lower[band], allowed[free]))
        bottom = np.minimum(lower[band], top)
        result[free] = bottom + (top - bottom) * within[free]
    return result


def _bands(size: Array, pick: Array, missing: Array, lower: Array, allowed: Array) -> NDArray[np.int64]:
    """Band per account: largest first, drawn with probability proportional to what each admissible band still misses.

    The many small accounts come last and close the gaps, so shares are met to within the smallest sizes.
    """
    chosen = np.zeros(len(size), np.int64)
    gap = [max(float(x), 0.0) for x in missing]
    last = np.maximum(np.searchsorted(lower, allowed, side="left") - 1, 0)    # highest band that begins below `allowed`
    for i in np.argsort(-size, kind="stable"):
        admissible = gap[: last[i] + 1]
        target = pick[i] * sum(admissible)
        band = 0
        while band < last[i] and target > gap[band]:
            target -= gap[band]
            band += 1
        chosen[i] = band
        gap[band] = max(gap[band] - size[i], 0.0)
    return chosen
