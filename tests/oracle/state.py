"""Who holds what: accounts, the fund and the backstop with their inventories, the rest of the book, and the ledger."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mcrisk.config.venue import Margin, Venue

LONG, SHORT = 1, -1
WHOLE = 1.0 - 1e-12  # closing this share of a position closes it: sums in another order leave crumbs
STAGES = {
    "rebase": 0,
    "funding": 1,
    "unwinding": 2,
    "liquidation": 3,
    "takeover": 4,
    "assignment": 4,
    "backstop": 4,
    "adl": 5,
    "fund": 6,
    "settlement": 7,
    "deficit": 8,
    "cut": 9,
}
EVENT_OF_STAGE = {"unwinding": "fund", "deficit": "fund", "cut": "adl"}  # all other stages are called what they are


@dataclass
class Account:
    """One trader in this market. `cash` is the collateral."""

    id: str
    q: float
    entry: float
    cash: float
    order: int
    realized: float = 0.0
    funding_paid: float = 0.0
    fees: float = 0.0
    status: str = "open"
    last_partial: float = -math.inf
    closed_now: bool = False  # its position went in this row
    keeps_deficit: bool = False  # adl.difference_to = unpaid, and ADL closed some of it in this row

    @property
    def side(self) -> int:
        return LONG if self.q > 0 else SHORT

    def equity(self, price: float) -> float:
        return self.cash + self.q * (price - self.entry)

    def zero_equity_price(self) -> float:
        return max(self.entry - self.cash / self.q, 0.0)

    def dust(self, price: float) -> float:
        """What is no money: equity of exactly zero is common (funding takes all that is there) and must not flip by rounding."""
        return 1e-11 * abs(self.q) * price

    def insolvent(self, price: float) -> bool:
        return self.equity(price) < -self.dust(price)

    def lacking(self, price: float, mark: float) -> float:
        """What closing one contract at `price` costs beyond the zero-equity price."""
        cost = self.side * (self.zero_equity_price() - price)
        return cost if cost > 1e-11 * mark else 0.0

    def gain(self, amount: float) -> None:
        """Cash that is neither funding nor fee."""
        self.cash += amount
        self.realized += amount

    def reduce(self, size: float, status: str) -> None:
        """Take `size` contracts off the position; the last contract sets the status."""
        if size >= WHOLE * abs(self.q):
            self.q, self.status, self.closed_now = 0.0, status, True
        else:
            self.q -= self.side * size


@dataclass
class Lot:
    """Taken-over contracts of one side, at their average take-over price."""

    size: float = 0.0
    price: float = 0.0
    since: float = 0.0

    def add(self, size: float, price: float, now: float) -> None:
        if self.size == 0.0:
            self.since = now
        self.price = (self.size * self.price + size * price) / (self.size + size)
        self.size += size

    def remove(self, size: float) -> None:
        self.size = 0.0 if size >= WHOLE * self.size else self.size - size


@dataclass
class Holder:
    """The insurance fund or the backstop vault."""

    cash: float
    lots: dict[int, Lot] = field(default_factory=lambda: {LONG: Lot(), SHORT: Lot()})

    def value(self, mark: float) -> float:
        return self.cash + sum(side * lot.size * (mark - lot.price) for side, lot in self.lots.items())

    def notional(self, mark: float) -> float:
        return sum(lot.size for lot in self.lots.values()) * mark

    @property
    def position(self) -> float:
        return self.lots[LONG].size - self.lots[SHORT].size

    @property
    def cost(self) -> float:
        return sum(side * lot.size * lot.price for side, lot in self.lots.items())


@dataclass
class Outside:
    """Somebody without limits: the rest of the book, or the assignees. Only changes of their cash matter."""

    q: float = 0.0
    cash: float = 0.0

    def buy(self, signed: float, price: float) -> None:
        self.q += signed
        self.cash -= signed * price


class World:
    """Everything that moves in a replay besides the prices."""

    def __init__(self, venue: Venue, accounts: list[dict[str, Any]]) -> None:
        oi = venue.contract.open_interest
        self.venue = venue
        self.accounts = [
            Account(a["account_id"], float(a["quantity"]), float(a["entry_price"]), float(a["collateral"]), i)
            for i, a in enumerate(accounts)
        ]
        start = 0.0 if venue.fund.scope == "none" else venue.fund.initial * venue.fund.usable_share * oi
        self.fund, self.initial_fund = Holder(start), start
        self.backstop, self.backstop_capacity = Holder(0.0), venue.backstop.loss_capacity * oi
        self.book = Outside(q=-sum(a.q for a in self.accounts))
        self.assignees, self.assigned = Outside(), 0.0
        self.fees = self.unpaid_by_venue = 0.0
        self.funding_help = 0.0  # what the fund paid for payers of this row's funding
        self.ratio = 1.0  # product of all rebases
        self.counts: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.ledger: list[dict[str, Any]] = []
        self._row: dict[tuple, dict[str, Any]] = {}

    def open(self) -> list[Account]:
        return [a for a in self.accounts if a.q != 0.0]

    # ------------------------------------------------------------ the fund
    def fund_gain(self, amount: float) -> float:
        """Book profit or loss to the fund; what it cannot bear is unpaid. Returns the change of its cash."""
        before = self.fund.cash
        self.fund.cash = before + amount
        if self.fund.cash < 0.0:
            self.unpaid_by_venue -= self.fund.cash
            self.fund.cash = 0.0
            self.counts["fund_emptied"] += 1
        return self.fund.cash - before

    def fund_pays(self, amount: float) -> float:
        """The fund pays as much of `amount` as it has. Rounding never leaves it below 0."""
        paid = min(amount, self.fund.cash)
        self.fund.cash = max(self.fund.cash - paid, 0.0)
        if paid < amount:
            self.counts["fund_emptied"] += 1
        return paid

    # ------------------------------------------------------------ the ledger
    def note(
        self,
        stage: str,
        account: Account | None,
        quantity: float,
        price: float,
        cash: float,
        fee: float = 0.0,
        fund: float = 0.0,
    ) -> None:
        """One entry; several of one account and stage in a row add up. None stands for the fund itself."""
        order = len(self.accounts) if account is None else account.order
        entry = self._row.setdefault(
            (STAGES[stage], order, stage),
            {
                "account_id": "fund" if account is None else account.id,
                "event": EVENT_OF_STAGE.get(stage, stage),
                "quantity": 0.0,
                "price": price,
                "cash": 0.0,
                "fee": 0.0,
                "fund": 0.0,
                "_volume": 0.0,
            },
        )
        volume = entry["_volume"] + abs(quantity)
        if volume > 0.0:
            entry["price"] = (entry["price"] * entry["_volume"] + price * abs(quantity)) / volume
        entry["_volume"] = volume
        for name, value in (("quantity", quantity), ("cash", cash), ("fee", fee), ("fund", fund)):
            entry[name] += value

    def end_row(self, utc: float) -> None:
        """Put the row's entries into the ledger in the order of docs/semantics.md section 10."""
        for key in sorted(self._row, key=lambda k: (k[0], k[1], STAGES[k[2]], k[2])):
            entry = self._row[key]
            entry.pop("_volume")
            if entry["quantity"] or entry["cash"] or entry["fee"] or entry["fund"]:
                self.ledger.append({"seq": len(self.ledger), "time": utc, **entry})
                self.counts["ledger_" + entry["event"]] += 1
        self._row, self.funding_help = {}, 0.0
        for a in self.accounts:
            a.closed_now = a.keeps_deficit = False

    # ------------------------------------------------------------ invariants
    def wealth(self) -> float:
        """Σ(cash − q·entry) over everybody: constant, whatever happens, as long as positions sum to a constant."""
        return (
            sum(a.cash - a.q * a.entry for a in self.accounts)
            + self.fund.cash
            - self.fund.cost
            + self.backstop.cash
            - self.backstop.cost
            + self.book.cash
            + self.assignees.cash
            + self.fees
            - self.unpaid_by_venue
        )

    def positions(self) -> float:
        return (
            sum(a.q for a in self.accounts)
            + self.fund.position
            + self.backstop.position
            + self.book.q
            + self.assignees.q
        )

    def rebase(self, ratio: float) -> None:
        """Share-count revision: positions × ratio, prices ÷ ratio; nobody's equity changes."""
        for a in self.open():
            before = a.q
            a.q *= ratio
            a.entry /= ratio
            self.note("rebase", a, a.q - before, a.entry, 0.0)
        for holder in (self.fund, self.backstop):
            for lot in holder.lots.values():
                lot.size *= ratio
                lot.price /= ratio
        self.book.q *= ratio
        self.assignees.q *= ratio
        self.ratio *= ratio


