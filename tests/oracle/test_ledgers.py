"""Small replays whose ledgers were worked out by hand."""

from __future__ import annotations

import math

import pytest

from .replay import replay
from .venues import account, path, venue

FUND = {"initial": 0.1}  # of an open interest of 1000: 100
HL = {"kind": "book_then_backstop"}
HL_ADL = {"trigger": "negative_equity", "rank": "hyperliquid", "price": "previous_mark"}
OKX = {"kind": "tier_step_down", "fee": 0.0}
OKX_ADL = {"trigger": "fund_drawdown", "scope": "inventory", "rank": "okx", "price": "mark"}
KRAKEN = {"kind": "band_then_assignment"}
KRAKEN_ADL = {"trigger": "fund_cannot_take", "rank": "pnl_leverage", "price": "bankruptcy"}


def entries(result, *columns):
    return [tuple(round(e[c], 9) if isinstance(e[c], float) else e[c] for c in columns) for e in result.ledger]


def by_id(result):
    return {a["account_id"]: a for a in result.accounts}


def test_a_long_is_liquidated_at_the_bid_and_keeps_the_rest():
    # mark 89: equity 20 - 11 = 9 > 8.9; mark 88: 8 < 8.8. Sold at 87: 20 - 13 = 7 left.
    prices = path(100.0, 89.0, 88.0, bid=[100.0, 89.0, 87.0], ask=[100.0, 89.0, 88.5])
    result = replay(venue(), prices, [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(result, "time", "account_id", "event", "quantity", "price", "cash") == [
        (120, "L", "liquidation", -1, 87, -13)
    ]
    assert (
        by_id(result)["L"]["collateral"] == 7
        and by_id(result)["L"]["status"] == "liquidated"
        and by_id(result)["S"]["status"] == "open"
    )


def test_a_short_buys_at_the_ask():
    prices = path(100.0, 112.0, bid=[100.0, 111.0], ask=[100.0, 113.0])
    result = replay(venue(), prices, [account("S", -2, 100, 40), account("L", 2, 100, 200)])
    assert entries(result, "account_id", "event", "quantity", "price", "cash") == [("S", "liquidation", 2, 113, -26)]


def test_equity_equal_to_maintenance_is_safe():
    assert not replay(venue(), path(100.0, 80.0), [account("L", 1, 100, 28), account("S", -1, 100, 200)]).ledger


def test_depth_is_shared_worst_first_and_the_rest_goes_to_the_fund_at_its_zero_price():
    # both below 10 % at 85; B (equity 1) is worse than A (equity 5). Depth 85 buys one contract: B's. A's z = 80.
    accounts = [account("A", 1, 100, 20), account("B", 1, 100, 16), account("S", -2, 100, 400)]
    result = replay(venue(fund=FUND), path(100.0, 85.0, depth=[None, 85.0]), accounts)
    assert entries(result, "account_id", "event", "quantity", "price", "cash") == [
        ("B", "liquidation", -1, 85, -15),
        ("A", "takeover", -1, 80, -20),
    ]
    assert result.fund_inventory[1] == (1, 80) and by_id(result)["A"]["collateral"] == 0


def test_taken_over_inventory_is_sold_in_the_next_row_at_half_the_depth():
    accounts = [account("A", 2, 100, 40), account("S", -2, 100, 400)]
    result = replay(venue(fund={"initial": 0.2}), path(100.0, 85.0, 78.0, depth=[None, 0.0, 156.0]), accounts)
    assert entries(result, "time", "account_id", "event", "quantity", "price", "fund") == [
        (60, "A", "takeover", -2, 80, 0),
        (120, "fund", "fund", -1, 78, -2),
    ]
    assert result.fund == 198 and result.fund_inventory[1] == (1, 80)


def test_binance_fund_takes_a_fraction_and_adl_does_the_rest_at_the_bankruptcy_price():
    # fund 50: room 50 of 170 notional. 2 contracts at z 80: taken 2·50/170; the rest closes against S at 80.
    accounts = [account("A", 2, 100, 40), account("S", -2, 100, 400)]
    result = replay(venue(fund={"initial": 0.05}), path(100.0, 85.0, depth=[None, 0.0]), accounts)
    taken = 2 * 50 / 170
    assert result.fund_inventory[1] == (pytest.approx(taken), 80)
    assert entries(result, "account_id", "event", "price") == [
        ("A", "takeover", 80),
        ("A", "adl", 80),
        ("S", "adl", 80),
    ]
    assert by_id(result)["S"]["quantity"] == pytest.approx(-taken) and by_id(result)["S"][
        "collateral"
    ] == pytest.approx(400 + (2 - taken) * 20)
    assert by_id(result)["A"]["collateral"] == pytest.approx(0) and by_id(result)["A"]["status"] == "liquidated"


def test_clearance_fee_goes_to_the_fund_and_takes_at_most_what_is_left():
    v = venue(liquidation={"kind": "ioc_then_fund", "clearance_fee": 0.5})
    result = replay(v, path(100.0, 88.0), [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(result, "account_id", "cash", "fee", "fund") == [("L", -20, 8, 8)] and result.fund == 8
    assert by_id(result)["L"]["fees_paid"] == 8 and by_id(result)["L"]["collateral"] == 0


def test_hyperliquid_never_fills_beyond_zero_equity_and_deleverages_instead():
    # bid 70 < z 80, equity -10 at mark 70. Row of 3 s: ADL at the previous mark 100 -> L closes without loss to S.
    v = venue(liquidation=HL, adl=HL_ADL)
    result = replay(v, path(100.0, 70.0, dt=3.0), [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(result, "account_id", "event", "quantity", "price", "cash") == [
        ("L", "adl", -1, 100, 0),
        ("S", "adl", 1, 100, 0),
    ]
    # a long row: the zero-equity price 80 lies between the marks
    slow = replay(v, path(100.0, 70.0), [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(slow, "account_id", "price", "cash") == [("L", 80, -20), ("S", 80, 20)]


def test_without_a_floor_the_loss_falls_on_the_fund_and_then_on_nobody():
    v = venue(liquidation={**HL, "floor": "none"}, adl=HL_ADL, fund={"initial": 0.004})
    result = replay(v, path(100.0, 70.0), [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(result, "event", "price", "cash", "fund") == [("liquidation", 70, -30, 0), ("fund", 70, 4, -4)]
    assert (
        result.fund == 0 and result.unpaid == pytest.approx(6) and by_id(result)["L"]["collateral"] == pytest.approx(-6)
    )


def test_backstop_takes_margin_below_two_thirds_and_stops_at_its_capacity():
    v = venue(
        liquidation=HL, adl={**HL_ADL, "price": "bankruptcy"}, backstop={"enabled": True, "loss_capacity": 0.005}
    )  # 5
    safe = replay(v, path(100.0, 85.0, depth=[None, 0.0]), [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(safe, "event", "price", "cash") == [("backstop", 80, -20)] and safe.backstop == pytest.approx(5)
    # equity -10 at 70 costs the vault 10 > 5: half is taken, the other half is deleveraged at 80
    half = replay(v, path(100.0, 70.0, depth=[None, 0.0]), [account("L", 1, 100, 20), account("S", -1, 100, 200)])
    assert entries(half, "account_id", "event", "quantity", "price", "cash") == [
        ("L", "backstop", -0.5, 80, -10),
        ("L", "adl", -0.5, 80, -10),
        ("S", "adl", 0.5, 80, 10),
    ]
    assert half.backstop == pytest.approx(-5)


def test_okx_fund_drawdown_stops_selling_and_closes_the_inventory_at_the_mark():
    # z 80 taken over at 85 while V = 100 + 5; at 40 the inventory loses 40: V = 60 <= 0.7 * 105
    accounts = [account("L", 1, 100, 20), account("S", -1, 100, 200)]
    v = venue(liquidation=OKX, adl=OKX_ADL, fund=FUND)
    result = replay(v, path(100.0, 85.0, 40.0, depth=[None, 0.0, None]), accounts)
    assert entries(result, "time", "account_id", "event", "quantity", "price", "fund") == [
        (60, "L", "takeover", -1, 80, 0),
        (120, "S", "adl", 1, 40, 0),
        (120, "fund", "adl", -1, 40, -40),
    ]
    assert result.fund == 60 and by_id(result)["S"]["collateral"] == 260


def test_okx_nearly_empty_fund_closes_at_the_take_over_price():
    v = venue(liquidation=OKX, adl=OKX_ADL, fund={"initial": 0.042})  # 42 -> V = 2 < 10 % of 42
    result = replay(
        v, path(100.0, 85.0, 40.0, depth=[None, 0.0, None]), [account("L", 1, 100, 20), account("S", -1, 100, 200)]
    )
    assert (
        entries(result, "account_id", "event", "price", "fund")[1:] == [("S", "adl", 80, 0), ("fund", "adl", 80, 0)]
        and result.fund == 42
    )


def test_okx_backlog_by_age():
    v = venue(liquidation=OKX, adl={**OKX_ADL, "backlog_age": 120.0}, fund=FUND)
    result = replay(
        v, path(*[100.0] + [85.0] * 4, depth=[None] + [0.0] * 4), [account("L", 1, 100, 20), account("S", -1, 100, 200)]
    )
    assert entries(result, "time", "account_id", "event")[1:] == [(240, "S", "adl"), (240, "fund", "adl")]


def test_okx_backlog_is_what_the_book_was_offered_before_conversion():
    book = [account("L", 1, 100, 20), account("S", -1, 100, 200)]
    v = venue(liquidation=OKX, adl={**OKX_ADL, "backlog_notional": 50.0}, fund=FUND)
    waits = replay(v, path(100.0, 85.0, 85.0, depth=[None, 0.0, 0.0]), book)     # taken over at 60, offered and left at 120
    assert entries(waits, "time", "event") == [(60, "takeover"), (120, "adl"), (120, "adl")]
    sold = replay(v, path(100.0, 85.0, 85.0, depth=[None, 0.0, None]), book)     # the book takes it: no backlog
    assert entries(sold, "time", "event") == [(60, "takeover"), (120, "fund")]
    converted = replay(v, path(100.0, *[85.0] * 4, external=[100.0] * 5, depth=[None] + [0.0] * 4), book,
                       [{"time": 60.0, "event": "converted"}])
    assert "adl" not in [line["event"] for line in converted.ledger]


def test_okx_steps_down_tiers_within_a_row_until_safe():
    # 10 contracts at 80: N 800, tier 3 (20 %). equity 130 < 160. tier-1 need 40. Cut to 100/80 -> then 5 % of 100 is 5.
    tiers = [
        {"up_to": up_to, "initial": 1.0, "maintenance": rate}
        for up_to, rate in ((100.0, 0.05), (400.0, 0.1), (None, 0.2))
    ]
    v = venue({"margin": {"mode": "whole", "tiers": tiers}}, liquidation=OKX, adl=OKX_ADL)
    result = replay(v, path(100.0, 80.0), [account("L", 10, 100, 330), account("S", -10, 100, 9000)])
    assert entries(result, "event", "quantity", "price", "cash") == [("liquidation", -8.75, 80, -175)]
    shallow = replay(
        v, path(100.0, 80.0, depth=[None, 160.0]), [account("L", 10, 100, 330), account("S", -10, 100, 9000)]
    )
    assert entries(shallow, "event", "quantity") == [("liquidation", -2)]


def test_kraken_cuts_in_the_band_then_assigns_and_covers():
    accounts = [account("L", 10, 100, 180), account("S", -10, 100, 5000)]
    v = venue(liquidation=KRAKEN, adl=KRAKEN_ADL, fund=FUND)
    band = replay(v, path(100.0, 89.0), accounts)  # equity 70 of 89 needed: 10 % is cut
    assert entries(band, "event", "quantity", "price", "cash") == [("liquidation", -1, 89, -11)]
    # at 84: equity 20 < 42, no bid. z = 82 = 84·(1 - 2.38 %): assigned at 82; capacity 50 -> 50/84 contracts; then ADL
    gap = replay(v, path(100.0, 84.0, bid=[100.0, None], ask=[100.0, 84.0]), accounts)
    assigned = 50 / 84
    assert entries(gap, "account_id", "event", "price") == [("L", "assignment", 82), ("L", "adl", 82), ("S", "adl", 82)]
    assert gap.ledger[0]["quantity"] == pytest.approx(-assigned) and by_id(gap)["L"]["collateral"] == pytest.approx(0)
    assert gap.assignees == pytest.approx(-assigned * 82)


def test_kraken_fund_pays_for_assignment_and_covered_liquidation_as_far_as_it_goes():
    # at 80: equity -20, z = 82. Assigned at 80·(1 - 0.75 %) = 79.4, 2.6 per contract; capacity 40/80 contracts: 1.3
    # covered at the bid 78: 9.5 contracts · 4 = 38, all paid from 98.7 (and from 19 the half of it)
    accounts = [account("L", 10, 100, 180), account("S", -10, 100, 5000)]
    v = venue(liquidation={**KRAKEN, "assignment_capacity": 0.04}, adl=KRAKEN_ADL, fund=FUND)
    prices = path(100.0, 80.0, bid=[100.0, 78.0], ask=[100.0, 80.0])
    rich = replay(v, prices, accounts)
    assert entries(rich, "event", "quantity", "price", "cash", "fund") == [
        ("liquidation", -9.5, 78, -171, -38),
        ("assignment", -0.5, 79.4, -9, -1.3),
    ]
    assert rich.fund == pytest.approx(60.7) and by_id(rich)["L"]["collateral"] == pytest.approx(0)
    poor = replay(
        venue(liquidation={**KRAKEN, "assignment_capacity": 0.04}, adl=KRAKEN_ADL, fund={"initial": 0.0203}),
        prices,
        accounts,
    )  # 20.3
    assert poor.fund == pytest.approx(0) and poor.ledger[0]["quantity"] == pytest.approx(-9.5 * 19 / 38)
    assert by_id(poor)["S"]["quantity"] == pytest.approx(-10 + 4.75), "what the fund could not pay for is deleveraged"


def test_adl_takes_the_best_ranked_winner_first_and_only_winners():
    accounts = [
        account("L", 3, 100, 60),
        account("S1", -2, 90, 50),
        account("S2", -2, 120, 50),
        account("S3", -2, 60, 500),
        account("M", 3, 1, 0),
    ]
    v = venue(liquidation=HL, adl={**HL_ADL, "price": "bankruptcy"})
    result = replay(v, path(100.0, 75.0, depth=[None, 0.0]), accounts)
    # S2 gained more (120/75) than S1 (90/75), though equity dilutes it; S3 entered at 60 and loses: never taken
    assert entries(result, "account_id", "quantity", "price") == [("L", -3, 80), ("S1", 2, 80), ("S2", 1, 80)]
    assert by_id(result)["S3"]["quantity"] == -2


def test_too_few_winners_leave_the_least_bad_open():
    accounts = [
        account("A", 1, 100, 20),
        account("B", 1, 100, 10),
        account("S", -1, 100, 300),
        account("T", -1, 60, 300),
    ]
    v = venue(liquidation=HL, adl={**HL_ADL, "price": "bankruptcy"})
    result = replay(v, path(100.0, 70.0, depth=[None, 0.0]), accounts)
    assert entries(result, "account_id", "event", "price") == [("B", "adl", 90), ("S", "adl", 90)]
    assert by_id(result)["A"]["status"] == "open" and by_id(result)["S"]["collateral"] == 310


def test_adl_surplus_follows_difference_to():
    accounts = [account("L", 1, 100, 20), account("S", -1, 100, 200)]
    for to, left, fund in (("account", 20, 0), ("fund", 0, 20)):
        v = venue(liquidation=HL, adl={**HL_ADL, "difference_to": to})
        result = replay(v, path(100.0, 70.0, dt=3.0), accounts)
        assert by_id(result)["L"]["collateral"] == left and result.fund == fund


def test_adl_deficit_follows_difference_to():
    accounts = [account("L", 1, 100, 20), account("S", -1, 100, 200)]
    for to, fund, unpaid in (("account", 90, 0), ("fund", 90, 0), ("unpaid", 100, 10)):
        v = venue(liquidation=HL, adl={**HL_ADL, "price": "mark", "difference_to": to}, fund=FUND)
        result = replay(v, path(100.0, 70.0, depth=[None, 0.0]), accounts)
        assert (result.fund, result.unpaid) == (fund, unpaid), to


def test_a_payer_pays_what_he_has_and_the_fund_then_the_receivers_bear_the_rest():
    # rate 10 % of 100 = 10 each; L has 4, fund 1.5 -> S gets 5.5. Liquidated next row at most: L has no equity left.
    phase = {
        "funding": {"kind": "flat", "rate": 0.1, "interval": 60.0},
        "margin": {"mode": "whole", "tiers": [{"initial": 0.1, "maintenance": 0.0}]},
    }
    result = replay(
        venue(phase, fund={"initial": 0.0015}), path(100.0, 100.0), [account("L", 1, 100, 4), account("S", -1, 100, 50)]
    )
    assert entries(result, "account_id", "event", "price", "cash", "fund") == [
        ("L", "funding", 100, -4, 0),
        ("S", "funding", 100, 5.5, 0),
        ("fund", "funding", 100, 0, -1.5),
    ]
    assert result.market[1]["funding_rate"] == 0.1 and result.market[1]["cumulative_funding"] == 10


def test_kraken_funding_pays_the_interval_before():
    phase = {
        "funding": {"kind": "previous_interval", "interval": 60.0, "divisor": 10.0, "cap": 1.0},
        "index": {"kind": "smoothed_feed"},
        "mark": {"kind": "index_band", "band": 0.5},
    }
    result = replay(
        venue(phase),
        path(101.0, 101.0, 104.0, 100.0, external=[100.0] * 4),
        [account("L", 1, 100, 50), account("S", -1, 100, 50)],
    )
    assert [line["funding_rate"] for line in result.market] == pytest.approx([0, 0, 0.001, 0.004])


def test_an_interval_across_conversion_weights_each_sample_with_its_own_multiplier():
    def rates(scales):
        rule = {
            "kind": "clamped_premium",
            "clamp": 0.0,
            "divisor": 1.0,
            "interval": 120.0,
            "cap": 1.0,
            "premium": "mid",
            "scales": scales,
        }
        phase = {"index": {"kind": "external"}, "funding": {**rule, "multiplier": 0.1}}
        prices = path(100.0, 102.0, 104.0, external=[100.0] * 3)
        result = replay(
            venue(phase, {"funding": {**rule, "multiplier": 0.5}}),
            prices,
            [account("L", 0, 1, 0)],
            [{"time": 120, "event": "converted"}],
        )
        return result.market[2]["funding_rate"]

    assert rates("premium") == pytest.approx((0.1 * 0.02 + 0.5 * 0.04) / 2)
    assert rates("all") == pytest.approx(0.03 * 0.3)


def test_a_halt_stops_trading_but_not_prices_or_funding():
    phase = {"funding": {"kind": "flat", "rate": 0.001, "interval": 60.0}}
    result = replay(
        venue(phase),
        path(100.0, 88.0, 88.0),
        [account("L", 1, 100, 20), account("S", -1, 100, 200)],
        [{"time": 60, "event": "halted"}, {"time": 120, "event": "resumed"}],
    )
    assert [line["mark"] for line in result.market] == [100, 88, 88]
    assert entries(result, "time", "event")[0] == (60, "funding") and all(
        e[0] == 120 for e in entries(result, "time", "event") if e[1] != "funding"
    )


def test_a_missing_bid_fills_no_long():
    result = replay(
        venue(),
        path(100.0, 88.0, bid=[100.0, None], ask=[100.0, 88.0]),
        [account("L", 1, 100, 20), account("S", -1, 100, 200)],
    )
    assert entries(result, "account_id", "event") == [("L", "adl"), ("S", "adl")]


def test_order_limits_stop_sales_below_the_band():
    phase = {"limits": {"kind": "mid_band", "band": 0.01, "average": 6000.0}}
    prices = path(100.0, 100.0, 80.0)
    result = replay(
        venue(phase, liquidation=HL, adl=HL_ADL), prices, [account("L", 1, 100, 25), account("S", -1, 100, 200)]
    )
    assert result.market[2]["lower_limit"] > 80 and not result.ledger
    free = venue(
        {"limits": {"kind": "mid_band", "band": 0.01, "average": 6000.0, "limits_orders": False}},
        liquidation=HL,
        adl=HL_ADL,
    )
    assert entries(replay(free, prices, [account("L", 1, 100, 25), account("S", -1, 100, 200)]), "price") == [(80,)]


def test_cancellation_empties_the_fund_and_cuts_the_winners():
    # tick 0.01: L loses 99.99 with 20; 79.99 missing, fund 10, cut of S 69.99 of 99.99
    v = venue(settlement={"cancellation": [{"price": "tick"}]}, fund={"initial": 0.01})
    result = replay(
        v,
        path(100.0, 100.0),
        [account("L", 1, 100, 20), account("S", -1, 100, 50)],
        [{"time": 30, "event": "cancelled"}],
    )
    assert entries(result, "account_id", "event", "quantity", "cash", "fund") == [
        ("L", "settlement", -1, -99.99, 0),
        ("S", "settlement", 1, 99.99, 0),
        ("L", "fund", 0, 10, -10),
        ("L", "adl", 0, 69.99, 0),
        ("S", "adl", 0, -69.99, 0),
    ]
    assert (
        result.unpaid == pytest.approx(0)
        and {a["status"] for a in result.accounts} == {"settled"}
        and result.market[-1]["phase"] == "settled"
    )


def test_venue_bears_the_deficit_where_it_says_so_and_fees_are_taken():
    v = venue(settlement={"cancellation": [{"price": "tick"}], "deficits": "fund_then_venue", "fee": 0.01})
    result = replay(
        v,
        path(100.0, 100.0),
        [account("L", 1, 100, 20), account("S", -1, 100, 50)],
        [{"time": 30, "event": "cancelled", "price": 50}],
    )
    assert entries(result, "account_id", "cash", "fee") == [("L", -50, 0), ("S", 49.5, 0.5)]
    assert result.unpaid == pytest.approx(30) and result.fees == 0.5


@pytest.mark.parametrize(
    ("kind", "price"),
    [
        ("mark", 130),
        ("last_index", 130),
        ("last_hour_mark", (110 * 1800 + 130 * 1800) / 3600),
        ("twap_from_launch", (300 * 3600 + 110 * 1800 + 130 * 1800) / 7200),
    ],
)
def test_cancellation_prices(kind, price):
    prices = [{"time": t, "last": p} for t, p in ((0, 100.0), (3600, 300.0), (5400, 110.0), (7200, 130.0))]
    v = venue(settlement={"cancellation": [{"price": kind}]})
    result = replay(
        v, prices, [account("L", 1, 100, 9000), account("S", -1, 100, 9000)], [{"time": 7200, "event": "cancelled"}]
    )
    assert result.ledger[-1]["price"] == pytest.approx(price)


def test_a_future_expires_at_the_mean_of_the_last_hour():
    prices = [{"time": 1800.0 * i, "last": 100.0, "external": 100.0 + i} for i in range(9)]
    v = venue(settlement={"cancellation": [{"price": "tick"}], "expires_after_listing": 10800.0})
    result = replay(
        v, prices, [account("L", 1, 100, 90), account("S", -1, 100, 90)], [{"time": 1800, "event": "listed"}]
    )
    assert result.market[-1]["time"] == 12600 and result.ledger[-1]["price"] == pytest.approx(106.5)


def test_a_rebase_leaves_every_equity_and_scales_contract_tiers():
    tiers = [{"up_to": 20.0, "initial": 0.2, "maintenance": 0.05}, {"initial": 0.5, "maintenance": 0.4}]
    v = venue({"margin": {"mode": "whole", "by": "contracts", "tiers": tiers}})
    accounts = [account("L", 15, 100, 300), account("S", -15, 100, 300)]
    assert not replay(v, path(100.0, 10.0), accounts, [{"time": 60, "event": "rebase", "ratio": 10.0}]).counts[
        "ledger_liquidation"
    ]


def test_conversion_changes_margin_and_starts_the_limits_anew():
    tight = {"margin": {"mode": "whole", "tiers": [{"initial": 0.5, "maintenance": 0.3}]}}
    prices = path(100.0, 100.0, 100.0, external=[None, None, 100.0])
    result = replay(
        venue(None, tight),
        prices,
        [account("L", 1, 100, 20), account("S", -1, 100, 200)],
        [{"time": 120, "event": "converted"}],
    )
    assert [line["phase"] for line in result.market] == ["pre", "pre", "post"] and entries(result, "time", "event") == [
        (120, "liquidation")
    ]


def test_speed_limits_bound_mark_and_oracle():
    phase = {
        "index": {"kind": "impact_ewma", "tau": 1.0, "max_step_of_tau": 1.0},
        "mark": {"kind": "median3", "relayer_step": 0.005, "protocol_step": 0.01},
    }
    result = replay(venue(phase), path(100.0, 200.0, dt=3.0), [account("L", 0, 1, 0)])
    assert result.market[1]["mark"] == pytest.approx(100.5) and result.market[1]["index"] == pytest.approx(100.5)


def test_hyperp_oracle_is_capped_and_follows_minutely_marks():
    phase = {
        "index": {"kind": "mark_ewma", "window_minutes": 2, "decay_minutes": 1.0, "cap_multiple": 1.5},
        "mark": {"kind": "index_band", "band": 1.0},
    }
    result = replay(venue(phase), path(100.0, 120.0, 120.0, 500.0, 500.0, 500.0), [account("L", 0, 1, 0)])
    w = math.exp(-1.0)
    assert [line["index"] for line in result.market][:4] == pytest.approx([100, 100, (120 + 100 * w) / (1 + w), 120])
    assert result.market[-1]["index"] == pytest.approx(150)
