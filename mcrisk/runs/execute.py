"""Starts or joins a dask cluster, lets its workers compute what a store lacks, and leaves nothing running."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, LocalCluster

from mcrisk.errors import InputError, Interrupted
from mcrisk.runs import fingerprint, manifest
from mcrisk.runs.dispatch import Dispatcher
from mcrisk.runs.progress import Progress, Silent
from mcrisk.runs.store import RunStore
from mcrisk.runs.worker import BlockFunction, Context, Prepare, Receipt, environment

CONNECT = "10s"  # to a scheduler that is not ours


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
    crew: Crew,
    progress: Progress | None = None,
) -> Execution:
    """Compute every block of the store's plan that is not done yet.

    Args:
        block_function: `run_block(task, first_path, n, forced) -> BlockResult`; importable in the workers.
        tasks: (variant or "", venue, scenario) → the engine's parameters of the cell.
        crew: who computes; kept for the next batch.

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
        client, cores = crew.ready(len(pending))
        plugin = Prepare(context, cores)
        client.register_plugin(plugin)
        report.startup = time.perf_counter() - start
        try:
            dispatcher = Dispatcher(client, context.session, pending, done)
            report.workers = len(dispatcher.workers)
            dispatcher.run(report.add)
            report.retried = dispatcher.retried
        finally:
            _forget_plugin(client, plugin.name)
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


def _forget_plugin(client: Client, name: str) -> None:
    """Leave the workers as we found them; nothing that goes wrong here matters."""
    try:
        client.unregister_worker_plugin(name)
    except Exception:  # noqa: BLE001 - the cluster may be the thing that failed
        return


# ---------------------------------------------------------------------- clusters
class Crew:
    """The workers of one invocation: started when first needed, kept from batch to batch with what they compiled.

    Args:
        workers: processes of a local cluster; None = one per usable core. Never more than there are blocks.
        scheduler: address of a running dask cluster instead; its workers must see the store under the same path.
        here: one worker, a thread of this process, because nobody else can see the store (`memory://`).
        devices: one worker per GPU through dask-cuda, where that is installed; else `workers` processes as usual.
    """

    def __init__(
        self, workers: int | None = None, scheduler: str | None = None, here: bool = False, devices: bool = False
    ) -> None:
        self.workers, self.scheduler, self.here = 1 if here else workers, scheduler, here
        self.cuda = _cuda_cluster() if devices and not here and scheduler is None else None
        self._stack, self._size, self._ready = ExitStack(), 0, None

    def ready(self, blocks: int) -> tuple[Client, tuple[int, ...]]:
        """A client whose workers are enough for `blocks` blocks, and the cores local workers are pinned to."""
        wanted = 1 if self.scheduler else min(self.workers or manifest.usable_cores(), blocks)
        if self._ready is None or wanted > self._size:
            self._stack.close()
            self._ready = self._stack.enter_context(_client(wanted, self.scheduler, self.here, self.cuda))
            self._size = wanted
        return self._ready

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _cuda_cluster() -> Any:
    """dask-cuda's local cluster, which starts one worker per visible GPU; None where it is not installed."""
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError:
        return None
    return LocalCUDACluster


@contextmanager
def _client(count: int, scheduler: str | None, here: bool, cuda: Any = None) -> Iterator[tuple[Client, tuple[int, ...]]]:
    """A client and the cores local workers are pinned to. `cuda`: the class of a cluster with one worker per GPU."""
    if scheduler is not None:
        yield from _remote_client(scheduler)
        return
    with _quiet(), _hidden_main(), tempfile.TemporaryDirectory(prefix="mcrisk-") as scratch:
        # A nanny's children get their variables before Python starts, hence before jax is loaded.
        spawn = {**dask.config.get("distributed.nanny.pre-spawn-environ", {}), **environment()}
        kind = {} if cuda else {"n_workers": count, "processes": not here}  # dask-cuda counts the devices itself
        local = {
            **kind, "threads_per_worker": 1, **({} if here else {"host": "127.0.0.1"}),
            "local_directory": scratch, "silence_logs": logging.CRITICAL,
            # no dashboards; the scheduler's status port is any free one, seen from this machine only
            "dashboard_address": "127.0.0.1:0", "worker_dashboard_address": None,
            "scheduler_kwargs": {"dashboard": False},
        }  # fmt: skip
        with dask.config.set({**_SETTINGS, "distributed.nanny.pre-spawn-environ": spawn}):
            with (cuda or LocalCluster)(**local) as cluster, Client(cluster) as client:
                yield client, () if here or cuda else _cores(count)


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
    # dask gives some of its loggers levels of their own (distributed.client), so the parent's does not silence them
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    before = {name: logging.getLogger(name).level for name in {"distributed", *names}}
    variable = os.environ.get("DASK_LOGGING__DISTRIBUTED")
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "critical"  # read by the workers
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
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
