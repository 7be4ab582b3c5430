"""Inputs of the model as numbers that can be moved: what sensitivity and reverse stress vary, on common draws.

A field is a dotted path in the run, with names of list items as steps: `scenarios.valuation_reset.reset.down.mean`,
`venue_liquidity.kraken-preipo.depth_1pct`, `venues.kraken-preipo.fund.initial`, `markets.company.prices.volatility.calm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from mcrisk.calibrate.evaluate import Job
from mcrisk.calibrate.fields import changed, places
from mcrisk.calibrate.study import Name, find
from mcrisk.config.base import Model
from mcrisk.config.load import load_config, validated
from mcrisk.config.run import RunConfig
from mcrisk.config.source import read_yaml
from mcrisk.errors import InputError


class Input(Model):
    """One input between `low` and `high`. In a reverse stress `low` is harmless and `high` the worst that is plausible;
    there low may be the larger number (depth).

    scale: the number multiplies what the run has instead of replacing it.
    """

    name: Name
    fields: tuple[str, ...] = Field(min_length=1)
    low: float
    high: float
    log: bool = False
    scale: bool = False
    text: str = ""

    @model_validator(mode="after")
    def _range(self) -> Input:
        if self.low == self.high:
            raise ValueError(f"{self.name}: low and high are equal")
        if self.log and not (self.low > 0 and self.high > 0):
            raise ValueError(f"{self.name}: a log scale needs positive ends")
        return self

    def at(self, share: float) -> float:
        """The value at `share` of the way from low to high."""
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + share * (self.high - self.low)


class World(Model):
    """What every such study has: a run, one venue, one scenario, paths, inputs."""

    name: Name
    title: str = ""
    run: str = "quickstart"
    set: tuple[str, ...] = ()
    venue: str
    scenario: str
    paths: int = Field(256, ge=32, le=10**8)
    inputs: tuple[Input, ...] = Field(min_length=1, max_length=16)

    @model_validator(mode="after")
    def _distinct(self) -> World:
        names = [i.name for i in self.inputs]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise ValueError(f"two inputs are called '{twice}'")
        return self


def load_world(model: type[World], reference: str, changes: dict[str, Any]) -> tuple[Any, RunConfig]:
    """A study of type `model` and its run of one venue and one scenario.

    Raises InputError naming file and line, or the field that does not exist or holds no number.
    """
    file: Path = find(reference)
    tree = read_yaml(file)
    for key, value in changes.items():
        tree.put(key, value, tree.place)
    study = validated(model, tree, str(file))
    run = load_config(study.run, [f"venues=[{study.venue}]", f"scenarios=[{study.scenario}]", *study.set])
    plain = run.model_dump(mode="json")
    for k, item in enumerate(study.inputs):
        for path in item.fields:
            for place in places(plain, path, f"{file}: inputs.{k}.fields"):
                node = plain
                for key in place:
                    node = node[key]
                if isinstance(node, bool) or not isinstance(node, (int, float)):
                    raise InputError(f"'{path}' is no number", f"{file}: inputs.{k}.fields", None, "name a number's field")
    for item in study.inputs:  # the ends must be possible, one at a time
        for share in (0.0, 1.0):
            moved(run, [item], [share], str(file))
    return study, run


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
