"""A lane group: P paths of one cell through all steps.

Three layers keep the cost from growing with the number of accounts (design.md 4.1): path stages are scalars under `vmap`;
the quiet test costs O(1) per path; only paths that fail it get an account stage, one at a time, in a batch-level `while`
whose predicate is a scalar, behind an unbatched `cond`, so that the account rows are updated in place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mcrisk import paths as model
from mcrisk.engine.accounts import Flows, Reference, account_stage
from mcrisk.engine.rulebook import Markets, Rulebook
from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.engine.step import close_stage, fund_value, path_stage, start_accounts, start_carry
from mcrisk.rules.types import SETTLED


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


class Snapshot(NamedTuple):
    """Per step and path, market 0: what bands and figures need. [T, P]"""

    last: Array
    index: Array
    mark: Array
    rate: Array
    fund: Array


class LaneResult(NamedTuple):
    """A lane group at the end; [P, …]."""

    carry: PathCarry
    accounts: Accounts
    plan: Any
    snapshots: Snapshot
    opening: Snapshot


def _tree_at(tree: Any, i: Array) -> Any:
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, i, keepdims=False), tree)


def _put(tree: Any, part: Any, i: Array) -> Any:
    return jax.tree.map(lambda whole, piece: lax.dynamic_update_index_in_dim(whole, piece.astype(whole.dtype), i, 0), tree, part)


def work_pending(cell: Cell, pending: Array, stage: Any, carry: PathCarry, accounts: Accounts) -> tuple[PathCarry, Accounts, Flows]:
    """Account stages of the pending lanes, one at a time; everything else stays as it is."""
    shape = stage.rows.bid.consumed
    none = Flows(jnp.zeros_like(shape), jnp.zeros_like(shape), jnp.zeros_like(shape))
    market = carry.market

    def run(args):
        pending, pool, guard, tally, accounts, flows = args
        i = jnp.argmax(pending)
        one = PathCarry(_tree_at(market, i), _tree_at(pool, i), _tree_at(guard, i), _tree_at(tally, i))
        one, acc, flow, _ = account_stage(cell.rules, cell.markets, cell.ref, _tree_at(stage, i), one, _tree_at(accounts, i))
        return (pending.at[i].set(False), _put(pool, one.pool, i), _put(guard, one.guard, i), _put(tally, one.tally, i),
                _put(accounts, acc, i), _put(flows, flow, i))

    def loop(args):
        return lax.while_loop(lambda a: jnp.any(a[0]), run, args)

    args = (pending, carry.pool, carry.guard, carry.tally, accounts, none)
    _, pool, guard, tally, accounts, flows = lax.cond(jnp.any(pending), loop, lambda a: a, args)
    return PathCarry(market, pool, guard, tally), accounts, flows


def _settle_target(cell: Cell, carry: PathCarry, plan: Any) -> tuple[Array, Array]:
    """Price the market heads for once a cancellation is announced, and whether it differs from the share's value; [M]."""
    averages, market = carry.market.averages, carry.market
    twap = averages.mark_since_launch / jnp.where(averages.seconds_since_launch > 0.0, averages.seconds_since_launch, 1.0)
    known = {"tick": cell.markets.tick, "twap_from_launch": jnp.where(averages.seconds_since_launch > 0.0, twap, market.mark),
             "last_index": market.index}
    price, fixed = market.mark, jnp.zeros_like(market.mark, bool)
    for i in reversed(range(len(cell.rules.outcomes))):
        name = cell.rules.outcomes[i]
        here = plan.settle_draw < cell.rules.outcome_upto[i]
        price = jnp.where(here, known.get(name, market.mark), price)
        fixed = jnp.where(here, name in known, fixed)
    return price, fixed


