"""/parameters of a run whose paths differ in parameters: the table by hand, and once the whole way from candles to a report."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mcrisk.calibrate import estimate as est
from mcrisk.cli.app import execute
from mcrisk.config.load import load_config
from mcrisk.engine.records import PATH_FIELDS
from mcrisk.report import parameters as page
from mcrisk.runs import bridge

DRAWS = "markets.company.prices.draws={volatility.calm: [0.5, 0.6, 0.7]}"


def test_table_by_hand():
    config = load_config("quickstart", ["venues=[kraken-preipo]", "scenarios=[baseline]", DRAWS, "parameters=bootstrap"])
    rng, n = np.random.default_rng(0), 6 * config.paths_per_draw
    gone = rng.random(n) < np.repeat([0.1, 0.5, 0.9], config.paths_per_draw).repeat(2)[:n]  # not by set: sets are 0 1 2 0 1 2
    columns = {f.name: (("venue", "scenario", "path"), np.zeros((1, 1, n))) for f in PATH_FIELDS if f.name != "weight"}
    columns["depletion_time"] = (("venue", "scenario", "path"), np.where(gone, 1.0, np.inf)[None, None])
    paths = xr.Dataset(columns, {"venue": ["kraken-preipo"], "scenario": ["baseline"]})
    found = bridge.parameter_table(paths, config)["value"].sel(metric="p_fund_depleted").isel(venue=0, scenario=0)
    y, sets = gone.astype(float), np.arange(n) // config.paths_per_draw % 3
    means = np.array([y[sets == k].mean() for k in range(3)])
    inside = sum(((y[sets == k] - means[k]) ** 2).sum() for k in range(3)) / (n - 3)
    across = 2 * config.paths_per_draw * ((means - y.mean()) ** 2).sum() / 2
    assert float(found.sel(part="estimate")) == pytest.approx(y.mean())
    assert float(found.sel(part="within")) == pytest.approx(np.sqrt(inside / n))
    between = max(0.0, (across - inside) / (2 * config.paths_per_draw))
    assert float(found.sel(part="between")) == pytest.approx(np.sqrt(between)) and int(found.sel(part="sets")) == 3
    assert np.isnan(found.sel(part="lower"))  # three sets are too few for the ends


@pytest.mark.slow
def test_from_candles_to_the_share_in_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    true = est.Parameters(0.89, 0.6, 1.6, 0.2, 2 * 86400.0, 60.0, 0.45, 0.10, 0.12, 0.007, 1800.0)
    close = 100 * np.exp(np.concatenate([[0.0], np.cumsum(est.simulate(true, 1, 30 * 96, 900.0, 1)[0])]))
    time = 1.76e12 + 900_000 * np.arange(len(close))
    pd.DataFrame({"timestamp": time, "close": close}).to_csv("candles.csv", index=False)
    assert execute(["fit", "candles.csv", "--resamples", "24", "--out", "fit", "--name", "mine"]) == 0
    small = ["venues=[kraken-preipo]", "scenarios=[combined]", "book.accounts=120", "execution.lane_paths=64",
             "execution.block_paths=256", "break_even=false", "assumption_strip=false",
             "markets.company.prices=fit/prices/mine.yaml", "parameters=bootstrap"]  # fmt: skip
    settings = [word for text in small for word in ("--set", text)]
    assert execute(["run", "quickstart", "--paths", "768", *settings, "--workers", "1", "--out", "r.zarr"]) in (0, 3)
    assert execute(["report", "r.zarr", "--out", "rep", "--format", "md"]) == 0
    assert "share of the parameters" in (tmp_path / "rep" / "report.md").read_text()
    assert execute(["explain", "r.zarr", "--venue", "kraken-preipo", "--scenario", "combined", "--path", "700"]) == 0
    said = capsys.readouterr()
    assert "agrees bit for bit" in said.out and "walking path 700 again; the first time this compiles" in said.err
    from mcrisk.report.source import Run

    table = page.table(Run.open(tmp_path / "r.zarr"))
    assert table.rows and all(row[-1].value == 24 for row in table.rows)
