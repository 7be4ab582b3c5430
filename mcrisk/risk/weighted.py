"""The same estimates from weighted paths, and from paths drawn evenly: for runs with variance reduction.

Weights are probability ratios w; all estimates are self-normalised, Σ w x / Σ w: probabilities of an event and of its
opposite sum to one, and what every path has in common costs no precision. The bias is of order 1/n, far below the
interval. Intervals come from influence functions e with Σ e = 0 (Owen, Monte Carlo theory, ch. 9): iid paths by Σ e²,
paths on R scrambled nets by the R sums over a net, with Student's t on what is informative. Where a plain sample has a
better interval than "± spread" (Wilson, order statistics), it is taken at the sample size that has the same variance
(Korn and Graubard 1998). An event on too few effective paths gets no bound that rests on its own spread alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mcrisk.risk import intervals
from mcrisk.risk.intervals import FEW, NAN, Array, Interval

TAIL = 4.0  # effective paths beyond a quantile, below which it is not resolved; a plain 99.9 % with bounds has 3.7


def effective(weights: ArrayLike) -> float:
    """How many equally weighted paths are worth as much: (Σ w)² / Σ w² (Kish 1965); 0 for none."""
    w = np.asarray(weights, np.float64)
    total = float(np.square(w).sum())
    return float(w.sum()) ** 2 / total if total > 0 else 0.0


@dataclass(frozen=True)
class Plain:
    """Independent paths of equal weight: `intervals`, as it is."""

    level: float = 0.95

    def probability(self, hit: NDArray[np.bool_]) -> Interval:
        return intervals.wilson(int(hit.sum()), hit.size, self.level)

    def quantile(self, values: ArrayLike, q: float) -> Interval:
        return intervals.quantile(values, q, self.level)

    def shortfall(self, values: ArrayLike, q: float, ceiling: float | None = None) -> Interval:
        return intervals.expected_shortfall(values, q, self.level, ceiling)

    def mean(self, values: ArrayLike) -> Interval:
        return intervals.mean(values, self.level)

    def ratio(self, part: ArrayLike, whole: ArrayLike) -> Interval:
        return intervals.ratio_of_sums(part, whole, self.level)

    def where(self, mask: NDArray[np.bool_]) -> Plain:
        """The estimator of the paths in `mask`."""
        return self

    def first(self, count: int) -> Plain:
        """The estimator of the first `count` paths."""
        return self


@dataclass(frozen=True)
class Weighted:
    """Paths with weights, in order of their numbers.

    Args:
        weight: [n] ≥ 0, not all 0.
        net: [n] which scrambled net a path is a point of; None = the paths are independent.
    """

    weight: Array
    net: NDArray[np.int64] | None = None
    level: float = 0.95

    # ------------------------------------------------------------------ estimates
    def probability(self, hit: NDArray[np.bool_]) -> Interval:
        """Wilson's interval at the sample size of the same variance.

        With fewer than `FEW` effective paths on either side the far bound moves by what no path may have shown: an event of
        the probability that n paths can miss, at the largest weight.
        """
        hit = np.asarray(hit, bool)
        share = self._share
        p = 1.0 if hit.all() else float(share[hit].sum())
        rare = min(effective(self.weight[hit]), effective(self.weight[~hit]))
        low, high = p, p
        if (size := self._plain_size(hit, p)) > 0.0:
            low, high = _wilson(p, size / self._stretch(rare), self.level)
        if rare < FEW:
            heaviest = float(self.weight.max() / self.weight.mean())
            missed = heaviest * intervals.wilson(0, hit.size, self.level).upper  # what no path has shown
            high = high + missed if p < 0.5 else high
            low = low - missed if p >= 0.5 else low
            low = 0.0 if not hit.any() else low
            high = 1.0 if hit.all() else high
        return Interval(p, max(min(low, p), 0.0), min(max(high, p), 1.0))

    def quantile(self, values: ArrayLike, q: float) -> Interval:
        """Where the weighted distribution function crosses q; bounds where it crosses binomial ones (Woodruff 1952).

        NaN: the effective sample is too short for the bound (`intervals.paths_needed`), or fewer than `TAIL` effective
        paths lie beyond the estimate.
        """
        x = intervals._sample(values)
        order = np.argsort(x, kind="stable")
        ordered, upto = x[order], np.cumsum(self._share[order])
        upto[-1] = 1.0
        at = float(ordered[np.searchsorted(upto, q * (1.0 - 1e-12))])
        under, upon = float(self._share[x < at].sum()), float(self._share[x <= at].sum())
        lower_side, upper_side = effective(self.weight[x < at]), effective(self.weight[x > at])
        stretch = self._stretch(max(lower_side, upper_side))
        sizes = [self._plain_size(x <= at, upon), self._plain_size(x < at, under)]  # the largest value has nothing above it
        n = next((size / stretch for size in sizes if size > 0.0), 0.0)
        if n <= 0.0:
            return Interval(at, at, at)  # all paths alike
        tail = 0.5 * (1.0 - self.level)
        low, high = stats.binom.ppf(tail, int(n), q) / n, (stats.binom.ppf(1.0 - tail, int(n), q) + 1.0) / n
        find = lambda level: float(ordered[min(np.searchsorted(upto, level), x.size - 1)])  # noqa: E731
        short = (low <= under and lower_side < TAIL, high > upon - 1e-12 and upper_side < TAIL)
        if upon >= 1.0 - 1e-12 and high <= 1.0:  # the estimate is the largest value: resolved when it is common enough
            short = (short[0], effective(self.weight[x == at]) < TAIL)
        lower = NAN if low <= 0.0 or short[0] else find(low)
        return Interval(at, lower, NAN if high > 1.0 or short[1] else find(high))

    def _plain_size(self, hit: NDArray[np.bool_], p: float) -> float:
        """How many plain paths know the probability p of `hit` as well, at most 10⁹; 0 where it always or never happens."""
        if not 1e-12 < p < 1.0 - 1e-12:
            return 0.0
        return min(p * (1.0 - p) / max(self._variance(self._share * (hit - p)), 1e-300), 1e9)

    def shortfall(self, values: ArrayLike, q: float, ceiling: float | None = None) -> Interval:
        """Mean of the worst (1 − q) of the probability, not of the paths; see `intervals.expected_shortfall`."""
        x = intervals._sample(values)
        influence, beyond = self._shortfall_influence(x, q)
        estimate = float(self._share @ influence)
        floor = 0.0 if x.min() >= 0 else -math.inf
        if beyond < FEW:
            rare = NAN if ceiling is None else ceiling * min(1.0, self.probability(x > 0).upper / (1.0 - q))
            return Interval(estimate, 0.0 if floor == 0 else NAN, rare)
        half = self._half(self._share * (influence - estimate), beyond)
        upper = estimate + half
        return Interval(estimate, max(estimate - half, floor), upper if ceiling is None else min(upper, ceiling))

    def mean(self, values: ArrayLike) -> Interval:
        """See `intervals.mean`."""
        x = intervals._sample(values)
        estimate = float(self._share @ x)
        floor = 0.0 if x.min() >= 0 else -math.inf
        losses = effective(self.weight[x != 0])
        if losses < FEW:
            return Interval(estimate, 0.0 if floor == 0 else NAN, NAN)
        half = self._half(self._share * (x - estimate), losses)
        return Interval(estimate, max(estimate - half, floor), estimate + half)

    def ratio(self, part: ArrayLike, whole: ArrayLike) -> Interval:
        """Σ w part / Σ w whole; see `intervals.ratio_of_sums`."""
        x, y = intervals._sample(part), intervals._sample(whole)
        total = float(self._share @ y)
        if total <= 0:
            return Interval(NAN, NAN, NAN)
        estimate, losses = float(self._share @ x) / total, effective(self.weight[y != 0])
        if losses < FEW:
            return Interval(estimate, NAN, NAN)
        half = self._half(self._share * (x - estimate * y) / total, losses)
        bounded = bool((x >= 0).all() and (x <= y * (1 + 1e-12)).all())
        ends = (estimate - half, estimate + half)
        return Interval(estimate, *(min(max(end, 0.0), 1.0) for end in ends) if bounded else ends)

    def where(self, mask: NDArray[np.bool_]) -> Weighted:
        """The estimator of the paths in `mask`."""
        return Weighted(self.weight[mask], None if self.net is None else self.net[mask], self.level)

    def first(self, count: int) -> Weighted:
        """The estimator of the first `count` paths."""
        return Weighted(self.weight[:count], None if self.net is None else self.net[:count], self.level)

    # ------------------------------------------------------------------ influences and their spread
    @property
    def _share(self) -> Array:
        return self.weight / self.weight.sum()

    def mean_influence(self, values: Array) -> Array:
        """[n] what each path adds to the error of the mean; sums to 0."""
        return self._share * (values - float(self._share @ values))

    def shortfall_influence(self, values: Array, q: float) -> tuple[Array, float, float]:
        """Likewise of the expected shortfall, with its estimate and the effective paths beyond VaR."""
        influence, beyond = self._shortfall_influence(values, q)
        estimate = float(self._share @ influence)
        return self._share * (influence - estimate), estimate, beyond

    def exceedance_influence(self, values: Array, q: float) -> Array:
        """Likewise of the probability of lying beyond the sample's own q-quantile."""
        beyond = values > self._var(values, q)
        return self.mean_influence(beyond.astype(np.float64))

    def _var(self, x: Array, q: float) -> float:
        order = np.argsort(x, kind="stable")
        upto = np.cumsum(self._share[order])
        upto[-1] = 1.0
        return float(x[order][np.searchsorted(upto, q * (1.0 - 1e-12))])

    def _shortfall_influence(self, x: Array, q: float) -> tuple[Array, float]:
        value_at_risk = self._var(x, q)
        over = np.maximum(x - value_at_risk, 0.0)
        return value_at_risk + over / (1.0 - q), effective(self.weight[over > 0])

    def _variance(self, influence: Array) -> float:
        """Variance of an estimate from its influences."""
        if self.net is None:
            n = influence.size
            return float(np.square(influence).sum()) * n / max(n - 1, 1)
        sums = np.bincount(self.net, weights=influence)
        used = np.unique(self.net).size
        return float(np.square(sums).sum()) * used / max(used - 1, 1)

    def _freedom(self, informative: float) -> float:
        return max(1.0, informative - 1.0 if self.net is None else min(informative, np.unique(self.net).size) - 1.0)

    def _stretch(self, informative: float) -> float:
        """(t/z)²: by how much an unknown variance makes a sample smaller."""
        tail = 0.5 + self.level / 2
        return float(stats.t.ppf(tail, self._freedom(max(informative, 2.0))) / stats.norm.ppf(tail)) ** 2

    def _half(self, influence: Array, informative: float) -> float:
        t = float(stats.t.ppf(0.5 + self.level / 2, self._freedom(informative)))
        return t * math.sqrt(self._variance(influence))