def simulate_lanes(cell: Cell, path_lo: Array, path_hi: Array, forced: Any, dense: bool = False) -> LaneResult:
    """Run all steps for the paths with numbers (path_lo, path_hi) [P]; `dense` looks at every account in every row."""
    over_markets = lambda f, axes: jax.vmap(f, in_axes=axes)  # noqa: E731
    open_interest = cell.markets.open_interest * cell.markets.initial_price
    plan = jax.vmap(
        lambda lo, hi, force: model.share_zoom(over_markets(model.draw_plan, (0, 0, 0, None, None, None))(
            cell.params, cell.streams.company, cell.streams.venue, lo, hi, force))
    )(path_lo, path_hi, forced)
    lead = jax.vmap(model.zoom_time)(plan)
    state = jax.vmap(lambda p: over_markets(model.start, (0, 0, 0, 0))(
        cell.params, p, cell.markets.initial_price, open_interest))(plan)

    def rows_of(state, plan, carry, lead, lo, hi, k):
        """Prices of one path at step k: every market, [M]."""
        clock = model.clock(jax.tree.map(lambda x: x[0], cell.params), lead, k)
        shocks = lambda key: model.draws(key, cell.streams.common, lo, hi, k, cell.params.volatility)  # noqa: E731
        draws = jax.vmap(shocks)(cell.streams.company)
        hints = model.Hints(*_settle_target(cell, carry, plan))
        state, rows = over_markets(model.advance, (0, 0, 0, None, 0, 0))(cell.params, plan, state, clock, draws, hints)
        return state, rows._replace(averaging=rows.final_hour), clock

    def in_window(clock, lead):
        return (clock.time >= lead) & (clock.time <= lead + 172800.0)

    def step(loop, k):
        state, carry, accounts = loop
        state, rows, clock = jax.vmap(rows_of, in_axes=(0, 0, 0, 0, 0, 0, None))(state, plan, carry, lead, path_lo, path_hi, k)
        window = jax.vmap(in_window)(clock, lead)
        carry, stage, quotes, quiet = jax.vmap(path_stage, in_axes=(None, None, 0, 0, 0))(
            cell.rules, cell.markets, carry, rows, window)
        alive = ~jnp.all(carry.market.phase == SETTLED, axis=1) | jnp.any(rows.settle != 0, axis=1)
        pending = alive if dense else ~quiet & alive
        carry, accounts, flows = work_pending(cell, pending, stage, carry, accounts)
        carry = jax.vmap(close_stage, in_axes=(None, None, 0, 0))(cell.rules, cell.markets, carry, stage)
        struck = rows.restrike & (stage.views.phase != SETTLED)
        state = jax.vmap(lambda s, f, q, r, m: over_markets(_after_row, (0, 0, 0, 0, 0, 0, 0))(
            cell.params, s, f, q, r, m, open_interest))(state, flows, quotes, struck, stage.views.mark)
        value = jax.vmap(fund_value)(carry.pool, stage.views.mark)
        seen = Snapshot(rows.last[:, 0], stage.views.index[:, 0], stage.views.mark[:, 0], quotes.rate[:, 0], jnp.sum(value, axis=1))
        return (state, carry, accounts), seen

    def begin(state, plan, lead, lo, hi):
        blank = _blank_carry(cell)
        _, rows, _ = rows_of(state, plan, blank, lead, lo, hi, jnp.int32(0))
        return start_carry(cell.rules, cell.markets, rows)

    carry = jax.vmap(begin)(state, plan, lead, path_lo, path_hi)
    accounts = jax.vmap(lambda _: start_accounts(cell.ref))(path_lo)
    steps = cell.params.grid.slope.shape[-1]
    (state, carry, accounts), seen = lax.scan(step, (state, carry, accounts), jnp.arange(steps, dtype=jnp.int32))
    return LaneResult(carry, accounts, plan, seen, jax.tree.map(lambda x: x[0], seen))


def _after_row(params, state, flow, quotes, struck, mark, open_interest):
    """Feed what was sold and bought in the row back into the book; a re-struck book brings its depth to today's price."""
    state = model.consume(params, state, flow.sold + quotes.sold, flow.bought + quotes.bought, flow.makers_lost)
    return model.rescale(state, jnp.where(struck, open_interest / mark / state.open_interest, 1.0))


def _blank_carry(cell: Cell) -> Any:
    """Enough of a carry for the first row, before any rule has run."""
    from mcrisk.rules.settlement import start_averages

    class _Market(NamedTuple):
        averages: Any
        mark: Array
        index: Array

    class _Carry(NamedTuple):
        market: _Market

    start = start_averages(cell.markets.launch_age, cell.markets.initial_price)
    return _Carry(_Market(start, cell.markets.initial_price, cell.markets.initial_price))
