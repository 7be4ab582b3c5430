"""The generator keeps its promises: balance, open interest, leverage by open interest, limits, determinism."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mcrisk.book import sizes, tiers
from mcrisk.book.draws import normals, uniforms
from mcrisk.book.generate import generate
from mcrisk.book.table import CROSS, MAKER, concentration
from mcrisk.config import catalog
from mcrisk.config.book import BookSpec
from mcrisk.config.refs import load_tree
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

from .conftest import load
from .venues import FIVE_X, margin, venue

MARK = 500.0


def with_(spec: BookSpec, **changes) -> BookSpec:
    return BookSpec.model_validate({**spec.model_dump(), **changes})


def below_initial_margin(book, profile) -> np.ndarray:
    """Shortfall of equity under initial margin, relative, at the profile's price (single market)."""
    table = tiers.tier_arrays(profile.pre.margin)
    mark = profile.contract.initial_price
    needed = tiers.initial_margin(profile.pre.margin, table, book.quantity, mark, profile.contract.contract_size).sum(1)
    return np.maximum(needed - book.equity(mark), 0) / needed


def test_shipped_books_differ_only_in_leverage_variant():
    texts = {name: load(name) for name in ("default", "low-leverage", "high-leverage")}
    assert [BookSpec.model_validate(t).variant for t in texts.values()] == ["base", "low", "high"]
    stripped = [{k: v for k, v in t.items() if k not in ("name", "title", "variant")} for t in texts.values()]
    assert stripped[0] == stripped[1] == stripped[2]


def test_every_assumed_field_of_the_shipped_book_has_provenance(spec):
    fields = {note.field.split(".")[0] for note in spec.provenance}
    assert {
        "size",
        "leverage_mixes",
        "accounts_long_share",
        "hedged_shorts",
        "makers",
        "entry_sd",
        "holding_time",
        "top_up_probability",
        "cross",
    } <= fields


@pytest.mark.parametrize("accounts", [5, 10, 100, 1000, 20_000])
def test_book_is_balanced_and_carries_the_open_interest(spec, accounts):
    book = generate(with_(spec, accounts=accounts), venue(), ["X"], 7)
    assert len(book) == accounts
    assert abs(book.imbalance()[0]) < 1e-12
    assert book.one_sided_open_interest(MARK)[0] == pytest.approx(10e6, rel=1e-12)
    assert np.all(book.collateral > 0) and np.all(book.entry_price > 0)
    assert below_initial_margin(book, venue()).max() == 0


@pytest.mark.parametrize("variant", ["low", "base", "high"])
def test_open_interest_per_leverage_band(spec, variant):
    book = generate(with_(spec, variant=variant), venue(margin([(None, 0.2, 0.1)])), ["X"], 3)
    notional = book.notional(MARK)
    effective = notional / book.equity(MARK)
    for band in spec.leverage_mixes["max_5x"].bands:
        inside = (effective > band.lower * (1 - 1e-9)) & (effective <= band.upper * (1 + 1e-9))
        share = notional[inside].sum() / notional.sum()
        wanted = getattr(band, variant)
        # hedgers at 1x alone hold 15 % of all positions: more than the lowest band has in the high variant
        if variant == "high":
            assert share == pytest.approx(wanted, abs=0.11)
        else:
            assert share == pytest.approx(wanted, abs=1e-3)


def test_tiers_shrink_bold_positions_before_they_shrink_leverage(spec):
    """Tiers of Kraken's kind: 5x to 10k, 3.3x to 100k, 2x beyond. Bold accounts stay below their edge."""
    tiered = venue(margin([(10_000.0, 0.2, 0.1), (100_000.0, 0.3, 0.15), (None, 0.5, 0.25)]))
    book = generate(with_(spec, accounts=4000), tiered, ["X"], 3)
    notional = book.notional(MARK)
    effective = notional / book.equity(MARK)
    assert notional[effective > 10 / 3 * (1 + 1e-6)].max() <= 10_000 and notional[effective > 2.001].max() <= 100_000
    assert notional[effective > 3].sum() / notional.sum() == pytest.approx(0.45, abs=0.02) and book.notes == ()
    few = generate(with_(spec, accounts=50), tiered, ["X"], 3)
    assert "per leverage band" in few.notes[0] and abs(few.imbalance()[0]) < 1e-12


