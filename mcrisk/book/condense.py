"""Condense a book: a few accounts that stand for many, so that simulating the venue's rules on them costs less.

The largest accounts stay as they are, half of those that are left in number; the others are merged with neighbours of
their side whose liquidation prices are close, into groups of equal notional. A group keeps the sum of its members'
quantities, what they paid for them and their collateral, and gets on top what its larger tier asks for in maintenance:
so it is called where its members are called on average, while sizes stay comparable. It is an approximation of the
book, for control variates (docs/variance-reduction.md), and never a book that results are reported of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcrisk.book.table import HOUSE, ISOLATED, TRADER, Book
from mcrisk.book.tiers import maintenance_margin, tier_arrays
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

Array = NDArray[np.float64]
CELLS = 4  # side × answers a margin call or not: members of a group agree in both
FEWEST = 3 * CELLS


@dataclass(frozen=True)
class Condensed:
    """A condensed book of G accounts of one market, and whether each answers a margin call [G]."""

    book: Book
    tops_up: NDArray[np.bool_]


def condense(book: Book, tops_up: NDArray[np.bool_], venue: Venue, accounts: int) -> Condensed:
    """`accounts` accounts that stand for those of `book`.

    Args:
        book: A accounts of one market; those without a position are left out.
        tops_up: [A] who answers a margin call; members of a group agree in it.
        venue: the market's profile: price at the start, contract size, tiers before the listing.
        accounts: at least `FEWEST`, and fewer than the book has positions.

    Market makers and the house account are always kept singly: depth goes with them.

    Raises InputError: the book has several markets or not more positions; too few accounts beside those kept.
    """
    refuse(book, accounts)
    mark, size = float(venue.contract.initial_price), float(venue.contract.contract_size)
    quantity, entry = book.quantity[:, 0], book.entry_price[:, 0]
    margin, held = venue.pre.margin, np.flatnonzero(quantity)
    tiers = tier_arrays(margin)
    asked = maintenance_margin(margin, tiers, quantity, mark, size)
    single = _kept(book, np.abs(quantity), accounts)
    rest = held[~single[held]]
    count = accounts - int(single.sum())
    group = _groups(rest, count, quantity, np.asarray(tops_up, bool), _distance(book, asked, mark))

    total = lambda values: np.bincount(group, weights=values[rest], minlength=count)  # noqa: E731
    merged, paid = total(quantity), total(quantity * entry)
    extra = np.maximum(maintenance_margin(margin, tiers, merged, mark, size) - total(asked), 0.0)
    first = rest[np.unique(group, return_index=True)[1]]
    kept = np.flatnonzero(single)
    joined = lambda one, many: np.concatenate([one[kept], many])  # noqa: E731
    condensed = Book(
        joined(book.account_id, np.array([f"group-{g + 1}" for g in range(count)])),
        joined(quantity, merged)[:, None],
        joined(entry, paid / merged)[:, None],
        joined(book.collateral, total(book.collateral) + extra),
        joined(book.margin_mode, np.full(count, ISOLATED, book.margin_mode.dtype)),
        joined(book.user_class, np.full(count, TRADER)),
        joined(book.depth_share, np.zeros(count)),
        book.markets,
    )
    return Condensed(condensed, joined(np.asarray(tops_up, bool), np.asarray(tops_up, bool)[first]))


def refuse(book: Book, accounts: int) -> None:
    """Raise InputError where a book cannot be condensed to so many accounts."""
    where, positions = "variance_reduction.control_variate.accounts", int(np.count_nonzero(book.quantity.any(axis=1)))
    if len(book.markets) > 1:
        raise InputError(f"a book of {len(book.markets)} markets cannot be condensed", where,
                         "an account's positions hang together", "leave control_variate out")  # fmt: skip
    if positions <= accounts:
        raise InputError(f"{accounts} accounts cannot stand for a book of {positions}", where, "a condensed book must be smaller",
                         "ask for a tenth of the book, or leave control_variate out")  # fmt: skip
    fixed = int(_fixed(book).sum())
    if accounts - fixed < FEWEST:
        raise InputError(f"{accounts} accounts are too few", where, f"{fixed} are market makers or the house: kept singly",
                         f"ask for at least {fixed + FEWEST}")  # fmt: skip


def _fixed(book: Book) -> NDArray[np.bool_]:
    return ((book.depth_share > 0) | (book.user_class == HOUSE)) & book.quantity.any(axis=1)


def _kept(book: Book, size: Array, accounts: int) -> NDArray[np.bool_]:
    """[A] who is kept singly: makers and house, then the largest, half of the accounts asked for."""
    kept = _fixed(book)
    others = np.where(kept, 0.0, size)
    room = max(0, accounts // 2 - int(kept.sum()))
    kept[np.argsort(-others, kind="stable")[:room]] = True
    return kept


def _distance(book: Book, asked: Array, mark: float) -> Array:
    """[A] what an account has beyond maintenance, over its notional: how far the mark may go before it is called."""
    notional = book.notional(mark)
    return (book.equity(mark) - asked) / np.maximum(notional, np.finfo(float).tiny)


def _groups(rest: NDArray, room: int, quantity: Array, tops_up: NDArray[np.bool_], distance: Array) -> NDArray[np.int64]:
    """[rest] number of each account's group, 0 … room − 1: neighbours in distance within a cell, of about equal quantity."""
    cell = 2 * (quantity[rest] > 0) + tops_up[rest]
    share = _shares(np.bincount(cell, weights=np.abs(quantity[rest]), minlength=CELLS), np.bincount(cell, minlength=CELLS), room)
    found, used = np.zeros(len(rest), np.int64), 0
    for c in np.flatnonzero(share):
        who = np.flatnonzero(cell == c)
        who = who[np.argsort(distance[rest[who]], kind="stable")]
        found[who] = used + _cut(np.abs(quantity[rest[who]]), int(share[c]))
        used += int(share[c])
    return found


def _shares(weight: Array, members: NDArray, room: int) -> NDArray[np.int64]:
    """How many of `room` groups each cell gets, in proportion to its weight, at least one and at most its members."""
    share = np.clip(np.floor(weight / weight.sum() * room).astype(np.int64), np.minimum(members, 1), members)
    while (short := room - int(share.sum())) != 0:
        change = int(np.sign(short))
        open_ = share < members if change > 0 else share > 1
        each = weight / np.maximum(share, 1)
        share[int(np.argmax(np.where(open_, change * each, -np.inf)))] += change
    return share


def _cut(amount: Array, groups: int) -> NDArray[np.int64]:
    """[n] group of each member in turn, 0 … groups − 1: cut where the running sum passes equal shares, no group empty."""
    place = np.arange(len(amount))
    middle = (np.cumsum(amount) - 0.5 * amount) / amount.sum()
    wanted = np.minimum((middle * groups).astype(np.int64), groups - 1)
    wanted[0] = 0
    steady = place + np.minimum.accumulate(wanted - place)  # a large member must not leave a group empty
    return np.maximum(steady, groups - len(amount) + place)


__all__ = ["FEWEST", "Condensed", "condense", "refuse"]
