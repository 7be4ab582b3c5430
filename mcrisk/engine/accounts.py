"""Account stage: steps 4–9 of the model contract for all accounts of ONE path, `[M, A]` rows.

Runs only for paths that the quiet test could not clear (or for every path and step in the dense twin). All markets of a
path are worked off one after the other; a cross-margined account is judged on all its markets each time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.guard import look_again, phase_tiers, rearm_latent, set_guard
from mcrisk.engine.rulebook import Markets, Rulebook
from mcrisk.engine.state import Accounts, PathCarry, Pool, Tally
from mcrisk.engine.topup import top_up, watched
from mcrisk.rules import liquidation
from mcrisk.rules.adl import (
    Demand,
    close_price,
    deleverage_accounts,
    deleverage_inventory,
    demand_of_accounts,
    demand_of_inventory,
)
from mcrisk.rules.desk import DUST, Desk, cover, insolvent, inventory_value
from mcrisk.rules.insurance import backlog_of, drawdown_trigger
from mcrisk.rules.margin import maintenance_margin
from mcrisk.rules.settlement import settle, settlement_price
from mcrisk.rules.types import NO_SETTLE, SETTLED, Market, Row


class Reference(NamedTuple):
    """The book as read or generated, in units of the initial price."""

    quantity: Array     # [M, A]
    entry: Array        # [M, A]
    collateral: Array   # [A]
    depth_share: Array  # [A] share of the book's depth that a maker provides
    tops_up: Array      # [A] bool: answers a margin call (nobody in a replay)


class Stage(NamedTuple):
    """What the path stage hands over; each market field [M]."""

    rows: Row
    views: Market
    paid: Array         # [M] funding per contract of this row
    peak: Array         # [M] reference of the fund's drawdown trigger
    inventory_since: Array  # [M, 2] time since which a side of the inventory is not empty; negative = empty
    fund_short: Array   # [M] funding that the inventory owes and the fund lacks
    fund_gets: Array    # [M] funding that the inventory receives
    purse: Array        # [M] cash of the fund when it has paid its own funding, before its receipts and its unwinding
    outside_due: Array  # [M] funding of the outside in this row, positive: it pays
    latent_due: Array   # [M] bool
    in_window: Array    # [] bool: within 48 h after the path's event (True where there is none)
    averages: Any       # rules.settlement.Averages, each [M]
    units: Array        # [M] product of the rebase ratios so far


class Flows(NamedTuple):
    """What liquidations did to the book of each market."""

    sold: Array         # [M] contracts
    bought: Array       # [M]
    makers_lost: Array  # [M] depth share of makers liquidated or deleveraged in this row


class Others(NamedTuple):
    """Does a row concern more accounts than those it was worked off for?"""

    shortfall: Array    # [] bool: everybody who receives funding bears a part of what payers lack
    wants: Demand       # ADL that is due and was held back
    lacking: Array      # [] bool: a queue was too short for the ADL that was done


def all_margins(rules: Rulebook, accounts: Accounts, views: Market, units: Array) -> Array:
    """Maintenance margin [M, A] of every position at this row's marks."""

    def one(phase: Array, units: Array, quantity: Array, mark: Array) -> Array:
        extra = liquidation.fee_rate(rules.liquidation)
        return maintenance_margin(phase_tiers(rules, phase, units), jnp.abs(quantity), mark, rules.pre.mode, extra)

    return jax.vmap(one)(views.phase, units, accounts.quantity, views.mark)


def account_stage(rules: Rulebook, markets: Markets, ref: Reference, stage: Stage, carry: PathCarry, accounts: Accounts,
                  info: Any = None) -> tuple[PathCarry, Accounts, Flows, Any]:
    """Work off one row for all accounts of a path.

    `info` (a dict of zero [M, A] arrays, or None) collects what a ledger needs.
    """
    carry, accounts, flows, info, _ = work_accounts(rules, markets, ref, stage, carry, accounts,
                                                    carry.guard.funding[:, None], info)
    carry = look_again(stage, carry, accounts, flows)
    carry, accounts = _restrike(rules, markets, ref, stage, carry, accounts)
    tally = carry.tally._replace(account_stages=carry.tally.account_stages + 1)
    margins = all_margins(rules, accounts, stage.views, stage.units)
    guard = set_guard(rules, stage, carry, accounts, margins, watched(ref.tops_up, accounts))
    return carry._replace(guard=guard, tally=tally), accounts, flows, info


