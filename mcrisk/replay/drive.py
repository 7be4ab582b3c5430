"""Drive one given path through the rulebook: the engine's own stages, row by row, with the ledger as difference of states.

Quiet rows run inside one compiled loop; it stops at each row in which accounts need work (or funding is paid), the
account stage runs with its ledger arrays switched on, and the loop goes on behind it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mcrisk.engine.accounts import Reference, account_stage
from mcrisk.engine.rulebook import Markets, Rulebook, build_markets, build_rulebook
from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.engine.step import close_stage, path_stage, start_accounts, start_carry
from mcrisk.rules.types import SETTLED, Row

_STAGES = {
    "fill": ("quantity", "value", "cash", "fee", "fund"), "take": ("quantity", "value", "cash"),
    "assign": ("quantity", "value", "cash", "fund"), "adl": ("quantity", "value", "cash", "fund", "own"),
    "settle": ("quantity", "value", "cash", "fee", "cut", "cover", "fund"),
    "own_adl": ("quantity", "value", "fund"), "own_settle": ("quantity", "value", "fund"),
    "own_funding": ("fund",), "own_unwind": ("fund",), "funding": ("cash",), "cover": ("cash",),
}
INFO_NAMES = tuple(f"{stage}_{what}" for stage, columns in _STAGES.items() for what in columns)


class Trace(NamedTuple):
    """What market.csv shows, one entry per row [T]."""

    phase: Array
    index: Array
    mark: Array
    lower_limit: Array
    upper_limit: Array
    premium: Array
    funding_rate: Array
    cumulative_funding: Array
    fund: Array
    funding_paid: Array      # per contract in this row
    own_funding: Array       # change of the fund by funding on its inventory
    unwound: Array           # change of the inventory by unwinding, contracts
    unwound_price: Array     # mean over both sides
    unwound_fund: Array      # change of the fund by it
    mid: Array


class Keeper(Protocol):
    """Takes what happened in a row as it happens, so that a long replay does not hold all rows' account arrays."""

    needs: frozenset[int]  # rows for which positions and entries before the row are asked for

    def take(self, row: int, info: dict[str, np.ndarray], before: Any, entry: Any, seen: dict[str, float]) -> None:
        """`info` by INFO_NAMES, each [A]; before, entry [A] or None; `seen` the row's scalars of `Trace`."""


@dataclass
class Recording:
    """A driven path: the trace row by row and the states at both ends."""

    trace: dict[str, np.ndarray]
    carry: Any = None
    accounts: Any = None
    start: Any = None


def _row(rows: Row, i: Array) -> Row:
    return jax.tree.map(lambda x: x[i][None], rows)


@jax.jit
def _begin(rules: Rulebook, markets: Markets, rows: Row, ref: Reference, outside: Array):
    carry = start_carry(rules, markets, _row(rows, jnp.int32(0)))
    return carry._replace(pool=carry.pool._replace(outside=outside)), start_accounts(ref)


@jax.jit
def _advance(rules: Rulebook, markets: Markets, rows: Row, count: Array, i: Array, carry: PathCarry, trace: Trace):
    """Run rows from i until one needs the accounts; returns the row number after it and whether it stopped there."""
    shape = jax.eval_shape(lambda: path_stage(rules, markets, carry, _row(rows, i), jnp.bool_(True))[1])
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)

    def go(state):
        i, carry, stage, trace, _ = state
        fund = carry.pool.fund[0]
        carry, stage, quotes, quiet = path_stage(rules, markets, carry, _row(rows, i), jnp.bool_(True))
        calm = quiet & jnp.all(stage.paid == 0.0)
        carry = lax.cond(calm, lambda c: close_stage(rules, markets, c, stage), lambda c: c, carry)
        v = stage.views
        values = (v.phase[0], v.index[0], v.mark[0], v.lower_limit[0], v.upper_limit[0], quotes.premium[0], quotes.rate[0],
                  carry.market.funding_total[0], carry.pool.fund[0], stage.paid[0], *_own(quotes, fund, carry), v.mid[0])
        trace = Trace(*(column.at[i].set(value.astype(column.dtype)) for column, value in zip(trace, values)))
        return i + 1, carry, stage, trace, ~calm

    def more(state):
        return (state[0] < count) & ~state[4]

    return lax.while_loop(more, go, (i, carry, blank, trace, jnp.bool_(False)))


