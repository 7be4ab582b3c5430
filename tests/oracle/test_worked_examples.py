"""Examples of worked-examples.md that a replay can show, through the oracle. Others are tests of single rules."""

from __future__ import annotations

import math

import pytest

from .averages import Ema
from .funding import FundingState, premium_of
from .index import IndexState, Limits, update_index
from .replay import replay
from .rows import rows_of
from .state import Account, Tiers
from .venues import account, path, venue

BOUNDS = {"kind": "discovery_bounds", "bound": 0.05, "trigger": 0.9, "max_resets": 2}


def _limits(rule: dict, start: float) -> Limits:
    return Limits(venue({"limits": rule}).pre.limits, start, 0.0)


def _row(**cells):
    return rows_of(venue(), [{"time": 0.0, "last": 100.0}, {"time": 60.0, "last": 100.0, **cells}], [])[1]


def test_w_xyz_1_discovery_bound_ladder():
    limits = _limits(BOUNDS, 100.0)
    assert limits.update(104.4999, 0, _row(), None)[1:] == pytest.approx((95.0, 105.0))
    assert limits.update(104.5, 0, _row(), None)[1:] == pytest.approx((99.75, 110.25))
    assert limits.update(109.725, 0, _row(), None)[1:] == pytest.approx((104.7375, 115.7625))
    assert limits.update(500.0, 0, _row(), None) == pytest.approx(
        (115.7625, 104.7375, 115.7625)
    )  # the oracle stops too
    falling = _limits(BOUNDS, 100.0)
    assert falling.update(1.0, 0, _row(), None) == pytest.approx((85.7375, 85.7375, 94.7625))  # both resets in one row


@pytest.mark.parametrize(
    ("ref", "bound", "resets", "top", "bottom"),
    [
        (8, 0.5, 3, 40.5, 0.5),
        (75, 0.5, 2, 253.125, 9.375),
        (5, 0.5, 2, 16.875, 0.625),
        (150, 0.1, 4, 241.5765, 88.5735),
        (150, 0.3, 3, 428.415, 36.015),
        (150, 0.2, 7, 644.9725, 25.1658),
        (75, 0.25, 8, 558.7935, 5.6314),
        (175, 0.25, 5, 667.572, 31.1462),
    ],
)
def test_w_xyz_3_extremes(ref, bound, resets, top, bottom):
    rule = {**BOUNDS, "bound": bound, "max_resets": resets}
    assert _limits(rule, ref).update(1e9, 0, _row(), None)[2] == pytest.approx(top, rel=1e-3)
    assert _limits(rule, ref).update(1e-9, 0, _row(), None)[1] == pytest.approx(bottom, rel=1e-3)


def test_w_xyz_4_buying_stops_at_the_level_one_bound():
    phase = {
        "index": {"kind": "impact_ewma"},
        "limits": {**BOUNDS, "bound": 0.2, "max_resets": 3},
        "mark": {"kind": "median3"},
    }
    prices = path(*[150.0] + [400.0] * 900, dt=3.0)
    marks = [line["mark"] for line in replay(venue(phase), prices, [account("L", 0, 150, 0)]).market]
    index = [line["index"] for line in replay(venue(phase), prices, [account("L", 0, 150, 0)]).market]
    level_one = [m for m, o in zip(marks, index) if 177.0 <= o < 212.4]
    assert level_one and max(level_one) == pytest.approx(216.0)


