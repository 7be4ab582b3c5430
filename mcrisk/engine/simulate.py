"""Blocks of paths of one cell (venue × scenario): the only door through which runs reach the engine.

Results are pure functions of (config, path number): lane groups have a constant shape, sums over paths are made on the
host in path order, and nothing depends on which block, worker or run asked for a path.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from mcrisk.config import draws
from mcrisk.config.run import RunConfig
from mcrisk.config.venue import Venue
from mcrisk.engine import backends, records

CLOSE_STEPS = 40  # after the event, all shown in bands


@dataclass(frozen=True)
class ForcedJumps:
    """Break-even search: path i of a block takes jump `jumps[i % len(jumps)]` (log value) as a valuation reset."""

    jumps: tuple[float, ...]


@dataclass(frozen=True)
class CellTask:
    """One cell of a run; small and picklable. Two tasks are the same when their configs say the same (`digest`)."""

    config: RunConfig = field(compare=False)
    venue: str
    scenario: str
    digest: str


@dataclass(frozen=True)
class BlockResult:
    """What a block leaves behind (see `records`).

    paths: [n] per-path numbers. accounts: partial sums over the block's paths, [A] and [A, bins].
    bands: integer histograms [times, bins]. seconds: wall time without compilation of other blocks.
    """

    paths: dict[str, np.ndarray]
    accounts: dict[str, np.ndarray]
    bands: dict[str, np.ndarray]
    seconds: float


def prepare(config: RunConfig, venue_name: str, scenario_name: str) -> CellTask:
    """The task of one cell."""
    return CellTask(config, venue_name, scenario_name, hashlib.sha256(config.model_dump_json().encode()).hexdigest())


def market_venues(config: RunConfig, venue: Venue) -> list[Venue]:
    """One profile per market of the run: the venue's rules with the market's own price and open interest."""
    profiles = []
    for market in config.markets:
        change: dict[str, Any] = {"open_interest": venue.contract.open_interest * market.open_interest_multiple}
        if market.initial_price is not None:
            change["initial_price"] = market.initial_price
        profiles.append(venue.model_copy(update={"contract": venue.contract.model_copy(update=change)}))
    return profiles


@lru_cache(maxsize=64)
def _book(task: CellTask) -> Any:
    from mcrisk.book.generate import generate
    from mcrisk.book.read import read_book

    config = task.config
    venue = next(v for v in config.venues if v.name == task.venue)
    spec = config.book_of(venue.name)
    names = [market.name for market in config.markets]
    if spec.file is not None:
        return read_book(spec.file, names, house_account=spec.house_account, tolerance=spec.balance_tolerance)
    return generate(spec, market_venues(config, venue), names, config.seed, [m.prices.company for m in config.markets])


def book_of(config: RunConfig, venue_name: str) -> Any:
    """The book of accounts of a venue in this run (`mcrisk.book.Book`); the same under every scenario."""
    return _book(prepare(config, venue_name, ""))


class Simulator:
    """A cell made ready: rulebook, book and path parameters as arrays. Compiled code is shared by all cells of one structure."""

    def __init__(self, task: CellTask, book: Any = None) -> None:
        """`book` saves making it again where it is known."""
        import jax

        jax.config.update("jax_enable_x64", True)
        from mcrisk.engine.build import build_cell
        from mcrisk.engine.chosen import proposal_of

        self.task = task
        self.book = book if book is not None else book_of(task.config, task.venue)
        self.cell = build_cell(task.config, task.venue, task.scenario, self.book)
        self.lane = task.config.execution.lane_paths
        self.backend = backends.resolve(task.config.execution.backend)
        self.proposal = proposal_of(task.config, self.cell)

    def block(self, first_path: int, n: int, forced: ForcedJumps | None = None, dense: bool = False) -> BlockResult:
        """Paths [first_path, first_path + n)."""
        from mcrisk.engine.build import lane_groups, run_lanes

        # compiled JAX code has one width; native code takes any number of paths, and a device wants many at once
        width = (lambda count: self.lane) if self.backend == "jax" else (lambda count: count)
        together = self._together()
        start = time.perf_counter()
        parts = []
        for offset in range(0, n, together):
            count = min(together, n - offset)
            out = run_lanes(self.cell, first_path + offset, width(count), forced, dense, self.backend, self.proposal)
            parts += [summarize(self, group, size) for group, size in lane_groups(out, count, self.lane)]
        joined = {f.name: np.concatenate([p[0][f.name] for p in parts]).astype(f.dtype) for f in records.PATH_FIELDS}
        accounts = {name: sum_in_order([p[1][name] for p in parts]) for name in parts[0][1]}
        bands = {name: sum_in_order([p[2][name] for p in parts]) for name in parts[0][2]}
        return BlockResult(joined, accounts, bands, time.perf_counter() - start)


    def _together(self) -> int:
        """Paths of one call of the executor, a multiple of a lane group."""
        if self.backend != "cupy":
            return self.lane
        from mcrisk.engine.cuda.kernel import paths_together

        return max(1, paths_together(self.cell) // self.lane) * self.lane


def sum_in_order(parts: list[np.ndarray]) -> np.ndarray:
    """Left to right, so that the result does not depend on how lanes are grouped."""
    total = parts[0].copy()
    for part in parts[1:]:
        total = total + part
    return total


def band_steps(config: RunConfig) -> np.ndarray:
    """Numbers of the steps shown in bands, at most `records.MAX_BAND_TIMES`: those of the zoom.

    A cascade is a matter of minutes: the steps right after the event are all kept, the others are thinned.
    """
    from mcrisk.paths.grid import event_step

    grid, at = config.grid, event_step(config.grid)
    steps = np.arange(grid.before, grid.before + sum(s.steps for s in grid.approach) + sum(s.steps for s in grid.event) + 1)
    close = (steps >= at) & (steps < at + CLOSE_STEPS)
    far = steps[~close]
    every = -(-len(far) // (records.MAX_BAND_TIMES - CLOSE_STEPS))
    return np.union1d(steps[close], far[::every])


def band_times(config: RunConfig) -> np.ndarray:
    """Seconds from the event of `band_steps`."""
    from mcrisk.paths.grid import zoom_offsets

    return zoom_offsets(config.grid)[band_steps(config) - config.grid.before]


def summarize(sim: Simulator, out: Any, count: int) -> tuple[dict, dict, dict]:
    """Per-path numbers, account sums and band histograms of the first `count` lanes of a lane group."""
    from mcrisk.engine.summary import account_sums, band_histograms, path_numbers

    paths, pnl = path_numbers(sim, out, count)
    return paths, account_sums(sim, out, pnl, count), band_histograms(sim, out, count)


@lru_cache(maxsize=128)
def simulator(task: CellTask) -> Simulator:
    """The cell's simulator, kept per process."""
    return Simulator(task)


def run_block(task: CellTask, first_path: int, n: int, forced: ForcedJumps | None = None) -> BlockResult:
    """Compute paths [first_path, first_path + n) of a cell. Compiles once per process and structure."""
    if draws.in_use(task.config):
        from mcrisk.engine import parameter_sets

        return parameter_sets.run_block(task, first_path, n, forced)
    return simulator(task).block(first_path, n, forced)
