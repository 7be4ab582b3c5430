"""What must hold in every replay, on generated venues, paths, books and life cycles."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings

from .replay import OracleResult, replay
from .strategies import ACCOUNTS, ROWS, Case, build, cases, random_cases

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(case: Case) -> OracleResult:
    return replay(case.venue, case.prices, case.accounts, case.events)


def scale_of(case: Case) -> float:
    return sum(a["collateral"] + abs(a["quantity"]) * a["entry_price"] for a in case.accounts)


@SETTINGS
@given(cases())
def test_money_and_positions_are_conserved(case):
    result = run(case)
    assert result.residual < 1e-9 and result.position_residual < 1e-9
    assert all(line["insurance_fund"] >= 0.0 for line in result.market)
    for line in result.market:
        assert all(math.isfinite(line[name]) and line[name] > 0.0 for name in ("index", "mark")), line
        assert line["lower_limit"] <= line["upper_limit"]


@SETTINGS
@given(cases())
def test_the_ledger_explains_every_account_and_the_fund(case):
    result, eps = run(case), 1e-9 * scale_of(case)
    cash, quantity = defaultdict(float), defaultdict(float)
    for entry in result.ledger:
        cash[entry["account_id"]] += entry["cash"]
        quantity[entry["account_id"]] += entry["quantity"]
    for before, after in zip(case.accounts, result.accounts):
        name = before["account_id"]
        assert after["collateral"] == pytest.approx(before["collateral"] + cash[name], abs=eps)
        assert after["quantity"] == pytest.approx(
            before["quantity"] + quantity[name], abs=1e-9 * (1.0 + abs(quantity[name]))
        )
        parts = before["collateral"] + after["realized_pnl"] - after["funding_paid"] - after["fees_paid"]
        assert after["collateral"] == pytest.approx(parts, abs=eps)
    start = case.venue.fund.initial * case.venue.fund.usable_share * case.venue.contract.open_interest
    assert result.fund == pytest.approx(start + sum(entry["fund"] for entry in result.ledger), abs=eps)
    assert [entry["seq"] for entry in result.ledger] == list(range(len(result.ledger)))
    assert all(entry["fee"] >= 0.0 for entry in result.ledger)


@SETTINGS
@given(cases())
def test_halted_rows_trade_nothing(case):
    result, halted = run(case), False
    marks = {}
    for row in case.prices:
        for event in case.events:
            if event["time"] <= row["time"] and event["event"] in ("halted", "resumed"):
                halted = event["event"] == "halted"
        marks[row["time"]] = halted
    settled = {line["time"] for line in result.market if line["phase"] == "settled"}
    allowed = {"funding", "rebase"}
    for entry in result.ledger:
        if marks[entry["time"]] and entry["time"] not in settled:
            assert entry["event"] in allowed or (entry["account_id"] == "fund" and entry["event"] == "funding")


@SETTINGS
@given(cases())
def test_nobody_is_left_negative_without_being_counted_as_unpaid(case):
    result = run(case)
    negative = sum(-a["collateral"] for a in result.accounts if a["quantity"] == 0.0 and a["collateral"] < 0.0)
    assert result.unpaid >= negative - 1e-9 * scale_of(case)
    for before, after in zip(case.accounts, result.accounts):
        assert after["status"] == "open" or after["quantity"] == 0.0
        assert after["status"] != "open" or (after["quantity"] == 0.0) == (before["quantity"] == 0.0)


@SETTINGS
@given(cases())
def test_the_order_of_accounts_does_not_matter(case):
    turned = Case(case.skeleton, case.venue, case.prices, case.accounts[::-1], case.events)
    there, back = run(case), run(turned)
    eps = 1e-7 * scale_of(case)
    for one, other in zip(there.accounts, back.accounts[::-1]):
        assert one["collateral"] == pytest.approx(other["collateral"], abs=eps)


@pytest.mark.parametrize("ratio", [0.1, 3.0, 12.52])
def test_a_rebase_is_invisible_in_money(ratio):
    """The same path told in old and in new units: no equity, fund or mark (in old units) may differ."""
    for seed in range(40):
        plain = build(
            ["okx-perp", "tradexyz", "binance", "kraken", "hyperp", "ventuals", "once"][seed % 7],
            "jumpy",
            "deep",
            "both",
            "none",
            seed,
        )
        at = plain.prices[12]["time"]
        rows = [
            {
                name: cell / ratio
                if name not in ("time", "depth", "trades") and cell is not None and row["time"] >= at
                else cell
                for name, cell in row.items()
            }
            for row in plain.prices
        ]
        old = run(plain)
        new = replay(plain.venue, rows, plain.accounts, [{"time": at, "event": "rebase", "ratio": ratio}])
        eps = 1e-9 * scale_of(plain)
        assert new.fund == pytest.approx(old.fund, abs=eps)
        for a, b in zip(old.accounts, new.accounts):
            assert b["collateral"] == pytest.approx(a["collateral"], abs=eps) and b["status"] == a["status"]
            assert b["quantity"] == pytest.approx(a["quantity"] * ratio)
        for a, b in zip(old.market[12:], new.market[12:]):
            assert b["mark"] * ratio == pytest.approx(a["mark"]) and b["cumulative_funding"] * ratio == pytest.approx(
                a["cumulative_funding"]
            )


def test_more_collateral_never_liquidates_earlier():
    for seed in range(60):
        case = build("tradexyz", "slide", "deep", "both", "none", seed)

        def first(extra: float) -> float:
            accounts = [
                {**a, "collateral": a["collateral"] + (extra if a["account_id"] == "a00" else 0.0)}
                for a in case.accounts
            ]
            hits = [
                e["time"]
                for e in replay(case.venue, case.prices, accounts).ledger
                if e["account_id"] == "a00" and e["event"] == "liquidation"
            ]
            return min(hits, default=math.inf)

        base = case.accounts[0]["collateral"]
        assert first(0.0) <= first(0.3 * base) <= first(1.0 * base)


WANTED = {  # kind of event -> in at least so many of 600 cases
    "reset_up": 5,
    "reset_down": 5,
    "index_limited": 20,
    "mark_off_mid": 100,
    "mark_at_limit": 20,
    "partial_close": 50,
    "full_close": 100,
    "staged_order": 10,
    "tier_step": 10,
    "band_cut": 10,
    "assignment": 5,
    "covered": 5,
    "takeover": 30,
    "backstop": 5,
    "fund_took_part": 3,
    "fund_emptied": 20,
    "unwound": 10,
    "funding": 50,
    "funding_haircut": 1,
    "adl_of_longs": 10,
    "adl_of_shorts": 10,
    "adl_account": 20,
    "adl_too_few": 2,
    "adl_found_nobody": 2,
    "long_liquidated": 50,
    "short_liquidated": 50,
    "halted": 50,
    "rebase": 50,
    "converted": 50,
    "cancelled": 50,
    "expired": 30,
    "profit_cut": 10,
    "one_sided": 50,
    "no_quote": 10,
    "settled_at_tick": 3,
    "settled_at_mark": 3,
    "settled_at_last_index": 3,
    "settled_at_twap_from_launch": 3,
    "settled_at_last_hour_mark": 3,
    "settled_at_last_hour_index": 3,
    "settled_at_last_hour_last": 3,
    "settled_at_index": 3,
    "ledger_rebase": 50,
    "ledger_fund": 10,
    "ledger_settlement": 50,
    "ledger_adl": 20,
}


def test_coverage_of_the_generated_sample():
    """The strategies are only worth something if things happen in them."""
    seen: dict[str, int] = defaultdict(int)
    for case in random_cases(600, seed=20261120):
        assert len(case.prices) == ROWS and len(case.accounts) == ACCOUNTS
        for kind, count in run(case).counts.items():
            seen[kind] += count > 0
    rare = {kind: (seen[kind], least) for kind, least in WANTED.items() if seen[kind] < least}
    assert not rare, f"too rare: {rare}"
