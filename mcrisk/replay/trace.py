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
from functools import lru_cache
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
from mcrisk.engine.trip import Cell, Trip, close_row, no_flows, open_path, price_row
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


class Standing(NamedTuple):
    """Where the path stands before a row."""

    fund: Any
    funding_total: Any
    account_stages: Any
    settled: Any


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


def _open(cell: Cell, low: Any, high: Any, forced: Any) -> Group:
    trips = jax.vmap(open_path, in_axes=(None, 0, 0, 0), axis_name=LANES)(cell, low, high, forced)
    rows = jax.vmap(lambda _: pack_accounts(start_accounts(cell.ref)))(low)
    return Group(trips, rows, None)


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


def _pick(group: Group, lane: Any) -> tuple[Trip, Any]:
    take = lambda x: lax.dynamic_index_in_dim(x, lane, keepdims=False)  # noqa: E731
    return jax.tree.map(take, group.trips), take(group.rows)


def _look(cell: Cell, group: Group, lane: Any, k: Any, market: int):
    """Row k of one path from the state before it: the venue's view, what stands, and what happens to accounts, if anything.

    Returns (numbers, info, rows): numbers is one vector (`_numbers`), so that a quiet row costs one copy to the host; the
    others stay on the device until somebody asks.
    """
    trip, rows = _pick(group, lane)
    after, priced = price_row(cell, trip, k)
    accounts = unpack_accounts(rows)

    def work(info):
        return account_stage(cell.rules, cell.markets, cell.ref, priced.stage, after.carry, accounts, info)[3]

    info = lax.cond(priced.work, work, lambda info: info, _blank(accounts))
    return _numbers(trip, after, priced, market), info, rows


def _alone(cell: Cell, group: Group, seen: Any, k: Any, market: int):
    """The same for a path that travels alone, and where it stands after the row: one program for both.

    Returns (group, seen, (numbers, info, rows before)).
    """
    trip, rows = _pick(group, 0)
    after, priced = price_row(cell, trip, k)
    accounts = unpack_accounts(rows)

    def work(carry, info):
        carry, changed, flows, info = account_stage(cell.rules, cell.markets, cell.ref, priced.stage, carry, accounts, info)
        return carry, pack_accounts(changed), flows, info

    def idle(carry, info):
        return carry, rows, no_flows(priced.stage), info

    carry, rows_after, flows, info = lax.cond(priced.work, work, idle, after.carry, _blank(accounts))
    done, now = close_row(cell, after._replace(carry=carry), priced, flows)
    seen = jax.tree.map(lambda whole, part: lax.dynamic_update_index_in_dim(whole, part[None], k, 0), seen, now)
    return Group(*jax.tree.map(lambda x: x[None], (done, rows_after)), None), seen, (
        _numbers(trip, after, priced, market), info, rows)  # fmt: skip


def _blank(accounts: Any) -> dict[str, Any]:
    return {name: jnp.zeros_like(accounts.quantity) for name in INFO_NAMES}


def _numbers(trip: Trip, after: Trip, priced: Any, market: int) -> Any:
    """float64: `Look`, `Standing` before the row, funding owed [M], units [M]."""
    look, carry = _seen(trip, after, priced, market), trip.carry
    standing = Standing(carry.pool.fund[market], carry.market.funding_total[market], carry.tally.account_stages,
                        jnp.all(carry.market.phase == SETTLED))  # fmt: skip
    owed = after.carry.market.funding_total - priced.stage.paid - after.carry.guard.funding
    numbers = jnp.stack([jnp.asarray(x, jnp.float64) for x in (*look, *standing)])
    return jnp.concatenate([numbers, owed, carry.market.units])


def _seen(trip: Trip, after: Trip, priced: Any, m: int) -> Look:
    q, v = priced.quotes, priced.stage.views
    row = jax.tree.map(lambda x: x[m], priced.stage.rows)
    contracts = q.bought[m] + q.sold[m]
    price = q.unwound_value[m] / jnp.where(contracts > 0.0, contracts, 1.0)
    return Look(
        row.utc, row.dt, v.phase[m], v.index[m], v.mark[m], v.lower_limit[m], v.upper_limit[m], q.premium[m], q.rate[m],
        priced.stage.paid[m], row.last, jnp.where(row.bid.present, best_price(row.bid, 1.0), jnp.nan),
        jnp.where(row.ask.present, best_price(row.ask, -1.0), jnp.nan), row.rebase, row.halted, row.listed,
        row.converted, row.settle, priced.struck[m], q.fund_funding[m], q.bought[m] - q.sold[m], price,
        after.carry.pool.fund[m] - trip.carry.pool.fund[m] - q.fund_funding[m],
    )


class Programs(NamedTuple):
    """The compiled pieces of a walk."""

    open: Any
    advance: Any
    pick: Any
    look: Any
    alone: Any
    snapshot: Any


QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@lru_cache
def programs(exact: bool) -> Programs:
    """exact: `advance` as the executor compiles it, so that every bit is the run's. Else everything compiles quickly.

    What only looks is always compiled quickly: it explains and decides nothing.
    """
    options = None if exact else QUICK
    return Programs(
        jax.jit(_open, compiler_options=options), jax.jit(_advance, donate_argnums=(1, 2), compiler_options=options),
        jax.jit(_pick, compiler_options=QUICK), jax.jit(_look, static_argnames=("market",), compiler_options=QUICK),
        jax.jit(_alone, static_argnames=("market",), compiler_options=QUICK),
        jax.jit(lambda cell, group: lane_step(cell, group.trips, group.rows, jnp.int32(0))[1]),
    )  # fmt: skip


def walk(
    sim: Simulator, path: int, market: int = 0, progress: Callable[[int, int], None] | None = None, *, exact: bool = True
) -> Trace:
    """Walk path number `path` of a cell.

    Args:
        sim: the cell made ready, of the run's own config (its lane size decides which paths travel together).
        market: which market's columns are kept; accounts are kept on all of them.
        progress: called with (rows done, rows) now and then.
        exact: in the run's own lane group, bit for bit what the backend jax stores; else the path alone, compiled quickly:
            equal within the contract between backends, which is all that a run of another backend can be held to.
    """
    run, lanes = programs(exact), sim.lane if exact else 1
    cell, first = jax.device_put(sim.cell), path - path % lanes
    lane = jnp.int32(path % lanes)
    number = np.uint64(first) + np.arange(lanes, dtype=np.uint64)
    low, high = jnp.asarray(number & np.uint64(0xFFFFFFFF)), jnp.asarray(number >> np.uint64(32))
    drawn = None if sim.proposal is None else sim.proposal.draw(first, lanes)
    forced = jax.tree.map(jnp.asarray, chosen_lanes(first, lanes, None, drawn))
    group = run.open(cell, low, high, forced)
    total = int(cell.params.grid.slope.shape[-1])
    shape = run.snapshot.eval_shape(cell, group)
    seen = jax.tree.map(lambda s: jnp.zeros((total, *s.shape), s.dtype), shape)
    trip, rows = jax.device_get(run.pick(group, lane))
    plan, start = jax.tree.map(np.asarray, trip.plan), (trip.carry.pool, unpack_accounts(rows))
    log = _Log(len(np.atleast_1d(trip.carry.market.units)))
    for k in range(total + 1):
        row = jnp.int32(min(k, total - 1))
        if exact:
            found = run.look(cell, group, lane, row, market)
        else:
            after, seen_after, found = run.alone(cell, group, seen, row, market)
        log.take(k, *found)
        if k == total or (exact and log.settled):  # nothing is recorded after settlement
            break
        group, seen = run.advance(cell, group, seen, row, row + 1) if exact else (after, seen_after)
        if progress and k % 50 == 0:
            progress(k, total)
    if exact:
        group, seen = run.advance(cell, group, seen, jnp.int32(k), jnp.int32(total))
    last, last_rows = jax.device_get(run.pick(group, lane))
    out = LaneResult(group.trips.carry, jax.vmap(unpack_accounts)(group.rows), group.trips.plan, seen, jump_ratio(group.trips))
    out = weighed(out, sim.proposal, drawn)
    numbers, _ = path_numbers(sim, out, lanes)
    at = {name: values[int(lane)] for name, values in numbers.items()}
    return log.trace(at, start, (last.carry, unpack_accounts(last_rows)), plan)


class _Log:
    """What a walk keeps of its rows. A row's outcome is known when the next one is looked at."""

    def __init__(self, markets: int) -> None:
        self.markets, self.settled = markets, False
        self.looks: list[np.ndarray] = []
        self.standings: list[Standing] = []
        self.steps: list[Step] = []
        self._before: tuple[Any, Any, np.ndarray, np.ndarray] | None = None

    def take(self, row: int, numbers: Any, info: Any, rows: Any) -> None:
        """Row `row` from the state before it; nothing is kept after settlement."""
        if self.settled:
            return
        values = np.asarray(numbers)
        seen, standing, rest = np.split(values, (len(Look._fields), len(Look._fields) + len(Standing._fields)))
        owed, units = np.split(rest, 2)
        now = Standing(*standing)
        if self._before is not None:
            before_info, before_rows, before_owed, before_units = self._before
            self.standings.append(now)
            if now.account_stages != self._stages:
                kept = jax.device_get((before_rows, rows, before_info))
                self.steps.append(Step(row - 1, unpack_accounts(kept[0]), unpack_accounts(kept[1]), before_owed,
                                       units / before_units, kept[2]))  # fmt: skip
        self.looks.append(seen)
        self._before, self._stages, self.settled = (info, rows, owed, units), now.account_stages, bool(now.settled)

    def trace(self, numbers: dict[str, Any], start: Any, end: Any, plan: Any) -> Trace:
        columns = np.array(self.looks[: len(self.standings)]).T
        kinds = {name: np.bool_ for name in ("halted", "listed", "converted", "struck")} | {"phase": np.int64, "settle": np.int64}
        table = {name: column.astype(kinds.get(name, np.float64)) for name, column in zip(Look._fields, columns)}
        fund, funding = (np.array([getattr(s, name) for s in self.standings]) for name in ("fund", "funding_total"))
        return Trace(numbers, table, fund, funding, self.steps, start, end, plan)
