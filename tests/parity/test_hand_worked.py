"""Replays of shipped profiles worked out by hand: every ledger line from the venue's rule, in the test's own arithmetic.

Neither the engine nor the oracle is asked what should happen. Prices are in files, as a user gives them.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mcrisk.replay.api import replay
from tests.oracle.compare import frame
from tests.oracle.venues import account


def told(tmp_path, venue, rows, book, overrides=()):
    """Ledger lines (time, account, event, quantity, price, cash, fee, fund) of a replay from CSV files, and its market."""
    files = [tmp_path / "prices.csv", tmp_path / "accounts.csv"]
    for file, data in zip(files, (rows, book), strict=True):
        frame(data).to_csv(file, index=False)
    out = replay(venue, *files, overrides=overrides)
    assert out.summary["conservation_residual"] < 1e-9
    return [tuple(line)[1:] for line in out.ledger.itertuples(index=False)], out.market


def same(ledger, expected):
    assert [line[1:3] for line in ledger] == [line[1:3] for line in expected]
    np.testing.assert_allclose([[line[0], *line[3:]] for line in ledger], [[line[0], *line[3:]] for line in expected],
                               rtol=1e-9, atol=1e-6)  # fmt: skip


def test_kraken_every_rung_of_the_protection_process(tmp_path):
    """Cut of 10 % in the band; then, below half of maintenance: nothing fills at the zero-equity price, assignment up to the
    pool's capacity, the book with the fund paying beyond zero equity, the rest unwound against the better-ranked short.
    """
    rows = [{"time": t, "last": p, "ask": p + 0.1, "external": e, "depth": 4e5}
            for t, p, e in ((0.0, 150.0, 150.0), (600.0, 140.0, 110.0), (1200.0, 105.0, 90.0))]  # fmt: skip
    book = [account("L", 40_000, 150, 1.6e6), account("S1", -25_000, 150, 4e6), account("S2", -15_000, 151, 3e6)]
    ledger, market = told(tmp_path, "kraken-preipo", rows, book)
    index, marks = 150.0, [150.05]
    for row in rows[1:]:   # ten minutes' smoothing, at most 1 % a minute; mark within 0.25 % of the index
        index = max(index + (1.0 - math.exp(-1.0)) * (row["external"] - index), index * 0.99**10)
        marks.append(min(max(row["last"] + 0.05, index * 0.9975), index * 1.0025))
    assert list(market["mark"]) == pytest.approx(marks, rel=1e-12)
    cut = 4e5 / 140.0                       # 10 % of 40,000 is more than the bid's depth of 400,000
    cash, left, mark = 1.6e6 - cut * 10.0, 40_000 - cut, marks[2]
    zero = 150.0 - cash / left
    price = mark * 0.975                    # zero equity lies further than 250 bp from the mark
    assert zero < price and zero > 105.0
    given = 0.05 * 10e6 / mark              # capacity: 5 % of open interest
    gain = given * (price - 150.0)
    cash, left = cash + gain, left - given
    zero, sold = 150.0 - cash / left, 4e5 / 105.0
    help_ = sold * (zero - 105.0)
    assert 0.0 < help_ < 1e5
    cash, rest = cash + sold * -45.0 + help_, left - sold
    first = 25_000.0                        # S1: higher profit % times leverage
    same(ledger, [
        (600.0, "L", "liquidation", -cut, 140.0, -cut * 10.0, 0.0, 0.0),
        (1200.0, "L", "liquidation", -sold, 105.0, sold * -45.0 + help_, 0.0, -help_),
        (1200.0, "L", "assignment", -given, price, gain, 0.0, 0.0),
        (1200.0, "L", "adl", -rest, zero, -cash, 0.0, 0.0),
        (1200.0, "S1", "adl", first, zero, -first * (zero - 150.0), 0.0, 0.0),
        (1200.0, "S2", "adl", rest - first, zero, -(rest - first) * (zero - 151.0), 0.0, 0.0),
    ])  # fmt: skip


@pytest.mark.slow
def test_okx_a_payer_of_funding_pays_what_it_has_and_the_fund_the_rest(tmp_path):
    boundary = 14_400.0
    rows = [{"time": boundary - 120.0 + 60.0 * k, "last": p} for k, p in enumerate((150.0, 150.0, 142.0, 142.0, 142.0))]
    book = [account("L", 10, 150, 89), account("S", -10, 150, 1e4)]
    ledger, _ = told(tmp_path, "okx-preipo-perp", rows, book, ("pre.funding.rate=0.01",))
    same(ledger, [
        (boundary, "L", "funding", 0.0, 142.0, -9.0, 0.0, 0.0),       # equity 89 − 80
        (boundary, "S", "funding", 0.0, 142.0, 14.2, 0.0, 0.0),
        (boundary, "fund", "funding", 0.0, 142.0, 0.0, 0.0, -5.2),
        (boundary, "L", "takeover", -10.0, 142.0, -80.0, 0.0, 0.0),   # nothing left: zero equity at the mark
        (boundary + 60.0, "fund", "fund", -10.0, 142.0, 0.0, 0.0, 0.0),
    ])  # fmt: skip


@pytest.mark.slow
def test_okx_a_fund_fallen_by_thirty_percent_hands_its_inventory_to_the_winners_at_the_mark(tmp_path):
    """In the highest tier 50 % maintenance, but no quote to cut the position: it waits until equity is below the rate of
    tier 1, then goes to the fund at zero equity (60). The fund of 400,000 is down by 30 % at 60 − 120,000/7,000 = 42.86.
    """
    rows = [{"time": 60.0 * k, "last": 150.0 * 0.95**k, "depth": 0.0} for k in range(27)]
    book = [account("L", 7000, 150, 630e3), account("S1", -3000, 150, 4e5), account("S2", -4000, 140, 9e5)]
    ledger, market = told(tmp_path, "okx-preipo-perp", rows, book, ("adl.backlog_age=0", "adl.backlog_notional=0"))
    marks = market["mark"].to_numpy()
    taken, due = (int(np.flatnonzero(marks <= level)[0]) for level in (60.0 / 0.95, 60.0 - 120e3 / 7000))
    m = marks[due]
    same(ledger, [
        (60.0 * taken, "L", "takeover", -7000.0, 60.0, -630e3, 0.0, 0.0),
        (60.0 * due, "S1", "adl", 3000.0, m, -3000.0 * (m - 150.0), 0.0, 0.0),
        (60.0 * due, "S2", "adl", 4000.0, m, -4000.0 * (m - 140.0), 0.0, 0.0),
        (60.0 * due, "fund", "adl", -7000.0, m, 0.0, 0.0, 7000.0 * (m - 60.0)),
    ])  # fmt: skip


@pytest.mark.slow
def test_tradexyz_an_interval_over_conversion_weights_each_sample_with_its_multiplier(tmp_path):
    """Index at the external 170 after conversion; ten-minute rows of one quote; conversion in the middle of an hour."""
    start, flat = 3600.0 * 497_000, {"last": 160.0, "bid": 159.5, "ask": 160.5, "impact_bid": 159.0, "impact_ask": 161.0}
    rows = [{"time": start + 600.0 * k, **flat, "external": 160.0} for k in range(8)]
    events = [{"time": start + 1800.0, "event": "converted"}]
    for file, data in (("prices.csv", rows), ("events.csv", events),
                       ("accounts.csv", [account("L", 10, 160, 1e4), account("S", -10, 160, 1e4)])):  # fmt: skip
        pd.DataFrame(data).to_csv(tmp_path / file, index=False)
    out = replay("tradexyz-ipop", *(tmp_path / f for f in ("prices.csv", "accounts.csv", "events.csv")))
    multiplier = (2 * 0.005 + 4 * 0.5) / 6      # rows of 600 and 1,200 s before, of 1,800 to 3,600 s after conversion
    rate = multiplier * 1e-4 / 8                # no premium: interest alone
    paid = out.ledger[out.ledger["account_id"] == "L"]
    assert list(paid["time"]) == [start + 3600.0]
    assert float(paid["cash"].iloc[0]) == pytest.approx(-10 * 160.0 * rate, rel=1e-9)


@pytest.mark.slow
def test_binance_who_meets_maintenance_after_the_order_keeps_the_rest(tmp_path):
    """4,000 at the ask cover part of a short; what is left has its margin, so the fund takes nothing over."""
    rows = [{"time": 300.0 * k, "last": p, "ask": p, "depth": 4e3, "trades": 30} for k, p in enumerate((100.0, 118.0, 118.0))]
    book = [account("S", -150, 100, 5000), account("L", 150, 100, 15_000)]
    covered = 4e3 / 118.0
    assert 5000 - 150 * 18 < 0.167 * 150 * 118 - 545        # below maintenance of the third tier before the order,
    left = (150 - covered) * 118.0
    assert 5000 - 150 * 18 > 0.167 * left - 545             # above it afterwards
    ledger, _ = told(tmp_path, "binance-premarket", rows, book)
    same(ledger, [(300.0, "S", "liquidation", covered, 118.0, -covered * 18.0, 0.0, 0.0)])
    ledger, _ = told(tmp_path, "binance-premarket", rows, book, ("liquidation.stops_when_compliant=false",))
    assert [line[1:3] for line in ledger] == [("S", "liquidation"), ("S", "takeover"), ("fund", "fund")]


@pytest.mark.slow
def test_tradexyz_between_sessions_the_last_external_price_bounds_mark_and_oracle(tmp_path):
    rows = [{"time": 60.0 * k, "last": 100.0 if k < 3 else 60.0, "external": 100.0 if 0 < k < 3 else None} for k in range(240)]
    book = [account("L", 10, 100, 160), account("S", -10, 100, 1e4)]   # a long with zero equity at 84
    at = {"time": 60.0, "event": "converted"}
    files = [tmp_path / "prices.csv", tmp_path / "accounts.csv", tmp_path / "events.csv"]
    for file, data in zip(files, (rows, book, [at]), strict=True):
        frame(data).to_csv(file, index=False)
    out = replay("tradexyz-ipop", *files, overrides=("contract.initial_price=130",))
    assert out.market["upper_limit"].iloc[0] == pytest.approx(130 * 1.3)    # the reference that was asked for
    assert out.market["mark"].iloc[-1] == pytest.approx(90.0) and out.market["index"].iloc[-1] == pytest.approx(90.0)
    assert set(out.ledger["event"]) == {"funding"}


@pytest.mark.slow
def test_a_hyperp_delisted_after_conversion_settles_at_the_mean_oracle(tmp_path):
    rows = [{"time": 600.0 * k, "last": 110.0, "external": 100.0} for k in range(12)]
    book = [account("L", 1, 110, 300), account("S", -1, 110, 300)]
    events = [{"time": 600.0, "event": "converted"}, {"time": 6000.0, "event": "cancelled"}]
    out = replay("hyperliquid-hyperp", frame(rows), frame(book), frame(events))
    settled = out.ledger[out.ledger["event"] == "settlement"]
    assert list(settled["price"]) == [100.0, 100.0]
    before = replay("hyperliquid-hyperp", frame(rows), frame(book), frame(events[1:]))
    settled = before.ledger[before.ledger["event"] == "settlement"]
    assert list(settled["price"]) == pytest.approx([110.0, 110.0])


@pytest.mark.slow
def test_okx_future_of_a_company_that_stays_private_settles_at_the_tick(tmp_path):
    """W-OKX-8 from files; fee 1 % of a notional of 0.1."""
    rows = [{"time": 60.0 * k, "last": 2.0} for k in range(3)]
    book = [account("L", 1000, 2, 4000), account("S", -1000, 2, 4000)]
    out = replay("okx-prelaunch-futures", frame(rows), frame(book), frame([{"time": 120.0, "event": "cancelled"}]))
    assert list(out.ledger["cash"] + out.ledger["fee"]) == pytest.approx([-1999.9, 1999.9])
    assert list(out.ledger["fee"]) == pytest.approx([0.001, 0.001])


@pytest.mark.slow
def test_okx_limits_around_the_last_trade_compound_in_a_long_row(tmp_path):
    """Sixty seconds are twelve recomputations of ±6 % (opening): a fall by half is no limit's business."""
    rows = [{"time": 60.0 * k, "last": p} for k, p in enumerate((150.0, 150.0, 75.0))]
    _, market = told(tmp_path, "okx-premarket-perp", rows, [account("L", 1, 150, 150), account("S", -1, 150, 150)])
    assert list(market["lower_limit"]) == pytest.approx([150 * 0.94, 150 * 0.94**12, 150 * 0.94**12])
    assert market["mark"].iloc[-1] == pytest.approx(75.0)
