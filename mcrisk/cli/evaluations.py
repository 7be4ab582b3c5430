"""How far a study is, on standard error: a line that renews itself on a terminal, plain lines now and then otherwise."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from threading import Lock

EVERY = 10.0  # seconds between plain lines


@dataclass
class Evaluations:
    """Counts evaluations and says so; call it once per finished evaluation, from any thread. total 0 = not known before."""

    total: int = 0
    quiet: bool = False
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        if not self.quiet:
            times = f" {self.total} times" if self.total else ""
            print(f"simulating{times}; the first time this compiles, which is kept for later", file=sys.stderr, flush=True)

    def __call__(self) -> None:
        with self.lock:
            self.done += 1
            now, terminal = time.monotonic(), sys.stderr.isatty()
            if self.quiet or (now - self.said < (0.2 if terminal else EVERY) and self.done != self.total):
                return
            self.said = now
            end = "\r" if terminal and self.done != self.total else "\n"
            print(self._line(now - self.started), end=end, file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        each = seconds / self.done
        if not self.total:
            return f"{self.done} evaluation{'s' if self.done > 1 else ''} in {seconds:.0f} s"
        left = f", about {each * (self.total - self.done):.0f} s left" if self.done < self.total else ""
        return f"{self.done} of {self.total} evaluations in {seconds:.0f} s{left}"
