"""One step of one path, in the order of the model contract (design.md section 2).

1 events · 2 prices      the caller fills `Row` (paths room in simulations, a file in replays)
3 index, limits, mark    `market_stage`
4 funding                `market_stage` (rate), here (inventory, outside), `account_stage` (accounts)
5–9 margin … settlement  `account_stage`, only where `is_quiet` cannot rule out work
10 record                `close_stage`
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mcrisk.engine.accounts import Reference, Stage
from mcrisk.engine.guard import is_quiet, latent_due, start_guard
from mcrisk.engine.market import market_stage, start_market
from mcrisk.engine.markets import over_markets
from mcrisk.engine.rulebook import Markets, Rulebook
from mcrisk.engine.state import Accounts, PathCarry, Pool, Tally
from mcrisk.rules.branch import choose, selected
from mcrisk.rules.desk import DUST
from mcrisk.rules.insurance import backlog_of, drawdown_trigger, nothing_held, start_reference, unwind, update_reference
from mcrisk.rules.types import SETTLED, Market, Row


class Quotes(NamedTuple):
    """What a row looked like to the market, for bands and market.csv; each [M]."""

    premium: Array
    rate: Array
    sold: Array      # contracts the unwinding of inventory took from the bids
    bought: Array
    unwound_value: Array  # Σ contracts · price of both sides
    fund_funding: Array   # change of the fund's cash by funding on its inventory


def start_carry(rules: Rulebook, markets: Markets, rows: Row) -> PathCarry:
    """State before row 0. `rows` is row 0 of every market, each field [M]."""
    market = jax.vmap(start_market, in_axes=(None, 0, 0, 0))(rules, rows, markets.initial_price, markets.launch_age)
    zeros = jnp.zeros_like(markets.initial_price)
    zero, never = jnp.float64(0.0), jnp.float64(jnp.inf)
    fund = zeros.at[0].set(jnp.sum(markets.fund)) if rules.fund_shared else markets.fund
    pool = Pool(
        fund=fund, inventory=jnp.stack([zeros, zeros], 1), inventory_cost=jnp.stack([zeros, zeros], 1),
        inventory_since=jnp.stack([zeros, zeros], 1) - 1.0, outside=zeros, outside_cash=zero,
        fees=zero, venue=zero, assigned=zeros, peak=jax.vmap(lambda value: start_reference(rules.adl, value))(fund),
    )
    tally = Tally(
        liquidated_notional=zero, traders_loss=zero, bad_debt=zero, deficit_48h=zero, liquidated_48h=zero,
        unpaid=zero, adl_notional=zero,
        adl_wealth=zero, settlement_cut=zero, latent_deficit=zero, mark_index_gap=zero, fund_min=jnp.sum(fund),
        depletion_time=never, first_liquidation_time=never, first_adl_time=never, account_stages=jnp.int32(0),
    )
    return PathCarry(market, pool, start_guard(markets.initial_price, rules.latent_from), tally)


def start_accounts(ref: Reference) -> Accounts:
    """The book at time 0."""
    none = jnp.zeros(ref.collateral.shape, bool)
    return Accounts(
        quantity=ref.quantity, entry=ref.entry, collateral=ref.collateral,
        last_partial=jnp.full_like(ref.quantity, -jnp.inf), deposits=jnp.zeros_like(ref.collateral),
        liquidated=none, deleveraged=none, topped=none,
    )


def path_stage(rules: Rulebook, markets: Markets, carry: PathCarry, rows: Row, in_window: Array
               ) -> tuple[PathCarry, Stage, Quotes, Array]:
    """Scalars of one path: prices to mark, funding, the fund's inventory. Returns the quiet verdict last."""
    settled = carry.market.phase == SETTLED
    if rules.rebases:
        carry = choose(jnp.any(rows.rebase != 1.0), _rebase, lambda carry, _: carry, carry, rows.rebase)
    market, views, paid = over_markets(market_stage, (None, 0, 0, 0, 0))(
        rules, carry.market, rows, markets.initial_price, markets.launch_age
    )
    pool, short, gets = _fund_funding(rules, carry.pool, paid.per_contract)
    fund_funding, purse, outside_due = pool.fund - carry.pool.fund, pool.fund - gets, pool.outside * paid.per_contract
    pool, rows, taken, peak, lost, unpaid = _inventory(rules, pool, rows, views, ~settled)
    due = latent_due(carry.guard, rows, ~settled)
    stage = Stage(rows, views, paid.per_contract, peak, pool.inventory_since, short, gets, purse, outside_due, due, in_window,
                  market.averages, market.units)
    quiet = is_quiet(rules, carry.guard, stage, market.funding_total, settled)
    if rules.adl.scope == "inventory":
        # anything left in the inventory may be a backlog, or a drawdown once the row's orders are done
        quiet = quiet & ~jnp.any(_adl_due(rules, pool, views, rows.time, peak, True) & ~rows.halted & ~settled)
    gap = jnp.max(jnp.where(settled, 0.0, jnp.abs(views.mark / views.index - 1.0)))
    t = carry.tally
    tally = t._replace(
        mark_index_gap=jnp.maximum(t.mark_index_gap, gap), bad_debt=t.bad_debt + lost, unpaid=t.unpaid + unpaid,
        deficit_48h=t.deficit_48h + jnp.where(in_window, lost, 0.0),
    )
    carry = PathCarry(market, pool, carry.guard, tally)
    return carry, stage, Quotes(paid.premium, paid.rate, *taken, fund_funding), quiet


