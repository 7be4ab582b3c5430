"""The time grid: exact ends, exact event, increasing, the same number of steps everywhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mcrisk import paths
from mcrisk.config.load import load_model
from mcrisk.config.scenario import Grid, Segment

from .worlds import SHORT, params

GRIDS = [load_model(Grid, "grids", name) for name in ("default", "fine", "coarse")] + [SHORT]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_horizon_and_event_are_exact(grid):
    p = params(grid=grid)
    events = np.linspace(grid.pre_window, grid.horizon - grid.post_window, 37) + np.pi * 1e-3
    events = np.clip(events, grid.pre_window, grid.horizon - grid.post_window)
    steps = jnp.arange(grid.steps + 1)
    clock = jax.jit(jax.vmap(lambda t: jax.vmap(lambda k: paths.clock(p, t, k))(steps)))(jnp.asarray(events))
    time, dt = np.asarray(clock.time), np.asarray(clock.dt)
    assert (time[:, 0] == 0).all() and (dt[:, 0] == 0).all()
    assert (time[:, -1] == grid.horizon).all()
    assert (time[:, paths.event_step(grid)] == events).all()
    assert (np.diff(time, axis=1) > -1e-9).all()
    np.testing.assert_allclose(dt.sum(axis=1), grid.horizon, rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(clock.next)[:, :-1], time[:, 1:])
    np.testing.assert_allclose(paths.times_numpy(grid, events), time, rtol=1e-15, atol=1e-9)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_every_event_leaves_room_for_the_zoom(grid):
    p = params(grid=grid).plan
    assert grid.pre_window <= p.window_start
    assert p.window_start + p.window_length <= grid.horizon - grid.post_window


def test_fine_grid_is_the_default_with_every_step_around_the_event_halved():
    default, fine = GRIDS[:2]
    np.testing.assert_allclose(paths.zoom_offsets(fine)[::2], paths.zoom_offsets(default), rtol=1e-14, atol=1e-9)
    assert default.steps == 1248 and (fine.before, fine.after) == (default.before, default.after)


def test_zoom_offsets_contain_the_event():
    for grid in GRIDS:
        offsets = paths.zoom_offsets(grid)
        assert offsets[0] == -grid.pre_window and offsets[-1] == grid.post_window and 0.0 in offsets
        assert (np.diff(offsets) > 0).all() and offsets.size == grid.steps - grid.before - grid.after + 1


@given(st.floats(3.1 * 86400, 60 * 86400), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_any_horizon_and_event(horizon, before, after, where):
    grid = Grid(
        horizon=horizon,
        before=before,
        after=after,
        approach=(Segment(duration=700.0, steps=3),),
        event=(Segment(duration=100.0, steps=7), Segment(duration=172800.0, steps=2)),
    )
    event = grid.pre_window + where * (horizon - grid.post_window - grid.pre_window)
    times = paths.times_numpy(grid, np.array(event))
    assert times[0] == 0 and times[-1] == horizon and times[paths.event_step(grid)] == event
    assert (np.diff(times) > -1e-8).all() and times.size == grid.steps + 1


def test_a_zoom_longer_than_the_horizon_is_refused():
    with pytest.raises(ValidationError, match="lengthen the horizon"):
        Grid(horizon=86400.0)
