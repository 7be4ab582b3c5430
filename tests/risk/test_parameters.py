"""Variance components against the textbook's sums and against simulation with known components."""

import numpy as np
import pytest

from mcrisk.risk.parameters import FEWEST_SETS, components, split


def layout(seed, sets=40, each=32, between=0.5, within=2.0):
    rng = np.random.default_rng(seed)
    level = 3.0 + between * rng.standard_normal(sets)
    label = np.repeat(np.arange(sets), each)
    return level[label] + within * rng.standard_normal(sets * each), label


def test_balanced_layout_by_the_textbook():
    y, label = layout(1, sets=25, each=8, between=2.0)
    groups = [y[label == k] for k in range(25)]
    inside = sum(((g - g.mean()) ** 2).sum() for g in groups) / (200 - 25)
    across = 8 * sum((g.mean() - y.mean()) ** 2 for g in groups) / 24
    found = split(y, label)
    assert found.within**2 == pytest.approx(inside / 200)
    assert found.between**2 == pytest.approx((across - inside) / 8)
    assert found.share.estimate == pytest.approx(found.between**2 / (found.between**2 + found.within**2))
    assert (found.estimate, found.sets) == (pytest.approx(y.mean()), 25)


def test_known_components_are_covered_as_often_as_stated():
    share = 0.5**2 / (0.5**2 + 2.0**2 / (40 * 32))
    found = [split(*layout(seed)) for seed in range(200)]
    inside = np.mean([f.share.lower <= share <= f.share.upper for f in found])
    assert 0.90 <= inside <= 0.99
    assert np.mean([f.between**2 for f in found]) == pytest.approx(0.25, rel=0.06)
    widths = [f.parameters.upper - f.parameters.lower for f in found]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 0.5, rel=0.12)


def test_no_parameter_effect_has_no_share():
    y, label = layout(3, between=0.0)
    found = split(y, label)
    assert found.share.lower == 0.0 and found.parameters.upper - found.parameters.lower < 0.5


def test_order_and_uneven_sets_do_not_matter_to_the_reading():
    y, label = layout(4, sets=30, each=20)
    kept = np.random.default_rng(0).permutation(len(y))[:431]
    one, other = split(y[kept], label[kept]), split(y[np.sort(kept)], label[np.sort(kept)])
    assert one.between == pytest.approx(other.between) and one.share.lower == pytest.approx(other.share.lower)
    assert 0.2 < one.between < 1.0


def test_few_sets_are_not_resolved_and_one_is_refused():
    y, label = layout(5, sets=FEWEST_SETS - 1)
    assert not split(y, label).parameters.resolved and split(y, label).share.resolved
    with pytest.raises(ValueError, match="variance components"):
        split(y, np.zeros(len(y)))


def test_numbers_that_never_vary_are_left_out():
    y, label = layout(6)
    assert list(components({"a": y, "flat": np.ones(len(y))}, label)) == ["a"]
