"""Windows, marks and funding against plain loops, and what happens at listing, conversion and rebase."""

import math
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
import pytest

from mcrisk.config.load import load_venue
from mcrisk.config.pricing import (
    BlendIndex,
    ClampedPremiumFunding,
    DiscoveryBounds,
    ExternalIndex,
    FlatFunding,
    IndexBasisMark,
    LastTradeIndex,
    MarkEwmaIndex,
    Median3Mark,
    MedianPremiumMark,
    MidAverageMark,
    MidBand,
    MidToIndexMark,
    OkxLimits,
    SmoothedFeedIndex,
    TradeMeanMark,
)
from mcrisk.replay.drive import with_tape
from mcrisk.rules import funding, index, mark, price_limits
from mcrisk.rules.params import traced
from mcrisk.rules.types import POST, PRE, TRANSITION
from mcrisk.rules.windows import window_init, window_update
from tests.rules.harness import Funding, Index, Limits, Mark, close, row


@dataclass
class PlainWindow:
    """The window of docs/semantics.md with lists."""

    window: float
    seen: list = field(default_factory=list)

    def add(self, sample, dt, time):
        now = math.floor(time / (self.window / 24))
        self.seen = [(b, s, w) for b, s, w in self.seen if b > now - 24] + [(now, sample, dt)]
        weight = sum(w for _, _, w in self.seen)
        return sum(s * w for _, s, w in self.seen) / weight if weight > 0 else sample


@pytest.mark.parametrize("steps", [[1.0] * 150, [2.5, 7.0, 59.0, 60.0, 61.0, 0.5] * 10, [600.0, 1.0, 30.0, 30.0, 30.0]])
def test_window_mean(steps):
    state, plain, time = window_init(), PlainWindow(60.0), 0.0
    state, value = window_update(state, jnp.float64(5.0), jnp.float64(0.0), jnp.float64(0.0), jnp.float64(60.0))
    assert float(value) == plain.add(5.0, 0.0, 0.0) == 5.0
    for k, dt in enumerate(steps):
        time += dt
        sample = math.sin(k) + 2.0
        state, value = window_update(state, *map(jnp.float64, (sample, dt, time, 60.0)))
        close(float(value), plain.add(sample, dt, time))


def test_row_longer_than_the_window_counts_alone():
    rule = Mark(MidAverageMark(kind="mid_average"), row(), 100.0)
    rule.step(row(time=1.0, dt=1.0, last=100.0), 100.0)
    assert rule.step(row(time=62.0, dt=61.0, last=200.0), 100.0) == 200.0


def test_mid_average_is_clamped():
    rule = Mark(MidAverageMark(kind="mid_average"), row(), 100.0)
    assert rule.step(row(last=120.0), 100.0, lower=98.0, upper=102.0) == 102.0


def test_mid_to_index_moves_over():
    rule = Mark(MidToIndexMark(kind="mid_to_index", transition=3600.0), row(), 100.0)
    close(rule.step(row(last=110.0), 100.0), 110.0)
    # basis window and mid window see the same rows: only a moving index tells them apart
    rule.step(row(time=30.0, dt=30.0, last=110.0), 100.0)
    value = rule.step(row(time=59.0, dt=29.0, last=110.0), 108.0, since=1800.0)
    basis, mean = (30 * 10.0 + 29 * 2.0) / 59, 110.0
    close(value, 0.5 * (108.0 + basis) + 0.5 * mean)
    close(rule.step(row(time=59.5, dt=0.5, last=110.0), 108.0, since=3600.0), 108.0 + (30 * 10.0 + 29.5 * 2.0) / 59.5)


@pytest.mark.parametrize("form, expected", [("window", 100.0 + 5.0), ("ema", 100.0 + 5.0)])
def test_index_basis(form, expected):
    rule = Mark(IndexBasisMark(kind="index_basis", form=form, average=30.0), row(), 100.0)
    close(rule.step(row(last=105.0), 100.0), expected)
    held = Mark(IndexBasisMark(kind="index_basis", form=form, band=0.01), row(), 100.0)
    close(held.step(row(last=105.0), 100.0), 101.0)


def test_index_basis_of_the_impact_mid():
    rule = Mark(IndexBasisMark(kind="index_basis", of="impact_mid"), row(), 100.0)
    close(rule.step(row(last=105.0, impact_bid=101.0, impact_ask=103.0), 100.0), 102.0)
    rule = Mark(IndexBasisMark(kind="index_basis", of="impact_mid"), row(), 100.0)
    close(rule.step(row(last=105.0, impact_bid=101.0, has_impact_ask=False), 100.0), 105.0)


