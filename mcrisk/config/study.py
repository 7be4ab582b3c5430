"""Studies: what the commands of decisions are asked. Each names a run (its world and accounts) and what is varied in it.

Calibration        `configs/calibrations/NAME.yaml`    mcrisk calibrate
ReverseStress      `configs/reverse-stress/NAME.yaml`  mcrisk reverse-stress
Sensitivity        `configs/sensitivities/NAME.yaml`   mcrisk sensitivity
DesignComparison   `configs/comparisons/NAME.yaml`     mcrisk compare-designs

Fields are dotted paths; a step is a key, an index or an item's name, or `*` for every item. In a calibration they start
in the venue (`pre.margin.tiers.*.initial`), elsewhere in the run (`venues.kraken-preipo.fund.initial`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mcrisk.config.base import Fraction, Model
from mcrisk.config.book import Traders

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Z2 = 1.959963984540054**2


def _no_repeats(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Raises ValueError when two items have one name."""
    names = [item.name for item in items]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two of them are called '{twice}'; give one another name")
    return items


class Study(Model):
    """What every study has. `set` are overrides of the run, as `--set` of `mcrisk run`.

    traders, elasticity: how accounts answer margin requirements other than the present ones (`config.book.Response`).
    """

    name: Name
    title: str = ""
    run: str = "quickstart"
    set: tuple[str, ...] = ()
    traders: Traders = "elastic"
    elasticity: Fraction = 0.5  # assumption; used by `traders: elastic`


# ---------------------------------------------------------------- calibrate
class Variable(Model):
    """One decision: a range or a list of choices for one field, or for several fields at once.

    scale: the number multiplies what the rulebook has there (all tiers by 1.5) instead of replacing it.
    text, percent: how people read it, e.g. `fund, of open interest` in percent; default the name and the plain number.
    """

    name: Name
    fields: tuple[str, ...] = Field(min_length=1)
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[float | int | bool | str, ...] = ()
    scale: bool = False
    text: str = Field("", max_length=80)
    percent: bool = False

    @model_validator(mode="after")
    def _range_or_choices(self) -> Variable:
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.choices) or (self.low is None) != (self.high is None):
            raise ValueError(f"{self.name}: give either low and high, or choices")
        if ranged and not self.low < self.high:
            raise ValueError(f"{self.name}: low {self.low:g} is not below high {self.high:g}")
        if self.log and not (ranged and self.low > 0):
            raise ValueError(f"{self.name}: a log scale needs low > 0")
        if (self.scale or self.percent) and any(isinstance(c, (bool, str)) for c in self.choices):
            raise ValueError(f"{self.name}: only numbers can scale or be percentages")
        return self


class Objective(Model):
    metric: str
    direction: Literal["minimize", "maximize"] = "minimize"


AT = " @ "  # between a metric and the scenario it is judged in


class Constraint(Model):
    """metric ≤ at_most, at the upper end of its 95 % interval, in the scenario that is tuned on.

    scenario: judged there instead, also during the search. A constraint without one is the limit of every scenario that
    has none of its own, so that held-out scenarios have a limit, too.
    """

    metric: str
    at_most: float
    scenario: str | None = None

    @property
    def key(self) -> str:
        """Name of the number in a candidate's table."""
        return self.metric if self.scenario is None else f"{self.metric}{AT}{self.scenario}"


def paths_for(at_most: float) -> int:
    """Paths without a single hit whose Wilson upper bound is `at_most`: z²/(n + z²) ≤ p."""
    return math.ceil(Z2 * (1 / at_most - 1)) if 0 < at_most < 1 else 1 if at_most >= 1 else 10**12


