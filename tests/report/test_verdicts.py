"""Reading the judge's inputs out of the store."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from mcrisk.report import verdicts
from mcrisk.report.answer import find_answer
from mcrisk.report.source import Run
from tests.report.synthetic import synthetic_tree

NAN = float("nan")


def run_with(**changes) -> Run:
    """A small synthetic run with `/break_even` values or metrics replaced."""
    tree = synthetic_tree(paths=64, accounts=3, venues=("okx-preipo-perp", "binance-preipo"), scenarios=("combined",))
    if "break_even" in changes:
        dims = ("venue", "direction")
        values = np.array(changes["break_even"], dtype=float)
        names = ("estimate", "lower", "upper")
        data = {name: (dims, np.tile(values[:, k], (2, 1))) for k, name in enumerate(names)}
        coordinates = {"venue": tree["paths"]["venue"].values, "direction": ["down", "up"]}
        tree["break_even"] = xr.DataTree(xr.Dataset(data, coordinates))
    value = tree["metrics"]["value"]
    for name, numbers in changes.get("metrics", {}).items():
        value.loc[{"metric": name}] = numbers
    return Run(tree)


@pytest.mark.parametrize(
    "stored, severity, colour",
    [
        ((-0.5, -0.54, -0.48), (0.5, 0.48, 0.54), "green"),
        ((-0.2, -0.25, -0.15), (0.2, 0.15, 0.25), "red"),
        ((-0.3, -0.34, -0.28), (0.3, 0.28, 0.34), "amber"),
        ((-0.3, -0.5, -0.2), (0.3, 0.2, 0.5), "grey"),
        ((NAN, NAN, -0.95), (NAN, 0.95, NAN), "green"),  # beyond the grid
        ((NAN, NAN, -0.0), (NAN, 0.0, NAN), "grey"),  # nothing excluded
    ],
)
def test_a_fall_is_read_back_as_a_severity(stored, severity, colour):
    run = run_with(break_even=[stored, (0.6, 0.5, 0.75)])
    found = verdicts.break_even(run, run.venues[0], "down")
    assert all(a == b or math.isnan(a) and math.isnan(b) for a, b in zip(found, severity))
    assert verdicts.judge(run)[0]["break_even_down"].colour == colour


def test_a_rise_keeps_its_sign():
    run = run_with(break_even=[(-0.5, -0.6, -0.4), (0.2, 0.15, 0.25)])
    assert verdicts.break_even(run, run.venues[0], "up") == (0.2, 0.15, 0.25)
    assert verdicts.judge(run)[0]["break_even_up"].colour == "red"


def needy(fund: float, leverage: tuple[float, float, float] | None) -> Run:
    """A run whose funds miss the 99 % need by far; `leverage` is the paired effect of the low-leverage book."""
    run = run_with(metrics={"required_fund_99": fund, "p_fund_depleted": 0.3})
    if leverage is None:
        del run.tree["strip"]
        return run
    strip = run.tree["strip"].to_dataset()
    for name, number in zip(("difference", "lower", "upper"), leverage):
        strip[name].loc[{"assumption": "leverage", "level": "low"}] = number
    strip["value"].loc[{"assumption": "leverage", "level": "low"}] = 0.3 + leverage[0]
    run.tree["strip"] = xr.DataTree(strip)
    return run


@pytest.mark.parametrize(
    "leverage, lever, words",
    [
        ((-0.2, -0.22, -0.18), "leverage", "leverage and open-interest caps, not the fund: a low-leverage book alone lowers P(fund "
                                           "gone) by 20 percentage points."),
        ((-0.01, -0.03, 0.01), "caps", "a low-leverage book alone does not lower P(fund gone) by more than noise"),
        ((0.05, 0.03, 0.07), "caps", "open-interest and position caps, not the fund"),
        (None, "leverage", "the lever is leverage and open-interest caps, not the fund."),
    ],
)  # fmt: skip
def test_leverage_is_called_the_lever_only_as_far_as_the_run_tested_it(leverage, lever, words):
    run = needy(20e6, leverage)
    answer = find_answer(run, verdicts.judge(run))
    assert answer.lever == lever and words in answer.action
    assert answer.action.startswith("A fund would have to be 40 % of open interest" if answer.venue == "binance-preipo"
                                    else "A fund would have to be 50 % of open interest")  # fmt: skip


def test_a_fund_that_never_runs_dry_is_not_said_to_run_dry_with_probability_zero():
    run = run_with(metrics={"required_fund_99": 1e5, "p_fund_depleted": 0.0, "latent_deficit_99": 90e6})
    worry = find_answer(run, verdicts.judge(run)).worry
    assert "are beyond the limit, although its fund runs dry on none of 64 paths" in worry and "probability" not in worry


@pytest.mark.parametrize("others, words", [
    (40e6, "ipo delay hits it hardest"), (47e6, "scenarios hardly differ: under ipo delay the worst"),
])  # fmt: skip
def test_a_scenario_is_the_worst_only_beyond_its_interval(others, words):
    tree = synthetic_tree(paths=64, accounts=3, venues=("tradexyz-ipop",), scenarios=("baseline", "ipo_delay", "combined"))
    value = tree["metrics"]["value"]
    for scenario, tail in (("baseline", others), ("ipo_delay", 50e6)):
        value.loc[{"metric": "es_99_bad_debt", "scenario": scenario}] = np.array([1.0, 0.9, 1.1]) * tail
    run = Run(tree)
    assert words in find_answer(run, verdicts.judge(run)).worry.lower()


def calm(fund_factor: float = 0.2, unresolved: bool = False) -> dict:
    """Metrics of a run in which nothing is wrong."""
    need = np.array([1.0, 0.9, NAN if unresolved else 1.1]) * fund_factor * 4e5
    good = {
        "required_fund_99": need, "required_fund_999": need, "p_fund_depleted": [0, 0, 5e-4], "p_unpaid": [0, 0, 5e-4],
        "unpaid_mean": [0, 0, 0], "winners_haircut_es99": [0, 0, 0.01], "latent_deficit_99": [1e3, 900, 1100],
        "cover_two": [1e3, 1e3, 1e3],
    }  # fmt: skip
    return {"metrics": good, "break_even": [(-0.9, -0.95, -0.84), (2.2, 1.7, 3.0)]}


def test_nothing_to_worry_about():
    run = run_with(**calm())
    answer = find_answer(run, verdicts.judge(run))
    assert answer.lever == "none" and "stays within its limits" in answer.worry


def test_grey_lights_ask_for_more_paths():
    run = run_with(**calm(unresolved=True))
    answer = find_answer(run, verdicts.judge(run))
    assert answer.lever == "paths" and "not every limit is resolved" in answer.worry


def test_a_fund_within_reach_is_the_lever():
    run = run_with(**calm(fund_factor=2.0))
    answer = find_answer(run, verdicts.judge(run))
    assert answer.lever == "fund" and answer.action.startswith("Raise the fund from")


def test_broken_limits_fall_back_to_the_defaults():
    run = run_with()
    run.config["limits"] = {"nonsense": 1}
    assert verdicts.limits_of(run).p_fund_depleted.amber == 0.01
