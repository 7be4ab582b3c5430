"""Partial sums become shares, tails and bands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcrisk.runs.merge import _mean_of_worst, quantiles, wilson

EDGES = np.linspace(0.0, 10.0, 41)


@given(st.lists(st.floats(0, 9.999), min_size=1, max_size=200), st.sampled_from([0.01, 0.05, 0.5, 0.95, 0.99]))
def test_quantiles_are_right_to_a_bin(values, p):
    counts, _ = np.histogram(values, EDGES)
    got = quantiles(counts, EDGES, (p,))[0]
    wanted = np.quantile(values, p, method="inverted_cdf")
    assert abs(got - wanted) <= 0.25 + 1e-9


def test_an_empty_histogram_has_no_quantile():
    assert np.isnan(quantiles(np.zeros((2, 40), int), EDGES, (0.5,))).all()


def test_quantiles_of_uniform_counts_are_exact():
    np.testing.assert_allclose(quantiles(np.ones(40, int), EDGES, (0.25, 0.5, 0.75)), [2.5, 5.0, 7.5])


def test_catch_all_bins_answer_with_their_known_side():
    edges = np.array([-np.inf, 0.0, 1.0, np.inf])
    np.testing.assert_array_equal(quantiles(np.array([5, 0, 5]), edges, (0.1, 0.9)), [0.0, 1.0])


def test_padding_of_shorter_histograms_is_ignored():
    counts = np.array([0, 4, 0, 0, 0])
    np.testing.assert_allclose(quantiles(counts, np.array([0.0, 1.0, 2.0]), (0.5,)), [1.5])


def test_mean_of_the_worst_takes_part_of_the_border_bin():
    counts = np.array([[2, 8, 90]])
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(_mean_of_worst(counts, edges, 0.05), [(2 * 0.5 + 3 * 1.5) / 5])


@pytest.mark.parametrize(("hits", "n"), [(0, 2048), (5, 100), (100, 100)])
def test_wilson_matches_statsmodels(hits, n):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    low, high = wilson(np.array([hits / n]), n)
    np.testing.assert_allclose([low[0], high[0]], proportion.proportion_confint(hits, n, method="wilson"), atol=1e-12)
