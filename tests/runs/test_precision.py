"""Runs that ask for a precision: fixed batches, an honest end, the bits of a run asked for that many paths."""

from __future__ import annotations

import importlib
import math

import pytest
import xarray as xr

from mcrisk.config.load import load_config
from mcrisk.config.target import Target
from mcrisk.errors import InputError, Interrupted
from mcrisk.risk.headline import metric_names
from mcrisk.runs import open_run, precision
from mcrisk.runs.session import run_with
from tests.runs.test_faults import content

fake = importlib.import_module("tests.runs.fake")  # by this name workers find it, too
ONE = fake.Execution(workers=1)


def goal(width: float, most: int, **more) -> Target:
    return Target(metric="mean_fund", absolute_halfwidth=width, max_paths=most, **more)


def shrinking(tree: xr.DataTree, config: object) -> dict[str, xr.Dataset]:
    """Half width 1/sqrt(paths), as a mean has it."""
    groups = fake._summarise(tree, config)
    value = groups["metrics"]["value"]
    half = 1 / math.sqrt(tree["paths"].sizes["path"])
    for k, sign in ((1, -1), (2, 1)):
        value[..., k] = value[..., 0] + sign * half
    return groups


def run(out, *targets, paths=32, **engine):
    config = fake.Config(paths=paths, target=targets, execution=ONE)
    return run_with(fake.engine(summarise=shrinking, metric_names=("mean_fund",), **engine), config, out)


def test_batches_double_until_the_target_holds_and_the_bits_are_those_of_a_plain_run(tmp_path):
    result = run(tmp_path / "run.zarr", goal(0.09, 1000))  # 1/0.09² = 123.5
    assert result.tree.attrs["paths"] == 128 and result.complete and not result.missed_targets
    assert [s["paths"] for s in result.manifest["sessions"]] == [6 * 32, 6 * 32, 6 * 64]
    run(tmp_path / "plain.zarr", paths=128)
    assert content(tmp_path / "run.zarr") == content(tmp_path / "plain.zarr")


def test_a_target_out_of_reach_keeps_everything_and_says_so(tmp_path):
    result = run(tmp_path / "run.zarr", goal(1e-6, 70), goal(10.0, 33))
    assert result.complete and result.tree.attrs["paths"] == 70  # the last batch may be cut
    (missed,) = result.missed_targets
    assert missed["cells_held"] == 0 and missed["cells"] == 6 and "±" in missed["worst_text"]
    again = run(tmp_path / "run.zarr", goal(1e-6, 70), run_block=None)  # nothing is computed a second time
    assert again.missed_targets and len(again.manifest["sessions"]) == len(result.manifest["sessions"])


def test_interrupted_in_a_batch_it_ends_where_an_undisturbed_run_does(tmp_path, monkeypatch):
    from mcrisk.runs import session

    calls, real = [], session.execute

    def interrupted(*arguments, **more):
        calls.append(1)
        if len(calls) == 2:
            raise Interrupted("stop")
        return real(*arguments, **more)

    monkeypatch.setattr(session, "execute", interrupted)
    with pytest.raises(Interrupted):
        run(tmp_path / "run.zarr", goal(0.09, 1000))
    broken = open_run(tmp_path / "run.zarr")
    assert not broken.complete and broken.paths_everywhere == 32
    assert run(tmp_path / "run.zarr", goal(0.09, 1000)).tree.attrs["paths"] == 128
    run(tmp_path / "plain.zarr", paths=128)
    assert content(tmp_path / "run.zarr") == content(tmp_path / "plain.zarr")


def table(*bounds: tuple[float, float, float]) -> xr.Dataset:
    value = [[[list(row)] for row in bounds]]
    axes = {"venue": ["v"], "scenario": [f"s{k}" for k in range(len(bounds))], "metric": ["m"]}
    return xr.Dataset(
        {"value": (("venue", "scenario", "metric", "bound"), value)}, axes | {"bound": ["estimate", "lower", "upper"]}
    )


