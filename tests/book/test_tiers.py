"""Tier tables against published examples (shared/worked-examples.md W-HL-4, W-BN-2) and their own identities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrisk.book.tiers import initial_margin, largest_notional, maintenance_margin, tier_arrays, tier_index
from mcrisk.config.venue import Margin
from mcrisk.errors import InputError

from .venues import margin


def table(rows, **kind) -> Margin:
    return Margin.model_validate(margin(rows, **kind))


def test_hyperliquid_btc_and_eth():
    btc = table([(150e6, 1 / 40, 0.0125), (None, 1 / 20, 0.025)], mode="marginal")
    tiers = tier_arrays(btc)
    assert tiers.deduction[1] == pytest.approx(1_875_000)
    assert maintenance_margin(btc, tiers, 200e6, 1.0) == pytest.approx(3_125_000)
    eth = table([(100e6, 0.04, 0.02), (None, 1 / 15, 1 / 30)], mode="marginal")
    assert maintenance_margin(eth, tier_arrays(eth), -120e6, 1.0) == pytest.approx(2_666_666.67, abs=0.01)


def test_binance_ada():
    ada = table(
        [
            (100e3, 0.05, 0.025),
            (500e3, 0.1, 0.05),
            (1e6, 0.2, 0.1),
            (2e6, 0.3, 0.15),
            (5e6, 0.5, 0.25),
            (None, 1.0, 0.5),
        ],
        mode="marginal",
    )
    tiers = tier_arrays(ada)
    assert np.allclose(tiers.deduction, [0, 2_500, 27_500, 77_500, 277_500, 1_527_500])
    assert maintenance_margin(ada, tiers, 750_000 / 0.4, 0.4) == pytest.approx(47_500)


def test_whole_position_by_contracts():
    okx = table([(2000, 0.1, 0.05), (17000, 0.2, 0.1), (None, 0.5, 0.2)], by="contracts")
    tiers = tier_arrays(okx, kmax=5)
    quantity = np.array([2000.0, 2000.1, 15_000, 17_001]) * 0.1  # contract of 0.1 units
    assert maintenance_margin(okx, tiers, quantity, 50.0, 0.1) == pytest.approx(quantity * 50 * [0.05, 0.1, 0.1, 0.2])
    assert initial_margin(okx, tiers, -quantity, 50.0, 0.1) == pytest.approx(quantity * 50 * [0.1, 0.2, 0.2, 0.5])


def test_marginal_by_contracts_is_continuous_in_money():
    rows = table([(100, 0.1, 0.05), (None, 0.2, 0.1)], by="contracts", mode="marginal")
    tiers = tier_arrays(rows)
    below, above = maintenance_margin(rows, tiers, np.array([1000.0, 1000.0001]), 7.0, 10.0)
    assert below == pytest.approx(350) and above == pytest.approx(below, rel=1e-5)


def test_padding_changes_nothing():
    rows = table([(1e4, 0.1, 0.05), (1e5, 0.2, 0.1), (None, 0.5, 0.2)], mode="marginal")
    plain, padded = tier_arrays(rows), tier_arrays(rows, kmax=8)
    notional = np.array([0.0, 1.0, 1e4, 1e4 + 1, 5e4, 1e5, 1e6, 1e12])
    assert len(padded.lower_edge) == 8 and np.all(np.isinf(padded.lower_edge[3:]))
    assert np.array_equal(
        maintenance_margin(rows, plain, notional, 1.0), maintenance_margin(rows, padded, notional, 1.0)
    )
    with pytest.raises(InputError, match="3 margin tiers"):
        tier_arrays(rows, kmax=2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0.001, 0.2)), min_size=1, max_size=8, unique_by=lambda t: t[0]))
def test_marginal_table_is_the_upper_envelope_of_its_lines(cells):
    edges, rates = sorted(e for e, _ in cells), sorted(r for _, r in cells)
    rows = table([(e, 1.0, r) for e, r in zip(edges[:-1], rates)] + [(None, 1.0, rates[-1])], mode="marginal")
    tiers = tier_arrays(rows)
    sizes = np.r_[0.5, np.array(edges) * 0.99, np.array(edges), np.array(edges) * 1.01, 1e8]
    direct = maintenance_margin(rows, tiers, sizes, 1.0)
    envelope = np.max(sizes[:, None] * tiers.maintenance - tiers.deduction, axis=1)
    assert np.allclose(direct, envelope, rtol=1e-9)


def test_an_upper_end_belongs_to_its_tier_and_limits_combine():
    rows = table([(1000, 0.5, 0.1), (5000, 1.0, 0.2)], position_limit=8000.0)
    assert list(tier_index(tier_arrays(rows), [0, 1000, 1000.01, 9e9])) == [0, 0, 1, 1]
    assert largest_notional(rows, 1.0) == 5000
    assert largest_notional(table([(100, 0.5, 0.1)], by="contracts"), 20.0, 0.5) == 1000
    assert largest_notional(table([(None, 0.5, 0.1)]), 20.0) == np.inf
