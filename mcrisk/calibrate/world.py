"""Inputs of the model as numbers that can be moved: what sensitivity and reverse stress vary, on common draws.

A field is a dotted path in the run, with names of list items as steps: `scenarios.valuation_reset.reset.down.mean`,
`venue_liquidity.kraken-preipo.depth_1pct`, `venues.kraken-preipo.fund.initial`, `markets.company.prices.volatility.calm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from mcrisk.calibrate.evaluate import Job, known_metric, metric_names
from mcrisk.calibrate.fields import changed, places
from mcrisk.calibrate.study import Overrides, answering, at, run_of
from mcrisk.config.load import load_model
from mcrisk.config.run import RunConfig
from mcrisk.config.study import Input, ReverseStress, Sensitivity, World
from mcrisk.errors import InputError

KINDS = {ReverseStress: "reverse-stress", Sensitivity: "sensitivities"}
W = TypeVar("W", bound=World)


def load_world(model: type[W], reference: str, overrides: Overrides = ()) -> tuple[W, RunConfig]:
    """A study of type `model` and its run of one venue and one scenario, with traders who answer moved requirements.

    Raises InputError naming file and line, or the field that does not exist or holds no number.
    """
    kind = KINDS[model]
    study = load_model(model, kind, reference, overrides)
    run = run_of(kind, reference, study, (study.venue,), (study.scenario,))
    with at(kind, reference, "metric"):
        known_metric(study.metric, metric_names(), "")
    plain = run.model_dump(mode="json")
    for k, item in enumerate(study.inputs):
        for j, path in enumerate(item.fields):
            with at(kind, reference, "inputs", k, "fields", j):
                for place in places(plain, path, ""):
                    _is_number(plain, place, path)
        for share in (0.0, 1.0):  # the ends must be possible, one at a time
            with at(kind, reference, "inputs", k):
                moved(run, [item], [share])
    return study, answering(run, study, run.venues[0].pre.margin)


def _is_number(tree: Any, place: tuple[Any, ...], path: str) -> None:
    for key in place:
        tree = tree[key]
    if isinstance(tree, bool) or not isinstance(tree, (int, float)):
        raise InputError(f"'{path}' is no number", None, None, "name a number's field")


def moved(run: RunConfig, inputs: Sequence[Input], shares: Sequence[float], where: str = "") -> RunConfig:
    """The run with inputs at `shares` of their ranges. Raises InputError when the values are not allowed together."""
    table: dict[str, Any] = {}
    for item, share in zip(inputs, shares):
        value = item.at(float(share))
        for path in item.fields:
            table[path] = (lambda old, factor=value: old * factor) if item.scale else value
    return changed(run, table, where)


def job_at(run: RunConfig, inputs: Sequence[Input], shares: Sequence[float], paths: int) -> Job:
    """The evaluation at a point of the inputs' unit cube."""
    return Job(moved(run, inputs, shares), paths)
