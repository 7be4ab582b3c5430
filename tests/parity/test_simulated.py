"""What holds on every simulated path, and that skipping quiet rows skips nothing: fast lanes equal their dense twins."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from mcrisk.config.load import load_config
from mcrisk.engine import simulate
from mcrisk.engine.build import run_lanes

from .given import VENUES

LANES = 32
SMALL = ("grid=coarse", "book.accounts=60", f"execution.lane_paths={LANES}", f"execution.block_paths={LANES}",
         "execution.backend=jax")  # fmt: skip
SCENARIOS = ("valuation_reset", "cancellation", "squeeze")
# one venue per ladder in every run; a venue costs two compilations of half a minute
QUICK = ("binance-preipo", "hyperliquid-hyperp", "kraken-preipo", "okx-prelaunch-futures")
ALL = [pytest.param(v, marks=() if v in QUICK else pytest.mark.slow) for v in VENUES]


@lru_cache
def lanes(venue: str, scenario: str, dense: bool):
    """(simulator, lane group, block result) of a small cell."""
    sim = simulate.simulator(simulate.prepare(load_config("quickstart", SMALL), venue, scenario))
    out = run_lanes(sim.cell, 0, LANES, None, dense)
    return sim, out, simulate.summarize(sim, out, LANES)


@pytest.mark.parametrize("venue", ALL)
def test_every_path_keeps_its_money_and_its_positions(venue):
    events = 0
    for scenario in SCENARIOS:
        sim, out, (paths, accounts, _) = lanes(venue, scenario, False)
        assert paths["conservation_residual"].max() <= 1e-9
        pool, size = out.carry.pool, float(np.abs(sim.book.quantity).sum())
        held = np.sum(out.accounts.quantity, axis=2) + np.sum(pool.inventory, axis=2) + pool.outside
        start = np.sum(sim.book.quantity, axis=0)
        assert np.abs(held - start).max() <= 1e-9 * size * max(1.0, float(np.max(out.carry.market.units)))
        if not sim.cell.rules.has_vault:
            assert np.min(pool.fund) >= 0.0
        closed = np.all(np.asarray(out.accounts.quantity) == 0.0, axis=1)
        owed = np.where(closed, np.maximum(-np.asarray(out.accounts.collateral), 0.0), 0.0).sum(axis=1)
        assert (owed <= paths["unpaid"] + 1e-9 * float(np.abs(sim.book.collateral).sum())).all()
        events += int(paths["liquidated_accounts"].sum())
    assert events > 0


@pytest.mark.parametrize("venue", ALL)
def test_fast_lanes_equal_their_dense_twins(venue):
    for scenario in SCENARIOS:
        sim, fast, (paths, sums, _) = lanes(venue, scenario, False)
        _, dense, (paths_dense, sums_dense, _) = lanes(venue, scenario, True)
        money = float(np.abs(sim.book.collateral).sum())
        for name in set(paths) - {"account_stages", "conservation_residual"}:
            np.testing.assert_allclose(paths[name], paths_dense[name], rtol=1e-9, atol=1e-9 * money, err_msg=f"{scenario} {name}")
        for name in ("liquidated", "deleveraged"):
            np.testing.assert_array_equal(getattr(fast.accounts, name), getattr(dense.accounts, name))
            np.testing.assert_array_equal(sums[name], sums_dense[name])
        assert paths["account_stages"].mean() < paths_dense["account_stages"].mean()
