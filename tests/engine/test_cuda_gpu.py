"""The CUDA backend on a device: parity with native and JAX, independence of grouping. Needs a GPU and CuPy (`-m gpu`)."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from mcrisk.engine import build, simulate
from mcrisk.engine.cuda import device
from tests.engine.test_native_cells import COUNTS, MONEY, VENUES, simulator

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(device.missing() is not None, reason=str(device.missing()))]


def assert_within_contract(venue: str, scenario: str, other: str) -> None:
    """Equal counts on 99.9 % of the paths, money to 1e-6 of Σ collateral on those."""
    sim = simulator(venue, scenario)
    one, two = (simulate.summarize(sim, build.run_lanes(sim.cell, 0, 256, None, False, name), 256)[0] for name in ("cupy", other))
    same = np.all([one[name] == two[name] for name in COUNTS], axis=0)
    assert same.mean() >= 0.999
    scale = float(np.sum(np.asarray(sim.cell.ref.collateral)))
    for name in MONEY:
        assert (np.abs(one[name] - two[name])[same] / scale).max() < 1e-6, name
    assert one["conservation_residual"].max() < 1e-12


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("scenario", ["baseline", "combined"])
def test_parity_with_native(venue, scenario):
    assert_within_contract(venue, scenario, "native")


def test_parity_with_jax():
    assert_within_contract("kraken-preipo", "combined", "jax")


def test_a_path_does_not_depend_on_its_group():
    cell = simulator("kraken-preipo", "valuation_reset").cell
    whole = build.run_lanes(cell, 0, 300, None, False, "cupy")
    part = build.run_lanes(cell, 100, 77, None, False, "cupy")
    for a, b in zip(jax.tree.leaves(whole.carry), jax.tree.leaves(part.carry), strict=True):
        np.testing.assert_array_equal(np.asarray(a)[100:177], b)


def test_a_run_takes_the_device():
    sim = simulator("kraken-preipo", "combined", "execution.backend=cupy")
    native = simulator("kraken-preipo", "combined").block(0, 64)
    np.testing.assert_array_equal(sim.block(0, 64).paths["event_label"], native.paths["event_label"])