def test_crowd_is_long_and_hedgers_hold_their_share(spec):
    book = generate(spec, venue(), ["X"], 1)
    traders = book.user_class != MAKER
    assert (book.quantity[traders, 0] > 0).mean() == pytest.approx(0.70, abs=0.001)
    hedged = -book.quantity[book.user_class == "hedger", 0].sum() * MARK
    assert hedged == pytest.approx(0.30 * 10e6, rel=1e-9)
    token = generate(spec, venue(), ["X"], 1, company_kind="token")
    assert -token.quantity[token.user_class == "hedger", 0].sum() * MARK == pytest.approx(0.50 * 10e6, rel=1e-9)
    makers = book.user_class == MAKER
    assert book.notional(MARK)[makers].sum() == pytest.approx(0.20 * 10e6, rel=1e-9)
    assert book.depth_share.sum() == pytest.approx(0.6)
    assert book.notional(MARK)[~makers].max() <= 0.10 * 10e6 * (1 + 1e-9)


def test_entries_scatter_and_leverage_holds_whatever_they_are(spec):
    book = generate(with_(spec, accounts=5000), venue(margin([(None, 0.1, 0.05)]), book="max_10x"), ["X"], 5)
    side = np.sign(book.quantity[:, 0])
    z = -side * np.log(book.entry_price[:, 0] / MARK) / spec.entry_sd
    assert np.mean(z) == pytest.approx(0, abs=0.08) and 0.85 < np.std(z) < 1.05
    assert np.all(book.collateral >= 0.05 * book.equity(MARK) * (1 - 1e-9))


@pytest.mark.parametrize("accounts", [5, 100, 1000, 10_000])
def test_position_limits_bind_and_are_said(spec, accounts):
    limited = venue(margin([(10_000.0, 0.5, 0.25)], position_limit=10_000.0), open_interest=5e6, book="max_2x")
    book = generate(with_(spec, accounts=accounts), limited, ["X"], 2)
    notional = book.notional(MARK)
    makers = book.user_class == MAKER
    assert notional[~makers].max() <= 10_000 and notional[makers].max() <= 100_000 * (1 + 1e-9)
    interest = book.one_sided_open_interest(MARK)[0]
    assert bool(book.notes) == (interest < 5e6 * (1 - 1e-9))
    assert abs(book.imbalance()[0]) < 1e-12


@settings(deadline=None, max_examples=40)
@given(
    accounts=st.integers(5, 300),
    seed=st.integers(0, 2**40),
    long_share=st.floats(0.02, 0.98),
    limit=st.one_of(st.none(), st.floats(1e3, 1e7)),
    sigma=st.floats(0.1, 4),
    size=st.sampled_from([0.01, 1.0, 10.0]),
    by=st.sampled_from(["notional", "contracts"]),
    makers=st.integers(0, 3),
)
def test_no_account_above_limit_or_below_initial_margin(
    spec, accounts, seed, long_share, limit, sigma, size, by, makers
):
    tables = FIVE_X if by == "notional" else [(up / (MARK * size) if up else None, im, mm) for up, im, mm in FIVE_X]
    profile = venue(margin(tables, by=by, position_limit=limit), contract_size=size)
    changed = with_(
        spec,
        accounts=accounts,
        accounts_long_share=long_share,
        size={"sigma": sigma},
        makers={**spec.makers.model_dump(), "accounts": makers},
    )
    book = generate(changed, profile, ["X"], seed)
    assert below_initial_margin(book, profile).max() == 0
    if limit is not None:
        traders = book.user_class != MAKER
        assert book.notional(MARK)[traders].max() <= limit
    assert abs(book.imbalance()[0]) < 1e-12
    assert np.all(book.collateral > 0) and np.all(np.isfinite(book.entry_price)) and np.all(book.entry_price > 0)
    assert book.one_sided_open_interest(MARK)[0] <= 10e6 * (1 + 1e-9)


def test_same_seed_same_book_other_seed_other_book(spec):
    first, second, other = (generate(spec, venue(), ["X"], s) for s in (4, 4, 5))
    for name in ("account_id", "quantity", "entry_price", "collateral", "margin_mode"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.quantity, other.quantity)
    assert not np.array_equal(first.quantity, generate(spec, venue(), ["Y"], 4).quantity)


def test_venues_see_the_same_people(spec):
    here = generate(spec, venue(margin([(None, 0.2, 0.1)])), ["X"], 4)
    there = generate(spec, venue(margin([(None, 0.1, 0.05)]), open_interest=50e6, price=80.0, book="max_10x"), ["X"], 4)
    assert np.array_equal(np.sign(here.quantity), np.sign(there.quantity))
    assert np.array_equal(here.user_class, there.user_class)
    ratio = (there.quantity * 80.0) / (here.quantity * MARK)
    assert np.allclose(ratio, 5.0)


def test_draws_do_not_depend_on_how_many_are_made():
    assert np.array_equal(uniforms(1, "book", "X", 10, 4), uniforms(1, "book", "X", 1000, 4)[:10])
    assert not np.array_equal(uniforms(1, "book", "X", 10, 4), uniforms(1, "other", "X", 10, 4))
    sample = uniforms(1, "book", "X", 50_000, 1)[:, 0]
    assert abs(sample.mean() - 0.5) < 5 * (1 / 12 / 50_000) ** 0.5 and sample.min() > 0 and sample.max() < 1