class Calibration(Study):
    """A search over fields of one venue. Constraints are judged at the *upper* end of the 95 % interval, so a candidate
    is accepted only when the sample shows that it is safe.

    confirm: how many candidates, the best first, may be judged again on other draws until one meets the constraints there,
    too: the best of many estimates is too good. 0 = the best of the search is taken as it is.
    """

    venue: str
    scenario: str = "combined"  # tuned on
    held_out: tuple[str, ...] = ()  # scenarios the answer is checked on and was not tuned on
    paths: int = Field(512, ge=32, le=10**8)
    check_paths: int = Field(2048, ge=32, le=10**8)
    check_seed: int = Field(7_777_777, ge=0, lt=2**63)
    confirm: int = Field(8, ge=0, le=1000)
    trials: int = Field(40, ge=2, le=100_000)
    batch: int = Field(4, ge=1, le=256)  # trials asked at once; part of the result, unlike the number of workers
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    seed: int = Field(1, ge=0, lt=2**32)
    variables: tuple[Variable, ...] = Field(min_length=1)
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=3)
    constraints: tuple[Constraint, ...] = ()

    _distinct = field_validator("variables")(_no_repeats)

    @model_validator(mode="after")
    def _is_consistent(self) -> Calibration:
        for name in self.judged:
            if name in self.held_out:
                raise ValueError(f"'{name}' cannot be tuned on and held out")
        return self

    @property
    def judged(self) -> tuple[str, ...]:
        """Scenarios of the search: the one that is tuned on, then those with a constraint of their own."""
        return tuple(dict.fromkeys([self.scenario, *(c.scenario for c in self.constraints if c.scenario is not None)]))

    @property
    def confirm_seed(self) -> int:
        return self.check_seed + 1

    def limits_in(self, scenario: str) -> tuple[Constraint, ...]:
        """The constraints that hold in a scenario: its own, and of the general ones those it has no own for."""
        own = tuple(c for c in self.constraints if c.scenario == scenario)
        return own + tuple(c for c in self.constraints if c.scenario is None and c.metric not in {o.metric for o in own})


# ---------------------------------------------------------------- reverse-stress, sensitivity
class Input(Model):
    """One input between `low` and `high`. In a reverse stress `low` is harmless and `high` the worst that is plausible;
    there low may be the larger number (depth).

    scale: the number multiplies what the run has instead of replacing it.
    text, reads: how people read it: as it is, in percent, or as the change of a price whose logarithm it is.
    """

    name: Name
    fields: tuple[str, ...] = Field(min_length=1)
    low: float
    high: float
    log: bool = False
    scale: bool = False
    text: str = Field("", max_length=80)
    reads: Literal["number", "percent", "log_change"] = "number"

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


class World(Study):
    """A study that moves inputs of a run of one venue and one scenario."""

    venue: str
    scenario: str
    paths: int = Field(256, ge=32, le=10**8)
    inputs: tuple[Input, ...] = Field(min_length=1, max_length=16)

    _distinct = field_validator("inputs")(_no_repeats)


class ReverseStress(World):
    """The limit that is to break: metric ≥ value. `judged`: estimate, or the lower end (surely broken)."""

    metric: str = "p_fund_depleted"
    value: float = 0.5
    judged: Literal["estimate", "lower"] = "estimate"
    directions: int = Field(12, ge=0, le=4096)  # beside the axes and the diagonals of pairs
    scan: int = Field(5, ge=1, le=100)  # points per ray before halving: losses need not grow all the way
    precision: float = Field(0.02, gt=0, lt=0.5)  # of a ray's length


class Sensitivity(World):
    """`sobol`: base sample size, a power of two (0 = none; costs sobol·(inputs + 2) evaluations). `map`: two inputs."""

    metric: str = "p_fund_depleted"
    sobol: int = Field(0, ge=0, le=2**16)
    map: tuple[str, ...] = Field((), max_length=2)
    map_steps: int = Field(5, ge=2, le=41)

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Sensitivity:
        if self.sobol & (self.sobol - 1):
            near = 1 << self.sobol.bit_length()
            raise ValueError(f"sobol {self.sobol} is no power of two, so its points would not fill space; e.g. {near}")
        known = [item.name for item in self.inputs]
        if self.map and (len(set(self.map)) != 2 or not set(self.map) <= set(known)):
            raise ValueError(f"a map needs two different inputs, which are {', '.join(known)}")
        return self


# ---------------------------------------------------------------- compare-designs
class DesignComparison(Study):
    """Designs (venues) crossed with scenarios on the same company, accounts and draws.

    against: the design the others are held against; null = the first. same_mix: one leverage mix for all, so that the
    traders are the same too; null = each venue's own.
    """

    venues: tuple[str, ...] = Field(min_length=2)
    scenarios: tuple[str, ...] = Field(min_length=1)
    paths: int = Field(2048, ge=32, le=10**8)
    against: str | None = None
    same_mix: str | None = None

    @model_validator(mode="after")
    def _is_among_them(self) -> DesignComparison:
        if self.against is not None and self.against not in self.venues:
            raise ValueError(f"against '{self.against}' is not among the venues {', '.join(self.venues)}")
        return self