@pytest.mark.parametrize(
    ("dt", "weight"), [(3.0, 0.00166527855), (60.0, 0.0327838995), (180.0, 0.0951625820), (600.0, 0.0951625820)]
)
def test_w_xyz_5_oracle_weight(dt, weight):
    rule = venue({"index": {"kind": "impact_ewma"}}).pre.index

    def moved(bid, ask):
        row = rows_of(
            venue(),
            [{"time": 0.0, "last": 100.0}, {"time": dt, "last": 100.0, "impact_bid": bid, "impact_ask": ask}],
            [],
        )[1]
        return update_index(IndexState(rule, 100.0), row, "pre", 100.0, 100.0, None)

    assert moved(101.0, 102.0) == pytest.approx(100.0 + weight, rel=1e-9)
    assert moved(98.0, 99.0) == pytest.approx(100.0 - weight, rel=1e-9)
    assert moved(99.0, 101.0) == moved(None, 101.0) == pytest.approx(100.0)


def test_w_xyz_5_half_life_of_the_gap():
    rule = venue({"index": {"kind": "impact_ewma"}}).pre.index
    index, updates = 100.0, 0
    while index < 101.0:
        row = rows_of(venue(), [{"time": 0.0, "last": 100.0}, {"time": 3.0, "last": 102.0}], [])[1]
        index, updates = update_index(IndexState(rule, 100.0), row, "pre", index, 100.0, None), updates + 1
    assert updates == math.ceil(415.89)


def _rate(premium: float, **options) -> float:
    rule = venue({"funding": {"kind": "clamped_premium", **options}}).pre.funding
    state = FundingState()
    state.sample(rule, premium, 60.0)
    return state.close_interval(rule)


def test_w_xyz_7_funding_scale():
    assert _rate(0.0, multiplier=0.005) == pytest.approx(6.25e-8)
    assert _rate(0.0049, multiplier=0.005) == pytest.approx(2.75e-6)
    assert _rate(0.0049, multiplier=0.5) == pytest.approx(2.75e-4)
    assert _rate(0.0, multiplier=0.5) * 24 * 365 == pytest.approx(0.05475)


def test_w_hl_1_funding_payment():
    phase = {
        "index": {"kind": "smoothed_feed"},
        "mark": {"kind": "index_band"},
        "funding": {"kind": "clamped_premium", "premium": "impact", "basis": "oracle"},
    }
    prices = path(10_000.0, 10_000.0, dt=3600.0, external=[10_000.0] * 2, impact_bid=[10_100.0] * 2)
    result = replay(venue(phase), prices, [account("L", 10, 10_000, 50_000), account("S", -10, 10_000, 50_000)])
    assert result.market[1]["funding_rate"] == pytest.approx(0.0011875) and result.market[1][
        "premium"
    ] == pytest.approx(0.01)
    assert [entry["cash"] for entry in result.ledger] == pytest.approx([-118.75, 118.75])


@pytest.mark.parametrize(
    ("premium", "rate"), [(0.0, 0.0001 / 8), (0.0003, 0.0001 / 8), (-0.01, -0.0095 / 8), (0.5, 0.04)]
)
def test_w_hl_2_clamp_cases(premium, rate):
    assert _rate(premium) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("lev", "entry", "side", "size", "cash", "expected"),
    [
        (50, 2458.5, 1, 0.015, 36.864593, 0.86915825),
        (50, 2459.5, 1, 0.0199, 24.454895, 1243.0411908),
        (20, 155.89, -1, 0.32, 24.924941, 228.07847866),
        (50, 68595.0, -1, 0.00069, 23.64871, 101849.99354283),
        (50, 66930.0, 1, 0.0015, 20.043862, 54108.51043771),
        (10, 190.0, -1, 0.5, 9.5, 199.04761904761904),
    ],
)
def test_w_hl_3_liquidation_prices(lev, entry, side, size, cash, expected):
    """Bisect the mark at which the account is liquidated in a replay of two rows."""
    margin = {"mode": "whole", "tiers": [{"initial": 1.0 / lev, "maintenance": 0.5 / lev}]}
    a = Account("x", side * size, entry, cash, 0)
    lo, hi = 1e-6, 1e7
    for _ in range(200):
        mid = (lo + hi) / 2.0
        below = a.equity(mid) < Tiers(venue({"margin": margin}).pre.margin, 1.0, mid).maintenance(a.q)
        lo, hi = (mid, hi) if below == (side > 0) else (lo, mid)
    assert lo == pytest.approx(expected, rel=4e-5)


