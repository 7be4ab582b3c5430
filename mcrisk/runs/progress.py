"""Progress of a run: a bar with ETA and paths per second on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO


class Progress(Protocol):
    """Told how many paths (all cells counted) are done."""

    def begin(self, total: int, done: int) -> None: ...
    def say(self, text: str) -> None: ...
    def advance(self, paths: int, what: str) -> None: ...
    def end(self) -> None: ...


def reporter(quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """The progress display that fits `stream` (default: stderr, so that results can be piped)."""
    stream = stream or sys.stderr
    if quiet:
        return Silent()
    return Bar(stream) if stream.isatty() else Lines(stream)


class Silent:
    """Says nothing."""

    def begin(self, total: int, done: int) -> None: ...
    def say(self, text: str) -> None: ...
    def advance(self, paths: int, what: str) -> None: ...
    def end(self) -> None: ...


class Lines:
    """Log lines, at most one every `every` seconds and one at the end."""

    def __init__(self, stream: TextIO, every: float = 10.0) -> None:
        self.stream, self.every = stream, every
        self.total = self.done = self.fresh = 0
        self.started = self.last = time.monotonic()

    def begin(self, total: int, done: int) -> None:
        self.total, self.done, self.fresh = total, done, 0
        self.started = self.last = time.monotonic()
        if done:
            self.say(f"resuming: {done:,} of {total:,} paths are there")

    def say(self, text: str) -> None:
        print(time.strftime("%H:%M:%S"), text, file=self.stream, flush=True)

    def advance(self, paths: int, what: str) -> None:
        self.done += paths
        self.fresh += paths
        now = time.monotonic()
        if now - self.last < self.every and self.done < self.total:
            return
        self.last = now
        rate = self.fresh / max(now - self.started, 1e-9)
        left = (self.total - self.done) / rate if rate > 0 else float("inf")
        ending = f", {clock(left)} left" if self.done < self.total else f" in {clock(now - self.started)}"
        self.say(
            f"{self.done:,} of {self.total:,} paths ({100 * self.done / self.total:.0f} %), {rate:,.0f} paths/s{ending}"
        )

    def end(self) -> None: ...


class Bar:
    """A rich progress bar."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.bar = RichProgress(
            TextColumn("[bold]paths"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            console=Console(file=stream), speed_estimate_period=120.0,
        )  # fmt: skip
        self.task = None
        self.fresh, self.started = 0, time.monotonic()

    def begin(self, total: int, done: int) -> None:
        self.fresh, self.started = 0, time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task("paths", total=total, completed=done, rate="", what="compiling")

    def say(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)

    def advance(self, paths: int, what: str) -> None:
        self.fresh += paths
        rate = self.fresh / max(time.monotonic() - self.started, 1e-9)
        self.bar.update(self.task, advance=paths, rate=f"{rate:,.0f} paths/s", what=what)

    def end(self) -> None:
        self.bar.stop()


def clock(seconds: float) -> str:
    """``45 s``, ``3:20 min``, ``2:05 h``."""
    if seconds == float("inf"):
        return "unknown time"
    seconds = int(round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d} h"
