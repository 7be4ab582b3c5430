"""Recommendations that survive: limits by scenario, confirmation on other draws, what to do where they fail.

The toy venue's deficit is exponential with a known mean per scenario, so the fund that keeps a limit is known: P(D > f) ≤ p
from f = mean · ln(1/p) on.
"""

import json
import math

import numpy as np
import pytest
import yaml

from mcrisk.calibrate import decision as deciding
from mcrisk.calibrate import optimise as search
from mcrisk.calibrate import recommendation as page
from mcrisk.calibrate.evaluate import Outcome
from mcrisk.calibrate.study import load_study
from mcrisk.cli.app import execute
from mcrisk.config.study import Calibration
from mcrisk.risk import intervals
from mcrisk.risk.intervals import Interval

MEAN = {"combined": 0.01, "valuation_reset": 0.02, "squeeze": 0.015, "cancellation": 0.2}
UNLUCKY = 4712  # a seed whose draws are worse than the law
STUDY = {
    "name": "toy", "run": "quickstart", "venue": "kraken-preipo", "scenario": "combined", "paths": 800, "check_paths": 4000,
    "trials": 24, "batch": 24, "sampler": "random", "held_out": ["squeeze"], "set": ["book.accounts=40"],
    "variables": [{"name": "fund", "fields": ["fund.initial"], "low": 0.01, "high": 0.3, "log": True}],
    "objectives": [{"metric": "fund_size"}],
    "constraints": [{"metric": "p_fund_depleted", "at_most": 0.05},
                    {"metric": "p_fund_depleted", "at_most": 0.02, "scenario": "valuation_reset"}],
}  # fmt: skip


def toy(jobs):
    """Deficits from seed and scenario alone, so that draws are common; the fund is the only decision."""
    return [one(task) for task in jobs]


def one(task):
    venue, scenario = task.config.venues[0], task.config.scenarios[0].name
    fund, rng = venue.fund.initial, np.random.default_rng([task.config.seed % 2**32, len(scenario)])
    luck = 1.0 if task.config.seed != UNLUCKY else 1.4
    need = rng.exponential(luck * MEAN[scenario], task.paths)
    gone = (need > fund).astype(float)
    table = {"p_fund_depleted": intervals.wilson(int(gone.sum()), task.paths), "fund_size": Interval(fund, fund, fund)}
    return Outcome(table, {"p_fund_depleted": gone, "fund_need_mean_of_oi": need})


def decide(folder, **changes):
    (folder / "toy.yaml").write_text(yaml.safe_dump(STUDY | changes))
    study, run, venue = load_study(str(folder / "toy.yaml"))
    return deciding.decide(study, run, venue, toy, None)


def test_candidates_are_told_apart_by_shape_not_colour_alone(tmp_path):
    found = decide(tmp_path)
    svg, possible = page.figure(found).svg, sum(t.feasible for t in found.trials)
    assert svg.count("<circle") == possible and svg.count("m0,-6 l-6,6") == len(found.trials) - possible > 0
    assert svg.count('r="6"') == 1


def test_the_stricter_scenario_sets_the_fund_and_the_answer_holds_on_fresh_draws(tmp_path):
    found = decide(tmp_path)
    known = MEAN["valuation_reset"] * math.log(1 / 0.02)  # the general limit alone would ask for 0.03
    assert known < found.venue.fund.initial < 1.5 * known
    assert found.confirmed and found.fallback is None
    assert [c.place for c in found.checks] == ["tuned on: combined", "tuned on: valuation_reset", "fresh seed: combined",
                                              "fresh seed: valuation_reset", "held out: squeeze"]  # fmt: skip
    assert all(not c.failed(found.study) for c in found.checks)
    text = page.summary(found)
    assert text.startswith("Recommended for kraken-preipo: fund ")
    assert "Every limit holds in all 3 places where it was not tuned." in text.splitlines()[0]
    assert "in valuation_reset ≤ 2.0 %: shown on fresh draws" in text
    verdicts = [row[-1] for row in page.checks_table(found).rows if "exhausted" in row[1]]
    assert verdicts == ["≤ 5.0 %: met", "≤ 2.0 %: met", "≤ 5.0 %: met", "≤ 2.0 %: met", "≤ 5.0 %: met"]
    assert "probability that the fund is exhausted in valuation_reset" in page.front_table(found).columns


