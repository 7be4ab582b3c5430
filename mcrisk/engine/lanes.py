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


def pack_accounts(accounts: Accounts) -> Array:
    """[3 M + 4, A] float64 of one path."""
    single = (accounts.collateral, accounts.deposits, accounts.liquidated, accounts.deleveraged)
    return jnp.concatenate([accounts.quantity, accounts.entry, accounts.last_partial,
                            jnp.stack([row.astype(jnp.float64) for row in single])])


def unpack_accounts(rows: Array) -> Accounts:
    """The inverse of `pack_accounts`."""
    m = (rows.shape[0] - 4) // 3
    return Accounts(quantity=rows[:m], entry=rows[m:2 * m], last_partial=rows[2 * m:3 * m], collateral=rows[3 * m],
                    deposits=rows[3 * m + 1], liquidated=rows[3 * m + 2] > 0.5, deleveraged=rows[3 * m + 3] > 0.5)


def _pack(tree: Any) -> Array:
    """All leaves of one path as a float64 vector (integers and flags are small enough to be exact)."""
    return jnp.concatenate([leaf.astype(jnp.float64).ravel() for leaf in jax.tree.leaves(tree)])


def _unpack(vector: Array, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    out, at = [], 0
    for leaf in leaves:
        size = leaf.size
        out.append(vector[at:at + size].reshape(leaf.shape).astype(leaf.dtype))
        at += size
    return jax.tree.unflatten(structure, out)


def _one(tree: Any) -> Any:
    """Shapes of one lane."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)


def work_pending(cell: Cell, pending: Array, stage: Any, carry: PathCarry, rows: Array) -> tuple[PathCarry, Array, Flows]:
    """Account stages of the pending lanes, one at a time; everything else stays as it is. `rows` [P, 3 M + 4, A]."""
    shape = stage.rows.bid.consumed
    none = Flows(jnp.zeros_like(shape), jnp.zeros_like(shape), jnp.zeros_like(shape))
    fixed = (stage, carry.market.funding_total, carry.market.phase)
    moving = (carry.pool._replace(peak=()), carry.guard, carry.tally, none)
    like_fixed, like_moving = _one(fixed), _one(moving)

    def run(args):
        pending, inputs, scalars, rows = args
        i = jnp.argmax(pending)
        there = pending[i]  # true here, but XLA cannot know: the conditional keeps reads of the rows out of later fusions,
        #                     which would make it copy all lanes before the in-place update

        def take(x: Array) -> Array:
            return lax.cond(there, lambda a, k: lax.dynamic_index_in_dim(a, k, keepdims=False),
                            lambda a, k: jnp.zeros(a.shape[1:], a.dtype), x, i)

        (one_stage, funding_total, phase), state = _unpack(take(inputs), like_fixed), _unpack(take(scalars), like_moving)
        pool, guard, tally, _ = state
        market = SeenMarket(funding_total, phase)
        one, acc, flow, _ = account_stage(cell.rules, cell.markets, cell.ref, one_stage,
                                          PathCarry(market, pool, guard, tally), unpack_accounts(take(rows)))
        new = lax.optimization_barrier((_pack((one.pool, one.guard, one.tally, flow)), pack_accounts(acc)))
        put = lambda whole, part: lax.dynamic_update_index_in_dim(whole, part, i, 0)  # noqa: E731
        return pending.at[i].set(False), inputs, put(scalars, new[0]), put(rows, new[1])

    def loop(args):
        pending, inputs, scalars, rows = args
        _, _, scalars, rows = lax.while_loop(lambda a: jnp.any(a[0]), run, (pending, inputs, scalars, rows))
        return scalars, rows

    inputs, scalars = jax.vmap(_pack)(fixed), jax.vmap(_pack)(moving)
    scalars, rows = lax.cond(jnp.any(pending), loop, lambda a: (a[2], a[3]), (pending, inputs, scalars, rows))
    pool, guard, tally, flows = jax.vmap(lambda v: _unpack(v, like_moving))(scalars)
    return PathCarry(carry.market, pool._replace(peak=carry.pool.peak), guard, tally), rows, flows


class SeenMarket(NamedTuple):
    """The part of the market state that account stages read."""

    funding_total: Array
    phase: Array


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
        state, carry, rows_of_accounts = loop
        state, rows, clock = jax.vmap(rows_of, in_axes=(0, 0, 0, 0, 0, 0, None))(state, plan, carry, lead, path_lo, path_hi, k)
        window = jax.vmap(in_window)(clock, lead)
        carry, stage, quotes, quiet = jax.vmap(path_stage, in_axes=(None, None, 0, 0, 0))(
            cell.rules, cell.markets, carry, rows, window)
        alive = ~jnp.all(carry.market.phase == SETTLED, axis=1) | jnp.any(rows.settle != 0, axis=1)
        pending = alive if dense else ~quiet & alive
        carry, rows_of_accounts, flows = work_pending(cell, pending, stage, carry, rows_of_accounts)
        carry = jax.vmap(close_stage, in_axes=(None, None, 0, 0))(cell.rules, cell.markets, carry, stage)
        struck = rows.restrike & (stage.views.phase != SETTLED)
        state = jax.vmap(lambda s, f, q, r, m: over_markets(_after_row, (0, 0, 0, 0, 0, 0, 0))(
            cell.params, s, f, q, r, m, open_interest))(state, flows, quotes, struck, stage.views.mark)
        value = jax.vmap(fund_value)(carry.pool, stage.views.mark)
        seen = Snapshot(rows.last[:, 0], stage.views.index[:, 0], stage.views.mark[:, 0], quotes.rate[:, 0], jnp.sum(value, axis=1))
        return (state, carry, rows_of_accounts), seen

    def begin(state, plan, lead, lo, hi):
        blank = _blank_carry(cell)
        _, rows, _ = rows_of(state, plan, blank, lead, lo, hi, jnp.int32(0))
        return start_carry(cell.rules, cell.markets, rows)

    carry = jax.vmap(begin)(state, plan, lead, path_lo, path_hi)
    accounts = jax.vmap(lambda _: pack_accounts(start_accounts(cell.ref)))(path_lo)
    steps = cell.params.grid.slope.shape[-1]
    (state, carry, accounts), seen = lax.scan(step, (state, carry, accounts), jnp.arange(steps, dtype=jnp.int32))
    return LaneResult(carry, jax.vmap(unpack_accounts)(accounts), plan, seen, jax.tree.map(lambda x: x[0], seen))


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
