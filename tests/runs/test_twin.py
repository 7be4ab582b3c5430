"""The twin of a control variate in the store: block tasks like any other, beside paths that stay as they are.

The first half uses the stand-in engine, its twin being the same cells with other draws; the second the real one.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mcrisk.config.load import load_config
from mcrisk.engine import simulate
from mcrisk.engine.native.compile import find_compiler
from mcrisk.errors import InputError, RunFailed
from mcrisk.report import control as table
from mcrisk.report.source import Run
from mcrisk.risk import control, headline
from mcrisk.runs import check, fingerprint, open_run, run
from mcrisk.runs import twin as twins
from mcrisk.runs.bridge import open_interest
from mcrisk.runs.damage import block_files
from mcrisk.runs.plan import TWIN, Twin
from mcrisk.runs.session import _finish, plan_of, run_with
from mcrisk.runs.store import RunStore, write_block

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # workers inherit the path and must find the fake by this name
fake = importlib.import_module("tests.runs.fake")

BACKEND = "native" if find_compiler() else "jax"
BESIDE = Twin(accounts=3, ratio=2.5, fields=("fund_minimum", "depleted"))


def other(config, venue, scenario):
    return fake.Task(venue, f"{scenario} condensed", config.delay, config.trap)


ENGINE = fake.engine(twin=lambda config: BESIDE, prepare_twin=other)


def short(paths: int, **more) -> fake.Config:
    """One cell, three blocks and eight of the twin."""
    return fake.Config(paths, venues=fake.Config.venues[1:], scenarios=fake.Config.scenarios[:1], **more)


def memory() -> str:
    return f"memory://{uuid.uuid4().hex}/run.zarr"


def groups(place) -> dict[str, xr.Dataset]:
    tree = xr.open_datatree(place, engine="zarr", chunks=None)
    found = {name: tree[name].to_dataset().load() for name in ("paths", "accounts", "bands", TWIN) if name in tree.children}
    names = [f"{kind}{mark}" for kind in ("", f"{TWIN}_") for mark in ("done", "digest")]
    return {**found, "marks": tree["blocks"].to_dataset()[[n for n in names if n in tree["blocks"]]].load()}


def same(a: dict[str, xr.Dataset], b: dict[str, xr.Dataset]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        xr.testing.assert_identical(a[name], b[name])


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run with a twin on disk, one worker."""
    out = tmp_path_factory.mktemp("twin") / "run.zarr"
    here(out)
    return out


def here(out: Path, paths: int = 96, blocks: int | None = None) -> None:
    """`fake.run_here` with the twin: what is missing, block after block in this process; only so many `blocks`, if given."""
    config = short(paths)
    identity = fingerprint.identity(config.model_dump(), "fake", source="fake")
    with RunStore.open(out, plan_of(config, ENGINE), identity, {"name": config.name, "sessions": []}) as store:
        for block in store.pending()[:blocks]:
            make = other if block.variant == TWIN else ENGINE.prepare
            result = fake.run_block(make(config, block.venue, block.scenario), block.first_path, block.n)
            write_block(str(store.path), uuid.uuid4().hex, store.plan, block, result)
        if blocks is None:
            _finish(store, config, ENGINE)
            store.note(complete=True)


def test_the_twin_is_laid_out_before_anything_is_computed(tmp_path):
    config = short(96)
    identity = fingerprint.identity(config.model_dump(), "fake")
    with RunStore.open(tmp_path / "run.zarr", plan_of(config, ENGINE), identity, {"name": "a"}) as store:
        assert len(store.pending()) == 3 + 8 and store.plan.total_paths == 96 + 240
    tree = xr.open_datatree(tmp_path / "run.zarr", engine="zarr")
    assert dict(tree[TWIN].sizes) == {"venue": 1, "scenario": 1, "field": 2, "path": 240}
    assert tree[TWIN].attrs == {"accounts": 3, "ratio": 2.5}
    with RunStore.existing(tmp_path / "run.zarr") as store:
        assert store.plan.twin == BESIDE


def test_paths_are_those_of_a_run_without_it(whole, tmp_path):
    fake.run_here(short(96), tmp_path / "plain.zarr")
    plain, found = groups(tmp_path / "plain.zarr"), groups(whole)
    for name in ("paths", "accounts", "bands"):
        xr.testing.assert_identical(plain[name], found[name])
    np.testing.assert_array_equal(plain["marks"]["digest"], found["marks"]["digest"])
    row = fake.run_block(other(fake.Config(), fake.VENUES[1], fake.SCENARIOS[0]), 100, 5).paths
    stored = found[TWIN]["value"].sel(venue=fake.VENUES[1], scenario=fake.SCENARIOS[0]).isel(path=slice(100, 105))
    for name in BESIDE.fields:
        np.testing.assert_array_equal(stored.sel(field=name), row[name].astype(float))


