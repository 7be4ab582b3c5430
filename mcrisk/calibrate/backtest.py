"""Was the margin (or VaR) right? Coverage, independence, expected shortfall and procyclicality from a history.

Formula   Kupiec LR = −2 ln[(1−p)^(T−x) p^x / ((1−x/T)^(T−x) (x/T)^x)] ~ χ²(1); Christoffersen independence from the
          transition counts n00, n01, n10, n11 ~ χ²(1); conditional coverage = sum ~ χ²(2); 0·ln 0 = 0.
          Acerbi–Szekely Z2 = 1 + Σ pnl_t·I_t / (T·p·ES_t), mean 0 under a right model, negative when losses are too large.
Symbols   T days, x exceptions (pnl < −VaR), I_t exception on day t, p = 1 − level.
Source    venue-rules.md 9; Kupiec 1995; Christoffersen 1998; Acerbi & Szekely 2014; Basel committee 1996 (traffic light);
          Murphy, Vasios & Vause 2014 (procyclicality).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import xlog1py, xlogy

Array = NDArray[np.float64]
BASEL_ADD_ON = {5: 0.40, 6: 0.50, 7: 0.65, 8: 0.75, 9: 0.85}  # on the multiplier 3, 250 days at 99 %


class LikelihoodRatio(NamedTuple):
    """A likelihood-ratio statistic and its p-value from the χ² law."""

    statistic: float
    p_value: float


def kupiec(days: int, exceptions: int, p: float) -> LikelihoodRatio:
    """Proportion of failures: are there as many exceptions as `p` says? Raises ValueError on impossible counts."""
    if days <= 0 or not 0 <= exceptions <= days or not 0 < p < 1:
        raise ValueError(f"{exceptions} exceptions in {days} days at p = {p}")
    seen = exceptions / days
    expected = xlog1py(days - exceptions, -p) + xlogy(exceptions, p)
    fitted = xlog1py(days - exceptions, -seen) + xlogy(exceptions, seen)
    return _ratio(expected, fitted, 1)


def _ratio(null: float, fitted: float, freedom: int) -> LikelihoodRatio:
    statistic = max(0.0, 2.0 * float(fitted - null))
    return LikelihoodRatio(statistic, float(stats.chi2.sf(statistic, freedom)))


class Transitions(NamedTuple):
    """How often a day without (0) or with (1) exception was followed by one without or with."""

    n00: int
    n01: int
    n10: int
    n11: int


def transitions(hits: ArrayLike) -> Transitions:
    """Transition counts of the daily exceptions [T]."""
    h = np.asarray(hits, bool)
    a, b = h[:-1], h[1:]
    return Transitions(*(int(n.sum()) for n in (~a & ~b, ~a & b, a & ~b, a & b)))


def christoffersen(n: Transitions) -> LikelihoodRatio:
    """Independence: is an exception as likely after an exception as after a quiet day?"""
    quiet, bad = n.n00 + n.n01, n.n10 + n.n11
    total = quiet + bad
    p01, p11 = (n.n01 / quiet if quiet else 0.0), (n.n11 / bad if bad else 0.0)
    p = (n.n01 + n.n11) / total if total else 0.0
    null = xlog1py(n.n00 + n.n10, -p) + xlogy(n.n01 + n.n11, p)
    fitted = xlog1py(n.n00, -p01) + xlogy(n.n01, p01) + xlog1py(n.n10, -p11) + xlogy(n.n11, p11)
    return _ratio(null, fitted, 1)


def conditional_coverage(coverage: LikelihoodRatio, independence: LikelihoodRatio) -> LikelihoodRatio:
    """Both at once: the sum of the two statistics, χ²(2)."""
    statistic = coverage.statistic + independence.statistic
    return LikelihoodRatio(statistic, float(stats.chi2.sf(statistic, 2)))


@dataclass(frozen=True)
class TrafficLight:
    """Zone by the probability of at most that many exceptions: yellow from 95 %, red from 99.99 %.

    green_up_to, yellow_up_to: largest number of exceptions in the zone. multiplier: Basel's, for 250 days at 99 %.
    """

    zone: str
    cumulative: float
    green_up_to: int
    yellow_up_to: int
    multiplier: float | None


def traffic_light(days: int, exceptions: int, p: float) -> TrafficLight:
    """Basel's zones for any number of days and any level."""
    law = stats.binom(days, p)
    green, yellow = int(law.ppf(0.95)) - 1, int(law.ppf(0.9999)) - 1  # a zone begins where the CDF reaches its bound
    zone = "green" if exceptions <= green else "yellow" if exceptions <= yellow else "red"
    basel = days == 250 and math.isclose(p, 0.01)
    factor = 3.0 + BASEL_ADD_ON.get(exceptions, 0.0 if exceptions < 5 else 1.0) if basel else None
    return TrafficLight(zone, float(law.cdf(exceptions)), green, yellow, factor)


