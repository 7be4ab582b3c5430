"""Worked examples of section A (trade.xyz IPO perpetuals); numbers in shared/worked-examples.md."""

import math

import pytest

from mcrisk.config.load import load_venue
from mcrisk.config.pricing import ClampedPremiumFunding, DiscoveryBounds, ImpactEwmaIndex
from mcrisk.rules import calculator as calc
from tests.rules.harness import Funding, Index, Limits, close, row

ORACLE = ImpactEwmaIndex(kind="impact_ewma")


def test_w_xyz_1_ladder_of_the_calculator():
    rungs = calc.discovery_ladder(100.0, 0.05, 0.90, 2)
    expected = [
        (100.0, 95.00, 105.00, 104.50, 95.50),
        (105.0, 99.75, 110.25, 109.725, 100.275),
        (110.25, 104.7375, 115.7625, 115.21125, 105.28875),
    ]
    for rung, numbers in zip(rungs, expected, strict=True):
        close(tuple(rung), numbers)
    close(calc.discovery_extremes(100.0, 0.05, 2), (85.7375, 115.7625))


def test_w_xyz_1_ladder_of_the_rule():
    limits = Limits(DiscoveryBounds(kind="discovery_bounds", bound=0.05, trigger=0.9, max_resets=2), 100.0)
    close(limits.step(row(), 104.4)[1:], (95.0, 105.0))
    close(limits.step(row(), 104.6)[1:], (99.75, 110.25))
    close(limits.step(row(), 109.73)[1:], (104.7375, 115.7625))
    close(limits.step(row(), 115.5), (115.5, 104.7375, 115.7625))
    close(limits.step(row(), 130.0), (115.7625, 104.7375, 115.7625))     # both resets used: the oracle stops


def test_w_xyz_1_downwards_and_several_resets_in_one_row():
    model = DiscoveryBounds(kind="discovery_bounds", bound=0.05, trigger=0.9, max_resets=2)
    index, lower, upper = Limits(model, 100.0).step(row(), 80.0)
    close((index, lower, upper), (85.7375, 85.7375, 94.7625))
    once = Limits(model.model_copy(update={"repeat_within_row": False}), 100.0)
    close(once.step(row(), 80.0)[1:], (90.25, 99.75))
    close(once.step(row(), 80.0)[1:], (85.7375, 94.7625))


def test_w_xyz_2_silver():
    rung = calc.discovery_ladder(75.0, 1 / 25, 0.9, 0)[0]
    close((rung.lower, rung.upper), (72.0, 78.0))


EXTREMES = {
    "shein": (40.5, 0.5), "unitree": (253.125, 9.375), "cxmt": (16.875, 0.625), "skhy": (241.5765, 88.5735),
    "spcx": (428.415, 36.015), "qnt": (558.7935, 5.6314), "cbrs": (667.572, 31.1462),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_w_xyz_3_extremes_of_the_shipped_markets(name):
    venue = load_venue(f"tradexyz-ipop-{name}")
    bounds = venue.pre.limits
    lowest, highest = calc.discovery_extremes(venue.contract.initial_price, bounds.bound, bounds.max_resets)
    close((highest, lowest), EXTREMES[name], rel=1e-3)
    up, down = Limits(bounds, venue.contract.initial_price), Limits(bounds, venue.contract.initial_price)
    close(up.step(row(), 1e6)[2], highest)
    close(down.step(row(), 1e-6)[1], lowest)


def test_w_xyz_3_spcx_before_12_june():
    close(calc.discovery_extremes(150.0, 0.2, 7), (25.1658, 644.9725), rel=1e-3)


def test_w_xyz_4_spcx_launch_day_high():
    bounds = DiscoveryBounds(kind="discovery_bounds", bound=0.2, trigger=0.9, max_resets=7)
    limits = Limits(bounds, 150.0)
    close(limits.step(row(), 176.9)[1:], (120.0, 180.0))
    close(limits.step(row(), 177.0)[1:], (144.0, 216.0))
    close(limits.step(row(), 212.39)[2], 216.0)
    close(limits.step(row(), 212.4)[2], 259.2)


@pytest.mark.parametrize("dt, gain", [
    (3.0, 0.00166527855), (60.0, 0.0327838995), (180.0, 0.0951625820), (600.0, 0.0951625820),
])
def test_w_xyz_5_oracle_weight(dt, gain):
    oracle = Index(ORACLE, row(), 100.0)
    close(oracle.step(row(time=dt, dt=dt, bid=101.0, ask=102.0)), 100.0 + gain)


def test_w_xyz_5_sides():
    step = 1.0 - math.exp(-0.1)
    for quotes, difference in (
        (dict(bid=98.0, ask=99.0), -1.0), (dict(bid=99.0, ask=101.0), 0.0), (dict(bid=101.0, ask=102.0), 1.0),
        (dict(bid=101.0, ask=102.0, has_impact_bid=False), 0.0), (dict(bid=98.0, ask=99.0, has_impact_ask=False), 0.0),
    ):
        oracle = Index(ORACLE, row(), 100.0)
        close(oracle.step(row(time=600.0, dt=600.0, **quotes)), 100.0 + step * difference)


def test_w_xyz_5_half_life_towards_a_fixed_target():
    oracle = Index(ORACLE, row(), 100.0)
    gaps = [110.0 - oracle.step(row(time=3.0 * k, dt=3.0, last=110.0)) for k in range(1, 417)]
    assert gaps[414] > 5.0 > gaps[415]


@pytest.mark.parametrize("premium, multiplier, rate", [
    (0.0, 0.005, 6.25e-8), (0.0049, 0.005, 2.75e-6), (0.0049, 0.5, 2.75e-4),
])
def test_w_xyz_7_funding_scale(premium, multiplier, rate):
    close(calc.funding_rate(premium, multiplier=multiplier, cap=0.04), rate)
    model = ClampedPremiumFunding(kind="clamped_premium", multiplier=multiplier, premium="hip3")
    rule = Funding(model)
    price = 100.0 * (1.0 + premium)
    rule.step(row(utc=3540.0), 100.0)
    paid = rule.step(row(time=60.0, dt=60.0, utc=3600.0, last=price), 100.0)
    close((paid.rate_paid, paid.boundaries), (rate, 1.0))
    close(paid.paid_per_contract, rate * 100.0)      # on the oracle, not on the mark


def test_w_xyz_7_baseline_per_year():
    close(calc.funding_rate(0.0, multiplier=0.5) * 24 * 365, 0.05475)


def test_w_xyz_10_skhx_floor():
    lowest, _ = calc.discovery_extremes(1127.9, 0.10, 1)
    close(lowest / 1127.9 - 1.0, -0.19)
    assert lowest < 917.25