def work_accounts(rules: Rulebook, markets: Markets, ref: Reference, stage: Stage, carry: PathCarry, accounts: Accounts,
                  settled: Array, info: Any = None, hold: Array | None = None) -> tuple[PathCarry, Accounts, Flows, Any, Others]:
    """What a row does to `accounts`: all of a path, or those that it can concern.

    `settled` [M, A] (or [M, 1]) is cumulative funding up to which each account has paid. Where `hold` (bool; None = no)
    counterparties are not among the accounts: ADL is held back. The last result says whether the row concerns others
    after all; nothing else holds then.
    """
    if rules.rebases:
        ratio = stage.rows.rebase[:, None]
        accounts = accounts._replace(quantity=accounts.quantity * ratio, entry=accounts.entry / ratio)
    before = accounts.liquidated | accounts.deleveraged
    accounts, pool, tally, info = _pay_funding(rules, stage, carry, accounts, settled, info)
    shortfall = tally.adl_wealth > carry.tally.adl_wealth
    carry = carry._replace(pool=pool, tally=tally)
    margins = all_margins(rules, accounts, stage.views, stage.units)
    carry, accounts = top_up(ref.tops_up, stage.views, stage.rows.halted, jnp.sum(margins, axis=0), carry, accounts)
    count = accounts.quantity.shape[0]
    shape = stage.rows.bid.consumed
    flows = Flows(jnp.zeros_like(shape), jnp.zeros_like(shape), jnp.zeros_like(shape))

    def one_market(m, state):
        *state, (wants, lacking) = state
        *state, (more, short) = _work_market(rules, markets, stage, m, *state, hold)
        return (*state, (Demand(wants.contracts + more.contracts, more.price), lacking | short))

    state = (carry, accounts, flows, info, _nothing())
    state = one_market(0, state) if count == 1 else lax.fori_loop(0, count, one_market, state)
    carry, accounts, flows, info, adl = state
    lost = (accounts.liquidated | accounts.deleveraged) & ~before
    lost_share = jnp.sum(jnp.where(lost, ref.depth_share, 0.0))
    flows = flows._replace(makers_lost=jnp.broadcast_to(lost_share, shape.shape))
    return carry, accounts, flows, info, Others(shortfall, *adl)


def _nothing() -> tuple[Demand, Array]:
    """No ADL held back, no queue too short."""
    return Demand(jnp.zeros(2), jnp.zeros(2)), jnp.bool_(False)


def _pay_funding(rules: Rulebook, stage: Stage, carry: PathCarry, accounts: Accounts, settled: Array, info: Any):
    """Settle what quiet rows left owing, then this row's payment with payers capped at their equity."""
    total = carry.market.funding_total
    owed = (total - stage.paid)[:, None] - settled
    collateral = accounts.collateral - jnp.sum(accounts.quantity * owed, axis=0)
    profit = jnp.sum(accounts.quantity * (stage.views.mark[:, None] - accounts.entry), axis=0)
    due = jnp.sum(accounts.quantity * stage.paid[:, None], axis=0)
    paid = jnp.minimum(due, jnp.maximum(collateral + profit, 0.0))
    paid = jnp.where(due > 0.0, paid, due)
    short = jnp.sum(due - paid) + jnp.sum(stage.fund_short)
    pool = carry.pool
    # several markets: the shortfall is drawn from the first market's fund, and from the first market's outside
    purse = jnp.float64(0.0) if rules.has_vault else jnp.maximum(stage.purse[0], 0.0)
    helped = jnp.minimum(purse, short)
    rest = short - helped
    receipts = -jnp.minimum(paid, 0.0)
    outside_gets = jnp.maximum(-jnp.sum(stage.outside_due), 0.0)
    scale = jnp.where(rest > 0.0, rest / jnp.maximum(jnp.sum(receipts) + outside_gets + jnp.sum(stage.fund_gets), 1e-300), 0.0)
    paid = paid + receipts * scale
    # the fund helped before it unwound: where both are more than it has, the loss of unwinding is what stays unpaid
    cash = (pool.fund - stage.fund_gets * scale).at[0].add(-helped)
    lost = jnp.zeros_like(cash) if rules.has_vault else jnp.maximum(-cash, 0.0)
    # the path stage let the owner of the venue advance what the inventory could not pay; receivers bear it instead
    pool = pool._replace(fund=cash + lost, outside_cash=pool.outside_cash - outside_gets * scale,
                         venue=pool.venue + jnp.sum(stage.fund_short) - jnp.sum(lost))
    tally = carry.tally._replace(bad_debt=carry.tally.bad_debt + short, adl_wealth=carry.tally.adl_wealth + rest,
                                 unpaid=carry.tally.unpaid + jnp.sum(lost))
    if info is not None:
        info = info | {"funding_cash": info["funding_cash"].at[0].add(-paid),
                       "own_funding_fund": info["own_funding_fund"].at[:, 0].add(-stage.fund_gets * scale).at[0, 0].add(-helped),
                       "own_unwind_fund": info["own_unwind_fund"].at[:, 0].add(lost)}
    return accounts._replace(collateral=collateral - paid), pool, tally, info


