"""ADL allocation policies on one book at one moment: who gives up how much, for the same losses.

Two families. *Contract* policies close contracts of winners against the bankrupt ones, whole queue or pro rata; *wealth*
policies cut profit directly and leave positions alone.

Formula   queue            everyone before the marginal account is closed, it gives the rest, nobody after it (rules.queue)
          pro rata         q_i·Q/Σq in whole lots, the lots left over to the largest remainders
          capped wealth    w_i = min(cap_i, λ·profit_i), λ so that Σ w_i = budget (water-filling)
          leverage         q_i − x_i = min(q_i, λ·e_i/p): whoever exceeds leverage λ is brought down to it, Σ x_i = Q
Source    production queues: venue-rules.md 2, 3.4, 5.3 through mcrisk.rules.adl. Wealth rules: Chitra, arXiv 2512.01112.
          Leverage: Campbell, Hey, Moallemi & Nutz, arXiv 2603.15963 (rule derived in venue-rules.md 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

QUEUES = ("hyperliquid", "hyperliquid_literal", "okx", "binance")
CONTRACT_POLICIES = (*QUEUES, "contract_pro_rata", "leverage_water_filling")
WEALTH_POLICIES = ("wealth_pro_rata", "capped_wealth_pro_rata")
POLICIES = (*CONTRACT_POLICIES, *WEALTH_POLICIES)


# ------------------------------------------------------------------------------------------------ building blocks
def in_order(order: ArrayLike, capacity: ArrayLike, budget: float) -> Array:
    """Serve `budget` to the accounts numbered in `order`, each up to its `capacity` [A] ≥ 0."""
    limit = np.asarray(capacity, np.float64)
    place = np.asarray(order, np.int64)
    before = np.concatenate([[0.0], np.cumsum(limit[place])[:-1]])
    taken = np.zeros_like(limit)
    taken[place] = np.clip(budget - before, 0.0, limit[place])
    return taken


def best_first(score: ArrayLike, capacity: ArrayLike, budget: float) -> Array:
    """The production queue: highest score first, ties by place in the file."""
    return in_order(np.argsort(-np.asarray(score, np.float64), kind="stable"), capacity, budget)


def largest_remainder(shares: ArrayLike, total: int, capacity: ArrayLike | None = None) -> NDArray[np.int64]:
    """Whole lots [A] proportional to `shares`, Σ = min(total, Σ capacity): the floor, then the largest remainders.

    Ties go to the first account. Capacities are whole lots; a share cut by its capacity is passed on.
    """
    weight = np.asarray(shares, np.float64)
    room = np.full(len(weight), total) if capacity is None else np.asarray(capacity, np.int64)
    lots, left = np.zeros(len(weight), np.int64), int(min(total, room.sum()))
    while left > 0:
        open_ = np.where(room > lots, weight, 0.0)
        if not open_.sum() > 0:
            break
        ideal = left * open_ / open_.sum()
        whole = np.minimum(np.floor(ideal).astype(np.int64), room - lots)
        rest = np.where((room - lots) > whole, ideal - np.floor(ideal), -1.0)
        spare = left - int(np.floor(ideal).sum())  # only rounding is given by remainder, cut shares go round again
        first = np.argsort(-rest, kind="stable")[:spare]
        whole[first[rest[first] >= 0]] += 1
        if not whole.any():
            break
        lots, left = lots + whole, left - int(whole.sum())
    return lots


def water_filling(need: ArrayLike, capacity: ArrayLike, budget: float) -> Array:
    """min(capacity, λ·need) [A] with Σ = min(budget, Σ capacity): pro rata to `need`, nobody beyond its capacity.

    Needs are amounts of money or contracts: of one order of magnitude as float64 sees it, not subnormal.
    """
    weight, limit = np.asarray(need, np.float64), np.asarray(capacity, np.float64)
    limit = np.where(weight > 0, limit, 0.0)
    if budget >= limit.sum():
        return limit.copy()
    ratio = np.divide(limit, weight, out=np.full_like(limit, np.inf), where=weight > 0)
    order = np.argsort(ratio, kind="stable")
    full = np.concatenate([[0.0], np.cumsum(limit[order])])[:-1]  # taken from those who are already at capacity
    open_ = np.cumsum(weight[order][::-1])[::-1]
    level = np.divide(budget - full, open_, out=np.full_like(full, np.inf), where=open_ > 0)
    k = int(np.argmax(level <= ratio[order]))
    return np.minimum(limit, level[k] * weight)


def lower_leverage(quantity: ArrayLike, equity: ArrayLike, price: float, total: float) -> Array:
    """Contracts [A] to close so that the largest leverage left is smallest: Σ max(0, |q| − λ·e/p) = total.

    Accounts without positive equity take no part. Exact: λ is found between two kinks of a piecewise linear function.
    """
    size, wealth = np.abs(np.asarray(quantity, np.float64)), np.asarray(equity, np.float64)
    room = np.where(wealth > 0, size, 0.0)
    keep = max(0.0, float(room.sum()) - total)  # contracts that stay are what is water-filled up to leverage λ
    return room - water_filling(np.maximum(wealth, 0.0) / price, room, keep)


# ------------------------------------------------------------------------------------------------ a book and a policy
@dataclass(frozen=True)
class Book:
    """Accounts of one market at one mark. quantity signed contracts, entry quote per contract, collateral quote [A]."""

    quantity: Array
    entry: Array
    collateral: Array
    mark: float
    maintenance: float = 0.05  # of notional; Binance's score uses it

    @property
    def profit(self) -> Array:
        """Unrealised profit, quote [A]."""
        return self.quantity * (self.mark - self.entry)

    @property
    def equity(self) -> Array:
        """Collateral and unrealised profit, quote [A]."""
        return self.collateral + self.profit

    @property
    def leverage(self) -> Array:
        """Notional over equity [A]; infinite where equity is not positive, 0 without a position."""
        notional = np.abs(self.quantity) * self.mark
        bare = np.where(notional > 0, np.inf, 0.0)
        return np.divide(notional, self.equity, out=bare, where=self.equity > 0)

    def deficit(self) -> float:
        """Sum of negative equities, quote."""
        return float(np.maximum(-self.equity, 0.0).sum())

    def moved(self, mark: float, funding: float = 0.0) -> Book:
        """The same positions at another mark after paying `funding` × mark per contract held long."""
        paid = self.quantity * funding * mark
        return Book(self.quantity, self.entry, self.collateral - paid, mark, self.maintenance)


def fund_after(fund: float, deficit: float, income: float = 0.0, share: float = 1.0) -> tuple[float, float]:
    """Fund after a deficit and what it could not pay: IF' = IF + α·fees − min(IF, D), R = (D − IF)⁺ (W-CH-4)."""
    return fund + share * income - min(fund, deficit), max(0.0, deficit - fund)


