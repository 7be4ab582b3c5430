"""What holds on every replay of the engine: money, positions, who may be deleveraged, halts, rebases, order of accounts."""

from __future__ import annotations

from collections import defaultdict

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from mcrisk.config.load import load_venue
from mcrisk.engine.rulebook import tier_table
from mcrisk.replay.api import replay
from mcrisk.replay.result import ReplayResult
from mcrisk.rules.margin import maintenance_margin
from tests.oracle.compare import frame
from tests.oracle.skeletons import SKELETONS
from tests.oracle.state import Tiers
from tests.oracle.strategies import Case, build, cases

from .given import VENUES

SETTINGS = settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
LADDERS = ("kraken", "hyperp", "okx-futures", "binance")   # one skeleton per ladder


def run(case: Case, accounts=None, events=None, prices=None) -> ReplayResult:
    events = case.events if events is None else events
    return replay(case.venue, frame(prices or case.prices), frame(accounts or case.accounts), frame(events) if events else None)


def money_of(case: Case) -> float:
    return sum(a["collateral"] + abs(a["quantity"]) * a["entry_price"] for a in case.accounts)


def everywhere(skeletons, check) -> None:
    """Run `check` on generated cases of these skeletons."""
    SETTINGS(given(cases(skeletons))(check))()


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_money_and_positions_are_conserved_and_the_ledger_adds_up(skeleton):
    def check(case):
        out, eps = run(case), 1e-9 * money_of(case)
        gross = sum(abs(a["quantity"]) for a in case.accounts) * max(1.0, *(e.get("ratio", 1.0) for e in case.events), 1.0)
        assert out.summary["conservation_residual"] < 1e-9
        assert out.summary["position_residual"] < 1e-9 * gross
        assert (out.market["insurance_fund"] >= 0.0).all()
        totals = out.ledger.groupby("account_id")[["quantity", "cash", "fund"]].sum()
        for before, after in zip(case.accounts, out.accounts.to_dict("records")):
            moved = totals.loc[before["account_id"]] if before["account_id"] in totals.index else defaultdict(float)
            assert after["collateral"] == pytest.approx(before["collateral"] + moved["cash"], abs=eps)
            assert after["quantity"] == pytest.approx(before["quantity"] + moved["quantity"], abs=1e-9 * gross)
        fund = out.summary["insurance_fund_start"] + out.ledger["fund"].sum()
        assert out.summary["insurance_fund_end"] == pytest.approx(fund, abs=eps)

    everywhere((skeleton,), check)


@pytest.mark.parametrize("skeleton", LADDERS)
def test_adl_closes_winners_against_accounts_that_could_not_be_kept(skeleton):
    def check(case):
        if any(event["event"] == "rebase" for event in case.events):
            return
        out = run(case)
        mark = dict(zip(out.market["time"], zip(out.market["mark"], out.market["phase"])))
        ended = out.market["time"].iloc[-1] if out.market["phase"].iloc[-1] == "settled" else None
        state = {a["account_id"]: [a["quantity"], a["collateral"]] for a in case.accounts}
        entry = {a["account_id"]: a["entry_price"] for a in case.accounts}
        opening, row = dict(state), None   # what everybody had when the row's orders began: a ladder may act in several steps
        for e in out.ledger.to_dict("records"):
            if e["time"] != row and e["event"] not in ("funding", "rebase"):
                opening, row = dict(state), e["time"]
            q, cash = state.get(e["account_id"], (0.0, 0.0))
            if e["event"] == "adl" and e["quantity"] != 0.0 and e["account_id"] != "fund" and e["time"] != ended:
                price, phase = mark[e["time"]]
                assert abs(e["quantity"]) <= abs(q) * (1.0 + 1e-9) and e["quantity"] * q < 0.0
                if q * (price - entry[e["account_id"]]) <= 0.0:   # no winner: then it is one that was below maintenance
                    rules = case.venue.post if phase == "post" else case.venue.pre
                    q0, cash0 = opening[e["account_id"]]
                    needed = Tiers(rules.margin, case.venue.contract.contract_size, price).maintenance(q0)
                    needed += getattr(case.venue.liquidation, "fee", 0.0) * abs(q0) * price
                    assert cash0 + q0 * (price - entry[e["account_id"]]) < needed
            state[e["account_id"]] = [q + e["quantity"], cash + e["cash"]]

    everywhere((skeleton,), check)


