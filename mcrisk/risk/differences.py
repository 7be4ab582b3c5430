"""How far two runs are apart, number by number, with an interval: paired where they share draws, otherwise not.

Means and expected shortfalls on common draws: `intervals.paired_*`. Everything else by MOVER (Zou and Donner 2008): the
distances from each estimate to its own bounds are joined as if they were standard errors, less what the two samples
have in common. Quantiles have only the exceedances of their paths in common, so that is the correlation taken there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from mcrisk.risk import headline, intervals, weighted
from mcrisk.risk.intervals import NAN, Interval
from mcrisk.risk.weighted import Estimator, Plain, Weighted

Array = NDArray[np.float64]
Kind = Literal["probability", "mean", "shortfall", "quantile"]


@dataclass(frozen=True)
class Measure:
    """A number that runs are compared by; larger is worse for all of them.

    Args:
        name: as in `/metrics`.
        of: per-path values [n] from the variables of one cell.
        money: in quote currency, so that a share of open interest can be shown.
    """

    name: str
    kind: Kind
    of: Callable[[xr.Dataset], Array]
    money: bool = False
    q: float = 0.99
    ceiling: float | None = None


def _variable(name: str) -> Callable[[xr.Dataset], Array]:
    return lambda cell: np.asarray(cell[name].values, np.float64)


MEASURES = (
    Measure("p_fund_depleted", "probability", lambda c: np.isfinite(_variable("depletion_time")(c)).astype(float)),
    Measure("required_fund_99", "quantile", headline.fund_need, money=True),
    Measure("es_99_bad_debt", "shortfall", _variable("bad_debt"), money=True),
    Measure("bad_debt_mean", "mean", _variable("bad_debt"), money=True),
    Measure("p_adl", "probability", lambda c: (_variable("adl_accounts")(c) > 0).astype(float)),
    Measure("adl_wealth_mean", "mean", _variable("adl_wealth"), money=True),
    Measure("winners_haircut_es99", "shortfall", headline.winners_haircut, ceiling=1.0),
    Measure("liquidated_notional_mean", "mean", _variable("liquidated_notional"), money=True),
    Measure("latent_deficit_99", "quantile", _variable("latent_deficit"), money=True),
    Measure("unpaid_mean", "mean", _variable("unpaid"), money=True),
)
VARIABLES = (
    "depletion_time", "fund_initial", "fund_min", "unpaid", "adl_wealth", "settlement_cut", "bad_debt", "adl_accounts",
    "winners_profit", "liquidated_notional", "latent_deficit", "weight",
)  # fmt: skip
"""What the measures read of `/paths`."""


def estimate(measure: Measure, values: ArrayLike, level: float = 0.95, of: Estimator | None = None) -> Interval:
    """The number itself from one sample [n]. `of`: how its paths count (`weighted.estimator`); None = all alike."""
    sample, of = np.asarray(values, np.float64), of or Plain(level)
    if measure.kind == "probability":
        return of.probability(sample > 0)
    if measure.kind == "mean":
        return of.mean(sample)
    if measure.kind == "shortfall":
        return of.shortfall(sample, measure.q, measure.ceiling)
    return of.quantile(sample, measure.q)


def difference(
    measure: Measure, new: ArrayLike, old: ArrayLike, *, paired: bool, level: float = 0.95,
    of: tuple[Estimator, Estimator] | None = None,
) -> Interval:  # fmt: skip
    """new − old with its interval; NaN bounds where the samples cannot give them.

    Args:
        new, old: per-path values; on common draws (`paired`) of the same paths in the same order.
        of: how the paths of `new` and of `old` count, at `level`; None = all alike.

    Raises ValueError for paired samples of different lengths.
    """
    x, y = np.asarray(new, np.float64), np.asarray(old, np.float64)
    if of is not None and any(isinstance(one, Weighted) for one in of):
        return _weighted_difference(measure, x, y, *(_as_weighted(o, s) for o, s in zip(of, (x, y))), paired)
    if not paired:
        return mover(estimate(measure, x, level), estimate(measure, y, level))
    if x.shape != y.shape:
        raise ValueError(f"paired samples of {x.size} and {y.size} paths")
    if np.array_equal(x, y):
        return Interval(0.0, 0.0, 0.0)
    if measure.kind in ("probability", "mean"):
        return intervals.paired_difference(x, y, level)
    if measure.kind == "shortfall":
        return intervals.paired_shortfall_difference(x, y, measure.q, level)
    return mover(estimate(measure, x, level), estimate(measure, y, level), _in_common(x, y, measure.q))


def _as_weighted(of: Estimator, values: Array) -> Weighted:
    return of if isinstance(of, Weighted) else Weighted(np.ones(values.size), None, of.level)


def _weighted_difference(measure: Measure, x: Array, y: Array, a: Weighted, b: Weighted, paired: bool) -> Interval:
    """`difference` where paths have weights; paired where path numbers agree, whatever each side's weights are."""
    if not paired:
        return mover(estimate(measure, x, of=a), estimate(measure, y, of=b))
    if x.shape != y.shape:
        raise ValueError(f"paired samples of {x.size} and {y.size} paths")
    if np.array_equal(x, y) and np.array_equal(a.weight, b.weight):
        return Interval(0.0, 0.0, 0.0)
    if measure.kind in ("probability", "mean"):
        return weighted.paired_mean(x, y, a, b)
    if measure.kind == "shortfall":
        return weighted.paired_shortfall(x, y, measure.q, a, b)
    beyond = np.stack([a.exceedance_influence(x, measure.q), b.exceedance_influence(y, measure.q)])
    spread = np.sqrt(np.square(beyond).sum(axis=1))
    common = float(beyond[0] @ beyond[1] / spread.prod()) if (spread > 0).all() else 0.0
    return mover(estimate(measure, x, of=a), estimate(measure, y, of=b), float(np.clip(common, 0.0, 1.0)))


def mover(new: Interval, old: Interval, correlation: float = 0.0) -> Interval:
    """new − old from two intervals; a missing bound leaves the bound that needs it NaN."""
    gap = new.estimate - old.estimate
    below, above = new.estimate - new.lower, old.upper - old.estimate
    lower = gap - _joined(below, above, correlation)
    below, above = old.estimate - old.lower, new.upper - new.estimate
    return Interval(gap, lower, gap + _joined(above, below, correlation))


def _joined(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(0.0, a * a + b * b - 2.0 * correlation * a * b)) if a == a and b == b else NAN


def _in_common(x: Array, y: Array, q: float) -> float:
    """Correlation of "beyond its own quantile"; 0 when a sample never is."""
    beyond = [s > np.quantile(s, q, method="inverted_cdf") for s in (x, y)]
    if not (beyond[0].any() and beyond[1].any()):
        return 0.0
    return float(np.clip(np.corrcoef(*beyond)[0, 1], 0.0, 1.0))
