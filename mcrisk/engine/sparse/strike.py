"""Re-strikes, and the end of a path: only the accounts in the list are walked through."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.accounts import Stage
from mcrisk.engine.guard import rearm_latent
from mcrisk.engine.rulebook import Markets, Rulebook
from mcrisk.engine.sparse import orders as static
from mcrisk.engine.sparse.memory import peek, poke
from mcrisk.engine.sparse.orders import Orders
from mcrisk.engine.sparse.rows import DEPOSITS, Book, no_limits, person
from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.rules.types import SETTLED


def restrike(rules: Rulebook, markets: Markets, orders: Orders, stage: Stage, carry: PathCarry, book: Book
             ) -> tuple[PathCarry, Book]:
    """`engine.accounts._restrike` where it is due: the listed accounts one by one, all others at once."""
    due = stage.rows.restrike & (stage.views.phase != SETTLED) & (carry.market.phase != SETTLED)

    def renew(carry, book):
        mark, total = stage.views.mark[0], carry.market.funding_total[0]
        unit = mark / markets.initial_price[0]
        listed = book.listed

        def one(state):
            i, rows, held, reference, moved = state
            account = peek(listed.account, i)
            who = person(orders, book._replace(rows=rows), account)
            quantity = peek(orders.table, account, static.QUANTITY)
            entry = peek(orders.table, account, static.ENTRY)
            cash = peek(orders.table, account, static.COLLATERAL)
            paid = who.collateral - who.quantity * (total - who.paid)
            brought = cash + quantity / unit * (mark - entry * unit) - (paid + who.quantity * (mark - who.entry))
            rows = poke(rows, who.deposits + brought, account, DEPOSITS)
            moved = moved + (cash - quantity * entry) - (paid - who.quantity * who.entry)
            return i + 1, rows, held + who.quantity, reference + quantity, moved

        zero = jnp.float64(0.0)
        _, rows, held, reference, moved = lax.while_loop(
            lambda s: s[0] < book.count, one, (0, book.rows, zero, zero, zero))
        others = orders.total - reference
        contracts = orders.total / unit - (others / book.unit + held)
        owed = total - book.funding
        moved = moved + others / book.unit * owed
        gain = mark / unit - (mark - owed) / book.unit
        drift = poke(book.drift, peek(book.drift, book.generation) + gain, book.generation + 1)
        pool = carry.pool._replace(outside=carry.pool.outside - contracts, outside_cash=carry.pool.outside_cash - moved,
                                   assigned=jnp.zeros_like(carry.pool.assigned))
        none = 0
        book = book._replace(rows=rows, drift=drift, count=none, unit=unit, struck=mark, funding=total,
                             generation=book.generation + 1, level=none, fallen=none, risen=none, limits=no_limits())
        guard = rearm_latent(carry.guard, due, stage.views.mark, rules.latent_from)
        return carry._replace(pool=pool, guard=guard), book

    return lax.cond(due[0], renew, lambda c, b: (c, b), carry, book)


def all_accounts(orders: Orders, book: Book, total: Array) -> Accounts:
    """Every account at the end of a path, all funding paid; as `state.Accounts`."""
    count = orders.table.shape[0] - 1
    real = lambda: lax.empty((count,), jnp.float64)  # noqa: E731
    truth = lambda: lax.empty((count,), jnp.bool_)  # noqa: E731

    def one(i, a):
        who = person(orders, book, i)
        cash = who.collateral - who.quantity * (total - who.paid)
        return Accounts(poke(a.quantity, who.quantity, i), poke(a.entry, who.entry, i), poke(a.collateral, cash, i),
                        poke(a.last_partial, who.last_partial, i), poke(a.deposits, who.deposits, i),
                        poke(a.liquidated, who.flags & 1 != 0, i), poke(a.deleveraged, who.flags & 2 != 0, i),
                        poke(a.topped, who.flags & 4 != 0, i))

    start = Accounts(*(real() for _ in range(5)), truth(), truth(), truth())
    done = lax.fori_loop(0, jnp.int64(count), one, start)
    return done._replace(quantity=done.quantity[None], entry=done.entry[None], last_partial=done.last_partial[None])
