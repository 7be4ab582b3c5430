"""Comparing runs: what is called moved, how it is paired, what stands beside it."""

import json

import pytest

from mcrisk.errors import InputError
from mcrisk.report import changes, compare_page
from mcrisk.report.compare import MOVED, compare, judge, sentence
from mcrisk.risk.intervals import Interval
from tests.report.synthetic import _config, synthetic_tree, write_store

VENUES = ("kraken-preipo", "okx-preipo-perp")
SCENARIOS = ("baseline", "combined")
NAN = float("nan")


def store(path, *, seed=7, run_seed=20261120, paths=400, config=None, worse=1.0, venues=VENUES):
    """A synthetic store; `worse` multiplies every deficit."""
    config = config or {**_config(venues, "x"), "markets": [{"name": "company"}]}
    tree = synthetic_tree(
        paths=paths, accounts=4, seed=seed, venues=venues, scenarios=SCENARIOS, config=json.dumps(config),
        without=("accounts", "bands", "strip"),
    )  # fmt: skip
    tree.attrs["seed"] = run_seed
    for name in ("bad_debt", "adl_wealth"):
        tree["paths"][name].values[:] *= worse
    tree.to_zarr(path, zarr_format=3, mode="w")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return store(tmp_path_factory.mktemp("base") / "a.zarr")


def test_a_run_against_itself_is_identical(base):
    found = compare(base, base)
    assert found.paired and all(c.verdict == "identical" for c in found.changes)
    assert sentence(found).startswith("Nothing moved")


def test_a_real_change_is_called_moved_and_pairing_sees_it_sooner(base, tmp_path):
    paired = compare(base, store(tmp_path / "b.zarr", worse=1.2))
    apart = compare(base, store(tmp_path / "c.zarr", worse=1.2, run_seed=1))
    assert paired.paired and not apart.paired and "different seeds" in apart.why
    mean = [c for c in paired.changes if c.metric == "bad_debt_mean" and c.scenario == "combined"]
    assert all(c.verdict in (MOVED, "perhaps") and c.worse for c in mean) and paired.count(MOVED)
    width = {f.paired: max(c.difference.upper - c.difference.lower for c in f.changes
                           if c.metric == "bad_debt_mean" and c.scenario == "combined") for f in (paired, apart)}  # fmt: skip
    assert width[True] < width[False]


def test_the_page_names_runs_apart_says_once_what_moved_and_what_differs(base, tmp_path):
    config = {**_config(VENUES, "x"), "markets": [{"name": "company"}], "book": {"accounts": 7}}
    found = compare(base, store(tmp_path / "worse.zarr", worse=1.5, config=config))
    page = compare_page.page([found])
    assert page.title == "a against worse"  # both are called alike, their files are not
    assert page.lead == sentence(found) and page.sections[0].lead == ""
    assert dict(page.facts)["differs"].startswith("book") and " → " in dict(page.facts)["differs"]


def test_equal_runs_with_other_draws_do_not_cry_wolf(base, tmp_path):
    found = compare(base, store(tmp_path / "b.zarr", seed=8, run_seed=2))
    assert found.count(MOVED) == 0


def test_a_short_run_is_paired_with_the_beginning_of_a_long_one(base, tmp_path):
    found = compare(base, store(tmp_path / "b.zarr", paths=100))
    assert found.paired and found.paths == (100, 100)


def test_other_markets_are_other_worlds(base, tmp_path):
    config = {**_config(VENUES, "x"), "markets": [{"name": "other"}]}
    assert not compare(base, store(tmp_path / "b.zarr", config=config)).paired


def test_what_only_one_run_has_is_named_and_nothing_in_common_is_refused(base, tmp_path):
    found = compare(base, store(tmp_path / "b.zarr", venues=("kraken-preipo",)))
    assert "okx-preipo-perp" in found.alone[0]
    with pytest.raises(InputError, match="no venue and scenario in common"):
        compare(base, store(tmp_path / "c.zarr", venues=("binance-preipo",)))


@pytest.mark.parametrize(
    "plain, strict, word",
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "identical"),
        ((1.0, NAN, NAN), (1.0, NAN, NAN), "not resolved"),
        ((1.0, 0.5, 1.5), (1.0, 0.1, 1.9), "moved"),
        ((1.0, 0.5, 1.5), (1.0, -0.1, 2.1), "perhaps"),
        ((1.0, 0.5, 1.5), (1.0, NAN, NAN), "perhaps"),
        ((1.0, -0.5, 2.5), (1.0, -1.0, 3.0), "within noise"),
    ],
)
def test_words(plain, strict, word):
    assert judge(Interval(*plain), Interval(*strict)) == word


def test_config_difference_matches_lists_by_name():
    old = {"venues": [{"name": "a", "fund": {"initial": 0.01}}, {"name": "b", "x": 1}], "paths": 5}
    new = {"venues": [{"name": "b", "x": 1}, {"name": "a", "fund": {"initial": 0.02}}], "paths": 5}
    assert list(changes.differences(old, new)) == [("venues.a.fund.initial", 0.01, 0.02)]


def test_page_and_json_carry_everything_and_escape(tmp_path, base):
    config = {**_config(VENUES, "x"), "markets": [{"name": "company"}], "name": "<img src=x>\x1b[31m"}
    other = store(tmp_path / "b.zarr", worse=1.3, config=config)
    found = compare(base, other)
    html = compare_page.to_html([found])
    assert "<img src=x>" not in html and "&lt;img src=x&gt;" in html and "\x1b" not in html
    data = json.loads(compare_page.to_json([found]))["comparisons"][0]
    assert len(data["changes"]) == len(found.changes) and data["counts"]["moved"] == found.count(MOVED) > 0
    assert any(row["key"] == "name" for row in data["config"])


def test_written_store_of_the_other_tests_compares_too(tmp_path):
    one = write_store(tmp_path / "a.zarr", paths=64, accounts=4, venues=VENUES, scenarios=SCENARIOS)
    assert compare(one, one).changes


def test_lights_that_changed_are_named_with_both_words(base, tmp_path):
    calm = {**_config(VENUES, "x"), "markets": [{"name": "company"}]}
    calm["limits"] = {"p_fund_depleted": {"green": 1.0, "amber": 1.0}}
    found = compare(base, store(tmp_path / "b.zarr", config=calm))
    rows = [[c.text for c in row] for row in compare_page.lights_table(found).rows]
    assert [r[1] for r in rows] == ["P(fund gone)"] * len(rows) and rows
    assert all(r[3].startswith("within limit: ") for r in rows)
    assert not compare_page.lights_table(compare(base, base)).rows
