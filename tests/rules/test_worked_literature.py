"""Worked examples of the literature and of venues without a profile, each named by its id."""

from __future__ import annotations

from datetime import date

import pytest

from mcrisk.config.load import load_venue
from mcrisk.config.pricing import BlendIndex
from mcrisk.replay.api import replay as given
from mcrisk.rules import literature as paper
from mcrisk.rules.calculator import bankruptcy_price
from tests.oracle.compare import frame
from tests.oracle.replay import replay
from tests.oracle.venues import account, path, venue
from tests.rules.harness import Index, row


def test_w_xyz_9_alternative_settlement_date():
    assert paper.earliest_settlement(date(2026, 5, 30), 60) == date(2026, 7, 29)
    assert load_venue("tradexyz-ipop").settlement.cancellation[0].price == "twap_from_launch"
    assert paper.time_weighted_mean((150.0, 200.0, 100.0), (10.0, 20.0, 10.0)) == pytest.approx(162.5)


def test_w_okx_1_adl_fund_threshold():
    """The restatement as a calculator; the profiles ship the official reading, the peak, with the average as an option."""
    threshold = paper.okx_threshold(400_000.0)
    assert threshold == pytest.approx(280_000.0) and 200_000.0 < threshold
    assert paper.okx_threshold(10_000.0) == 50_000.0
    adl = load_venue("okx-premarket-perp").adl
    assert (adl.trigger, adl.drawdown_of, adl.drawdown, adl.drawdown_window) == ("fund_drawdown", "peak", 0.3, 28800.0)


@pytest.mark.parametrize("engine", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("of", "fund", "last", "triggered"), [
    ("average", 400_000.0, 88.0, True), ("average", 400_000.0, 89.0, False),    # V 200,000 and 300,000 against 280,000
    ("average", 60_000.0, 89.85, True), ("average", 60_000.0, 89.95, False),    # V 45,000 and 55,000 against the floor
    ("peak", 60_000.0, 89.85, False), ("peak", 60_000.0, 89.8, True),           # V 45,000 and 40,000 against 42,000
])
def test_w_okx_1_as_a_replay(of, fund, last, triggered, engine):
    """After eight hours at `fund` it takes over 100,000 contracts at 90; the mark is the last price."""
    made = venue(
        {"margin": {"mode": "whole", "tiers": [{"initial": 0.1, "maintenance": 0.05}]}},
        liquidation={"kind": "tier_step_down"}, fund={"initial": fund / 1e7},
        contract={"initial_price": 100.0, "open_interest": 1e7},
        adl={"trigger": "fund_drawdown", "scope": "inventory", "rank": "okx", "price": "mark", "difference_to": "fund",
             "drawdown": 0.3, "drawdown_of": of, "drawdown_floor": 50_000.0})
    rows = [{"time": t, "last": p} for t, p in ((0.0, 100.0), (28800.0, 100.0), (28801.0, last))]
    book = [account("L", 1e5, 100.0, 1e6), account("S", -1e5, 100.0, 1e6)]
    told = replay(made, rows, book).ledger
    assert [line["event"] for line in told] == ["takeover", *(["adl", "adl"] if triggered else [])]
    assert told[0]["price"] == pytest.approx(90.0) and (sum(line["fund"] for line in told) != 0.0) == triggered
    if engine:   # the engine agrees with the oracle on averages in test_engine_oracle.py, skeleton `once`
        assert list(given(made, frame(rows), frame(book)).ledger["event"]) == [line["event"] for line in told]


@pytest.mark.parametrize(("size", "depth", "assigned"), [(1_760_000, 1_007_379, 752_621), (300_000, 300_000, 0)])
def test_w_kr_2_what_the_book_does_not_take_is_assigned(size, depth, assigned):
    """Sizes of the official example on a linear contract. What one provider received (184,317) contradicts the equal
    split of the same page, so nothing is tested about who receives how much.
    """
    ladder = {"kind": "band_then_assignment", "assignment_capacity": 1.0}
    made = venue(liquidation=ladder, adl={"trigger": "fund_empty", "rank": "pnl_leverage", "price": "bankruptcy"},
                 contract={"initial_price": 1.0, "open_interest": 1e7})
    rows = path(1.0, 0.94, depth=[None, depth * 0.94])
    told = replay(made, rows, [account("L", size, 1.0, 0.1001 * size), account("S", -size, 1.0, size)])
    closed = {entry["event"]: -entry["quantity"] for entry in told.ledger if entry["account_id"] == "L"}
    assert closed.get("liquidation", 0.0) == pytest.approx(depth) and closed.get("assignment", 0.0) == pytest.approx(assigned)


def test_w_by_1_adl_by_drawdown():
    ratio = paper.bybit_ratio(-350_000.0, 0.0, 1_000_000.0)
    assert ratio == pytest.approx(-0.35) and paper.bybit_adl(ratio, 650_000.0)
    assert paper.bybit_to_close(350_000.0, 1_000_000.0) == pytest.approx(50_000.0)
    assert not paper.bybit_adl(-0.249, 750_000.0)


