"""The native backend on whole cells: parity with JAX lanes, independence of grouping, one library per structure."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from mcrisk.config.load import load_config
from mcrisk.engine import backends, build, simulate
from mcrisk.engine.native import compile as compiler
from mcrisk.engine.native import run
from mcrisk.errors import InputError

SMALL = ("grid=coarse", "book.accounts=60", "paths=64")
TWO = ("markets=[{name: one, prices: near}, {name: two, prices: near, initial_price: 80}]",)
VENUES = ("kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures", "okx-premarket-perp",
          "okx-preipo-perp", "binance-premarket", "binance-preipo")
MONEY = ("bad_debt", "deficit_48h", "unpaid", "traders_loss", "liquidated_notional", "adl_notional", "adl_wealth",
         "settlement_cut", "latent_deficit", "fees", "winners_profit", "open_deficit")
COUNTS = ("liquidated_accounts", "adl_accounts", "event_label", "terminal_phase")

needs_compiler = pytest.mark.skipif(compiler.find_compiler() is None, reason="no C compiler")


def simulator(venue: str, scenario: str, *settings: str) -> simulate.Simulator:
    config = load_config("quickstart", (*SMALL, "execution.backend=native", *settings))
    return simulate.Simulator(simulate.prepare(config, venue, scenario))


def differing(venue: str, scenario: str, *settings: str) -> float:
    """Share of 64 paths whose counts differ from JAX's; on all others money agrees to 1e-6 of Σ collateral."""
    sim = simulator(venue, scenario, *settings)
    native = build.run_lanes(sim.cell, 0, 64, None, False, "native")
    lanes = build.run_lanes(sim.cell, 0, 64, None)
    for (place, a), b in zip(jax.tree.leaves_with_path(native), jax.tree.leaves(lanes), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), place
    one, two = simulate.summarize(sim, native, 64)[0], simulate.summarize(sim, lanes, 64)[0]
    same = np.all([one[name] == two[name] for name in COUNTS], axis=0)
    scale = float(np.sum(np.asarray(sim.cell.ref.collateral)))
    for name in MONEY:
        gap = np.abs(one[name] - two[name])[same] / scale
        assert gap.max() < 1e-6, (name, float(gap.max()))
    assert one["conservation_residual"].max() < 1e-12
    return 1.0 - float(np.mean(same))


@needs_compiler
@pytest.mark.parametrize("scenario", ["baseline", "combined"])
def test_parity_with_jax_lanes(scenario):
    assert differing("kraken-preipo", scenario) == 0.0


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("venue", VENUES)
def test_parity_of_every_venue(venue):
    for scenario in ("baseline", "valuation_reset", "combined"):
        assert differing(venue, scenario) == 0.0


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("venue", ["kraken-preipo", "okx-preipo-perp"])
def test_parity_with_two_markets(venue):
    assert differing(venue, "combined", *TWO) == 0.0


@needs_compiler
def test_a_path_does_not_depend_on_its_group():
    sim = simulator("kraken-preipo", "valuation_reset")
    whole = sim.block(0, 48).paths
    for first, n in ((0, 7), (7, 1), (8, 40)):
        part = sim.block(first, n).paths
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name][first:first + n], err_msg=name)


@needs_compiler
def test_dense_and_quiet_agree_and_dense_needs_no_other_library():
    sim = simulator("kraken-preipo", "baseline")
    sparse = sim.block(0, 16)
    before = compiler.compilations
    dense = sim.block(0, 16, dense=True)
    assert compiler.compilations == before
    assert np.all(dense.paths["account_stages"] > sparse.paths["account_stages"])
    np.testing.assert_array_equal(dense.paths["liquidated_accounts"], sparse.paths["liquidated_accounts"])


@needs_compiler
def test_forced_jumps():
    sim = simulator("kraken-preipo", "valuation_reset")
    out = sim.block(0, 6, simulate.ForcedJumps((-0.3, 0.2)))
    np.testing.assert_allclose(out.paths["event_jump"], [-0.3, 0.2] * 3)


@needs_compiler
def test_scenarios_and_parameters_share_one_library(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(run, "_programs", {})
    compiler.load.cache_clear()
    before = compiler.compilations
    jobs = [("baseline", ()), ("combined", ()), ("squeeze", ("venues.0.fund.initial=0.031",)),
            ("baseline", ("venues.0.liquidation.cut=0.12", "seed=5"))]
    for scenario, settings in jobs:
        simulator("kraken-preipo", scenario, *settings).block(0, 2)
    assert compiler.compilations == before + 1
    monkeypatch.setattr(run, "_programs", {})     # another process: plan and library come from the cache
    compiler.load.cache_clear()
    monkeypatch.setattr("mcrisk.engine.native.run.generate", lambda *_: pytest.fail("traced again"))
    simulator("kraken-preipo", "ipo_delay").block(0, 2)
    assert compiler.compilations == before + 1


def test_no_compiler_is_said_and_auto_falls_back(monkeypatch):
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert backends.resolve("auto") == "jax"
    assert backends.available() == ["jax"]
    with pytest.raises(InputError, match="C compiler"):
        backends.resolve("native")


def test_environment_names_compiler_and_flags():
    text = compiler.environment()
    assert "-ffp-contract=off" in text and "-ffast-math" not in text
