"""Weighted cells against plain ones: the same expectations, the same bits where nothing is tilted, prefixes, backends.

Each method is compared with 2,048 plain paths at 5 standard errors (a false alarm in 1.7 million); the seed is fixed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from mcrisk.config.load import load_config
from mcrisk.engine import backends, records, simulate
from mcrisk.engine.native.compile import find_compiler
from mcrisk.risk.weighted import Plain, Weighted, effective

BACKEND = "native" if find_compiler() else "jax"
GRID = (
    "grid={name: short, horizon: 30d, before: 10, approach: [{duration: 1h, steps: 3}],"
    " event: [{duration: 10min, steps: 5}, {duration: 47h, steps: 12}], after: 8}"
)
EVERYTHING = "{sampling: sobol, replicates: 16, events: {share: 0.5}, jumps: {factor: 3, stretch: 2}}"
METHODS = {
    "everything": EVERYTHING,
    "upfront": "{events: {branches: {cancel: 0.3}, feed_error: 0.3}, sizes: {}, times: {towards: early}}",
    "jumps": "{jumps: {factor: 3, stretch: 2}}",
    "net": "{sampling: sobol, replicates: 16}",
    "stratified": "{sampling: stratified, replicates: 16, events: {share: 0.6}}",
}
SHARES = (0.67, 0.20, 0.06, 0.06, 0.01)  # of the branches in `combined`, near


def cell(wish="{}", backend=BACKEND):
    config = load_config("quickstart", [
        "venues=[kraken-preipo]", "scenarios=[combined]", "book.accounts=40", f"execution.backend={backend}",
        "execution.lane_paths=32", "execution.block_paths=32", GRID, f"variance_reduction={wish}",
    ])  # fmt: skip
    return simulate.simulator(simulate.prepare(config, "kraken-preipo", "combined"))


@lru_cache
def block(wish="{}", count=1024, first=0):
    return cell(wish).block(first, count)


def plain_paths():
    """Others than those that are drawn differently: independent of them, of the same book."""
    return block("{}", 2048, 1 << 20).paths


def mean_and_error(values, paths, nets=0):
    weight = paths["weight"]
    of = Weighted(weight, np.arange(weight.size) % nets if nets else None)
    found = of.mean_influence(np.asarray(values, float))
    return float(weight @ values / weight.sum()), np.sqrt(of._variance(found))


@pytest.mark.slow
def test_what_is_known_comes_out():
    drawn = block(EVERYTHING).paths
    of = Weighted(drawn["weight"], np.arange(1024) % 16)
    for branch, share in enumerate(SHARES):
        found, error = mean_and_error(drawn["event_label"] == branch, drawn, 16)
        assert abs(found - share) <= 5 * error + 1e-12
        raised = (drawn["event_label"] == branch).mean()
        assert raised == pytest.approx(0.5 if branch == 0 else 0.5 * share / 0.33, abs=0.02)
    weight = drawn["weight"]
    assert abs(weight.mean() - 1.0) <= 5 * np.sqrt(of._variance((weight - weight.mean()) / 1024)) + 1e-12
    assert drawn["conservation_residual"].max() < 1e-9 and effective(weight) > 300


@pytest.mark.slow
@pytest.mark.parametrize("wish", METHODS.values(), ids=METHODS)
def test_expectations_are_those_of_plain_paths(wish):
    plain, drawn = plain_paths(), block(wish).paths
    nets = 16 if "sampling" in wish else 0
    assert abs(drawn["weight"].mean() - 1.0) <= 5 * drawn["weight"].std() / np.sqrt(1024) + 1e-12
    assert effective(drawn["weight"]) > 100
    measures = {
        "lost": lambda p: np.isfinite(p["depletion_time"]).astype(float),
        "liquidated": lambda p: p["liquidated_notional"],
        "need": lambda p: np.minimum(p["fund_need"], 2e6),
        "gap": lambda p: p["mark_index_gap"],
        "reset": lambda p: (p["event_label"] == 2).astype(float),
        "stages": lambda p: p["account_stages"].astype(float),
        "mark": lambda p: np.minimum(np.log(p["terminal_mark"]), 10.0),
    }
    for name, of in measures.items():
        (a, spread), (b, other) = mean_and_error(of(drawn), drawn, nets), mean_and_error(of(plain), plain)
        assert abs(a - b) <= 5 * np.hypot(spread, other) + 1e-12, (name, a, b, spread, other)
    assert drawn["conservation_residual"].max() < 1e-9


@pytest.mark.slow
def test_what_is_not_tilted_has_the_bits_of_a_plain_run():
    plain, neutral = block(count=64), block("{events: {share: 0.01}}", 64)  # events are not rarer than that
    for name, values in plain.paths.items():
        np.testing.assert_array_equal(values, neutral.paths[name], err_msg=name)
    assert plain.accounts["liquidated"].max() <= 64
    np.testing.assert_array_equal(plain.accounts["liquidated"] * records.UNIT, neutral.accounts["liquidated"])
    np.testing.assert_array_equal(plain.bands["mark"] * records.UNIT, neutral.bands["mark"])


@pytest.mark.parametrize("wish", [pytest.param(w, marks=() if w == EVERYTHING else pytest.mark.slow) for w in METHODS.values()],
                         ids=METHODS)  # fmt: skip
def test_a_short_run_is_the_beginning_of_a_long_one(wish):
    whole, sim = block(wish), cell(wish)
    part = sim.block(33, 40)  # begins and ends inside lane groups
    for name, values in part.paths.items():
        np.testing.assert_array_equal(values, whole.paths[name][33:73], err_msg=name)


def test_sums_of_weights_are_exact_and_belong_to_the_paths():
    whole = block(EVERYTHING, 256)
    parts = [cell(EVERYTHING).block(first, n) for first, n in ((0, 32), (32, 160), (192, 64))]
    for name in ("liquidated", "liquidated_squares", "deleveraged", "pnl_histogram"):
        np.testing.assert_array_equal(whole.accounts[name], sum(part.accounts[name] for part in parts))
    for name, counts in whole.bands.items():
        np.testing.assert_array_equal(counts, sum(part.bands[name] for part in parts))
        assert (counts.sum(axis=1) == records.in_units(whole.paths["weight"]).sum()).all()
    weight = whole.paths["weight"]
    known = weight @ whole.paths["liquidated_accounts"]
    assert whole.accounts["liquidated"].sum() / records.UNIT == pytest.approx(known, rel=1e-6)
    assert whole.accounts["pnl_histogram"].sum(axis=1)[0] == records.in_units(weight).sum()


@pytest.mark.slow
@pytest.mark.skipif("native" not in backends.available(), reason="no compiler here")
@pytest.mark.parametrize("wish", METHODS.values(), ids=METHODS)
def test_backends_draw_the_same_paths(wish):
    one, other = (cell(wish, backend).block(0, 64).paths for backend in ("native", "jax"))
    for name in ("event_label", "event_time", "event_jump"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)
    np.testing.assert_allclose(one["weight"], other["weight"], rtol=1e-9)
    same = (one["liquidated_accounts"] == other["liquidated_accounts"]).mean()
    assert same >= 0.98


@pytest.mark.slow
def test_rare_events_are_known_better():
    """Cancellation, one path in a hundred: drawn on three in ten, what it does costs fewer paths."""
    plain, drawn = plain_paths(), block(METHODS["upfront"]).paths
    hit = lambda p: (p["liquidated_accounts"] > 0) & (p["event_label"] == 4)  # noqa: E731
    p, q = Plain().probability(hit(plain)), Weighted(drawn["weight"]).probability(hit(drawn))
    assert q.lower <= p.upper and p.lower <= q.upper
    assert 4 * (q.upper - q.lower) ** 2 * 1024 < (p.upper - p.lower) ** 2 * 2048
