"""Hands blocks to dask workers and waits: a bounded number in flight, own venue first, failures sorted by kind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, as_completed
from distributed.scheduler import KilledWorker

from mcrisk.errors import InputError, Interrupted, McriskError, RunFailed
from mcrisk.runs import fingerprint, manifest
from mcrisk.runs.plan import Block
from mcrisk.runs.progress import Progress, Silent
from mcrisk.runs.schedule import Queues
from mcrisk.runs.store import FULL, RunStore
from mcrisk.runs.worker import BlockFunction, Context, Prepare, Receipt, compute_block, environment

IN_FLIGHT = 2  # per worker: one computing, one waiting, so that no worker idles while the client thinks
ATTEMPTS = 3  # per block, for errors that may pass (network file systems)
CONNECT = "10s"  # to a scheduler that is not ours
_TAKEN_AWAY = ("cancelled", "lost")


@dataclass
class Execution:
    """What happened: for the manifest."""

    workers: int = 0
    blocks: int = 0
    paths: int = 0
    wall: float = 0.0  # s, cluster start included
    startup: float = 0.0  # s
    block_seconds: float = 0.0  # sum over blocks, engine only
    peak_bytes: int = 0  # largest worker
    hosts: set[str] = field(default_factory=set)
    retried: int = 0

    def add(self, receipt: Receipt) -> None:
        self.blocks += 1
        self.paths += receipt.block.n
        self.block_seconds += receipt.seconds
        self.peak_bytes = max(self.peak_bytes, receipt.peak_bytes)
        self.hosts.add(receipt.host)


def execute(
    store: RunStore,
    block_function: BlockFunction,
    tasks: dict[tuple[str, str, str], Any],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Execution:
    """Compute every block of the store's plan that is not done yet.

    Args:
        block_function: `run_block(task, first_path, n, forced) -> BlockResult`; importable in the workers.
        tasks: (variant or "", venue, scenario) → the engine's parameters of the cell.
        workers: processes of a local cluster; None = one per usable core, at most one per block.
        scheduler: address of a running dask cluster instead; its workers must see the store under the same path.

    Raises:
        RunFailed: a block fails, kills its workers, or the cluster goes away. Finished blocks are kept.
        InputError: the cluster cannot be reached; the disk is full.
        Interrupted: Ctrl-C.
    """
    start = time.perf_counter()
    pending, plan = store.pending(), store.plan
    report, done = Execution(), progress or Silent()
    waiting = sum(block.n for block in pending)
    done.begin(plan.total_paths, plan.total_paths - waiting)
    if not pending:
        done.end()
        return report
    if not store.created:
        store.sweep()
    context = Context(
        str(store.path), uuid.uuid4().hex, fingerprint.instruction_set(), plan, block_function, tasks,
        {v.name: v.forced for v in plan.variants if v.forced is not None},
    )  # fmt: skip
    try:
        with _client(workers, scheduler, len(pending)) as (client, cores):
            plugin = Prepare(context, cores)
            client.register_plugin(plugin)
            report.startup = time.perf_counter() - start
            try:
                _work(client, context.session, pending, report, done)
            finally:
                _forget_plugin(client, plugin.name, scheduler)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {report.blocks} of {len(pending)} blocks",
            str(store.path),
            None,
            "repeat the same command to go on",
        ) from None
    finally:
        done.end()
        report.wall = time.perf_counter() - start
    return report


# ---------------------------------------------------------------------- the loop
def _work(client: Client, session: str, pending: list[Block], report: Execution, progress: Progress) -> None:
    """Keep `IN_FLIGHT` blocks per worker going until all are done."""
    addresses = list(client.nthreads())
    queues, looked = Queues(pending, addresses), time.monotonic()
    report.workers = len(addresses)
    flying: dict[Any, tuple[str, Block, int]] = {}
    results = as_completed(loop=client.loop)

    def send(worker: str, block: Block, attempt: int = 1) -> None:
        # A hint, not an order: if the worker dies, the scheduler gives the block to another one.
        future = client.submit(
            compute_block, session, block, workers=[worker], allow_other_workers=True, pure=False, retries=0,
            key=f"mcrisk-{session[:8]}-{block.variant}-{block.venue}-{block.scenario}-{block.number}-{attempt}",
        )  # fmt: skip
        flying[future] = (worker, block, attempt)
        results.add(future)

    def fill() -> None:
        busy = {worker: 0 for worker in addresses}
        for worker, _, _ in flying.values():
            if worker in busy:
                busy[worker] += 1
        for _ in range(IN_FLIGHT):  # first one for everybody, then the second
            for worker in addresses:
                if busy[worker] < IN_FLIGHT and (block := queues.take(worker)):
                    send(worker, block)
                    busy[worker] += 1

    fill()
    for future in results:
        worker, block, attempt = flying.pop(future)
        if future.status == "finished":
            report.add(future.result())
            progress.advance(block.n, block.label)
        else:
            _judge(future, block, attempt)
            report.retried += 1
            send(worker, block, attempt + 1)
        if time.monotonic() - looked > 1.0:  # workers come and go; asking costs a round trip
            addresses, looked = list(client.nthreads()) or addresses, time.monotonic()
            queues.replace(addresses)
        fill()


def _judge(future: Any, block: Block, attempt: int) -> None:
    """Return if the block is worth another attempt; raise what the user must know otherwise."""
    if future.status in _TAKEN_AWAY:
        raise RunFailed(
            "the cluster went away", block.label, "the scheduler no longer knows the work it was given",
            "start a cluster and repeat the same command: finished blocks are kept",
        )  # fmt: skip
    error = future.exception()
    if isinstance(error, KilledWorker):
        raise RunFailed(
            "a block killed every worker it was given to", block.label,
            "most often a worker ran out of memory",
            "use fewer --workers or a smaller execution.block_paths; finished blocks are kept",
        ) from None  # fmt: skip
    if isinstance(error, McriskError):
        raise error
    if isinstance(error, OSError) and error.errno in FULL:
        raise InputError(
            "no space left on the worker's machine", block.label, str(error),
            "free space and repeat the same command: finished blocks are kept",
        ) from None  # fmt: skip
    if isinstance(error, OSError) and attempt < ATTEMPTS:
        return
    raise RunFailed(
        f"a block failed: {type(error).__name__}: {str(error)[:500]}", block.label, _origin(error),
        "finished blocks are kept; repeat the same command after the cause is gone",
    ) from error  # fmt: skip


def _origin(error: BaseException) -> str | None:
    """The innermost line of ours that an error of a worker passed through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "mcrisk" in frame.filename]
    return f"raised at {Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else None


