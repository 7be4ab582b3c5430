"""What a slot makes of a finished store: limits, what moved, the numbers to remember, the report."""

import pytest

from mcrisk.config.load import load_model
from mcrisk.config.schedule import Schedule
from mcrisk.schedules import work
from tests.report.synthetic import synthetic_tree, write_store

OPTIONS = {"paths": 200, "accounts": 4, "venues": ("kraken-preipo",), "scenarios": ("combined",)}


def schedule(**options):
    base = {"name": "x", "run": "quickstart", "results": "r", "when": {"every": "1h"}}
    return load_model(Schedule, "schedules", {**base, **options})


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A calm store and one in which every path loses its fund."""
    folder = tmp_path_factory.mktemp("stores")
    calm = write_store(folder / "calm.zarr", **OPTIONS)
    tree = synthetic_tree(**OPTIONS)
    tree["paths"]["depletion_time"].values[:] = 1.0
    tree.to_zarr(folder / "bad.zarr", zarr_format=3, mode="w")
    return calm, folder / "bad.zarr"


def test_breaches_moves_and_numbers(stores):
    calm, bad = stores
    first = work.judge(schedule(), calm, None)
    assert first.breaches and first.moved == [] and "worries most" in first.summary
    estimate, lower, upper = first.metrics["kraken-preipo"]["p_fund_depleted"]
    assert lower is None or upper is None or lower <= estimate <= upper
    second = work.judge(schedule(), bad, calm)
    assert any("P(fund gone)" in line for line in second.moved)
    assert work.judge(schedule(), calm, calm).moved == []


def test_alerts_are_chosen_by_the_schedule(stores):
    calm, bad = stores
    silent = work.judge(schedule(alert={"limits": False, "moved": []}), bad, calm)
    assert silent.breaches == [] and silent.moved == []
    other = work.judge(schedule(alert={"moved": ["p_adl"]}), bad, calm)
    assert other.moved == []


def test_the_report_of_a_slot_says_what_changed(stores, tmp_path):
    calm, bad = stores
    work.write_report(schedule(report=["md"]), bad, tmp_path, calm)
    assert "moved by more than noise" in (tmp_path / "report.md").read_text()
    work.write_report(schedule(report=[]), bad, tmp_path / "none", calm)
    assert not (tmp_path / "none").exists()


def test_settings_reach_the_configuration():
    from mcrisk.config.load import load_config

    made = schedule(set={"paths": 64, "venues": ["kraken-preipo"], "limits.p_fund_depleted.green": 0.0005})
    config = load_config(made.run, work.settings(made))
    assert config.paths == 64 and len(config.venues) == 1 and config.limits.p_fund_depleted.green == 0.0005
