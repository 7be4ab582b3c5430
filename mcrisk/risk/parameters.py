"""How much of a number's uncertainty comes from its parameters, when paths differ in them (`parameters: bootstrap`).

Model     y_ki = μ(θ_k) + e_ki: path i under parameter set k; one-way layout with random sets (ANOVA)
Formula   within² = MSW, between² = max(0, (MSB − MSW)/n0), n0 = (N − Σ n_k²/N)/(K − 1)
          share = between²/(between² + within²/N): of the variance of the number, what more paths do not remove
Interval  of μ(θ): the sets' means, moved towards the overall mean until their variance is between² (Louis 1984), 2.5 % and
          97.5 % quantiles. Of the share: from the F law of MSB/MSW (Searle 1971), exact for normal y.
Limits    parameter sets are those of the fit; what no data inform stays at its assumption and is not in `between`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mcrisk.risk.intervals import NAN, Interval

FEWEST_SETS = 20  # below them the ends of the parameters' interval are not resolved


class Split(NamedTuple):
    """One number that is a mean over paths.

    estimate: mean over all paths and sets. within: standard error from the number of paths (Monte Carlo). between: standard
    deviation of the number over parameter sets. share: of the variance of the number that is the parameters', with a 95 %
    interval. parameters: 95 % interval of the number over parameter sets. sets: how many were used.
    """

    estimate: float
    within: float
    between: float
    share: Interval
    parameters: Interval
    sets: int


def split(values: ArrayLike, sets: ArrayLike) -> Split:
    """Variance components of `values` [n], one per path, whose parameter sets are `sets` [n] (equal = same parameters).

    Raises ValueError for fewer than two sets, or sets of one path each.
    """
    y, (_, label) = np.asarray(values, np.float64), np.unique(np.asarray(sets), return_inverse=True)
    size = np.bincount(label)
    count, n = len(size), len(y)
    if count < 2 or n <= count:
        raise ValueError(f"{count} parameter sets on {n} paths have no variance components")
    means, overall = np.bincount(label, weights=y) / size, float(y.mean())
    inside = float(((y - means[label]) ** 2).sum()) / (n - count)
    across = float((size * (means - overall) ** 2).sum()) / (count - 1)
    effective = (n - float((size.astype(float) ** 2).sum()) / n) / (count - 1)
    between = max(0.0, (across - inside) / effective)
    sampling = inside / n
    total = between + sampling
    share = Interval(between / total if total > 0 else 0.0, *_share_ends(inside, across, effective, n, count))
    ends = (NAN, NAN)
    if count >= FEWEST_SETS:
        spread = float(means.var(ddof=1))
        pull = math.sqrt(between / spread) if spread > 0 else 0.0
        low, high = np.quantile(overall + min(pull, 1.0) * (means - overall), (0.025, 0.975), method="median_unbiased")
        ends = (float(low), float(high))
    return Split(overall, math.sqrt(sampling), math.sqrt(between), share, Interval(overall, *ends), count)


def _share_ends(inside: float, across: float, effective: float, n: int, count: int) -> tuple[float, float]:
    """95 % interval of the share, from MSB/MSW ~ (1 + n0·between²/within²)·F(K − 1, N − K)."""
    if inside <= 0.0:
        return (1.0, 1.0) if across > 0 else (NAN, NAN)
    ratio, law = across / inside, stats.f(count - 1, n - count)
    ends = [max(0.0, (ratio / float(law.ppf(p)) - 1.0) / effective) for p in (0.975, 0.025)]  # between²/within²
    low, high = (r / (r + 1.0 / n) for r in ends)
    return low, high


def components(samples: dict[str, NDArray[np.float64]], sets: NDArray[np.int64]) -> dict[str, Split]:
    """`split` of every sample; numbers that never vary are left out."""
    return {name: split(values, sets) for name, values in samples.items() if np.ptp(values) > 0}