def _work_market(rules: Rulebook, markets: Markets, stage: Stage, m, carry: PathCarry, accounts: Accounts, flows: Flows,
                 info: Any, hold: Array | None):
    """Settlement, or liquidation, fund and ADL of market `m`; says last (ADL held back, a queue was too short)."""
    pick = lambda tree: jax.tree.map(lambda x: x[m], tree)  # noqa: E731
    row, view = pick(stage.rows), pick(stage.views)
    slot = 0 if rules.fund_shared else m
    desk = _open_desk(rules, stage, carry.pool, accounts, m, slot, row, view, pick(info) if info is not None else None)
    ctx = _ladder(rules, markets, stage, accounts, m, row, view)
    settles = (row.settle != NO_SETTLE) & (view.phase != SETTLED)
    price = settlement_price(rules.settlement, rules.outcomes, pick(stage.averages), row, markets.tick[m], view)
    may_trade = ~row.halted & (view.phase != SETTLED)
    last_partial = accounts.last_partial[m]
    desk, last_partial, due = lax.cond(
        may_trade, lambda d, t: _liquidate(rules, stage, m, d, ctx, row, view, hold),
        lambda d, t: (d, t, _nothing()), desk, last_partial,
    )
    desk = lax.cond(settles, lambda d: settle(rules.settlement, d, price), lambda d: d, desk)
    return *_close_desk(desk, carry, accounts, flows, info, last_partial, stage, m, slot, row), due


def _liquidate(rules: Rulebook, stage: Stage, m, desk: Desk, ctx: liquidation.Ladder, row: Row, view: Market,
               hold: Array | None):
    """The venue's ladder, ADL for what it could not place, and who pays for balances below zero."""
    below, _, _ = liquidation.below_maintenance(rules.liquidation, desk, ctx)
    offered = desk.inventory   # what was taken over in earlier rows and is left after this row's unwinding

    def margin(desk: Desk, fees: bool) -> Array:
        extra = liquidation.fee_rate(rules.liquidation) if fees else jnp.float64(0.0)
        return maintenance_margin(ctx.tiers, jnp.abs(desk.quantity), desk.mark, ctx.mode, extra) + ctx.margin_elsewhere

    def work(desk: Desk):
        size = jnp.abs(desk.quantity)
        held = size > 0.0
        desk, left = liquidation.KINDS[rules.liquidation.kind](rules.liquidation, desk, ctx)
        adl = _nothing()
        if rules.adl.scope == "unfilled":
            due = left.contracts
            if rules.adl.trigger == "negative_equity":
                due = jnp.where(insolvent(desk), jnp.abs(desk.quantity), 0.0)
            price = close_price(rules.adl, desk, left.price, view.previous_mark, row.dt, ctx.initial_fund)
            desk, adl = _or_hold(hold, desk, lambda d: deleverage_accounts(rules.adl, d, due, price, margin),
                                 lambda d: demand_of_accounts(d, due, price))
        unpaid = rules.adl.difference_to == "unpaid"
        desk = cover(desk, held & ~desk.by_adl if unpaid else held, size)
        desk = cover(desk, desk.by_adl, size, from_fund=False) if unpaid else desk
        return desk, left.last_partial, adl

    desk, last_partial, adl = lax.cond(jnp.any(below), work, lambda d: (d, ctx.last_partial, _nothing()), desk)
    if rules.adl.scope == "inventory":
        value = desk.fund + inventory_value(desk)
        since = jnp.where(stage.inventory_since[m] >= 0.0, stage.inventory_since[m], row.time)
        if rules.adl.trigger == "fund_drawdown":
            waiting = backlog_of(desk.inventory, offered, view.phase)
            due = drawdown_trigger(rules.adl, value, stage.peak[m], desk.inventory, desk.mark, row.time - since, waiting)
        else:
            due = (value <= DUST * jnp.sum(jnp.abs(desk.inventory)) * desk.mark) & jnp.any(desk.inventory != 0.0)
        terms = (view.previous_mark, row.dt, ctx.initial_fund)
        desk, adl = lax.cond(
            due, lambda d: _or_hold(hold, d, lambda x: deleverage_inventory(rules.adl, x, margin, *terms),
                                    lambda x: demand_of_inventory(rules.adl, x, *terms)),
            lambda d: (d, _nothing()), desk)
    return desk, last_partial, adl


