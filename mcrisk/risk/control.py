"""Control variates: what a cheaper twin of the run knows better, taken out of the run's means and probabilities.

Model     y of the run's n paths; c of the twin on the same n paths and on m − n further ones
Formula   estimate = mean_n(y) − α·(mean_n(c) − mean_m(c)) = mean_n(y) − β·(mean_n(c) − mean_{m−n}(c)), β = α·(1 − n/m)
          (approximate control variate; Peherstorfer, Willcox and Gunzburger 2016, two models)
Weights   α is the regression coefficient of y on c, for each fold of the paths from the other folds (path number mod
          `FOLDS`), so that it is independent of what it multiplies and the estimate is unbiased for any n
Interval  from its two independent parts, the n residuals y − β·c and the m − n further c (their variance from all m: rare
          large losses may all be among the first), by Student's t with the degrees of freedom of Welch (1947);
          probabilities by Wilson's interval at the sample size of the same variance
Limits    means and probabilities only; quantiles, expected shortfalls, ratios and medians stay those of the n paths. Where
          fewer than `FEW` paths show a loss, or differ from their twin, the plain number stands: residuals that are not
          seen give no interval
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy import special

from mcrisk.risk import intervals
from mcrisk.risk.headline import OF_OI, PAYERS, Context, Metric, Reader, metric
from mcrisk.risk.intervals import FEW, Array, Interval

FOLDS = 10
FIELDS = (
    "depletion_time", "bad_debt", "unpaid", "adl_accounts", "adl_notional", "adl_wealth", "liquidated_accounts",
    "liquidated_notional", "traders_loss", "fund_loss", "backstop_loss", "settlement_cut",
)  # fmt: skip
"""What the twin keeps of a path."""


@dataclass(frozen=True)
class Target:
    """A number of `/metrics` that is a mean over paths; `of` gives its value on each path [n]."""

    name: str
    kind: Literal["probability", "mean"]
    of: Callable[[Reader], Array]


def _hit(field: str) -> Callable[[Reader], Array]:
    return lambda get: (get(field) > 0).astype(np.float64)


def _amount(field: str) -> Callable[[Reader], Array]:
    return lambda get: get(field)


TARGETS: tuple[Target, ...] = (
    Target("p_fund_depleted", "probability", lambda get: np.isfinite(get("depletion_time")).astype(np.float64)),
    Target("p_bad_debt", "probability", _hit("bad_debt")),
    Target("bad_debt_mean", "mean", _amount("bad_debt")),
    Target("p_adl", "probability", _hit("adl_accounts")),
    Target("adl_accounts_mean", "mean", _amount("adl_accounts")),
    Target("adl_notional_mean", "mean", _amount("adl_notional")),
    Target("p_liquidation", "probability", _hit("liquidated_accounts")),
    Target("liquidated_accounts_mean", "mean", _amount("liquidated_accounts")),
    Target("liquidated_notional_mean", "mean", _amount("liquidated_notional")),
    *(Target(f"{name}_mean", "mean", _amount(name)) for name in PAYERS),
    Target("p_unpaid", "probability", _hit("unpaid")),
)


class Controlled(NamedTuple):
    """A controlled estimate.

    interval: with its bounds. squared_correlation: ρ² of y and c. coefficient: β, mean over the folds. fewer_paths: how many
    times more paths a plain estimate would need for as short an interval, the squared ratio of widths, at most m/n; NaN
    where the plain number stands. used: whether it does not.
    """

    interval: Interval
    squared_correlation: float
    coefficient: float
    fewer_paths: float
    used: bool


def controlled_mean(y: ArrayLike, c: ArrayLike, level: float = 0.95) -> Controlled:
    """Mean of y [n] with control c [m], whose first n values belong to the same paths; see `intervals.mean`."""
    x, twin = np.asarray(y, np.float64), np.asarray(c, np.float64)
    parts = _parts(x, twin)
    if not _resolved(x, twin, binary=False):
        return Controlled(intervals.mean(x, level), parts.squared_correlation, parts.coefficient, math.nan, False)
    floor = 0.0 if x.min() >= 0 else -math.inf
    half = float(special.stdtrit(parts.freedom, 0.5 + level / 2)) * math.sqrt(parts.variance)
    estimate = max(parts.estimate, floor)
    ends = Interval(estimate, max(parts.estimate - half, floor), max(parts.estimate + half, floor))
    return _controlled(ends, intervals.mean(x, level), parts, twin.size / x.size)


def controlled_probability(y: ArrayLike, c: ArrayLike, level: float = 0.95) -> Controlled:
    """Likewise of indicators: Wilson's interval at the sample size that has the same variance.

    Fewer than `FEW` paths on which the run's event comes without the twin's, or the twin's without the run's, move the bound
    on that side by what n paths may have missed of them. If that makes the interval wider than the plain one, the plain one
    stands.
    """
    x, twin = np.asarray(y, np.float64), np.asarray(c, np.float64)
    parts, n = _parts(x, twin), x.size
    if not _resolved(x, twin, binary=True):
        plain = intervals.wilson(int(x.sum()), n, level)
        return Controlled(plain, parts.squared_correlation, parts.coefficient, math.nan, False)
    p = min(max(parts.estimate, 0.0), 1.0)
    z = float(special.ndtri(0.5 + level / 2))
    stretch = (float(special.stdtrit(parts.freedom, 0.5 + level / 2)) / z) ** 2
    inside = min(max(p, 0.5 / n), 1.0 - 0.5 / n)  # an estimate at or beyond an end has the spread of half a path
    size = inside * (1.0 - inside) / (parts.variance * stretch)
    low, high = _wilson(p, size, z)
    missed = z * z / (n + z * z)  # Wilson's bound on what n paths never showed
    seen = twin[:n]
    above = missed if int(((x > 0) & (seen == 0)).sum()) < FEW else 0.0
    below = missed if int(((x == 0) & (seen > 0)).sum()) < FEW else 0.0
    ends = Interval(p, max(min(low, p) - below, 0.0), min(max(high, p) + above, 1.0))
    plain = Interval(float(x.mean()), *_wilson(float(x.mean()), n, z))
    if ends.upper - ends.lower > plain.upper - plain.lower:  # what was not seen outweighs what was learnt
        return Controlled(plain, parts.squared_correlation, parts.coefficient, math.nan, False)
    return _controlled(ends, plain, parts, twin.size / n)


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def _controlled(found: Interval, plain: Interval, parts: _Parts, ratio: float) -> Controlled:
    width = found.upper - found.lower
    fewer = ((plain.upper - plain.lower) / width) ** 2 if width > 0 else math.nan
    fewer = min(fewer, ratio)  # no twin tells more than its own number of paths; beyond that the spread is badly known
    return Controlled(found, parts.squared_correlation, parts.coefficient, fewer, True)


class _Parts(NamedTuple):
    estimate: float
    variance: float
    freedom: float
    coefficient: float
    squared_correlation: float


def _parts(y: Array, c: Array) -> _Parts:
    """The estimate and the variances of its two independent parts. Raises ValueError for samples that are none."""
    n, m = y.size, c.size
    if y.ndim != 1 or c.ndim != 1 or n < 2 or m < n + 2:
        raise ValueError(f"{n} paths and {m} of the twin: it needs the same paths and at least two further ones")
    if np.isnan(y).any() or np.isnan(c).any():
        raise ValueError("a sample contains NaN")
    same, further = c[:n], c[n:]
    beta = coefficients(y, same) * (1.0 - n / m)
    away = float(further.mean())
    residual = y - beta * (same - away)  # its mean is the estimate
    estimate, weight = float(residual.mean()), float(beta.mean())
    first, second = float(residual.var(ddof=1)) / n, weight * weight * float(c.var(ddof=1)) / (m - n)
    variance = first + second
    spread = y.std() * same.std()
    squared = float(np.mean((y - y.mean()) * (same - same.mean())) / spread) ** 2 if spread > 0 else 0.0
    degrees = (max(_informative(y, same) - 1, 1), max(int((c != 0).sum()) - 1, 1))
    joined = first * first / degrees[0] + second * second / degrees[1]
    freedom = variance * variance / joined if joined > 0 else float(degrees[0])
    return _Parts(estimate, variance, freedom, weight, squared)


def coefficients(y: Array, c: Array) -> Array:
    """[n] α for each path, from the paths of the other folds: Σ(y − ȳ)(c − c̄) / Σ(c − c̄)²; 0 where c does not vary."""
    n = y.size
    fold = np.arange(n) % min(FOLDS, n)
    count = np.bincount(fold)
    centre = (y - y.mean(), c - c.mean())  # moves nothing but rounding
    total = lambda values: values.sum() - np.bincount(fold, weights=values)  # noqa: E731 - over the other folds
    others = n - count
    sums = [total(v) for v in (*centre, centre[0] * centre[1], centre[1] * centre[1])]
    cross = sums[2] - sums[0] * sums[1] / others
    square = sums[3] - sums[1] * sums[1] / others
    enough = square > 1e-12 * max(float(np.square(centre[1]).sum()), 1e-300)
    return np.where(enough, cross / np.where(enough, square, 1.0), 0.0)[fold]


def _informative(y: Array, c: Array) -> int:
    """Paths that say something about the residual: those with a loss, or that differ from their twin, whichever are fewer."""
    return int(min((y != 0).sum(), max((y != c).sum(), 1)))


def _resolved(y: Array, c: Array, binary: bool) -> bool:
    """Whether losses (of an indicator: also their absence) and differences to the twin are frequent enough for a spread.

    What an indicator's unseen differences can do is bounded, and is added to its interval; of an amount's it is not.
    """
    same, losses = c[: y.size], int((y != 0).sum())
    rare = min(losses, y.size - losses) if binary else min(losses, int((y != same).sum()))
    return rare >= FEW and float(same.std()) > 0.0 and float(y.std()) > 0.0


def of_target(target: Target, y: Array, c: Array, level: float = 0.95) -> Controlled:
    """The controlled estimate of a target from its values on the run's paths [n] and the twin's [m]."""
    return (controlled_probability if target.kind == "probability" else controlled_mean)(y, c, level)


def estimates(paths: xr.Dataset, twin: xr.Dataset, context: Context) -> dict[str, Controlled]:
    """Every target of one cell.

    Args:
        paths: the run's per-path results, dim `path`. twin: the twin's, `FIELDS` over its own longer dim `path`.
    """
    ours, theirs = (Reader(part, dust=context.dust) for part in (paths, twin))
    return {t.name: of_target(t, t.of(ours), t.of(theirs), context.level) for t in TARGETS}


def replace(found: Sequence[Metric], by: dict[str, Controlled], context: Context) -> list[Metric]:
    """The metrics of a cell, those with a controlled estimate replaced by it, also as a share of open interest."""
    out = []
    for item in found:
        share = item.unit == OF_OI
        better = by.get(item.name.removesuffix("_of_oi") if share else item.name)
        if better is not None and better.used:
            interval = better.interval.over(context.open_interest) if share else better.interval
            note = f"control variate, squared correlation {better.squared_correlation:.2f}"
            item = metric(item.name, item.unit, interval, f"{item.note}; {note}" if item.note else note)
        out.append(item)
    return out


def gain(fewer_paths: float, paths: int, twin_paths: int, cost: float) -> float:
    """How many times less work than plain Monte Carlo for the same interval: `fewer_paths` over the work's ratio.

    Args:
        cost: of a path of the twin over one of the run.
    """
    return fewer_paths / (1.0 + cost * twin_paths / paths)


def best_gain(squared: float, cost: float) -> tuple[float, float]:
    """The gain at the best number of twin paths per path, and that number (Peherstorfer & al. 2016, corollary 3.5).

    Gain 1/(√(1 − ρ²) + √(c·ρ²))², ratio √(ρ²/(c·(1 − ρ²))); where even the best gains nothing, 1 and 0: run no twin.
    """
    if not 0.0 < squared or squared <= cost * (1.0 - squared):
        return 1.0, 0.0
    left = max(1.0 - squared, 1e-12)
    found = 1.0 / (math.sqrt(left) + math.sqrt(cost * squared)) ** 2
    return (found, math.sqrt(squared / (cost * left))) if found > 1.0 else (1.0, 0.0)



__all__ = ["FIELDS", "TARGETS", "Controlled", "Target", "best_gain", "controlled_mean", "controlled_probability",
           "coefficients", "estimates", "gain", "of_target", "replace"]
