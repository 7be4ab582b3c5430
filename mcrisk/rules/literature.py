"""ADL and fund rules of papers and of venues without a profile, in plain floats: yardsticks for tests and readers.

Formula   queue        seize_i = min(w_i, B − Σ of those before), in rank order
          pro rata     seize_i = min(w_i, λ·w_i), λ = B / Σ w   (water-filling on positive PnL w)
          fund         IF' = IF + α·fees − min(IF, D), residual (D − IF)+
          Bybit        ratio = (PnL − its 8 h maximum)/pool's 8 h maximum; ADL at ≤ −0.30, stop above −0.25, or pool ≤ 0
          OKX          threshold = max(0.7·mean fund, floor)
          WOO X        buy in [0.4·mark, 1.1·ask], sell in [0.9·bid, 1.6·mark]
Symbols   w positive PnL, B amount to raise, D deficit, IF fund; money in quote.
Source    Chitra, arXiv 2512.01112 (v3); bybit-exchange/docs @072c197, adl-alert; a third party's restatement of OKX;
          support.woox.io 35519316035993. Facts: venue-rules.md sections 3.4, 6, 7, 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple


# ---------------------------------------------------------------- who gives up how much
def queue_haircut(winnings: Sequence[float], order: Sequence[int], amount: float) -> list[float]:
    """What each winner gives up when they are taken one after the other in `order` (0-based places), quote."""
    seized = [0.0] * len(winnings)
    for i in order:
        seized[i] = min(max(winnings[i], 0.0), amount)
        amount -= seized[i]
    return seized


def pro_rata_haircut(winnings: Sequence[float], amount: float) -> list[float]:
    """What each winner gives up in proportion to its positive PnL; at most all of it, quote."""
    total = sum(max(w, 0.0) for w in winnings)
    share = min(1.0, amount / total) if total > 0.0 else 0.0
    return [share * max(w, 0.0) for w in winnings]


def leverage_fill(sizes: Sequence[float], equities: Sequence[float], price: float, quantity: float) -> list[float]:
    """Contracts to close so that the largest leverage left is smallest: max(0, q − λ·e/p) with Σ = `quantity`."""
    low, high = 0.0, max(q * price / e for q, e in zip(sizes, equities))
    for _ in range(200):
        level = 0.5 * (low + high)
        closed = sum(max(0.0, q - level * e / price) for q, e in zip(sizes, equities))
        low, high = (level, high) if closed > quantity else (low, level)
    return [max(0.0, q - high * e / price) for q, e in zip(sizes, equities)]


class FundStep(NamedTuple):
    """A fund after a deficit, and what it could not pay; quote."""

    fund: float
    residual: float


def fund_step(fund: float, deficit: float, fees: float = 0.0, share_of_fees: float = 1.0) -> FundStep:
    """One step of the paper's fund: fees in, deficit out, never below zero."""
    return FundStep(fund + share_of_fees * fees - min(fund, deficit), max(deficit - fund, 0.0))


class Holding(NamedTuple):
    """A position of the paper's example: contracts, equity, +1 long or −1 short."""

    size: float
    equity: float
    side: int


def paper_step(book: Sequence[Holding], before: float, now: float, rate: float) -> list[Holding]:
    """Mark and funding of one period. The paper's sign: a negative rate is paid by longs, on notional at the new price."""
    return [h._replace(equity=h.equity + h.side * h.size * (now - before + rate * now)) for h in book]


def paper_funding(long_size: float, short_size: float, price: float, spot: float) -> float:
    """γ = L/S − p/s."""
    return long_size / short_size - price / spot


# ---------------------------------------------------------------- venues without a profile
def bybit_ratio(pnl: float, pnl_peak: float, pool_peak: float) -> float:
    """Drawdown of a contract against the pool's 8 h maximum."""
    return (pnl - pnl_peak) / pool_peak


def bybit_adl(ratio: float, pool: float, trigger: float = -0.30, inclusive: bool = True) -> bool:
    """Is ADL on? The rule says "<", its second example triggers at the boundary: `inclusive` picks the reading."""
    return pool <= 0.0 or ratio < trigger or (inclusive and ratio <= trigger)


def bybit_to_close(loss: float, pool_peak: float, trigger: float = -0.30) -> float:
    """The part of a loss that ADL takes so that the ratio stays at the trigger, quote."""
    return max(0.0, loss + trigger * pool_peak)


def okx_threshold(mean_fund: float, drop: float = 0.30, floor: float = 50_000.0) -> float:
    """Fund below which ADL starts, by the average-based restatement, quote."""
    return max((1.0 - drop) * mean_fund, floor)


class OrderLimits(NamedTuple):
    """Prices between which an order is accepted."""

    buy_low: float
    buy_high: float
    sell_low: float
    sell_high: float


def woo_limits(bid: float, ask: float, mark: float) -> OrderLimits:
    """WOO X pre-launch order limits."""
    return OrderLimits(0.4 * mark, 1.1 * ask, 0.9 * bid, 1.6 * mark)


def earliest_settlement(anticipated: date, grace_days: int) -> date:
    """First day on which trade.xyz may settle a listing that does not come."""
    return anticipated + timedelta(days=grace_days)


def time_weighted_mean(values: Sequence[float], seconds: Sequence[float]) -> float:
    """Mean of values, each held for its seconds."""
    return sum(v * s for v, s in zip(values, seconds)) / sum(seconds)
