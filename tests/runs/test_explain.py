"""`explain`: a path walked again reproduces its row of /paths bit for bit, and its ledger adds up."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mcrisk
from mcrisk.errors import InputError, RunFailed
from mcrisk.runs.explain import explain, prepare_jax

SETTINGS = (
    "grid=coarse", "scenarios=[combined]", "paths=64", "execution.lane_paths=32", "execution.block_paths=32", "book.accounts=40",
    "break_even=false", "assumption_strip=false", "execution.workers=1", "execution.backend=jax",
)  # fmt: skip


def made(folder, venues: str, *more: str):
    prepare_jax()
    return mcrisk.run("quickstart", out=folder / "run.zarr", overrides=(f"venues=[{venues}]", *SETTINGS, *more), quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("explain"), "tradexyz-ipop")


@pytest.fixture(scope="module")
def told(run, tmp_path_factory):
    """The path with the most accounts deleveraged, and one of those told."""
    data = run.paths.isel(venue=0, scenario=0)
    path = int(np.argmax(data["adl_accounts"].values))
    account = str(run.tree["accounts"]["account_id"].values[0][5])
    out = tmp_path_factory.mktemp("told")
    return explain(run, "tradexyz-ipop", "combined", path, account, out=out), out


def test_random_paths_come_out_bit_for_bit(run):
    for path in np.random.default_rng(7).choice(64, 3, replace=False):
        assert explain(run, "tradexyz-ipop", "combined", int(path)).agreement == "bit for bit"


def test_the_files_are_those_of_a_replay(told):
    result, out = told
    names = {"market.csv", "ledger.csv", "accounts.csv", "summary.json", "story.txt", "figure.svg"}
    assert {file.name for file in out.iterdir()} == names
    summary = json.loads((out / "summary.json").read_text())
    assert summary["conservation_residual"] <= 1e-9 and summary["path"] == result.path
    assert (out / "figure.svg").read_text().startswith("<svg ")


def test_ledger_and_accounts_are_one_story(told, run):
    """Collateral at the end is what it was plus every entry; liquidated notional is that of the stored row."""
    result = told[0].result
    ledger, accounts = result.ledger, result.accounts.set_index("account_id")
    from mcrisk.config.load import load_config
    from mcrisk.engine.simulate import book_of

    book = book_of(load_config(run.config), "tradexyz-ipop")
    cash = ledger[ledger["account_id"] != "fund"].groupby("account_id")["cash"].sum()
    start = pd.Series(book.collateral, index=book.account_id)
    end = start.add(cash, fill_value=0.0)
    scale = float(start.sum())
    assert np.max(np.abs((end - accounts["collateral"]).to_numpy())) < 1e-9 * scale
    closes = ledger[ledger["event"].isin(("liquidation", "takeover", "backstop", "assignment"))]
    notional = float((closes["quantity"] * closes["price"]).abs().sum())
    assert not (ledger["event"] == "elsewhere").any()  # one market: nothing may be unexplained
    assert notional <= told[0].numbers["liquidated_notional"] * (1 + 1e-9)


def test_the_story_says_what_a_reader_asks(told):
    text = "\n".join(told[0].story)
    for words in ("agrees bit for bit", "main event of the path", "liquidated at a mark of", "who paid", "maintenance"):
        assert words in text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"venue": "nowhere"}, "unknown venue"), ({"scenario": "x"}, "unknown scenario"), ({"path": 64}, "no path 64"),
     ({"path": -1}, "no path"), ({"account": "nobody"}, "unknown account"), ({"market": "x"}, "unknown market")],
)  # fmt: skip
def test_wrong_names_are_input_errors(run, wrong, words):
    asked = {"venue": "tradexyz-ipop", "scenario": "combined", "path": 0} | wrong
    with pytest.raises(InputError, match=words):
        explain(run, **asked)


def test_a_row_that_does_not_come_out_is_refused(run, monkeypatch):
    from mcrisk.runs import explain as module

    real = module._stored_row
    monkeypatch.setattr(module, "_stored_row", lambda *a: real(*a) | {"bad_debt": np.float64(-1.0)})
    with pytest.raises(RunFailed, match="does not come out"):
        explain(run, "tradexyz-ipop", "combined", 1)


def test_the_command_line(run, tmp_path):
    command = [sys.executable, "-m", "mcrisk", "explain", str(run.path), "--venue", "tradexyz-ipo", "--scenario", "combined",
               "--path", "0", "--out", str(tmp_path / "o")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "tradexyz-ipop" in done.stderr and not (tmp_path / "o").exists()


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["kraken-preipo", "hyperliquid-hyperp", "okx-preipo-perp", "binance-preipo"])
def test_two_hundred_paths_come_out_bit_for_bit(venue, tmp_path):
    run = made(tmp_path, venue, "paths=1024")
    for path in np.random.default_rng(11).choice(1024, 50, replace=False):
        told = explain(run, venue, "combined", int(path))
        assert told.agreement == "bit for bit" and not (told.result.ledger["event"] == "elsewhere").any()


@pytest.mark.slow
def test_a_run_of_another_backend_is_told_within_the_contract(tmp_path):
    from mcrisk.cli.checks import backend_state

    if backend_state("native") is not None:
        pytest.skip("no native backend here")
    run = made(tmp_path, "okx-premarket-perp", "execution.backend=native")
    for path in (0, 17, 40):
        found = explain(run, "okx-premarket-perp", "combined", path)
        assert "native" in found.agreement and not (found.result.ledger["event"] == "elsewhere").any()


@pytest.mark.slow
def test_a_path_that_travels_alone_meets_what_it_meets_in_its_group(run):
    """The quick walk: the same rows, the same entries, money within the contract between backends."""
    from mcrisk.config.load import load_config
    from mcrisk.engine.simulate import prepare, simulator
    from mcrisk.replay.trace import walk

    sim = simulator(prepare(load_config(run.config), "tradexyz-ipop", "combined"))
    for path in (3, 40):
        group, alone = (walk(sim, path, exact=exact) for exact in (True, False))
        assert [s.row for s in group.steps] == [s.row for s in alone.steps] and len(group.steps) > 3
        scale = 1e-6 * float(np.sum(np.abs(np.asarray(sim.cell.ref.collateral))))
        for name, column in group.columns.items():
            np.testing.assert_allclose(alone.columns[name], column, rtol=1e-6, atol=scale, err_msg=name)
        np.testing.assert_allclose(alone.fund, group.fund, rtol=1e-6, atol=scale)
        for one, other in zip(group.steps, alone.steps):
            np.testing.assert_allclose(other.after.collateral, one.after.collateral, rtol=1e-6, atol=scale)
            np.testing.assert_allclose(other.ratio, one.ratio)
