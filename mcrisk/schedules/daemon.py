"""The long-lived process for containers: APScheduler wakes, a child process does the slot with `schedule once`.

A child per slot gives its memory back, takes a crash with it, and is what systemd would start; all launchers may run at
the same time, because the lock and the records decide, not the clock.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from mcrisk.config.schedule import Schedule, When
from mcrisk.schedules.calendar import following
from mcrisk.schedules.install import command

WORDS = {0: "nothing left to do", 1: "failed", 2: "wrong input", 3: "a limit is breached or a number moved", 130: "interrupted"}
Launch = Callable[[str], int]
Say = Callable[[str], None]


class Slots(BaseTrigger):
    """Our calendar as APScheduler's trigger, so that both agree on clock changes."""

    def __init__(self, when: When) -> None:
        self.when = when

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return following(self.when, max(previous_fire_time or now, now))


class Child:
    """Starts `mcrisk schedule once` and can pass a stop on to it."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen] = set()
        self.stopping = False

    def __call__(self, reference: str) -> int:
        if self.stopping:
            return 130
        process = subprocess.Popen(command(reference), stdin=subprocess.DEVNULL)
        self.running.add(process)
        try:
            return process.wait()
        finally:
            self.running.discard(process)

    def stop(self) -> None:
        """Ask running slots to end; their finished blocks are kept."""
        self.stopping = True
        for process in list(self.running):
            process.terminate()


def start(schedules: Sequence[tuple[str, Schedule]], launch: Launch, say: Say, at_once: int = 1) -> BackgroundScheduler:
    """A running scheduler: what is due now at once (catch-up), then every slot. The caller shuts it down."""
    made = BackgroundScheduler(executors={"default": ThreadPoolExecutor(at_once)}, timezone=UTC)
    for reference, schedule in schedules:
        made.add_job(
            _slot, Slots(schedule.when), args=(reference, schedule, launch, say), id=schedule.name, name=schedule.name,
            max_instances=1, coalesce=True, misfire_grace_time=None, next_run_time=datetime.now(UTC),
        )  # fmt: skip
    made.start()
    return made


def _slot(reference: str, schedule: Schedule, launch: Launch, say: Say) -> None:
    code = launch(reference)
    upcoming = following(schedule.when, datetime.now(UTC))
    then = f"; next {upcoming:%Y-%m-%d %H:%M:%S} UTC" if upcoming else ""
    killed = f"its process was killed (signal {-code}); the slot is taken up again when the next one comes"
    say(f"{schedule.name}: {killed if code < 0 else WORDS.get(code, f'exit code {code}')}{then}")


def run_forever(schedules: Sequence[tuple[str, Schedule]], say: Say, at_once: int = 1) -> int:
    """Serve until SIGTERM or SIGINT; then running slots are interrupted, with their finished blocks kept."""
    child, stop = Child(), threading.Event()

    def ask(*_: Any) -> None:
        stop.set()

    previous = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    scheduler = start(schedules, child, say, at_once)
    try:
        for _, schedule in schedules:
            say(f"{schedule.name}: watching, {schedule.when.cron or f'every {schedule.when.every:g} s'} "
                f"{schedule.when.timezone}")  # fmt: skip
        stop.wait()
        say("stopping; finished blocks are kept")
        return 0
    finally:
        child.stop()
        scheduler.shutdown(wait=True)
        for number, handler in previous.items():
            signal.signal(number, handler)
