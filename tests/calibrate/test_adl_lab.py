"""ADL laboratory: worked examples W-CH-*, exact allocation rules, properties, files that are wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrisk.calibrate import adl_lab as lab
from mcrisk.calibrate import adl_policies as adl
from mcrisk.calibrate.fund_size import size_fund
from mcrisk.cli.app import execute
from mcrisk.errors import InputError

EQUITY = np.array([10, 5, 1, -3, -12.0])
PROFIT = np.array([8, 4, 0.5, -3, -12.0])


def test_w_ch_1_queue_against_pro_rata():
    deficit = -EQUITY[EQUITY < 0].sum()
    budget, capacity = 0.5 * deficit, np.maximum(PROFIT, 0)
    assert (deficit, budget) == (15, 7.5)
    queue = adl.in_order([1, 0, 2, 4, 3], capacity, budget)
    assert queue == pytest.approx([3.5, 4, 0, 0, 0])
    assert queue[:3] / PROFIT[:3] == pytest.approx([0.4375, 1, 0])
    assert EQUITY - queue == pytest.approx([6.5, 1, 1, -3, -12])
    shared = adl.water_filling(capacity, capacity, budget)
    assert shared == pytest.approx([4.8, 2.4, 0.3, 0, 0])
    assert EQUITY - shared == pytest.approx([5.2, 2.6, 0.7, -3, -12])


def test_w_ch_3_funding_and_insolvency_path():
    quantity = np.array([1, 1, -4, 1, -1.0])
    book = adl.Book(quantity, np.ones(5), np.array([2, 2 / 3, 8 / 3, 2 / 19, 10 / 99]), 1.0)
    ratio = quantity[quantity > 0].sum() / -quantity[quantity < 0].sum()
    first = book.moved(1.4, -(ratio - 1.4 / 1.5))
    assert ratio - 1.4 / 1.5 == pytest.approx(-0.3333, abs=2e-4) and ratio - 1.3 / 1.25 == pytest.approx(-0.44)
    assert first.equity == pytest.approx([1.9333, 0.6, 2.9334, 0.0386, 0.1677], abs=2e-4)
    assert list(first.equity < 0.1 * np.abs(quantity) * 1.4) == [False, False, False, True, False]
    second = first.moved(1.3, -(ratio - 1.3 / 1.25))
    assert second.equity == pytest.approx([1.2613, -0.0720, 5.6214, -0.6334, 0.8397], abs=2e-4)
    assert second.deficit() == pytest.approx(0.7054, abs=2e-4)
    assert second.leverage[[0, 2, 4]] == pytest.approx([1.031, 0.925, 1.548], abs=6e-4)


def test_w_ch_4_bad_debt_and_fund():
    income, deficit = 20e-4 * 1.05 + 10e-4 * 1.55, 1.55 - 1.1510
    assert (deficit, income) == (pytest.approx(0.399), pytest.approx(0.00365))
    assert adl.fund_after(0.5, deficit, income, 1.0) == (pytest.approx(0.5 + 0.00365 - 0.399), 0.0)
    assert adl.fund_after(0.1, deficit)[1] == pytest.approx(deficit - 0.1)
    losses = np.arange(1.0, 101.0)
    assert size_fund(losses, 0.1, 1.0).need.estimate == 90  # VaR at 1 − r/κ


def test_w_ch_5_october_overshoot():
    assert lab.overshoot(60_108_335.33, 15_079_669.61) == pytest.approx(45_028_665.72, abs=0.005)


def test_literal_and_side_aware_rank_shorts_the_other_way_round():
    book = adl.Book(np.array([-1, -1, 2.0]), np.array([300, 200, 250.0]), np.array([100, 100, 10.0]), 100.0)
    book = adl.Book(book.quantity, book.entry, np.array([-100.0, 0.0, 10.0]), 100.0)  # both shorts: equity 100
    aware, literal = adl.scores("hyperliquid", book)[:2], adl.scores("hyperliquid_literal", book)[:2]
    assert aware == pytest.approx([3, 2]) and literal == pytest.approx([1 / 3, 1 / 2])


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [([1, 1, 1], 4, [2, 1, 1]), ([5, 3, 2], 7, [4, 2, 1]), ([1, 1], 0, [0, 0]), ([0, 0], 5, [0, 0])],
)
def test_largest_remainder_by_hand(shares, total, expected):
    assert list(adl.largest_remainder(shares, total)) == expected


sides = st.lists(st.tuples(st.floats(0.001, 1e4), st.integers(0, 50)), min_size=1, max_size=12)


@given(sides, st.integers(0, 300))
@settings(max_examples=80, deadline=None)
def test_largest_remainder_is_whole_exact_and_within_capacity(rows, total):
    weight, room = np.array([w for w, _ in rows]), np.array([c for _, c in rows])
    lots = adl.largest_remainder(weight, total, room)
    assert (lots >= 0).all() and (lots <= room).all() and lots.sum() == min(total, room.sum())


amounts = st.one_of(st.just(0.0), st.floats(1e-6, 1e4))


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=12), st.floats(0, 5e4))
@settings(max_examples=80, deadline=None)
def test_water_filling_spends_the_budget_and_is_proportional_below_the_caps(rows, budget):
    weight, cap = (np.array(column) for column in zip(*rows))
    taken = adl.water_filling(weight, cap, budget)
    usable = cap[weight > 0].sum()
    assert taken.sum() == pytest.approx(min(budget, usable), rel=1e-9, abs=1e-9)
    free = (weight > 1e-6) & (taken < cap * (1 - 1e-9))
    rates = taken[free] / weight[free]
    assert rates == pytest.approx(np.full(free.sum(), rates.max(initial=0.0)), rel=1e-6, abs=1e-9)


def test_lower_leverage_leaves_the_smallest_possible_maximum():
    quantity, equity = np.array([10, 10, 10, 1.0]), np.array([1, 2, 5, 5.0])
    closed = adl.lower_leverage(quantity, equity, 1.0, 12.0)
    left = quantity - closed
    assert closed.sum() == pytest.approx(12) and (closed >= 0).all()
    level = (left / equity).max()
    hit = closed > 1e-9
    assert (left / equity)[hit] == pytest.approx(np.full(hit.sum(), level))  # everyone cut ends at one level
    assert closed[3] == 0


@pytest.fixture(scope="module")
def october():
    return lab.october_book(3_000)


def test_every_policy_takes_what_is_missing_and_no_more(october):
    outcomes = {o.allocation.policy: o for o in lab.compare(october, 0.0)}
    assert set(outcomes) == set(adl.POLICIES)
    for outcome in outcomes.values():
        assert outcome.taken + outcome.unpaid == pytest.approx(october.deficit(), rel=1e-9)
        assert (october.equity - outcome.allocation.wealth)[october.equity > 0].min() >= -1e-6
        assert (outcome.allocation.contracts <= np.abs(october.quantity) + 1e-9).all()
    queue, shared = outcomes["hyperliquid"], outcomes["capped_wealth_pro_rata"]
    assert shared.largest_haircut < queue.largest_haircut and shared.share_hit > queue.share_hit
    levered = outcomes["leverage_water_filling"].leverage_max
    assert all(levered <= o.leverage_max + 1e-9 for o in outcomes.values())


def test_a_fund_makes_contract_policies_overshoot_by_what_it_could_pay(october):
    fund = 0.4 * october.deficit()
    for outcome in lab.compare(october, fund):
        wealth_policy = outcome.allocation.policy in adl.WEALTH_POLICIES
        assert outcome.overshoot == pytest.approx(0.0 if wealth_policy else fund, abs=1e-6 * fund)


@pytest.mark.parametrize("policy", ["contract_pro_rata", "leverage_water_filling", *adl.WEALTH_POLICIES])
def test_splitting_an_account_changes_nothing_under_pro_rata(october, policy):
    budget = october.deficit()
    given = adl.allocate(policy, october, budget).wealth
    for account in (*np.argsort(-given)[:3], *np.flatnonzero(given > 0)[:3]):
        assert adl.split_saving(policy, october, int(account), budget) == pytest.approx(0.0, abs=1e-9)


def test_what_splitting_saves_in_a_queue_is_reported():
    """Binance's score counts a wallet below 1 as 1: halves of a small account rank behind the whole."""
    book = adl.Book(np.array([3.0, -3.0, -10.0]), np.array([100.0, 100.0, 100.0]), np.array([15.0, 1.5, 5.5]), 90.0)
    budget = book.deficit()
    assert adl.split_saving("binance", book, 1, budget) > 0.5
    first = int(adl.allocate("hyperliquid", book, budget).wealth.argmax())
    assert adl.split_saving("hyperliquid", book, first, budget) == pytest.approx(0.0, abs=1e-12)
    told = {o.allocation.policy: o.split_saving for o in lab.compare(book, 0.0)}
    assert told["binance"] > 0.5 and told["contract_pro_rata"] == 0.0 and told["wealth_pro_rata"] == 0.0
    assert any("saved by splitting" in table.columns for table in lab.tables(lab.compare(book, 0.0)))


