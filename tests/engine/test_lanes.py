"""Lane groups on small cells: nothing copies the accounts of all lanes, results do not depend on grouping, several
markets with cross margin conserve money and equal the dense twin."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcrisk import paths as model
from mcrisk.config.load import load_config
from mcrisk.engine import build, records, simulate

SMALL = ("grid=coarse", "book.accounts=40", "execution.lane_paths=32", "execution.block_paths=32", "execution.backend=jax")
TWO_MARKETS = ("markets=[{name: one, prices: near}, {name: two, prices: near, initial_price: 80}]",)


@pytest.fixture(scope="module")
def kraken():
    config = load_config("quickstart", SMALL)
    return simulate.simulator(simulate.prepare(config, "kraken-preipo", "valuation_reset"))


@pytest.fixture(scope="module")
def crossed():
    config = load_config("quickstart", SMALL + TWO_MARKETS)
    return simulate.simulator(simulate.prepare(config, "okx-preipo-perp", "valuation_reset"))


def test_no_account_stage_copies_the_rows_of_all_lanes(kraken):
    """XLA must update [P, rows, A] in place: a copy of it inside a loop costs a pass over all lanes per event."""
    numbers = jnp.arange(32, dtype=jnp.uint64)
    forced = model.Forced(jnp.zeros(32, bool), jnp.zeros(32))
    text = jax.jit(build.simulate_lanes, static_argnames=("dense",)).lower(
        kraken.cell, numbers, numbers * 0, forced, dense=False).compile().as_text()
    rows = 3 * kraken.cell.ref.quantity.shape[0] + 5
    shape = re.escape(f"f64[32,{rows},40]")
    computations = re.split(r"\n(?=(?:ENTRY )?%?[\w.\-]+ \()", text)
    inner = [c for c in computations if not c.startswith("ENTRY")]
    assert any(re.search(shape + r"\S* (?:fusion|dynamic-update-slice)\(", c) for c in inner), "the rows are updated somewhere"
    assert not [c[:80] for c in inner if re.search(shape + r"\S* copy\(", c)]


def test_a_path_does_not_depend_on_the_block_that_asks_for_it(kraken):
    whole, parts = kraken.block(0, 64), [kraken.block(0, 32), kraken.block(32, 32)]
    for name, values in whole.paths.items():
        joined = np.concatenate([part.paths[name] for part in parts])
        assert values.tobytes() == joined.tobytes(), name


def test_forced_jumps_replace_the_drawn_reset(kraken):
    jumps = (float(np.log(0.5)), float(np.log(2.0)))
    forced = kraken.block(0, 32, simulate.ForcedJumps(jumps))
    np.testing.assert_allclose(forced.paths["event_jump"], np.tile(jumps, 16))
    assert set(forced.paths["event_label"]) == {2, 3}


def test_the_clock_of_the_cascade_ends_at_the_totals_of_its_paths(kraken):
    """Snapshots accumulate to the per-path totals, and the bands count each path once, whatever the grouping."""
    out = build.run_lanes(kraken.cell, 0, 32, simulate.ForcedJumps((float(np.log(0.4)),)))
    paths, _, bands = simulate.summarize(kraken, out, 32)
    for name in ("liquidated", "adl"):
        rows = np.asarray(getattr(out.snapshots, name))
        assert (np.diff(rows, axis=0) >= 0.0).all()
        np.testing.assert_array_equal(rows[-1], paths[f"{name}_notional"])
        steps = simulate.band_steps(kraken.task.config)
        by_hand = (rows[steps] - rows[steps[0] - 1]) / kraken.task.config.venues[0].contract.open_interest
        edges = records.band_edges(name)
        for counts, values in zip(bands[name], by_hand):
            np.testing.assert_array_equal(counts, np.histogram(values, edges)[0])
    paid = np.cumsum(np.asarray(out.snapshots.rate), axis=0)
    by_hand = np.histogram(paid[steps[-1]] - paid[steps[0] - 1], records.band_edges("funding"))[0]
    np.testing.assert_array_equal(bands["funding"][-1], by_hand)
    assert np.asarray(out.snapshots.adl)[-1].max() > 0.0, "a fall by 60 % leads to ADL"
    whole, more = kraken.block(0, 64, simulate.ForcedJumps((float(np.log(0.4)),))), kraken.block(
        32, 32, simulate.ForcedJumps((float(np.log(0.4)),)))
    for name, counts in bands.items():
        np.testing.assert_array_equal(counts + more.bands[name], whole.bands[name], err_msg=name)


def test_two_markets_with_cross_margin_conserve_money(crossed):
    assert (crossed.book.quantity != 0).all(axis=1).any(), "the book has cross-margined accounts in both markets"
    found = crossed.block(0, 32)
    assert found.paths["liquidated_accounts"].max() > 0
    assert found.paths["conservation_residual"].max() < 1e-9


def test_two_markets_equal_their_dense_twin(crossed):
    fast, dense = crossed.block(0, 32), crossed.block(0, 32, dense=True)
    money = float(np.abs(crossed.book.collateral).sum())
    assert fast.paths["account_stages"].mean() < 0.9 * dense.paths["account_stages"].mean()
    for name in set(fast.paths) - {"account_stages", "conservation_residual"}:
        np.testing.assert_allclose(fast.paths[name], dense.paths[name], rtol=1e-9, atol=1e-9 * money, err_msg=name)
    np.testing.assert_array_equal(fast.accounts["liquidated"], dense.accounts["liquidated"])
    np.testing.assert_array_equal(fast.accounts["deleveraged"], dense.accounts["deleveraged"])
