"""Drive one given path through the rulebook: the engine's own stages, row by row, with the ledger as difference of states.

Quiet rows run inside one compiled loop; it stops at each row in which accounts need work (or funding is paid), the
account stage runs with its ledger arrays switched on, and the loop goes on behind it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


@dataclass
class Recording:
    """A driven path: the trace, what happened to the accounts at which row, and the states at both ends."""

    trace: dict[str, np.ndarray]
    events: list[tuple[int, dict[str, np.ndarray], np.ndarray, np.ndarray]] = field(default_factory=list)
    carry: Any = None
    accounts: Any = None
    start: Any = None


def _row(rows: Row, i: Array) -> Row:
    return jax.tree.map(lambda x: x[i][None], rows)


@jax.jit
def _begin(rules: Rulebook, markets: Markets, rows: Row, ref: Reference, outside: Array):
    row = _row(rows, jnp.int32(0))
    carry = start_carry(rules, markets, row)
    carry = carry._replace(pool=carry.pool._replace(outside=outside))
    carry_after, stage, _, _ = path_stage(rules, markets, carry, row, jnp.bool_(True))
    del carry_after
    return carry, start_accounts(ref), stage


@jax.jit
def _advance(rules: Rulebook, markets: Markets, rows: Row, count: Array, i: Array, carry: PathCarry, stage, trace: Trace):
    """Run rows from i until one needs the accounts; returns the row number after it and whether it stopped there."""

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

    return lax.while_loop(more, go, (i, carry, stage, trace, jnp.bool_(False)))


def _own(quotes, before: Array, carry: PathCarry) -> tuple[Array, ...]:
    """What the row did to the fund before anybody's order: funding, unwound contracts, their mean price, cash."""
    after_funding = before + quotes.fund_funding[0]
    contracts = quotes.bought[0] + quotes.sold[0]
    price = quotes.unwound_value[0] / jnp.where(contracts > 0.0, contracts, 1.0)
    return (quotes.fund_funding[0], quotes.bought[0] - quotes.sold[0], price,
            carry.pool.fund[0] - after_funding)


@jax.jit
def _work(rules: Rulebook, markets: Markets, ref: Reference, stage, carry: PathCarry, accounts: Accounts):
    zeros = jnp.zeros_like(accounts.quantity)
    info = {name: zeros for name in INFO_NAMES}
    carry, accounts, _, info = account_stage(rules, markets, ref, stage, carry, accounts, info)
    return close_stage(rules, markets, carry, stage), accounts, {name: value[0] for name, value in info.items()}


def record(venue, rows: Row, count: int, quantity: np.ndarray, entry: np.ndarray, collateral: np.ndarray,
           initial_price: float) -> Recording:
    """Drive `count` rows (numpy arrays [T] in `rows`) of one market for accounts [A]; float64 throughout.

    The book holds whatever the accounts do not net to.
    """
    jax.config.update("jax_enable_x64", True)
    contract = venue.contract.model_copy(update={
        "initial_price": float(initial_price), "launch_age": 0.0, "open_interest": venue.contract.open_interest})
    rules = dataclasses.replace(build_rulebook(venue), rebases=True)  # an events file may rebase any market
    markets = build_markets([venue.model_copy(update={"contract": contract})])
    if len(quantity) < 2:  # two places for the fund's own entries
        quantity, entry, collateral = (np.append(x, v) for x, v in ((quantity, 0.0), (entry, 1.0), (collateral, 0.0)))
    device_rows = jax.tree.map(jnp.asarray, rows)
    ref = Reference(jnp.asarray(quantity)[None], jnp.asarray(entry)[None], jnp.asarray(collateral), jnp.zeros(len(quantity)),
                    jnp.zeros(len(quantity), bool))
    outside = jnp.asarray([-float(np.sum(quantity))])
    carry, accounts, stage = _begin(rules, markets, device_rows, ref, outside)
    blank = jnp.zeros(len(rows.time))
    trace = Trace(*(blank.astype(jnp.int32) if name == "phase" else blank for name in Trace._fields))
    recording = Recording(trace={}, start=(jax.device_get(carry.pool), quantity.copy(), entry.copy(), collateral.copy()))
    i, total = jnp.int32(0), jnp.int32(count)
    patched: list[tuple[int, float]] = []
    while int(i) < count:
        i, carry, stage, trace, stopped = _advance(rules, markets, device_rows, total, i, carry, stage, trace)
        if not bool(stopped):
            break
        before, entry_before = np.asarray(accounts.quantity[0]), np.asarray(accounts.entry[0])
        carry, accounts, info = _work(rules, markets, ref, stage, carry, accounts)
        patched.append((int(i) - 1, float(carry.pool.fund[0])))
        recording.events.append((int(i) - 1, jax.device_get(info), before, entry_before))
    columns = {name: np.array(value[:count]) for name, value in zip(Trace._fields, trace)}
    for row, fund in patched:
        columns["fund"][row] = fund
    if int(carry.market.phase[0]) == SETTLED:
        columns["phase"][count - 1] = SETTLED
    if venue.backstop.enabled:
        columns["fund"][:] = 0.0
    recording.trace, recording.carry, recording.accounts = columns, jax.device_get(carry), jax.device_get(accounts)
    return recording
