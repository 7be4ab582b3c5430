"""Drive one given path through the rulebook: the engine's own stages, row by row, with the ledger as difference of states.

Quiet rows run inside one compiled loop; it stops at each row in which accounts need work (or funding is paid), the
account stage runs with its ledger arrays switched on, and the loop goes on behind it. What happened is gathered in a few
slots on the device and handed over when they are full, so that a short replay is one call and a long one keeps no more.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mcrisk.config.venue import Phase, Venue
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

    def take(self, row: int, info: dict[str, np.ndarray], before: np.ndarray, entry: np.ndarray, seen: dict[str, float]) -> None:
        """`info` by INFO_NAMES, each [A]; before, entry [A] as the row found them; `seen` the row's scalars of `Trace`."""


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
    carry = carry._replace(pool=carry.pool._replace(outside=outside))
    blank = jnp.zeros_like(rows.time)
    trace = Trace(*(blank.astype(jnp.int32) if name == "phase" else blank for name in Trace._fields))
    accounts = len(ref.collateral)
    slots = _slots(accounts)
    happened = jnp.zeros((slots, len(INFO_NAMES) + 2, accounts))
    return Drive(jnp.int32(0), carry, start_accounts(ref), trace, jnp.int32(0), jnp.zeros(slots, jnp.int32), happened)


def _next_event(rules: Rulebook, markets: Markets, rows: Row, count: Array, i: Array, carry: PathCarry, trace: Trace):
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


class Drive(NamedTuple):
    """A replay under way."""

    next: Array        # row
    carry: PathCarry
    accounts: Accounts
    trace: Trace
    filled: Array      # slots of `happened` in use
    rows: Array        # [slots] the row of each
    happened: Array    # [slots, INFO_NAMES and positions and entries before, A]


@partial(jax.jit, donate_argnums=(5,))
def _advance(rules: Rulebook, markets: Markets, rows: Row, ref: Reference, count: Array, state: Drive) -> Drive:
    """Run on until all slots are filled or the rows are done; one call and one transfer for many rows."""

    def work(args):
        stage, carry, accounts = args
        info = {name: jnp.zeros_like(accounts.quantity) for name in INFO_NAMES}
        carry, accounts, _, info = account_stage(rules, markets, ref, stage, carry, accounts, info)
        return close_stage(rules, markets, carry, stage), accounts, jnp.stack([info[name][0] for name in INFO_NAMES])

    def none(args):
        return args[1], args[2], jnp.zeros(s_info, jnp.float64)

    s_info = (len(INFO_NAMES), ref.collateral.shape[0])

    def go(s: Drive) -> Drive:
        i, carry, stage, trace, stopped = _next_event(rules, markets, rows, count, s.next, s.carry, s.trace)
        before = jnp.stack([s.accounts.quantity[0], s.accounts.entry[0]])
        carry, accounts, info = lax.cond(stopped, work, none, (stage, carry, s.accounts))
        trace = trace._replace(fund=trace.fund.at[i - 1].set(carry.pool.fund[0]))
        happened = lax.dynamic_update_index_in_dim(s.happened, jnp.concatenate([info, before]), s.filled, 0)
        return Drive(i, carry, accounts, trace, s.filled + stopped, s.rows.at[s.filled].set(i - 1), happened)

    return lax.while_loop(lambda s: (s.next < count) & (s.filled < s.rows.shape[0]), go, state)


def _slots(accounts: int) -> int:
    """So many rows' account arrays are kept on the device: at most about 64 MB of them."""
    return max(4, min(32, 2**23 // (accounts * (len(INFO_NAMES) + 2))))


def record(venue: Venue, rows: Row, count: int, quantity: np.ndarray, entry: np.ndarray, collateral: np.ndarray,
           initial_price: float, keeper: Keeper) -> Recording:
    """Drive `count` rows (numpy arrays [T] in `rows`) of one market for accounts [A]; float64 throughout.

    The book holds whatever the accounts do not net to.
    """
    jax.config.update("jax_enable_x64", True)
    contract = venue.contract.model_copy(update={"initial_price": float(initial_price), "launch_age": 0.0})
    venue = with_tape(venue, rows.utc[:count])
    rules = dataclasses.replace(build_rulebook(venue), rebases=True)  # an events file may rebase any market
    markets = build_markets([venue.model_copy(update={"contract": contract})])
    if len(quantity) < 2:  # two places for the fund's own entries
        quantity, entry, collateral = (np.append(x, v) for x, v in ((quantity, 0.0), (entry, 1.0), (collateral, 0.0)))
    none = np.zeros(len(quantity))
    ref = Reference(quantity[None], entry[None], collateral, none, none > 0.0)  # no makers, and nobody tops up
    rules, markets, rows, ref = jax.device_put((rules, markets, rows, ref))
    state = _begin(rules, markets, rows, ref, np.array([-float(np.sum(quantity))]))
    recording = Recording(trace={}, start=(jax.device_get(state.carry.pool), quantity.copy(), entry.copy(), collateral.copy()))
    total, at = np.int32(count), 0
    while at < count:
        state = _advance(rules, markets, rows, ref, total, state)
        at, filled, where = jax.device_get((state.next, state.filled, state.rows))
        _hand_over(keeper, state, where[:filled])
        state = state._replace(filled=np.int32(0))
    recording.carry, recording.accounts, trace = jax.device_get((state.carry, state.accounts, state.trace))
    columns = {name: np.array(value[:count]) for name, value in zip(Trace._fields, trace)}
    if recording.carry.market.phase[0] == SETTLED:
        columns["phase"][count - 1] = SETTLED
    if venue.backstop.enabled:
        columns["fund"][:] = 0.0
    recording.trace = columns
    return recording


def with_tape(venue: Venue, utc: np.ndarray) -> Venue:
    """The profile with room for every row that a mean of trades over the last seconds may need; utc [T] seconds."""

    def roomy(phase: Phase) -> Phase:
        if phase.mark.kind != "trade_mean":
            return phase
        inside = np.arange(1, len(utc) + 1) - np.searchsorted(utc, utc - phase.mark.window, side="right")
        tape = max(phase.mark.tape, int(inside.max()))
        return phase.model_copy(update={"mark": phase.mark.model_copy(update={"tape": tape})})

    return venue.model_copy(update={"pre": roomy(venue.pre), "post": roomy(venue.post)})


def _hand_over(keeper: Keeper, state: Drive, rows: np.ndarray) -> None:
    """Give the keeper what happened in `rows`, the rows of the filled slots."""
    happened = np.asarray(state.happened)
    columns = {name: np.asarray(column)[rows].tolist() for name, column in zip(Trace._fields, state.trace)}
    for slot, row in enumerate(rows.tolist()):
        *info, before, entry = happened[slot]
        keeper.take(row, dict(zip(INFO_NAMES, info)), before, entry, {name: column[slot] for name, column in columns.items()})
