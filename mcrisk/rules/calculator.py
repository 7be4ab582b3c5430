"""Calculator: the rulebook's arithmetic for one position, in plain floats, for tests, documents and curious users.

Formula   liquidation   C + s·q·(P − E) = r·q·P − d  ⇒  P = (s·q·E − C − d)/(q·(s − r))
          bankruptcy    P = E − s·C/q
          tiers         d_k = d_{k−1} + edge_k·(r_k − r_{k−1}); MM = max_k(r_k·N − d_k), or r_k·N of the reached tier
          funding       m·(P' + clamp(i − P', ±c))/divisor, at most cap; payment = s·q·price·rate
Symbols   s = +1 long, −1 short; q absolute size in units of the underlying; E entry, P price, C collateral in quote;
          r maintenance rate, d deduction, N notional; see index.py, price_limits.py, funding.py, adl.py for the others.
Source    Hyperliquid docs, liquidations and margin tiers (2026-08-22); Binance, liquidation price and ADL (2025-08);
          OKX price limit rules (2025); trade.xyz discovery bounds (2026-09-18); Kraken, example of equity protection
          (2026-03-17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


# ---------------------------------------------------------------- margin
class Step(NamedTuple):
    """A margin tier: up to `up_to` (notional; inf = without end) these rates hold."""

    up_to: float
    maintenance: float
    initial: float = math.nan


def deductions(tiers: Sequence[Step]) -> list[float]:
    """What makes a marginal table continuous, in quote, one number per tier."""
    out = [0.0]
    for below, above in zip(tiers, tiers[1:]):
        out.append(out[-1] + below.up_to * (above.maintenance - below.maintenance))
    return out


def tier_of(measure: float, tiers: Sequence[Step]) -> int:
    """0-based tier that a notional (or a number of contracts) has reached; an edge belongs to the lower tier."""
    return next((k for k, tier in enumerate(tiers) if measure <= tier.up_to), len(tiers) - 1)


def maintenance_margin(
    notional: float, tiers: Sequence[Step], mode: str = "marginal", measure: float | None = None
) -> float:
    """Maintenance margin in quote. `measure`: what the table counts, where it is not the notional."""
    k = tier_of(notional if measure is None else measure, tiers)
    if mode == "whole":
        return tiers[k].maintenance * notional
    return max(tier.maintenance * notional - d for tier, d in zip(tiers, deductions(tiers)))


def initial_margin(notional: float, tiers: Sequence[Step], mode: str = "whole", measure: float | None = None) -> float:
    """Initial margin in quote: the reached tier's rate on everything, or (marginal) each rate on its own slice."""
    if mode == "whole":
        return tiers[tier_of(notional if measure is None else measure, tiers)].initial * notional
    total, start = 0.0, 0.0
    for tier in tiers:
        total += tier.initial * max(0.0, min(notional, tier.up_to) - start)
        start = tier.up_to
    return total


def maintenance_rate(max_leverage: float) -> float:
    """Hyperliquid family: half of the initial rate at the highest leverage."""
    return 0.5 / max_leverage


# ---------------------------------------------------------------- prices that end a position
def liquidation_price(
    side: int, size: float, entry: float, collateral: float, rate: float, deduction: float = 0.0
) -> float:
    """Price at which equity meets maintenance, quote; `collateral` includes PnL of other markets less their MM."""
    return (side * size * entry - collateral - deduction) / (size * (side - rate))


def liquidation_price_tiered(side: int, size: float, entry: float, collateral: float, tiers: Sequence[Step]) -> float:
    """The same with a marginal table: the first tier's line that the price meets on its way."""
    prices = [
        liquidation_price(side, size, entry, collateral, tier.maintenance, d)
        for tier, d in zip(tiers, deductions(tiers))
    ]
    return max(prices) if side > 0 else min(prices)


def bankruptcy_price(side: int, size: float, entry: float, collateral: float) -> float:
    """Price at which nothing is left (zero-equity price), quote."""
    return entry - side * collateral / size


