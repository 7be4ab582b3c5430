"""Random streams, price models, life cycle and time grid: everything exogenous to a venue.

`params` reads the configs; `draw_plan` says what happens on a path; `start` and `advance` make its rows.
"""

from mcrisk.paths.build import params, stack
from mcrisk.paths.grid import Clock, clock, event_step, grid_tables, times_numpy, zoom_offsets
from mcrisk.paths.lifecycle import Forced, Plan, draw_plan, share_zoom, zoom_time
from mcrisk.paths.liquidity import consume, rescale
from mcrisk.paths.market import advance, start
from mcrisk.paths.params import NEVER, PathParams
from mcrisk.paths.philox import Purpose, StreamKeys, split_path, stream_key, stream_keys
from mcrisk.paths.proposal import Draw, Proposal
from mcrisk.paths.script import Script, Steering, open_steering, points_of, steer
from mcrisk.paths.state import Draws, Hints, PathState, draws, draws_of

__all__ = [
    "NEVER",
    "Clock",
    "Draw",
    "Draws",
    "Forced",
    "Hints",
    "PathParams",
    "PathState",
    "Plan",
    "Proposal",
    "Purpose",
    "Script",
    "Steering",
    "StreamKeys",
    "advance",
    "clock",
    "consume",
    "draw_plan",
    "draws",
    "draws_of",
    "event_step",
    "grid_tables",
    "open_steering",
    "params",
    "points_of",
    "rescale",
    "share_zoom",
    "split_path",
    "stack",
    "start",
    "steer",
    "stream_key",
    "stream_keys",
    "times_numpy",
    "zoom_offsets",
    "zoom_time",
]