MEDIAN = Median3Mark(kind="median3", relayer_step=0.005, protocol_step=0.01)


def test_median3_travel_and_bounds():
    rule = Mark(MEDIAN, row(), 100.0)
    assert rule.step(row(last=130.0), 130.0, upper=120.0) == 120.0     # row 0: bounds hold, speed limits do not
    close(rule.step(row(time=3.0, dt=3.0, last=150.0), 150.0, upper=144.0), 120.0 * 1.005)
    loose = Mark(MEDIAN.model_copy(update={"bound_first": False}), row(), 100.0)
    close(loose.step(row(time=3.0, dt=3.0, last=90.0), 90.0, lower=99.8), 99.8)


def test_median3_of_hyperliquid_has_the_books_own_average_for_a_third():
    """Minutes at 100, 110, 120 around an oracle of 100: EMA(mid − O) over 150 s, EMA of the book over 30 s, the book itself."""
    rule = Mark(Median3Mark(kind="median3", third="book_ema"), row(), 100.0)
    for time, last in ((0.0, 100.0), (30.0, 110.0), (60.0, 120.0)):
        mark = rule.step(row(time=time, dt=30.0 * (time > 0), last=last), 100.0)
    basis = (10 * math.exp(-0.2) + 20) / (math.exp(-0.2) + 1)
    book = (110 * math.exp(-1) + 120) / (math.exp(-1) + 1)
    assert 100.0 + basis < book < 120.0
    close(mark, book)


def test_a_tape_holds_every_row_of_its_window():
    """Forty rows in ten seconds: all of their trades count."""
    model = TradeMeanMark(kind="trade_mean", max_change_per_second=1e6)
    utc = 1e9 + 0.25 * np.arange(81)
    venue = load_venue("binance-premarket", ())
    roomy = with_tape(venue.model_copy(update={"pre": venue.pre.model_copy(update={"mark": model})}), utc).pre.mark
    assert roomy.tape == 40 and with_tape(venue, utc[::8]).pre.mark == venue.pre.mark
    rule = Mark(roomy, row(), 100.0)
    for k in range(81):
        mark = rule.step(row(time=0.25 * k, dt=0.25 * (k > 0), last=100.0 + k), 100.0)
    close(mark, 100.0 + sum(range(41, 81)) / 40)


def test_travel_time_of_fifty_per_cent():
    rule, ticks = Mark(MEDIAN, row(), 100.0), 0
    while rule.step(row(time=3.0 * (ticks + 1), dt=3.0, last=150.0), 150.0) < 150.0:
        ticks += 1
    assert ticks + 1 == 82


def test_median3_without_a_side_uses_the_last_trade():
    rule = Mark(Median3Mark(kind="median3"), row(), 100.0)
    assert rule.step(row(last=100.0, bid=104.0, ask=106.0, has_ask=False), 103.0, mid=100.0) == 100.0
    rule = Mark(Median3Mark(kind="median3"), row(), 100.0)
    assert rule.step(row(last=100.0, bid=104.0, ask=106.0), 103.0) == 104.0     # of 103, 105, 104


def test_hyperp_cap_over_the_mean_mark():
    model = Median3Mark(kind="median3", cap_over_mark_ema=3.0)
    rule = Mark(model, row(), 100.0)
    assert rule.step(row(), 100.0) == 100.0
    assert rule.step(row(time=60.0, dt=60.0), 100.0) == 100.0
    close(rule.step(row(time=120.0, dt=60.0, last=500.0), 500.0), 300.0)


def test_median_premium():
    rule = Mark(MedianPremiumMark(kind="median_premium"), row(), 100.0)
    close(rule.step(row(last=101.0), 100.0, mid=102.0, clock=(1e-3, 14400.0, 28800.0)), 101.0)
    close(rule.step(row(time=60.0, dt=60.0, last=90.0), 100.0, mid=95.0, clock=(1e-3, 14400.0, 28800.0)), 95.0)
    close(rule.step(row(time=120.0, dt=60.0, last=90.0), 100.0, mid=91.0, clock=(0.0, 0.0, 28800.0)), 95.0)


def test_smoothed_feed():
    oracle = Index(SmoothedFeedIndex(kind="smoothed_feed"), row(external=90.0), 100.0)
    assert oracle.step(row(external=90.0)) == 90.0
    close(oracle.step(row(time=60.0, dt=60.0, external=50.0)), 90.0 * 0.99)
    near = oracle.value
    close(oracle.step(row(time=66.0, dt=6.0, external=90.0)), near + (1 - math.exp(-0.01)) * (90.0 - near))


