"""Control variates against what is known: Gaussian pairs, unbiasedness for any law, coverage, and when the plain number stands.

Monte Carlo checks allow 5 standard errors (a false alarm in 1.7 million) or, for coverage of 600 intervals, 92 to 98 %
(3.4 standard errors); seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

from mcrisk.engine.records import PATH_FIELDS
from mcrisk.risk import control, headline, intervals
from mcrisk.risk.headline import Context

OPEN_INTEREST = 1e6


def pairs(rng, n, m, rho, law=lambda z: z):
    """y [n] and c [m] with correlation rho before `law`; the first n of c belong to y."""
    c = rng.standard_normal(m)
    y = rho * c[:n] + math.sqrt(1.0 - rho * rho) * rng.standard_normal(n)
    return law(y), law(c)


def repeated(count, *args, of=control.controlled_mean, **more):
    rng = np.random.default_rng(20261120)
    return [of(*pairs(rng, *args, **more)) for _ in range(count)]


def test_gaussian_pairs_have_the_variance_of_the_formula():
    n, m, rho, count = 200, 1600, 0.9, 800
    found = repeated(count, n, m, rho)
    estimates = np.array([f.interval.estimate for f in found])
    known = (1.0 - rho * rho * (1.0 - n / m)) / n  # of the best two-model estimator of unit variance
    assert abs(estimates.mean()) <= 5 * math.sqrt(known / count)
    assert estimates.var(ddof=1) == pytest.approx(known, rel=5 * math.sqrt(2 / count) + 0.03)  # α costs a little
    assert np.mean([f.fewer_paths for f in found]) == pytest.approx(1 / (n * known), rel=0.05)
    assert np.mean([f.squared_correlation for f in found]) == pytest.approx(rho * rho, rel=0.01)
    assert np.mean([f.coefficient for f in found]) == pytest.approx(rho * (1 - n / m), rel=0.01)


@pytest.mark.parametrize(("rho", "ratio"), [(0.95, 10), (0.3, 2)])
def test_intervals_of_means_cover(rho, ratio):
    found = repeated(600, 150, 150 * ratio, rho)
    covered = np.mean([f.interval.lower <= 0.0 <= f.interval.upper for f in found])
    assert 0.92 <= covered <= 0.98


@pytest.mark.parametrize("rho", [0.97, 0.6])
def test_intervals_of_probabilities_cover(rho):
    found = repeated(600, 500, 3000, rho, of=control.controlled_probability, law=lambda z: (z > 1.0).astype(float))
    p = float(1.0 - 0.8413447460685429)
    covered = np.mean([f.interval.lower <= p <= f.interval.upper for f in found])
    assert covered >= 0.92 and np.mean([f.used for f in found]) > 0.9
    if rho == 0.6:  # no room left for differences that were not seen
        assert covered <= 0.98
        assert np.nanmean([f.fewer_paths for f in found]) > 1.05


def test_it_is_unbiased_for_skewed_losses_and_few_paths():
    count, law = 1500, lambda z: np.exp(1.2 * z)
    estimates = np.array([f.interval.estimate for f in repeated(count, 20, 200, 0.9, law=law)])
    error = estimates.std(ddof=1) / math.sqrt(count)
    assert abs(estimates.mean() - math.exp(0.72)) <= 5 * error
    assert all(f.used for f in repeated(5, 20, 200, 0.9, law=law))


def test_a_useless_twin_costs_no_more_than_its_noise():
    found = repeated(200, 200, 400, 0.0)
    assert np.mean([f.fewer_paths for f in found]) == pytest.approx(1.0, abs=0.05)


def test_a_perfect_twin_is_worth_its_paths():
    rng = np.random.default_rng(3)
    c = rng.standard_normal(4000)
    found = control.controlled_mean(c[:500] + 1e-9 * rng.standard_normal(500), c)
    assert found.fewer_paths == pytest.approx(8.0, rel=0.2) and found.interval.estimate == pytest.approx(c.mean(), abs=1e-6)


def test_the_plain_number_stands_where_losses_are_few():
    y, c = np.zeros(100), np.zeros(500)
    y[:9] = c[:9] = c[200:260] = 5.0
    found = control.controlled_mean(y, c)
    assert not found.used and found.interval == intervals.mean(y) or np.isnan(found.interval.upper)
    hits = control.controlled_probability((y > 0).astype(float), (c > 0).astype(float))
    assert not hits.used and hits.interval == intervals.wilson(9, 100)
    same = np.concatenate([np.zeros(70), np.arange(1.0, 31.0)])
    assert not control.controlled_mean(same, np.concatenate([same, same])).used  # differences never seen are not known


def test_differences_that_were_not_seen_widen_a_probability():
    c = (np.arange(4000) % 4 == 0).astype(float)
    found = control.controlled_probability(c[:400], c)
    missed = intervals.wilson(0, 400).upper
    assert found.used and found.interval.upper - 0.25 >= missed and 0.25 - found.interval.lower >= missed


@pytest.mark.parametrize(("n", "m"), [(10, 10), (10, 11), (1, 9)])
def test_samples_that_are_none_are_refused(n, m):
    with pytest.raises(ValueError, match="further"):
        control.controlled_mean(np.ones(n), np.ones(m))
    with pytest.raises(ValueError, match="NaN"):
        control.controlled_mean(np.array([1.0, np.nan, 2.0]), np.ones(9))


def test_coefficients_leave_their_own_fold_out():
    rng = np.random.default_rng(1)
    y, c = rng.standard_normal(57), rng.standard_normal(57)
    found, fold = control.coefficients(y, c), np.arange(57) % control.FOLDS
    for k in range(control.FOLDS):
        others = fold != k
        assert found[fold == k] == pytest.approx(np.cov(y[others], c[others])[0, 1] / c[others].var(ddof=1), rel=1e-9)


@pytest.mark.parametrize("squared", [0.3, 0.8, 0.99])
@pytest.mark.parametrize("cost", [0.02, 0.2, 0.9])
def test_the_best_ratio_is_the_best(squared, cost):
    ratios = np.geomspace(1.0, 1000.0, 20001)
    gains = control.gain(1.0 / (1.0 - squared * (1.0 - 1.0 / ratios)), 1, ratios, cost)
    best, ratio = control.best_gain(squared, cost)
    if gains.max() <= 1.0:
        assert (best, ratio) == (1.0, 0.0)
    else:
        assert best == pytest.approx(gains.max(), rel=1e-6) and ratio == pytest.approx(ratios[gains.argmax()], rel=1e-2)


def cell(rng, n):
    """Per-path results of n invented paths."""
    values = {f.name: rng.integers(0, 3, n) * rng.random(n) * 1e4 for f in PATH_FIELDS if f.name != "weight"}
    values["depletion_time"] = np.where(rng.random(n) < 0.2, 1.0, np.nan)
    for name in ("adl_accounts", "liquidated_accounts"):
        values[name] = rng.integers(0, 3, n).astype(np.int32)
    values["bad_debt"][:5] = 1e-6  # what adding up leaves is no loss
    return xr.Dataset({name: ("path", column) for name, column in values.items()})


def test_targets_are_the_numbers_of_the_report():
    rng, context = np.random.default_rng(5), Context(OPEN_INTEREST)
    paths = cell(rng, 300)
    twin = xr.concat([paths.isel(path=slice(0, 220)), cell(rng, 680)], "path")[list(control.FIELDS)]
    found = headline.metrics(paths, context)
    plain = headline.as_table(found)
    get = headline.Reader(paths, dust=context.dust)
    for target in control.TARGETS:
        assert target.of(get).mean() == pytest.approx(plain[target.name].estimate, rel=1e-12), target.name
    by = control.estimates(paths, twin, context)
    better = {m.name: m for m in control.replace(found, by, context)}
    assert [m.name for m in found] == list(better)
    for name, item in better.items():
        base = name.removesuffix("_of_oi")
        if base in by and by[base].used:
            scale = OPEN_INTEREST if name.endswith("_of_oi") else 1.0
            assert item.interval == pytest.approx(by[base].interval.over(scale)) and "control variate" in item.note
        else:
            np.testing.assert_array_equal(item.interval, plain[name])
    assert by["p_fund_depleted"].used and by["bad_debt_mean"].used
    assert "control" not in better["var_99_bad_debt"].note  # quantiles stay those of the run's paths
