"""Walk one simulated path again, row by row, from its number.

The lanes executor's step is compiled once more as a loop whose first and last row are arguments, for the same lane group
(same size, same place in it) as in the run: what it leaves behind is the run's own result. It is stopped after every
row, and the states of the one lane before and after are kept: the ledger is their difference. What happened *within* a
row (who was filled, taken over, deleveraged at which price) comes from a second pass over that row with the account
stage's `info` switched on, from the same state; it explains the difference and never replaces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mcrisk.engine.accounts import account_stage
from mcrisk.engine.chosen import chosen_lanes, weighed
from mcrisk.engine.lanes import LaneResult, jump_ratio, lane_step, pack_accounts, unpack_accounts
from mcrisk.engine.simulate import Simulator
from mcrisk.engine.step import start_accounts
from mcrisk.engine.summary import path_numbers
from mcrisk.engine.trip import Cell, Trip, open_path, price_row
from mcrisk.replay.drive import INFO_NAMES
from mcrisk.rules.branch import LANES
from mcrisk.rules.fills import best_price
from mcrisk.rules.types import SETTLED


class Group(NamedTuple):
    """A lane group between two rows."""

    trips: Trip
    rows: Any      # [P, rows of an account, A]
    seen: Any      # the last row's snapshots; kept so that the step is the executor's own


class Look(NamedTuple):
    """One row of one market as the venue saw it, and the book people traded in."""

    utc: Any
    dt: Any
    phase: Any
    index: Any
    mark: Any
    lower_limit: Any
    upper_limit: Any
    premium: Any
    funding_rate: Any
    paid: Any
    last: Any
    bid: Any
    ask: Any
    rebase: Any
    halted: Any
    listed: Any
    converted: Any
    settle: Any
    struck: Any
    own_funding: Any
    unwound: Any
    unwound_price: Any
    unwound_fund: Any


@dataclass
class Step:
    """A row in which accounts changed: their states before and after, and what happened in between."""

    row: int
    before: Any              # engine Accounts, numpy
    after: Any
    owed: np.ndarray         # [M] funding per contract that quiet rows had left to be settled
    ratio: np.ndarray        # [M] rebase ratio of the row
    info: dict[str, np.ndarray]


@dataclass
class Trace:
    """A path walked again. Columns [T] of the chosen market; `numbers` is the path's row of /paths."""

    numbers: dict[str, Any]
    columns: dict[str, np.ndarray]
    fund: np.ndarray         # [T] cash of fund or vault after the row
    cumulative_funding: np.ndarray
    steps: list[Step] = field(default_factory=list)
    start: Any = None        # (pool, accounts) before row 0
    end: Any = None          # (carry, accounts) after the last row
    plan: Any = None


@jax.jit
def _open(cell: Cell, low: Any, high: Any, forced: Any) -> Group:
    trips = jax.vmap(open_path, in_axes=(None, 0, 0, 0), axis_name=LANES)(cell, low, high, forced)
    rows = jax.vmap(lambda _: pack_accounts(start_accounts(cell.ref)))(low)
    return Group(trips, rows, None)


@partial(jax.jit, donate_argnums=(1, 2))
def _advance(cell: Cell, group: Group, seen: Any, first: Any, stop: Any):
    """Rows [first, stop). `seen` [T, P] collects the snapshots, as in a run."""

    def body(state):
        k, steps, trips, rows, seen = state
        (trips, rows), now = lane_step(cell, trips, rows, lax.dynamic_index_in_dim(steps, k, keepdims=False))
        put = lambda whole, part: lax.dynamic_update_index_in_dim(whole, part, k, 0)  # noqa: E731
        return k + 1, steps, trips, rows, jax.tree.map(put, seen, now)

    steps = jnp.arange(cell.params.grid.slope.shape[-1], dtype=jnp.int32)
    _, _, trips, rows, seen = lax.while_loop(lambda s: s[0] < stop, body, (first, steps, group.trips, group.rows, seen))
    return Group(trips, rows, None), seen


@jax.jit
def _pick(group: Group, lane: Any) -> tuple[Trip, Any]:
    take = lambda x: lax.dynamic_index_in_dim(x, lane, keepdims=False)  # noqa: E731
    return jax.tree.map(take, group.trips), take(group.rows)


