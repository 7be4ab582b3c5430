"""Life-cycle events of a replay: reading them, checking their order, laying them onto the rows of the price file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mcrisk.errors import InputError
from mcrisk.replay import tables
from mcrisk.rules.types import CANCELLED, EXPIRED, NO_SETTLE

KINDS = ("listed", "converted", "cancelled", "expired", "rebase", "halted", "resumed")
_COLUMNS = ("time", "event", "price", "ratio")

EventSource = str | Path | pd.DataFrame | Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True)
class Event:
    """One event as given: epoch seconds, kind, the price or ratio it carries, and where it was written."""

    time: float
    kind: str
    price: float | None
    ratio: float | None
    where: str


@dataclass(frozen=True)
class EventRows:
    """The events as one entry per row; `settle_row` is the last row that counts, or None."""

    listed: np.ndarray
    converted: np.ndarray
    settle: np.ndarray
    settle_price: np.ndarray
    has_settle_price: np.ndarray
    rebase: np.ndarray
    halted: np.ndarray
    settle_row: int | None
    applied: tuple[tuple[int, Event], ...] = field(default=())


def read_events(source: EventSource) -> tuple[list[Event], list[str]]:
    """Events in file order, and remarks. Raises InputError on unknown kinds, bad values and times out of order."""
    if source is None:
        return [], []
    table = _as_table(source)
    if table is None:
        return [], []
    table = _with_known_names(table)
    remarks = tables.require_columns(table, ("time", "event"), ("price", "ratio"))
    clock, _ = tables.times(table)
    kinds = [text.lower() for text in tables.texts(table, "event")]
    prices = _optional(table, "price")
    ratios = _optional(table, "ratio")
    events = []
    for i, kind in enumerate(kinds):
        _check_kind(kind, table.at(i, "event"))
        events.append(_event(table, i, float(clock[i]), kind, prices[i], ratios[i]))
    _check_order(events)
    return events, remarks


def _as_table(source: EventSource) -> tables.Table | None:
    """A table from CSV, Parquet, YAML, a DataFrame or a list of mappings; None when there is no event in it."""
    if isinstance(source, pd.DataFrame):
        return tables.read_table(source, "events") if len(source) else None
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.suffix.lower() not in {".yaml", ".yml", ".json"}:
            return tables.read_table(path)
        return _from_records(_load_yaml(path), str(path))
    return _from_records(list(source), "events")


def _load_yaml(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            "no such file", str(path), "it does not exist or is a folder", "give the path of a YAML or CSV file"
        )
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_PlainTimes)
    except (yaml.YAMLError, UnicodeDecodeError, OSError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(
            "not a readable YAML file", where, str(error).splitlines()[0], "write a list of {time: ..., event: ...}"
        ) from error
    if isinstance(loaded, dict) and set(loaded) == {"events"}:
        loaded = loaded["events"]
    return [] if loaded is None else loaded


class _PlainTimes(yaml.SafeLoader):
    """Safe YAML in which dates stay text, so that every source of times is read by the same rule."""


_PlainTimes.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _from_records(records: Any, label: str) -> tables.Table | None:
    if not isinstance(records, list):
        raise InputError(
            "events are not a list", label, f"found {type(records).__name__}", "write a list of {time: ..., event: ...}"
        )
    for i, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise InputError(
                "an event is not a mapping",
                f"{label}, row {i}",
                f"found {str(record)[:40]!r}",
                "write {time: ..., event: ...}",
            )
        for key, value in record.items():
            if not isinstance(key, str) or isinstance(value, (list, dict, set, tuple)):
                raise InputError(
                    f"an event's '{str(key)[:40]}' is not a plain value",
                    f"{label}, row {i}",
                    "keys are names, values are numbers or text",
                    "write {time: ..., event: ...}",
                )
    if not records:
        return None
    frame = pd.DataFrame(
        [{key: None if value is None else str(value) for key, value in record.items()} for record in records],
        dtype=object,
    )
    return tables.read_table(frame, label)


def _with_known_names(table: tables.Table) -> tables.Table:
    """Accept `kind` or `type` for `event`: the three are all in use among exchange files."""
    if table.has("event"):
        return table
    for other in ("kind", "type"):
        if table.has(other):
            return tables.Table(table.label, table.frame.rename(columns={other: "event"}), table.lines, table.unit)
    return table


def _optional(table: tables.Table, column: str) -> np.ndarray:
    if not table.has(column):
        return np.full(len(table), np.nan)
    return tables.numbers(table, column, positive=True)


def _check_kind(kind: str, where: str) -> None:
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, 1)
        raise InputError(
            f"unknown event '{kind[:40]}'",
            where,
            f"known are {', '.join(KINDS)}",
            f"write '{close[0]}'?" if close else "use one of these",
        )


def _event(table: tables.Table, i: int, time: float, kind: str, price: float, ratio: float) -> Event:
    where = table.at(i)
    has_price, has_ratio = not np.isnan(price), not np.isnan(ratio)
    if kind == "rebase" and not has_ratio:
        raise InputError("a rebase without its ratio", where, "positions are multiplied by it", "add 'ratio'")
    if has_ratio and kind != "rebase":
        raise InputError(f"'{kind}' carries a ratio", where, "only a rebase has one", "remove it")
    if has_price and kind not in ("cancelled", "expired"):
        raise InputError(f"'{kind}' carries a price", where, "only cancelled and expired may", "remove it")
    return Event(time, kind, price if has_price else None, ratio if has_ratio else None, where)


def _check_order(events: Iterable[Event]) -> None:
    """Times must not fall, and each event must make sense after the ones before it."""
    before: Event | None = None
    listed = converted = halted = False
    for event in events:
        if before is not None and event.time < before.time:
            raise InputError(
                "events out of order", event.where, f"its time lies before that of {before.where}", "sort them by time"
            )
        if before is not None and before.kind in ("cancelled", "expired"):
            raise InputError(
                f"'{event.kind}' after settlement", event.where, f"the market settled at {before.where}", "remove it"
            )
        wrong = {
            "listed": "was listed or converted already" if listed or converted else "",
            "converted": "was converted already" if converted else "",
            "halted": "is halted already" if halted else "",
            "resumed": "" if halted else "is not halted",
        }.get(event.kind, "")
        if wrong:
            raise InputError(
                f"'{event.kind}' out of order", event.where, f"the market {wrong} at that time", "correct or remove it"
            )
        listed, converted = listed or event.kind == "listed", converted or event.kind == "converted"
        halted = (halted or event.kind == "halted") and event.kind != "resumed"
        before = event


def lay_out(events: Sequence[Event], utc: np.ndarray) -> EventRows:
    """Put each event into the first row with time ≥ its own. Raises InputError for events after the last row."""
    rows = len(utc)
    out = EventRows(
        listed=np.zeros(rows, bool),
        converted=np.zeros(rows, bool),
        settle=np.full(rows, NO_SETTLE, np.int32),
        settle_price=np.zeros(rows),
        has_settle_price=np.zeros(rows, bool),
        rebase=np.ones(rows),
        halted=np.zeros(rows, bool),
        settle_row=None,
    )
    applied, settle_row = [], None
    for event in events:
        k = int(np.searchsorted(utc, event.time, side="left"))
        if k == rows:
            raise InputError(
                f"'{event.kind}' after the end",
                event.where,
                "the price file ends before it",
                "remove it or give more rows",
            )
        _apply(out, k, event)
        applied.append((k, event))
        if event.kind in ("cancelled", "expired"):
            settle_row = k
    return EventRows(**{**out.__dict__, "settle_row": settle_row, "applied": tuple(applied)})


def _apply(out: EventRows, k: int, event: Event) -> None:
    if event.kind == "listed":
        out.listed[k] = True
    elif event.kind == "converted":
        out.converted[k] = True
    elif event.kind == "rebase":
        out.rebase[k] *= event.ratio  # two in one row act one after the other
    elif event.kind in ("halted", "resumed"):
        out.halted[k:] = event.kind == "halted"
    else:
        out.settle[k] = CANCELLED if event.kind == "cancelled" else EXPIRED
        if event.price is not None:
            out.settle_price[k], out.has_settle_price[k] = event.price, True
