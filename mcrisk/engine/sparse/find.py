"""Who has to be looked at in a row: from the static orders, whose pointers only move on, and from the list.

The candidates are a superset of the accounts that the rules will find below maintenance or due for a margin call.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.sparse.memory import peek, poke, spanned
from mcrisk.engine.sparse.orders import CONTRACTS, SLACKS, Orders
from mcrisk.engine.sparse.rows import WORD, Book, Limits, is_current, no_limits, set_bit

MARGIN = 1e-11   # relative: what scaling reference prices to today's can be off, many times over


def find(orders: Orders, book: Book, mark: Array, funding: Array, phase: Array, units: Array, index: Array
         ) -> tuple[Book, Array, Array]:
    """Mark the candidates and list them in file order: (book, index [S], how many).

    funding: cumulative; phase: whose orders (int64); units: product of the rebase ratios so far; index: memory [S].
    """
    switched = phase != book.phase
    book = _level(orders, book._replace(phase=phase), funding, units, switched)
    for falling in (True, False):
        book = _advance(orders, book, mark, funding, falling)
    book = _scan(orders, book, mark, funding, switched)
    return book, *collect(book.wanted, index)


def moved(orders: Orders, phase: Array, funding: Array) -> tuple[Array, Array]:
    """How far `funding` since they were computed can have moved triggers: (falling marks', rising marks') at most, signed."""
    on = jnp.where(peek(orders.linear, phase), funding, 0.0)
    return (on * jnp.where(on > 0.0, peek(orders.long_most, phase), 1.0),
            on * jnp.where(on > 0.0, peek(orders.short_least, phase), 1.0))


def _level(orders: Orders, book: Book, funding: Array, units: Array, switched: Array) -> Book:
    """A wider order once funding has left the slack of the one in force; its pointers start again."""
    owed = jnp.where(peek(orders.linear, book.phase), 0.0, jnp.abs(funding - book.funding))
    level = jnp.int64(0)
    for k, slack in enumerate(SLACKS):
        level = jnp.where(owed >= slack * book.struck, jnp.int64(k + 1), level)
    beyond = peek(orders.by_contracts, book.phase) & (book.unit * units * CONTRACTS < 1.0)
    level = jnp.maximum(jnp.where(beyond, jnp.int64(len(SLACKS)), level), book.level)
    again = switched | (level != book.level)
    return book._replace(level=level, fallen=jnp.where(again, 0, book.fallen), risen=jnp.where(again, 0, book.risen))


def _advance(orders: Orders, book: Book, mark: Array, funding: Array, falling: bool) -> Book:
    """Move the pointer of an order over everybody whose trigger the mark has reached."""
    prices, ids = (orders.fall, orders.fall_id) if falling else (orders.rise, orders.rise_id)
    last = orders.table.shape[0] - 1
    everybody = book.level == len(SLACKS)
    level = jnp.minimum(book.level, len(SLACKS) - 1)
    shift = moved(orders, book.phase, funding - book.funding)[0 if falling else 1]

    def reached(state):
        place, _ = state
        price = peek(prices, book.phase, level, place) * book.unit + shift
        there = price >= mark * (1.0 - MARGIN) if falling else price <= mark * (1.0 + MARGIN)
        return (place < last) & (there | everybody)

    def one(state):
        place, wanted = state
        account = peek(ids, book.phase, level, place)
        return place + 1, set_bit(wanted, account, ~is_current(book, account))

    place, wanted = lax.while_loop(reached, one, (book.fallen if falling else book.risen, book.wanted))
    return book._replace(wanted=wanted, **{"fallen" if falling else "risen": place})


def _scan(orders: Orders, book: Book, mark: Array, funding: Array, everybody: Array) -> Book:
    """Listed accounts whose own triggers have been reached, and the limits of the others."""

    def scan(wanted, listed):
        inside = jnp.arange(listed.low.shape[0]) < book.count
        owed = funding - listed.paid
        fall, rise = moved(orders, book.phase, owed)
        low, high, window = listed.low + fall, listed.high + rise, listed.window - jnp.abs(owed)
        hit = (low >= mark * (1.0 - MARGIN)) | (high <= mark * (1.0 + MARGIN)) | (window <= 0.0)
        hit = inside & (hit | (everybody & (listed.quantity != 0.0)))
        rest = inside & ~hit
        limits = Limits(jnp.max(jnp.where(rest, low, -jnp.inf)), jnp.min(jnp.where(rest, high, jnp.inf)),
                        jnp.min(jnp.where(rest, window, jnp.inf)))
        found = jnp.sum(hit)

        def mark_all(wanted):
            def one(state):
                i, wanted = state
                return i + 1, lax.cond(peek(hit, i), lambda w: set_bit(w, peek(listed.account, i), jnp.bool_(True)),
                                       lambda w: w, wanted)

            return lax.while_loop(lambda s: s[0] < book.count, one, (jnp.int64(0), wanted))[1]

        return lax.cond(found > 0, mark_all, lambda w: w, wanted), limits

    listed = book.listed
    wanted, limits = spanned(book.count, listed.low.shape[0], scan, lambda w, _: (w, no_limits()), book.wanted, listed)
    return book._replace(wanted=wanted, limits=limits)


def collect(wanted: Array, index: Array) -> tuple[Array, Array]:
    """Numbers of the set bits in ascending order."""

    def word(state):
        w, index, n = state

        def one(state):
            bits, index, n = state
            lowest = bits & (~bits + jnp.uint64(1))
            # a power of two as a float64 says its exponent
            place = (lax.bitcast_convert_type(lowest.astype(jnp.float64), jnp.int64) >> 52) - 1023
            return bits ^ lowest, poke(index, (w << WORD) + place, n), n + 1

        _, index, n = lax.while_loop(lambda s: s[0] != 0, one, (peek(wanted, w), index, n))
        return w + 1, index, n

    _, index, n = lax.while_loop(lambda s: s[0] < wanted.shape[0], word, (0, index, 0))
    return index, n


def bands(orders: Orders, book: Book, funding: Array, slack: Array) -> tuple[Array, Array, Array]:
    """(lo, hi, room): nobody has to be looked at while the mark is inside and funding within `room` (≤ `slack`) of now."""
    top = len(SLACKS)
    level = jnp.minimum(book.level, top - 1)
    everybody, linear = book.level == top, peek(orders.linear, book.phase)
    down, up = moved(orders, book.phase, slack)[0], moved(orders, book.phase, -slack)[1]   # the worst that is still to come
    fall, rise = moved(orders, book.phase, funding - book.funding)
    owed = jnp.where(linear, 0.0, jnp.abs(funding - book.funding))
    room = jnp.where(everybody | linear, slack, jnp.minimum(slack, jnp.asarray(SLACKS)[level] * book.struck - owed))
    lo = jnp.where(everybody, -jnp.inf, peek(orders.fall, book.phase, level, book.fallen) * book.unit + fall)
    hi = jnp.where(everybody, jnp.inf, peek(orders.rise, book.phase, level, book.risen) * book.unit + rise)

    listed = book.limits
    lo, hi, room = jnp.maximum(lo, listed.lo), jnp.minimum(hi, listed.hi), jnp.minimum(room, listed.room)
    return (lo + down) * (1.0 + MARGIN), (hi + up) * (1.0 - MARGIN), room


__all__ = ["bands", "collect", "find", "moved"]
