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
    """Prices (lo, hi) around `mark` between which none of these positions can fall below maintenance.

    quantity, entry, cushion: [A]; cushion is the collateral (with PnL elsewhere, less a slack for funding).
    `scale` [A] multiplies maintenance for accounts that want a look before it is reached.
    Conservative by construction: an account that is already below maintenance makes the band empty.
    """
    size = jnp.abs(quantity)
    safe = jnp.where(size > 0.0, size, 1.0)
    is_long = quantity > 0.0
    lo = jnp.where(size > 0.0, 0.0, -jnp.inf)
    hi = jnp.full_like(size, jnp.inf)
    count = tiers.edge.shape[0]
    for k in range(count):
        rate = scale * (tiers.maintenance[k] + extra_rate)
        ded = scale * tiers.deduction[k]
        long_at = (size * entry - cushion - ded) / (safe * (1.0 - rate))
        short_at = (size * entry + cushion + ded) / (safe * (1.0 + rate))
        if mode == "marginal":
            lo = jnp.where(is_long, jnp.maximum(lo, long_at), lo)
            hi = jnp.where(is_long, hi, jnp.minimum(hi, short_at))
            continue
        start, end = _tier_prices(tiers, k, count, size, safe)
        # inside this tier a long is liquidated on (start, min(end, long_at)), a short on (max(start, short_at), end)
        top, bottom = jnp.minimum(end, long_at), jnp.maximum(start, short_at)
        long_hit, short_hit = is_long & (long_at > start), ~is_long & (size > 0.0) & (short_at < end)
        near = jnp.where(is_long, top, end)
        lo = jnp.where((long_hit | short_hit) & (near <= mark), jnp.maximum(lo, near), lo)
        far = jnp.where(is_long, start, bottom)
        hi = jnp.where((long_hit | short_hit) & (far >= mark), jnp.minimum(hi, far), hi)
        inside = (long_hit & (start < mark) & (mark < top)) | (short_hit & (bottom < mark) & (mark < end))
        lo = jnp.where(inside, jnp.inf, lo)
    return jnp.max(lo), jnp.min(hi)


def _tier_prices(tiers: Tiers, k: int, count: int, size: Array, safe: Array) -> tuple[Array, Array]:
    """Mark prices at which a position of `size` enters and leaves tier k."""
    contracts = size / tiers.contract_size
    start = tiers.edge[k] / safe
    in_tier = contracts > tiers.edge[k] if k else jnp.ones_like(contracts, bool)
    if k + 1 < count:
        end = tiers.edge[k + 1] / safe
        in_tier = in_tier & (contracts <= tiers.edge[k + 1])
    else:
        end = jnp.full_like(safe, jnp.inf)
    by_contract_start = jnp.where(in_tier, 0.0, jnp.inf)
    by_contract_end = jnp.where(in_tier, jnp.inf, jnp.inf)
    return (
        jnp.where(tiers.by_contracts, by_contract_start, start if k else jnp.zeros_like(safe)),
        jnp.where(tiers.by_contracts, by_contract_end, end),
    )
