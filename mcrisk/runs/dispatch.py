"""The loop that keeps workers busy: a bounded number of blocks in flight, own venue first, failures sorted by kind.

Blocks are bound to a worker. When a worker vanishes its blocks are taken back and given to others here: dask alone
leaves a bound task waiting for an address that never returns (seen when every worker was lost at once).
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from mcrisk.errors import InputError, McriskError, RunFailed
from mcrisk.runs.plan import Block
from mcrisk.runs.progress import Progress
from mcrisk.runs.schedule import Queues
from mcrisk.runs.store import FULL
from mcrisk.runs.worker import Receipt, compute_block

IN_FLIGHT = 2  # per worker: one computing, one waiting, so that no worker idles while the client thinks
ATTEMPTS = 3  # per block, for errors that may pass (network file systems)
DEATHS = 4  # of workers a block was given to, before it is held to be the cause
LOOK = 1.0  # s between looks at who is there
GATHER = 30.0  # s for a receipt to arrive
PATIENCE = 120.0  # s without any worker before the run gives up
RESUME = "finished blocks are kept; repeat the same command"
# How dask says that its scheduler is gone. CommClosedError is an OSError.
_LOST = (OSError, CancelledError, asyncio.CancelledError, ClosedClientError)


@dataclass
class _Flight:
    future: Any
    worker: str
    block: Block
    attempt: int


class Dispatcher:
    """Computes `blocks` on the workers of `client`; `on_receipt` hears of each one stored."""

    def __init__(self, client: Client, session: str, blocks: list[Block], progress: Progress) -> None:
        self.client, self.session, self.progress = client, session, progress
        self.workers = self._alive()
        self.queues = Queues(blocks, self.workers)
        self.flying: dict[str, _Flight] = {}
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.deaths: Counter[Block] = Counter()
        self.sent = self.retried = 0
        self.looked = self.seen = time.monotonic()

    def run(self, on_receipt: Any) -> None:
        """Until every block is stored. Raises RunFailed or InputError for what the user must know."""
        self._fill()
        while self.flying or len(self.queues):
            try:
                future = self.inbox.get(timeout=LOOK)
            except Empty:
                future = None
            if future is not None and (flight := self.flying.pop(future.key, None)):
                self._land(flight, on_receipt)
            if time.monotonic() - self.looked > LOOK:
                self._look()
            self._fill()

    def _land(self, flight: _Flight, on_receipt: Any) -> None:
        future, block = flight.future, flight.block
        if future.status == "finished":
            try:
                receipt: Receipt = future.result(timeout=GATHER)
            except (TimeoutError, KilledWorker):  # the worker died with the receipt; the block itself is stored
                self._take_back(flight)
                return
            except _LOST as error:  # it was on its way through the scheduler
                raise _gone(block) from error
            on_receipt(receipt)
            self.progress.advance(block.n, block.label)
            return
        if future.status in ("cancelled", "lost"):
            raise _gone(block)
        try:
            error = future.exception(timeout=GATHER)
        except _LOST as lost:
            raise _gone(block) from lost
        _judge(error, block, flight.attempt)
        self.retried += 1
        self._send(flight.worker, block, flight.attempt + 1)

    def _fill(self) -> None:
        """Give every worker its share; the first one for everybody, then the second."""
        busy = Counter(flight.worker for flight in self.flying.values())
        for _ in range(IN_FLIGHT):
            for worker in self.workers:
                if busy[worker] < IN_FLIGHT and (block := self.queues.take(worker)):
                    self._send(worker, block)
                    busy[worker] += 1

    def _send(self, worker: str, block: Block, attempt: int = 1) -> None:
        self.sent += 1
        key = f"mcrisk-{self.session[:8]}-{self.sent}"
        try:
            future = self.client.submit(compute_block, self.session, block, workers=[worker], pure=False, retries=0, key=key)
        except _LOST as error:
            raise _gone(block) from error
        self.flying[future.key] = _Flight(future, worker, block, attempt)
        future.add_done_callback(self.inbox.put)

    def _look(self) -> None:
        """Who is there? Blocks of the vanished go back into the queues."""
        self.workers, self.looked = self._alive(), time.monotonic()
        if self.workers:
            self.seen = self.looked
        elif self.looked - self.seen > PATIENCE:
            raise RunFailed(
                "the cluster has no workers left",
                None,
                f"none came back within {PATIENCE:.0f} s",
                f"start workers; {RESUME}",
            )
        for key, flight in list(self.flying.items()):
            if flight.worker not in self.workers and flight.future.status != "finished":
                del self.flying[key]
                self._take_back(flight)
        if self.workers:
            self.queues.replace(self.workers)

    def _take_back(self, flight: _Flight) -> None:
        """A block whose worker vanished comes next; one that lost too many workers is the cause."""
        flight.future.cancel()
        self.deaths[flight.block] += 1
        if self.deaths[flight.block] >= DEATHS:
            raise _killer(flight.block)
        self.retried += 1
        self.queues.put_back(flight.worker, flight.block)

    def _alive(self) -> list[str]:
        try:
            return list(self.client.nthreads())
        except (*_LOST, ValueError) as error:
            raise _gone(None) from error


def _judge(error: BaseException, block: Block, attempt: int) -> None:
    """Return if the block is worth another attempt; raise what the user must know otherwise."""
    if isinstance(error, KilledWorker):
        raise _killer(block)
    if isinstance(error, McriskError):
        raise error
    if isinstance(error, OSError) and error.errno in FULL:
        raise InputError(
            "no space left on the worker's machine", block.label, str(error), f"free space; {RESUME}"
        ) from None
    if isinstance(error, OSError) and attempt < ATTEMPTS:
        return
    raise RunFailed(
        f"a block failed: {type(error).__name__}: {str(error)[:500]}", block.label, _origin(error), RESUME
    ) from error


def _gone(block: Block | None) -> RunFailed:
    where = block.label if block else None
    return RunFailed("the cluster went away", where, "its scheduler does not answer", f"start a cluster; {RESUME}")


def _killer(block: Block) -> RunFailed:
    return RunFailed(
        f"a block lost {DEATHS} workers",
        block.label,
        "most often a worker ran out of memory",
        f"use fewer --workers or a smaller execution.block_paths; {RESUME}",
    )


def _origin(error: BaseException) -> str | None:
    """The innermost line of ours that an error of a worker passed through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "mcrisk" in frame.filename]
    return f"raised at {Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else None
