"""What `mcrisk calibrate` is asked: decision variables, objectives, chance constraints, and where they are checked.

A file names a run (its world and accounts), one venue of it, and the scenario it is tuned on. Constraints are judged at
the *upper* end of the 95 % interval, so a candidate is accepted only when the sample shows that it is safe.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mcrisk.calibrate.fields import places
from mcrisk.config import catalog
from mcrisk.config.base import Model
from mcrisk.config.load import load_config, validated
from mcrisk.config.run import RunConfig
from mcrisk.config.source import read_yaml
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Z2 = 1.959963984540054**2


class Variable(Model):
    """One decision: a range or a list of choices for one field, or for several fields at once.

    scale: the number multiplies what the rulebook has there (all tiers by 1.5) instead of replacing it.
    """

    name: Name
    fields: tuple[str, ...] = Field(min_length=1)
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[float | int | bool | str, ...] = ()
    scale: bool = False

    @model_validator(mode="after")
    def _range_or_choices(self) -> Variable:
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.choices) or (self.low is None) != (self.high is None):
            raise ValueError(f"{self.name}: give either low and high, or choices")
        if ranged and not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low:g} is not below high {self.high:g}")
        if self.log and not (ranged and self.low > 0):
            raise ValueError(f"{self.name}: a log scale needs low > 0")
        if self.scale and any(isinstance(c, (bool, str)) for c in self.choices):
            raise ValueError(f"{self.name}: only numbers can scale")
        return self


class Objective(Model):
    metric: str
    direction: Literal["minimize", "maximize"] = "minimize"


class Constraint(Model):
    """metric ≤ at_most, at the upper end of its 95 % interval."""

    metric: str
    at_most: float


class Study(Model):
    """A calibration. `set` are overrides of the run, as `--set` of `mcrisk run`."""

    name: Name
    title: str = ""
    run: str = "quickstart"
    set: tuple[str, ...] = ()
    venue: str
    scenario: str = "combined"
    held_out: tuple[str, ...] = ()
    paths: int = Field(512, ge=32, le=10**8)
    check_paths: int = Field(2048, ge=32, le=10**8)
    check_seed: int = Field(7_777_777, ge=0, lt=2**64)
    trials: int = Field(40, ge=2, le=100_000)
    batch: int = Field(4, ge=1, le=256)  # trials asked at once; part of the result, unlike the number of workers
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    seed: int = Field(1, ge=0, lt=2**32)
    variables: tuple[Variable, ...] = Field(min_length=1)
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=3)
    constraints: tuple[Constraint, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Study:
        names = [v.name for v in self.variables]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            raise ValueError(f"two variables are called '{twice}'")
        if self.scenario in self.held_out:
            raise ValueError(f"'{self.scenario}' cannot be tuned on and held out")
        return self


def find(reference: str, kind: str = "calibrations") -> Path:
    """A path, or the name of a shipped file. Raises InputError with the nearest name."""
    folder = catalog.root() / kind
    if not catalog.is_name(reference):
        if not Path(reference).is_file():
            raise InputError(f"no such file: {reference}", None, "it was given as a calibration", "check the path")
        return Path(reference)
    file = folder / f"{reference}.yaml"
    if not file.is_file():
        known = sorted(f.stem for f in folder.glob("*.yaml"))
        raise InputError(
            f"unknown calibration '{reference}'", None, f"known: {', '.join(known) or 'none'}",
            catalog.suggest(reference, known) or "use one of these names, or a path ending in .yaml",
        )  # fmt: skip
    return file


def load_study(reference: str, changes: dict[str, Any] | None = None) -> tuple[Study, RunConfig, Venue]:
    """The study, its run with one venue and all scenarios needed, and the present rulebook.

    Raises InputError naming file and line, unknown fields with the nearest name, and sample sizes that can satisfy no
    constraint with the number of paths it would take.
    """
    file = find(reference)
    tree = read_yaml(file)
    for key, value in (changes or {}).items():
        tree.put(key, value, tree.place)
    study = validated(Study, tree, str(file))
    scenarios = ", ".join((study.scenario, *study.held_out))
    run = load_config(study.run, [f"venues=[{study.venue}]", f"scenarios=[{scenarios}]", *study.set])
    venue = run.venues[0]
    plain = venue.model_dump(mode="json")
    for k, variable in enumerate(study.variables):
        for path in variable.fields:
            where = f"{file}: variables.{k}.fields"
            for place in places(plain, path, where):
                _fits(plain, place, path, variable, where)
    for k, constraint in enumerate(study.constraints):
        if constraint.metric.startswith("p_") and study.paths < (need := paths_for(constraint.at_most)):
            raise InputError(
                f"{study.paths} paths cannot show that {constraint.metric} is at most {constraint.at_most:g}",
                f"{file}: constraints.{k}", f"even without a single hit the upper bound would need {need:,} paths",
                f"set paths: {need} or more, or relax the constraint",
            )  # fmt: skip
    return study, run, venue


def _fits(tree: Any, place: tuple[Any, ...], path: str, variable: Variable, where: str) -> None:
    for key in place:
        tree = tree[key]
    if isinstance(tree, (dict, list)):
        raise InputError(f"'{path}' is a group of fields", where, None, f"name one of its fields, e.g. {path}.*")
    number = isinstance(tree, (int, float)) and not isinstance(tree, bool)
    if (variable.scale or not variable.choices) and not number:
        raise InputError(f"'{path}' is no number but {tree!r}", where, None, "give choices instead of a range")


def paths_for(at_most: float) -> int:
    """Paths without a single hit whose Wilson upper bound is `at_most`: z²/(n + z²) ≤ p."""
    return math.ceil(Z2 * (1 / at_most - 1)) if 0 < at_most < 1 else 1 if at_most >= 1 else 10**12


def candidate(venue: Venue, study: Study, values: dict[str, Any]) -> Venue:
    """The rulebook with the decision variables set. Raises InputError when it is not consistent."""
    from mcrisk.calibrate.fields import changed

    table: dict[str, Any] = {}
    for variable in study.variables:
        value = values[variable.name]
        for path in variable.fields:
            table[path] = (lambda old, factor=value: float(f"{old * factor:.6g}")) if variable.scale else value
    return changed(venue, table, study.name)
