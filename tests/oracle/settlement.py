"""Settlement: the price everything closes at, and who bears the deficits it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

from .rows import Row
from .state import Account, World


@dataclass
class Averages:
    """Index, mark and last of every row so far, with the seconds each stood for."""

    rows: list[list[float]] = field(default_factory=list)  # [time, dt, index, mark, last]

    def add(self, row: Row, index: float, mark: float) -> None:
        self.rows.append([row.time, row.dt, index, mark, row.last])

    def rebase(self, ratio: float) -> None:
        for row in self.rows:
            row[2:] = [price / ratio for price in row[2:]]

    def mean(self, column: int, seconds: float) -> float:
        now = self.rows[-1][0]
        used = [(min(row[1], row[0] - (now - seconds)), row[column]) for row in self.rows if row[0] > now - seconds]
        weight = sum(dt for dt, _ in used)
        return sum(dt * value for dt, value in used) / weight if weight > 0.0 else self.rows[-1][column]


def settlement_price(world: World, row: Row, averages: Averages, phase: str) -> float:
    rules = world.venue.settlement
    if row.settle_price is not None:
        return row.settle_price
    likely = max(rules.cancellation, key=lambda outcome: outcome.probability)
    kind = likely.price if row.settle == "cancelled" else rules.expiry_price
    if row.settle == "cancelled" and phase == "post" and rules.delisting is not None:
        kind = rules.delisting
    world.counts["settled_at_" + kind] += 1
    index, mark, last = 2, 3, 4
    if kind == "tick":
        return world.venue.contract.tick
    if kind == "twap_from_launch":
        return averages.mean(mark, float("inf"))
    if kind in ("last_index", "index"):
        return averages.rows[-1][index]
    if kind == "mark":
        return averages.rows[-1][mark]
    if kind == "given":
        raise ValueError("this venue's cancellation needs a price from the event")
    return averages.mean({"last_hour_index": index, "last_hour_mark": mark, "last_hour_last": last}[kind], 3600.0)


def settle(world: World, price: float) -> None:
    """Close everything at the price; deficits: fund, then (where the venue says so) a cut of the winners' profit."""
    rule, settled, profits = world.venue.settlement, world.open(), {}
    lacking = _settle_fund(world, price)
    for holder in (world.backstop,):
        holder.cash += sum(side * lot.size * (price - lot.price) for side, lot in holder.lots.items())
        for lot in holder.lots.values():
            lot.remove(lot.size)
    for outside in (world.book, world.assignees):
        outside.buy(-outside.q, price)
    for a in settled:
        _close(world, a, price, rule.fee, profits)
    deficits, share = pay_deficits(world, settled, price, "deficit")
    if rule.deficits == "fund_then_profit_cut":
        lacking += sum(deficits.values()) * (1.0 - share)
        _cut_profits(world, settled, profits, deficits, share, lacking, price)


def _settle_fund(world: World, price: float) -> float:
    """The fund's inventory at S. Returns what the fund could not bear (already booked as unpaid)."""
    before, gain = world.unpaid_by_venue, 0.0
    for side, lot in world.fund.lots.items():
        if lot.size > 0.0:
            size = lot.size
            gain += side * size * (price - lot.price)
            lot.remove(size)
            world.note("settlement", None, -side * size, price, 0.0)
    if gain != 0.0:
        world.note("settlement", None, 0.0, price, 0.0, 0.0, world.fund_gain(gain))
    return world.unpaid_by_venue - before


def _close(world: World, a: Account, price: float, fee_rate: float, profits: dict[int, float]) -> None:
    q = a.q
    profit = q * (price - a.entry)
    a.gain(profit)
    a.reduce(abs(q), "settled")
    fee = min(fee_rate * abs(q) * price, max(a.cash, 0.0))
    a.cash -= fee
    a.fees += fee
    world.fees += fee
    profits[a.order] = min(max(profit, 0.0), max(a.cash, 0.0))
    world.note("settlement", a, -q, price, profit - fee, fee)


def pay_deficits(world: World, gone: list[Account], price: float, stage: str) -> tuple[dict[int, float], float]:
    """The fund pays all negative balances in the same proportion. Returns the deficits and that proportion."""
    deficits = {a.order: -a.cash for a in gone if a.cash < 0.0}
    total = sum(deficits.values())
    if total <= 0.0:
        return deficits, 1.0
    paid = world.fund_pays(total)
    for order, deficit in deficits.items():
        a, part = world.accounts[order], deficit * paid / total
        a.gain(part)
        world.note(stage, a, 0.0, price, part, 0.0, -part)
    return deficits, paid / total


def _cut_profits(
    world: World,
    settled: list[Account],
    profits: dict[int, float],
    deficits: dict[int, float],
    share: float,
    lacking: float,
    price: float,
) -> None:
    """Winners give up the same share of their settlement profit until the rest is covered or the profit is gone."""
    base = sum(profits.values())
    if lacking <= 0.0 or base <= 0.0:
        return
    world.counts["profit_cut"] += 1
    rate = min(1.0, lacking / base)
    raised = rate * base / lacking  # share of each deficit that is covered
    for a in settled:
        if profits[a.order] > 0.0:
            cut = rate * profits[a.order]
            a.gain(-cut)
            world.totals["adl_wealth"] += cut
            world.note("cut", a, 0.0, price, -cut)
    accounts = sum(deficits.values()) * (1.0 - share)
    for order, deficit in deficits.items():
        part = deficit * (1.0 - share) * raised
        world.accounts[order].gain(part)
        world.note("cut", world.accounts[order], 0.0, price, part)
    world.unpaid_by_venue -= (lacking - accounts) * raised
