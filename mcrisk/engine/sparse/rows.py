"""State of the accounts of one path, and the way of accounts into the slot and back.

A row of `Book.rows` is valid from the first time its account was looked at in the path (`known`). Its position, cash and
trigger prices count only until the next re-strike (`generation`); deposits and flags for good. Until it is looked at
again after a re-strike an account is its reference row and has been credited, at every re-strike, with q_ref times the
same amount (`drift`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.accounts import Reference
from mcrisk.engine.sparse import orders as static
from mcrisk.engine.sparse.memory import peek, poke
from mcrisk.engine.sparse.orders import FIELDS, Orders
from mcrisk.engine.state import Accounts

QUANTITY, ENTRY, COLLATERAL, LAST_PARTIAL, DEPOSITS, MARKS, PAID, PLACE = range(FIELDS)
LIQUIDATED, DELEVERAGED, TOPPED, GENERATION = 1, 2, 4, 8   # of MARKS: flags, and generation · 8
GENERATION_SHIFT = 3
WORD = 6   # a word of 64 bits holds 2^6 accounts


class Listed(NamedTuple):
    """Accounts looked at since the last re-strike; [D], `count` in use. Closed ones have infinite triggers."""

    account: Array   # int64
    low: Array       # mark prices below and above which the account has to be looked at
    high: Array
    paid: Array      # cumulative funding when they were computed
    window: Array    # how far it may move before they stop to hold; inf where `find.moved` says what it does to them
    quantity: Array  # equity at price p and cumulative funding F is quantity·(p − F − zero)
    zero: Array
    was_quantity: Array  # the same of its reference row
    was_zero: Array


class Limits(NamedTuple):
    """Nobody in the list has to be looked at while the mark is between `lo` and `hi` and funding moves by less than `room`."""

    lo: Array
    hi: Array
    room: Array


def no_limits() -> Limits:
    """Of an empty list."""
    return Limits(jnp.float64(-jnp.inf), jnp.float64(jnp.inf), jnp.float64(jnp.inf))


class Book(NamedTuple):
    """All accounts of a path."""

    rows: Array        # [A + 1, FIELDS]
    known: Array       # [W] uint64: bit a is set once row a has been written
    wanted: Array      # [W] uint64: who has to be looked at in this row
    drift: Array       # [T + 2] what re-strikes credited per reference contract, up to each generation
    listed: Listed
    count: Array       # int64 entries of `listed`
    unit: Array        # mark of the last re-strike over the initial price
    struck: Array      # mark of the last re-strike
    funding: Array     # cumulative funding then
    generation: Array  # int64 re-strikes so far
    level: Array       # int64 static order in force
    fallen: Array      # int64 places of the orders up to which accounts have been looked at
    risen: Array
    phase: Array       # int64: 0 before, 1 after conversion: whose orders
    limits: Limits     # at the row's funding, of accounts not looked at in it and of those that went back


class Slot(NamedTuple):
    """Accounts brought together; [S], the first `n` in use, in file order, the others nobody."""

    accounts: Accounts   # [1, S] and [S]
    paid: Array          # [1, S]
    depth: Array
    tops_up: Array
    account: Array       # int64
    listed: Array        # bool: must be (or stay) in the list
    place: Array         # int64: where in the list, −1 = nowhere


def widths(count: int, taken: set[int]) -> tuple[int, int]:
    """Lengths of the axes of slot and list for `count` accounts: room for all, and unlike every other length in use."""
    found: list[int] = []
    width = -(-(count + 2) // 8) * 8
    while len(found) < 2:
        if width not in taken:
            found.append(width)
        width += 8
    return found[0], found[1]


def bit(words: Array, account: Array) -> Array:
    """Is the bit of an account set?"""
    return (peek(words, account >> WORD) >> (account & (2**WORD - 1)).astype(jnp.uint64)) & jnp.uint64(1) != 0


def set_bit(words: Array, account: Array, on: Array) -> Array:
    """Set it where `on`."""
    place = account >> WORD
    return poke(words, peek(words, place) | (on.astype(jnp.uint64) << (account & (2**WORD - 1)).astype(jnp.uint64)), place)


def open_book(orders: Orders, steps: int, list_width: int, mark: Array) -> Book:
    """The book before row 0."""
    words = (orders.table.shape[0] >> WORD) + 1
    real = lambda: lax.empty((list_width,), jnp.float64)  # noqa: E731
    zero, one = jnp.float64(0.0), jnp.float64(1.0)
    none = 0
    listed = Listed(lax.empty((list_width,), jnp.int64), *(real() for _ in Listed._fields[1:]))
    return Book(lax.empty((orders.table.shape[0], FIELDS), jnp.float64), jnp.zeros(words, jnp.uint64), jnp.zeros(words, jnp.uint64),
                jnp.zeros(steps + 2), listed, none, one, mark, zero, none, none, none, none, none, no_limits())


def generation_of(book: Book, account: Array) -> tuple[Array, Array]:
    """(known in this path, generation in which the row was written last: int64)."""
    known = bit(book.known, account)
    marks = jnp.where(known, peek(book.rows, account, MARKS), 0.0)
    return known, marks.astype(jnp.int64) >> GENERATION_SHIFT


def is_current(book: Book, account: Array) -> Array:
    """Has the account been looked at since the last re-strike?"""
    known, generation = generation_of(book, account)
    return known & (generation == book.generation)


class Person(NamedTuple):
    """One account as it stands; scalars."""

    quantity: Array
    entry: Array
    collateral: Array
    last_partial: Array
    deposits: Array
    flags: Array    # int64
    paid: Array     # cumulative funding up to which it has paid
    place: Array    # int64 in the list, −1 = nowhere


def person(orders: Orders, book: Book, account: Array) -> Person:
    """Row or reference, whichever holds."""
    current = is_current(book, account)
    return lax.cond(current, lambda: _row(book, account), lambda: _reference(orders, book, account))


def _row(book: Book, account: Array) -> Person:
    row = lambda field: peek(book.rows, account, field)  # noqa: E731
    return Person(row(QUANTITY), row(ENTRY), row(COLLATERAL), row(LAST_PARTIAL), row(DEPOSITS),
                  row(MARKS).astype(jnp.int64) & (GENERATION - 1), row(PAID), row(PLACE).astype(jnp.int64))


def _reference(orders: Orders, book: Book, account: Array) -> Person:
    """Not looked at since the last re-strike."""
    known, generation = generation_of(book, account)
    row = lambda field: peek(book.rows, account, field)  # noqa: E731
    reference = lambda field: peek(orders.table, account, field)  # noqa: E731
    quantity = reference(static.QUANTITY)
    since = jnp.where(known, peek(book.drift, generation + 1), 0.0)
    credited = jnp.where(known, row(DEPOSITS), 0.0) + quantity * (peek(book.drift, book.generation) - since)
    flags = jnp.where(known, row(MARKS), 0.0).astype(jnp.int64) & (TOPPED - 1)
    return Person(quantity / book.unit, reference(static.ENTRY) * book.unit, reference(static.COLLATERAL),
                  jnp.where(known, row(LAST_PARTIAL), -jnp.inf), credited, flags, book.funding, jnp.int64(-1))


def fill_slot(orders: Orders, book: Book, index: Array, n: Array, ratio: Array) -> Slot:
    """The first `n` accounts of `index` [S]; everything else is nobody. `ratio`: rebase of this row, funding is in new units."""
    width = index.shape[0]
    real, truth = (lambda: lax.empty((width,), jnp.float64)), (lambda: lax.empty((width,), jnp.bool_))  # noqa: E731
    whole = lambda: lax.empty((width,), jnp.int64)  # noqa: E731
    start = (Accounts(*(real() for _ in range(5)), truth(), truth(), truth()), real(), real(), truth(), truth(), whole())

    def one(state):
        i, (a, paid, depth, tops_up, listed, place) = state
        account = peek(index, i)
        who = person(orders, book, account)
        a = Accounts(poke(a.quantity, who.quantity, i), poke(a.entry, who.entry, i), poke(a.collateral, who.collateral, i),
                     poke(a.last_partial, who.last_partial, i), poke(a.deposits, who.deposits, i),
                     poke(a.liquidated, who.flags & LIQUIDATED != 0, i), poke(a.deleveraged, who.flags & DELEVERAGED != 0, i),
                     poke(a.topped, who.flags & TOPPED != 0, i))
        return i + 1, (a, poke(paid, who.paid / ratio, i), poke(depth, peek(orders.table, account, static.DEPTH), i),
                       poke(tops_up, peek(orders.table, account, static.TOPS_UP) > 0.0, i),
                       poke(listed, bit(book.wanted, account), i), poke(place, who.place, i))

    _, (a, paid, depth, tops_up, listed, place) = lax.while_loop(lambda s: s[0] < n, one, (0, start))
    inside = jnp.arange(width) < n   # outside JAX all loops end at n; here the rest is made nobody
    quiet = lambda x: jnp.where(inside, x, 0.0)  # noqa: E731
    a = Accounts(quiet(a.quantity)[None], quiet(a.entry)[None], quiet(a.collateral), quiet(a.last_partial)[None],
                 quiet(a.deposits), a.liquidated & inside, a.deleveraged & inside, a.topped & inside)
    return Slot(a._replace(last_partial=a.last_partial), quiet(paid)[None], quiet(depth), tops_up & inside, index,
                listed & inside, place)


def reference_of(slot: Slot) -> Reference:
    """What the rules read of the book's reference in an account stage."""
    a = slot.accounts
    return Reference(a.quantity, a.entry, a.collateral, slot.depth, slot.tops_up)