@dataclass(frozen=True)
class Allocation:
    """What a policy took. contracts closed (≥ 0) and wealth given up against the mark, quote, per account [A].

    unmatched: bankrupt contracts nobody could be found for. unpaid: budget nobody was found for, quote.
    """

    policy: str
    contracts: Array
    wealth: Array
    unmatched: float
    unpaid: float


def scores(rank: str, book: Book) -> Array:
    """ADL score of a production queue [A], from the rulebook itself; higher is closed first."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from mcrisk.rules.adl import score

    needed = np.abs(book.quantity) * book.mark * book.maintenance
    return np.asarray(score(rank, book.quantity, book.entry, book.collateral, book.equity, needed, book.mark))


def allocate(policy: str, book: Book, budget: float, lot: float = 0.0, cap: float = 0.5) -> Allocation:
    """Apply one policy to the losses of all accounts with negative equity.

    Args:
        budget: wealth the winners must give, quote: the deficit less the fund. Contract policies cannot aim at it; they
            close all bankrupt contracts at the bankruptcy price, which takes the whole deficit.
        lot: smallest number of contracts; 0 = any. Queues round the marginal account up, pro rata by largest remainder.
        cap: share of its profit that `capped_wealth_pro_rata` may take of an account.
    """
    if policy in WEALTH_POLICIES:
        profit = np.where(book.equity > 0, np.maximum(book.profit, 0.0), 0.0)
        limit = profit * (cap if policy.startswith("capped") else 1.0)
        wealth = water_filling(profit, limit, budget)
        return Allocation(policy, np.zeros_like(profit), wealth, 0.0, max(0.0, budget - float(wealth.sum())))
    contracts, wealth, unmatched = np.zeros_like(book.quantity), np.zeros_like(book.quantity), 0.0
    for side in (1.0, -1.0):
        bankrupt = (book.equity < 0) & (book.quantity * side > 0)
        total = float(np.abs(book.quantity[bankrupt]).sum())
        if total == 0:
            continue
        loss = float(-book.equity[bankrupt].sum())
        taken = _contracts(policy, book, side, total, loss / total, lot)
        contracts += taken
        wealth += taken * loss / total
        short = total - float(taken.sum())
        unmatched += short if short > 1e-9 * total else 0.0
    return Allocation(policy, contracts, wealth, unmatched, max(0.0, book.deficit() - float(wealth.sum())))


def split_saving(policy: str, book: Book, account: int, budget: float, lot: float = 0.0, cap: float = 0.5) -> float:
    """Share of what an account gives up that it would save with its position in two equal accounts (Sybil test).

    0: splitting changes nothing; below 0: it would give up more. NaN where it gives nothing.
    """
    whole = float(allocate(policy, book, budget, lot, cap).wealth[account])
    if whole <= 0.0:
        return float("nan")
    half = np.ones(len(book.quantity))
    half[account] = 0.5
    quantity, collateral = book.quantity * half, book.collateral * half
    two = Book(np.append(quantity, quantity[account]), np.append(book.entry, book.entry[account]),
               np.append(collateral, collateral[account]), book.mark, book.maintenance)
    parts = allocate(policy, two, budget, lot, cap).wealth
    return 1.0 - float(parts[account] + parts[-1]) / whole


def _contracts(policy: str, book: Book, side: float, total: float, cost: float, lot: float) -> Array:
    """Contracts closed per account against `total` bankrupt ones of `side`, each costing a winner `cost` quote."""
    opposite = (book.quantity * side < 0) & (book.equity > 0)
    size = np.abs(book.quantity)
    if policy == "leverage_water_filling":
        return lower_leverage(np.where(opposite, size, 0.0), book.equity, book.mark, total)
    can_pay = book.equity >= size * cost  # equity stays ≥ 0 after a close at the ADL price
    room = np.where(opposite & (book.profit > 0) & can_pay, size, 0.0)
    if policy == "contract_pro_rata":
        if lot <= 0:
            return water_filling(room, room, total)
        lots = largest_remainder(room, int(np.ceil(total / lot)), np.floor(room / lot).astype(np.int64))
        return lots * lot
    taken = best_first(scores(policy, book), room, total)
    return np.minimum(room, np.ceil(taken / lot - 1e-9) * lot) if lot > 0 else taken
