"""Size of the fund: against the exponential law, where everything is known in closed form."""

import math

import numpy as np
import pytest

from mcrisk.calibrate import fund_size as sizing
from mcrisk.cli.app import execute
from mcrisk.errors import InputError
from tests.report.synthetic import write_store

SCALE, RATE, PENALTY = 1e5, 0.05, 1.0


def exponential(n, seed=7):
    return np.random.default_rng(seed).exponential(SCALE, n)


def test_w_ch_4_optimal_fund_is_the_quantile_of_the_deficit():
    size = sizing.size_fund(exponential(40_000), RATE, PENALTY)
    best = SCALE * math.log(PENALTY / RATE)
    assert size.q == pytest.approx(1 - RATE / PENALTY)
    assert size.need.estimate == pytest.approx(best, rel=0.03)
    assert size.cost.estimate == pytest.approx(RATE * (best + SCALE), rel=0.03)  # r·IF + κ·E[(D−IF)+], both exact
    assert size.shortfall_probability == pytest.approx(RATE / PENALTY, rel=0.01)


def test_no_fund_on_the_curve_is_cheaper():
    size = sizing.size_fund(exponential(5_000), RATE, PENALTY, present=2e5)
    assert size.curve[:, 1].min() == pytest.approx(size.cost.estimate, rel=1e-12)
    assert size.present_cost.estimate > size.cost.estimate


def test_interval_covers_as_often_as_it_says():
    best, hits = SCALE * math.log(PENALTY / RATE), 0
    for seed in range(150):
        need = sizing.size_fund(exponential(400, seed), RATE, PENALTY).need
        hits += need.lower <= best <= need.upper
    assert hits >= 0.95 * 150 - 3 * math.sqrt(150 * 0.05 * 0.95)


def test_an_upper_bound_the_sample_cannot_give_is_not_resolved():
    size = sizing.size_fund(exponential(500), 0.01, 10.0)
    assert math.isnan(size.need.upper) and "3,688" in size.note


def test_holding_as_dear_as_a_shortfall_means_no_fund():
    assert sizing.size_fund(exponential(100), 2.0, 1.0).need.estimate == 0.0


def test_mixture_is_a_plain_sample_with_the_right_shares():
    samples = {"a": np.zeros(4_000), "b": np.ones(4_000), "c": np.full(4_000, 2.0)}
    mixed = sizing.mixture(samples, {"a": 0.7, "b": 0.3})
    assert len(mixed) > 5_000 and mixed.mean() == pytest.approx(0.3, abs=0.02) and mixed.max() == 1.0


@pytest.mark.parametrize(
    ("weights", "said"),
    [({"a": 0.5}, "sum to 0.5"), ({"x": 1.0}, "no scenario 'x'"), ({"a": -0.1, "b": 1.1}, "negative")],
)
def test_bad_weights_are_named(weights, said):
    with pytest.raises(InputError, match=said):
        sizing.mixture({"a": np.zeros(9), "b": np.zeros(9)}, weights)


@pytest.mark.parametrize("text", ["a", "a=x", "=:"])
def test_mixture_text_that_is_none(text):
    with pytest.raises(InputError, match="no weight"):
        sizing.parse_mixture(text)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("runs") / "made-up.zarr")


def test_command_writes_page_tables_and_figures(store, tmp_path, capsys):
    arguments = ["size-fund", str(store), "--venue", "kraken-preipo", "--cost-rate", "0.02", "--penalty", "1"]
    arguments += ["--mixture", "baseline=0.9,cancellation=0.1", "--out", str(tmp_path / "out")]
    assert execute(arguments) == 0
    said = capsys.readouterr().out
    assert "mixture" in said and "in the scenario that asks for most: kraken-preipo" in said
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"size-fund.md", "size-fund-kraken-preipo-mixture.svg"} <= names
    assert any(name.endswith(".csv") and "cost-curve" in name for name in names)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--venue", "kraken-preip"], "did you mean 'kraken-preipo'"),
        (["--scenario", "x"], "no scenario 'x'"),
        (["--cost-rate", "-1"], "positive"),
        (["--cost-rate", "nan"], "positive"),
        (["--penalty", "0"], "positive"),
        (["--mixture", "baseline=0.5"], "sum to 0.5"),
        (["--out", "/proc/nothing"], "cannot be written"),
    ],
)
def test_bad_input(store, extra, said, capsys):
    assert execute(["size-fund", str(store), *extra]) == 2
    assert said in capsys.readouterr().err


def test_no_run(tmp_path, capsys):
    assert execute(["size-fund", str(tmp_path / "none.zarr")]) == 2
    assert "no such run" in capsys.readouterr().err