@dataclass(frozen=True)
class ShortfallTest:
    """Acerbi–Szekely Z2 with one-sided p-values under two tails that have the stated VaR and ES on every day.

    p_exponential: the loss beyond VaR is exponential; p_heavy: generalised Pareto with shape `shape`. Both have mean
    ES − VaR, so the null is exactly "VaR and ES are right". The verdict should hold under both.
    """

    z2: float
    p_exponential: float
    p_heavy: float
    shape: float
    draws: int


def acerbi_szekely(
    pnl: ArrayLike, var: ArrayLike, es: ArrayLike, p: float, *, shape: float = 0.3, draws: int = 20_000, seed: int = 0
) -> ShortfallTest:
    """Are the losses on exception days as large as ES says? `var` and `es` are positive losses [T].

    The p-values are simulated; their error is at most 0.5/√draws.
    """
    x, v, e = (np.asarray(a, np.float64) for a in (pnl, var, es))
    days = len(x)
    z2 = 1.0 + float((x / e)[x < -v].sum()) / (days * p)
    rng = np.random.default_rng(seed)
    tail = [_null_draws(rng, v, e, p, form, draws) for form in (0.0, shape)]
    lower = [float((1 + (z <= z2).sum()) / (1 + draws)) for z in tail]
    return ShortfallTest(z2, lower[0], lower[1], shape, draws)


def _null_draws(rng: np.random.Generator, v: Array, e: Array, p: float, shape: float, draws: int) -> Array:
    """Z2 under a right model [draws]: only exception days matter, so only those are drawn."""
    count = rng.binomial(len(v), p, draws)
    owner = np.repeat(np.arange(draws), count)
    day = rng.integers(0, len(v), len(owner))
    u = rng.random(len(owner))
    # mean of the excess is e − v for either law
    unit = -np.log1p(-u) if shape == 0.0 else (1.0 - shape) / shape * ((1.0 - u) ** -shape - 1.0)
    loss = v[day] + (e[day] - v[day]) * unit
    return 1.0 - np.bincount(owner, loss / e[day], draws) / (len(v) * p)


@dataclass(frozen=True)
class Procyclicality:
    """How hard margin swings on a constant portfolio. Give both families: through the cycle and short horizon.

    peak_to_trough: largest over smallest margin. rises: n days → largest relative rise within n days. volatility:
    standard deviation of daily log changes.
    """

    peak_to_trough: float
    rises: dict[int, float]
    volatility: float
    peak_over_mean: float


def procyclicality(margin: ArrayLike, horizons: tuple[int, ...] = (1, 5, 20, 30)) -> Procyclicality:
    """Measures of a margin series [T] > 0; horizons longer than the series are left out."""
    m = np.asarray(margin, np.float64)
    within = {n: _rise_within(m, n) for n in horizons if n < len(m)}
    spread = float(np.diff(np.log(m)).std(ddof=1)) if len(m) > 2 else math.nan
    return Procyclicality(float(m.max() / m.min()), within, spread, float(m.max() / m.mean()))


def _rise_within(margin: Array, n: int) -> float:
    """Largest margin_t / min(margin_{t−n … t}) − 1."""
    low = np.array([margin[max(0, t - n) : t + 1].min() for t in range(len(margin))])
    return float((margin / low - 1.0).max())