@pytest.mark.parametrize("skeleton", LADDERS)
def test_a_halted_market_liquidates_nobody(skeleton):
    def check(case):
        begin, end = case.prices[3]["time"], case.prices[17]["time"]
        events = [{"time": begin, "event": "halted"}, {"time": end, "event": "resumed"}]
        out = run(case, events=events)
        inside = out.ledger[(out.ledger["time"] >= begin) & (out.ledger["time"] < end)]
        assert set(inside["event"]) <= {"funding"}

    everywhere((skeleton,), check)


@pytest.mark.parametrize("skeleton", LADDERS)
def test_a_rebase_changes_nobodys_money(skeleton):
    for seed, ratio in ((1, 0.1), (2, 3.0), (3, 12.52), (4, 10.0)):
        case = build(skeleton, "jumpy", "deep", "both", "none", seed)
        at = case.prices[9]["time"]
        kept = ("time", "depth", "trades")
        prices = [{k: v if k in kept or v is None or row["time"] < at else v / ratio for k, v in row.items()}
                  for row in case.prices]
        plain, split = run(case), run(case, events=[{"time": at, "event": "rebase", "ratio": ratio}], prices=prices)
        eps = 1e-9 * money_of(case)
        np.testing.assert_allclose(plain.accounts["collateral"], split.accounts["collateral"], atol=eps)
        np.testing.assert_allclose(plain.market["insurance_fund"], split.market["insurance_fund"], atol=eps)
        assert list(plain.accounts["status"]) == list(split.accounts["status"])


@pytest.mark.parametrize("skeleton", LADDERS)
def test_the_order_of_accounts_changes_nothing(skeleton):
    def check(case):
        there, back = run(case), run(case, accounts=case.accounts[::-1])
        eps = 1e-9 * money_of(case)
        np.testing.assert_allclose(there.accounts["collateral"], back.accounts["collateral"][::-1], atol=eps)
        assert list(there.accounts["status"]) == list(back.accounts["status"][::-1])

    everywhere((skeleton,), check)


@pytest.mark.parametrize("skeleton", LADDERS)
def test_more_collateral_never_liquidates_earlier(skeleton):
    """The first row in which somebody's own position is worked off; ADL and funding cuts of others are not his collateral."""
    own = ("liquidation", "takeover", "assignment", "backstop")

    def first(out: ReplayResult, name: str) -> float:
        mine = out.ledger[(out.ledger["account_id"] == name) & out.ledger["event"].isin(own)]
        return mine["time"].min() if len(mine) else np.inf

    def check(case):
        plain = run(case)
        for a in case.accounts[::4]:
            richer = [b | {"collateral": b["collateral"] * 1.5} if b is a else b for b in case.accounts]
            taken = plain.ledger[(plain.ledger["account_id"] == a["account_id"]) & (plain.ledger["event"] == "adl")]
            gone = taken["time"].min() if len(taken) else np.inf   # as a counterparty: more collateral may spare him that
            assert first(run(case, accounts=richer), a["account_id"]) >= min(first(plain, a["account_id"]), gone)

    everywhere((skeleton,), check)


@pytest.mark.parametrize("name", VENUES)
def test_maintenance_of_marginal_tables_is_continuous(name):
    venue = load_venue(name)
    for phase in (venue.pre, venue.post):
        if phase.margin.mode != "marginal":
            continue
        tiers = tier_table(phase.margin, venue.contract.contract_size, len(phase.margin.tiers))
        for tier in phase.margin.tiers[:-1]:
            edge = np.array([tier.up_to * (1.0 - 1e-9), tier.up_to, tier.up_to * (1.0 + 1e-7)])
            below, at, above = np.asarray(maintenance_margin(tiers, jnp.asarray(edge), 1.0, "marginal", 0.0))
            assert below == pytest.approx(at, rel=1e-6) == pytest.approx(above, rel=1e-6)