Estimator = Plain | Weighted


def _wilson(p: float, n: float, level: float) -> tuple[float, float]:
    z = float(stats.norm.ppf(0.5 + level / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def estimator(paths: xr.Dataset, level: float = 0.95) -> Estimator:
    """How to estimate from the per-path results of one cell (dim `path`), by their `weight`; absent = plain."""
    if "weight" not in paths:
        return Plain(level)
    weight = np.asarray(paths["weight"].values, np.float64)
    nets = int(paths["weight"].attrs.get("nets", 0))
    if not nets and (weight == 1.0).all():
        return Plain(level)
    number = paths["path"].values if "path" in paths.coords else np.arange(weight.size)
    return Weighted(weight, np.asarray(number, np.int64) % nets if nets else None, level)


def sampling_facts(paths: xr.Dataset) -> dict[str, float]:
    """How much the weights of a cell leave: effective paths, also of those that lost the fund, largest and mean weight."""
    found, lost = estimator(paths), np.isfinite(np.asarray(paths["depletion_time"].values, np.float64))
    w = found.weight if isinstance(found, Weighted) else np.ones(lost.size)
    return {
        "effective_paths": effective(w), "effective_paths_depleted": effective(w[lost]),
        "largest_weight": float(w.max()), "mean_weight": float(w.mean()),
    }  # fmt: skip


def accepted(paths: xr.Dataset, seed: int = 0) -> NDArray[np.bool_]:
    """[n] paths that make a plain sample of the model: each is kept with probability weight over largest weight.

    For figures, and for methods that know no weights. Exact, and as short as the weights are uneven.
    """
    found = estimator(paths)
    if isinstance(found, Plain):
        return np.ones(paths.sizes["path"], bool)
    keep = np.random.default_rng([seed, 1]).random(found.weight.size) * found.weight.max() < found.weight
    if not keep.any():
        keep[int(np.argmax(found.weight))] = True
    return keep


def paired_mean(a: Array, b: Array, of_a: Weighted, of_b: Weighted) -> Interval:
    """Mean of a − mean of b over the same path numbers, each with its own weights."""
    estimate = float(of_a._share @ a) - float(of_b._share @ b)
    differs = effective(of_a.weight[(a != b) | (of_a._share != of_b._share)])
    return _of_pair(estimate, of_a.mean_influence(a) - of_b.mean_influence(b), differs, of_a)


def paired_shortfall(a: Array, b: Array, q: float, of_a: Weighted, of_b: Weighted) -> Interval:
    """Likewise of expected shortfalls."""
    (x, first, k), (y, second, m) = of_a.shortfall_influence(a, q), of_b.shortfall_influence(b, q)
    return _of_pair(first - second, x - y, max(k, m), of_a)


def _of_pair(estimate: float, influence: Array, informative: float, of: Weighted) -> Interval:
    if not np.any(influence):
        return Interval(0.0, 0.0, 0.0)
    if informative < FEW:
        return Interval(estimate, NAN, NAN)
    half = of._half(influence, informative)
    return Interval(estimate, estimate - half, estimate + half)