def write_back(orders: Orders, book: Book, slot: Slot, new: Accounts, n: Array, paid: Array, changed: Array,
               triggers: tuple[Array, Array], window: Array) -> Book:
    """Accounts of the slot that are listed or `changed` [S] into rows and list; others stay as they were.

    triggers: [S] prices. window: [S] funding may move by this much before they stop to hold.
    """
    low, high = triggers

    def one(i, rows, known, listed, count, limits):
        account, old = peek(slot.account, i), peek(slot.place, i)
        fresh = old < 0
        place = jnp.where(fresh, count, old)
        quantity, entry = peek(new.quantity, 0, i), peek(new.entry, 0, i)
        slack = peek(window, i)
        cash, held = peek(new.collateral, i), peek(new.quantity, 0, i) != 0.0
        marks = (book.generation * GENERATION + LIQUIDATED * peek(new.liquidated, i).astype(jnp.int64)
                 + DELEVERAGED * peek(new.deleveraged, i).astype(jnp.int64) + TOPPED * peek(new.topped, i).astype(jnp.int64))
        fields = {QUANTITY: quantity, ENTRY: entry, COLLATERAL: cash, LAST_PARTIAL: peek(new.last_partial, 0, i),
                  DEPOSITS: peek(new.deposits, i), MARKS: marks.astype(jnp.float64), PAID: paid,
                  PLACE: place.astype(jnp.float64)}
        for field, value in fields.items():
            rows = poke(rows, value, account, field)
        was_quantity, was_zero = reference_line(orders, book, account)
        zero = entry - cash / jnp.where(held, quantity, 1.0) - paid
        line = Listed(account, jnp.where(held, peek(low, i), -jnp.inf), jnp.where(held, peek(high, i), jnp.inf),
                      paid, jnp.where(held, slack, jnp.inf),
                      quantity, zero, was_quantity, was_zero)
        listed = Listed(*(poke(whole, part, place) for whole, part in zip(listed, line)))
        limits = Limits(jnp.maximum(limits.lo, line.low), jnp.minimum(limits.hi, line.high), jnp.minimum(limits.room, line.window))
        return rows, set_bit(known, account, jnp.bool_(True)), listed, count + fresh.astype(jnp.int64), limits

    def each(state):
        i, *rest = state
        write = peek(slot.listed, i) | peek(changed, i)
        return i + 1, *lax.cond(write, lambda *s: one(i, *s), lambda *s: s, *rest)

    state = (jnp.int64(0), book.rows, book.known, book.listed, book.count, book.limits)
    _, rows, known, listed, count, limits = lax.while_loop(lambda s: s[0] < n, each, state)
    return book._replace(rows=rows, known=known, listed=listed, count=count, limits=limits)


def reference_line(orders: Orders, book: Book, account: Array) -> tuple[Array, Array]:
    """(q, zero) of an account's reference row: its equity at price p is q·(p − F − zero)."""
    quantity = peek(orders.table, account, static.QUANTITY)
    safe = jnp.where(quantity != 0.0, quantity, 1.0)
    zero = peek(orders.table, account, static.ENTRY) - peek(orders.table, account, static.COLLATERAL) / safe
    return quantity / book.unit, zero * book.unit - book.funding


__all__ = ["Book", "Listed", "Slot", "fill_slot", "open_book", "person", "write_back"]
