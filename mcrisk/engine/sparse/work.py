"""A row of one path in which accounts may need work: candidates into the slot, the rules, back again."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.accounts import Flows, Others, Stage, work_accounts
from mcrisk.engine.guard import FUNDING_SLACK, executable, note_latent, phase_tiers
from mcrisk.engine.sparse.find import bands, find
from mcrisk.engine.sparse.latent import deficit
from mcrisk.engine.sparse.memory import peek, spanned
from mcrisk.engine.sparse.rows import Book, Slot, concerned, fill_slot, open_book, reference_of, widths, write_back
from mcrisk.engine.sparse.strike import restrike
from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.engine.topup import watched
from mcrisk.rules.liquidation import fee_rate
from mcrisk.rules.margin import maintenance_margin, trigger_prices
from mcrisk.rules.types import NO_SETTLE, POST, SETTLED

FUNDING_SHARE = 0.25   # of what an account has above maintenance


def start(cell: Any) -> Book:
    """The book of a path before row 0."""
    steps = cell.params.grid.slope.shape[-1]
    return open_book(cell.orders, steps, axes(cell)[1], cell.markets.initial_price[0])


def axes(cell: Any) -> tuple[int, int]:
    """Lengths of slot and list."""
    import jax

    taken = {int(n) for leaf in jax.tree.leaves(cell) for n in leaf.shape}
    return widths(cell.orders.table.shape[0] - 1, taken | {cell.params.grid.slope.shape[-1] + 2, 96, 1440})


def work_row(cell: Any, stage: Stage, carry: PathCarry, book: Book, dense: Array) -> tuple[PathCarry, Book, Flows]:
    """What `account_stage` does, for those whom the row can concern; `dense`: for everybody."""
    rules, orders = cell.rules, cell.orders
    width = axes(cell)[0]
    mark, total = stage.views.mark[0], carry.market.funding_total[0]
    settles = (stage.rows.settle[0] != NO_SETTLE) & (stage.views.phase[0] != SETTLED)
    ratio = stage.rows.rebase[0] if rules.rebases else jnp.float64(1.0)
    everybody = dense | settles | (ratio != 1.0)
    seen = total * ratio if rules.rebases else total   # funding in the units of the book
    phase = (stage.views.phase[0] == POST).astype(jnp.int64)
    book, index, n = find(orders, book, mark * ratio, seen, phase, stage.units[0], lax.empty((width,), jnp.int64))
    needed = (n > 0) | jnp.any(stage.fund_short > 0.0) | (rules.adl.scope == "inventory")
    none = jnp.zeros_like(stage.rows.bid.consumed)
    flows = Flows(none, none, none)

    def some(carry, book, flows, index):
        slot = fill_slot(orders, book, index, n, ratio)
        new, accounts, sold, _, more = work_accounts(rules, cell.markets, reference_of(slot), stage, carry, slot.accounts,
                                                     slot.paid, None, True)

        def commit(carry, book, flows):
            return new, _commit(cell, stage, new, book, slot, accounts, n, ratio), sold

        again = more.shortfall | more.adl_long | more.adl_short
        return *lax.cond(again, lambda c, b, f: (c, b, f), commit, carry, book, flows), more

    take = jnp.where(needed & ~everybody, jnp.maximum(n, 1), 0)
    nothing = Others(jnp.bool_(False), jnp.bool_(False), jnp.bool_(False))
    carry, book, flows, more = spanned(take, width, some, lambda c, b, f, _: (c, b, f, nothing), carry, book, flows, index)
    everybody = everybody | more.shortfall
    index, count = lax.cond(everybody | more.adl_long | more.adl_short,
                            lambda i: concerned(orders, book, mark, everybody, more, i),
                            lambda i: (i, jnp.int64(0)), index)

    def every(carry, book, index):
        slot = fill_slot(orders, book, index, count, ratio)
        new, accounts, sold, _, _ = work_accounts(rules, cell.markets, reference_of(slot), stage, carry, slot.accounts, slot.paid)
        if rules.rebases:
            book = book._replace(unit=book.unit / ratio, struck=book.struck / ratio, funding=book.funding / ratio)
        return new, _commit(cell, stage, new, book, slot, accounts, count, ratio), sold

    carry, book, flows = spanned(count, width, every, lambda c, b, _: (c, b, flows), carry, book, index)
    book = book._replace(wanted=jnp.zeros_like(book.wanted))
    carry = _look(orders, stage, carry, book, flows)
    carry, book = restrike(rules, cell.markets, orders, stage, carry, book)
    return _guarded(orders, carry, book, mark), book, flows


def _commit(cell: Any, stage: Stage, carry: PathCarry, book: Book, slot: Slot, new: Accounts, n: Array, ratio: Array) -> Book:
    """Accounts that were candidates, or that the rules changed beyond plain funding, go back with new triggers."""
    rules, old, total, mark = cell.rules, slot.accounts, carry.market.funding_total, stage.views.mark[0]
    plain = old.collateral - old.quantity[0] * ((total - stage.paid) - slot.paid[0]) - old.quantity[0] * stage.paid
    changed = ((new.quantity[0] != old.quantity[0]) | (new.collateral != plain) | (new.deposits != old.deposits)
               | (new.last_partial[0] != old.last_partial[0]) | (new.liquidated != old.liquidated)
               | (new.deleveraged != old.deleveraged) | (ratio != 1.0))
    tiers, watch = phase_tiers(rules, stage.views.phase[0], stage.units[0]), watched(slot.tops_up, new)
    extra, size = fee_rate(rules.liquidation), jnp.abs(new.quantity[0])
    worth = new.collateral + new.quantity[0] * (mark - new.entry[0])
    room = worth - watch * maintenance_margin(tiers, size, mark, rules.pre.mode, extra)
    # whoever is far from maintenance may owe more before being looked at again
    linear = peek(cell.orders.linear, book.phase)
    slack = jnp.clip(FUNDING_SHARE * room / jnp.where(size > 0.0, size, 1.0), FUNDING_SLACK * mark, mark)
    cushion = new.collateral - jnp.where(linear, 0.0, slack) * size
    triggers = trigger_prices(tiers, new.quantity[0], new.entry[0], cushion, mark, rules.pre.mode, extra, watch)
    window = jnp.where(linear, jnp.inf, slack)
    return write_back(cell.orders, book, slot, new, n, total[0], changed, triggers, window)


def _look(orders: Any, stage: Stage, carry: PathCarry, book: Book, flows: Flows) -> PathCarry:
    """`guard.look_again` on the whole book."""
    bid, ask, due = executable(stage, carry.guard, flows)
    found = lax.cond(jnp.any(due), lambda b: deficit(orders, b, bid[0], ask[0], carry.market.funding_total[0]),
                     lambda b: jnp.float64(0.0), book)
    return note_latent(carry, bid, ask, due, found)


def _guarded(orders: Any, carry: PathCarry, book: Book, mark: Array) -> PathCarry:
    """Bands for the rows to come; a row has been looked at."""
    total, slack = carry.market.funding_total, FUNDING_SLACK * mark
    lo, hi, room = bands(orders, book, total[0], slack)
    guard = carry.guard._replace(lo=lo[None], hi=hi[None], funding=total, slack=room[None], hot=jnp.bool_(False))
    return carry._replace(guard=guard, tally=carry.tally._replace(account_stages=carry.tally.account_stages + 1))
