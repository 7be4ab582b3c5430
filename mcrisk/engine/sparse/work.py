"""A row of one path in which accounts may need work: candidates into the slot, the rules, back again."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.accounts import Flows, Stage, work_accounts
from mcrisk.engine.guard import FUNDING_SLACK, executable, note_latent, phase_tiers
from mcrisk.engine.sparse.counterparties import CLASSES, counterparties, everybody
from mcrisk.engine.sparse.find import bands, find
from mcrisk.engine.sparse.latent import deficit
from mcrisk.engine.sparse.memory import peek, spanned
from mcrisk.engine.sparse.rows import Book, Slot, fill_slot, no_limits, open_book, reference_of, widths, write_back
from mcrisk.engine.sparse.strike import restrike
from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.engine.topup import watched
from mcrisk.rules.adl import Demand
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
    taken = {int(n) for leaf in jax.tree.leaves(cell) for n in leaf.shape}
    return widths(cell.orders.table.shape[0] - 1, taken | {cell.params.grid.slope.shape[-1] + 2, 96, 1440, 2 * CLASSES})


class Attempt(NamedTuple):
    """A row being worked off for some accounts; again with more of them where it turns out to concern others."""

    left: Array      # bool: (still) to be done
    hold: Array      # bool: counterparties of ADL are not among the accounts
    complete: Array  # bool: nobody else could be a counterparty
    index: Array     # [S] accounts in file order, the first `n`
    n: Array
    carry: PathCarry
    book: Book
    flows: Flows


def work_row(cell: Any, stage: Stage, carry: PathCarry, book: Book, dense: Array) -> tuple[PathCarry, Book, Flows]:
    """What `account_stage` does, for those whom the row can concern; `dense`: for everybody."""
    rules, orders = cell.rules, cell.orders
    mark, total = stage.views.mark[0], carry.market.funding_total[0]
    settles = (stage.rows.settle[0] != NO_SETTLE) & (stage.views.phase[0] != SETTLED)
    ratio = stage.rows.rebase[0] if rules.rebases else jnp.float64(1.0)
    all_ = dense | settles | (ratio != 1.0)
    seen = total * ratio if rules.rebases else total   # funding in the units of the book
    phase = (stage.views.phase[0] == POST).astype(jnp.int64)
    book, index, n = find(orders, book, mark * ratio, seen, phase, stage.units[0], lax.empty((axes(cell)[0],), jnp.int64))
    needed = (n > 0) | jnp.any(stage.fund_short > 0.0) | (rules.adl.scope == "inventory")
    index, n = lax.cond(all_, lambda i: everybody(orders, i), lambda i: (i, n), index)
    none = jnp.zeros_like(stage.rows.bid.consumed)
    first = Attempt(needed | all_, ~all_, all_, index, n, carry, book, Flows(none, none, none))
    done = lax.while_loop(lambda a: a.left, lambda a: _attempt(cell, stage, ratio, total, a), first)
    book = done.book._replace(wanted=jnp.zeros_like(done.book.wanted))
    carry = _look(orders, stage, done.carry, book, done.flows)
    carry, book = restrike(rules, cell.markets, orders, stage, carry, book)
    return _guarded(orders, carry, book, mark), book, done.flows


def _attempt(cell: Any, stage: Stage, ratio: Array, total: Array, a: Attempt) -> Attempt:
    """The rules on the accounts of the attempt; done, or whom the next one needs."""
    rules, orders, width = cell.rules, cell.orders, axes(cell)[0]

    def body(carry, book, flows, index):
        slot = fill_slot(orders, book, index, a.n, ratio)
        new, accounts, sold, _, more = work_accounts(rules, cell.markets, reference_of(slot), stage, carry, slot.accounts,
                                                     slot.paid, None, a.hold)
        asked = jnp.any(more.wants.contracts > 0.0)
        all_ = more.shortfall & (a.n < orders.table.shape[0] - 1) | more.lacking & ~a.complete

        def commit(carry, book, flows):
            if rules.rebases:
                # who has a position is written back in new units
                limits = jax.tree.map(lambda old, new: jnp.where(ratio != 1.0, new, old), book.limits, no_limits())
                book = book._replace(unit=book.unit / ratio, struck=book.struck / ratio, funding=book.funding / ratio,
                                     limits=limits)
            return new, _commit(cell, stage, new, book, slot, accounts, a.n, ratio), sold

        return *lax.cond(all_ | asked, lambda c, b, f: (c, b, f), commit, carry, book, flows), all_, more.wants

    nobody = Demand(jnp.zeros(2), jnp.zeros(2))
    carry, book, flows, all_, wants = spanned(
        jnp.maximum(a.n, 1), width, body, lambda c, b, f, _: (c, b, f, jnp.bool_(False), nobody),
        a.carry, a.book, a.flows, a.index)
    asked = ~all_ & jnp.any(wants.contracts > 0.0)
    index, n = lax.cond(all_, lambda i: everybody(orders, i), lambda i: (i, a.n), a.index)
    index, n, complete = lax.cond(
        asked, lambda i, n: counterparties(rules, orders, book, stage, total, wants, i, lax.empty((width,), jnp.float64)),
        lambda i, n: (i, n, all_), index, n)
    return Attempt(all_ | asked, jnp.bool_(False), complete, index, n, carry, book, flows)


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
