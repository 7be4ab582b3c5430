"""The shipped profiles: complete, sourced, honest about assumptions."""

from pathlib import Path

import pytest

from mcrisk.config.load import load_venue
from mcrisk.rules import funding, index, mark, price_limits
from mcrisk.rules.params import traced
from tests.rules.harness import Funding, Index, Limits, Mark, row

FOLDER = Path(__file__).parents[2] / "configs" / "venues"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
EIGHT = {
    "kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures", "okx-premarket-perp",
    "okx-preipo-perp", "binance-premarket", "binance-preipo",
}
SELF_EVIDENT = {"name", "title", "operator", "provenance"}


def leaves(value, path=""):
    """Dotted paths of all leaf fields; items of a list count under the list's own path."""
    if isinstance(value, dict):
        for key, item in value.items():
            if path or key not in SELF_EVIDENT:
                yield from leaves(item, f"{path}.{key}" if path else key)
    else:
        yield path


def note_for(path, notes):
    """The note with the longest prefix; the last one written wins a tie."""
    fitting = [n for n in notes if path == n.field or path.startswith(n.field + ".")]
    return max(enumerate(fitting), key=lambda pair: (len(pair[1].field), pair[0]))[1] if fitting else None


def test_all_venues_are_there():
    markets = {f"tradexyz-ipop-{m}" for m in ("shein", "unitree", "cxmt", "skhy", "spcx", "qnt", "cbrs")}
    assert set(NAMES) >= EIGHT | markets


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_source(name):
    venue = load_venue(name)
    missing = [p for p in leaves(venue.model_dump(mode="json")) if note_for(p, venue.provenance) is None]
    assert not missing, f"no provenance for {missing}"


@pytest.mark.parametrize("name", NAMES)
def test_assumptions_say_so(name):
    for note in load_venue(name).provenance:
        assert note.assumption == (note.marker == "assumption"), note.field
        assert note.note or not note.assumption, note.field
        assert note.source and note.date[:4].isdecimal(), note.field


@pytest.mark.parametrize("name", NAMES)
def test_every_note_is_about_something(name):
    venue = load_venue(name)
    paths = list(leaves(venue.model_dump(mode="json")))
    for note in venue.provenance:
        assert any(p == note.field or p.startswith(note.field + ".") for p in paths), note.field


@pytest.mark.parametrize("name", sorted(EIGHT))
def test_one_company_is_comparable_across_venues(name):
    assert load_venue(name).contract.initial_price == 150.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("phase", ["pre", "post"])
def test_a_quiet_market_stays_where_it_is(name, phase):
    """All quotes at 150, nothing moves: index, mark and limits agree, and funding is the venue's baseline."""
    rules, price = getattr(load_venue(name), phase), 150.0
    oracle, limits = Index(rules.index, row(last=price), price), Limits(rules.limits, price)
    marked, paying = Mark(rules.mark, row(last=price), price), Funding(rules.funding)
    for k in range(3):
        r = row(time=3600.0 * k, dt=3600.0 * (k > 0), last=price)
        value = oracle.step(r, previous_mark=price)
        value, lower, upper = limits.step(r, value, previous=price, mid=price, age=1e6)
        m = marked.step(r, value, lower=lower, upper=upper)
        paid = paying.step(r, value, m)
        assert value == pytest.approx(price, rel=1e-12) and m == pytest.approx(price, rel=1e-12)
        assert lower < price < upper
        assert abs(paid.rate_paid) <= 1e-4


def test_parameters_that_sweeps_change_are_traced():
    venue = load_venue("tradexyz-ipop")
    for slot, model in ((index, venue.pre.index), (price_limits, venue.pre.limits), (mark, venue.pre.mark),
                        (funding, venue.pre.funding)):
        assert model.kind in slot.KINDS
        p = traced(model)
        assert all(hasattr(p, name) for name in type(model).model_fields)


@pytest.mark.parametrize("overrides, expected", [
    ([], "previous_until_listed"), (["pre.index.spot_from=converted"], "previous_index"),
    (["pre.limits.reference=index"], "index"),
])
def test_a_band_around_the_last_trade_stands_on_the_trade_before(overrides, expected):
    venue = load_venue("okx-premarket-perp", overrides)
    assert venue.pre.limits.reference == expected
    assert venue.post.limits.reference == "index"
    assert type(venue).model_validate(venue.model_dump()) == venue