def _maintenance(notional: float, *tiers: tuple[float | None, float], mode: str = "marginal") -> float:
    table = [{"up_to": up_to, "initial": 1.0, "maintenance": rate} for up_to, rate in tiers]
    return Tiers(venue({"margin": {"mode": mode, "tiers": table}}).pre.margin, 1.0, 1.0).maintenance(notional)


def test_w_hl_4_tier_deduction():
    btc = ((150e6, 0.0125), (None, 0.025))
    assert _maintenance(200e6, *btc) == pytest.approx(3_125_000)
    assert _maintenance(150e6, *btc) == pytest.approx(1_875_000) == pytest.approx(_maintenance(150e6 + 1e-6, *btc))
    assert _maintenance(120e6, (100e6, 0.02), (None, 1 / 30)) == pytest.approx(2_666_666.67, rel=1e-6)


def test_w_bn_2_and_4_tier_amounts():
    ada = ((100e3, 0.025), (500e3, 0.05), (1e6, 0.10), (2e6, 0.15), (5e6, 0.25), (None, 0.50))
    assert _maintenance(750e3, *ada) == pytest.approx(47_500)
    wlfi = ((5e3, 0.10), (10e3, 0.125), (30e3, 0.167), (80e3, 0.25), (None, 0.50))
    for notional, amount, rate in ((7e3, 125, 0.125), (20e3, 545, 0.167), (50e3, 3035, 0.25), (1e5, 23035, 0.50)):
        assert _maintenance(notional, *wlfi) == pytest.approx(notional * rate - amount)


def test_w_hl_5_ema():
    ema, got = Ema(150.0), []
    for sample, dt in ((1, 3), (2, 3), (2, 3), (2, 144)):
        ema.add(sample, dt)
        got.append(ema.read(0.0))
    assert got == pytest.approx([1.0, 1.50499983, 1.67331067, 1.99251153], rel=1e-8)


def test_w_hl_7_staged_liquidation():
    v = venue(
        {"margin": {"mode": "whole", "tiers": [{"initial": 0.9, "maintenance": 0.9}]}},
        liquidation={"kind": "book_then_backstop", "floor": "none"},
        adl={"trigger": "negative_equity", "rank": "hyperliquid", "price": "previous_mark"},
    )
    accounts = [account("big", 5000, 100, 200_000), account("small", 900, 100, 20_000), account("S", -5900, 100, 1e9)]
    result = replay(v, path(100.0, 100.0, dt=3.0), accounts)
    sold = [(entry["time"], entry["account_id"], entry["quantity"]) for entry in result.ledger]
    assert sold == [(0, "big", -1000), (0, "small", -900), (3, "big", -4000)]


def test_w_okx_3_price_limits():
    for premium, high, low in ((0, 102, 98), (1, 103, 99), (4, 105, 100), (-4, 100, 95)):
        rule = _limits({"kind": "okx_limits", "opening": 0}, 100.0)
        assert rule.update(100.0, 100.0, _row(bid=100.0 + premium, ask=100.0 + premium), None)[1:] == pytest.approx(
            (low, high)
        )
    opening = _limits({"kind": "okx_limits"}, 100.0)
    assert opening.update(100.0, 100.0, _row(bid=104.0, ask=104.0), None)[1:] == pytest.approx((98, 102))


def test_w_okx_2_partial_liquidation_closes_down_to_the_lower_tier():
    tiers = [
        {"up_to": up_to, "initial": 1.0, "maintenance": rate}
        for up_to, rate in ((2000, 0.05), (10_000, 0.06), (None, 0.2))
    ]
    v = venue(
        {"margin": {"mode": "whole", "by": "contracts", "tiers": tiers}},
        liquidation={"kind": "tier_step_down", "fee": 0.0, "repeat_within_row": False},
        adl={"trigger": "fund_drawdown", "scope": "inventory", "rank": "okx", "price": "mark"},
    )
    result = replay(v, path(10.0), [account("L", 15_000, 10, 20_000), account("S", -15_000, 10, 1e6)])
    assert [entry["quantity"] for entry in result.ledger] == [-13_000]


