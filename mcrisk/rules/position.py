"""Calculator of one position under a venue's profile: what its rulebook says about margin, prices, funding, limits, ADL.

Formula   those of `calculator.py`, with the tiers, rates and kinds of rules that the profile names. Liquidation price: walking
          from `mark` to the losing side, the first price with C + x + s·q·(P − E) < MM(P); MM(P) = (r_k + fee)·q·P − d_k in
          the tier k that the position has reached at P. In a table read by the reached tier's rate on the whole position
          (`mode: whole`) a rising price can liquidate a short at the edge of a tier.
Symbols   q quantity (signed, units of the underlying), E entry and P price in quote, C collateral in quote, x profit of other
          markets less their maintenance margin (cross margin), r maintenance rate, d deduction, fee the closing fee where the
          venue counts it as margin (OKX); `units` product of the share-count rebases so far.
Source    the profile's own (`mcrisk venues show NAME`); the formulas' as in `calculator.py`.
Date      2026-11-20

`venue` is a profile as `mcrisk.load_venue(NAME)` gives it, `phase` is "pre" (before conversion) or "post". Numbers are plain
floats. All functions raise ValueError for a phase of another name and for prices that are not positive.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from mcrisk.rules import calculator
from mcrisk.rules.calculator import Level, Step

_EDGE = 1.0 + 1e-9   # an edge belongs to the lower tier, whatever rounding made of it


class Line(NamedTuple):
    """Maintenance margin rate·N − deduction of one tier, quote, for positions of up to `up_to` (size, by price or not)."""

    up_to: float
    rate: float
    deduction: float


def maintenance_margin(venue: Any, quantity: float, price: float, phase: str = "pre", units: float = 1.0) -> float:
    """Maintenance margin at a price, quote; the closing fee is in it where the venue counts it (OKX)."""
    _positive(price)
    margin, size = _rules(venue, phase).margin, abs(quantity)
    counted = _counted(venue, margin, size, price, units) / _EDGE
    return calculator.maintenance_margin(size * price, tiers(margin), margin.mode, counted) + _fee(venue) * size * price


def initial_margin(venue: Any, quantity: float, price: float, phase: str = "pre", units: float = 1.0) -> float:
    """Margin that opening the position takes, quote: the reached tier's initial rate on the whole position."""
    _positive(price)
    margin, size = _rules(venue, phase).margin, abs(quantity)
    return calculator.initial_margin(size * price, tiers(margin), "whole", _counted(venue, margin, size, price, units) / _EDGE)


def bankruptcy_price(quantity: float, entry: float, collateral: float) -> float:
    """Price at which an isolated position is worth nothing (zero-equity price), quote, at least 0; NaN without a position."""
    if quantity == 0.0:
        return math.nan
    return max(calculator.bankruptcy_price(_side(quantity), abs(quantity), entry, collateral), 0.0)


def liquidation_price(
    venue: Any, quantity: float, entry: float, collateral: float, mark: float | None = None, phase: str = "pre",
    units: float = 1.0, elsewhere: float = 0.0,
) -> float:
    """Mark beyond which the position is liquidated, quote; NaN where no price does it, `mark` where it is so already.

    `mark` (default: the entry) is where the walk begins; `elsewhere` is x above, 0 for isolated margin.
    """
    mark = entry if mark is None else mark
    _positive(mark, entry)
    if quantity == 0.0:
        return math.nan
    side, size, cash = _side(quantity), abs(quantity), collateral + elsewhere
    at = mark
    for line, edge in _walk(venue, side, size, mark, phase, units):
        slope = side - line.rate
        crossing = (side * size * entry - cash - line.deduction) / (size * slope) if slope else -math.inf
        if side * (crossing - at) >= 0.0:     # already below maintenance where this tier begins
            return at
        if side * (crossing - edge) > 0.0:
            return crossing if crossing > 0.0 else math.nan
        at = edge
    return math.nan


def funding_rate(venue: Any, premium: float, phase: str = "pre") -> float:
    """Rate of one interval as a fraction, longs pay where it is positive; `premium` is the interval's mean premium.

    Where the venue pays on the premium of the interval before, give that one.
    """
    rule = _rules(venue, phase).funding
    if rule.kind == "none":
        return 0.0
    if rule.kind == "flat":
        return rule.rate
    if rule.kind == "previous_interval":
        return min(max(premium / rule.divisor, -rule.cap), rule.cap)
    scaled = rule.scales == "all"
    return calculator.funding_rate(premium if scaled else premium * rule.multiplier, rule.interest, rule.clamp, rule.divisor,
                                   rule.multiplier if scaled else 1.0, rule.cap)


def funding_payment(venue: Any, quantity: float, premium: float, index: float, mark: float, phase: str = "pre") -> float:
    """What the position pays in one interval, quote; negative: it receives. The venue's basis is the index or the mark."""
    _positive(index, mark)
    basis = index if getattr(_rules(venue, phase).funding, "basis", "mark") == "oracle" else mark
    return quantity * basis * funding_rate(venue, premium, phase)


