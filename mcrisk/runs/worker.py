"""What runs in a worker process: its environment, and one block from parameters to the store."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from mcrisk.errors import RunFailed
from mcrisk.runs import fingerprint, manifest
from mcrisk.runs.plan import Block, Plan
from mcrisk.runs.store import write_block

BlockFunction = Callable[..., Any]  # run_block(task, first_path, n, forced) -> BlockResult


@dataclass(frozen=True)
class Context:
    """What all blocks of a run share; sent to each worker once.

    Args:
        url: path of the store as workers see it.
        session: unique per run of the command.
        instruction_set: level the results are bound to; "" = not checked.
        plan: shapes for the store.
        function: computes one block.
        tasks: (variant, venue, scenario) → the engine's parameters of that cell.
        forced: variant → forced jumps.
    """

    url: str
    session: str
    instruction_set: str
    plan: Plan
    function: BlockFunction
    tasks: dict[tuple[str, str, str], Any]
    forced: dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What a worker says about a block it has stored."""

    block: Block
    seconds: float  # the engine's own count
    wall: float  # with writing
    peak_bytes: int  # of the process so far
    digest: int
    host: str


class Prepare(WorkerPlugin):
    """Sets a worker up before its first block: one core to itself (on a local cluster), the run's context in hand."""

    def __init__(self, context: Context, cores: tuple[int, ...] = ()) -> None:
        self.name = f"mcrisk-{context.session}"
        self.context, self.cores = context, cores

    def setup(self, worker: Any) -> None:
        _contexts[self.context.session] = self.context
        if self.cores and hasattr(os, "sched_setaffinity"):
            place = worker.name if isinstance(worker.name, int) else 0
            _pin_process(self.cores[place % len(self.cores)])

    def teardown(self, worker: Any) -> None:
        _contexts.pop(self.context.session, None)


_contexts: dict[str, Context] = {}


def compute_block(session: str, block: Block) -> Receipt:
    """Compute one block and store it. Idempotent: done twice, it writes the same bytes."""
    context = _contexts[session]
    found = fingerprint.instruction_set()
    if context.instruction_set and found != context.instruction_set:
        raise RunFailed(
            f"a worker has instruction set {found}, the run was started on {context.instruction_set}",
            manifest.hardware()["host"],
            "results are bit-identical only within one level",
            "use machines of one kind, or start the run on one of the workers",
        )
    start = time.perf_counter()
    task = context.tasks[block.variant, block.venue, block.scenario]
    forced = context.forced.get(block.variant)
    result = context.function(task, block.first_path, block.n, forced)
    digest = write_block(context.url, context.session, context.plan, block, result)
    wall = time.perf_counter() - start
    return Receipt(block, float(result.seconds), wall, manifest.peak_bytes(), digest, os.uname().nodename)


def environment() -> dict[str, str]:
    """Variables a worker must have before it loads jax: one thread, and compiled steps kept between runs."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    given = os.environ.get("XLA_FLAGS", "")
    one = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    settings = {**one, "XLA_FLAGS": given if flags in given else f"{given} {flags}".strip()}
    folder = compile_cache()
    if folder:
        settings["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        settings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"
        settings["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    return settings


def compile_cache() -> Path | None:
    """Folder of compiled steps, one per jax version and processor kind; None if it cannot be written.

    The kind matters: an executable made for one processor may die on an instruction another does not have.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kind = hashlib.sha256(" ".join(sorted(fingerprint.cpu_flags())).encode()).hexdigest()[:8]
    version = manifest.versions().get("jaxlib", "none")
    folder = Path(base) / "mcrisk" / f"xla-{version}-{fingerprint.instruction_set()}-{kind}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _pin_process(core: int) -> None:
    """All threads of this process onto one core: jax then sizes its pools to one, and workers stay apart."""
    threads = Path("/proc/self/task")
    for thread in threads.iterdir() if threads.is_dir() else ():
        try:
            os.sched_setaffinity(int(thread.name), {core})
        except OSError:
            continue