def _or_hold(hold: Array | None, desk: Desk, deleverage, demand) -> tuple[Desk, tuple[Demand, Array]]:
    """ADL, or where it is held back what it would ask of the queues."""

    def do(desk: Desk):
        desk, short = deleverage(desk)
        return desk, (_nothing()[0], short)

    if hold is None:
        return do(desk)
    return lax.cond(hold, lambda d: (d, (demand(d), jnp.bool_(False))), do, desk)


def _open_desk(rules: Rulebook, stage: Stage, pool: Pool, accounts: Accounts, m, slot, row: Row, view: Market, info) -> Desk:
    zero = jnp.float64(0.0)
    none = jnp.zeros_like(accounts.liquidated)
    marks = stage.views.mark[:, None]
    pnl = accounts.quantity * (marks - accounts.entry)
    size = jnp.abs(accounts.quantity)
    return Desk(
        quantity=accounts.quantity[m], entry=accounts.entry[m], collateral=accounts.collateral,
        elsewhere=jnp.sum(pnl, axis=0) - pnl[m] if accounts.quantity.shape[0] > 1 else jnp.zeros_like(accounts.collateral),
        other_size=jnp.sum(size, axis=0) - size[m] if accounts.quantity.shape[0] > 1 else jnp.zeros_like(accounts.collateral),
        bid=row.bid, ask=row.ask, lower=view.order_lower, upper=view.order_upper, mark=view.mark,
        fund=pool.fund[slot], fund_floor=jnp.float64(-jnp.inf if rules.has_vault else 0.0),
        inventory=pool.inventory[m], inventory_cost=pool.inventory_cost[m], outside=pool.outside[m],
        outside_cash=pool.outside_cash, fees=pool.fees, venue=pool.venue, assigned=pool.assigned[m],
        liquidated=none, deleveraged=none, by_adl=none, liquidated_notional=zero, traders_loss=zero, deficit=zero, unpaid=zero,
        adl_notional=zero, adl_wealth=zero, settlement_cut=zero, info=info,
    )


def _ladder(rules: Rulebook, markets: Markets, stage: Stage, accounts: Accounts, m, row: Row, view: Market):
    if accounts.quantity.shape[0] > 1:
        margins = all_margins(rules, accounts, stage.views, stage.units)
        elsewhere = jnp.sum(margins, axis=0) - margins[m]
    else:
        elsewhere = jnp.zeros_like(accounts.collateral)
    capacity = rules.vault_capacity * markets.open_interest[m] * markets.initial_price[m] if rules.has_vault else None
    return liquidation.Ladder(
        tiers=phase_tiers(rules, view.phase, stage.units[m]), mode=rules.pre.mode, margin_elsewhere=elsewhere, time=row.time,
        last_partial=accounts.last_partial[m], initial_fund=markets.fund[0 if rules.fund_shared else m],
        open_interest=markets.open_interest[m] * markets.initial_price[m], backstop_capacity=capacity,
    )


