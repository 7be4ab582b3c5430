"""A run with variance reduction from the config to the tables: resumed and extended like any other, weights all the way."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
import xarray as xr

from mcrisk.config.load import load_config
from mcrisk.errors import InputError
from mcrisk.report import sampling
from mcrisk.report.source import Run
from mcrisk.risk import headline
from mcrisk.runs import run
from mcrisk.runs.bridge import open_interest
from tests.engine.test_variance_reduction import BACKEND, EVERYTHING, GRID

FACTS = ("effective_paths", "effective_paths_depleted", "largest_weight", "mean_weight")


def config(paths, *more):
    return load_config("quickstart", [
        "venues=[kraken-preipo]", "scenarios=[combined]", "book.accounts=40", f"execution.backend={BACKEND}", GRID,
        "execution.lane_paths=32", "execution.block_paths=32", "execution.workers=1", f"paths={paths}", "strip_paths=32",
        "break_even=false", "assumption_strip=false", *more,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def grown():
    """64 paths, then 96: one store, in this process."""
    url = f"memory://{uuid.uuid4().hex}/run.zarr"
    reduction = f"variance_reduction={EVERYTHING}"
    run(config(64, reduction), out=url)
    return run(config(96, reduction), out=url)


@pytest.fixture(scope="module")
def at_once():
    return run(config(96, f"variance_reduction={EVERYTHING}"), out=f"memory://{uuid.uuid4().hex}/run.zarr")


def test_a_weighted_run_grows_like_any_other(grown, at_once):
    for group in ("paths", "accounts", "bands", "metrics"):
        xr.testing.assert_identical(grown.tree[group].to_dataset().load(), at_once.tree[group].to_dataset().load())
    np.testing.assert_array_equal(grown.tree["blocks"]["digest"].values, at_once.tree["blocks"]["digest"].values)


def test_weights_reach_every_number(at_once):
    paths = at_once.paths.isel(venue=0, scenario=0).load()
    weight = paths["weight"].values
    assert paths["weight"].attrs["nets"] == 16 and weight.std() > 0.1
    for name in ("liquidated_accounts", "adl_accounts"):  # Σ over accounts of P = mean number of accounts: two ways to it
        stored = {"liquidated_accounts": "p_liquidated", "adl_accounts": "p_deleveraged"}[name]
        known = np.average(paths[name].values, weights=weight)
        assert at_once.accounts[stored].sum().item() == pytest.approx(known, rel=1e-6)
    p = at_once.accounts
    assert ((p.p_liquidated_lower <= p.p_liquidated) & (p.p_liquidated <= p.p_liquidated_upper)).all()
    asked = config(96)
    found = headline.as_table(headline.metrics(paths, headline.Context(open_interest(asked, asked.venues[0]))))
    stored = at_once.metrics["value"].isel(venue=0, scenario=0)
    for name, interval in found.items():
        np.testing.assert_array_equal(stored.sel(metric=name).values, interval, err_msg=name)
    assert found["p_liquidation"].estimate == pytest.approx(
        np.average(paths["liquidated_accounts"].values > 0, weights=weight), rel=1e-12
    )
    for name in FACTS:
        assert at_once.metrics[name].shape == (1, 1)
    assert at_once.metrics["largest_weight"].item() == weight.max()


def test_the_table_says_what_the_weights_leave(at_once):
    table = sampling.table(Run(at_once.tree, "run"))
    assert [c.title for c in table.columns][3:6] == ["effective paths", "effective paths that lost the fund", "largest weight"]
    assert len(table.rows) == 1 and int(table.rows[0][3].value) <= 96
    kept = Run(at_once.tree, "run").sample(0, 0, ("bad_debt",))["bad_debt"]
    assert 0 < kept.size < 96  # figures show a plain sample


def test_decisions_refuse_weighted_runs():
    from mcrisk.calibrate.evaluate import Job, evaluate

    with pytest.raises(InputError, match="weighted paths"):
        evaluate(Job(config(32, f"variance_reduction={EVERYTHING}"), 32))


@pytest.mark.parametrize(("wish", "words"), [
    ("{antithetic: true}", "not offered"), ("{splitting: true}", "not offered"), ("{control_variate: twin}", "control_variate"),
    ("{events: {share: 1.0}}", "less than 1"), ("{jumps: {factor: 1}}", "leave `jumps` out"), ("{nets: 3}", "nets"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_with_the_reason(wish, words):
    with pytest.raises(InputError, match=words):
        config(32, f"variance_reduction={wish}")


def test_what_does_not_go_together_is_refused():
    two = "markets=[{name: a, prices: near}, {name: b, prices: far}]"
    with pytest.raises(InputError, match="one market"):
        config(32, "variance_reduction.sampling=sobol", two)
    with pytest.raises(InputError, match="Kou"):
        config(32, "variance_reduction.jumps={stretch: 2}",
               "markets=[{name: a, prices: {base: near, jumps: {law: merton, per_year: 12, mean: -0.02, sd: 0.1}}}]")  # fmt: skip


@pytest.mark.slow
def test_a_weighted_path_is_explained(tmp_path):
    from mcrisk.runs.explain import explain

    out = tmp_path / "run.zarr"
    run(config(64, f"variance_reduction={EVERYTHING}"), out=out)
    explain(out, venue="kraken-preipo", scenario="combined", path=37, out=tmp_path / "told")  # raises where a bit differs
