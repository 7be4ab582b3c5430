"""The bridge to engine and risk room, without computing a path: axes, further cells, tables made from stored cells."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

from mcrisk.config.load import load_config
from mcrisk.runs import bridge, extras
from mcrisk.runs.session import plan_of

VENUES = ("kraken-preipo", "binance-preipo")


@pytest.fixture(scope="module")
def config():
    return load_config("quickstart", [f"venues=[{', '.join(VENUES)}]", "book.accounts=60"])


@pytest.fixture(scope="module")
def plan(config):
    return plan_of(config, bridge.engine_for(config))


def test_a_real_run_can_be_planned(config, plan):
    assert plan.venues == VENUES and len(plan.scenarios) == 7 and plan.paths == config.paths
    assert len(plan.layout.fields) >= 15
    assert plan.layout.accounts == 60 and len(set(plan.layout.account_ids[VENUES[0]])) == 60
    assert len(plan.layout.band_times) <= 128 and (np.diff(plan.layout.band_times) > 0).all()
    for edges in (plan.layout.pnl_edges[VENUES[0]], *(e[VENUES[0]] for e in plan.layout.band_edges.values())):
        assert (np.diff(edges) > 0).all() and np.isfinite(edges[1:-1]).all()


def test_account_facts_describe_the_book(plan):
    facts = {name: by_venue[VENUES[0]] for name, by_venue in plan.layout.account_facts.items()}
    assert set(np.unique(facts["side"])) <= {-1.0, 0.0, 1.0}
    assert (facts["notional"] > 0).any() and (facts["leverage"][np.isfinite(facts["leverage"])] >= 0).all()


def test_every_assumption_has_a_variant_that_differs(config, plan):
    tags = {v.name for v in plan.variants}
    assert {"break-even down", "break-even up"} <= tags
    for item in extras.ASSUMPTIONS:
        ends = [v for v in plan.variants if v.name in (f"{item.name} low", f"{item.name} high")]
        assert ends and all(v.config != config for v in ends), item.name
        assert all(v.config.seed == config.seed for v in ends)
        assert all([s.name for s in v.config.scenarios] == [s.name for s in config.scenarios] for v in ends)


def test_changed_configs_are_valid(config, plan):
    for variant in plan.variants:
        if variant.config is not None:
            assert type(config).model_validate(variant.config.model_dump(mode="json")).paths == config.paths


def test_feed_recipes_concern_only_venues_with_a_feed(plan):
    assert next(v.venues for v in plan.variants if v.name == "index recipe low") == ("kraken-preipo",)
    assert next(v.venues for v in plan.variants if v.name == "fund low") == VENUES


def test_cells_can_be_switched_off(config):
    off = config.model_copy(update={"assumption_strip": False, "break_even": False})
    assert extras.variants(off) == ()


def test_forced_jumps_cross_process_borders(plan):
    forced = next(v.forced for v in plan.variants if v.name == "break-even up")
    assert pickle.loads(pickle.dumps(forced)) == forced
    np.testing.assert_allclose(np.expm1(forced.jumps), extras.UP)


def stored(gone: dict[str, np.ndarray], venues: int = 1) -> xr.Dataset:
    """/variants as the store has it, from whether the fund was gone on each path of each variant; one scenario."""
    names, longest = list(gone), max(len(g) for g in gone.values())
    value = np.full((len(names), venues, 1, 1, longest), np.nan)
    for row, flags in zip(value, gone.values()):
        row[:, 0, 0, : len(flags)] = np.where(flags, 100.0, np.nan)
    dims = ("variant", "venue", "scenario", "field", "path")
    return xr.Dataset(
        {
            "value": (dims, value),
            "paths": (("variant",), [len(g) for g in gone.values()]),
            "ran": (dims[:3], np.ones(value.shape[:3], bool)),
        },
        {"variant": names, "venue": [f"v{i}" for i in range(venues)], "field": ["depletion_time"]},
    )


def test_break_even_is_where_half_the_paths_lose_the_fund():
    sizes = len(extras.DOWN)
    path = np.arange(40 * sizes)
    down, up = (path % sizes) >= 6, np.zeros(len(path), bool)  # falls from 36 % on empty the fund, no rise does
    table = extras.summaries(stored({"break-even down": down, "break-even up": up}), xr.Dataset(), None)["break_even"]
    fall = table.sel(direction="down").isel(venue=0)
    assert -0.36 <= float(fall["lower"]) <= float(fall["estimate"]) <= float(fall["upper"]) < -0.25
    assert np.isnan(float(table.sel(direction="up").isel(venue=0)["estimate"]))


def test_the_strip_takes_differences_path_by_path():
    base, high = np.arange(400) % 10 == 0, np.arange(200) % 5 == 0
    times = np.where(base, 5.0, np.nan)[None, None, :]
    paths = xr.Dataset(
        {"depletion_time": (("venue", "scenario", "path"), times)}, {"venue": ["v0"], "scenario": ["combined"]}
    )
    table = extras.summaries(stored({"fund high": high}), paths, None)["strip"].isel(venue=0).sel(assumption="fund")
    assert float(table["value"].sel(level="high")) == pytest.approx(0.2)
    assert float(table["difference"].sel(level="high")) == pytest.approx(0.1)
    assert float(table["lower"].sel(level="high")) > 0.05
    assert float(table["difference"].sel(level="low")) == 0.0 and float(table["value"].sel(level="low")) == 0.1