def _close_desk(desk: Desk, carry: PathCarry, accounts: Accounts, flows: Flows, info, last_partial, stage: Stage, m, slot, row):
    p = carry.pool
    since = jnp.where(desk.inventory == 0.0, -1.0, jnp.where(p.inventory_since[m] >= 0.0, p.inventory_since[m], row.time))
    pool = p._replace(
        fund=p.fund.at[slot].set(desk.fund), inventory=p.inventory.at[m].set(desk.inventory),
        inventory_cost=p.inventory_cost.at[m].set(desk.inventory_cost), inventory_since=p.inventory_since.at[m].set(since),
        outside=p.outside.at[m].set(desk.outside), outside_cash=desk.outside_cash, fees=desk.fees, venue=desk.venue,
        assigned=p.assigned.at[m].set(desk.assigned),
    )
    accounts = accounts._replace(
        quantity=accounts.quantity.at[m].set(desk.quantity), entry=accounts.entry.at[m].set(desk.entry),
        collateral=desk.collateral, last_partial=accounts.last_partial.at[m].set(last_partial),
        liquidated=accounts.liquidated | desk.liquidated, deleveraged=accounts.deleveraged | desk.deleveraged,
    )
    flows = flows._replace(
        sold=flows.sold.at[m].set(desk.bid.consumed - row.bid.consumed),
        bought=flows.bought.at[m].set(desk.ask.consumed - row.ask.consumed),
    )
    if info is not None:
        info = jax.tree.map(lambda whole, part: whole.at[m].set(part), info, desk.info)
    return carry._replace(pool=pool, tally=_count(carry.tally, desk, stage, row)), accounts, flows, info


def _count(t: Tally, desk: Desk, stage: Stage, row: Row) -> Tally:
    first = lambda then, happened: jnp.where(happened & (then == jnp.inf), row.time, then)  # noqa: E731
    return t._replace(
        liquidated_notional=t.liquidated_notional + desk.liquidated_notional,
        traders_loss=t.traders_loss + desk.traders_loss,
        bad_debt=t.bad_debt + desk.deficit,
        deficit_48h=t.deficit_48h + jnp.where(stage.in_window, desk.deficit, 0.0),
        liquidated_48h=t.liquidated_48h + jnp.where(stage.in_window, desk.liquidated_notional, 0.0),
        unpaid=t.unpaid + desk.unpaid,
        adl_notional=t.adl_notional + desk.adl_notional,
        adl_wealth=t.adl_wealth + desk.adl_wealth,
        settlement_cut=t.settlement_cut + desk.settlement_cut,
        first_liquidation_time=first(t.first_liquidation_time, desk.liquidated_notional > 0.0),
        first_adl_time=first(t.first_adl_time, (desk.adl_notional > 0.0) | (desk.settlement_cut > 0.0)),
    )


def _restrike(rules: Rulebook, markets: Markets, ref: Reference, stage: Stage, carry: PathCarry, accounts: Accounts):
    """Traders come and go: the book is drawn again in units of the mark; what it costs or frees is booked as deposits."""
    due = stage.rows.restrike & (stage.views.phase != SETTLED) & (carry.market.phase != SETTLED)

    def renew(args):
        carry, accounts = args
        unit = stage.views.mark / markets.initial_price
        on = due[:, None]
        quantity = jnp.where(on, ref.quantity / unit[:, None], accounts.quantity)
        entry = jnp.where(on, ref.entry * unit[:, None], accounts.entry)
        cash = lambda c, q, e: c - jnp.sum(q * e, axis=0)  # noqa: E731
        marks = stage.views.mark[:, None]
        worth = lambda c, q, e: c + jnp.sum(q * (marks - e), axis=0)  # noqa: E731
        collateral = ref.collateral
        brought = worth(collateral, quantity, entry) - worth(accounts.collateral, accounts.quantity, accounts.entry)
        moved = cash(collateral, quantity, entry) - cash(accounts.collateral, accounts.quantity, accounts.entry)
        contracts = jnp.sum(quantity - accounts.quantity, axis=1)
        pool = carry.pool._replace(outside=carry.pool.outside - contracts,
                                   outside_cash=carry.pool.outside_cash - jnp.sum(moved),
                                   assigned=jnp.where(due, 0.0, carry.pool.assigned))
        accounts = accounts._replace(quantity=quantity, entry=entry, collateral=collateral,
                                     deposits=accounts.deposits + brought, topped=jnp.zeros_like(accounts.topped))
        guard = rearm_latent(carry.guard, due, stage.views.mark, rules.latent_from)
        return carry._replace(pool=pool, guard=guard), accounts

    # all markets of a venue are re-struck together, so that collateral and positions stay one book;
    # once one of them has settled the book is left alone
    return lax.cond(jnp.all(due), renew, lambda a: a, (carry, accounts))
