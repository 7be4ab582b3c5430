"""Reverse stress and sensitivity on functions whose answer is known, and once on the engine."""

import math
import re

import numpy as np
import pytest
import yaml

from mcrisk.calibrate import reverse, sensitivity
from mcrisk.calibrate.evaluate import Outcome, runner
from mcrisk.calibrate.world import load_world, moved
from mcrisk.cli.app import execute
from mcrisk.config.study import ReverseStress, Sensitivity
from mcrisk.errors import InputError
from mcrisk.risk.intervals import Interval

INPUTS = [
    {"name": "fall", "fields": ["scenarios.valuation_reset.reset.down.mean"], "low": -0.01, "high": -1.01},
    {"name": "fund", "fields": ["venues.kraken-preipo.fund.initial"], "low": 0.9, "high": 0.1},
]
SPEC = {"name": "toy", "venue": "kraken-preipo", "scenario": "valuation_reset", "paths": 64, "inputs": INPUTS,
        "set": ["book.accounts=60", "execution.lane_paths=64", "execution.block_paths=64"]}  # fmt: skip


def write(folder, **changes):
    (folder / "s.yaml").write_text(yaml.safe_dump(SPEC | changes))
    return str(folder / "s.yaml")


def shares(job):
    """Where in the unit square a job lies."""
    config = job.config
    fall, fund = config.scenarios[0].reset.down.mean, config.venues[0].fund.initial
    return np.array([(-fall - 0.01) / 1.0, (0.9 - fund) / 0.8])


def toy(function, noise=None):
    def compute(jobs):
        out = []
        for job in jobs:
            value = float(function(*shares(job)))
            sample = np.full(200, value) + (0 if noise is None else noise)
            out.append(Outcome({"p_adl": Interval(value, value - 0.01, value + 0.01)}, {"p_adl": sample}))
        return out

    return compute


def test_the_boundary_of_a_plane_and_its_mildest_point(tmp_path):
    study, run = load_world(ReverseStress, write(tmp_path, metric="p_adl", value=0.5, precision=0.005, directions=10))
    rays = reverse.boundary(study, run, toy(lambda a, b: 0.5 * (a + b)))  # breaks on a + b = 1
    for ray in (r for r in rays if r.breaks):
        assert sum(ray.shares) == pytest.approx(1.0, abs=0.012)
    assert rays[0].severity == pytest.approx(math.sqrt(0.5) / math.sqrt(2), abs=0.01)  # nearest point (½, ½)
    assert rays[0].shares == pytest.approx((0.5, 0.5), abs=0.06)
    text = reverse.sentence(study, rays)
    assert "severity 0.50" in text and "alone would have to reach" in text
    assert len(reverse.table(study, rays).rows) == len(rays)
    (picture,) = reverse.figures(study, rays).values()
    assert picture.group == "Where the limit breaks" and "polyline" in picture.svg
    corners = re.search(r'<polygon class="b s5" points="([^"]+)"', picture.svg)[1].split()
    assert len(corners) == 2 * len(rays) == 2 * (2 + 3 + 10)  # axes, three between, those asked for: each out to the edge


def test_an_input_that_does_not_matter_never_breaks_alone(tmp_path):
    study, run = load_world(ReverseStress, write(tmp_path, metric="p_adl", value=0.3))
    rays = reverse.boundary(study, run, toy(lambda a, b: a * a))
    assert not next(r for r in rays if r.direction == (0.0, 1.0)).breaks
    assert "does not do it alone" in reverse.sentence(study, rays)


def test_a_limit_that_holds_again_further_out_is_found(tmp_path):
    study, run = load_world(ReverseStress, write(tmp_path, metric="p_adl", value=0.3, precision=0.01))
    rays = reverse.boundary(study, run, toy(lambda a, b: a if a < 0.7 else 0.0))
    ray = next(r for r in rays if r.direction == (1.0, 0.0))
    assert ray.shares[0] == pytest.approx(0.3, abs=0.011) and ray.holds_again
    assert "holds again" in reverse.table(study, [ray]).rows[0][-1]


@pytest.mark.parametrize(
    ("function", "said"), [(lambda a, b: 1.0, "before any stress"), (lambda a, b: 0.1 * a, "no combination breaks")]
)
def test_limits_that_cannot_be_crossed_are_told(tmp_path, function, said):
    study, run = load_world(ReverseStress, write(tmp_path, metric="p_adl", value=0.5))
    with pytest.raises(InputError, match=said):
        reverse.boundary(study, run, toy(function))