def test_a_longer_run_and_an_interrupted_one_end_where_an_undisturbed_one_does(whole, tmp_path):
    grown, cut = tmp_path / "grown.zarr", tmp_path / "cut.zarr"
    here(grown, 40)
    here(grown)
    same(groups(grown), groups(whole))
    here(cut, blocks=6)
    with RunStore.existing(cut) as store:
        assert [b.variant for b in store.pending()] == [TWIN] * 5 and not store.attributes["complete"]
    here(cut)
    same(groups(cut), groups(whole))


def test_a_block_of_the_twin_that_fails_ends_the_run_and_the_same_command_goes_on(whole):
    place = memory()
    with pytest.raises(RunFailed, match="power cut"):
        run_with(fake.engine(twin=lambda c: BESIDE, prepare_twin=other, run_block=failing), short(96), place)
    assert not open_run(place).complete
    run_with(ENGINE, short(96), place)
    same(groups(place), groups(whole))


def failing(task, first, n, forced=None):
    if task.scenario.endswith("condensed") and first >= 96:
        raise ZeroDivisionError("power cut")
    return fake.run_block(task, first, n, forced)


def test_check_finds_a_damaged_block_of_the_twin_and_the_run_computes_just_it(whole, tmp_path):
    copy, broken = Path(shutil.copytree(whole, tmp_path / "copy.zarr")), []
    with RunStore.existing(copy) as store:
        block = next(b for b in store.plan.blocks() if b.variant == TWIN and b.index == (0, 0, 3))
        assert block.label == "okx-preipo-perp × baseline [twin], paths 96–127"
        for file in block_files(store, block):
            assert (copy / file).is_file()
            broken.append(file)
    target = copy / broken[0]
    target.write_bytes(bytes(b ^ 255 if i == 40 else b for i, b in enumerate(target.read_bytes())))
    (found,) = check(copy)
    assert found.block == block
    with RunStore.existing(copy) as store:
        assert store.pending() == [block]
    here(copy)
    same(groups(copy), groups(whole))
    (copy / broken[0]).unlink()
    (found,) = check(copy)
    assert found.block == block and "missing" in found.reason


@pytest.mark.slow
def test_workers_killed_in_a_block_leave_no_trace(whole, tmp_path):
    out = tmp_path / "run.zarr"
    run_with(ENGINE, short(96, trap=str(tmp_path / "kill-1"), execution=fake.Execution(workers=2)), out)
    same(groups(out), groups(whole))


