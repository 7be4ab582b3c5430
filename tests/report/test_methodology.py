"""The methodology page is current, complete, and both readings of every conflict can be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcrisk.config.load import load_venue
from mcrisk.report import methodology
from mcrisk.report.limitations import LIMITATIONS
from mcrisk.report.readings import READINGS
from mcrisk.rules import calculator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methodology.md"


def value_at(venue, key: str):
    for step in key.split("."):
        venue = getattr(venue, step)
    return venue


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == methodology.document(), "run: python -m mcrisk.report.methodology"


def test_every_rule_has_formula_source_and_limitation():
    assert set(LIMITATIONS) == set(methodology.SLOTS)
    for file, _, _ in methodology.SLOTS.values():
        text = methodology.header(file)
        assert "Source" in text and "Formula" in text, file


def test_every_kind_of_every_slot_is_on_the_page():
    page = methodology.document()
    for _, union, _ in methodology.SLOTS.values():
        for model in methodology._members(union):
            assert f"| {methodology._kind(model) or model.__name__} |" in page


@pytest.mark.parametrize(("reading", "venue"), [(r, v) for r in READINGS for v in r.venues],
                         ids=lambda x: x if isinstance(x, str) else x.key)
def test_both_readings_are_options_with_a_stated_default(reading, venue):
    assert value_at(load_venue(venue), reading.key) == reading.shipped
    for other in reading.others:
        text = str(other).lower() if isinstance(other, bool) else other
        assert value_at(load_venue(venue, (f"{reading.key}={text}",)), reading.key) == other


def test_readings_change_what_they_say():
    """One number per conflict of formulas: rank of shorts, clamp, tiers with and without deduction."""
    a, b = ({"side": -1, "mark": 100.0, "entry": entry, "notional": 1.0, "equity": 1.0} for entry in (300.0, 200.0))
    aware = [calculator.adl_hyperliquid(**x) for x in (a, b)]
    literal = [calculator.adl_hyperliquid(**x, literal=True) for x in (a, b)]
    assert aware[0] > aware[1] and literal[0] < literal[1]
    wide, tight = (calculator.funding_rate(0.01, clamp=c) for c in (5e-4, 3e-4))
    assert tight > wide
    tiers = [calculator.Step(100.0, 0.1), calculator.Step(float("inf"), 0.2)]
    assert calculator.maintenance_margin(200.0, tiers, "whole") == 40.0
    assert calculator.maintenance_margin(200.0, tiers, "marginal") == pytest.approx(30.0)
