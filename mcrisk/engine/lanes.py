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

from mcrisk.engine.accounts import Flows, account_stage
from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.engine.step import start_accounts
from mcrisk.engine.trip import Cell, Snapshot, Trip, close_row, no_flows, open_path, price_row
from mcrisk.rules.branch import LANES


class LaneResult(NamedTuple):
    """A lane group at the end; [P, …]."""

    carry: PathCarry
    accounts: Accounts
    plan: Any
    snapshots: Snapshot   # [T, P]
    weight: Any = None     # [P] variance reduction: density ratio of raised jumps; after `run_lanes` the path's weight


def pack_accounts(accounts: Accounts) -> Array:
    """[3 M + 5, A] float64 of one path."""
    single = (accounts.collateral, accounts.deposits, accounts.liquidated, accounts.deleveraged, accounts.topped)
    return jnp.concatenate([accounts.quantity, accounts.entry, accounts.last_partial,
                            jnp.stack([row.astype(jnp.float64) for row in single])])


def unpack_accounts(rows: Array) -> Accounts:
    """The inverse of `pack_accounts`."""
    m = (rows.shape[0] - 5) // 3
    return Accounts(quantity=rows[:m], entry=rows[m:2 * m], last_partial=rows[2 * m:3 * m], collateral=rows[3 * m],
                    deposits=rows[3 * m + 1], liquidated=rows[3 * m + 2] > 0.5, deleveraged=rows[3 * m + 3] > 0.5,
                    topped=rows[3 * m + 4] > 0.5)


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
    """Account stages of the pending lanes, one at a time; everything else stays as it is. `rows` [P, 3 M + 5, A]."""
    none = no_flows(stage)
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


def jump_ratio(trip: Trip) -> Any:
    """Density ratio of raised jumps; None where none are raised."""
    return None if trip.steering is None else trip.steering.ratio


def lane_step(cell: Cell, trips: Trip, rows: Array, k: Array, dense: bool = False) -> tuple[tuple[Trip, Array], Snapshot]:
    """Row k of a lane group; `dense` looks at every account. The walk of a single path (replay) takes this very step."""
    trips, priced = jax.vmap(price_row, in_axes=(None, 0, None), axis_name=LANES)(cell, trips, k)
    pending = priced.alive if dense else priced.work
    carry, rows, flows = work_pending(cell, pending, priced.stage, trips.carry, rows)
    close = jax.vmap(close_row, in_axes=(None, 0, 0, 0), axis_name=LANES)
    trips, seen = close(cell, trips._replace(carry=carry), priced, flows)
    return (trips, rows), seen


def simulate_lanes(cell: Cell, path_lo: Array, path_hi: Array, forced: Any, dense: bool = False) -> LaneResult:
    """Run all steps for the paths with numbers (path_lo, path_hi) [P]; `dense` looks at every account in every row."""
    trips = jax.vmap(open_path, in_axes=(None, 0, 0, 0), axis_name=LANES)(cell, path_lo, path_hi, forced)
    rows = jax.vmap(lambda _: pack_accounts(start_accounts(cell.ref)))(path_lo)

    def step(loop, k):
        return lane_step(cell, *loop, k, dense)

    steps = cell.params.grid.slope.shape[-1]
    (trips, rows), seen = lax.scan(step, (trips, rows), jnp.arange(steps, dtype=jnp.int32))
    return LaneResult(trips.carry, jax.vmap(unpack_accounts)(rows), trips.plan, seen, jump_ratio(trips))
