"""The time grid: coarse – fine around a path's main event – coarse, with the same number of steps on every path.

The time of a step is affine in the path's event time T: time = a[step] · T + b[step], so the tables are shared by all
paths. Before the zoom a rises from 0 to 1, inside it a = 1 and b is the time relative to the event, after it a falls
back to 0 and b reaches the horizon. Both ends and the event itself are exact: step 0 is time 0, the event's step is T,
the last step is the horizon, to the bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from mcrisk.config.scenario import Grid


class GridTables(NamedTuple):
    """Arrays [steps + 1]; seconds."""

    slope: Any
    offset: Any


def zoom_offsets(grid: Grid) -> np.ndarray:
    """Times of the fine steps relative to the event, from −pre_window to +post_window; contains 0. [fine steps + 1]"""
    times = [0.0]
    for segment in grid.event:
        start = times[-1]
        times += [start + segment.duration * (k + 1) / segment.steps for k in range(segment.steps)]
    early = [0.0]
    for segment in reversed(grid.approach):
        start = early[-1]
        early += [start - segment.duration * (k + 1) / segment.steps for k in range(segment.steps)]
    return np.array(early[:0:-1] + times)


def event_step(grid: Grid) -> int:
    """The step at which every path's main event falls."""
    return grid.before + sum(segment.steps for segment in grid.approach)


def grid_tables(grid: Grid) -> GridTables:
    """Slope and offset of every step's time in the event time."""
    rise = np.arange(grid.before) / grid.before
    fall = np.arange(1, grid.after + 1) / grid.after
    zoom = zoom_offsets(grid)
    slope = np.concatenate([rise, np.ones(zoom.size), 1.0 - fall])
    offset = np.concatenate([rise * zoom[0], zoom, (1.0 - fall) * zoom[-1] + fall * grid.horizon])
    return GridTables(slope, offset)


class Clock(NamedTuple):
    """Where a row stands in time; seconds."""

    time: Any  # since the start
    dt: Any  # since the previous row; 0 in row 0
    utc: Any  # since the epoch
    next: Any  # time of the next row; the last row names itself


def clock(params: Any, event_time: Any, step: Any) -> Clock:
    """The clock of a step 0 … grid.steps, shared by the lanes; `event_time` is the one the path zooms on."""
    slope, offset = (jnp.asarray(table) for table in params.grid)
    last = slope.shape[-1] - 1
    earlier, later = step - (step > 0), step + (step < last)
    time = slope[step] * event_time + offset[step]
    before = slope[earlier] * event_time + offset[earlier]
    after = slope[later] * event_time + offset[later]
    return Clock(time, time - before, params.calendar.epoch + time, after)


def times_numpy(grid: Grid, event_time: np.ndarray) -> np.ndarray:
    """Times of all steps for host-side use, [..., steps + 1]."""
    tables = grid_tables(grid)
    return np.asarray(event_time)[..., None] * tables.slope + tables.offset