def close_stage(rules: Rulebook, markets: Markets, carry: PathCarry, stage: Stage) -> PathCarry:
    """Fund's low point and the time it ran dry, after everything else of the row."""
    value = jnp.sum(fund_value(carry.pool, stage.views.mark))
    cushion = jnp.sum(markets.fund)
    if rules.has_vault:
        cushion = rules.vault_capacity * jnp.sum(markets.open_interest * markets.initial_price)
        left = value + cushion
    else:
        left = value
    t = carry.tally
    loss = 1e-10 * jnp.sum(markets.open_interest * markets.initial_price)  # less is what adding up money leaves
    gone = jnp.where(cushion > 0.0, left <= 1e-9 * cushion, t.bad_debt > loss)
    return carry._replace(tally=t._replace(
        fund_min=jnp.minimum(t.fund_min, value),
        depletion_time=jnp.where(gone & (t.depletion_time == jnp.inf), stage.rows.time[0], t.depletion_time),
    ))


def fund_value(pool: Pool, mark: Array) -> Array:
    """V [M]: cash of fund or vault plus its inventory at the mark."""
    return pool.fund + jnp.sum(pool.inventory, axis=1) * mark - jnp.sum(pool.inventory_cost, axis=1)


def _rebase(carry: PathCarry, ratio: Array) -> PathCarry:
    guard, pool = carry.guard, carry.pool
    guard = guard._replace(
        lo=guard.lo / ratio, hi=guard.hi / ratio, funding=guard.funding / ratio, slack=guard.slack / ratio,
        latent_bid=guard.latent_bid / ratio, latent_ask=guard.latent_ask / ratio,
    )
    pool = pool._replace(inventory=pool.inventory * ratio[:, None], outside=pool.outside * ratio)
    return carry._replace(guard=guard, pool=pool)


def _fund_funding(rules: Rulebook, pool: Pool, paid: Array) -> tuple[Pool, Array, Array]:
    """Inventory and outside pay and receive funding like everybody else; returns what the fund lacks and what it gets [M]."""
    owed = jnp.sum(pool.inventory, axis=1) * paid
    owed = jnp.zeros_like(owed).at[0].set(jnp.sum(owed)) if rules.fund_shared else owed
    fund = pool.fund - owed
    short = jnp.zeros_like(fund) if rules.has_vault else jnp.maximum(-fund, 0.0)
    return pool._replace(
        fund=fund + short, venue=pool.venue - jnp.sum(short),
        outside_cash=pool.outside_cash - jnp.sum(pool.outside * paid),
    ), short, jnp.maximum(-owed, 0.0)


def _adl_due(rules: Rulebook, pool: Pool, views: Market, time: Array, reference: Array, backlog: bool) -> Array:
    """[M] bool: is ADL on the inventory due before the row's ladder? `backlog`: count what has waited too long, too."""
    mark = views.mark
    value = fund_value(pool, mark)
    if rules.adl.trigger != "fund_drawdown":
        return (value <= DUST * jnp.sum(jnp.abs(pool.inventory), axis=1) * mark) & jnp.any(pool.inventory != 0.0, axis=1)
    waiting = jax.vmap(backlog_of)(pool.inventory, pool.inventory, views.phase) if backlog else None
    return jax.vmap(drawdown_trigger, in_axes=(None, 0, 0, 0, 0, 0, 0 if backlog else None))(
        rules.adl, value, reference, pool.inventory, mark, time[:, None] - pool.inventory_since, waiting)


def _inventory(rules: Rulebook, pool: Pool, rows: Row, views: Market, live: Array):
    """Peak or average of the fund, then unwinding of what was taken over in earlier rows, unless ADL is due on it."""
    allowed = live & ~rows.halted
    reference = pool.fund
    if rules.adl.trigger == "fund_drawdown":
        peak, reference = over_markets(update_reference, (None, 0, 0, 0, 0))(
            rules.adl, pool.peak, rows.time, rows.dt, fund_value(pool, views.mark)
        )
        pool = pool._replace(peak=peak)
    if rules.adl.scope == "inventory":
        allowed = allowed & ~_adl_due(rules, pool, views, rows.time, reference, False)
    sell = over_markets(unwind, (None, 0, 0, 0, 0, 0, 0, 0))
    book = (pool.inventory, pool.inventory_cost, rows.bid, rows.ask)

    def sold(*book):
        return sell(rules.fund.unwind_share_of_depth, *book, views.order_lower, views.order_upper, allowed)

    out = sold(*book) if selected() else choose(jnp.any(pool.inventory != 0.0), sold, nothing_held, *book)
    gain = jnp.zeros_like(out.gain).at[0].set(jnp.sum(out.gain)) if rules.fund_shared else out.gain
    cash = pool.fund + gain
    short = jnp.zeros_like(cash) if rules.has_vault else jnp.maximum(-cash, 0.0)
    taken = (out.bid.consumed - rows.bid.consumed, out.ask.consumed - rows.ask.consumed, out.gross)
    pool = pool._replace(
        fund=cash + short, venue=pool.venue - jnp.sum(short), inventory=out.inventory, inventory_cost=out.cost,
        inventory_since=jnp.where(out.inventory == 0.0, -1.0, pool.inventory_since),
        outside=pool.outside + out.signed, outside_cash=pool.outside_cash - jnp.sum(out.value),
    )
    return pool, rows._replace(bid=out.bid, ask=out.ask), taken, reference, jnp.sum(jnp.maximum(-gain, 0.0)), jnp.sum(short)
