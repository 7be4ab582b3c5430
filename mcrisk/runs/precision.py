"""When may a run stop? After each batch every target is judged on the stored metrics, in every cell it concerns.

Batches are a fixed schedule: `paths`, then twice as many, rounded up to whole blocks, up to the largest `max_paths`.
Few looks at the data keep the intervals nearly honest; none depends on time, so an interrupted run ends where an
undisturbed one does, and its results are those of a run asked for that many paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr

from mcrisk.config.catalog import suggest
from mcrisk.config.target import Target
from mcrisk.errors import InputError


@dataclass(frozen=True)
class Standing:
    """How far one target is. `worst` is the cell farthest from it; its width is NaN when it has no interval."""

    wish: str
    held: bool
    cells: int
    cells_held: int
    worst: str
    worst_text: str
    max_paths: int

    def __str__(self) -> str:
        if self.held:
            return f"{self.wish}: holds in all {self.cells} cells"
        return f"{self.wish}: holds in {self.cells_held} of {self.cells} cells; farthest is {self.worst}, {self.worst_text}"

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def refuse_unknown(targets: Sequence[Target], names: Sequence[str]) -> None:
    """Raise InputError before anything is computed when a target names a metric that will not exist."""
    for target in targets:
        if names and target.metric not in names:
            raise InputError(
                f"the target's metric '{target.metric}' does not exist", "target.metric",
                f"allowed: {', '.join(names)}", suggest(target.metric, list(names)),
            )  # fmt: skip


def standings(targets: Sequence[Target], metrics: xr.Dataset) -> list[Standing]:
    """Every target judged on `/metrics` (dims venue, scenario, metric, bound)."""
    return [_standing(target, metrics["value"]) for target in targets]


def next_batch(paths: int, block_paths: int, found: Sequence[Standing]) -> int | None:
    """Paths of the next batch, or None when all targets hold or those that do not have had their `max_paths`."""
    limit = max((standing.max_paths for standing in found if not standing.held), default=0)
    if paths >= limit:
        return None
    return min(-(-2 * paths // block_paths) * block_paths, limit)


def _standing(target: Target, value: xr.DataArray) -> Standing:
    cells = [
        (f"{venue} × {scenario}", *_excess(target, value.sel(venue=venue, scenario=scenario, metric=target.metric)))
        for venue in map(str, value["venue"].values)
        for scenario in map(str, value["scenario"].values)
        if (not target.venues or venue in target.venues) and (not target.scenarios or scenario in target.scenarios)
    ]
    held = sum(1 for _, excess, _ in cells if excess <= 1.0)
    name, _, text = max(cells, key=lambda cell: cell[1])
    return Standing(target.wish, held == len(cells), len(cells), held, name, text, target.max_paths)


def _excess(target: Target, bounds: xr.DataArray) -> tuple[float, str]:
    """Half width over the width asked for (≤ 1 holds, inf = no interval), and the cell in words."""
    estimate, lower, upper = (float(bounds.sel(bound=name)) for name in ("estimate", "lower", "upper"))
    half = 0.5 * (upper - lower)
    if not math.isfinite(half) or math.isnan(estimate):
        return math.inf, "which has no interval yet"
    allowed = [target.absolute_halfwidth or 0.0, (target.relative_halfwidth or 0.0) * abs(estimate)]
    widest = max(allowed)
    # An amount without any spread is as precise as can be, whatever was asked for.
    excess = 0.0 if half == 0.0 else half / widest if widest > 0 else np.finfo(float).max
    return excess, f"{estimate:.4g} ± {half:.2g}"