def test_a_lucky_candidate_is_not_confirmed(tmp_path):
    """On the draws of the confirmation the cheapest candidate fails; the cheapest that holds there is taken."""
    lucky, unlucky = decide(tmp_path, confirm=0), decide(tmp_path, check_seed=UNLUCKY - 1)
    assert lucky.confirmed is None and unlucky.confirmed
    assert unlucky.turned_down and unlucky.turned_down[0] is unlucky.front[0] and unlucky.best not in unlucky.turned_down
    assert all(t.values["fund"] < unlucky.best.values["fund"] for t in unlucky.turned_down)
    assert unlucky.best.values["fund"] > 1.4 * MEAN["valuation_reset"] * math.log(1 / 0.02)
    text = page.summary(unlucky)
    assert f"where candidate{'' if len(unlucky.turned_down) == 1 else 's'} {unlucky.turned_down[0].number}" in text
    assert any("(not confirmed)" in row[0] for row in page.front_table(unlucky).rows)


def test_where_the_recommendation_fails_the_page_says_what_would_not(tmp_path):
    """Held out is a scenario twenty times as bad: no fund in the range survives it, and the fund that would is named."""
    found = decide(tmp_path, held_out=["squeeze", "cancellation"])
    lines = page.summary(found).splitlines()
    assert "It breaks a limit in held out: cancellation; elsewhere the limits hold." in lines[0]
    assert any(line.startswith("No candidate that was judged") and "held out: cancellation" in line for line in lines)
    assert found.fallback.trial is search.safest(found.trials, found.study)
    need = np.array(found.fallback.found[0][0].chosen.samples["fund_need_mean_of_oi"])
    told = next(line for line in lines if line.startswith("With the recommended rules a fund of"))
    share = float(told.split("a fund of ")[1].split(" ")[0]) / 100
    assert share == pytest.approx(MEAN["cancellation"] * math.log(1 / 0.05), rel=0.1)
    assert np.mean(need > share) == pytest.approx(0.05, abs=0.01)


def test_a_safer_candidate_is_named_with_its_price(tmp_path, monkeypatch):
    """Held out a little worse: the largest fund of the search survives it."""
    monkeypatch.setitem(MEAN, "cancellation", 0.045)
    found = decide(tmp_path, held_out=["cancellation"])
    told = next(line for line in page.summary(found).splitlines() if line.startswith("The safest candidate"))
    assert "keeps the limits in held out: cancellation, too" in told and "% higher" in told


def test_limits_by_scenario():
    study = Calibration.model_validate(STUDY)
    general, own = study.constraints
    assert study.limits_in("combined") == study.limits_in("squeeze") == (general,)
    assert study.limits_in("valuation_reset") == (own,) and study.judged == ("combined", "valuation_reset")
    with pytest.raises(ValueError, match="cannot be tuned on and held out"):
        Calibration.model_validate(STUDY | {"held_out": ["valuation_reset"]})


def test_an_unknown_scenario_of_a_constraint_is_named(tmp_path, capsys):
    limits = [{"metric": "p_fund_depleted", "at_most": 0.05, "scenario": "valuation_rest"}]
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(STUDY | {"constraints": limits}))
    assert execute(["validate", "--kind", "calibrations", str(tmp_path / "toy.yaml")]) == 2
    said = capsys.readouterr().err
    assert "valuation_rest" in said and "did you mean 'valuation_reset'" in said


def test_the_command_answers_as_json_or_not_at_all(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mcrisk.calibrate.evaluate.evaluate", one)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(STUDY | {"trials": 10}))
    command = ["calibrate", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "out")]
    assert execute([*command, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["answer"][0].startswith("Recommended for") and data["files"][0].endswith("calibration.html")
    checks = next(t for t in data["tables"] if t["title"] == "Does it hold elsewhere")
    assert set(checks["rows"][1]["recommended"]) == {"estimate", "lower", "upper"}
    assert execute([*command, "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out == said.err == ""