def test_lots_round_up_to_whole_contracts(october):
    for outcome in lab.compare(october, 0.0, ("okx", "contract_pro_rata"), lot=0.5):
        whole = outcome.allocation.contracts / 0.5
        partial = np.abs(whole - np.round(whole)) > 1e-6
        at_most_all = outcome.allocation.contracts[partial] == np.abs(october.quantity)[partial]
        assert at_most_all.all() and outcome.taken >= october.deficit() * (1 - 1e-9)


def test_october_book_has_the_published_shape():
    book = lab.october_book(19_337)
    size = np.abs(book.quantity)
    interest = book.quantity[book.quantity > 0].sum() * book.mark
    assert book.deficit() / interest == pytest.approx(lab.OCTOBER_DEFICIT, rel=1e-6)
    assert book.quantity.sum() == pytest.approx(0, abs=1e-6 * size.sum())
    assert 0.3 < lab.top_share(size) < 0.65 and lab.gini(size) > 0.95


def test_gini_by_hand():
    assert lab.gini([1, 1, 1, 1]) == 0 and lab.gini([0, 0, 0, 1]) == 0.75 and lab.gini([0, 0]) == 0


def test_command(tmp_path, capsys):
    rows = "quantity,entry_price,collateral\n10,100,50\n-6,100,200\n-4,110,100\n"
    (tmp_path / "a.csv").write_text(rows)
    assert execute(["adl-lab", str(tmp_path / "a.csv"), "--mark", "90", "--out", str(tmp_path / "out")]) == 0
    assert "leverage levelled down" in capsys.readouterr().out
    assert (tmp_path / "out" / "adl-lab-taken.svg").read_text().startswith("<svg xmlns")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ([], "mark is missing"),
        (["--mark", "100"], "negative equity"),
        (["--mark", "0"], "positive price"),
        (["--mark", "90", "--policies", "okxx"], "did you mean 'okx'"),
        (["--mark", "90", "--cap", "2"], "--cap cannot be 2"),
        (["--mark", "90", "--fund", "nan"], "--fund cannot be"),
    ],
)
def test_bad_input(tmp_path, extra, said, capsys):
    (tmp_path / "a.csv").write_text("quantity,entry_price,collateral\n10,100,50\n-10,100,200\n")
    assert execute(["adl-lab", str(tmp_path / "a.csv"), *extra]) == 2
    assert said in capsys.readouterr().err


def test_unknown_column(tmp_path):
    (tmp_path / "a.csv").write_text("quantity,entry,collateral\n10,100,50\n")
    with pytest.raises(InputError, match="entry_price"):
        lab.read_lab_book(tmp_path / "a.csv", 90.0, 0.05)
