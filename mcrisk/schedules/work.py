"""What a slot does with the engine: compute the run, write its report, judge it. Tests put a stand-in here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcrisk.config.schedule import Schedule
from mcrisk.schedules.state import plain

KEPT = ("p_fund_depleted", "required_fund_99_of_oi", "es_99_bad_debt_of_oi", "p_adl", "winners_haircut_es99")


@dataclass
class Judgement:
    """What a slot says about its run."""

    breaches: list[str]
    moved: list[str]
    summary: str
    metrics: dict[str, dict[str, list[float | None]]]


@dataclass(frozen=True)
class Work:
    """The three steps, each of which may be repeated after a kill without harm."""

    compute: Callable[[Schedule, Path], None]
    report: Callable[[Schedule, Path, Path, Path | None], None]  # store, folder, previous store
    judge: Callable[[Schedule, Path, Path | None], Judgement]


def real() -> Work:
    """The engine of this installation."""
    return Work(compute, write_report, judge)


def compute(schedule: Schedule, store: Path) -> None:
    """Compute or continue the run of a slot. Raises as `mcrisk.run` does."""
    from mcrisk.config.load import load_config
    from mcrisk.runs import run

    run(load_config(schedule.run, settings(schedule)), out=store, quiet=True)


def settings(schedule: Schedule) -> list[str]:
    """The schedule's `set` as `--set` texts; JSON is YAML."""
    return [f"{key}={json.dumps(value)}" for key, value in schedule.set.items()]


def write_report(schedule: Schedule, store: Path, folder: Path, previous: Path | None) -> None:
    """Write the report of a slot beside its store."""
    if not schedule.report:
        return
    from mcrisk.report import report

    report(store, folder, formats=schedule.report, previous=previous)


def judge(schedule: Schedule, store: Path, previous: Path | None) -> Judgement:
    """Red limits, numbers that moved by more than noise since the previous slot, and the headline numbers to remember."""
    from mcrisk.report import compare, verdicts
    from mcrisk.report.answer import find_answer
    from mcrisk.report.source import Run

    run = Run.open(store)
    judged = verdicts.judge(run)
    answer = find_answer(run, judged)
    breaches = []
    if schedule.alert.limits:
        breaches = [
            f"{venue.name}: {verdicts.TITLES[key][0]}"
            for venue, row in zip(run.venues, judged)
            for key, verdict in row.items()
            if verdict.colour == "red"
        ]
    moved = []
    if previous is not None and schedule.alert.moved:
        found = compare.compare(Run.open(previous), run)
        moved = [compare.spelled(c) for c in found.moved if c.metric in schedule.alert.moved]
    kept = {
        venue.name: {
            name: [plain(v) for v in (bound.estimate, bound.lower, bound.upper)]
            for name in KEPT
            if (bound := run.metric(venue.index, run.headline, name)) is not None
        }
        for venue in run.venues
    }
    return Judgement(breaches, moved, f"{answer.worry} {answer.action}", kept)