def test_last_trade_then_spot():
    listed = Index(LastTradeIndex(kind="last_trade"), row(), 100.0)
    assert listed.step(row(last=101.0, external=90.0), phase=PRE) == 101.0
    assert listed.step(row(last=101.0, external=90.0, fresh=False), phase=TRANSITION) == 90.0
    assert listed.step(row(last=101.0, external=0.0, fresh=False), phase=TRANSITION) == 101.0
    later = Index(LastTradeIndex(kind="last_trade", spot_from="converted"), row(), 100.0)
    assert later.step(row(last=101.0, external=90.0), phase=TRANSITION) == 101.0
    assert later.step(row(last=101.0, external=90.0), phase=POST) == 90.0


def test_external_falls_back():
    model = ExternalIndex(kind="external", fallback="impact_ewma")
    oracle = Index(model, row(), 100.0)
    assert oracle.step(row(time=60.0, dt=60.0, external=104.0)) == 104.0
    close(oracle.step(row(time=240.0, dt=180.0, external=104.0, fresh=False, bid=105.0, ask=106.0)), 104.0951625820)
    hold = Index(ExternalIndex(kind="external"), row(), 100.0)
    assert hold.step(row(time=60.0, dt=60.0, external=104.0, fresh=False)) == 104.0
    silent = row(time=60.0, dt=60.0, external=float("nan"), fresh=False, bid=103.0, ask=105.0)
    assert hold.step(silent) == 104.0


def test_an_external_price_anchors_the_discovery_bounds_anew():
    rule = Limits(DiscoveryBounds(kind="discovery_bounds", bound=0.1, trigger=0.9, max_resets=1, anchor="external"), 100.0)
    silent = row(external=100.0, fresh=False)
    assert rule.step(row(external=200.0), 150.0) == pytest.approx((150.0, 180.0, 220.0))   # an oracle on its way is left alone
    assert rule.step(silent, 182.0) == pytest.approx((182.0, 162.0, 198.0))                # trigger 200·0.91
    assert rule.step(silent, 150.0) == pytest.approx((162.0, 162.0, 198.0))                # no reset left: the oracle stops
    assert rule.step(row(external=150.0), 162.0) == pytest.approx((162.0, 135.0, 165.0))   # counters start again
    assert rule.step(silent, 136.5) == pytest.approx((136.5, 121.5, 148.5))


def test_minutes_of_a_hyperp_are_those_of_the_clock():
    rule = Index(MarkEwmaIndex(kind="mark_ewma"), row(utc=1_000_000_010.0), 100.0)   # 10 s before a full minute
    assert rule.step(row(time=9.0, dt=9.0, utc=1_000_000_019.0), previous_mark=200.0) == pytest.approx(100.0)
    assert rule.step(row(time=10.0, dt=1.0, utc=1_000_000_020.0), previous_mark=200.0) > 100.1


def test_bands():
    close(Limits(MidBand(kind="mid_band"), 1.0).step(row(), 60.0, mid=50.0)[1:], (42.5, 57.5))
    close(Limits(MidBand(kind="mid_band"), 1.0).step(row(final_hour=True), 60.0, mid=50.0)[1:], (57.0, 63.0))


# ---------------------------------------------------------------- funding across rows and phases
def test_premium_is_weighted_by_time_and_the_boundary_row_closes_its_interval():
    rule = Funding(ClampedPremiumFunding(kind="clamped_premium", premium="mid", divisor=1.0))
    rule.step(row(time=600.0, dt=600.0), 100.0, mid=101.0)
    rule.step(row(time=3000.0, dt=2400.0), 100.0, mid=103.0)
    paid = rule.step(row(time=4200.0, dt=1200.0), 100.0, mid=102.0)
    close(paid.rate_paid, (600 * 0.01 + 2400 * 0.03 + 1200 * 0.02) / 4200 - 5e-4)
    assert rule.step(row(time=4260.0, dt=60.0), 100.0, mid=150.0).rate_paid == 0.0


