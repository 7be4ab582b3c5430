"""The fund's drawdown trigger and auto-deleveraging."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .liquidation import Situation
from .state import LONG, SHORT, Account, World


@dataclass
class Bankrupt:
    """Something ADL closes: an account's position, or one side of the fund's inventory (account None)."""

    account: Account | None
    side: int
    size: float
    zero: float
    price: float = 0.0


def inventory_trigger(world: World, mark: float, reference: float, now: float, offered: dict | None) -> bool:
    """Has the fund fallen far enough, or (with `offered`) does its inventory hang too long or too large?

    `reference` is the peak or the average of V over the drawdown window. `offered`: size of each side's lot when the row's
    unwinding was done (nothing after conversion: a backlog is a matter of pre-market contracts). Without it, it is the test
    before the row's unwinding, with V before the fund helped payers of funding.
    """
    rule, lots = world.venue.adl, [lot for lot in world.fund.lots.values() if lot.size > 0.0]
    if not lots:
        return False
    value = world.fund.value(mark) + (world.funding_help if offered is None else 0.0)
    value -= 1e-11 * world.fund.notional(mark)  # equal but for rounding is reached
    if rule.trigger == "fund_empty":
        return rule.scope == "inventory" and value <= 0.0
    if rule.trigger != "fund_drawdown":
        return False
    line = (1.0 - rule.drawdown) * reference
    fallen = value <= (line if rule.drawdown_of == "peak" else max(line, rule.drawdown_floor))
    if offered is None:
        return fallen
    left = {side: min(lot.size, offered.get(side, 0.0)) for side, lot in world.fund.lots.items()}
    waits = [now - world.fund.lots[side].since for side, size in left.items() if size > 0.0]
    old = rule.backlog_age > 0.0 and max(waits, default=0.0) > rule.backlog_age
    large = rule.backlog_notional > 0.0 and sum(left.values()) * mark > rule.backlog_notional
    return fallen or old or large


def deleverage(world: World, s: Situation, leftover: list[Account], triggered: bool) -> None:
    """Close bankrupts against the other side's winners: long bankrupts first, then short ones."""
    rule = world.venue.adl
    if triggered:
        bankrupts = [
            Bankrupt(None, side, lot.size, lot.price) for side, lot in world.fund.lots.items() if lot.size > 0.0
        ]
    elif rule.scope == "inventory":
        bankrupts = []
    else:
        hit = (
            [a for a in leftover if a.q != 0.0]
            if rule.trigger != "negative_equity"
            else [a for a in world.open() if a.insolvent(s.mark)]
        )
        bankrupts = [Bankrupt(a, a.side, abs(a.q), a.zero_equity_price()) for a in s.worst_first(hit)]
    for b in bankrupts:
        b.price = _price(world, s, b)
    hit_ids = {b.account.id for b in bankrupts if b.account is not None}
    others = [a for a in world.open() if a.id not in hit_ids]
    for side in (LONG, SHORT):
        _close_side(world, s, [b for b in bankrupts if b.side == side], side, others)


def _price(world: World, s: Situation, b: Bankrupt) -> float:
    rule = world.venue.adl
    if rule.price == "bankruptcy":
        return b.zero
    if rule.price == "mark":
        return b.zero if world.fund.value(s.mark) < rule.bankruptcy_price_below * world.initial_fund else s.mark
    if s.row.dt <= rule.previous_mark_within:
        return s.previous_mark
    return min(max(b.zero, min(s.previous_mark, s.mark)), max(s.previous_mark, s.mark))


def score(world: World, s: Situation, a: Account) -> float:
    """Who is closed first among the winners."""
    mark, equity, notional = s.mark, a.equity(s.mark), abs(a.q) * s.mark
    profit = a.q * (mark - a.entry)
    rank = world.venue.adl.rank
    if rank == "hyperliquid":
        return (mark / a.entry) ** a.side * notional / equity
    if rank == "hyperliquid_literal":
        return mark / a.entry * notional / equity
    if rank == "binance":
        return max(0.0, profit) / max(1.0, a.cash) * s.tiers.maintenance(a.q) / equity
    return profit / (abs(a.q) * a.entry) * notional / equity  # okx, pnl_leverage


def _close_side(world: World, s: Situation, bankrupts: list[Bankrupt], side: int, others: list[Account]) -> None:
    wanted = sum(b.size for b in bankrupts)
    if wanted <= 0.0:
        return
    mean = sum(b.size * b.price for b in bankrupts) / wanted
    winners = [
        a
        for a in others
        if a.q != 0.0
        and a.side == -side
        and a.q * (s.mark - a.entry) > 0.0
        and a.equity(s.mark) > a.dust(s.mark)
        and a.cash + a.q * (mean - a.entry) >= -a.dust(s.mark)
    ]
    winners.sort(key=lambda a: (-score(world, s, a), a.order))
    total = min(wanted, sum(abs(a.q) for a in winners))
    if total <= 0.0:
        world.counts["adl_found_nobody"] += 1
        return
    if total < wanted:
        world.counts["adl_too_few"] += 1
    money, left = 0.0, total
    for b in bankrupts:
        size = b.size if total >= wanted else min(b.size, left)
        left -= size
        if size > 0.0:
            money += size * b.price
            _close_bankrupt(world, b, size)
    _close_winners(world, s, winners, total, money / total)
    world.counts["adl_of_shorts" if side == LONG else "adl_of_longs"] += 1


def _close_bankrupt(world: World, b: Bankrupt, size: float) -> None:
    a, side, to = b.account, b.side, world.venue.adl.difference_to
    if a is None:
        lot = world.fund.lots[side]
        profit = side * size * (b.price - lot.price)
        lot.remove(size)
        world.note("adl", None, -side * size, b.price, 0.0, 0.0, world.fund_gain(profit))
        return
    surplus = side * size * (b.price - b.zero)
    to_fund = surplus if to == "fund" and surplus > 0.0 else 0.0
    cash = side * size * (b.price - a.entry) - to_fund
    world.fund.cash += to_fund
    a.gain(cash)
    a.reduce(size, "liquidated")
    a.keeps_deficit = to == "unpaid"
    world.note("adl", a, -side * size, b.price, cash, 0.0, to_fund)


def _close_winners(world: World, s: Situation, winners: list[Account], total: float, price: float) -> None:
    left = total
    for a in winners:
        if left <= 1e-12 * total:  # dust of the summation, not a position
            break
        size, side = min(abs(a.q), left), a.side
        left -= size
        cash = side * size * (price - a.entry)
        world.totals["adl_notional"] += size * price
        world.totals["adl_wealth"] += side * size * (s.mark - price)
        world.counts["adl_account"] += 1
        if not side * (s.mark - a.entry) > 0.0 or math.isnan(cash):
            raise AssertionError("ADL of an account that is not in profit")
        a.gain(cash)
        a.reduce(size, "adl")
        world.note("adl", a, -side * size, price, cash)
