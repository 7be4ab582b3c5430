"""Estimates with confidence intervals from independent paths. A bound the sample cannot give is NaN: "not resolved".

Two-sided intervals at `level`; samples are [n] float64. Sources: Wilson 1927 for probabilities; order statistics for
quantiles (Conover 1999, as in scipy.stats.quantile_test: no assumption on the distribution); influence functions for
means of tails (Hampel 1974; Chen 2008 for expected shortfall).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

NAN = float("nan")
FEW = 10  # a mean that rests on fewer than this many losses has no believable upper bound

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """An estimate and its confidence bounds; NaN = the sample cannot give it."""

    estimate: float
    lower: float
    upper: float

    @property
    def resolved(self) -> bool:
        """Whether estimate and both bounds exist."""
        return not any(math.isnan(value) for value in self)

    def over(self, divisor: float) -> Interval:
        """In units of `divisor` > 0."""
        return Interval(*(value / divisor for value in self))


def _sample(values: ArrayLike) -> Array:
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"a sample is a non-empty list of numbers, not of shape {sample.shape}")
    if np.isnan(sample).any():
        raise ValueError("the sample contains NaN")
    return sample


def wilson(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Probability of an event seen in `hits` of `trials` paths."""
    if trials <= 0 or not 0 <= hits <= trials:
        raise ValueError(f"{hits} hits in {trials} trials")
    ends = stats.binomtest(int(hits), int(trials)).proportion_ci(level, method="wilson")
    return Interval(hits / trials, float(ends.low), float(ends.high))


def quantile(values: ArrayLike, q: float, level: float = 0.95) -> Interval:
    """Quantile (VaR) with the order-statistic interval; the estimate is the smallest value not below q·n of the sample.

    A bound is NaN where the sample is too short: at 99.9 % the upper one needs 3,688 paths two-sided at 95 %.
    """
    sample = _sample(values)
    ends = stats.quantile_test(sample, p=q).confidence_interval(level)
    return Interval(float(np.quantile(sample, q, method="inverted_cdf")), float(ends.low), float(ends.high))


def quantile_upper_bound(values: ArrayLike, q: float, confidence: float = 0.95) -> float:
    """One-sided upper confidence bound of a quantile; NaN below `paths_needed(q, confidence, two_sided=False)`."""
    return float(stats.quantile_test(_sample(values), p=q, alternative="less").confidence_interval(confidence).high)


def paths_needed(q: float, level: float = 0.95, two_sided: bool = True) -> int:
    """Shortest sample whose maximum bounds the q-quantile from above: q**n <= tail. 99.9 %: 3,688, one-sided 2,995."""
    tail = (1 - level) / 2 if two_sided else 1 - level
    return math.ceil(math.log(tail) / math.log(q))


def shortfall_influence(sample: Array, q: float) -> Array:
    """Per path VaR + (x − VaR)⁺/(1 − q), whose mean is the expected shortfall and whose spread is its error [n]."""
    value_at_risk = np.quantile(sample, q, method="inverted_cdf")
    return value_at_risk + np.maximum(sample - value_at_risk, 0.0) / (1.0 - q)


def expected_shortfall(values: ArrayLike, q: float, level: float = 0.95, ceiling: float | None = None) -> Interval:
    """Mean of the worst (1 − q) share, by influence function, with Student's t on the number of tail paths.

    Args:
        ceiling: the largest possible value, where there is one. Then too few losses still give an upper bound:
            Wilson's bound on their probability over (1 − q), times the ceiling.

    The upper bound is NaN when fewer than `FEW` paths lie beyond VaR (and no ceiling is known).
    """
    sample = _sample(values)
    influence = shortfall_influence(sample, q)
    estimate = float(influence.mean())
    beyond = int((sample > np.quantile(sample, q, method="inverted_cdf")).sum())
    floor = 0.0 if sample.min() >= 0 else -math.inf
    if beyond < FEW:
        return Interval(estimate, 0.0 if floor == 0 else NAN, _rare_upper(sample, q, level, ceiling))
    half = _half_width(influence, level, beyond - 1)
    upper = estimate + half
    return Interval(estimate, max(estimate - half, floor), upper if ceiling is None else min(upper, ceiling))