def test_w_by_2_the_boundary_counts_in_the_example_and_not_in_the_rule():
    ratio = paper.bybit_ratio(400_000.0, 1_000_000.0, 2_000_000.0)
    assert ratio == pytest.approx(-0.30)
    assert paper.bybit_adl(-0.30, 1_400_000.0) and not paper.bybit_adl(-0.30, 1_400_000.0, inclusive=False)


def test_w_by_3_an_empty_pool_is_a_trigger():
    assert paper.bybit_adl(0.0, 0.0) and not paper.bybit_adl(0.0, 1.0)


def test_w_ch_1_queue_and_pro_rata():
    pnl, cash, amount = (8.0, 4.0, 0.5, -3.0, -12.0), (2.0, 1.0, 0.5, 0.0, 0.0), 0.5 * 15.0
    queue = paper.queue_haircut(pnl, (1, 0, 2, 4, 3), amount)
    assert queue == pytest.approx([3.5, 4.0, 0, 0, 0])
    assert [s / w for s, w in zip(queue[:3], pnl)] == pytest.approx([0.4375, 1.0, 0.0])
    equity = [c + p for c, p in zip(cash, pnl)]
    assert [e - s for e, s in zip(equity, queue)] == pytest.approx([6.5, 1, 1, -3, -12])
    shared = paper.pro_rata_haircut(pnl, amount)
    assert shared == pytest.approx([4.8, 2.4, 0.3, 0, 0])
    assert [e - s for e, s in zip(equity, shared)] == pytest.approx([5.2, 2.6, 0.7, -3, -12])


def test_w_ch_3_funding_and_insolvency():
    book = [paper.Holding(*h) for h in ((1, 2, 1), (1, 2 / 3, 1), (4, 8 / 3, -1), (1, 2 / 19, 1), (1, 10 / 99, -1))]
    prices, spot = (1.0, 1.4, 1.3), (1.0, 1.5, 1.25)
    longs, shorts = (sum(h.size for h in book if h.side == s) for s in (1, -1))
    rates = [paper.paper_funding(longs, shorts, p, s) for p, s in zip(prices[1:], spot[1:])]
    assert rates == pytest.approx([-1 / 3, -0.44], abs=2e-4)
    first = paper.paper_step(book, prices[0], prices[1], rates[0])
    assert [h.equity for h in first] == pytest.approx([1.9333, 0.6, 2.9334, 0.0386, 0.1677], abs=2e-4)
    below = [h.equity < 0.1 * h.size * prices[1] for h in first]
    assert below == [False, False, False, True, False]
    second = paper.paper_step(first, prices[1], prices[2], rates[1])
    assert [h.equity for h in second] == pytest.approx([1.2613, -0.072, 5.6214, -0.6334, 0.8397], abs=2e-4)
    assert -sum(min(h.equity, 0.0) for h in second) == pytest.approx(0.7054, abs=2e-4)
    leverage = [h.size * prices[2] / h.equity for h in second if h.equity > 0]
    assert leverage == pytest.approx([1.031, 0.925, 1.548], abs=1e-3)


def test_w_ch_4_bad_debt_and_fund():
    """A short from 1.05 whose collateral is gone at 1.1510 is closed at 1.55."""
    deficit = 1.55 - bankruptcy_price(-1, 1.0, 1.05, 0.101)
    fee = 0.0020 * 1.05 + 0.0010 * 1.55
    assert (deficit, fee) == pytest.approx((0.399, 0.00365))
    rich = paper.fund_step(1.0, deficit, fee, 0.5)
    assert rich == pytest.approx((1.0 + 0.5 * 0.00365 - 0.399, 0.0))
    poor = paper.fund_step(0.1, deficit)
    assert poor == pytest.approx((0.0, 0.299))


def test_w_ch_5_totals_of_10_october():
    """Totals of the replication; the accounts behind them are not public, so they cannot be replayed to the cent."""
    assert 60_108_335.33 - 15_079_669.61 == pytest.approx(45_028_665.72, abs=5e-3)
    assert 15_079_669.61 < 60_108_335.33 < 100_063_386.69


def test_w_wo_1_order_limits():
    limits = paper.woo_limits(10.0, 10.0, 10.0)
    assert limits == pytest.approx((4.0, 11.0, 9.0, 16.0))
    assert paper.time_weighted_mean((9.0, 11.0), (1800.0, 1800.0)) == pytest.approx(10.0)  # termination: mean of an hour


def test_w_ve_1_blended_oracle():
    first = row(last=120.0, external=100.0)
    rule = Index(BlendIndex(kind="blend", external_weight=0.5), first, 120.0)
    assert rule.step(first, previous_mark=120.0) == pytest.approx(110.0)


def test_leverage_fill_levels_the_largest_leverages():
    closed = paper.leverage_fill((10.0, 10.0, 10.0), (10.0, 20.0, 40.0), 10.0, 8.0)
    assert sum(closed) == pytest.approx(8.0) and closed[2] == 0.0
    left = [(10.0 - c) * 10.0 / e for c, e in zip(closed, (10.0, 20.0, 40.0))]
    assert left[0] == pytest.approx(max(left)) and left[0] <= 5.0
