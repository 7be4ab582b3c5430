"""Margin tier tables as arrays, and the margins they ask of positions (numpy, for building and checking books).

Tier k holds for lower_edge[k] < size <= lower_edge[k+1]; `size` is notional or a number of contracts (`Margin.by`).
Maintenance is size·rate − deduction in units of `size`, times the quote value of one unit. Deductions follow the
published recursion d[k] = d[k−1] + lower[k]·(rate[k] − rate[k−1]) (Hyperliquid margining page, Binance leverage
tiers): it makes maintenance continuous in size. Tables applied to the whole position have deductions of zero and jump
at an edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcrisk.config.venue import Margin
from mcrisk.errors import InputError

Array = NDArray[np.float64]


class Tiers(NamedTuple):
    """Padded tier table, each array [K] float64. Padding repeats the last rates behind edges at infinity."""

    lower_edge: Array  # notional (quote) or contracts; first is 0
    maintenance: Array  # rate
    initial: Array  # rate
    deduction: Array  # in units of `size`·rate: quote by notional, contracts by contracts


def tier_arrays(margin: Margin, kmax: int | None = None) -> Tiers:
    """Table of one phase, padded to `kmax` tiers (default: no padding).

    Raises InputError when the venue has more tiers than `kmax`.
    """
    count = len(margin.tiers)
    kmax = count if kmax is None else kmax
    if count > kmax:
        raise InputError(f"{count} margin tiers, but room for {kmax}", where="margin.tiers")
    lower = np.array([0.0] + [tier.up_to for tier in margin.tiers[:-1]], dtype=np.float64)
    maintenance = np.array([tier.maintenance for tier in margin.tiers])
    initial = np.array([tier.initial for tier in margin.tiers])
    deduction = np.zeros(count)
    if margin.mode == "marginal":
        deduction = np.cumsum(lower * np.diff(maintenance, prepend=maintenance[0]))
    pad = kmax - count
    return Tiers(
        np.concatenate([lower, np.full(pad, np.inf)]),
        *(np.concatenate([column, np.full(pad, column[-1])]) for column in (maintenance, initial, deduction)),
    )


def tier_index(tiers: Tiers, size: ArrayLike) -> NDArray[np.int64]:
    """Tier (0-based) reached by each size >= 0; a size equal to an upper end still belongs to that tier."""
    return np.maximum(np.searchsorted(tiers.lower_edge, np.asarray(size, float), side="left") - 1, 0)


def position_size(margin: Margin, quantity: ArrayLike, mark: ArrayLike, contract_size: float) -> Array:
    """What the tier table counts: |quantity|·mark in quote, or |quantity|/contract_size in contracts."""
    absolute = np.abs(np.asarray(quantity, float))
    return absolute * mark if margin.by == "notional" else absolute / contract_size


def _unit_value(margin: Margin, mark: ArrayLike, contract_size: float) -> Array | float:
    return 1.0 if margin.by == "notional" else np.asarray(mark, float) * contract_size


def maintenance_margin(
    margin: Margin, tiers: Tiers, quantity: ArrayLike, mark: ArrayLike, contract_size: float = 1.0
) -> Array:
    """Maintenance margin in quote of positions `quantity` (signed, units of the underlying) at `mark`."""
    size = position_size(margin, quantity, mark, contract_size)
    k = tier_index(tiers, size)
    return (size * tiers.maintenance[k] - tiers.deduction[k]) * _unit_value(margin, mark, contract_size)


def initial_margin(
    margin: Margin, tiers: Tiers, quantity: ArrayLike, mark: ArrayLike, contract_size: float = 1.0
) -> Array:
    """Initial margin in quote: the reached tier's initial rate on the whole position, in both modes.

    A venue's largest leverage is a step function of size even where its maintenance is marginal.
    """
    size = position_size(margin, quantity, mark, contract_size)
    return size * tiers.initial[tier_index(tiers, size)] * _unit_value(margin, mark, contract_size)


def largest_notional(margin: Margin, mark: float, contract_size: float = 1.0) -> float:
    """The most one account may hold, in quote: the position limit and the end of the last tier, whichever binds."""
    limit = np.inf if margin.position_limit is None else margin.position_limit
    end = margin.tiers[-1].up_to
    if end is not None:
        limit = min(limit, end if margin.by == "notional" else end * contract_size * mark)
    return float(limit)
