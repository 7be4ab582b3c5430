"""The four liquidation ladders. Each returns the accounts it could not place in full and that are left to ADL."""

from __future__ import annotations

import math

from .averages import clamp
from .liquidation import Situation, execute, fill, take_over
from .state import Account, World


def liquidate(world: World, s: Situation) -> list[Account]:
    """One ladder action for every account below maintenance."""
    return {
        "book_then_backstop": book_then_backstop,
        "tier_step_down": tier_step_down,
        "ioc_then_fund": ioc_then_fund,
        "band_then_assignment": band_then_assignment,
    }[world.venue.liquidation.kind](world, s)


def _bankrupt(world: World, s: Situation) -> list[Account]:
    return [a for a in world.open() if a.insolvent(s.mark)]


def book_then_backstop(world: World, s: Situation) -> list[Account]:
    """Hyperliquid: a market order (20 % first above a size, then a cool-down), then the vault, then ADL."""
    rule, below = world.venue.liquidation, s.liquidatable(world)
    orders = []
    for a in below:
        size = abs(a.q)
        if size * s.mark > rule.partial_above and s.row.time - a.last_partial > rule.cooldown:
            size *= rule.partial_share
            a.last_partial = s.row.time
            world.counts["staged_order"] += 1
        orders.append((a, size))
    fill(world, s, orders, floor=rule.floor == "zero_equity", fee_rate=rule.fee)
    if world.venue.backstop.enabled:
        rest = [a for a in below if a.q != 0.0 and a.equity(s.mark) < rule.backstop_below * s.maintenance(a)]
        room = max(world.backstop_capacity + min(0.0, world.backstop.value(s.mark)), 0.0)
        cost = sum(abs(a.q) * a.lacking(s.mark, s.mark) for a in rest)
        share = 1.0 if cost <= room else room / cost
        for a in rest:
            mine = share if a.lacking(s.mark, s.mark) > 0.0 else 1.0
            if mine > 0.0:
                take_over(world, s, a, mine, world.backstop, "backstop")
    return _bankrupt(world, s)


def tier_step_down(world: World, s: Situation) -> list[Account]:
    """OKX: cut to a lower tier through the book while margin allows; otherwise the fund takes the whole position."""
    rule = world.venue.liquidation
    s.extra_margin = rule.fee
    for _ in range(8 if rule.repeat_within_row else 1):
        orders, gone = [], []
        for a in s.liquidatable(world):
            k = s.tiers.tier(a.q)
            cut = abs(a.q) - s.tiers.bound(max(k - rule.tiers_per_step, 1))
            enough = a.equity(s.mark) > s.tiers.rules.tiers[0].maintenance * abs(a.q) * s.mark
            if k >= rule.partial_from_tier and enough and cut > 0.0:
                orders.append((a, cut))
                world.counts["tier_step"] += 1
            else:
                gone.append(a)
        filled = fill(world, s, orders, floor=True, fee_rate=rule.fee)
        for a in gone:
            take_over(world, s, a, 1.0, world.fund, "takeover")
        if not gone and filled == 0.0:
            break
    return _bankrupt(world, s)


def ioc_then_fund(world: World, s: Situation) -> list[Account]:
    """Binance: an order limited at the bankruptcy price; the fund takes the rest while it is large enough."""
    rule, below = world.venue.liquidation, s.liquidatable(world)
    fill(world, s, [(a, abs(a.q)) for a in below], floor=True, fee_rate=rule.clearance_fee, fee_to_fund=True)
    still = s.liquidatable(world) if rule.stops_when_compliant else below
    rest = [a for a in below if a.q != 0.0 and a in still]
    wanted = sum(abs(a.q) for a in rest) * s.mark
    room = rule.fund_takes_up_to * max(world.fund.value(s.mark), 0.0) - world.fund.notional(s.mark)
    share = clamp(room / wanted, 0.0, 1.0) if wanted > 0.0 else 0.0
    for a in rest:
        if share > 0.0:
            take_over(world, s, a, share, world.fund, "takeover")
    if 0.0 < share < 1.0:
        world.counts["fund_took_part"] += 1
    return [a for a in rest if a.q != 0.0]


def band_then_assignment(world: World, s: Situation) -> list[Account]:
    """Kraken: cuts inside the band; below it an order at the zero-equity price, assignment, covered liquidation."""
    rule, orders, full = world.venue.liquidation, [], []
    for a in s.liquidatable(world):
        if a.equity(s.mark) < rule.band_floor * s.maintenance(a):
            orders.append((a, abs(a.q)))
            full.append(a)
        elif s.row.time - a.last_partial > rule.cooldown:
            orders.append((a, rule.cut * abs(a.q)))
            a.last_partial = s.row.time
            world.counts["band_cut"] += 1
    fill(world, s, orders, floor=True, fee_rate=0.0)
    _assign(world, s, [a for a in full if a.q != 0.0])
    _cover(world, s, [a for a in full if a.q != 0.0])
    return [a for a in full if a.q != 0.0]


def _assign(world: World, s: Situation, rest: list[Account]) -> None:
    """Hand positions over at an edge from the mark; the fund pays what that costs beyond the zero-equity price."""
    rule = world.venue.liquidation
    room = max(rule.assignment_capacity * world.venue.contract.open_interest - world.assigned, 0.0) / s.mark
    plan = []
    for a in rest:
        size = min(abs(a.q), room)
        room -= size
        far, near = (
            s.mark * (1.0 - a.side * rule.assignment_max_edge),
            s.mark * (1.0 - a.side * rule.assignment_min_edge),
        )
        price = clamp(a.zero_equity_price(), min(far, near), max(far, near))
        plan.append((a, size, price, a.lacking(price, s.mark)))
    for a, size, price, lacking in _affordable(world, plan):
        side, adds = a.side, size * lacking
        cash = side * size * (price - a.entry) + adds
        world.fund_pays(adds)
        a.gain(cash)
        a.reduce(size, "liquidated")
        world.assignees.buy(side * size, price)
        world.assigned += size * s.mark
        world.counts["assignment"] += 1
        world.note("assignment", a, -side * size, price, cash, 0.0, -adds)


def _cover(world: World, s: Situation, rest: list[Account]) -> None:
    """Sell what is left into the book, the fund paying beyond the zero-equity price. A given book has one price."""
    plan, left = [], dict(s.left)
    for a in rest:
        price = s.prices[a.side]
        size = min(abs(a.q), left[a.side]) if price is not None else 0.0
        left[a.side] -= size
        if price is not None:
            plan.append((a, size, price, a.lacking(price, s.mark)))
    for a, size, price, lacking in _affordable(world, plan):
        execute(world, s, a, size, price, 0.0, fund_adds=size * lacking)
        world.counts["covered"] += 1


def _affordable(
    world: World, plan: list[tuple[Account, float, float, float]]
) -> list[tuple[Account, float, float, float]]:
    """The plan with the fraction of the costly quantities that the fund can pay for."""
    cost = sum(size * lacking for _, size, _, lacking in plan)
    share = 1.0 if cost <= world.fund.cash else world.fund.cash / cost
    if share < 1.0:
        world.counts["fund_emptied"] += 1
    scaled = [
        (a, size * share if lacking > 0.0 and share < 1.0 else size, price, lacking) for a, size, price, lacking in plan
    ]
    return [step for step in scaled if step[1] > 0.0 and not math.isnan(step[1])]