def _forget_plugin(client: Client, name: str, scheduler: str | None) -> None:
    """Leave a cluster that is not ours as we found it; nothing that goes wrong here matters."""
    if scheduler is None:
        return
    try:
        client.unregister_worker_plugin(name)
    except Exception:  # noqa: BLE001 - the cluster may be the thing that failed
        return


# ---------------------------------------------------------------------- clusters
@contextmanager
def _client(workers: int | None, scheduler: str | None, blocks: int) -> Iterator[tuple[Client, tuple[int, ...]]]:
    """A client and the cores local workers are pinned to."""
    if scheduler is not None:
        yield from _remote_client(scheduler)
        return
    count = min(workers or manifest.usable_cores(), blocks)
    with _quiet(), _hidden_main(), tempfile.TemporaryDirectory(prefix="mcrisk-") as scratch:
        # A nanny's children get their variables before Python starts, hence before jax is loaded.
        spawn = {**dask.config.get("distributed.nanny.pre-spawn-environ", {}), **environment()}
        local = {
            "n_workers": count, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1",
            "local_directory": scratch, "silence_logs": logging.CRITICAL,
            # no dashboards; the scheduler's status port is any free one, seen from this machine only
            "dashboard_address": "127.0.0.1:0", "worker_dashboard_address": None,
            "scheduler_kwargs": {"dashboard": False},
        }  # fmt: skip
        with dask.config.set({**_SETTINGS, "distributed.nanny.pre-spawn-environ": spawn}):
            with LocalCluster(**local) as cluster, Client(cluster) as client:
                yield client, _cores(count)


def _remote_client(address: str) -> Iterator[tuple[Client, tuple[int, ...]]]:
    with _quiet(), dask.config.set(_SETTINGS):
        try:
            client = Client(address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                "the dask scheduler cannot be reached", str(address), str(error)[:200],
                "start one (dask scheduler; dask worker ADDRESS), or leave --scheduler out",
            ) from None  # fmt: skip
        try:
            try:
                client.wait_for_workers(1, timeout=60)
            except TimeoutError:
                raise InputError(
                    "the dask scheduler has no workers",
                    str(address),
                    None,
                    f"start some: dask worker {address} --nthreads 1",
                ) from None
            yield client, ()
        finally:
            client.close()


_SETTINGS = {
    "distributed.worker.multiprocessing-method": "spawn",  # never fork a process that has threads
    "distributed.scheduler.work-stealing": False,  # our queues decide; a stolen block would compile its venue again
    "distributed.scheduler.worker-ttl": "30 minutes",  # tracing a step holds the interpreter, heartbeats wait
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.limit": "10 minutes",
    "distributed.scheduler.allowed-failures": 3,
}


def _cores(workers: int) -> tuple[int, ...]:
    """Cores for the workers. Fewer workers than cores start at a changing place, because other runs pin too."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    shift = os.getpid() % len(cores) if workers < len(cores) else 0
    return tuple(cores[shift:] + cores[:shift])


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask reports every lost connection; what matters reaches the user as an error of ours."""
    logger = logging.getLogger("distributed")
    before, variable = logger.level, os.environ.get("DASK_LOGGING__DISTRIBUTED")
    logger.setLevel(logging.CRITICAL)
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "critical"  # read by the workers
    try:
        yield
    finally:
        logger.setLevel(before)
        if variable is None:
            os.environ.pop("DASK_LOGGING__DISTRIBUTED", None)
        else:
            os.environ["DASK_LOGGING__DISTRIBUTED"] = variable


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Hide the main script from processes being spawned.

    multiprocessing re-imports the parent's main script in each child; a script that calls `mcrisk.run` without an
    `if __name__ == "__main__"` guard would start a run in every worker. Workers need nothing from it.
    """
    main = sys.modules.get("__main__")
    if main is None or multiprocessing.parent_process() is not None:
        yield
        return
    kept = {name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)}
    main.__spec__ = None
    vars(main).pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(kept)
