"""Differences between runs: right on known cases, and intervals that hold what they promise."""

import math

import numpy as np
import pytest

from mcrisk.risk.differences import MEASURES, Measure, difference, estimate, mover
from mcrisk.risk.intervals import Interval

MEAN = Measure("m", "mean", lambda c: c)
QUANTILE = Measure("q", "quantile", lambda c: c, q=0.9)
SHORTFALL = Measure("s", "shortfall", lambda c: c, q=0.9)
PROBABILITY = Measure("p", "probability", lambda c: c)


def test_mover_joins_distances_to_the_bounds():
    found = mover(Interval(10, 7, 12), Interval(4, 3, 8))
    assert found.estimate == 6
    assert found.lower == pytest.approx(6 - math.hypot(3, 4))
    assert found.upper == pytest.approx(6 + math.hypot(2, 1))


def test_mover_leaves_a_bound_open_that_rests_on_a_missing_one():
    found = mover(Interval(10, 7, math.nan), Interval(4, 3, 8))
    assert math.isnan(found.upper) and not math.isnan(found.lower)


@pytest.mark.parametrize("measure", [MEAN, QUANTILE, SHORTFALL, PROBABILITY])
def test_same_paths_same_outcomes_differ_by_exactly_nothing(measure):
    sample = (np.random.default_rng(1).random(500) > 0.95).astype(float)
    assert difference(measure, sample, sample, paired=True) == (0, 0, 0)
    unpaired = difference(measure, sample, sample, paired=False)
    assert unpaired.estimate == 0 and unpaired.lower <= 0 <= unpaired.upper


@pytest.mark.parametrize("measure, shift", [(MEAN, 0.3), (QUANTILE, 0.3), (SHORTFALL, 0.3)])
@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(measure, shift, paired):
    """100 pairs of samples whose true difference is known: 95 % nominal, at least 88 % seen (binomial noise)."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(100):
        common = rng.normal(size=400)
        other = common if paired else rng.normal(size=400)
        new, old = common + 0.2 * rng.normal(size=400) + shift, other + 0.2 * rng.normal(size=400)
        found = difference(measure, new, old, paired=paired)
        hits += found.lower <= shift <= found.upper
    assert hits >= 88


def test_pairing_shortens_the_interval_of_a_quantile():
    rng = np.random.default_rng(5)
    common = rng.normal(size=2000)
    new, old = common + 0.02 * rng.normal(size=2000), common
    paired, apart = (difference(QUANTILE, new, old, paired=p) for p in (True, False))
    assert paired.upper - paired.lower < 0.6 * (apart.upper - apart.lower)


def test_paired_samples_must_have_the_same_paths():
    with pytest.raises(ValueError, match="500 and 400"):
        difference(MEAN, np.zeros(500), np.zeros(400), paired=True)


def test_estimates_are_those_of_the_stored_metrics():
    sample = np.r_[np.zeros(90), np.ones(10)]
    assert estimate(PROBABILITY, sample).estimate == 0.1
    assert estimate(QUANTILE, sample).estimate == 0.0
    assert len({m.name for m in MEASURES}) == len(MEASURES)
