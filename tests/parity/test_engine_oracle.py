"""The engine's replay and the independent oracle agree, entry by entry, on generated venues, paths, books and events.

One test per skeleton (a skeleton fixes the rule kinds, hence what is compiled): processes share the work by test.
A disagreement prints `build(...)`: `tests.oracle.strategies.build` makes that case again.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from mcrisk.replay.api import replay
from tests.oracle.compare import first_difference, frame
from tests.oracle.replay import OracleResult
from tests.oracle.replay import replay as oracle
from tests.oracle.skeletons import SKELETONS
from tests.oracle.strategies import Case, cases, random_cases

from .given import VENUES, shipped

CHEAP = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
SHORT, LONG = 205, 5000   # examples per skeleton: over 2,000 and 50,000 in all


def compare(case: Case) -> OracleResult:
    """Replay a case with both and fail on the first difference."""
    theirs = oracle(case.venue, case.prices, case.accounts, case.events)
    ours = replay(case.venue, frame(case.prices), frame(case.accounts), frame(case.events) if case.events else None)
    found = first_difference(case, ours, theirs)
    assert found is None, found
    assert ours.summary["conservation_residual"] < 1e-9
    return theirs


def sweep(strategy, count: int, derandomize: bool) -> None:
    @settings(max_examples=count, derandomize=derandomize, **CHEAP)
    @given(strategy)
    def check(case: Case) -> None:
        compare(case)

    check()


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_generated_venues(skeleton):
    sweep(cases((skeleton,)), SHORT, derandomize=True)


@pytest.mark.parametrize("venue", VENUES)
def test_shipped_profiles(venue):
    sweep(shipped(venue), 25, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("skeleton", SKELETONS)
def test_fifty_thousand_generated_venues(skeleton):
    sweep(cases((skeleton,)), LONG, derandomize=False)


@pytest.mark.slow
@pytest.mark.parametrize("venue", VENUES)
def test_shipped_profiles_at_length(venue):
    sweep(shipped(venue), 1000, derandomize=False)


def test_the_cases_reach_every_kind_of_event():
    """What agrees must also occur: the oracle counts it on cases like those above."""
    seen: Counter[str] = Counter()
    for case in random_cases(600, 20261120):
        seen.update(oracle(case.venue, case.prices, case.accounts, case.events).counts)
    wanted = {
        "ledger_funding", "ledger_liquidation", "ledger_takeover", "ledger_assignment", "ledger_backstop", "ledger_adl",
        "ledger_settlement", "ledger_rebase", "ledger_fund", "adl_of_longs", "adl_of_shorts", "adl_too_few",
        "adl_found_nobody", "reset_up", "reset_down", "index_limited", "mark_at_limit", "staged_order", "tier_step",
        "partial_close", "full_close", "long_liquidated", "short_liquidated", "fund_emptied", "fund_took_part", "covered",
        "band_cut", "unwound", "profit_cut", "funding_haircut", "halted", "converted", "cancelled", "expired", "one_sided",
        "no_quote",
    }
    assert not {name for name in wanted if seen[name] < 5}, {name: seen[name] for name in wanted if seen[name] < 5}
