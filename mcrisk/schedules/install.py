"""Letting the operating system start slots: systemd timers, or a line for crontab. Both only call `schedule once`.

The calendar stays ours: `once` decides what is due, so a timer that fires too often does no harm, and the one that
fires late catches up by the schedule's policy.
"""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

from mcrisk.config.schedule import When, expand
from mcrisk.schedules.calendar import slots

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def on_calendar(when: When) -> str:
    """systemd's `OnCalendar=` for a schedule; intervals are polled, at most every five minutes."""
    if when.every is not None:
        return "*:*:0/10" if when.every < 60 else "*:0/1" if when.every < 300 else "*:0/5"
    minute, hour, day, month, weekday = (
        "*" if text == "*" else expand(text, k) for k, text in enumerate(when.cron.split())
    )
    days = "" if weekday == "*" else ",".join(_WEEKDAYS[d] for d in weekday) + " "
    return f"{days}*-{_listed(month)}-{_listed(day)} {_listed(hour)}:{_listed(minute)}:00 {when.timezone}"


def _listed(numbers: list[int] | str) -> str:
    return numbers if isinstance(numbers, str) else ",".join(f"{n:02d}" for n in numbers)


def command(reference: str) -> list[str]:
    """What a launcher runs: this Python, so that it works without an activated environment."""
    return [sys.executable, "-m", "mcrisk", "schedule", "once", reference]


def units(name: str, when: When, reference: str, folder: Path, log: str = "journal") -> dict[str, str]:
    """File name → content of a service and its timer.

    Args:
        reference: the schedule's name or absolute path.
        folder: working directory, from which relative paths in the schedule count.
    """
    line = " ".join(_systemd(part) for part in command(reference))
    service = f"""[Unit]
Description=mcrisk schedule {name}
# exit code 3 (a limit is breached, a number moved) leaves the unit failed on purpose: `systemctl --failed` shows it

[Service]
Type=oneshot
WorkingDirectory={_systemd(str(folder), quoted=False)}
ExecStart={line}
StandardOutput={log}
StandardError={log}
TimeoutStopSec=120
"""
    timer = f"""[Unit]
Description=mcrisk schedule {name}

[Timer]
OnCalendar={on_calendar(when)}
Persistent=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""
    return {f"mcrisk-{name}.service": service, f"mcrisk-{name}.timer": timer}


def _systemd(text: str, quoted: bool = True) -> str:
    """Quoted for a unit file: percent and dollar signs are its own."""
    safe = text.replace("%", "%%")
    if not quoted:
        return safe
    safe = safe.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{safe}"' if any(c.isspace() or c in "\"'\\;" for c in safe) else safe


def _seconds_between(when: When) -> float:
    """The shortest time between slots; of a calendar, among those of a day (a minute field may list any minutes)."""
    if when.every is not None:
        return when.every
    day = datetime(2026, 1, 5, tzinfo=UTC)
    found = list(islice(slots(when, day, day + timedelta(days=7)), 2000))
    return min(((b - a).total_seconds() for a, b in pairwise(found)), default=float("inf"))


def crontab_line(when: When, reference: str, folder: Path) -> str:
    """A line that asks often enough; cron's own time zone and its missing catch-up then do not matter."""
    often = "*" if _seconds_between(when) < 300 else "*/5"
    log = shlex.quote(str(folder / "mcrisk-schedule.log"))
    what = f"cd {shlex.quote(str(folder))} && {shlex.join(command(reference))} >> {log} 2>&1"
    return f"{often} * * * * {what}".replace("%", "\\%")
