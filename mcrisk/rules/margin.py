"""Tiered margin and the price band inside which nobody needs to be looked at.

Formula   whole position:  MM = r_k·n, k the tier reached by n (or by contracts)      (OKX, Kraken)
          marginal:        MM = max_k (r_k·n − d_k), d_k = d_{k−1} + edge_k·(r_k − r_{k−1})   (Hyperliquid, Binance)
          a long is liquidated below m_k = (q·E − C − d_k)/(q·(1 − r_k)), a short above (q·E + C + d_k)/(q·(1 + r_k)).
Symbols   n = |q|·mark notional, E entry, C collateral (and PnL elsewhere), r_k maintenance rate, d_k deduction.
Source    venue-rules.md 2 (Hyperliquid deduction), 5.3 (Binance), 3.4 (OKX whole position), 4.2 (Kraken); Kraken's choice of
          `whole` is an assumption (section 14). performance.md 5.1 for the threshold form.
Date      2026-11-20
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Tiers(NamedTuple):
    """One margin table, padded to K tiers with infinite edges.

    `edge[k]` is where tier k starts, a hair (1e-9) above `bound[k]`, so that a cut to a bound lands in the tier it aims at.
    """

    edge: Array         # [K] notional or contracts
    bound: Array        # [K] the edges as published
    maintenance: Array  # [K]
    initial: Array      # [K]
    deduction: Array    # [K] quote; zeros for whole-position tables
    by_contracts: Array  # bool: edges are contracts, not notional
    contract_size: Array


def tier_rate(tiers: Tiers, measure: Array) -> Array:
    """Maintenance rate of the tier that `measure` (notional or contracts, any shape) has reached."""
    rate = jnp.full_like(measure, tiers.maintenance[0])
    for k in range(1, tiers.edge.shape[0]):
        rate = jnp.where(measure > tiers.edge[k], tiers.maintenance[k], rate)
    return rate


def tier_number(tiers: Tiers, measure: Array) -> Array:
    """1-based tier that `measure` has reached (int32, same shape)."""
    number = jnp.ones(measure.shape, jnp.int32)
    for k in range(1, tiers.edge.shape[0]):
        number = jnp.where(measure > tiers.edge[k], jnp.int32(k + 1), number)
    return number


def measure_of(tiers: Tiers, size: Array, mark: Array) -> Array:
    """What the table counts: notional, or contracts."""
    return jnp.where(tiers.by_contracts, size / tiers.contract_size, size * mark)


def maintenance_margin(tiers: Tiers, size: Array, mark: Array, mode: str, extra_rate: Array) -> Array:
    """MM [quote] of positions of `size` contracts; `extra_rate` (OKX taker fee) is added to every tier's rate."""
    notional = size * mark
    if mode == "whole":
        return (tier_rate(tiers, measure_of(tiers, size, mark)) + extra_rate) * notional
    margin = (tiers.maintenance[0] + extra_rate) * notional - tiers.deduction[0]
    for k in range(1, tiers.edge.shape[0]):
        margin = jnp.maximum(margin, (tiers.maintenance[k] + extra_rate) * notional - tiers.deduction[k])
    return margin


def quiet_band(
    tiers: Tiers, quantity: Array, entry: Array, cushion: Array, mark: Array, mode: str, extra_rate: Array,
    scale: Array | float = 1.0,
) -> tuple[Array, Array]:
    """Prices (lo, hi) around `mark` between which none of these positions can fall below maintenance; see `trigger_prices`."""
    low, high = trigger_prices(tiers, quantity, entry, cushion, mark, mode, extra_rate, scale)
    return jnp.max(low), jnp.min(high)


def trigger_prices(
    tiers: Tiers, quantity: Array, entry: Array, cushion: Array, mark: Array, mode: str, extra_rate: Array,
    scale: Array | float = 1.0,
) -> tuple[Array, Array]:
    """Prices (lo, hi) [A] around `mark` between which each of these positions cannot fall below maintenance.

    quantity, entry, cushion: [A]; cushion is the collateral (with PnL elsewhere, less a slack for funding).
    `scale` [A] multiplies maintenance for accounts that want a look before it is reached.
    Conservative by construction: an account that is already below maintenance has an empty band.
    """
    size = jnp.abs(quantity)
    held, is_long = size > 0.0, quantity > 0.0
    side = jnp.where(is_long, 1.0, -1.0)
    safe = jnp.where(held, size, 1.0)
    # everything in notional of the position: tier edges are numbers then, and one division per tier is left
    here, worth = mark * safe, size * entry - side * cushion
    low = jnp.where(held, 0.0, -jnp.inf)
    high = jnp.full_like(size, jnp.inf)
    count = tiers.edge.shape[0]
    for k in range(count):
        at = (worth - side * scale * tiers.deduction[k]) / (1.0 - side * (scale * (tiers.maintenance[k] + extra_rate)))
        if mode == "marginal":
            low = jnp.where(is_long, jnp.maximum(low, at), low)
            high = jnp.where(held & ~is_long, jnp.minimum(high, at), high)
            continue
        start, end = _tier_notionals(tiers, k, count, size)
        # inside this tier a long is liquidated on (start, min(end, at)), a short on (max(start, at), end)
        first = jnp.where(is_long, start, jnp.maximum(start, at))
        last = jnp.where(is_long, jnp.minimum(end, at), end)
        hit = held & (first < last)
        low = jnp.where(hit & (last <= here), jnp.maximum(low, last), low)
        high = jnp.where(hit & (first >= here), jnp.minimum(high, first), high)
        low = jnp.where(hit & (first < here) & (here < last), jnp.inf, low)
    return low / safe, high / safe


def _tier_notionals(tiers: Tiers, k: int, count: int, size: Array) -> tuple[Array, Array]:
    """Notionals at which a position of `size` enters and leaves tier k; tiers by contracts do not depend on the price."""
    start = tiers.edge[k] if k else jnp.float64(0.0)
    end = tiers.edge[k + 1] if k + 1 < count else jnp.float64(jnp.inf)
    in_tier = size > start * tiers.contract_size if k else jnp.ones_like(size, bool)
    in_tier = in_tier & (size <= end * tiers.contract_size)
    return (jnp.where(tiers.by_contracts, jnp.where(in_tier, 0.0, jnp.inf), start),
            jnp.where(tiers.by_contracts, jnp.inf, end))
