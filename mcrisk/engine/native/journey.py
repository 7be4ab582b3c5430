"""A whole path as one JAX function: what the native source is generated from, and what tests compare it with."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.accounts import account_stage
from mcrisk.engine.ahead import no_shocks, shocks_of
from mcrisk.engine.lanes import LaneResult, jump_ratio
from mcrisk.engine.sparse import work
from mcrisk.engine.sparse.strike import all_accounts
from mcrisk.engine.step import start_accounts
from mcrisk.engine.trip import Cell, close_row, no_flows, open_path, price_row


def journey(cell: Cell, lo: Array, hi: Array, forced: Any, dense: Array, ahead: bool = False) -> LaneResult:
    """Path (lo, hi) from row 0 to the last; `dense` looks at everybody in every row.

    `ahead`: draw the shocks of several rows at once (static; see `engine.ahead`).
    """
    return (sparse_journey if cell.orders else dense_journey)(cell, lo, hi, forced, dense, ahead)


def sparse_journey(cell: Cell, lo: Array, hi: Array, forced: Any, dense: Array, ahead: bool) -> LaneResult:
    """One market: rows cost what the accounts they concern cost (`engine.sparse`)."""
    trip, book = open_path(cell, lo, hi, forced), work.start(cell)

    def step(state: tuple, k: Array):
        trip, book, store = state
        store, shocks = shocks_of(cell, trip, store, k) if ahead else (store, None)
        trip, priced = price_row(cell, trip, k, shocks)
        carry, book, flows = lax.cond(
            priced.work | (dense & priced.alive), lambda c, b: work.work_row(cell, priced.stage, c, b, dense),
            lambda c, b: (c, b, no_flows(priced.stage)), trip.carry, book)
        trip, seen = close_row(cell, trip._replace(carry=carry), priced, flows)
        return (trip, book, store), seen

    steps = cell.params.grid.slope.shape[-1]
    store = no_shocks(cell) if ahead else ()
    (trip, book, _), seen = lax.scan(step, (trip, book, store), jnp.arange(steps, dtype=jnp.int32))
    total = trip.carry.market.funding_total
    carry = trip.carry._replace(guard=trip.carry.guard._replace(funding=total))   # everybody has paid up to here
    return LaneResult(carry, all_accounts(cell.orders, book, total[0]), trip.plan, seen, jump_ratio(trip))


def dense_journey(cell: Cell, lo: Array, hi: Array, forced: Any, dense: Array, ahead: bool) -> LaneResult:
    """Several markets: `dense` looks at the accounts in every row."""
    trip, accounts = open_path(cell, lo, hi, forced), start_accounts(cell.ref)

    def step(state: tuple, k: Array):
        trip, accounts, store = state
        store, shocks = shocks_of(cell, trip, store, k) if ahead else (store, None)
        trip, priced = price_row(cell, trip, k, shocks)

        def work(carry, accounts):
            return account_stage(cell.rules, cell.markets, cell.ref, priced.stage, carry, accounts)[:3]

        def idle(carry, accounts):
            return carry, accounts, no_flows(priced.stage)

        carry, accounts, flows = lax.cond(priced.work | (dense & priced.alive), work, idle, trip.carry, accounts)
        trip, seen = close_row(cell, trip._replace(carry=carry), priced, flows)
        return (trip, accounts, store), seen

    steps = cell.params.grid.slope.shape[-1]
    store = no_shocks(cell) if ahead else ()
    (trip, accounts, _), seen = lax.scan(step, (trip, accounts, store), jnp.arange(steps, dtype=jnp.int32))
    return LaneResult(trip.carry, accounts, trip.plan, seen, jump_ratio(trip))
