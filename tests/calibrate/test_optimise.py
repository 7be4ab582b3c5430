"""Calibration on a toy problem whose optimum is known: the search, constraints at the upper bound, resume, bad input."""

import math

import numpy as np
import pytest

from mcrisk.calibrate import optimise as opt
from mcrisk.calibrate.evaluate import Outcome
from mcrisk.calibrate.study import load_study
from mcrisk.config.study import Calibration, paths_for
from mcrisk.errors import InputError
from mcrisk.risk.intervals import Interval

SPEC = {
    "name": "toy", "venue": "kraken-preipo", "trials": 60, "paths": 4000, "seed": 3,
    "variables": [{"name": "x", "fields": ["pre.mark.band"], "low": 0.0, "high": 1.0},
                  {"name": "kind", "fields": ["adl.rank"], "choices": ["okx", "binance"]}],
    "objectives": [{"metric": "cost"}],
    "constraints": [{"metric": "risk", "at_most": 0.25}],
}  # fmt: skip


def toy(calls, noise=0.05):
    """cost = x (+ 1 for binance), risk = (1 − x)²·1 ± noise: cheapest allowed x = 1 − √(0.25 − noise)."""

    def judge(batch):
        out = []
        for values in batch:
            calls.append(values)
            x, extra = values["x"], 1.0 if values["kind"] == "binance" else 0.0
            risk = (1 - x) ** 2
            table = {"cost": Interval(x + extra, x, x), "risk": Interval(risk, risk - noise, risk + noise)}
            out.append(Outcome(table | {"gain": Interval(risk, risk, risk)}, {}))
        return out

    return judge


def study(**changes):
    return Calibration.model_validate(SPEC | changes)


def test_known_optimum_is_found_and_the_upper_bound_decides():
    spec = study()
    best, front = opt.choose(opt.optimise(spec, toy([]), None), spec)
    assert best.values["kind"] == "okx" and front == [best]
    optimum = 1 - math.sqrt(0.25 - 0.05)  # with the estimate instead of the bound it would be 0.5
    assert optimum <= best.values["x"] <= optimum + 0.05


def test_two_objectives_give_a_front_and_its_knee():
    spec = study(objectives=[{"metric": "cost"}, {"metric": "risk"}], constraints=[], sampler="nsga2", trials=80)
    best, front = opt.choose(opt.optimise(spec, toy([], 0.0), None), spec)
    assert len(front) > 8
    pairs = np.array([opt.costs(t, spec.objectives) for t in front])
    assert (np.diff(pairs[:, 0]) > 0).all() and (np.diff(pairs[:, 1]) < 0).all()
    assert 0.1 < best.values["x"] < 0.7


def test_resume_proposes_what_an_uninterrupted_search_would(tmp_path):
    whole, first, second = [], [], []
    expected = opt.optimise(study(trials=16), toy(whole), None)
    opt.optimise(study(trials=8), toy(first), tmp_path / "a.log", "f")
    found = opt.optimise(study(trials=16), toy(second), tmp_path / "a.log", "f")
    assert len(first) == 8 and len(second) == 8
    assert [t.values for t in found] == [t.values for t in expected]
    with pytest.raises(InputError, match="another study"):
        opt.optimise(study(), toy([]), tmp_path / "a.log", "other")


def test_interruption_keeps_finished_batches(tmp_path):
    calls, judge = [], None

    def stops(batch):
        if len(calls) >= 8:
            raise KeyboardInterrupt
        return judge(batch)

    judge = toy(calls)
    with pytest.raises(KeyboardInterrupt):
        opt.optimise(study(trials=16), stops, tmp_path / "a.log")
    found = opt.optimise(study(trials=16), toy(calls), tmp_path / "a.log")
    assert len(found) == 16 and len(calls) == 16


def test_infeasible_constraints_say_which_and_how_far():
    spec = study(constraints=[{"metric": "risk", "at_most": 0.01}], trials=20)
    with pytest.raises(InputError, match="none of 20") as caught:
        opt.choose(opt.optimise(spec, toy([]), None), spec)
    assert "risk ≤ 0.01" in str(caught.value) and "too much" in str(caught.value)


def test_unknown_metric_is_named():
    with pytest.raises(InputError, match="unknown metric 'kost'"):
        opt.optimise(study(objectives=[{"metric": "kost"}]), toy([]), None)


def write(tmp_path, **changes):
    import yaml

    spec = SPEC | {"objectives": [{"metric": "initial_margin"}], "constraints": []} | changes
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(spec))
    return str(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variables": [{"name": "x", "fields": ["pre.mark.bnd"], "low": 0, "high": 1}]}, "did you mean 'band'"),
        ({"variables": [{"name": "x", "fields": ["pre.mark"], "low": 0, "high": 1}]}, "group of fields"),
        ({"variables": [{"name": "x", "fields": ["adl.rank"], "low": 0, "high": 1}]}, "no number"),
        ({"variables": [{"name": "x", "fields": ["pre.margin.tiers.9.initial"], "low": 0, "high": 1}]}, "no item '9'"),
        ({"variables": [{"name": "x", "fields": ["pre.mark.band"], "low": 1, "high": 0}]}, "not below"),
        ({"variables": [{"name": "x", "fields": ["pre.mark.band"]}]}, "either low and high"),
        ({"venue": "krakn-preipo"}, "did you mean 'kraken-preipo'"),
        ({"scenario": "combind"}, "did you mean 'combined'"),
        ({"held_out": ["combined"]}, "held out"),
        ({"constraints": [{"metric": "p_fund_depleted", "at_most": 0.001}], "paths": 512}, "needs 3,838 paths"),
        ({"trails": 3}, "did you mean 'trials'"),
        ({"constraints": [{"metric": "p_fund_depletd", "at_most": 0.1}]}, "did you mean 'p_fund_depleted'"),
        ({"objectives": [{"metric": "initial_magin"}]}, "key objectives[0].metric"),
        ({"run": "quickstrt"}, "did you mean 'quickstart'"),
        ({"set": ["book.acounts=3"]}, "did you mean 'accounts'"),
        ({"set": ["book.accounts"]}, "sets nothing"),
    ],
)
def test_bad_studies_are_named(tmp_path, changes, said):
    with pytest.raises(InputError) as caught:
        load_study(write(tmp_path, **changes))
    assert said in str(caught.value)
    assert "c.yaml:" in caught.value.where, "a message names file and line"


def test_paths_for_is_the_smallest_sample_without_hits():
    from mcrisk.risk.intervals import wilson

    need = paths_for(0.001)
    assert wilson(0, need).upper <= 0.001 < wilson(0, need - 1).upper


def test_unknown_study():
    with pytest.raises(InputError, match="unknown calibration"):
        load_study("kraken-bnd")
