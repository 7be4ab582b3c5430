"""Worked examples of sections D (OKX), E (Kraken), F (Binance) and J; numbers in shared/worked-examples.md."""

import math

import jax.numpy as jnp
import pytest

from mcrisk.config.load import load_venue
from mcrisk.config.pricing import (
    BlendIndex,
    FlatFunding,
    IndexBandMark,
    OkxLimits,
    PreviousHourFunding,
    TradeMeanMark,
)
from mcrisk.rules import calculator as calc
from mcrisk.rules.adl import score
from tests.rules.harness import Funding, Index, Limits, Mark, close, row


# ---------------------------------------------------------------- OKX
def test_w_okx_2_partial_liquidation():
    tiers = [calc.Step(2_000.0, 0.05), calc.Step(8_000.0, 0.06), calc.Step(20_000.0, 0.08)]
    reached = calc.tier_of(15_000.0, tiers)
    assert 15_000.0 - tiers[reached - 2].up_to == 13_000.0


@pytest.mark.parametrize("premium, high, low", [
    (0.0, 102.0, 98.0), (1.0, 103.0, 99.0), (4.0, 105.0, 100.0), (-4.0, 100.0, 95.0),
])
def test_w_okx_3_price_limits(premium, high, low):
    close(calc.okx_price_limits(100.0, 0.02, 0.05, premium), (high, low))
    limits = Limits(OkxLimits(kind="okx_limits"), 100.0)
    limits.step(row(), 100.0, mid=100.0 + premium)
    close(limits.step(row(time=60.0, dt=60.0), 100.0, mid=100.0 + premium, age=900.0), (100.0, low, high))


def test_w_okx_3_first_ten_minutes():
    close(calc.okx_opening_limits(100.0, 0.02), (102.0, 98.0))
    limits = Limits(OkxLimits(kind="okx_limits"), 100.0)
    close(limits.step(row(time=1.0, dt=1.0), 100.0, mid=104.0, age=599.0), (100.0, 98.0, 102.0))
    close(limits.step(row(time=2.0, dt=1.0), 100.0, mid=104.0, age=600.0), (100.0, 100.0, 105.0))


def test_okx_band_stands_on_the_trade_before_until_spot_exists():
    limits = Limits(OkxLimits(kind="okx_limits", reference="previous_until_listed"), 100.0)
    close(limits.step(row(), 150.0, previous=100.0, mid=100.0)[1:], (98.0, 102.0))
    close(limits.step(row(time=1e4, dt=1e4, listed=True), 120.0, previous=150.0, mid=120.0)[1:], (117.6, 122.4))
    close(limits.step(row(time=2e4, dt=1e4), 110.0, previous=120.0, mid=110.0)[1:], (107.8, 112.2))


def test_w_okx_4_flat_funding():
    venue = load_venue("okx-premarket-perp")
    rule = Funding(venue.pre.funding)
    size, total = 10_000.0 / 2.0, []
    for k in range(1, 25):
        total.append(size * rule.step(row(time=3600.0 * k, dt=3600.0), 2.0).paid_per_contract)
    close(total[3], 0.50)
    close(sum(total), 3.00)
    close(calc.funding_payment(1, size, 2.0, 5e-5), 0.50)


def test_w_okx_5_rebase():
    size, entry = calc.rebase(10.0, 2_400.0, 12.52)
    close((size, entry, size * entry), (125.2, 191.693291, 24_000.0), rel=1e-8)
    before = calc.liquidation_price(1, 10.0, 2_400.0, 6_000.0, 0.05) / 2_400.0
    close(calc.liquidation_price(1, size, entry, 6_000.0, 0.05) / entry, before)


def test_w_okx_7_unit_error_and_w_ve_1_blend():
    blend = Index(BlendIndex(kind="blend"), row(), 120.0)
    close(blend.step(row(external=100.0), 120.0), 110.0)
    blend = Index(BlendIndex(kind="blend"), row(), 2_277.0)
    close(blend.step(row(external=2_277.0, factor=0.2), 2_277.0), 1_366.2)
    close(526.59 / 5, 105.318)
    close(2 * (1_254.0 - 0.5 * 455.4), 2_052.6)


# ---------------------------------------------------------------- Kraken
def test_w_kr_1_equity_protection():
    equity = 0.01 + 1000.0 * (1 / 8000.0 - 1 / 7481.0)
    close(equity, 0.00132803, rel=1e-5)
    assert abs(calc.inverse_liquidation_price(1, 1000.0, 8000.0, 0.01, 0.01) - 7481.4815) < 1e-4
    close(calc.inverse_liquidation_price(1, 1000.0, 8000.0, 0.01, 0.0), 7407.4074, rel=1e-8)


def test_w_kr_4_mark_clamp():
    mark = Mark(IndexBandMark(kind="index_band"), row(), 1000.0)
    for mid, expected in ((900.0, 997.5), (1001.0, 1001.0), (1100.0, 1002.5)):
        close(mark.step(row(last=mid), 1000.0), expected)


def test_kraken_funding_pays_the_hour_before():
    rule = Funding(PreviousHourFunding(kind="previous_interval"))
    paid = []
    for k in range(1, 4):
        paid.append(rule.step(row(time=3600.0 * k, dt=3600.0), 100.0, mid=100.0 + k).rate_paid)
    close(paid, [0.0, 0.01 / 24, 0.02 / 24])
    close(rule.step(row(time=3600.0 * 4, dt=3600.0), 100.0, mid=150.0).rate_paid, 0.03 / 24)
    close(rule.step(row(time=3600.0 * 5, dt=3600.0), 100.0).rate_paid, 0.005)     # the cap