def _own(quotes, before: Array, carry: PathCarry) -> tuple[Array, ...]:
    """What the row did to the fund before anybody's order: funding, unwound contracts, their mean price, cash."""
    after_funding = before + quotes.fund_funding[0]
    contracts = quotes.bought[0] + quotes.sold[0]
    price = quotes.unwound_value[0] / jnp.where(contracts > 0.0, contracts, 1.0)
    return (quotes.fund_funding[0], quotes.bought[0] - quotes.sold[0], price,
            carry.pool.fund[0] - after_funding)


@jax.jit
def _work(rules: Rulebook, markets: Markets, ref: Reference, stage, carry: PathCarry, accounts: Accounts, trace: Trace, i: Array):
    """The account stage of row i. What happened leaves as two arrays: one transfer each instead of thirty."""
    zeros = jnp.zeros_like(accounts.quantity)
    info = {name: zeros for name in INFO_NAMES}
    carry, accounts, _, info = account_stage(rules, markets, ref, stage, carry, accounts, info)
    carry = close_stage(rules, markets, carry, stage)
    trace = trace._replace(fund=trace.fund.at[i].set(carry.pool.fund[0]))
    seen = jnp.stack([column[i].astype(jnp.float64) for column in trace])
    return carry, accounts, trace, jnp.stack([info[name][0] for name in INFO_NAMES]), seen


def record(venue, rows: Row, count: int, quantity: np.ndarray, entry: np.ndarray, collateral: np.ndarray,
           initial_price: float, keeper: Keeper) -> Recording:
    """Drive `count` rows (numpy arrays [T] in `rows`) of one market for accounts [A]; float64 throughout.

    The book holds whatever the accounts do not net to.
    """
    jax.config.update("jax_enable_x64", True)
    contract = venue.contract.model_copy(update={"initial_price": float(initial_price), "launch_age": 0.0})
    rules = dataclasses.replace(build_rulebook(venue), rebases=True)  # an events file may rebase any market
    markets = build_markets([venue.model_copy(update={"contract": contract})])
    if len(quantity) < 2:  # two places for the fund's own entries
        quantity, entry, collateral = (np.append(x, v) for x, v in ((quantity, 0.0), (entry, 1.0), (collateral, 0.0)))
    none = np.zeros(len(quantity))
    ref = Reference(quantity[None], entry[None], collateral, none, none > 0.0)  # no makers, and nobody tops up
    rules, markets, rows, ref = jax.device_put((rules, markets, rows, ref))
    carry, accounts = _begin(rules, markets, rows, ref, np.array([-float(np.sum(quantity))]))
    blank = np.zeros(len(rows.time))
    trace = Trace(*(blank.astype(np.int32) if name == "phase" else blank for name in Trace._fields))
    recording = Recording(trace={}, start=(jax.device_get(carry.pool), quantity.copy(), entry.copy(), collateral.copy()))
    i, total = np.int32(0), np.int32(count)
    while i < count:
        at, carry, stage, trace, stopped = _advance(rules, markets, rows, total, i, carry, trace)
        i, stopped = jax.device_get((at, stopped))
        if not stopped:
            break
        row = int(i) - 1
        before = jax.device_get((accounts.quantity[0], accounts.entry[0])) if row in keeper.needs else (None, None)
        carry, accounts, trace, info, seen = _work(rules, markets, ref, stage, carry, accounts, trace, np.int32(row))
        info, seen = jax.device_get((info, seen))
        keeper.take(row, dict(zip(INFO_NAMES, info)), *before, dict(zip(Trace._fields, seen.tolist())))
    recording.carry, recording.accounts, trace = jax.device_get((carry, accounts, trace))
    columns = {name: np.array(value[:count]) for name, value in zip(Trace._fields, trace)}
    if recording.carry.market.phase[0] == SETTLED:
        columns["phase"][count - 1] = SETTLED
    if venue.backstop.enabled:
        columns["fund"][:] = 0.0
    recording.trace = columns
    return recording
