"""Funding: premium samples, the rate at a boundary, who pays and who receives."""

from __future__ import annotations

import math
from typing import Any

from .averages import clamp
from .rows import Row
from .state import World


class FundingState:
    """Premium samples of the running interval, with the multiplier each was taken under."""

    def __init__(self) -> None:
        self.premium = self.multiplier = self.weight = 0.0
        self.interval_before: float | None = None  # mean premium, for venues that pay one interval late

    def sample(self, rule: Any, premium: float, dt: float) -> None:
        if rule.kind == "clamped_premium":
            scale, multiplier = (1.0, rule.multiplier) if rule.scales == "all" else (rule.multiplier, 1.0)
        elif rule.kind == "previous_interval":
            scale, multiplier = 1.0, 1.0
        elif rule.kind == "flat":  # the usual formula with the premium index set to zero
            scale, multiplier = 0.0, 1.0
        else:
            return
        self.premium += scale * premium * dt
        self.multiplier += multiplier * dt
        self.weight += dt

    def close_interval(self, rule: Any) -> float:
        """The rate paid at this boundary; starts the next interval."""
        if rule.kind == "flat":
            self.premium = self.multiplier = self.weight = 0.0
            return rule.rate
        premium, multiplier = self.premium / self.weight, self.multiplier / self.weight
        self.premium = self.multiplier = self.weight = 0.0
        if rule.kind == "clamped_premium":
            rate = multiplier * (premium + clamp(rule.interest - premium, -rule.clamp, rule.clamp)) / rule.divisor
            return clamp(rate, -rule.cap, rule.cap)
        before, self.interval_before = self.interval_before, premium
        return 0.0 if before is None else clamp(before / rule.divisor, -rule.cap, rule.cap)


def premium_of(rule: Any, row: Row, index: float) -> float:
    kind = getattr(rule, "premium", "mid")
    bid, ask = row.impact_bid, row.impact_ask
    if kind == "impact":
        return (
            (0.0 if bid is None else max(bid - index, 0.0)) - (0.0 if ask is None else max(index - ask, 0.0))
        ) / index
    if kind == "hip3":
        return 0.0 if bid is None or ask is None else 0.5 * (bid + ask) / index - 1.0
    return (row.mid - index) / index


def boundaries(row: Row, interval: float) -> int:
    """Multiples of the interval in (t − dt, t], in UTC."""
    return math.floor(row.utc / interval) - math.floor((row.utc - row.dt) / interval)


def pay(world: World, per_contract: float, basis: float, mark: float) -> None:
    """Longs pay `per_contract` (shorts, where it is negative); nobody pays more than he has."""
    due = {a.order: a.q * per_contract for a in world.open()}
    lots = world.fund.position * per_contract
    paid = {i: min(x, max(world.accounts[i].equity(mark), 0.0)) for i, x in due.items() if x > 0.0}
    lots_paid = min(max(lots, 0.0), world.fund.cash)
    short = sum(due[i] - paid[i] for i in paid)
    covered = world.funding_help = min(short, world.fund.cash - lots_paid)
    missing = short - covered + max(lots, 0.0) - lots_paid
    # whoever trades on the other side is one holder: book and assignees together
    others = {"backstop": world.backstop.position, "book": world.book.q + world.assignees.q}
    receipts = (
        sum(-x for x in due.values() if x < 0.0)
        + max(-lots, 0.0)
        + sum(max(-q * per_contract, 0.0) for q in others.values())
    )
    share = 1.0 if missing <= 0.0 or receipts <= 0.0 else 1.0 - missing / receipts
    if missing > 0.0:
        world.counts["funding_haircut"] += 1
    for i, x in due.items():
        account = world.accounts[i]
        cash = -paid[i] if x > 0.0 else -x * share
        account.cash += cash
        account.funding_paid -= cash
        world.note("funding", account, 0.0, basis, cash)
    for name, q in others.items():
        x = q * per_contract
        getattr(world, name).cash += -x if x > 0.0 else -x * share
    change = -covered - lots_paid + max(-lots, 0.0) * share
    world.fund.cash = max(world.fund.cash + change, 0.0)
    world.note("funding", None, 0.0, basis, 0.0, 0.0, change)
