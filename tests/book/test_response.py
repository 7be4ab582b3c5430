"""Traders' answer to margin requirements, against the formula written out account by account."""

import numpy as np
import pytest

from mcrisk.book.generate import generate
from mcrisk.config.book import BookSpec, Response
from mcrisk.config.load import load_model, load_venue
from mcrisk.errors import InputError

VENUE = load_venue("kraken-preipo")
PRICE = VENUE.contract.initial_price


def scaled(factor):
    """The venue with every rate of its tiers multiplied."""
    tiers = tuple(
        t.model_copy(update={"initial": t.initial * factor, "maintenance": t.maintenance * factor})
        for t in VENUE.pre.margin.tiers
    )
    margin = VENUE.pre.margin.model_copy(update={"tiers": tiers})
    return VENUE.model_copy(update={"pre": VENUE.pre.model_copy(update={"margin": margin})})


def book(venue, **response):
    spec = load_model(BookSpec, "books", "default", ["accounts=200"])
    return generate(spec.model_copy(update={"response": Response(**response)}), venue, ["company"], 1)


def required(venue, notional):
    """Initial margin of one position by the tier table, the plain way."""
    tiers = venue.pre.margin.tiers
    tier = next((t for t in tiers if t.up_to is None or notional <= t.up_to * (1 + 1e-12)), tiers[-1])
    return notional * tier.initial


def test_unchanged_requirements_change_no_bit():
    plain = book(VENUE)
    for traders in ("fixed_leverage", "fixed_collateral", "elastic"):
        same = book(VENUE, traders=traders, observed_under=VENUE.pre.margin)
        assert np.array_equal(plain.collateral, same.collateral) and np.array_equal(plain.entry_price, same.entry_price)


@pytest.mark.parametrize("factor", [0.6, 1.5])
@pytest.mark.parametrize(
    ("response", "exponent"),
    [({"traders": "fixed_leverage"}, 0.0), ({"traders": "elastic", "elasticity": 0.3}, 0.3),
     ({"traders": "fixed_collateral"}, 1.0)],
)  # fmt: skip
def test_equity_follows_the_requirement_with_the_stated_elasticity(factor, response, exponent):
    new, plain = scaled(factor), book(VENUE)
    answered = book(new, observed_under=VENUE.pre.margin, **response)
    assert np.array_equal(plain.quantity, answered.quantity)  # positions and open interest stay
    notional, before = plain.notional(PRICE), plain.equity(PRICE)
    trades = plain.user_class == "trader"
    assert trades.sum() > 100
    for a in range(len(plain)):
        needed, there = required(new, notional[a]), required(VENUE, notional[a])
        wanted = before[a] * (needed / there) ** exponent if trades[a] else before[a]
        assert answered.equity(PRICE)[a] == pytest.approx(max(wanted, needed), rel=1e-6)


def test_lower_margin_means_less_equity_only_if_traders_answer():
    low = scaled(0.5)
    total = {t: book(low, traders=t, observed_under=VENUE.pre.margin).equity(PRICE).sum()
             for t in ("fixed_leverage", "elastic", "fixed_collateral")}  # fmt: skip
    assert total["fixed_collateral"] < total["elastic"] < total["fixed_leverage"]
    assert total["fixed_leverage"] == pytest.approx(book(VENUE).equity(PRICE).sum(), rel=1e-9)


def test_a_position_limit_below_the_book_is_refused():
    margin = VENUE.pre.margin.model_copy(update={"position_limit": 1_000.0})
    tight = VENUE.model_copy(update={"pre": VENUE.pre.model_copy(update={"margin": margin})})
    with pytest.raises(InputError, match="one account may hold 1,000"):
        book(tight, observed_under=VENUE.pre.margin)