def test_cross_accounts_hold_several_markets(spec):
    names = ["A", "B", "C", "D"]
    book = generate(with_(spec, accounts=2000), venue(), names, 9)
    markets_held = (book.quantity != 0).sum(1)
    cross = book.margin_mode == CROSS
    makers = book.user_class == MAKER
    assert np.all(markets_held[~cross] == 1)
    assert np.all(markets_held[cross & ~makers] == 3) and np.all(markets_held[makers] == 4)
    assert cross[~makers].mean() == pytest.approx(0.20, abs=0.04)
    assert np.allclose(book.one_sided_open_interest(MARK), 10e6, rtol=1e-12)
    assert np.abs(book.imbalance()).max() < 1e-12
    assert below_initial_margin(book, venue()).max() == 0


def test_strict_venues_have_isolated_accounts_only(spec):
    strict = venue(margin(FIVE_X, isolation="strict"))
    book = generate(spec, strict, ["A", "B"], 9)
    assert not np.any(book.margin_mode == CROSS)
    assert np.all((book.quantity != 0).sum(1) == 1)
    for m in range(2):
        assert book.depth_share[book.quantity[:, m] != 0].sum() == pytest.approx(0.6)


def test_concentration_at_equal_numbers(spec):
    """19,337 users of 10 Oct 2025: top-10 45.8 %, top-100 77.6 %, Gini 0.982. Law with sigma 3.3: about 43 and 72 %."""
    laws = [concentration(np.exp(3.3 * normals(uniforms(s, "book", "X", 19_337, 1)[:, 0]))) for s in range(41)]
    assert np.median([c.top_10 for c in laws]) == pytest.approx(0.43, abs=0.05)
    assert np.median([c.top_100 for c in laws]) == pytest.approx(0.72, abs=0.04)
    assert np.median([c.gini for c in laws]) == pytest.approx(0.982, abs=0.01)
    free = venue(margin([(None, 0.2, 0.1)]))  # tiers would cap the largest
    wide = with_(spec, accounts=19_337, size={"sigma": 3.3, "max_share_of_side": 1.0})
    books = [concentration(generate(wide, free, ["X"], s).notional(MARK)) for s in range(5)]
    assert 0.3 < np.median([c.top_10 for c in books]) < 0.6
    assert 0.65 < np.median([c.top_100 for c in books]) < 0.85


def test_gini_closed_forms():
    assert concentration(np.ones(50)).gini == pytest.approx(0)
    assert concentration(np.r_[np.full(99, 1e-12), 1.0]).gini == pytest.approx(0.99)
    sigma = 1.0  # Gini of a lognormal: erf(sigma / 2)
    z = normals((np.arange(200_000) + 0.5) / 200_000)
    assert concentration(np.exp(sigma * z)).gini == pytest.approx(0.5204998778, abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30), st.floats(0.01, 0.999))
def test_fill_meets_total_and_cap(weights, part):
    weight, cap = np.array(weights), 3.0
    total = part * cap * len(weight)
    amounts = sizes.fill(weight, total, cap)
    assert amounts.sum() == pytest.approx(total, rel=1e-9)
    assert amounts.max() <= cap * (1 + 1e-9) and amounts.min() >= 0
    free = amounts < cap * (1 - 1e-9)
    if free.sum() > 1:
        assert np.allclose(amounts[free] / weight[free], (amounts[free] / weight[free])[0])


def test_wrong_requests_are_named(spec):
    with pytest.raises(InputError, match="too few"):
        generate(with_(spec, accounts=9), venue(), ["A", "B", "C", "D"], 0)
    with pytest.raises(InputError, match="each once"):
        generate(spec, venue(), ["A", "A"], 0)
    with pytest.raises(InputError, match="leverage mix 'max_50x'"):
        generate(spec, venue(book="max_50x"), ["A"], 0)
    with pytest.raises(ValidationError, match="sum to"):
        with_(spec, leverage_mixes={"a": {"bands": [{"lower": 1, "upper": 2, "low": 1, "base": 0.9, "high": 1}]}})


@pytest.mark.parametrize("name", catalog.names("venues"))
def test_books_of_every_shipped_venue_keep_its_margins_and_limits(spec, name):
    shipped = Venue.model_validate(dict(load_tree("venues", name)))
    book = generate(with_(spec, accounts=300), shipped, ["X"], 1)
    assert below_initial_margin(book, shipped).max() == 0 and abs(book.imbalance()[0]) < 1e-12
    limit = tiers.largest_notional(shipped.pre.margin, shipped.contract.initial_price, shipped.contract.contract_size)
    assert book.notional(shipped.contract.initial_price)[book.user_class != MAKER].max() <= limit