# ---------------------------------------------------------------- Binance
ADA = [
    calc.Step(100e3, 0.025), calc.Step(500e3, 0.05), calc.Step(1e6, 0.10), calc.Step(2e6, 0.15), calc.Step(5e6, 0.25),
    calc.Step(math.inf, 0.50),
]


def test_w_bn_2_tier_deductions():
    close(calc.deductions(ADA), [0.0, 2_500.0, 27_500.0, 77_500.0, 277_500.0, 1_527_500.0])
    close(calc.maintenance_margin(750e3, ADA), 47_500.0)
    close(0.56 + 50 * (0.05 - 0.025), 1.81)


def test_w_bn_2_margin_is_continuous_at_the_edges():
    for tier in ADA[:-1]:
        close(calc.maintenance_margin(tier.up_to, ADA), calc.maintenance_margin(tier.up_to * (1 + 1e-12), ADA))


def test_w_bn_3_adl_score():
    close(40.2 / 4.27, 9.4145, rel=1e-4)
    close(calc.adl_binance(40.2, 4.27, 0.1342), 1.2634, rel=1e-4)
    # UPnL 40.2 of one unit from 100 at mark 140.2; margin ratio = MM / (wallet + UPnL)
    got = score("binance", jnp.asarray([1.0]), jnp.asarray([100.0]), jnp.asarray([4.27]), jnp.asarray([44.47]),
                jnp.asarray([0.1342 * 44.47]), jnp.float64(140.2))
    close(got, [calc.adl_binance(40.2, 4.27, 0.1342)])


def test_w_bn_4_wlfi_tiers():
    margin = load_venue("binance-premarket").pre.margin
    tiers = [calc.Step(t.up_to or math.inf, t.maintenance, t.initial) for t in margin.tiers]
    close(calc.deductions(tiers), [0.0, 125.0, 545.0, 3_035.0, 23_035.0])


TRADES = TradeMeanMark(kind="trade_mean")


def test_w_bn_5_mean_of_ten_seconds():
    mark = Mark(TRADES, row(), 101.5)
    mark.step(row(last=100.0, trades=5.0), 0.0)
    mark.step(row(time=3.0, dt=3.0, last=101.0, trades=5.0), 0.0)
    close(mark.step(row(time=6.0, dt=3.0, last=102.0, trades=20.0), 0.0), 101.5)


@pytest.mark.parametrize("last, expected", [(20, 93.0), (100, 90.6)])
def test_w_bn_5_sparse_trades(last, expected):
    mark = Mark(TRADES.model_copy(update={"sparse_last": last}), row(), 90.0)
    mark.step(row(last=90.0, trades=200.0), 0.0)
    close(mark.step(row(time=60.0, dt=60.0, last=100.0, trades=6.0), 0.0), expected)


def test_w_bn_5_speed_limit():
    mark = Mark(TRADES, row(), 100.0)
    mark.step(row(last=100.0, trades=100.0), 0.0)
    close(mark.step(row(time=1.0, dt=1.0, last=103.0, trades=1e9), 0.0), 101.0)


def test_rows_without_trades_leave_the_tape_alone():
    mark = Mark(TRADES, row(), 100.0)
    mark.step(row(last=100.0, trades=30.0), 0.0)
    close(mark.step(row(time=60.0, dt=60.0, last=100.0, trades=0.0), 0.0), 100.0)
    close(mark.step(row(time=120.0, dt=60.0, last=200.0, trades=10.0), 0.0), 150.0)


def test_no_trade_so_far_is_the_last_price():
    assert Mark(TRADES, row(), 100.0).step(row(last=100.5, trades=0.0), 0.0) == 100.5


# ---------------------------------------------------------------- margin of one position
def test_whole_and_marginal_margin_differ_beyond_the_first_tier():
    tiers = [calc.Step(10e3, 0.10, 0.20), calc.Step(100e3, 0.15, 0.30), calc.Step(math.inf, 0.25, 0.50)]
    close(calc.maintenance_margin(50e3, tiers, "whole"), 7_500.0)
    close(calc.maintenance_margin(50e3, tiers), 7_000.0)
    close(calc.initial_margin(50e3, tiers), 15_000.0)
    close(calc.initial_margin(50e3, tiers, "marginal"), 14_000.0)
    close(calc.maintenance_margin(10e3, tiers, "whole"), 1_000.0)     # an edge belongs to the lower tier


@pytest.mark.parametrize("side", [1, -1])
def test_tiered_liquidation_price_meets_maintenance(side):
    size, entry, collateral = 6_000.0, 100.0, 200e3
    price = calc.liquidation_price_tiered(side, size, entry, collateral, ADA)
    equity = collateral + side * size * (price - entry)
    close(equity, calc.maintenance_margin(size * price, ADA))
    assert side * (price - calc.bankruptcy_price(side, size, entry, collateral)) > 0


def test_flat_funding_several_boundaries_in_one_row():
    rule = Funding(FlatFunding(kind="flat", rate=1e-4, interval=3600.0))
    paid = rule.step(row(time=4 * 3600.0, dt=4 * 3600.0), 50.0)
    close((paid.boundaries, paid.rate_paid, paid.paid_per_contract), (4.0, 4e-4, 0.02))