def inverse_liquidation_price(side: int, contracts: float, entry: float, wallet: float, rate: float) -> float:
    """Coin-margined contract (Kraken): `contracts` of one quote unit, wallet in coin, margin on value at the mark."""
    return contracts * (side + rate) / (wallet + side * contracts / entry)


# ---------------------------------------------------------------- funding
def funding_rate(
    premium: float, interest: float = 1e-4, clamp: float = 5e-4, divisor: float = 8.0, multiplier: float = 1.0,
    cap: float = math.inf,
) -> float:
    """Rate of one interval as a fraction; the multiplier scales the whole formula."""
    pulled = premium + min(max(interest - premium, -clamp), clamp)
    return min(max(multiplier * pulled / divisor, -cap), cap)


def funding_payment(side: int, size: float, price: float, rate: float) -> float:
    """What a position pays in one interval, quote; negative: it receives."""
    return side * size * price * rate


def impact_premium(index: float, impact_bid: float | None, impact_ask: float | None) -> float:
    """[max(b − O, 0) − max(O − a, 0)]/O; None = that side lacks depth."""
    above = max(impact_bid - index, 0.0) if impact_bid is not None else 0.0
    below = max(index - impact_ask, 0.0) if impact_ask is not None else 0.0
    return (above - below) / index


# ---------------------------------------------------------------- price limits
class Level(NamedTuple):
    """One rung of the discovery ladder, in quote."""

    reference: float
    lower: float
    upper: float
    up_trigger: float
    down_trigger: float


def discovery_ladder(reference: float, bound: float, trigger: float, resets: int, direction: int = 1) -> list[Level]:
    """Rungs reached by resetting in one direction only; the last one's bound is the hard cap."""
    rungs = []
    for _ in range(resets + 1):
        span, mark = reference * bound, reference * bound * trigger
        rungs.append(Level(reference, reference - span, reference + span, reference + mark, reference - mark))
        reference += direction * span
    return rungs


def discovery_extremes(reference: float, bound: float, resets: int) -> tuple[float, float]:
    """Lowest and highest mark before conversion: reference·(1 ± bound)^(resets + 1)."""
    return reference * (1.0 - bound) ** (resets + 1), reference * (1.0 + bound) ** (resets + 1)


def okx_price_limits(index: float, y: float, z: float, premium: float) -> tuple[float, float]:
    """(High, Low) from the index, the half-band Y, the outer band Z and the mean premium in quote."""
    high = min(max(index, index * (1.0 + y) + premium), index * (1.0 + z))
    low = max(min(index, index * (1.0 - y) + premium), index * (1.0 - z))
    return high, low


def okx_opening_limits(index: float, x: float) -> tuple[float, float]:
    """(High, Low) of the first minutes."""
    return index * (1.0 + x), index * (1.0 - x)


# ---------------------------------------------------------------- ADL
def adl_hyperliquid(
    side: int, mark: float, entry: float, notional: float, equity: float, literal: bool = False
) -> float:
    """(mark/entry)·(notional/equity), side-aware unless `literal` (which ranks less profitable shorts first)."""
    ratio = mark / entry
    return (ratio if literal or side > 0 else 1.0 / ratio) * notional / equity


def adl_leveraged_return(side: int, mark: float, entry: float, notional: float, equity: float) -> float:
    """OKX and others: PnL % times effective leverage."""
    return side * (mark / entry - 1.0) * notional / equity


def adl_binance(unrealised: float, wallet: float, margin_ratio: float) -> float:
    """[max(0, UPnL)/max(1, wallet)] · margin ratio; the ratio counts 0 when it is negative."""
    return max(0.0, unrealised) / max(1.0, wallet) * max(0.0, margin_ratio)


# ---------------------------------------------------------------- rebase
def rebase(size: float, price: float, ratio: float) -> tuple[float, float]:
    """Size and price after a share-count rebase; their product stays."""
    return size * ratio, price / ratio