# ---------------------------------------------------------------------- the real engine
def config(paths, *more, accounts=120, condensed=60):
    return load_config("quickstart", [
        "venues=[kraken-preipo]", "scenarios=[valuation_reset]", f"book.accounts={accounts}", f"execution.backend={BACKEND}",
        "grid=coarse", "execution.lane_paths=32", "execution.block_paths=64", "execution.workers=1", f"paths={paths}",
        "break_even=false", "assumption_strip=false",
        f"variance_reduction.control_variate={{accounts: {condensed}, ratio: 4}}", *more,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def controlled():
    return run(config(128), out=memory())


def test_the_controlled_number_is_unbiased(controlled):
    """Against 640 plain paths of other numbers, 5 standard errors: a false alarm in 1.7 million per number."""
    asked = config(128)
    others = simulate.run_block(simulate.prepare(asked, "kraken-preipo", "valuation_reset"), 1 << 20, 640).paths
    get = headline.Reader(xr.Dataset({k: ("path", v) for k, v in others.items()}))
    found = controlled.tree["control"]["value"].isel(venue=0, scenario=0)
    compared = 0
    for target in control.TARGETS:
        if not found.sel(metric=target.name, part="used").item():
            continue
        values, bounds = target.of(get), controlled.metrics["value"].isel(venue=0, scenario=0).sel(metric=target.name)
        error = np.hypot(values.std(ddof=1) / np.sqrt(values.size), float(bounds[2] - bounds[1]) / (2 * 1.96))
        assert abs(values.mean() - float(bounds[0])) <= 5 * error, target.name
        compared += 1
    assert compared >= 5


def test_metrics_are_controlled_and_paths_plain(controlled):
    asked = config(128)
    context = headline.Context(open_interest(asked, asked.venues[0]))
    paths = controlled.paths.isel(venue=0, scenario=0).load()
    assert (paths["weight"] == 1.0).all() and controlled.accounts["p_liquidated"].shape == (1, 1, 120)
    plain = headline.as_table(headline.metrics(paths, context))
    stored = controlled.metrics["value"].isel(venue=0, scenario=0)
    facts = controlled.tree["control"].to_dataset().isel(venue=0, scenario=0)
    used = {str(m) for m in facts["metric"].values if facts["value"].sel(metric=m, part="used")}
    for name, interval in plain.items():
        if name.removesuffix("_of_oi") not in used:
            np.testing.assert_array_equal(stored.sel(metric=name), interval, err_msg=name)
    at = {name: float(stored.sel(metric=name, bound="upper") - stored.sel(metric=name, bound="lower")) for name in used}
    name = "liquidated_notional_mean"
    assert name in used and at[name] < plain[name].upper - plain[name].lower
    assert facts["value"].sel(metric=name, part="squared_correlation") > 0.5
    assert facts.attrs["paths"] == 128 and facts.attrs["twin_paths"] == 512 and facts.attrs["twin_accounts"] == 60
    untouched = simulate.run_block(simulate.prepare(asked, "kraken-preipo", "valuation_reset"), 64, 64).paths
    for field, values in untouched.items():
        np.testing.assert_array_equal(paths[field].values[64:128], values, err_msg=field)
    alone = twins.run_block(twins.prepare(asked, "kraken-preipo", "valuation_reset"), 500, 3).paths
    beside = controlled.tree[TWIN]["value"].isel(venue=0, scenario=0, path=slice(500, 503))
    for field in control.FIELDS:
        np.testing.assert_array_equal(beside.sel(field=field), alone[field])


def test_the_terminal_says_it_too(controlled, capsys):
    from mcrisk.cli.tables import _print_sampling

    _print_sampling(Run(controlled.tree, "run"))
    told = capsys.readouterr().out
    assert "What the control variate gained" in told and "P(ADL)" in told


def test_the_table_says_what_was_gained(controlled):
    found = table.table(Run(controlled.tree, "run"))
    assert [c.title for c in found.columns][3:7] == ["ρ²", "fewer paths", "cost of a twin path", "gain"]
    assert len(found.rows) == len(table.SHOWN) and "60 accounts on 512 paths, 4 times" in found.note
    verdicts = {row[8].text for row in found.rows}
    assert verdicts <= {table.PAID, table.UNPAID, table.LEFT} and verdicts & {table.PAID, table.UNPAID}
    for row in found.rows:
        if row[8].text in (table.PAID, table.UNPAID):
            assert (float(row[6].text) >= 0.995) == (row[8].text == table.PAID) or float(row[6].text) == 1.0


@pytest.mark.parametrize(("wish", "words"), [
    ("variance_reduction.sampling=sobol", "plainly drawn"), ("variance_reduction.jumps={factor: 3}", "plainly drawn"),
    ("markets=[{name: a, prices: near}, {name: b, prices: far}]", "one market"), ("parameters=bootstrap", "bootstrap"),
    ("variance_reduction.control_variate.accounts=120", "cannot stand for the 120"),
    ("variance_reduction.control_variate.ratio=1", "1.5"), ("variance_reduction.control_variate.accounts=true", "whole number"),
    ("variance_reduction.control_variate.paths=9", "paths"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(wish, words):
    with pytest.raises(InputError, match=words):
        config(32, wish)


def test_a_file_that_is_no_larger_is_refused_before_anything_is_computed(tmp_path):
    rows = [f"a{i},{10 * (-1) ** i},150,900" for i in range(20)]
    (tmp_path / "book.csv").write_text("\n".join(["account_id,quantity,entry_price,collateral", *rows]) + "\n")
    with pytest.raises(InputError, match="cannot stand for a book of 20"):
        run(config(32, f"book.file={tmp_path / 'book.csv'}", condensed=20), out=tmp_path / "run.zarr")
    assert [file.name for file in tmp_path.iterdir()] == ["book.csv"]


def test_decisions_refuse_it():
    from mcrisk.calibrate.evaluate import Job, evaluate

    with pytest.raises(InputError, match="control variate"):
        evaluate(Job(config(32), 32))


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "native", reason="a book of 10,000 accounts is for compiled code")
@pytest.mark.parametrize("venue", ["kraken-preipo", "okx-preipo-perp"])
def test_it_pays_for_large_books(venue):
    """Ten thousand accounts on the default grid: the condensed book explains losses and costs a fraction."""
    found = run(config(128, f"venues=[{venue}]", "grid=default", accounts=10_000, condensed=1000), out=memory())
    facts = found.tree["control"]["value"].isel(venue=0, scenario=0).sel(part="squared_correlation")
    assert facts.sel(metric="bad_debt_mean") > 0.8 and facts.sel(metric="liquidated_notional_mean") > 0.8
    assert table.path_cost(Run(found.tree, "run")).item() < 0.7
