"""Doing what is due: each slot exactly once, one at a time, in order; what was cut short is gone on with first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcrisk.config.schedule import Schedule
from mcrisk.errors import InputError, Interrupted, McriskError, RunFailed
from mcrisk.schedules import notify
from mcrisk.schedules.calendar import slot_id, slots
from mcrisk.schedules.state import DONE, FAILED, OPEN, SKIPPED, Folder, Record, stamp
from mcrisk.schedules.work import Work, real

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


@dataclass
class Outcome:
    """What one call did. `busy`: another process holds the folder, nothing was done."""

    busy: bool = False
    done: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # notifications that could not be delivered

    @property
    def exit_code(self) -> int:
        """1 when a slot failed or somebody could not be told, 3 when a limit is breached or a number moved, else 0."""
        codes = {record.exit_code for record in self.done}
        if 1 in codes or (self.problems and 3 not in codes):
            return 1
        return 3 if 3 in codes else 0


def due(
    schedule: Schedule, records: list[Record], now: datetime, since: datetime
) -> tuple[list[datetime], list[datetime]]:
    """Slots to compute and slots to pass over, by the catch-up policy.

    Slots count from the last one recorded, or from `since`, the first time anybody asked. A slot is missed when it is
    older than `grace`.
    """
    grace = timedelta(seconds=schedule.grace)
    after = max([since, *(r.moment for r in records)])
    open_slots = list(slots(schedule.when, after, now))
    missed = [s for s in open_slots if now - s > grace]
    fresh = [s for s in open_slots if now - s <= grace]
    if schedule.catch_up == "all":
        return open_slots, []
    if schedule.catch_up == "none":
        return fresh[-1:], missed + fresh[:-1]
    return open_slots[-1:], open_slots[:-1]


def once(schedule: Schedule, clock: Clock = utc_now, work: Work | None = None) -> Outcome:
    """Do everything that is due now and return; nothing due is a quick call.

    Raises InputError when the results folder cannot be written, Interrupted on Ctrl-C (the slot goes on next time).
    """
    folder, outcome = Folder(schedule.results), Outcome()
    with folder.locked() as mine:
        if not mine:
            return Outcome(busy=True)
        for record in folder.records():
            if record.status == OPEN:
                outcome.done.append(_do(schedule, folder, record, clock, work or real(), outcome))
            elif record.untold:
                _tell(schedule, folder, record, outcome)
        since = folder.since(clock() - timedelta(seconds=schedule.grace + 1))
        wanted, passed = due(schedule, folder.records(), clock(), since)
        for moment in passed:
            folder.write(Record(slot_id(moment), SKIPPED, finished=stamp(clock())))
        for moment in wanted:
            record = Record(slot_id(moment))
            outcome.done.append(_do(schedule, folder, record, clock, work or real(), outcome))
        if outcome.done:
            prune(schedule, folder, clock())
    return outcome


def one_slot(
    schedule: Schedule, moment: datetime, clock: Clock = utc_now, work: Work | None = None, again: bool = False
) -> Outcome:
    """Do one given slot, unless it is done already; `again` computes it anew.

    Raises InputError when the moment is no slot of the schedule or lies in the future.
    """
    if moment > clock():
        raise InputError("the slot lies in the future", stamp(moment), "only what is past can be computed", None)
    if moment not in list(slots(schedule.when, moment - timedelta(seconds=1), moment)):
        raise InputError(
            "that is no slot of the schedule", stamp(moment), f"when: {schedule.when.cron or schedule.when.every}",
            "`mcrisk schedule history` and `mcrisk schedule next` show the slots",
        )  # fmt: skip
    folder, outcome = Folder(schedule.results), Outcome()
    with folder.locked() as mine:
        if not mine:
            return Outcome(busy=True)
        record = folder.record(slot_id(moment))
        if record is None or record.status in (OPEN, SKIPPED) or again:
            if again:
                _remove(folder, slot_id(moment))
            fresh = record if record and record.status == OPEN and not again else Record(slot_id(moment))
            outcome.done.append(_do(schedule, folder, fresh, clock, work or real(), outcome))
    return outcome


def _do(schedule: Schedule, folder: Folder, record: Record, clock: Clock, work: Work, outcome: Outcome) -> Record:
    """One slot from wherever it stands to its end. The record is on disk before the work starts and after it ends."""
    record.attempts += 1
    record.started = record.started or stamp(clock())
    if record.attempts > schedule.attempts:
        record.error = f"given up: it was cut short {record.attempts - 1} times"
        return _end(schedule, folder, record, FAILED, clock, outcome)
    folder.write(record)
    store = folder.store(record.slot)
    previous = _previous(folder, record.slot)
    try:
        if not record.computed:
            work.compute(schedule, store)
            record.computed = True
            folder.write(record)
        found = work.judge(schedule, store, previous)
        work.report(schedule, store, folder.report(record.slot), previous)
    except (Interrupted, KeyboardInterrupt):
        record.attempts -= 1  # somebody stopped it; that says nothing against the slot
        folder.write(record)
        raise
    except McriskError as error:
        record.error = str(error)
        return _end(schedule, folder, record, FAILED, clock, outcome)
    except Exception as error:
        record.error = f"{type(error).__name__}: {error}"
        return _end(schedule, folder, record, FAILED, clock, outcome)
    record.breaches, record.moved = found.breaches, found.moved
    record.summary, record.metrics = found.summary, found.metrics
    return _end(schedule, folder, record, DONE, clock, outcome)


def _end(schedule: Schedule, folder: Folder, record: Record, status: str, clock: Clock, outcome: Outcome) -> Record:
    """Close a slot; whom to tell is recorded with it, so that a kill from here on loses no message."""
    record.status, record.finished = status, stamp(clock())
    why = notify.occasions(record)
    record.untold = [k for k, target in enumerate(schedule.tell) if why & set(target.on)]
    folder.write(record)
    _tell(schedule, folder, record, outcome)
    return record


def _tell(schedule: Schedule, folder: Folder, record: Record, outcome: Outcome) -> None:
    """Deliver what is still to be told, remembering each delivery before the next."""
    if not record.untold:
        return
    message = notify.compose(schedule, record, folder)
    for k in list(record.untold):
        if k < len(schedule.tell):
            try:
                notify.send(schedule.tell[k], message)
            except RunFailed as error:
                outcome.problems.append(str(error))
                continue
            record.told.append(k)
        record.untold.remove(k)
        folder.write(record)


def _previous(folder: Folder, slot: str) -> Path | None:
    """Store of the last finished slot before this one that is still there."""
    earlier = [r.slot for r in folder.records() if r.status == DONE and r.slot < slot and not r.pruned]
    stores = [folder.store(s) for s in earlier if folder.store(s).is_dir()]
    return stores[-1] if stores else None


def prune(schedule: Schedule, folder: Folder, now: datetime) -> list[str]:
    """Remove stores and reports beyond `keep`, newest kept; records stay. Returns the slots that lost theirs."""
    closed = [r for r in folder.records() if r.status in (DONE, FAILED) and not r.pruned]
    finished = [r.slot for r in closed if r.status == DONE]
    kept = set(finished[-schedule.keep.runs :])
    if schedule.keep.days is not None:
        oldest = now - timedelta(days=schedule.keep.days)
        kept = {r.slot for r in closed if r.slot in kept and r.moment >= oldest} | set(finished[-2:])
    first = min(kept, default="")
    gone = [r for r in closed if r.slot not in kept and (r.status == DONE or r.slot < first)]
    for record in gone:
        _remove(folder, record.slot)
        record.pruned = True
        folder.write(record)
    return [record.slot for record in gone]


def _remove(folder: Folder, slot: str) -> None:
    """Move aside first, so that nobody finds half a store under its name."""
    for path in (folder.store(slot), folder.report(slot)):
        if path.is_dir() and not path.is_symlink():
            aside = path.with_name(f".removed-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