@dataclass
class Tiers:
    """Maintenance margin of one position by the tier table of the current phase."""

    rules: Margin
    contract_size: float  # per contract, all rebases included
    mark: float

    def tier(self, q: float) -> int:
        """1-based; a position at a bound, up to rounding, still belongs to the lower tier."""
        size = abs(q) * self.mark if self.rules.by == "notional" else abs(q) / self.contract_size
        for k, tier in enumerate(self.rules.tiers, 1):
            if tier.up_to is None or size <= tier.up_to * (1.0 + 1e-9):
                return k
        return len(self.rules.tiers)

    def bound(self, k: int) -> float:
        """Largest position (in units of the underlying) of tier k."""
        up_to = self.rules.tiers[k - 1].up_to
        if up_to is None:
            return math.inf
        return up_to / self.mark if self.rules.by == "notional" else up_to * self.contract_size

    def maintenance(self, q: float) -> float:
        k, notional = self.tier(q), abs(q) * self.mark
        rate = self.rules.tiers[k - 1].maintenance
        if self.rules.mode == "whole":
            return rate * notional
        deduction = 0.0  # makes maintenance continuous at every bound
        for j in range(1, k):
            step = self.rules.tiers[j].maintenance - self.rules.tiers[j - 1].maintenance
            deduction += self.bound(j) * self.mark * step
        return rate * notional - deduction
