"""When a schedule is due. One calendar for all launchers, so that they agree on what a slot is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mcrisk.config.schedule import When

ID = "%Y%m%dT%H%M%SZ"
HORIZON = timedelta(days=5 * 366)  # a cron line without a date in so long a time has none


def slot_id(moment: datetime) -> str:
    """Name of a slot: its UTC time, sortable."""
    return moment.astimezone(UTC).strftime(ID)


def from_id(text: str) -> datetime:
    """The moment of a slot's name. Raises ValueError for anything else."""
    return datetime.strptime(text, ID).replace(tzinfo=UTC)


def slots(when: When, after: datetime, until: datetime) -> Iterator[datetime]:
    """Slots with after < slot <= until, ascending, in UTC."""
    if when.every is not None:
        yield from _every(when.every, after.astimezone(UTC), until.astimezone(UTC))
    else:
        yield from _cron(when, after.astimezone(UTC), until.astimezone(UTC))


def following(when: When, after: datetime) -> datetime | None:
    """The first slot after a moment; None when there is none in five years (30 February)."""
    return next(slots(when, after, after + HORIZON), None)


def _every(seconds: float, after: datetime, until: datetime) -> Iterator[datetime]:
    number = int(after.timestamp() // seconds)
    while True:
        moment = datetime.fromtimestamp(number * seconds, UTC)
        if moment > until:
            return
        if moment > after:
            yield moment
        number += 1


def _cron(when: When, after: datetime, until: datetime) -> Iterator[datetime]:
    """Wall-clock times from APScheduler's cron, run on a clock that never changes, then placed into the time zone."""
    from apscheduler.triggers.cron import CronTrigger

    zone, trigger = ZoneInfo(when.timezone), CronTrigger.from_crontab(when.cron, timezone=UTC)
    wall = after.astimezone(zone).replace(tzinfo=UTC) - timedelta(hours=3)  # clock changes are shorter
    last, seen = until.astimezone(zone).replace(tzinfo=UTC) + timedelta(hours=3), after
    while (wall := trigger.get_next_fire_time(wall, wall)) is not None and wall <= last:
        moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if seen < moment <= until:
            seen = moment
            yield moment
        wall += timedelta(seconds=1)