@partial(jax.jit, static_argnames=("market",))
def _look(cell: Cell, trip: Trip, rows: Any, k: Any, market: int):
    """Row k of one path from the state before it: the venue's view, and what happened to accounts, if anything did."""
    after, priced = price_row(cell, trip, k)
    accounts = unpack_accounts(rows)
    blank = {name: jnp.zeros_like(accounts.quantity) for name in INFO_NAMES}
    owed = after.carry.market.funding_total - priced.stage.paid - after.carry.guard.funding

    def work(info):
        return account_stage(cell.rules, cell.markets, cell.ref, priced.stage, after.carry, accounts, info)[3]

    info = lax.cond(priced.work, work, lambda info: info, blank)
    q, v, m = priced.quotes, priced.stage.views, market
    row = jax.tree.map(lambda x: x[m], priced.stage.rows)
    contracts = q.bought[m] + q.sold[m]
    price = q.unwound_value[m] / jnp.where(contracts > 0.0, contracts, 1.0)
    look = Look(
        row.utc, row.dt, v.phase[m], v.index[m], v.mark[m], v.lower_limit[m], v.upper_limit[m], q.premium[m], q.rate[m],
        priced.stage.paid[m], row.last, jnp.where(row.bid.present, best_price(row.bid, 1.0), jnp.nan),
        jnp.where(row.ask.present, best_price(row.ask, -1.0), jnp.nan), row.rebase, row.halted, row.listed,
        row.converted, row.settle, priced.struck[m], q.fund_funding[m], q.bought[m] - q.sold[m], price,
        after.carry.pool.fund[m] - trip.carry.pool.fund[m] - q.fund_funding[m],
    )
    return look, info, owed


def walk(sim: Simulator, path: int, market: int = 0, progress: Callable[[int, int], None] | None = None) -> Trace:
    """Walk path number `path` of a cell.

    Args:
        sim: the cell made ready, of the run's own config (its lane size decides which paths travel together).
        market: which market's columns are kept; accounts are kept on all of them.
        progress: called with (rows done, rows) now and then.
    """
    cell, lanes = sim.cell, sim.lane
    first, lane = path - path % lanes, path % lanes
    number = np.uint64(first) + np.arange(lanes, dtype=np.uint64)
    low, high = jnp.asarray(number & np.uint64(0xFFFFFFFF)), jnp.asarray(number >> np.uint64(32))
    drawn = None if sim.proposal is None else sim.proposal.draw(first, lanes)
    forced = jax.tree.map(jnp.asarray, chosen_lanes(first, lanes, None, drawn))
    group = _open(cell, low, high, forced)
    total = int(cell.params.grid.slope.shape[-1])
    shape = jax.eval_shape(lambda g: lane_step(cell, g.trips, g.rows, jnp.int32(0))[1], group)
    seen = jax.tree.map(lambda s: jnp.zeros((total, *s.shape), s.dtype), shape)
    trip, rows = jax.device_get(_pick(group, lane))
    plan = jax.tree.map(lambda x: np.asarray(x), trip.plan)
    looks, fund, cumulative, steps = [], [], [], []
    start = (trip.carry.pool, unpack_accounts(rows))
    for k in range(total):
        look, info, owed = jax.device_get(_look(cell, trip, rows, jnp.int32(k), market))
        group, seen = _advance(cell, group, seen, jnp.int32(k), jnp.int32(k + 1))
        then, then_rows = jax.device_get(_pick(group, lane))
        looks.append(look)
        fund.append(float(then.carry.pool.fund[market]))
        cumulative.append(float(then.carry.market.funding_total[market]))
        if int(then.carry.tally.account_stages) != int(trip.carry.tally.account_stages):
            ratio = np.asarray(then.carry.market.units) / np.asarray(trip.carry.market.units)
            steps.append(Step(k, unpack_accounts(rows), unpack_accounts(then_rows), np.asarray(owed), ratio, info))
        trip, rows = then, then_rows
        if progress and k % 50 == 0:
            progress(k, total)
        if np.all(np.asarray(trip.carry.market.phase) == SETTLED):  # nothing is recorded after settlement
            group, seen = _advance(cell, group, seen, jnp.int32(k + 1), jnp.int32(total))
            break
    last, last_rows = jax.device_get(_pick(group, lane))
    out = LaneResult(group.trips.carry, jax.vmap(unpack_accounts)(group.rows), group.trips.plan, seen, jump_ratio(group.trips))
    out = weighed(out, sim.proposal, drawn)
    numbers, _ = path_numbers(sim, out, lanes)
    return Trace({name: values[lane] for name, values in numbers.items()},
                 {name: np.array([getattr(look, name) for look in looks]) for name in Look._fields},
                 np.array(fund), np.array(cumulative), steps, start, (last.carry, unpack_accounts(last_rows)), plan)
