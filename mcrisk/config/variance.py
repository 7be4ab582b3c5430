"""Variance reduction: what a run draws more often than it happens, or more evenly than by chance. Everything off by default.

Every path then carries a `weight`, its probability under the model over that under what was drawn; estimates use it.
When to use which, with measured gains: docs/variance-reduction.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mcrisk.config.base import Model

REFUSED = {
    "antithetic": "antithetic paths gain nothing on tails, which lie on one side of the market",
    "splitting": "losses come by jumps, nothing approaches them gradually, and splitting then costs more than it saves",
}
REMEDY = "use events, sizes, jumps, times, or sampling: stratified or sobol"
Open = Annotated[float, Field(gt=0, lt=1)]  # a share that leaves room for the model's own law


def _no_truth_value(value: Any) -> Any:
    """`replicates: true` would count as 1."""
    if isinstance(value, bool):
        raise ValueError("a whole number is needed, not true or false")
    return value


class Events(Model):
    """Shares of the *drawn* paths. What a scenario cannot have at all, or has more often already, stays as it is."""

    share: Open | None = None  # with an event of the company (delay, reset, cancellation), in the scenario's proportions
    branches: dict[Literal["delay", "reset_down", "reset_up", "cancel"], Open] = {}  # of single branches, before `share`
    squeeze: Open | None = None
    feed_error: Open | None = None

    @model_validator(mode="after")
    def _leaves_room(self) -> Events:
        total = sum(self.branches.values())
        if total >= 1.0:
            raise ValueError(f"branches take {total:g} of the paths; they must leave some for the others")
        if self.share is not None and total > self.share:
            raise ValueError(f"branches take {total:g} of the paths, more than share {self.share:g} has")
        return self


class Tilt(Model):
    """A defensive mixture: `share` of the paths draw from the ends, the others from the model; weights ≤ 1/(1 − share)."""

    share: Open = 0.5
    power: float = Field(3.0, ge=1.0, le=10.0)  # the ends' law is u^power of a uniform u; 1 = the model's own


class Times(Tilt):
    """Where in its window the main event falls."""

    towards: Literal["early", "late"] = "early"


class Jumps(Model):
    """`share` of the paths have `factor` times the model's jump intensity until everything is settled, and of these jumps
    `stretched` are drawn `stretch` times as large (Kou's law: the exponential's mean; only it has tails worth it).
    """

    factor: float = Field(3.0, ge=1.0, le=50.0)
    share: Open = 0.5
    stretch: float = Field(1.0, ge=1.0, le=10.0)
    stretched: Open = 0.5

    @model_validator(mode="after")
    def _does_something(self) -> Jumps:
        if self.factor == 1.0 and self.stretch == 1.0:
            raise ValueError("jumps of factor 1 and stretch 1 are the model's own; leave `jumps` out")
        return self


class ControlVariate(Model):
    """Every path is also simulated with a condensed book, `accounts` that stand for all, and so are further paths: `ratio`
    times as many in all. What the condensed book's mean misses on the first paths corrects the run's means and probabilities.
    It pays for books of thousands of accounts; the run says what it gained.
    """

    accounts: Annotated[int, BeforeValidator(_no_truth_value), Field(ge=12, le=1_000_000)] = 1000
    ratio: float = Field(8.0, ge=1.5, le=1000.0)  # paths of the condensed book per path of the run


class VarianceReduction(Model):
    """How paths are drawn. `random`: independent. `stratified`: what decides about events is spread evenly over the paths.

    `sobol`: so is everything drawn up front, and the value's Brownian motion between the clock's corners; one market only.
    The even ones consist of `replicates` independent scramblings taken in turns, and intervals come from their spread.
    """

    sampling: Literal["random", "stratified", "sobol"] = "random"
    replicates: Annotated[int, BeforeValidator(_no_truth_value), Field(ge=8, le=256)] = 32
    events: Events = Events()
    times: Times | None = None
    sizes: Tilt | None = None  # of the main event and of the first print after a listing
    jumps: Jumps | None = None
    control_variate: ControlVariate | None = None  # beside the paths, which stay as they are; only of plainly drawn ones

    @model_validator(mode="before")
    @classmethod
    def _refuses(cls, data: Any) -> Any:
        for name, reason in REFUSED.items():
            if isinstance(data, dict) and data.get(name):
                raise ValueError(f"'{name}' is not offered: {reason}; {REMEDY}")
        return data

    @model_validator(mode="after")
    def _one_or_the_other(self) -> VarianceReduction:
        if self.control_variate is not None and self.active:
            raise ValueError(
                "control_variate goes with plainly drawn paths only, not with events, sizes, times, jumps or sampling: its "
                "estimator is made for paths that count alike; keep one of them"
            )
        return self

    @property
    def weighted(self) -> bool:
        """Whether paths can have weights other than 1."""
        return self.events != Events() or any(part is not None for part in (self.times, self.sizes, self.jumps))

    @property
    def active(self) -> bool:
        """Whether paths are drawn otherwise than by plain Monte Carlo."""
        return self.weighted or self.sampling != "random"

    @property
    def asked(self) -> bool:
        """Whether anything differs from plain Monte Carlo."""
        return self.active or self.control_variate is not None

    @property
    def groups(self) -> int:
        """Independent replicates whose spread gives the intervals; 0 = every path is one."""
        return 0 if self.sampling == "random" else self.replicates


__all__ = ["ControlVariate", "Events", "Jumps", "Tilt", "Times", "VarianceReduction"]
