"""What a block costs that has nothing to compute: dummy blocks through the real dispatcher, worker and (if asked) store.

    python benchmarks/bench_scheduler.py --blocks 100000 --workers 2            # scheduling alone
    python benchmarks/bench_scheduler.py --blocks 200 --workers 2 --store       # with writing 32 fields × 1,024 paths

Prints one JSON line: blocks, workers, seconds from the first block to the last, milliseconds per block, peak memory.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # workers inherit the path

from mcrisk.engine.records import BAND_NAMES, PATH_FIELDS  # noqa: E402
from mcrisk.engine.simulate import BlockResult  # noqa: E402
from mcrisk.runs import dispatch, fingerprint, manifest, worker  # noqa: E402
from mcrisk.runs.execute import Crew, Execution, execute  # noqa: E402
from mcrisk.runs.plan import Block, Layout, Plan  # noqa: E402
from mcrisk.runs.progress import Silent  # noqa: E402
from mcrisk.runs.store import RunStore  # noqa: E402

ACCOUNTS, BINS, TIMES, BAND_BINS = 1000, 64, 128, 400


def nothing(task: object, first_path: int, n: int, forced: object = None) -> BlockResult:
    """A block of the real size with invented numbers."""
    rng = np.random.default_rng(first_path)
    paths = {f.name: rng.random(n).astype(f.dtype) for f in PATH_FIELDS}
    counts = rng.integers(0, 4, (ACCOUNTS, BINS)).astype(np.int32)
    accounts = {
        "liquidated": counts[:, 0].astype(np.int64), "deleveraged": counts[:, 1].astype(np.int64),
        "pnl_sum": rng.random(ACCOUNTS), "pnl_histogram": counts,
    }  # fmt: skip
    band = rng.integers(0, 3, (TIMES, BAND_BINS)).astype(np.int32)
    return BlockResult(paths, accounts, dict.fromkeys(BAND_NAMES, band), 0.0)


def unstored(session: str, block: Block) -> worker.Receipt:
    """`compute_block` without engine and store: what is left is scheduling."""
    return worker.Receipt(block, 0.0, 0.0, 0, 0, "here")


def plan(blocks: int, block_paths: int) -> Plan:
    edges = {band: {"v": np.linspace(0.0, 1.0, BAND_BINS + 1)} for band in BAND_NAMES}
    layout = Layout(
        PATH_FIELDS, {"v": tuple(map(str, range(ACCOUNTS)))}, {"v": np.linspace(-1.0, 1.0, BINS + 1)}, "quote",
        np.arange(TIMES, dtype=float), edges,
    )  # fmt: skip
    return Plan(("v",), ("s",), blocks * block_paths, block_paths, layout)


def schedule(blocks: int, workers: int) -> tuple[float, int]:
    """Seconds to send `blocks` empty blocks through the dispatcher."""
    todo = list(plan(blocks, 1024).blocks())
    with Crew(workers) as crew:
        client, _ = crew.ready(workers)
        run = dispatch.Dispatcher(client, "0" * 8, todo, Silent())
        start = time.perf_counter()
        run.run(lambda receipt: None)
        return time.perf_counter() - start, len(run.workers)


def store(blocks: int, workers: int) -> tuple[float, int, float]:
    """Seconds, workers and bytes per path of `blocks` blocks with writing."""
    with tempfile.TemporaryDirectory() as folder, Crew(workers) as crew:
        identity = fingerprint.identity({}, "dummy")
        with RunStore.open(f"{folder}/x.zarr", plan(blocks, 1024), identity, {}) as made:
            done: Execution = execute(made, importlib.import_module("bench_scheduler").nothing, {("", "v", "s"): None}, crew=crew)
            size = sum(f.stat().st_size for f in made.path.rglob("*") if f.is_file())
        return done.wall - done.startup, done.workers, size / (blocks * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", action="store_true", help="write the blocks into a store, too")
    asked = parser.parse_args()
    facts = {"blocks": asked.blocks, "stored": asked.store}
    if asked.store:
        seconds, workers, per_path = store(asked.blocks, asked.workers)
        facts["bytes_per_path"] = round(per_path, 1)
    else:
        dispatch.compute_block = importlib.import_module("bench_scheduler").unstored
        seconds, workers = schedule(asked.blocks, asked.workers)
    facts |= {"workers": workers, "seconds": round(seconds, 2), "ms_per_block": round(1000 * seconds / asked.blocks, 3)}
    print(json.dumps(facts | {"client_peak_mib": manifest.peak_bytes() // 2**20}))


if __name__ == "__main__":
    main()
