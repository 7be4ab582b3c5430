"""`parameters: bootstrap`: every path takes the parameter set of its number (config/draws.py), in blocks of any size.

Paths of one set are computed together: a set is a cell of its own with other numbers in the same compiled program, the
same book and the same random bits. So a path's result is a pure function of (config, path number), as without draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from mcrisk.config import draws
from mcrisk.config.run import RunConfig
from mcrisk.engine.simulate import BlockResult, CellTask, ForcedJumps, Simulator, book_of, sum_in_order


def stretches(config: RunConfig, first_path: int, n: int) -> Iterator[tuple[int, int]]:
    """(first path, count) of each run of paths in [first_path, first_path + n) that share a parameter set."""
    size, end = config.paths_per_draw, first_path + n
    while first_path < end:
        count = min(size - first_path % size, end - first_path)
        yield first_path, count
        first_path += count


def simulator_of(task: CellTask, path: int) -> Simulator:
    """The cell as the path with this number sees it."""
    group = draws.group_of(task.config, path)
    return _simulator(task, group % draws.period(task.config, task.scenario))


@lru_cache(maxsize=64)
def _simulator(task: CellTask, group: int) -> Simulator:
    config = draws.with_set(task.config, group, task.scenario)
    lanes = min(config.execution.lane_paths, config.paths_per_draw)  # a lane group has one parameter set
    config = config.model_copy(update={"execution": config.execution.model_copy(update={"lane_paths": lanes})})
    changed = CellTask(config, task.venue, task.scenario, f"{task.digest}, parameter set {group}")
    return Simulator(changed, book_of(task.config, task.venue))


def run_block(task: CellTask, first_path: int, n: int, forced: ForcedJumps | None = None) -> BlockResult:
    """Paths [first_path, first_path + n), each with its own parameter set."""
    parts = [simulator_of(task, first).block(first, count, forced) for first, count in stretches(task.config, first_path, n)]
    return joined(parts)


def joined(parts: list[BlockResult]) -> BlockResult:
    """Consecutive blocks as one; sums are made in path order."""
    paths = {name: np.concatenate([part.paths[name] for part in parts]) for name in parts[0].paths}
    return BlockResult(paths, _sums(parts, "accounts"), _sums(parts, "bands"), sum(part.seconds for part in parts))


def _sums(parts: list[BlockResult], field: str) -> dict[str, Any]:
    return {name: sum_in_order([getattr(part, field)[name] for part in parts]) for name in getattr(parts[0], field)}
