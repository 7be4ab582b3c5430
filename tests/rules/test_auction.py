"""The call auction of a batch with floors, against a search over quantities in plain Python."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrisk.rules.desk import batch
from mcrisk.rules.types import BookSide

_SIZE, _TOP, _DEPTH, _POWER = 8, 100.0, 50.0, 1.5
_SIDE = BookSide(_TOP, 0.0, _DEPTH, _POWER, math.inf, math.inf, 1.0, True)


@jax.jit
def _sell(want, worst, floor):
    side = jax.tree.map(jax.numpy.asarray, _SIDE)
    return batch(side, want, worst, floor, jax.numpy.float64(0.0), 1.0)


def mean_price(quantity: float) -> float:
    """Of `quantity` contracts sold: displacement 1 % · (Q/depth)^1.5 in log price, averaged over the quantity."""
    return _TOP * math.exp(-0.01 * (quantity / _DEPTH) ** _POWER / (_POWER + 1.0))


def largest(want: list[float], floor: list[float]) -> float:
    """Largest quantity on a grid whose mean price finds as many willing contracts."""
    grid = np.linspace(0.0, sum(want), 20_001)[::-1]
    for quantity in grid:
        price = mean_price(quantity)
        if sum(w for w, f in zip(want, floor) if f <= price) >= quantity - 1e-9:
            return float(quantity)
    raise AssertionError("zero is always there")


orders = st.tuples(st.integers(1, 400).map(lambda n: n / 4.0), st.floats(0.90, 0.9999), st.floats(-1.0, 1.0))


@settings(max_examples=200, deadline=None)
@given(st.lists(orders, min_size=1, max_size=_SIZE))
def test_clears_the_largest_quantity_that_finds_enough_willing(given_orders):
    pad = [0.0] * (_SIZE - len(given_orders))
    want, floor, worst = ([o[i] * scale for o in given_orders] for i, scale in ((0, 1.0), (1, _TOP), (2, 1.0)))
    served, price = _sell(np.array(want + pad), np.array(worst + pad), np.array(floor + pad))
    served, total = np.asarray(served)[: len(want)], float(np.sum(served))
    assert price == pytest.approx(mean_price(total), rel=1e-9)
    assert total == pytest.approx(largest(want, floor), abs=2.0 * sum(want) / 20_000)
    assert all(s <= w for s, w in zip(served, want))
    assert not any(s > 0.0 and f > price * (1.0 + 1e-9) for s, f in zip(served, floor))


def test_the_marginal_order_is_filled_in_part():
    """Two orders; both together move the price below the second one's floor, the first alone does not."""
    want, floor = [40.0, 40.0], [90.0, mean_price(60.0)]
    served, price = _sell(np.array(want + [0.0] * 6), np.array([0.0, 1.0] + [0.0] * 6), np.array(floor + [0.0] * 6))
    assert np.asarray(served)[:2] == pytest.approx([40.0, 20.0], abs=1e-6)
    assert price == pytest.approx(mean_price(60.0), rel=1e-9)


def test_what_rounding_leaves_of_a_side_fills_nobody():
    """A side used up but for 1e-13 contracts: the order is not filled, and its owner not liquidated."""
    side = jax.tree.map(jax.numpy.asarray, _SIDE._replace(consumed=10.0, total=10.0 + 1e-13))
    served, _ = batch(side, np.array([5.0, 2.0]), np.array([0.0, 1.0]), None, jax.numpy.float64(0.0), 1.0)
    assert not np.any(served)
