"""The calculator under a venue's profile: numbers worked out by hand, and the walk to the liquidation price against a scan."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrisk import rules
from mcrisk.config.load import load_venue
from mcrisk.engine.rulebook import tier_table
from mcrisk.rules.desk import Desk
from mcrisk.rules.liquidation import Ladder, below_maintenance
from tests.oracle.state import Tiers
from tests.parity.given import VENUES

PROFILES = {name: load_venue(name) for name in VENUES}


@pytest.mark.parametrize(("venue", "quantity", "entry", "collateral", "expected"), [
    ("tradexyz-ipop", 10, 150, 300, 1200 / 9),                       # (qE − C)/(q·(1 − 10 %))
    ("tradexyz-ipop", -10, 150, 300, 1800 / 11),
    ("hyperliquid-hyperp", 10, 150, 500, 1000 / (10 * (1 - 1 / 6))),
    ("kraken-preipo", 50, 150, 1500, 6000 / 45),                     # 7,500 notional: 10 %
    ("kraken-preipo", 400, 150, 20_000, 40_000 / 340),               # 47,000 at that price: 15 % on everything
    ("kraken-preipo", -66, 150, 1200, 10_000 / 66),                  # a short is below maintenance where 15 % begins
    ("okx-preipo-perp", 90, 150, 2000, 11_500 / (90 * 0.9495)),      # 900 contracts: 5 % and the closing fee of 5 bp
    ("okx-preipo-perp", 500, 150, 20_000, 55_000 / (500 * 0.8495)),  # 5,000 contracts: 15 %
    ("binance-preipo", 600, 150, 16_000, (90_000 - 16_000 - 1_250) / (600 * 0.875)),   # deduction 50,000 · 2.5 %
    ("binance-preipo", -1500, 150, 50_000, (225_000 + 50_000 + 5_450) / (1500 * 1.167)),
])  # fmt: skip
def test_liquidation_prices_worked_by_hand(venue, quantity, entry, collateral, expected):
    got = rules.liquidation_price(PROFILES[venue], quantity, entry, collateral)
    assert got == pytest.approx(expected, rel=2e-9)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(VENUES), st.sampled_from([1.0, -1.0]), st.floats(1e2, 1e6), st.floats(1.02, 20.0), st.floats(0.7, 1.4),
       st.sampled_from([1.0, 12.52]), st.sampled_from(["pre", "post"]))  # fmt: skip
def test_the_liquidation_price_is_the_first_crossing(name, side, notional, leverage, entered, units, phase):
    venue = PROFILES[name]
    mark = venue.contract.initial_price / units
    entry, quantity = mark * entered, side * notional / mark
    collateral = notional / leverage + max(0.0, -quantity * (mark - entry))
    fee = venue.liquidation.fee if venue.liquidation.kind == "tier_step_down" else 0.0

    def slack(price: float) -> float:
        margin = Tiers(getattr(venue, phase).margin, venue.contract.contract_size * units, price).maintenance(quantity)
        return collateral + quantity * (price - entry) - margin - fee * abs(quantity) * price

    got = rules.liquidation_price(venue, quantity, entry, collateral, mark, phase, units)
    if got == mark:
        assert slack(mark) < 1e-9 * notional
        return
    far = mark * 1e-6 if side > 0 else mark * 1e3
    stop = far if math.isnan(got) else got * (1.0 + 1e-7 * side)
    assert min(slack(p) for p in np.geomspace(mark, stop, 400)) > -1e-9 * notional
    if not math.isnan(got):
        assert slack(got * (1.0 - 1e-7 * side)) < 0.0


def test_margin_and_bankruptcy():
    xyz, kraken, okx = (PROFILES[name] for name in ("tradexyz-ipop", "kraken-preipo", "okx-preipo-perp"))
    assert rules.bankruptcy_price(10, 150, 300) == 120 and rules.bankruptcy_price(-10, 150, 300) == 180
    assert rules.bankruptcy_price(10, 150, 2000) == 0.0 and math.isnan(rules.bankruptcy_price(0.0, 150, 1))
    assert rules.maintenance_margin(xyz, -10, 150) == pytest.approx(150)
    assert rules.initial_margin(xyz, 10, 150) == pytest.approx(300)
    assert rules.initial_margin(xyz, 10, 150, "post") == pytest.approx(150)
    assert rules.maintenance_margin(kraken, 1000, 150) == pytest.approx(37_500)
    # W-OKX-5: contracts and their bounds grow with a rebase, margin stays
    assert rules.maintenance_margin(okx, 125.2, 150 / 12.52, units=12.52) == pytest.approx(rules.maintenance_margin(okx, 10, 150))


def test_funding_of_each_kind():
    assert rules.funding_rate(PROFILES["tradexyz-ipop"], 0.0049) == pytest.approx(2.75e-6)           # W-XYZ-7
    assert rules.funding_rate(PROFILES["tradexyz-ipop"], 0.0049, "post") == pytest.approx(2.75e-4)
    assert rules.funding_rate(PROFILES["okx-premarket-perp"], 0.3) == pytest.approx(5e-5)            # W-OKX-4
    assert rules.funding_payment(PROFILES["okx-premarket-perp"], 100, 0.3, 90.0, 100.0) == pytest.approx(0.5)
    assert rules.funding_rate(PROFILES["kraken-preipo"], 0.01) == 0.0
    assert rules.funding_rate(PROFILES["kraken-preipo"], 0.012, "post") == pytest.approx(0.0005)
    hyperp = PROFILES["hyperliquid-hyperp"]
    assert rules.funding_payment(hyperp, 10, 0.01, 10_000.0, 10_100.0, "post") == pytest.approx(118.75)  # W-HL-1


def test_limits_and_ladder():
    xyz, okx = PROFILES["tradexyz-ipop"], PROFILES["okx-premarket-perp"]
    rungs = rules.discovery_ladder(xyz, 150.0)
    assert [round(r.reference, 6) for r in rungs] == [150, 195, 253.5, 329.55] and rungs[-1].upper == pytest.approx(428.415)
    assert rules.discovery_ladder(xyz, 150.0, -1)[-1].lower == pytest.approx(36.015)
    y, z = okx.pre.limits.y, okx.pre.limits.z
    assert rules.price_band(okx, 100.0, 1.0) == pytest.approx((100 - 100 * y + 1, 100 + 100 * y + 1))
    assert rules.price_band(okx, 100.0, 1e3)[1] == pytest.approx(100 + 100 * z)
    assert rules.price_band(okx, 100.0, opening=True) == pytest.approx((100 - 100 * okx.pre.limits.x, 100 + 100 * okx.pre.limits.x))
    futures = PROFILES["okx-prelaunch-futures"]
    assert rules.price_band(futures, 100.0) == pytest.approx((85, 115))
    assert rules.price_band(futures, 100.0, final=True) == pytest.approx((95, 105))
    assert rules.price_band(PROFILES["kraken-preipo"], 100.0) == (0.0, math.inf)
    with pytest.raises(ValueError, match="no discovery bounds"):
        rules.discovery_ladder(okx, 100.0)


def test_adl_scores():
    assert rules.adl_score(PROFILES["tradexyz-ipop"], -1, 300.0, 50.0, 100.0) == pytest.approx(3.0 * 100 / 250)
    literal = load_venue("tradexyz-ipop", ("adl.rank=hyperliquid_literal",))
    assert rules.adl_score(literal, -1, 300.0, 50.0, 100.0) == pytest.approx(100 / 300 * 100 / 250)
    assert rules.adl_score(PROFILES["okx-preipo-perp"], 10, 100.0, 500.0, 150.0) == pytest.approx(0.5 * 1500 / 1000)
    assert rules.adl_score(PROFILES["binance-preipo"], 10, 100.0, 500.0, 150.0) == pytest.approx(500 / 500 * 150 / 1000)
    assert math.isnan(rules.adl_score(PROFILES["binance-preipo"], 10, 100.0, 500.0, 90.0))


@pytest.mark.parametrize(("name", "quantity", "collateral", "profit_elsewhere", "margin_elsewhere"), [
    ("okx-preipo-perp", 50.0, 1500.0, -200.0, 350.0), ("binance-preipo", -50.0, 3000.0, 400.0, 700.0),
    ("kraken-preipo", -50.0, 3000.0, -400.0, 300.0),
])  # fmt: skip
def test_cross_margin_over_two_markets(name, quantity, collateral, profit_elsewhere, margin_elsewhere):
    """The engine's verdict turns at the calculator's price; profit and margin of the account's other market count."""
    venue = PROFILES[name]
    price = rules.liquidation_price(venue, quantity, 150.0, collateral, elsewhere=profit_elsewhere - margin_elsewhere)
    rate = next(t.maintenance for t in venue.pre.margin.tiers)
    fee = venue.liquidation.fee if name.startswith("okx") else 0.0
    side, size = (1.0, abs(quantity)) if quantity > 0 else (-1.0, abs(quantity))
    by_hand = (side * size * 150.0 - collateral - profit_elsewhere + margin_elsewhere) / (size * (side - rate - fee))
    assert price == pytest.approx(by_hand, rel=1e-12)

    def below(mark: float) -> bool:
        own = {"quantity": [quantity], "entry": [150.0], "collateral": [collateral], "elsewhere": [profit_elsewhere], "mark": mark}
        desk = Desk(**{f: jnp.asarray(own.get(f, 0.0), float) for f in Desk._fields})
        margin = venue.pre.margin
        tiers = tier_table(margin, venue.contract.contract_size, len(margin.tiers))
        ladder = Ladder(tiers, margin.mode, jnp.array([margin_elsewhere]), *[jnp.float64(0.0)] * 5)
        return bool(below_maintenance(venue.liquidation, desk, ladder)[0][0])

    assert below(price * (1.0 - 1e-9 * side)) and not below(price * (1.0 + 1e-9 * side))


def test_wrong_questions():
    with pytest.raises(ValueError, match="'pre' or 'post'"):
        rules.maintenance_margin(PROFILES["kraken-preipo"], 1, 100, "now")
    with pytest.raises(ValueError, match="positive"):
        rules.liquidation_price(PROFILES["kraken-preipo"], 1, 0.0, 10)
