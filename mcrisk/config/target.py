"""How precise a run must be before it may stop: a metric, the half width of its 95 % interval, and a last resort."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from mcrisk.config.base import Model, Positive


def _no_truth_value(value: Any) -> Any:
    """`max_paths: true` would count as 1."""
    if isinstance(value, bool):
        raise ValueError("a whole number is needed, not true or false")
    return value


class Target(Model):
    """Half of the interval's width, relative to the estimate or in the metric's own unit; with both, either suffices.

    A cell whose interval the sample cannot give does not hold. Relative widths never hold where the estimate is 0: give
    an absolute one beside it for cells in which the event may not happen at all.
    """

    metric: str = Field(min_length=1, max_length=100)  # a name of /metrics, e.g. p_fund_depleted
    relative_halfwidth: Positive | None = None  # 0.1 = ±10 % of the estimate
    absolute_halfwidth: Positive | None = None  # in the metric's unit (probability, quote, share …)
    max_paths: Annotated[int, BeforeValidator(_no_truth_value), Field(gt=0, le=10**12)]  # per venue and scenario
    venues: tuple[str, ...] = ()  # names; empty = all of the run
    scenarios: tuple[str, ...] = ()  # names; empty = all of the run

    @model_validator(mode="after")
    def _some_width(self) -> Target:
        if self.relative_halfwidth is None and self.absolute_halfwidth is None:
            raise ValueError("a target needs relative_halfwidth or absolute_halfwidth")
        return self

    @property
    def wish(self) -> str:
        """In words: ``p_fund_depleted ± 10 % of its value``."""
        wishes = []
        if self.relative_halfwidth is not None:
            wishes.append(f"{100 * self.relative_halfwidth:g} % of its value")
        if self.absolute_halfwidth is not None:
            wishes.append(f"{self.absolute_halfwidth:g}")
        return f"{self.metric} ± {' or '.join(wishes)}"


def _as_several(value: Any) -> Any:
    return (value,) if isinstance(value, (dict, Target)) else () if value is None else value


Targets = Annotated[tuple[Target, ...], BeforeValidator(_as_several)]
