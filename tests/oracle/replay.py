"""The whole step of the model contract, for one market and a given price path."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mcrisk.config.venue import Phase, Venue

from .adl import deleverage, inventory_trigger
from .averages import Peak, Window
from .funding import FundingState, boundaries, pay, premium_of
from .index import IndexState, Limits, follows_last, speed_limited, update_index
from .ladders import liquidate
from .liquidation import Situation, executable, unwind
from .mark import MarkState
from .rows import Row, rows_of
from .settlement import Averages, pay_deficits, settle, settlement_price
from .state import Tiers, World


@dataclass
class OracleResult:
    """What happened, as plain lists of rows with the columns of design contract 4.5, and the sums behind them."""

    market: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    fund: float  # cash at the end
    fund_inventory: dict[int, tuple[float, float]]  # side -> (contracts, average price)
    backstop: float  # value of the vault at the last mark
    book: float  # cash of everybody who is not an account
    assignees: float
    fees: float
    unpaid: float  # negative balances left plus what the fund could not bear
    residual: float  # largest over rows, relative to Σ|initial collateral| + fund
    position_residual: float
    counts: Counter[str]  # what kinds of things occurred
    totals: Counter[str]


class Market:
    """State of the price rules: index, limits, mark, funding, and what conversion does to them."""

    def __init__(self, venue: Venue, initial_price: float) -> None:
        self.venue, self.phase = venue, "pre"
        self.index = self.mark = self.previous_mark = initial_price
        self.listed_at: float | None = None
        self.held: float | None = None  # last external value
        self.funding = FundingState()
        self.last_rate = self.cumulative = 0.0
        self.averages = Averages()
        self.limits = (0.0, math.inf)
        self._start_rules(0.0)

    @property
    def rules(self) -> Phase:
        return self.venue.post if self.phase == "post" else self.venue.pre

    def _start_rules(self, since: float) -> None:
        self.index_state = IndexState(self.rules.index, self.index)
        self.limit_state = Limits(self.rules.limits, self.index, since)
        self.mark_state = MarkState(self.rules.mark)

    def events(self, row: Row) -> None:
        if row.rebase != 1.0:
            self._rebase(row.rebase)
        if (row.listed or row.converted) and self.listed_at is None:
            self.listed_at = row.time
        if row.listed:
            self.phase = "transition"
        if row.converted:
            self.phase = "post"
            self._start_rules(row.time)
            kinds = self.venue.pre.funding.kind, self.venue.post.funding.kind
            if kinds[0] != kinds[1] and kinds != ("flat", "clamped_premium"):
                self.funding = FundingState()

    def _rebase(self, ratio: float) -> None:
        self.index /= ratio
        self.mark /= ratio
        self.held = None if self.held is None else self.held / ratio
        self.cumulative /= ratio
        for state in (self.index_state, self.limit_state, self.mark_state, self.averages):
            state.rebase(ratio)

    def prices(self, row: Row, counts: Counter[str]) -> None:
        """Index, limits, mark of this row."""
        rules, before, marked = self.rules, self.index, self.mark
        if row.external is not None:
            self.held = row.external
        raw = update_index(self.index_state, row, self.phase, before, marked, self.held)
        index = speed_limited(raw, before, rules.mark, row.dt)
        around = before if follows_last(rules.index, self.phase) else index
        up, down = self.limit_state.up, self.limit_state.down
        self.index, *limits = self.limit_state.update(index, around, row, self.held)
        self.limits = (limits[0], limits[1])
        since = None if self.listed_at is None else row.time - self.listed_at
        self.previous_mark = marked
        self.mark = self.mark_state.update(row, self.index, marked, self.limits, since, self._funding_hint(row))
        self.averages.add(row, self.index, self.mark)
        counts["reset_up"] += self.limit_state.up > up
        counts["reset_down"] += self.limit_state.down > down
        counts["index_limited"] += self.index != raw
        counts["mark_off_mid"] += self.mark != row.mid
        counts["mark_at_limit"] += self.mark in self.limits

    def _funding_hint(self, row: Row) -> float:
        rule = self.rules.funding
        if rule.kind == "none":
            return 0.0
        return self.last_rate * (rule.interval - row.utc % rule.interval) / rule.interval

    def order_limits(self) -> tuple[float, float]:
        return self.limits if getattr(self.rules.limits, "limits_orders", False) else (0.0, math.inf)

    def fund_row(self, row: Row, world: World) -> tuple[float, float]:
        """Sample the premium, pay at boundaries. Returns the premium and the rate paid in this row."""
        rule = self.rules.funding
        premium = premium_of(rule, row, self.index)
        self.funding.sample(rule, premium, row.dt)
        times = boundaries(row, rule.interval) if rule.kind != "none" and row.dt > 0.0 else 0
        if times == 0:
            return premium, 0.0
        self.last_rate = self.funding.close_interval(rule)
        basis = self.index if rule.basis == "oracle" else self.mark
        per_contract = times * self.last_rate * basis
        self.cumulative += per_contract
        if per_contract != 0.0:
            pay(world, per_contract, basis, self.mark)
            world.counts["funding"] += 1
        return premium, times * self.last_rate


def replay(
    venue: Venue,
    prices: list[dict[str, Any]],
    accounts: list[dict[str, Any]],
    events: list[dict[str, Any]] | None = None,
    *,
    initial_price: float | None = None,
) -> OracleResult:
    """Replay one market. Times are epoch seconds; `initial_price` defaults to the first `last`.

    prices: dicts with time, last and optionally bid, ask, impact_bid, impact_ask, external, depth, trades
    (key absent = column missing, None = empty cell). events: dicts with time, event and price or ratio.
    """
    rows = rows_of(venue, prices, events or [])
    market = Market(venue, rows[0].last if initial_price is None else initial_price)
    world = World(venue, accounts)
    rule = venue.adl
    highest = Peak(rule.drawdown_window) if rule.drawdown_of == "peak" else Window(rule.drawdown_window)
    wealth, positions = world.wealth(), world.positions()
    scale = sum(abs(a.cash) for a in world.accounts) + world.initial_fund
    gross = sum(abs(a.q) for a in world.accounts)
    lines, residual, position_residual = [], 0.0, 0.0
    for row in rows:
        premium, rate = step(world, market, row, highest)
        done = row.settle is not None
        lines.append(
            {
                "time": row.utc,
                "phase": "settled" if done else market.phase,
                "index": market.index,
                "mark": market.mark,
                "lower_limit": market.limits[0],
                "upper_limit": market.limits[1],
                "premium": premium,
                "funding_rate": rate,
                "cumulative_funding": market.cumulative,
                "insurance_fund": world.fund.cash,
            }
        )
        residual = max(residual, abs(world.wealth() - wealth) / (scale or 1.0))
        position_residual = max(position_residual, abs(world.positions() / world.ratio - positions) / (gross or 1.0))
        if done:
            break
    return _result(world, market, lines, residual, position_residual)


def step(world: World, market: Market, row: Row, reference: Peak | Window) -> tuple[float, float]:
    """One row, in the order of the model contract. Returns premium and funding rate."""
    if row.rebase != 1.0:  # 1 events
        world.rebase(row.rebase)
        world.counts["rebase"] += 1
    market.events(row)
    world.counts["converted"] += row.converted
    world.counts["one_sided"] += (row.bid is None) != (row.ask is None)
    market.prices(row, world.counts)  # 3 index, limits, mark
    premium, rate = market.fund_row(row, world)  # 4 funding
    value = world.fund.value(market.mark) + world.funding_help
    line = reference.add(value, row.time) if isinstance(reference, Peak) else reference.add(value, row.time, row.dt)
    if row.halted:
        world.counts["halted"] += 1
    else:
        trade(world, market, row, line)  # 5-8 margin to ADL
    if row.settle is not None:  # 9 settlement
        world.counts[row.settle] += 1
        settle(world, settlement_price(world, row, market.averages, market.phase))
    world.end_row(row.utc)  # 10 record
    return premium, rate


def trade(world: World, market: Market, row: Row, reference: float) -> None:
    """Unwinding, liquidation, ADL, deficits of the positions that went."""
    tiers = Tiers(market.rules.margin, world.venue.contract.contract_size * world.ratio, market.mark)
    prices, left = executable(row, market.order_limits())
    s = Situation(row, market.mark, market.previous_mark, tiers, prices, left)
    unwind(world, s, fund_may=not inventory_trigger(world, market.mark, reference, row.time, None))
    offered = {} if market.phase == "post" else {side: lot.size for side, lot in world.fund.lots.items()}
    leftover = liquidate(world, s)
    deleverage(world, s, leftover, inventory_trigger(world, market.mark, reference, row.time, offered))
    pay_deficits(world, [a for a in world.accounts if a.closed_now and not a.keeps_deficit], market.mark, "fund")


def _result(
    world: World, market: Market, lines: list[dict[str, Any]], residual: float, position_residual: float
) -> OracleResult:
    accounts = [
        {
            "account_id": a.id,
            "quantity": a.q,
            "entry_price": a.entry,
            "collateral": a.cash,
            "realized_pnl": a.realized,
            "funding_paid": a.funding_paid,
            "fees_paid": a.fees,
            "status": a.status,
        }
        for a in world.accounts
    ]
    return OracleResult(
        market=lines,
        ledger=world.ledger,
        accounts=accounts,
        fund=world.fund.cash,
        fund_inventory={side: (lot.size, lot.price) for side, lot in world.fund.lots.items()},
        backstop=world.backstop.value(market.mark),
        book=world.book.cash,
        assignees=world.assignees.cash,
        fees=world.fees,
        unpaid=world.unpaid_by_venue + sum(max(-a.cash, 0.0) for a in world.accounts if a.q == 0.0),
        residual=residual,
        position_residual=position_residual,
        counts=world.counts,
        totals=world.totals,
    )