def test_tornado_is_paired_and_sorted(tmp_path):
    study, run = load_world(Sensitivity, write(tmp_path, metric="p_adl"))
    base = shares(type("Job", (), {"config": run}))
    noise = np.random.default_rng(0).normal(0, 5.0, 200)  # common to all, so it cancels
    _, bars = sensitivity.tornado(study, run, toy(lambda a, b: a + 3 * b, noise))
    assert [bar.name for bar in bars] == ["fund", "fall"]
    assert bars[1].at_high.estimate == pytest.approx(1 - base[0], abs=1e-9)
    assert bars[0].at_low.upper - bars[0].at_low.lower < 1e-9
    picture = sensitivity.tornado_figure(study, bars)
    assert 'class="l w"' in picture.svg and dict(picture.legend)["bar s0"] == "input at its low end"


def test_titles_of_inputs_are_not_cut_off(tmp_path):
    inputs = [INPUTS[0] | {"text": "x" * 41}, INPUTS[1] | {"text": "y" * 80}]
    study, run = load_world(Sensitivity, write(tmp_path, metric="p_adl", inputs=inputs))
    svg = sensitivity.tornado_figure(study, sensitivity.tornado(study, run, toy(lambda a, b: a + b))[1]).svg
    starts = [(float(x), len(text)) for x, text in re.findall(r'x="([\d.]+)"[^>]*text-anchor="start">([xy]+…?)<', svg)]
    assert len(starts) == 2 and all(x > 0 and x + letters * 7.2 < 420 for x, letters in starts)  # of 420 units


def test_sobol_indices_of_a_linear_function(tmp_path):
    study, run = load_world(Sensitivity, write(tmp_path, metric="p_adl", sobol=64))
    rows = {row[0]: row for row in sensitivity.sobol(study, run, toy(lambda a, b: a + 3 * b)).rows}
    assert next(iter(rows)) == "fund"  # what matters most comes first
    first, total = rows["fund"][1:]
    assert rows["fall"][1].interval[0] == pytest.approx(0.1, abs=0.05) and first.interval[0] == pytest.approx(0.9, abs=0.1)
    assert total.interval[0] == pytest.approx(0.9, abs=0.1)
    low, high = (f"{end:.2f}" for end in total.interval[1:])
    assert total == f"{total.interval[0]:.2f} [{low}, {high}]"


def test_map_has_every_cell(tmp_path):
    study, run = load_world(
        Sensitivity, write(tmp_path, metric="p_adl", map=["fall", "fund"], map_steps=3), {}
    )
    table, picture = sensitivity.heat_map(study, run, toy(lambda a, b: a * b))
    assert len(table.rows) == 9 and table.rows[-1][2].startswith("100 % [") and picture.svg.count("<rect") == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": [INPUTS[0] | {"fields": ["scenarios.valuation_reset.reset.dwn.mean"]}]}, "did you mean 'down'"),
        ({"inputs": [INPUTS[0] | {"fields": ["venues.kraken-preipo.adl.rank"]}]}, "no number"),
        ({"inputs": [INPUTS[0] | {"high": -0.01}]}, "are equal"),
        ({"inputs": [INPUTS[1] | {"low": -1.0}]}, "not allowed together"),
        ({"inputs": [INPUTS[0], INPUTS[1] | {"name": "fall"}]}, "two of them"),
        ({"scenario": "valuation_rest"}, "did you mean 'valuation_reset'"),
    ],
)
def test_bad_studies_are_named(tmp_path, changes, said):
    with pytest.raises(InputError) as caught:
        load_world(ReverseStress, write(tmp_path, **changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"map": ["fall"]}, "two different inputs"), ({"sobol": 3}, "power of two"), ({"metric": "p_adll"}, "did you mean 'p_adl'")],
)
def test_bad_sensitivities_are_named(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        load_world(Sensitivity, write(tmp_path, **changes))


@pytest.mark.parametrize("name", ["kraken-reverse", "kraken-inputs"])
def test_shipped_studies_load(name):
    kind = ReverseStress if name == "kraken-reverse" else Sensitivity
    study, run = load_world(kind, name)
    assert moved(run, study.inputs, [1.0] * len(study.inputs)) != run


@pytest.mark.slow
def test_sensitivity_on_the_engine(tmp_path, capsys):
    file = write(tmp_path, metric="fund_need_mean_of_oi")
    assert execute(["sensitivity", file, "--out", str(tmp_path / "out")]) == 0
    assert "depends most on" in capsys.readouterr().out
    assert (tmp_path / "out" / "sensitivity-tornado.svg").exists()
    with runner(1) as compute:
        study, run = load_world(Sensitivity, file)
        assert sensitivity.tornado(study, run, compute)[1]
