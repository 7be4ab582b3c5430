"""Everything the configuration marks as an assumption, from venues, scenarios, books, prices and liquidity, merged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcrisk.report import format as fmt
from mcrisk.report.model import Column, Table
from mcrisk.report.source import Run

COLUMNS = ("where", "field", "note", "range", "source")


def notes_table(run: Run) -> Table:
    """One row per distinct note; where several venues or scenarios share it, they are named together."""
    merged: dict[tuple[str, ...], list[str]] = {}
    for kind, owner, note in _walk(run.config):
        key = (
            kind,
            *(fmt.clean(note.get(k) or "") for k in ("field", "note")),
            _range(note.get("range")),
            _source(note),
        )
        owners = merged.setdefault(key, [])
        if owner not in owners:
            owners.append(owner)
    whole = {"venues": [v.name for v in run.venues], "scenarios": list(run.scenarios)}
    table = Table("notes", f"Everything marked as an assumption ({len(merged)})", [Column(c) for c in COLUMNS])
    for (kind, *rest), owners in merged.items():
        of = "venues" if kind.startswith("venue") else "scenarios" if kind.startswith("scenario") else ""
        table.add(_where(kind, owners, of, whole.get(of, [])), *rest)
    if not merged:
        table.note = "The stored configuration carries no provenance notes."
    return table


def _where(kind: str, owners: list[str], of: str, whole: list[str]) -> str:
    """'all venues', 'kraken-preipo, okx-preipo-perp', 'liquidity: all venues', 'book'; `whole` all owners of the kind `of`."""
    others = [name for name in map(fmt.clean, whole) if name not in owners]
    named = ", ".join(o for o in owners if o)
    if len(whole) > 1 and len(others) < min(3, len(owners)):
        named = f"all {of}{f' but {fmt.join(others)}' if others else ''}"
    if kind == of:
        return named
    title = kind.replace("venue_", "").replace("scenario_", "").replace("_", " ")
    return f"{title}: {named}" if named and named != kind else title


def _range(value: Any) -> str:
    return (
        f"{value[0]:g} to {value[1]:g}"
        if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(fmt.known, value))
        else ""
    )


def _source(note: dict) -> str:
    return ", ".join(fmt.clean(note[k]) for k in ("source", "date") if note.get(k))


def _walk(value: Any, kind: str = "", owner: str = "") -> Iterator[tuple[str, str, dict]]:
    """(top-level part of the config, name of the owner, note) of every assumption below `value`."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key == "provenance":
                yield from ((kind, owner, n) for n in part or () if isinstance(n, dict) and n.get("assumption"))
            elif kind == "":
                yield from _walk(part, key, "")
            else:
                yield from _walk(part, kind, owner or (key if isinstance(part, dict) else ""))
    elif isinstance(value, (list, tuple)):
        for part in value:
            name = part.get("name") if isinstance(part, dict) else None
            yield from _walk(part, kind, owner or fmt.clean(name or ""))
