"""Condensed books: what must be kept is kept, whatever the book."""

from __future__ import annotations

import numpy as np
import pytest

from mcrisk.book import tiers
from mcrisk.book.condense import FEWEST, condense
from mcrisk.book.generate import generate
from mcrisk.config.book import BookSpec
from mcrisk.config.load import load_model
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError


def made(venue="kraken-preipo", accounts=600):
    profile = load_model(Venue, "venues", venue)
    book = generate(load_model(BookSpec, "books", "default", [f"accounts={accounts}"]), profile, ["near"], 7)
    return profile, book, np.random.default_rng(1).random(accounts) < 0.15


@pytest.mark.parametrize("venue", ["kraken-preipo", "okx-premarket-perp", "tradexyz-ipop"])
@pytest.mark.parametrize("size", [FEWEST + 3, 60, 300, 599])
def test_sums_are_kept_and_the_largest_stay(venue, size):
    profile, book, tops_up = made(venue)
    found = condense(book, tops_up, profile, size)
    small, mark = found.book, profile.contract.initial_price
    assert len(small) == size == len(found.tops_up) and (small.entry_price > 0).all() and (small.collateral >= 0).all()
    q, old = small.quantity[:, 0], book.quantity[:, 0]
    for side in (1, -1):
        for answers in (False, True):
            mine, theirs = (np.sign(q) == side) & (found.tops_up == answers), (np.sign(old) == side) & (tops_up == answers)
            assert q[mine].sum() == pytest.approx(old[theirs].sum(), rel=1e-12)
            paid = [(b.quantity * b.entry_price)[who].sum() for b, who in ((small, mine), (book, theirs))]
            assert paid[0] == pytest.approx(paid[1], rel=1e-12)
    assert small.depth_share.sum() == pytest.approx(book.depth_share.sum())
    margin, size_of = profile.pre.margin, profile.contract.contract_size
    table = tiers.tier_arrays(margin)
    beyond = [b.equity(mark).sum() - tiers.maintenance_margin(margin, table, b.quantity[:, 0], mark, size_of).sum()
              for b in (small, book)]  # fmt: skip
    assert beyond[0] == pytest.approx(beyond[1], rel=1e-9)
    kept = np.isin(book.account_id, small.account_id)
    assert kept[book.depth_share > 0].all()
    traders = np.abs(old)[book.depth_share == 0], kept[book.depth_share == 0]
    assert kept.sum() == max(size // 2, (book.depth_share > 0).sum())
    assert traders[0][traders[1]].min(initial=np.inf) >= traders[0][~traders[1]].max()


def test_members_of_a_group_are_neighbours():
    profile, book, tops_up = made()
    small = condense(book, tops_up, profile, 100).book
    ours = np.char.startswith(small.account_id, "group-")
    assert ours.sum() == 50
    notional = small.notional(profile.contract.initial_price)[ours]
    assert np.median(notional) < notional.max() < 8 * np.median(notional)  # about equal: a large member may exceed its share


def test_what_cannot_be_condensed_is_refused():
    profile, book, tops_up = made(accounts=60)
    with pytest.raises(InputError, match="cannot stand for a book of 60"):
        condense(book, tops_up, profile, 60)
    with pytest.raises(InputError, match="too few"):
        condense(book, tops_up, profile, FEWEST + 2)