def test_w_okx_4_flat_funding():
    v = venue({"funding": {"kind": "flat", "rate": 5e-5}})
    result = replay(v, path(100.0, 100.0, dt=14_400.0), [account("L", 100, 100, 5000), account("S", -100, 100, 5000)])
    assert result.ledger[0]["cash"] == pytest.approx(-0.5)
    day = replay(v, path(100.0, 100.0, dt=86_400.0), [account("L", 100, 100, 5000), account("S", -100, 100, 5000)])
    assert day.ledger[0]["cash"] == pytest.approx(-3.0)


def test_w_okx_5_rebase():
    r = 12.52
    result = replay(
        venue(),
        path(2400.0, 2400.0 / r),
        [account("L", 10, 2400, 9000), account("S", -10, 2400, 9000)],
        [{"time": 60, "event": "rebase", "ratio": r}],
    )
    long = result.accounts[0]
    assert (
        long["quantity"] == pytest.approx(125.2)
        and long["entry_price"] == pytest.approx(191.693291)
        and long["collateral"] == 9000
    )
    assert long["quantity"] * result.market[-1]["mark"] == pytest.approx(24_000)


def test_w_okx_8_cancellation_at_the_tick():
    v = venue(
        settlement={"cancellation": [{"price": "tick"}]},
        contract={"initial_price": 2.0, "open_interest": 1.0, "tick": 0.0001},
    )
    result = replay(
        v,
        path(2.0, 2.0),
        [account("L", 1000, 2, 5000), account("S", -1000, 2, 5000)],
        [{"time": 60, "event": "cancelled"}],
    )
    assert [entry["cash"] for entry in result.ledger] == pytest.approx([-1999.9, 1999.9])


def test_w_kr_4_mark_clamp():
    phase = {"index": {"kind": "smoothed_feed"}, "mark": {"kind": "index_band"}}
    marks = [
        line["mark"]
        for line in replay(
            venue(phase), path(1000.0, 1010.0, 990.0, external=[1000.0] * 3), [account("L", 0, 1, 0)]
        ).market
    ]
    assert marks == pytest.approx([1000.0, 1002.5, 997.5])


def test_w_bn_5_mean_of_trades():
    def mark(*rows: tuple[float, float, int], limit: float = 0.999) -> float:
        prices = [{"time": t, "last": price, "trades": n} for t, price, n in rows]
        phase = {"mark": {"kind": "trade_mean", "max_change_per_second": limit}}
        return replay(venue(phase), prices, [account("L", 0, 1, 0)]).market[-1]["mark"]

    assert mark((0, 100, 5), (1, 101, 5), (2, 102, 20)) == pytest.approx(101.5)
    assert mark((0, 90, 500), (50, 100, 6)) == pytest.approx(93.0)
    assert mark((0, 100, 1), (1, 103, 500), limit=0.01) == pytest.approx(101.0)


def test_premium_with_a_missing_side():
    rule = venue({"funding": {"kind": "clamped_premium"}}).pre.funding
    assert premium_of(rule, _row(impact_bid=None, impact_ask=99.0), 100.0) == pytest.approx(-0.01)
    hip3 = venue({"funding": {"kind": "clamped_premium", "premium": "hip3"}}).pre.funding
    assert premium_of(hip3, _row(impact_bid=None, impact_ask=99.0), 100.0) == 0.0
    assert premium_of(hip3, _row(impact_bid=101.0, impact_ask=103.0), 100.0) == pytest.approx(0.02)
