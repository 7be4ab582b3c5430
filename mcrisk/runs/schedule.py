"""Which worker gets which block: a venue to one worker, because it is a compilation; then whoever is idle helps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from mcrisk.runs.plan import Block


class Queues:
    """A queue of blocks per worker, keyed by whatever names a worker (its address)."""

    def __init__(self, blocks: Iterable[Block], workers: Iterable[str]) -> None:
        self.queues: dict[str, deque[Block]] = {worker: deque() for worker in workers}
        groups: dict[str, list[Block]] = {}
        for block in blocks:
            groups.setdefault(block.venue, []).append(block)
        # Largest venue first to the worker with least to do: no worker is left with a whole venue at the end.
        load = {worker: 0 for worker in self.queues}
        for _, group in sorted(groups.items(), key=lambda item: -_paths(item[1])):
            worker = min(load, key=load.__getitem__)
            self.queues[worker].extend(group)
            load[worker] += _paths(group)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self.queues.values())

    def take(self, worker: str) -> Block | None:
        """The next block for `worker`: its own, else one from the end of the longest queue; None if all are empty."""
        own = self.queues.setdefault(worker, deque())
        if own:
            return own.popleft()
        longest = max(self.queues.values(), key=len, default=own)
        if not longest:
            return None
        # With a whole venue to spare, take over its queue instead of single blocks: compiled once either way.
        venue = longest[-1].venue
        if longest[0].venue != venue:
            moved = deque()
            while longest and longest[-1].venue == venue:
                moved.appendleft(longest.pop())
            own.extend(moved)
            return own.popleft()
        return longest.pop()

    def put_back(self, worker: str, block: Block) -> None:
        """Return a block that must be computed again; it comes next."""
        self.queues.setdefault(worker, deque()).appendleft(block)

    def replace(self, workers: Iterable[str]) -> None:
        """The workers that exist now: newcomers take over the queues of those that are gone."""
        alive = list(workers)
        gone = [name for name in self.queues if name not in alive]
        for name in alive:
            if name not in self.queues:
                self.queues[name] = self.queues.pop(gone.pop()) if gone else deque()
        for name in gone:  # nobody new: their blocks are there to be taken by the others
            if not self.queues[name]:
                del self.queues[name]


def _paths(blocks: list[Block]) -> int:
    return sum(block.n for block in blocks)
