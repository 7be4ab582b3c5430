"""What every liquidation ladder needs: the executable book of a row, orders into it, take-overs, unwinding."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .rows import Row
from .state import LONG, SHORT, Account, Holder, Tiers, World


@dataclass
class Situation:
    """One row as the liquidation engine sees it. `prices`/`left`: by the side of the POSITION that is closed."""

    row: Row
    mark: float
    previous_mark: float
    tiers: Tiers
    prices: dict[int, float | None]  # longs sell at the bid, shorts buy at the ask; None: nothing fills
    left: dict[int, float]  # contracts
    extra_margin: float = 0.0  # fee rate that counts as maintenance (OKX)

    def maintenance(self, a: Account) -> float:
        return self.tiers.maintenance(a.q) + self.extra_margin * abs(a.q) * self.mark

    def liquidatable(self, world: World) -> list[Account]:
        """Accounts below maintenance, worst first."""
        found = [a for a in world.open() if a.equity(self.mark) < self.maintenance(a)]
        return self.worst_first(found)

    def worst_first(self, accounts: list[Account]) -> list[Account]:
        def badness(a: Account) -> float:
            margin, equity = self.maintenance(a), a.equity(self.mark)
            if margin <= 0.0:
                return math.copysign(math.inf, equity)
            return equity / margin if abs(equity / margin) >= 1e-9 else 0.0  # zero equity ties

        return sorted(accounts, key=lambda a: (badness(a), a.order))


def executable(row: Row, order_limits: tuple[float, float]) -> tuple[dict[int, float | None], dict[int, float]]:
    """Prices and contracts a liquidation finds; limits bind on the adverse side only."""
    lower, upper = order_limits
    bid = row.bid if row.bid is not None and row.bid >= lower else None
    ask = row.ask if row.ask is not None and row.ask <= upper else None
    return {LONG: bid, SHORT: ask}, {LONG: row.depth / bid if bid else 0.0, SHORT: row.depth / ask if ask else 0.0}


def fill(
    world: World,
    s: Situation,
    orders: list[tuple[Account, float]],
    *,
    floor: bool,
    fee_rate: float,
    fee_to_fund: bool = False,
) -> float:
    """Send orders (account, contracts) in the given sequence. Returns how much was filled in all."""
    filled = 0.0
    for a, size in orders:
        price, side = s.prices[a.side], a.side
        if price is None or (floor and side * (price - a.zero_equity_price()) < -1e-11 * price):
            if price is None:
                world.counts["no_quote"] += 1
            continue
        order, size = size, min(size, s.left[side])
        if size <= 1e-9 * order:
            continue
        execute(world, s, a, size, price, fee_rate, fee_to_fund)
        filled += size
    return filled


def execute(
    world: World,
    s: Situation,
    a: Account,
    size: float,
    price: float,
    fee_rate: float,
    fee_to_fund: bool = False,
    fund_adds: float = 0.0,
) -> None:
    """Close `size` contracts of `a` against the book; the fund may add money to the price."""
    side = a.side
    world.counts["full_close" if size >= abs(a.q) else "partial_close"] += 1
    world.counts["long_liquidated" if side == LONG else "short_liquidated"] += 1
    profit = side * size * (price - a.entry) + fund_adds
    s.left[side] -= size
    a.gain(profit)
    a.reduce(size, "liquidated")
    fee = min(fee_rate * size * price, max(a.equity(s.mark), 0.0))
    a.cash -= fee
    a.fees += fee
    world.fund.cash += fee if fee_to_fund else 0.0
    world.fund_pays(fund_adds)
    world.fees += 0.0 if fee_to_fund else fee
    world.book.buy(side * size, price)
    world.totals["liquidated_notional"] += size * price
    world.note("liquidation", a, -side * size, price, profit - fee, fee, (fee if fee_to_fund else 0.0) - fund_adds)


def take_over(world: World, s: Situation, a: Account, share: float, holder: Holder, event: str) -> None:
    """The fund or the vault takes a share of the position at its zero-equity price, and the margin with it."""
    side, z = a.side, a.zero_equity_price()
    size = abs(a.q) if share >= 1.0 else share * abs(a.q)
    cash = -share * a.cash if z > 0.0 else -side * size * a.entry
    holder.lots[side].add(size, z, s.row.time)
    a.gain(cash)
    a.reduce(size, "liquidated")
    world.counts[event] += 1
    world.note(event, a, -side * size, z, cash)


def unwind(world: World, s: Situation, fund_may: bool) -> None:
    """Sell what was taken over in earlier rows, before any account's order of this row."""
    share = world.venue.fund.unwind_share_of_depth
    for holder in (world.fund, world.backstop):
        if holder is world.fund and not fund_may:
            continue
        gain = 0.0
        for side, lot in holder.lots.items():
            price = s.prices[side]
            size = min(lot.size, share * s.left[side]) if price is not None else 0.0
            if size <= 0.0:
                continue
            gain += side * size * (price - lot.price)
            lot.remove(size)
            s.left[side] -= size
            world.book.buy(side * size, price)
            world.counts["unwound"] += 1
            if holder is world.fund:
                world.note("unwinding", None, -side * size, price, 0.0)
        if holder is not world.fund:
            holder.cash += gain
        elif gain != 0.0:
            world.note("unwinding", None, 0.0, 0.0, 0.0, 0.0, world.fund_gain(gain))
