"""A generated program on a CUDA device: inputs uploaded, launches of bounded memory, results per path.

A path is one thread; a launch takes as many paths as its results and the threads' scratch memory leave room for, and its
threads take further paths until none is left. Nothing passes between threads, so results depend neither on the size of a
launch nor on the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mcrisk.engine.cuda.device import GROUP, Device
from mcrisk.engine.native.slots import Source, constants, from_slots, slot_arrays
from mcrisk.engine.native.target import CUDA
from mcrisk.errors import RunFailed

BLOCK = GROUP          # threads of a block: two warps
HOST_BYTES = 1 << 30   # results of one call on the host


@dataclass(frozen=True)
class Launch:
    """Shape and memory of a launch."""

    paths: int     # at most this many at once
    blocks: int
    bytes: int     # scratch memory and results

    @property
    def threads(self) -> int:
        return self.blocks * BLOCK


def plan(source: Source, count: int, threads: int, free: int) -> Launch:
    """How `count` paths run in at most `free` bytes by at most `threads` threads, as many as the device holds at a time.

    Half of the memory at most is scratch; what is left takes results. Further paths wait for a free thread. Raises RunFailed
    where not even one block of threads fits.
    """
    each = 8 * (sum(spec.slots for spec in source.outs) + len(source.lanes))
    scratch = 8 * source.arena * BLOCK
    blocks = min(-(-count // BLOCK), max(1, threads // BLOCK), max(1, free // 2 // scratch))
    left = free - blocks * scratch
    paths = min(count, left // each)
    if left < 0 or paths < 1:
        raise RunFailed(
            "the paths do not fit into the memory of the CUDA device",
            why=f"{BLOCK} threads need {scratch / 2**20:.0f} MiB of scratch memory and a path {each / 2**20:.2f} MiB of results; "
                f"{free / 2**20:.0f} MiB can be had",
            remedy="use a smaller book, free the device's memory, or use --backend native",
        )
    blocks = min(blocks, -(-paths // BLOCK))
    return Launch(paths, blocks, blocks * scratch + paths * each)


class CudaProgram:
    """A per-path function compiled for the current CUDA device; called like `native.run.Program`."""

    machine = Device

    def __init__(self, source: Source, out: Any):
        self.source, self.out = source, out
        self.device = self.machine(source.for_target(CUDA))
        self._kept: tuple[list, list] = ([], [])   # inputs common to all paths: as given, and on the device

    def __call__(self, shared: list[np.ndarray], lanes: list[np.ndarray], count: int) -> list[np.ndarray]:
        """Results [count, …] of the leaves; `lanes` hold one element per path."""
        common = self._upload(shared)
        shape = plan(self.source, count, self.device.threads, self.device.free())
        parts = [self._run(common, lanes, first, min(shape.paths, count - first), shape) for first in range(0, count, shape.paths)]
        whole = parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts)]
        return [from_slots(a, spec) for a, spec in zip(whole, self.source.outs)]

    def _upload(self, shared: list[np.ndarray]) -> list:
        """Inputs on the device; kept for the next call with the same arrays."""
        before, arrays = self._kept
        if len(before) != len(shared) or any(a is not b for a, b in zip(before, shared)):
            given = slot_arrays(self.source, shared, None)
            arrays = [self.device.arrays.asarray(a) for a in given]
            self.device.set_constants(constants(self.source, given))
            self._kept = (list(shared), arrays)
        return arrays

    def _run(self, common: list, lanes: list[np.ndarray], first: int, count: int, shape: Launch) -> list[np.ndarray]:
        xp = self.device.arrays
        single = [xp.asarray(a) for a in slot_arrays(self.source, None, [a[first:first + count] for a in lanes])]
        # zeros: rows are padded, vectors read the padding, and a memory checker could not tell that from a fault
        outs = [xp.zeros((count, spec.slots), spec.word) for spec in self.source.outs]
        arena = xp.zeros(shape.threads * self.source.arena, np.float64)
        self.device.launch(shape.blocks, BLOCK, common + single, outs, count, arena)
        return [self.device.fetch(a) for a in outs]


def paths_together(cell: Any) -> int:
    """Paths of one call whose results fit into `HOST_BYTES`."""
    from mcrisk.engine.native.run import program_of

    outs = program_of(cell, CudaProgram).source.outs
    return max(1, HOST_BYTES // (8 * sum(spec.slots for spec in outs)))


def run_cuda(cell: Any, first_path: int, lanes: int, forced: Any, dense: bool = False) -> Any:
    """`engine.build.run_lanes` on the current CUDA device."""
    from mcrisk.engine.native.run import run_lanes

    return run_lanes(cell, first_path, lanes, forced, dense, CudaProgram)
