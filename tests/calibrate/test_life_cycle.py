"""Life-cycle priors: closed forms, known rates inside their own intervals, a scenario that a run can use, bad tables."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mcrisk.calibrate import life_cycle as lc
from mcrisk.cli.app import execute
from mcrisk.config import catalog
from mcrisk.config.load import load_config, load_model
from mcrisk.config.scenario import Scenario
from mcrisk.errors import InputError

SHIPPED = catalog.root() / "life-cycle" / "ipo.csv"


def with_rows(folder, **changes):
    """The shipped table with the first row of some quantities replaced; None drops all of its rows."""
    frame = pd.read_csv(SHIPPED)
    for quantity, row in changes.items():
        if row is None:
            frame = frame[frame["quantity"] != quantity]
        else:
            at = frame.index[frame["quantity"] == quantity][0]
            frame.loc[at, list(row)] = list(row.values())
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def test_shipped_table_by_closed_forms():
    found = lc.posterior(lc.read_evidence(SHIPPED), count=40_000)
    exact = stats.beta(1.5, 6.5)  # 1 of 7, Jeffreys; defaults.md quotes the mean as 19 %
    assert found.interval("delay").estimate == pytest.approx(0.1875, abs=0.003)
    assert found.interval("delay")[1:] == pytest.approx((exact.ppf(0.025), exact.ppf(0.975)), rel=0.06)
    logs = np.log([42, 42, 160, 167, 255, 575])
    assert found.interval("length_median").estimate == pytest.approx(86400 * math.exp(logs.mean()), rel=0.03)
    ends = math.exp(logs.mean() + logs.std(ddof=1) / math.sqrt(6) * stats.t(5).ppf(0.975)) * 86400
    assert found.interval("length_median").upper == pytest.approx(ends, rel=0.05)
    rate = stats.gamma(1.5, scale=1 / 1.75)
    assert found.interval("feed_based").upper == pytest.approx(1 - math.exp(-rate.ppf(0.975) * 30 / 365), rel=0.04)
    monthly = 1 - (1 - 1950 / 8680) ** (0.5 * 30 / 365)
    assert found.interval("cancel").estimate == pytest.approx(monthly, rel=0.02)
    branches = sum(found.draws[name] for name in ("delay", "cancel", "reset_down", "reset_up", "orderly"))
    assert branches == pytest.approx(np.ones(40_000)) and (found.draws["orderly"] > 0).all()


def test_laws_from_a_range_have_its_mean_and_width():
    for law in (lc.ranged_beta(0.06, 0.02, 0.15), lc.ranged_gamma(0.5, 0.14, 1.43)):
        width = law.ppf(0.975) - law.ppf(0.025)
        assert law.mean() == pytest.approx(0.06 if law.mean() < 0.1 else 0.5)
        assert width == pytest.approx(0.13 if law.mean() < 0.1 else 1.29, rel=1e-6)
    shape, rate = lc.precision_gamma(0.03, 0.10)
    inside = stats.gamma(shape, scale=1 / rate)
    assert 1 / np.sqrt(inside.ppf([0.975, 0.025])) == pytest.approx([0.03, 0.10], rel=1e-6)


def test_known_rates_lie_inside_their_own_intervals(tmp_path):
    """Tables drawn from known rates; every true number is inside its 95 % interval about as often as it should be."""
    rng, inside, total = np.random.default_rng(4), 0, 0
    true = {"delay": 0.3, "feed_based": 1 - math.exp(-0.8 * 30 / 365), "length_median": 100 * 86400.0, "length_sigma": 0.7,
            "jump_location": -0.02}  # fmt: skip
    for _ in range(20):
        frame = pd.read_csv(SHIPPED)
        frame = frame[~frame["quantity"].isin(["delay_days", "conversion_jump"])]
        frame.loc[frame["quantity"] == "delayed", ["value", "of"]] = [float(rng.binomial(30, 0.3)), 30.0]
        frame.loc[frame["quantity"] == "feed_error", ["value", "years"]] = [float(rng.poisson(8.0)), 10.0]
        lists = [("delay_days", 100 * math.exp(0.7 * z)) for z in rng.standard_normal(12)]
        lists += [("conversion_jump", -0.02 + 0.05 * x) for x in rng.standard_t(4, 12)]
        more = pd.DataFrame([{"quantity": q, "value": v, "marker": "derived", "source": "simulated"} for q, v in lists])
        pd.concat([frame, more]).to_csv(tmp_path / "t.csv", index=False)
        found = lc.posterior(lc.read_evidence(tmp_path / "t.csv"), count=400)
        for name, value in true.items():
            interval = found.interval(name)
            inside, total = inside + (interval.lower <= value <= interval.upper), total + 1
    assert 0.88 <= inside / total <= 1.0


def test_the_command_writes_a_scenario_with_draws(tmp_path, capsys):
    assert execute(["fit", "--life-cycle", "ipo", "--out", str(tmp_path), "--name", "mine"]) == 0
    said = capsys.readouterr().out
    assert "branches.near.delay" in said and "parameters: bootstrap" in said
    file = tmp_path / "scenarios" / "mine.yaml"
    run = load_config("quickstart", ["venues=[kraken-preipo]", f"scenarios=[{file}]", "parameters=bootstrap"])
    scenario = run.scenarios[0]
    assert scenario.branches["near"].delay == pytest.approx(0.1875, abs=0.03)
    assert scenario.squeeze.probability["thin"] == load_model(Scenario, "scenarios", "combined").squeeze.probability["thin"]
    notes = {note.field: note for note in scenario.provenance if note.marker == "calibrated"}
    assert notes["branches.near.cancel"].assumption and not notes["branches.near.delay"].assumption
    assert "IPOPs past its anticipated date" in notes["branches.near.delay"].source


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"delayed": {"value": 8.0}}, "8 of 7 is no count"),
        ({"delayed": None}, "'delayed' has 0 row(s)"),
        ({"withdrawn": {"quantity": "withdrawed"}}, "did you mean 'withdrawn'"),
        ({"withdrawn": {"years": np.nan}}, "years of exposure"),
        ({"reset_up": {"low": 0.07}}, "0 < low < value < high"),
        ({"reset_up": {"high": 0.99}}, "impossible range"),
        ({"delay_days": {"value": -1.0}}, "positive number of days"),
        ({"feed_error": {"source": " "}}, "has no source"),
        ({"conversion_jump": {"value": np.nan}}, "never taken as 0"),
    ],
)
def test_bad_tables_are_named(tmp_path, changes, said):
    with pytest.raises(InputError) as caught:
        lc.posterior(lc.read_evidence(with_rows(tmp_path, **changes)), count=20)
    assert said in str(caught.value) and "t.csv" in caught.value.where


def test_bad_options(tmp_path, capsys):
    assert execute(["fit", "--out", str(tmp_path)]) == 2
    assert "nothing to fit" in capsys.readouterr().err
    assert execute(["fit", "--life-cycle", "ipoo", "--out", str(tmp_path)]) == 2
    assert "did you mean 'ipo'" in capsys.readouterr().err
