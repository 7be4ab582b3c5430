"""Who can be a counterparty of ADL in a row: the best-ranked accounts whose positions add up to what is asked for.

The queue serves by score. Accounts are counted into classes of scores (`_FINE` to a power of two); all from the class down
in which the positions are enough come into the slot, where the rules rank and close them. Scores are computed here before
anything else of the row has happened to these accounts, which moves them by rounding only: nobody else has done anything
to them. Where the positions turn out not to be enough (`Others.lacking`), the row is done with everybody.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.accounts import Stage
from mcrisk.engine.guard import phase_tiers
from mcrisk.engine.sparse import orders as static
from mcrisk.engine.sparse.find import collect
from mcrisk.engine.sparse.memory import peek, poke
from mcrisk.engine.sparse.orders import Orders
from mcrisk.engine.sparse.rows import COLLATERAL, ENTRY, PAID, QUANTITY, Book, bit, is_current, set_bit
from mcrisk.rules.adl import SIDES, Demand, counterparty_size, score
from mcrisk.rules.margin import maintenance_margin

_FINE = 8                 # classes to a power of two
_LOWEST = 1023 - 32       # exponent of the lowest class; what is below belongs to it
CLASSES = 64 * _FINE
_SHIFT = 49               # of a float's bits, for three bits of the mantissa
_HAIR = 1e-9              # relative: more than what rounding does to scores and sums


def everybody(orders: Orders, index: Array) -> tuple[Array, Array]:
    """All accounts in file order, and how many."""
    count = jnp.int64(orders.table.shape[0] - 1)
    return lax.fori_loop(0, count, lambda i, index: poke(index, i, i), index), count


def counterparties(rules: Any, orders: Orders, book: Book, stage: Stage, total: Array, wants: Demand, index: Array,
                   scores: Array) -> tuple[Array, Array, Array]:
    """Accounts in file order, how many, and whether they are all that can be (then a short queue is just short).

    total: cumulative funding with this row's. index, scores: memory [S].
    """
    asked = wants.contracts > 0.0
    # counterparties of longs are shorts, and stand first
    longs = peek(orders.ends, 1)
    start, stop = jnp.where(asked[0], peek(orders.ends, 0), longs), jnp.where(asked[1], peek(orders.ends, 2), longs)
    scores, sizes = _ranked(rules, orders, book, stage, total, wants, (start, stop), scores)
    long_from, short_from = (_from(sizes, side, wants.contracts[side]) for side in range(len(SIDES)))

    def one(state):
        place, chosen = state
        ranked = peek(scores, place)
        taken = ranked >= jnp.where(place < longs, long_from, short_from)
        return place + 1, lax.cond(taken, lambda c: set_bit(c, peek(orders.sided, place), jnp.bool_(True)), lambda c: c, chosen)

    _, chosen = lax.while_loop(lambda s: s[0] < stop, one, (start, book.wanted))
    complete = (~asked[0] | (long_from <= 0.0)) & (~asked[1] | (short_from <= 0.0))
    return *collect(chosen, index), complete


def _ranked(rules: Any, orders: Orders, book: Book, stage: Stage, total: Array, wants: Demand, places: tuple[Array, Array],
            scores: Array) -> tuple[Array, Array]:
    """Scores [S] of the accounts at `places` of `orders.sided` (−1: nobody's counterparty) and contracts by class [2·CLASSES]."""
    mark = stage.views.mark[0]
    tiers = phase_tiers(rules, stage.views.phase[0], stage.units[0])

    def rank(account, quantity, entry, cash, sizes):
        worth = cash + quantity * (mark - entry)
        needed = (maintenance_margin(tiers, jnp.abs(quantity), mark, rules.pre.mode, jnp.float64(0.0))
                  if rules.adl.rank == "binance" else mark)
        value = score(rules.adl.rank, quantity, entry, cash, worth, needed, mark)
        short = quantity < 0.0
        size = counterparty_size(quantity, entry, cash, mark, jnp.where(short, wants.price[0], wants.price[1]),
                                 jnp.where(short, SIDES[0], SIDES[1]))
        size = jnp.where(bit(book.wanted, account), 0.0, size)   # what liquidation leaves of these is not known
        of_score = (lax.bitcast_convert_type(value, jnp.int64) >> _SHIFT) - _LOWEST * _FINE
        place = jnp.where(short, 0, CLASSES) + jnp.clip(of_score, 0, CLASSES - 1)
        return value, poke(sizes, peek(sizes, place) + size, place)

    def one(state):
        place, scores, sizes = state
        account = peek(orders.sided, place)
        quantity, entry, cash = lax.cond(is_current(book, account), lambda: _row(book, account, total),
                                         lambda: _reference(orders, book, account, total))
        value, sizes = lax.cond(quantity * (mark - entry) > 0.0, rank, lambda *a: (jnp.float64(-1.0), a[-1]),
                                account, quantity, entry, cash, sizes)
        return place + 1, poke(scores, value, place), sizes

    start, stop = places
    _, scores, sizes = lax.while_loop(lambda s: s[0] < stop, one, (start, scores, jnp.zeros(2 * CLASSES)))
    return scores, sizes


def _row(book: Book, account: Array, total: Array) -> tuple[Array, Array, Array]:
    """(quantity, entry, collateral when all funding is paid) of an account looked at since the last re-strike."""
    quantity = peek(book.rows, account, QUANTITY)
    return (quantity, peek(book.rows, account, ENTRY),
            peek(book.rows, account, COLLATERAL) - quantity * (total - peek(book.rows, account, PAID)))


def _reference(orders: Orders, book: Book, account: Array, total: Array) -> tuple[Array, Array, Array]:
    """The same of any other."""
    quantity = peek(orders.table, account, static.QUANTITY) / book.unit
    return (quantity, peek(orders.table, account, static.ENTRY) * book.unit,
            peek(orders.table, account, static.COLLATERAL) - quantity * (total - book.funding))


def _from(sizes: Array, side: int, asked: Array) -> Array:
    """The score from which positions are enough; 0 where all are needed, inf where nothing is asked for."""

    def down(state):
        place, found = state
        return place - 1, found + peek(sizes, side * CLASSES + place - 1)

    enough = asked * (1.0 + _HAIR)
    place, _ = lax.while_loop(lambda s: (s[0] > 0) & (s[1] < enough), down, (jnp.int64(CLASSES), jnp.float64(0.0)))
    edge = lax.bitcast_convert_type((place + _LOWEST * _FINE) << _SHIFT, jnp.float64) * (1.0 - _HAIR)
    return jnp.where(asked > 0.0, jnp.where(place > 0, edge, 0.0), jnp.inf)


__all__ = ["CLASSES", "counterparties", "everybody"]
