"""Risk limits of the first screen, judged at the bound of the 95 % interval that hurts (defaults.md section 8)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from mcrisk.config.base import Fraction, Model, NonNegative


class BreakEvenLimit(Model):
    """Smallest value jump that empties the fund with p ≥ 50 %, relative (−0.36 = −36 %).

    Inside the amber jumps (the medians of `valuation_reset`) is amber, inside the red ones (3/4 of the medians) red.
    """

    amber_down: float = Field(-0.36, gt=-1, lt=0)
    amber_up: float = Field(0.42, gt=0)
    red_down: float = Field(-0.27, gt=-1, lt=0)
    red_up: float = Field(0.31, gt=0)

    @model_validator(mode="after")
    def _red_is_nearer(self) -> BreakEvenLimit:
        if self.red_down < self.amber_down or self.red_up > self.amber_up:
            raise ValueError("the red jumps must be smaller than the amber ones")
        return self


class FundLimit(Model):
    """Fund over required fund: green when ≥ 1 at the first quantile, amber when ≥ 1 at the second, else red."""

    green_quantile: Fraction = 0.999
    amber_quantile: Fraction = 0.99

    @model_validator(mode="after")
    def _ordered(self) -> FundLimit:
        if self.green_quantile < self.amber_quantile:
            raise ValueError("green_quantile must not be below amber_quantile")
        return self


class UpperLimit(Model):
    """Green up to `green`, amber up to `amber`, red above."""

    green: NonNegative
    amber: NonNegative

    @model_validator(mode="after")
    def _ordered(self) -> UpperLimit:
        if self.amber < self.green:
            raise ValueError("amber must not be below green")
        return self


class Limits(Model):
    """All limits; `enforce` lets a red one end the run with exit code 3."""

    enforce: bool = False
    break_even_jump: BreakEvenLimit = BreakEvenLimit()
    fund_over_required: FundLimit = FundLimit()
    p_fund_depleted: UpperLimit = UpperLimit(green=0.001, amber=0.01)  # probability over the horizon
    winners_haircut_es99: UpperLimit = UpperLimit(green=0.02, amber=0.10)  # share of the winners' profit
    latent_deficit_p99: UpperLimit = UpperLimit(green=0.5, amber=1.0)  # over the fund
    cover_two: UpperLimit = UpperLimit(green=0.5, amber=1.0)  # over the fund
    unpaid_after_adl: UpperLimit = UpperLimit(green=0.0, amber=0.0)  # quote currency

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, data: Any) -> Any:
        """One bound of a limit may be set alone; the other keeps its default."""
        if not isinstance(data, dict):
            return data
        limits = {name: field.default for name, field in cls.model_fields.items() if isinstance(field.default, Model)}
        given = {name: data[name] for name in limits if isinstance(data.get(name), dict)}
        return {**data, **{name: {**limits[name].model_dump(), **value} for name, value in given.items()}}
