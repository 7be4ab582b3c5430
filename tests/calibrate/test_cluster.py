"""Decisions on a dask cluster that is not ours: two worker processes, the same results as in this process."""

import os

import pytest
import yaml

from mcrisk.cli.app import execute

pytestmark = pytest.mark.slow
SET = ["book.accounts=120", "book.variant=high", "execution.lane_paths=64", "execution.block_paths=64"]
FUND = {"name": "fund", "low": 0.0002, "high": 0.3, "log": True}
STUDIES = {
    "calibrate": {"scenario": "valuation_reset", "paths": 64, "check_paths": 64, "trials": 4, "batch": 4,
                  "variables": [FUND | {"fields": ["fund.initial"]}], "objectives": [{"metric": "fund_size"}],
                  "constraints": [{"metric": "p_fund_depleted", "at_most": 0.9}]},
    "sensitivity": {"scenario": "valuation_reset", "paths": 64, "metric": "fund_need_mean_of_oi",
                    "inputs": [FUND | {"fields": ["venues.kraken-preipo.fund.initial"]}]},
    "reverse-stress": {"scenario": "valuation_reset", "paths": 64, "metric": "p_fund_depleted", "value": 0.1, "scan": 2,
                       "precision": 0.2, "directions": 0,
                       "inputs": [FUND | {"fields": ["venues.kraken-preipo.fund.initial"], "low": 0.9, "high": 0.0001}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    """A cluster as an operator would start one: its own processes, reached by address only."""
    from distributed import LocalCluster

    from mcrisk.runs.worker import environment

    for name, value in environment().items():
        os.environ.setdefault(name, value)
    with LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=None) as found:
        yield found


def pages(folder):
    """Every file a command wrote but the journal of trials, which holds times."""
    return {file.name: file.read_text() for file in sorted(folder.iterdir()) if file.suffix in (".md", ".csv", ".yaml")}


@pytest.mark.parametrize("command", STUDIES)
def test_same_pages_from_two_other_processes(command, cluster, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"name": "tiny", "venue": "kraken-preipo", "set": SET} | STUDIES[command]))
    assert execute([command, str(file), "--out", str(tmp_path / "here")]) == 0
    with_cluster = [command, str(file), "--scheduler", cluster.scheduler_address, "--out", str(tmp_path / "there")]
    assert execute(with_cluster) == 0
    here, there = pages(tmp_path / "here"), pages(tmp_path / "there")
    assert here == there and len(here) >= 2


def test_designs_too_and_the_work_was_done_there(cluster, tmp_path):
    from distributed import Client

    settings = [w for text in ["venues=[kraken-preipo, okx-preipo-perp]", "scenarios=[squeeze]", *SET] for w in ("--set", text)]
    command = ["compare-designs", "quickstart", "--paths", "64", *settings]
    assert execute([*command, "--out", str(tmp_path / "here")]) == 0
    assert execute([*command, "--scheduler", cluster.scheduler_address, "--out", str(tmp_path / "there")]) == 0
    assert pages(tmp_path / "here") == pages(tmp_path / "there")
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        used = client.run(lambda: __import__("sys").modules.get("mcrisk.calibrate.evaluate") is not None)
    assert len(used) == 2 and all(used.values())


def test_nobody_at_the_address_is_an_input_error(tmp_path, capsys):
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"name": "tiny", "venue": "kraken-preipo", "set": SET} | STUDIES["calibrate"]))
    assert execute(["calibrate", str(file), "--scheduler", "tcp://127.0.0.1:9", "--out", str(tmp_path / "o")]) == 2
    assert "scheduler cannot be reached" in capsys.readouterr().err
