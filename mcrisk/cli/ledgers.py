"""The drill-down of `mcrisk report`: walks the chosen paths again and hands the page what it keeps of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcrisk.errors import McriskError
from mcrisk.report.ledgers import Told, Wanted, condense, wanted
from mcrisk.report.source import Run


def walk(run: Path, say: Callable[[str], None]) -> list[Told]:
    """Every wanted path of a run, walked again; one that cannot be says why and stops nobody."""
    chosen = wanted(Run.open(run))
    say(f"walking {len(chosen)} paths of {chosen[0].venue} down to their ledgers (--no-ledgers skips this)")
    return [_told(run, one) for one in chosen]


def _told(run: Any, one: Wanted) -> Told:
    from mcrisk.runs.explain import explain

    try:
        found = explain(run, one.venue, one.scenario, one.path, allow_difference=True)
    except McriskError as error:
        return Told(one, failure=f"{error.what}: {error.why}" if error.why else error.what)
    except Exception as error:  # the page must not fail with its drill-down; it says what went wrong there
        return Told(one, failure=f"{type(error).__name__}: {error}")
    return condense(one, found.result, found.story[3:], found.agreement, float(found.numbers["event_time"]))
