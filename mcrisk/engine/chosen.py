"""What is decided about the paths of a lane group before they start: forced jumps, scripts of variance reduction, weights."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from mcrisk import paths as model
from mcrisk.config.run import RunConfig


def proposal_of(config: RunConfig, cell: Any) -> model.Proposal | None:
    """How the paths of a cell (`engine.trip.Cell`) are drawn; None for plain Monte Carlo."""
    wish = config.variance_reduction
    if not wish.active:
        return None
    params, keys = jax.tree.map(np.asarray, cell.params), jax.tree.map(np.asarray, cell.streams)
    return model.Proposal(wish, params, config.grid, keys.company, keys.venue, int(keys.common))


def chosen_lanes(first_path: int, lanes: int, forced: Any, drawn: model.Draw | None = None) -> model.Forced:
    """Paths [first_path, first_path + lanes) as NumPy arrays [lanes]. `forced`: `simulate.ForcedJumps` or None."""
    number = np.uint64(first_path) + np.arange(lanes, dtype=np.uint64)
    jumps = np.array(forced.jumps if forced is not None else (0.0,), np.float64)
    jump = jumps[(number % np.uint64(len(jumps))).astype(np.int64)]
    return model.Forced(np.full(lanes, forced is not None), jump, None if drawn is None else drawn.script)


def weighed(out: Any, proposal: model.Proposal | None, drawn: model.Draw | None) -> Any:
    """A lane result with the paths' weights in place of the density ratio of raised jumps."""
    return out if proposal is None else out._replace(weight=proposal.weights(drawn, out.weight))
