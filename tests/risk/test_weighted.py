"""Estimates from weighted paths: equal to the plain ones where weights are equal, honest where they are not.

Coverage: 200 runs know 95 % to ±1.5 points; bounds below are four of these (a false alarm in 16,000), seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from mcrisk.risk import differences, headline, intervals
from mcrisk.risk.weighted import Plain, Weighted, accepted, effective, estimator, paired_mean, sampling_facts
from tests.risk.cells import cell

EVENT, SHARE, SIGMA = 0.02, 0.5, 0.5  # probability of an event, how often it is drawn, log sd of its loss


def sample(n, r):
    """(losses, weights): nothing, or a lognormal loss with probability EVENT, drawn with probability SHARE."""
    event = r.random(n) < SHARE
    weight = np.where(event, EVENT / SHARE, (1 - EVENT) / (1 - SHARE))
    return np.where(event, np.exp(SIGMA * r.standard_normal(n)), 0.0), weight


def truths(q=0.999, level=2.0):
    z = stats.norm.ppf(1 - (1 - q) / EVENT)
    return {
        "probability": EVENT * stats.norm.sf(math.log(level) / SIGMA),
        "quantile": math.exp(SIGMA * z),
        "shortfall": EVENT * math.exp(SIGMA**2 / 2) * stats.norm.cdf(SIGMA - z) / (1 - q),
        "mean": EVENT * math.exp(SIGMA**2 / 2),
        "ratio": math.exp(SIGMA**2 / 2),
    }


def found(x, of):
    return {
        "probability": of.probability(x > 2.0), "quantile": of.quantile(x, 0.999), "shortfall": of.shortfall(x, 0.999),
        "mean": of.mean(x), "ratio": of.ratio(x, (x > 0).astype(float)),
    }  # fmt: skip


def coverage(runs, n, seed, draw=sample, estimator_of=lambda w: Weighted(w)):
    r, known = np.random.default_rng(seed), truths()
    hits, unresolved, total = dict.fromkeys(known, 0), dict.fromkeys(known, 0), dict.fromkeys(known, 0.0)
    for _ in range(runs):
        x, w = draw(n, r)
        for name, interval in found(x, estimator_of(w)).items():
            hits[name] += interval.lower <= known[name] <= interval.upper
            unresolved[name] += not interval.resolved
            total[name] += interval.estimate
    return {k: v / runs for k, v in hits.items()}, unresolved, {k: v / runs for k, v in total.items()}


def test_intervals_cover_and_estimates_are_unbiased():
    hits, unresolved, mean = coverage(200, 2048, seed=2)
    for name, truth in truths().items():
        assert 0.89 <= hits[name] <= 1.0, (name, hits[name])
        assert unresolved[name] == 0
        assert mean[name] == pytest.approx(truth, rel=0.04), name


@pytest.mark.slow
def test_intervals_cover_93_to_98_percent():
    hits, _, _ = coverage(3000, 2048, seed=5)
    assert all(0.93 <= share <= 0.98 for share in hits.values()), hits


def on_nets(n, r, nets=32):
    """The same from `nets` shifted lattices of n/nets points, in turns."""
    shift = r.random((2, nets))
    u, v = ((np.arange(n // nets)[:, None] * g + s) % 1.0 for g, s in zip((0.7548776662466927, 0.5698402909980532), shift))
    u, v = u.ravel(), v.ravel()
    event = u < SHARE
    weight = np.where(event, EVENT / SHARE, (1 - EVENT) / (1 - SHARE))
    return np.where(event, np.exp(SIGMA * stats.norm.ppf(v)), 0.0), weight


def test_nets_are_narrower_and_cover():
    net = np.arange(4096) % 32
    hits, unresolved, mean = coverage(100, 4096, 3, on_nets, lambda w: Weighted(w, net))
    for name in ("probability", "mean", "ratio", "quantile"):  # 100 runs: ± 2.2 points, four of these
        assert 0.86 <= hits[name] <= 1.0 and unresolved[name] == 0, (name, hits[name])
        assert mean[name] == pytest.approx(truths()[name], rel=0.02)
    x, w = on_nets(4096, np.random.default_rng(1))
    even, chance = Weighted(w, net).mean(x), Weighted(w).mean(x)
    assert even.estimate == chance.estimate and even.upper - even.lower < 0.5 * (chance.upper - chance.lower)


def test_equal_weights_are_no_weights():
    x, _ = sample(4096, np.random.default_rng(4))
    plain, equal = found(x, Plain()), found(x, Weighted(np.full(4096, 0.3)))
    for name, one in plain.items():
        np.testing.assert_allclose(equal[name], one, rtol=0.02)


def test_what_was_never_seen_is_bounded_by_the_largest_weight():
    w = np.where(np.arange(2000) % 2 == 0, 1.9, 0.1)
    none = Weighted(w).probability(np.zeros(2000, bool))
    assert none.estimate == none.lower == 0.0
    assert none.upper == pytest.approx(1.9 * intervals.wilson(0, 2000).upper)
    light = Weighted(w).probability(np.arange(2000) == 1)  # one light path: a heavy one may have been missed
    assert light.upper >= 1.9 * intervals.wilson(0, 2000).upper
    every = Weighted(w).probability(np.ones(2000, bool))
    assert every.estimate == every.upper == 1.0 and every.lower < 1.0


def test_a_sample_too_short_for_a_bound_says_so():
    x, w = sample(64, np.random.default_rng(6))
    assert not Weighted(w).quantile(x, 0.9999).resolved
    assert math.isnan(Weighted(w).shortfall(x, 0.9999).upper)
    assert math.isnan(Weighted(w).mean(np.eye(64)[0]).upper)
    assert not Weighted(np.ones(64)).quantile(np.arange(64.0), 0.99).resolved  # as a plain sample of 64


def test_effective_paths():
    assert effective(np.ones(7)) == 7.0 and effective([]) == 0.0
    assert effective([1.0, 1.0, 0.0, 0.0]) == 2.0


def weighted_cell(n=4096):
    one = cell(n, hit=0.3)
    struck = np.isfinite(one["first_liquidation_time"].values)
    return one.assign(weight=("path", np.where(struck, 0.02 / 0.3, 0.98 / 0.7)))


def test_metrics_use_the_weights():
    context = headline.Context(open_interest=1e4)
    light, plain = (headline.as_table(headline.metrics(c, context)) for c in (weighted_cell(), cell(1 << 16, hit=0.02)))
    for name in ("p_fund_depleted", "bad_debt_mean", "es_99_bad_debt", "p_adl", "required_fund_999", "paid_by_fund_loss",
                 "time_to_first_adl_median"):  # fmt: skip
        a, b = light[name], plain[name]
        assert a.resolved and a.lower < b.upper and b.lower < a.upper, name
    assert light["p_fund_depleted"].estimate < 0.05
    few = headline.as_table(headline.metrics(cell(4096, hit=0.02), context))
    width = lambda i: i.upper - i.lower  # noqa: E731
    assert width(light["es_99_bad_debt"]) < 0.6 * width(few["es_99_bad_debt"])  # that is what it is for


def test_a_plain_run_is_estimated_as_before():
    one = cell()
    assert isinstance(estimator(one.assign(weight=("path", np.ones(4096)))), Plain)
    again, before = (headline.metrics(c, headline.Context(1.0)) for c in (one.assign(weight=("path", np.ones(4096))), one))
    assert repr(again) == repr(before)
    netted = one.assign(weight=xr.DataArray(np.ones(4096), dims="path", attrs={"nets": 8}))
    assert (estimator(netted.isel(path=slice(3, 20))).net[:2] == (0, 1)).all()  # without numbers: by place
    numbered = netted.assign_coords(path=np.arange(4096))
    assert (estimator(numbered.isel(path=slice(3, 20))).net[:2] == (3, 4)).all()


def test_accepted_paths_are_a_plain_sample():
    one = weighted_cell(1 << 15)
    keep = accepted(one)
    struck = np.isfinite(one["first_liquidation_time"].values)
    error = math.sqrt(0.02 * 0.98 / keep.sum())
    assert abs(struck[keep].mean() - 0.02) < 5 * error
    assert keep.sum() == pytest.approx((1 << 15) * 0.7 / 0.98, rel=0.02)
    facts = sampling_facts(one)
    assert facts["largest_weight"] == pytest.approx(1.4) and facts["mean_weight"] == pytest.approx(1.0, abs=0.02)
    assert facts["effective_paths_depleted"] == pytest.approx(np.isfinite(one["depletion_time"].values).sum())


def test_paired_differences_keep_their_pairing():
    r = np.random.default_rng(8)
    x, w = sample(4096, r)
    y = 1.1 * x
    of = Weighted(w)
    gap = paired_mean(y, x, of, of)
    assert gap.lower <= 0.1 * truths()["mean"] <= gap.upper
    apart = differences.mover(of.mean(y), of.mean(x))
    assert gap.upper - gap.lower < 0.2 * (apart.upper - apart.lower)
    for measure in differences.MEASURES[:3]:
        kind = {"probability": (y > 2.0).astype(float)}.get(measure.kind, y)
        base = {"probability": (x > 2.0).astype(float)}.get(measure.kind, x)
        found = differences.difference(measure, kind, base, paired=True, of=(of, of))
        assert found.estimate > 0 and found.lower <= found.estimate <= found.upper
        assert differences.difference(measure, x, x, paired=True, of=(of, of)) == (0.0, 0.0, 0.0)
