"""The smallest jump at which the fund is gone with probability one half or more: needs no event probability.

From outcomes on a grid of jump sizes. A larger jump is taken to be at least as likely to empty the fund, so the curve
is fitted by isotonic regression; the interval comes from Wilson bounds on the grid, read where they cross the
threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import isotonic_regression

from mcrisk.risk.intervals import NAN, Interval, wilson


def break_even(
    severity: Sequence[float], hits: Sequence[int], trials: Sequence[int], threshold: float = 0.5, level: float = 0.95
) -> Interval:
    """Severity where P(fund gone) reaches `threshold`.

    Args:
        severity: [k] sizes of the jump, > 0 and strictly increasing (0.36 for −36 %; the caller gives the sign back).
        hits, trials: [k] paths whose fund is gone, and paths, per size.

    The estimate interpolates linearly between grid points and is the first one if that already suffices. Bounds are
    grid points: up to `lower` every size is significantly under the threshold, from `upper` on significantly over it.
    `lower` is 0 when the smallest size may be enough. NaN estimate: no size tried is enough; NaN upper: none surely
    is.
    """
    x, counts = np.asarray(severity, float), np.asarray(trials, float)
    if x.ndim != 1 or x.size == 0 or np.any(np.diff(x) <= 0) or x[0] <= 0:
        raise ValueError("severities must be positive and strictly increasing")
    share = np.asarray(hits, float) / counts
    fitted = isotonic_regression(share, weights=counts, increasing=True).x
    ends = [wilson(int(h), int(n), level) for h, n in zip(hits, trials)]
    may = np.array([end.upper >= threshold for end in ends])
    surely = np.array([end.lower >= threshold for end in ends])
    lower = _before(x, int(np.argmax(may))) if may.any() else float(x[-1])
    short = np.flatnonzero(~surely)
    after = int(short[-1]) + 1 if short.size else 0
    upper = float(x[after]) if after < x.size else NAN
    return Interval(_crossing(x, fitted, threshold), lower, upper)


def _before(x: np.ndarray, i: int) -> float:
    return 0.0 if i == 0 else float(x[i - 1])


def _crossing(x: np.ndarray, p: np.ndarray, threshold: float) -> float:
    """First point where the monotone curve p reaches the threshold; NaN if never."""
    if p[-1] < threshold:
        return NAN
    i = int(np.argmax(p >= threshold))
    if i == 0:
        return float(x[0])
    weight = (threshold - p[i - 1]) / (p[i] - p[i - 1])
    return float(x[i - 1] + weight * (x[i] - x[i - 1]))


def signed(severity: Interval, down: bool) -> Interval:
    """The interval as a relative jump: negative and with its ends swapped for a fall."""
    if not down:
        return severity
    return Interval(
        *(-value if not math.isnan(value) else NAN for value in (severity.estimate, severity.upper, severity.lower))
    )
