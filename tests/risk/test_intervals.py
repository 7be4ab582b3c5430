"""Intervals against closed forms, and their coverage in repeated sampling.

Coverage tests draw 400 samples with a fixed seed. A true 95 % interval misses in Binomial(400, 0.05) of them; more
than 36 misses (91 %) would be a false alarm with probability 2.9e-4 had the seed been drawn anew.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mcrisk.risk import intervals as iv

REPEATS, MISSES = 400, 36


def misses(draw, interval, truth: float, repeats: int = REPEATS) -> int:
    count = 0
    for i in range(repeats):
        found = interval(draw(np.random.default_rng([20261120, i])))
        count += not (found.lower <= truth <= found.upper)
    return count


def test_false_alarm_rate_stated_above():
    assert stats.binom.sf(MISSES, REPEATS, 0.05) == pytest.approx(2.9e-4, rel=0.05)


def test_wilson_closed_form():
    z2 = stats.norm.ppf(0.975) ** 2
    found = iv.wilson(0, 2048)
    assert (found.estimate, found.lower) == (0, 0) and found.upper == pytest.approx(z2 / (2048 + z2))
    assert found.upper == pytest.approx(0.0019, abs=5e-5)  # "zero hits in 2,048": 0.19 %
    half = iv.wilson(50, 100)
    assert half.lower == pytest.approx(
        0.5 - math.sqrt(z2 / (4 * (100 + z2)))
    ) and half.lower + half.upper == pytest.approx(1)
    assert iv.wilson(7, 7).upper == 1
    with pytest.raises(ValueError):
        iv.wilson(3, 2)


def test_needed_paths():
    assert iv.paths_needed(0.999) == 3688 and iv.paths_needed(0.999, two_sided=False) == 2995
    ramp = np.arange(2995.0)
    assert iv.quantile_upper_bound(ramp, 0.999) == 2994 and math.isnan(iv.quantile_upper_bound(ramp[:-1], 0.999))
    long = np.arange(3688.0)
    assert iv.quantile(long, 0.999).upper == 3687 and iv.quantile(long, 0.999).resolved
    short = iv.quantile(long[:-1], 0.999)
    assert math.isnan(short.upper) and not short.resolved and short.lower > 0


def test_quantile_is_an_order_statistic_inside_its_interval():
    sample = np.random.default_rng(0).permutation(np.arange(1.0, 1001))
    found = iv.quantile(sample, 0.9)
    assert found.estimate == 900 and found.lower < 900 < found.upper
    low = stats.binom.cdf(int(found.lower) - 1, 1000, 0.9)  # P(fewer than `lower` values below the quantile)
    assert low <= 0.025
    assert iv.quantile(np.zeros(500), 0.99) == (0, 0, 0)  # nobody loses: the interval is a point


def test_shortfall_closed_form():
    found = iv.expected_shortfall(np.arange(1.0, 101), 0.9)
    assert found.estimate == pytest.approx(np.arange(91, 101).mean())
    assert found.lower < found.estimate < found.upper


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
def test_shortfall_is_never_below_value_at_risk(values, q):
    found, risk = iv.expected_shortfall(values, q), iv.quantile(values, q)
    assert found.estimate >= risk.estimate * (1 - 1e-12)
    for item in (found, risk):
        assert not item.lower > item.estimate * (1 + 1e-12) and not item.upper < item.estimate * (1 - 1e-12)


def test_nothing_lost_leaves_the_upper_bound_open():
    nothing = np.zeros(4096)
    for found in (iv.mean(nothing), iv.expected_shortfall(nothing, 0.99)):
        assert found[:2] == (0, 0) and math.isnan(found.upper)
    capped = iv.expected_shortfall(nothing, 0.99, ceiling=1.0)
    assert capped.upper == pytest.approx(iv.wilson(0, 4096).upper / 0.01)
    few = np.r_[np.full(4, 5.0), np.zeros(4092)]
    assert math.isnan(iv.mean(few).upper) and math.isnan(iv.expected_shortfall(few, 0.99).upper)


def test_bad_samples():
    for sample in ([], [1.0, math.nan], np.ones((2, 2))):
        with pytest.raises(ValueError):
            iv.mean(sample)
    with pytest.raises(ValueError, match="paired"):
        iv.paired_difference([1.0], [1.0, 2.0])


def test_coverage_wilson():
    assert misses(lambda r: int(r.binomial(4096, 0.003)), lambda k: iv.wilson(k, 4096), 0.003) <= MISSES


def test_coverage_quantile():
    truth = math.exp(stats.norm.ppf(0.99) * 1.5)
    assert misses(lambda r: r.lognormal(0, 1.5, 2000), lambda x: iv.quantile(x, 0.99), truth) <= MISSES


def test_coverage_mean_of_rare_losses():
    """2 % of paths lose Exp(1); a t-interval on ~40 losses is somewhat short, so 90 % is asked for."""
    assert misses(lambda r: r.exponential(1, 2000) * (r.random(2000) < 0.02), iv.mean, 0.02) <= 52


def test_coverage_shortfall():
    """ES 99 % of Exp(1) is 1 + ln 100. Biased low in small samples; 90 % is asked for at 41 tail paths."""
    truth = 1 + math.log(100)
    assert misses(lambda r: r.exponential(1, 4096), lambda x: iv.expected_shortfall(x, 0.99), truth) <= 52


def test_coverage_share_of_losses():
    """Part is a Beta(2, 3) share of an exponential whole: the ratio of sums is 0.4."""

    def draw(r):
        whole = r.exponential(1, 600)
        return whole * r.beta(2, 3, 600), whole

    assert misses(draw, lambda pair: iv.ratio_of_sums(*pair), 0.4) <= MISSES


def _designs(r, n=1500):
    world = r.exponential(1, n)
    return 1.2 * world + 0.1 * r.random(n), world


def test_coverage_paired_mean_and_shortfall():
    assert misses(_designs, lambda p: iv.paired_difference(*p), 0.2 + 0.05) <= MISSES
    # tail of 1.2·W + U/10: ES is 1.2·(1 + ln 20) shifted by E exp(U/12) in the quantile; by simulation once
    big = _designs(np.random.default_rng(1), 4_000_000)
    truth = float(iv.shortfall_influence(big[0], 0.95).mean() - iv.shortfall_influence(big[1], 0.95).mean())
    assert misses(_designs, lambda p: iv.paired_shortfall_difference(*p, 0.95), truth) <= 52


def test_coverage_paired_quantile():
    truth = 0.2 * math.log(10)

    def draw(r):
        world = r.exponential(1, 800)
        return 1.2 * world, world

    found = misses(draw, lambda p: iv.paired_quantile_difference(*p, 0.9, resamples=199), truth, repeats=100)
    assert found <= 14  # of 100; Binomial(100, 0.05) exceeds 14 with probability 1e-4


def test_common_draws_make_the_interval_shorter():
    a, b = _designs(np.random.default_rng(3))
    paired = iv.paired_difference(a, b)
    apart = math.hypot(a.std(), b.std()) / math.sqrt(a.size) * 1.96
    assert paired.upper - paired.lower < 0.5 * 2 * apart
    assert iv.paired_difference(a, a) == (0, 0, 0) == iv.paired_quantile_difference(a, a, 0.9)
    assert math.isnan(iv.paired_difference(np.r_[1.0, b[1:]], b).upper)
