"""The queue against a sort: who is served, in which order, and where the last contract goes."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrisk.rules.queue import queue_fill

_SIZE = 24   # one shape: compiled once
_fill = jax.jit(queue_fill)


def by_sorting(first: list[float], amount: list[float], total: float) -> list[float]:
    """Everyone in order of score, then of place, until `total` is given out."""
    served, left = [0.0] * len(first), total
    for i in sorted(range(len(first)), key=lambda i: (first[i], i)):
        served[i] = min(amount[i], left)
        left -= served[i]
    return served


def padded(values: list[float]) -> np.ndarray:
    return np.array(values + [0.0] * (_SIZE - len(values)))


scores = st.one_of(st.sampled_from([-2.5, -1.0, -0.0, 0.0, 0.25, 0.5, 1.0, 1e9]), st.floats(-1e3, 1e3, width=16))
amounts = st.one_of(st.just(0.0), st.integers(1, 64).map(lambda n: n / 8.0))   # sums of eighths are exact


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(scores, amounts), min_size=1, max_size=_SIZE), st.integers(0, 900))
def test_equals_a_sort(accounts, eighths):
    first, amount = [a for a, _ in accounts], [b for _, b in accounts]
    served = np.asarray(_fill(padded(first), padded(amount), eighths / 8.0))
    assert list(served[: len(first)]) == by_sorting(first, amount, eighths / 8.0)
    assert not served[len(first):].any()


def test_scores_that_differ_by_rounding_only_tie_by_place():
    first = padded([0.3, 0.1 + 0.2, 0.3])   # the second is one unit in the last place above
    served = np.asarray(_fill(first, padded([1.0, 1.0, 1.0]), 2.0))
    assert list(served[:3]) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_scores_of_any_magnitude(scale):
    rng = np.random.default_rng(5)
    first, amount = rng.standard_normal(_SIZE) * scale, np.ceil(8 * rng.random(_SIZE))
    served = np.asarray(_fill(first, amount, 40.0))
    assert list(served) == by_sorting(list(first), list(amount), 40.0)