def discovery_ladder(venue: Any, reference: float, direction: int = 1, phase: str = "pre") -> list[Level]:
    """Rungs of the venue's discovery bounds from a reference price, quote; ValueError where it has none."""
    _positive(reference)
    rule = _rules(venue, phase).limits
    if rule.kind != "discovery_bounds":
        raise ValueError(f"'{venue.name}' has no discovery bounds in phase '{phase}' (its limits are '{rule.kind}')")
    return calculator.discovery_ladder(reference, rule.bound, rule.trigger, rule.max_resets, direction)


def price_band(
    venue: Any, reference: float, premium: float = 0.0, phase: str = "pre", opening: bool = False, final: bool = False,
) -> tuple[float, float]:
    """(lower, upper) price limit, quote; (0, inf) where the venue has none.

    `reference`: what the band stands on — index (OKX), external price, mean mid (OKX futures; the index in the `final`
    window), last reset price (discovery bounds). `premium`: mean of mid − index in quote (OKX). `opening`: first minutes.
    """
    _positive(reference)
    rule = _rules(venue, phase).limits
    if rule.kind == "none":
        return 0.0, math.inf
    if rule.kind == "okx_limits":
        high, low = (calculator.okx_opening_limits(reference, rule.x) if opening
                     else calculator.okx_price_limits(reference, rule.y, rule.z, premium))
        return low, high
    bound = rule.final_band if rule.kind == "mid_band" and final else rule.band if rule.kind == "mid_band" else rule.bound
    return reference * (1.0 - bound), reference * (1.0 + bound)


def adl_score(
    venue: Any, quantity: float, entry: float, collateral: float, mark: float, phase: str = "pre", units: float = 1.0
) -> float:
    """Place in the ADL queue, largest first, no unit; NaN for who is in no queue (no profit, or equity not above 0)."""
    _positive(mark, entry)
    side, profit = _side(quantity), quantity * (mark - entry)
    equity, notional = collateral + profit, abs(quantity) * mark
    if profit <= 0.0 or equity <= 0.0:
        return math.nan
    rank = venue.adl.rank
    if rank in ("hyperliquid", "hyperliquid_literal"):
        return calculator.adl_hyperliquid(side, mark, entry, notional, equity, literal=rank == "hyperliquid_literal")
    if rank == "binance":
        margin = _rules(venue, phase).margin
        required = calculator.maintenance_margin(notional, tiers(margin), margin.mode,
                                                 _counted(venue, margin, abs(quantity), mark, units) / _EDGE)
        return calculator.adl_binance(profit, collateral, required / equity)
    return calculator.adl_leveraged_return(side, mark, entry, notional, equity)


def tiers(margin: Any) -> list[Step]:
    """A profile's tier table as `calculator` takes it; `up_to` in what the table counts (quote or contracts)."""
    return [Step(math.inf if t.up_to is None else t.up_to, t.maintenance, t.initial) for t in margin.tiers]


def _rules(venue: Any, phase: str) -> Any:
    if phase not in ("pre", "post"):
        raise ValueError(f"phase is 'pre' or 'post', not '{phase}'")
    return getattr(venue, phase)


def _counted(venue: Any, margin: Any, size: float, price: float, units: float) -> float:
    """What the tier table counts: notional in quote, or contracts."""
    return size / (venue.contract.contract_size * units) if margin.by == "contracts" else size * price


def _fee(venue: Any) -> float:
    return venue.liquidation.fee if venue.liquidation.kind == "tier_step_down" else 0.0


def _walk(venue: Any, side: int, size: float, mark: float, phase: str, units: float) -> list[tuple[Line, float]]:
    """Tiers that the price passes from `mark` to the losing side, each with the price at which it ends."""
    margin, fee = _rules(venue, phase).margin, _fee(venue)
    table = tiers(margin)
    cuts = calculator.deductions(table) if margin.mode == "marginal" else [0.0] * len(table)
    lines = [Line(step.up_to, step.maintenance + fee, cut) for step, cut in zip(table, cuts, strict=True)]
    start = calculator.tier_of(_counted(venue, margin, size, mark, units) / _EDGE, table)
    end = 0.0 if side > 0 else math.inf
    if margin.by == "contracts":
        return [(lines[start], end)]
    if side > 0:
        return [(lines[k], lines[k - 1].up_to * _EDGE / size if k else end) for k in range(start, -1, -1)]
    return [(lines[k], lines[k].up_to * _EDGE / size) for k in range(start, len(lines))]


def _side(quantity: float) -> int:
    return 1 if quantity > 0.0 else -1


def _positive(*prices: float) -> None:
    if not all(price > 0.0 for price in prices):
        raise ValueError("a price must be positive")
