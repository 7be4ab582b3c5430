"""Shipped price, liquidity, feed, grid and scenario files load, build on each other, and name their sources."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from pydantic import ValidationError

from mcrisk import paths
from mcrisk.config import catalog
from mcrisk.config.load import load_model, load_venue
from mcrisk.config.scenario import Branches, FeedModel, Grid, Liquidity, NormalLaw, PriceModel, Provenance, Scenario

KINDS = {"prices": PriceModel, "liquidity": Liquidity, "feeds": FeedModel, "grids": Grid, "scenarios": Scenario}
SHIPPED = {
    "prices": {"near", "far", "token"},
    "liquidity": {"made", "thin"},
    "feeds": {"published", "continuous", "stale"},
    "grids": {"default", "fine", "coarse"},
    "scenarios": {"baseline", "ipo_delay", "valuation_reset", "cancellation", "feed_error", "squeeze", "combined"},
}
FILES = [(kind, name) for kind, names in SHIPPED.items() for name in sorted(names)]
# Fields whose numbers need no source: names, switches that shape a scenario, bookkeeping of the grid.
FREE = (
    "name",
    "label",
    "company",
    "provenance",
    "probability_horizon",
    "horizon",
    "before",
    "approach",
    "after",
    "feed",
    "recipe",
    "halt",
    "draws",  # written by `mcrisk fit` from a user's candles; empty in what ships
)


@pytest.mark.parametrize("kind, name", FILES)
def test_files_load_and_are_named_like_their_file(kind, name):
    model = load_model(KINDS[kind], kind, name)
    assert getattr(model, "name") == name
    assert model.provenance, "every file says where its numbers come from"


@pytest.mark.parametrize("kind", KINDS)
def test_the_list_of_shipped_files_is_complete(kind):
    assert set(catalog.names(kind)) == SHIPPED[kind]


@pytest.mark.parametrize("kind, name", FILES)
def test_provenance_points_at_fields_and_covers_them(kind, name):
    model = load_model(KINDS[kind], kind, name)
    noted = [note.field for note in model.provenance]
    for field in noted:
        node = model.model_dump()
        for step in field.split("."):
            assert isinstance(node, dict) and step in node, f"{name}: {field} is no field"
            node = node[step]
    for field in type(model).model_fields:
        if field not in FREE and not (kind == "feeds" and name == "continuous"):
            assert any(note == field or note.startswith(field + ".") for note in noted), (
                f"{name}: {field} has no source"
            )


def test_baseline_spells_out_the_defaults():
    shipped = load_model(Scenario, "scenarios", "baseline").model_dump(exclude={"provenance"})
    default = Scenario(name="baseline", label="Orderly course").model_dump(exclude={"provenance"})
    shipped["delay"]["venue_clock"] = {}
    assert shipped == default


def test_pure_scenarios_have_one_branch_and_combined_has_all():
    for name, branches in (
        ("ipo_delay", {"delay"}),
        ("cancellation", {"cancel"}),
        ("valuation_reset", {"reset_down", "reset_up"}),
        ("baseline", {"orderly"}),
        ("feed_error", {"orderly"}),
        ("squeeze", {"orderly"}),
    ):
        for table in load_model(Scenario, "scenarios", name).branches.values():
            assert {branch for branch, share in table.model_dump().items() if share > 0} == branches
    combined = load_model(Scenario, "scenarios", "combined")
    assert all(min(table.model_dump().values()) > 0 for table in combined.branches.values())


def test_default_grid_is_as_described():
    grid = load_model(Grid, "grids", "default")
    offsets = paths.zoom_offsets(grid)
    step = np.diff(offsets)
    assert grid.steps == 1248 and grid.horizon == 30 * 86400
    for until, longest in ((30, 1), (600, 5), (3600, 20), (10_800, 60), (21_600, 90)):
        assert step[(offsets[:-1] >= 0) & (offsets[:-1] < until - 1e-6)].max() <= longest + 1e-6
    assert offsets[-1] == 48 * 3600


@pytest.mark.parametrize("venue", catalog.names("venues"))
def test_parameters_of_every_venue_are_finite_and_of_one_shape(venue):
    profile = load_venue(venue)
    shapes = None
    for scenario in SHIPPED["scenarios"]:
        tree = paths.params(
            load_model(PriceModel, "prices", "token"),
            load_model(Liquidity, "liquidity", profile.liquidity),
            load_model(Scenario, "scenarios", scenario),
            load_model(FeedModel, "feeds", "published"),
            profile,
        )
        leaves, structure = jax.tree.flatten(tree)
        assert all(np.isfinite(leaf.astype(float)).all() for leaf in leaves)
        found = (structure, [(leaf.shape, leaf.dtype) for leaf in leaves])
        assert shapes in (None, found)
        shapes = found


def test_wrong_numbers_are_refused():
    with pytest.raises(ValidationError, match="sum to 0.9"):
        Branches(orderly=0.5, delay=0.4)
    with pytest.raises(ValidationError, match="needs a note"):
        Provenance(field="x", source="y", marker="assumption", assumption=True)
    with pytest.raises(ValidationError, match="practically none"):
        NormalLaw(law="truncated_normal", mean=0.0, sd=0.1, lo=2.0, hi=3.0)
    with pytest.raises(ValidationError, match="lacks far"):
        Scenario(name="x", label="x", branches={"near": Branches(), "token": Branches()})
    with pytest.raises(ValidationError, match="at least depth_1pct"):
        Liquidity(
            name="x",
            half_spread={"calm": 0.0, "event_multiplier": 1.0},
            depth_1pct=0.1,
            shape=1.0,
            total_depth=0.05,
            refill_half_life=60.0,
            permanent_share=0.0,
        )


def test_markets_with_other_kinds_cannot_be_stacked():
    def build(**changes):
        price = load_model(PriceModel, "prices", "near")
        price = PriceModel.model_validate(price.model_dump() | changes)
        return paths.params(
            price,
            load_model(Liquidity, "liquidity", "thin"),
            load_model(Scenario, "scenarios", "baseline"),
            load_model(FeedModel, "feeds", "published"),
            load_venue("kraken-preipo"),
        )

    assert paths.stack([build(), build()]).book.depth.shape == (2,)
    with pytest.raises(ValueError, match="share the kinds"):
        paths.stack([build(), build(volatility={"kind": "constant", "sigma": 0.5})])