def test_conversion_weights_each_sample_by_its_own_multiplier():
    before = ClampedPremiumFunding(kind="clamped_premium", multiplier=0.005, premium="mid", divisor=1.0)
    after = before.model_copy(update={"multiplier": 0.5})
    rule = Funding(before)
    rule.step(row(time=1800.0, dt=1800.0), 100.0, mid=101.0)
    rule.p, rule.state = traced(after), funding.convert(rule.p, traced(after), rule.state)
    paid = rule.step(row(time=3600.0, dt=1800.0), 100.0, mid=103.0)
    close(paid.rate_paid, (0.5 * 0.005 + 0.5 * 0.5) * (0.02 - 5e-4))


def test_conversion_between_kinds_keeps_the_last_rate_only():
    flat = FlatFunding(kind="flat", rate=5e-5, interval=14400.0)
    rule = Funding(flat)
    assert float(funding.clock(rule.p, rule.state, jnp.float64(100.0))[0]) == 0.0
    rule.step(row(time=14400.0, dt=14400.0), 100.0)
    state = funding.convert(rule.p, traced(ClampedPremiumFunding(kind="clamped_premium")), rule.state)
    assert (float(state.last_rate), float(state.weight), float(state.passed)) == (5e-5, 0.0, -1.0)
    rate, left, interval = funding.clock(rule.p, rule.state, jnp.float64(14400.0 + 100.0))
    assert (float(rate), float(left), float(interval)) == (5e-5, 14300.0, 14400.0)


# ---------------------------------------------------------------- rebase
RATIO = 4.0


@pytest.mark.parametrize("model", [
    MidAverageMark(kind="mid_average"), MidToIndexMark(kind="mid_to_index"), IndexBasisMark(kind="index_basis"),
    IndexBasisMark(kind="index_basis", form="ema"), TradeMeanMark(kind="trade_mean"), MEDIAN,
    Median3Mark(kind="median3", cap_over_mark_ema=1.01), MedianPremiumMark(kind="median_premium"),
], ids=lambda m: m.kind)
def test_a_rebased_mark_goes_on_as_if_prices_had_always_been_so(model):
    plain, split = Mark(model, row(), 100.0), Mark(model, row(), 100.0)
    for k, last in enumerate((100.0, 101.0, 103.0, 102.0, 104.0, 99.0)):
        time, dt = 5.0 * k, 5.0 * (k > 0)
        if k == 3:
            split.state = mark.KINDS[model.kind].rescale(split.state, jnp.float64(1 / RATIO))
            split.value = split.value / RATIO
        unit = RATIO if k >= 3 else 1.0
        a = plain.step(row(time=time, dt=dt, last=last), 100.0 + k)
        b = split.step(row(time=time, dt=dt, last=last / unit), (100.0 + k) / unit)
        close(b * unit, a)


@pytest.mark.parametrize("model", [
    BlendIndex(kind="blend"), MarkEwmaIndex(kind="mark_ewma"), SmoothedFeedIndex(kind="smoothed_feed"),
], ids=lambda m: m.kind)
def test_a_rebased_index_goes_on_as_if_prices_had_always_been_so(model):
    plain, split = Index(model, row(), 100.0), Index(model, row(), 100.0)
    for k, last in enumerate((100.0, 101.0, 103.0, 102.0, 104.0, 99.0)):
        time, dt = 45.0 * k, 45.0 * (k > 0)
        if k == 3:
            split.state = index.KINDS[model.kind].rescale(split.state, jnp.float64(1 / RATIO))
            split.value = split.value / RATIO
        unit = RATIO if k >= 3 else 1.0
        a = plain.step(row(time=time, dt=dt, last=last), previous_mark=100.0 + k)
        b = split.step(row(time=time, dt=dt, last=last / unit), previous_mark=(100.0 + k) / unit)
        close(b * unit, a)


@pytest.mark.parametrize("model", [
    DiscoveryBounds(kind="discovery_bounds", bound=0.02, max_resets=3), OkxLimits(kind="okx_limits"),
    MidBand(kind="mid_band"),
], ids=lambda m: m.kind)
def test_rebased_limits_go_on_as_if_prices_had_always_been_so(model):
    plain, split = Limits(model, 100.0), Limits(model, 100.0)
    for k, last in enumerate((100.0, 101.0, 103.0, 102.0, 104.0, 99.0)):
        time, dt = 5.0 * k, 5.0 * (k > 0)
        if k == 3:
            split.state = price_limits.KINDS[model.kind].rescale(split.state, jnp.float64(1 / RATIO))
        unit = RATIO if k >= 3 else 1.0
        a = plain.step(row(time=time, dt=dt, last=last), last)
        b = split.step(row(time=time, dt=dt, last=last / unit), last / unit)
        close([x * unit for x in b], a)