@pytest.mark.parametrize(
    ("widths", "held"),
    [
        ({"relative_halfwidth": 0.1}, [True, False, False, False]),
        ({"absolute_halfwidth": 0.1}, [True, False, True, False]),
        ({"relative_halfwidth": 0.1, "absolute_halfwidth": 1e-9}, [True, False, False, False]),
    ],
)
def test_each_cell_is_judged(widths, held):
    cells = ((1.0, 0.95, 1.05), (1.0, 0.8, 1.2), (0.0, 0.0, 0.01), (0.5, 0.1, math.nan))
    for k, expected in enumerate(held):
        target = Target(metric="m", max_paths=9, scenarios=(f"s{k}",), **widths)
        (found,) = precision.standings([target], table(*cells))
        assert (found.held, found.cells) == (expected, 1)
    (whole,) = precision.standings([Target(metric="m", max_paths=9, **widths)], table(*cells))
    assert not whole.held and whole.cells_held == sum(held) and whole.worst == "v × s3"


def test_the_schedule_is_fixed():
    wide = precision.Standing("", False, 1, 0, "", "", 1000)
    steps, paths = [], 100
    while paths:
        steps.append(paths)
        paths = precision.next_batch(paths, 64, [wide])
    assert steps == [100, 256, 512, 1000]


def test_the_config_takes_one_target_or_several():
    one = load_config({"base": "quickstart", "target": {"metric": "p_adl", "relative_halfwidth": 0.1, "max_paths": 9999}})
    assert [t.metric for t in one.target] == ["p_adl"]
    assert load_config("quickstart").target == ()
    for bad, says in (
        ({"metric": "p_adl", "max_paths": 9999}, "relative_halfwidth or absolute_halfwidth"),
        ({"metric": "p_adl", "relative_halfwidth": 0.1, "max_paths": 3}, "below `paths`"),
        ({"metric": "p_adl", "relative_halfwidth": 0.1, "max_paths": 9999, "venues": ["moon"]}, "'moon' is not in"),
        ({"metric": "p_adl", "relative_halfwidth": -1, "max_paths": 9999}, "out of range"),
    ):
        with pytest.raises(InputError, match=says):
            load_config({"base": "quickstart", "target": bad})


def test_a_metric_that_does_not_exist_is_refused_first(tmp_path):
    assert {"p_fund_depleted", "es_99_fund_loss", "required_fund_99"} <= set(metric_names())
    wrong = Target(metric="p_fund_depletd", relative_halfwidth=0.1, max_paths=99)
    with pytest.raises(InputError, match="p_fund_depletd") as caught:
        precision.refuse_unknown([wrong], metric_names())
    assert "p_fund_depleted" in caught.value.remedy


def test_the_command_ends_with_code_4(tmp_path, monkeypatch, capsys):
    from types import SimpleNamespace

    from mcrisk.cli.app import execute

    missed = {"wish": "p_adl ± 1 % of its value", "cells": 2, "cells_held": 0, "worst": "v × s", "worst_text": "0.1 ± 0.02"}
    monkeypatch.setattr("mcrisk.runs.run", lambda *_, **__: SimpleNamespace(missed_targets=[missed]))
    goals = '{"metric": "p_adl", "relative_halfwidth": 0.01, "max_paths": 2048}'
    told = ["run", "quickstart", "--quiet", "--out", str(tmp_path / "x.zarr"), "--set", f"target={goals}"]
    assert execute(told) == 4
    capsys.readouterr()
    with monkeypatch.context() as red:  # a breached limit decides the code, and does not hide the other
        red.setattr("mcrisk.cli.tables.load", lambda target: None)
        red.setattr("mcrisk.cli.tables.breaches", lambda view: ["v: P(fund gone)"])
        assert execute([*told, "--set", "limits.enforce=true"]) == 3
    said = capsys.readouterr().err
    assert "limit(s) breached" in said and "precision target(s) were not reached" in said and "0.1 ± 0.02" in said
    missed.clear()
    monkeypatch.setattr("mcrisk.runs.run", lambda *_, **__: SimpleNamespace(missed_targets=[]))
    assert execute(told) == 0