def _rare_upper(sample: Array, q: float, level: float, ceiling: float | None) -> float:
    if ceiling is None:
        return NAN
    hit = wilson(int((sample > 0).sum()), sample.size, level).upper
    return ceiling * min(1.0, hit / (1.0 - q))


def _half_width(influence: Array, level: float, freedom: int) -> float:
    spread = float(influence.std(ddof=1)) / math.sqrt(influence.size)
    return float(stats.t.ppf(0.5 + level / 2, max(freedom, 1))) * spread


def mean(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean with Student's t. Amounts that are mostly zero have no upper bound before `FEW` of them are not."""
    sample = _sample(values)
    estimate = float(sample.mean())
    floor = 0.0 if sample.min() >= 0 else -math.inf
    losses = int((sample != 0).sum())
    if losses < FEW:
        return Interval(estimate, 0.0 if floor == 0 else NAN, NAN)
    half = _half_width(sample, level, losses - 1)
    return Interval(estimate, max(estimate - half, floor), estimate + half)


def ratio_of_sums(part: ArrayLike, whole: ArrayLike, level: float = 0.95) -> Interval:
    """Σ part / Σ whole over the same paths, by the delta method; all NaN when the whole is zero."""
    x, y = _sample(part), _sample(whole)
    if y.sum() <= 0:
        return Interval(NAN, NAN, NAN)
    estimate = float(x.sum() / y.sum())
    losses = int((y != 0).sum())
    if losses < FEW:
        return Interval(estimate, NAN, NAN)
    half = _half_width((x - estimate * y) / y.mean(), level, losses - 1)
    bounded = bool((x >= 0).all() and (x <= y * (1 + 1e-12)).all())
    ends = (estimate - half, estimate + half)
    return Interval(estimate, *(min(max(end, 0.0), 1.0) for end in ends) if bounded else ends)


# ---------------------------------------------------------------- two designs on common draws
def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of a − b, path by path; for probabilities pass 0/1. NaN bounds while fewer than `FEW` paths differ."""
    x, y = _pair(a, b)
    return _of_influence(x - y, int((x != y).sum()), level)


def paired_shortfall_difference(a: ArrayLike, b: ArrayLike, q: float, level: float = 0.95) -> Interval:
    """ES(a) − ES(b) on common draws: the influences of a path are subtracted before their spread is taken."""
    x, y = _pair(a, b)
    difference = shortfall_influence(x, q) - shortfall_influence(y, q)
    beyond = [int((s > np.quantile(s, q, method="inverted_cdf")).sum()) for s in (x, y)]
    return _of_influence(difference, max(beyond), level)


def paired_quantile_difference(
    a: ArrayLike, b: ArrayLike, q: float, level: float = 0.95, resamples: int = 999, seed: int = 0
) -> Interval:
    """quantile(a) − quantile(b) on common draws, percentile bootstrap over paths.

    NaN bounds where the sample is too short to bound either quantile (`paths_needed`).
    """
    x, y = _pair(a, b)

    def difference(x: Array, y: Array, axis: int = -1) -> Array:
        return np.quantile(x, q, axis=axis, method="inverted_cdf") - np.quantile(y, q, axis=axis, method="inverted_cdf")

    estimate = float(difference(x, y))
    if x.size < paths_needed(max(q, 1 - q), level):
        return Interval(estimate, NAN, NAN)
    if np.array_equal(x, y):
        return Interval(0.0, 0.0, 0.0)
    ends = stats.bootstrap(
        (x, y),
        difference,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=50,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(estimate, float(ends.low), float(ends.high))


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    x, y = _sample(a), _sample(b)
    if x.shape != y.shape:
        raise ValueError(f"paired samples of {x.size} and {y.size} paths")
    return x, y


def _of_influence(influence: Array, informative: int, level: float) -> Interval:
    estimate = float(influence.mean())
    if not np.any(influence):
        return Interval(0.0, 0.0, 0.0)  # the same paths with the same outcomes: no difference on these draws
    if informative < FEW:
        return Interval(estimate, NAN, NAN)
    half = _half_width(influence, level, informative - 1)
    return Interval(estimate, estimate - half, estimate + half)
