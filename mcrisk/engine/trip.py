"""One path of a cell, row by row, in three pieces that every executor strings together.

    open_path      draw the plan, start the states
    price_row      steps 1–4 of the model contract and the quiet verdict: scalars only
    (account_stage steps 4–9, only where the verdict is not quiet)
    close_row      step 10, and the feedback of what was sold into the book

JAX lanes vmap these functions over paths; the generated C and CUDA sources call them in a plain loop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mcrisk import paths as model
from mcrisk.engine.accounts import Flows, Reference, Stage
from mcrisk.engine.markets import over_markets
from mcrisk.engine.rulebook import Markets, Rulebook
from mcrisk.engine.state import PathCarry
from mcrisk.engine.step import Quotes, close_stage, fund_value, path_stage, start_carry
from mcrisk.rules.branch import choose, selected
from mcrisk.rules.settlement import WAYS, drawn, start_averages
from mcrisk.rules.types import SETTLED

WINDOW = 172_800.0  # seconds after the event in which losses count as the event's


class Streams(NamedTuple):
    """Random streams of a cell: keys [M] of company and venue, one common key; uint64."""

    company: Array
    venue: Array
    common: Array


class Cell(NamedTuple):
    """All traced inputs of a cell. `params` has a leading market axis."""

    rules: Rulebook
    markets: Markets
    ref: Reference
    params: Any
    streams: Streams
    orders: Any = ()   # sparse.orders.Orders; () where markets are several


class Trip(NamedTuple):
    """A path under way: what it will meet, and where prices, rules and money stand. Accounts are kept apart."""

    plan: Any          # paths.Plan, [M]
    lead: Array        # time of the event the clock zooms on
    prices: Any        # paths.PathState, [M]
    carry: PathCarry
    lo: Array          # path number, 32-bit halves in uint64
    hi: Array
    steering: Any = None   # variance reduction: paths.Steering


class Snapshot(NamedTuple):
    """One row: what bands and figures need. Prices are those of market 0; money is of all markets, cumulative from row 0."""

    last: Array
    index: Array
    mark: Array
    rate: Array
    fund: Array
    liquidated: Array  # notional closed by liquidation so far
    adl: Array         # notional of counterparties closed by ADL so far


class Priced(NamedTuple):
    """What `price_row` hands on."""

    stage: Stage
    quotes: Quotes
    struck: Array      # [M] bool: accounts are re-struck in this row
    work: Array        # [] bool: the account stage is needed
    alive: Array       # [] bool: some market still lives in this row


def no_flows(stage: Stage) -> Flows:
    """Nothing was sold or bought."""
    shape = stage.rows.bid.consumed
    return Flows(jnp.zeros_like(shape), jnp.zeros_like(shape), jnp.zeros_like(shape))


def open_path(cell: Cell, lo: Array, hi: Array, forced: Any) -> Trip:
    """Draw everything known in advance about path (lo, hi) and put its states before row 0."""
    points = None if forced.script is None else model.points_of(forced.script, cell.streams.company.shape[0])
    plan = model.share_zoom(jax.vmap(model.draw_plan, in_axes=(0, 0, 0, None, None, None, 0))(
        cell.params, cell.streams.company, cell.streams.venue, lo, hi, forced, points))
    prices = jax.vmap(model.start)(cell.params, plan, cell.markets.initial_price, _open_interest(cell))
    lead = model.zoom_time(plan)
    steering = model.open_steering(cell.params, forced.script, lead)
    trip = Trip(plan, lead, prices, _blank_carry(cell), lo, hi, steering)
    _, rows, _, _ = _rows(cell, trip, jnp.int32(0), None)
    return trip._replace(carry=start_carry(cell.rules, cell.markets, rows))


def price_row(cell: Cell, trip: Trip, k: Array, shocks: Any = None) -> tuple[Trip, Priced]:
    """Row k from prices to mark and funding, and whether any account can need work in it.

    `shocks` are the row's `paths.Draws` [M] where they have been drawn ahead; else they are drawn here.
    """
    prices, rows, clock, steering = _rows(cell, trip, k, trip.carry.market.phase, shocks)
    in_window = (clock.time >= trip.lead) & (clock.time <= trip.lead + WINDOW)
    carry, stage, quotes, quiet = path_stage(cell.rules, cell.markets, trip.carry, rows, in_window)
    alive = ~jnp.all(carry.market.phase == SETTLED) | jnp.any(rows.settle != 0)
    struck = rows.restrike & (stage.views.phase != SETTLED)
    return trip._replace(prices=prices, carry=carry, steering=steering), Priced(stage, quotes, struck, ~quiet & alive, alive)


def close_row(cell: Cell, trip: Trip, priced: Priced, flows: Flows) -> tuple[Trip, Snapshot]:
    """Record the row and feed what was sold and bought back into the book."""
    stage, quotes = priced.stage, priced.quotes
    carry = close_stage(cell.rules, cell.markets, trip.carry, stage)

    def one(params, state, sold, bought, lost, struck, mark, open_interest):
        taken = (sold != 0.0) | (bought != 0.0) | (lost != 0.0)

        def changed():
            after = model.consume(params, state, sold, bought, lost)
            # a re-struck book of accounts brings its depth to today's price
            return model.rescale(after, jnp.where(struck, open_interest / mark / state.open_interest, 1.0))

        return changed() if selected() else choose(taken | struck, changed, lambda: state)

    prices = over_markets(one, (0,) * 8)(cell.params, trip.prices, flows.sold + quotes.sold, flows.bought + quotes.bought,
                                         flows.makers_lost, priced.struck, stage.views.mark, _open_interest(cell))
    value = jnp.sum(fund_value(carry.pool, stage.views.mark))
    seen = Snapshot(stage.rows.last[0], stage.views.index[0], stage.views.mark[0], quotes.rate[0], value,
                    carry.tally.liquidated_notional, carry.tally.adl_notional)
    return trip._replace(carry=carry, prices=prices), seen


def _open_interest(cell: Cell) -> Array:
    return cell.markets.open_interest * cell.markets.initial_price


def _rows(cell: Cell, trip: Trip, k: Array, phase: Array | None, shocks: Any = None):
    """Prices of every market at step k, the clock, and the steering after it. `phase` [M] before the row; None in row 0."""
    clock = model.clock(jax.tree.map(lambda x: x[0], cell.params), trip.lead, k)
    one = lambda key: model.draws(key, cell.streams.common, trip.lo, trip.hi, k, cell.params.volatility)  # noqa: E731
    draws, steering = over_markets(one, (0,))(cell.streams.company) if shocks is None else shocks, trip.steering
    if steering is not None and phase is not None:
        draws, steering = model.steer(cell.params, steering, draws, clock, k, ~jnp.all(phase == SETTLED))
    hints = model.Hints(*_settle_target(cell, trip.carry, trip.plan))
    prices, rows = over_markets(model.advance, (0, 0, 0, None, 0, 0))(
        cell.params, trip.plan, trip.prices, clock, draws, hints)
    return prices, rows, clock, steering


def _settle_target(cell: Cell, carry: PathCarry, plan: Any) -> tuple[Array, Array]:
    """Price the market heads for once a cancellation is announced, and whether it differs from the share's value; [M]."""
    averages, market = carry.market.averages, carry.market
    twap = averages.mark_since_launch / jnp.where(averages.seconds_since_launch > 0.0, averages.seconds_since_launch, 1.0)
    known = {"tick": cell.markets.tick, "twap_from_launch": jnp.where(averages.seconds_since_launch > 0.0, twap, market.mark),
             "last_index": market.index}
    way = drawn(cell.rules.outcomes, plan.settle_draw)
    price, fixed = market.mark, jnp.zeros_like(market.mark, bool)
    for name, value in known.items():
        here = way == WAYS.index(name)
        price, fixed = jnp.where(here, value, price), fixed | here
    return price, fixed


def _blank_carry(cell: Cell) -> Any:
    """Enough of a carry for the first row, before any rule has run."""
    class _Market(NamedTuple):
        averages: Any
        mark: Array
        index: Array

    class _Carry(NamedTuple):
        market: _Market

    start = start_averages(cell.markets.launch_age, cell.markets.initial_price)
    return _Carry(_Market(start, cell.markets.initial_price, cell.markets.initial_price))
