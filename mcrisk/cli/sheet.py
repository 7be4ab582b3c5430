"""A venue profile as a readable rulebook: every value with its source, assumptions marked."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcrisk.cli import terminal
from mcrisk.config.venue import Margin, Note, Venue
from mcrisk.errors import printable

_SLOTS = ("contract", "pre", "post", "liquidation", "fund", "backstop", "adl", "settlement")
_TITLES = {"pre": "Before conversion", "post": "After conversion", "adl": "Auto-deleveraging", "fund": "Insurance fund"}
_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0))


def print_sheet(venue: Venue, console: Console | None = None) -> None:
    """Print the rulebook; sources are numbered and listed at the end."""
    console = console or terminal.console()
    console.print(Text(f"{printable(venue.title)}  ({venue.name})", style="bold"))
    console.print(
        f"{printable(venue.operator)} · {venue.instrument} · {venue.index_type.replace('_', '-')} index · "
        f"liquidity {venue.liquidity} · book {venue.book}\n",
        markup=False, highlight=False,
    )  # fmt: skip
    for slot in _SLOTS:
        part = getattr(venue, slot)
        console.print(_section(venue, slot, part))
        if slot in ("pre", "post"):
            console.print(_tiers(part.margin))
        console.print()
    console.print(_sources(venue))


def _section(venue: Venue, slot: str, part: BaseModel) -> Table:
    table = Table(
        title=_TITLES.get(slot, slot.capitalize()),
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for heading, share in (("rule", 3), ("value", 4), ("source", 1)):
        table.add_column(heading, ratio=share, overflow="fold", header_style="dim")
    for path, shown in _rows(slot, part):
        number, note = _note(venue, path)
        mark = Text(f"[{number}]" if number else "—")
        if note is not None and note.assumption:
            mark.append(" assumption", style="yellow")
        table.add_row(path.removeprefix(f"{slot}."), Text(shown), mark)
    return table


def _rows(prefix: str, model: BaseModel) -> Iterator[tuple[str, str]]:
    """(dotted path, printed value) of every leaf but the margin tiers, in the order of declaration."""
    for name, field in type(model).model_fields.items():
        value, path = getattr(model, name), f"{prefix}.{name}"
        if isinstance(value, BaseModel):
            yield from _rows(path, value)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            if name != "tiers":
                yield path, "; ".join(_inline(item) for item in value)
        else:
            extra = field.json_schema_extra
            seconds = isinstance(extra, dict) and extra.get("unit") == "seconds" or _is_seconds(field.metadata)
            yield path, _shown(value, seconds=seconds)


def _is_seconds(metadata: list[object]) -> bool:
    return any((getattr(item, "json_schema_extra", None) or {}).get("unit") == "seconds" for item in metadata)


def _inline(model: BaseModel) -> str:
    return ", ".join(f"{name} {_shown(getattr(model, name))}" for name in type(model).model_fields)


def _shown(value: object, *, seconds: bool = False) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if seconds:
            unit, size = next(((u, s) for u, s in _UNITS if value >= s and value % s == 0), ("s", 1.0))
            return f"{value / size:g} {unit}"
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:g}"
    return printable(value)


def _tiers(margin: Margin) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    unit = "contracts" if margin.by == "contracts" else "notional"
    for heading in (f"{unit} up to", "initial", "maintenance", "leverage"):
        table.add_column(heading, justify="right")
    for tier in margin.tiers:
        bound = "∞" if tier.up_to is None else f"{tier.up_to:,.0f}"
        table.add_row(bound, f"{tier.initial:.2%}", f"{tier.maintenance:.2%}", f"{1 / tier.initial:.3g}×")
    return table


def _note(venue: Venue, path: str) -> tuple[int, Note | None]:
    """Number (from 1) and note with the longest dotted prefix of `path`; (0, None) when there is none."""
    best, length = 0, -1
    for number, note in enumerate(venue.provenance, 1):
        if (path == note.field or path.startswith(note.field + ".")) and len(note.field) > length:
            best, length = number, len(note.field)
    return best, venue.provenance[best - 1] if best else None


def _sources(venue: Venue) -> Table:
    table = Table(
        title="Sources", title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 1, 0, 0)
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, note in enumerate(venue.provenance, 1):
        text = Text(f"{printable(note.field)}: {printable(note.source)} ({note.date}, {note.marker})")
        if note.assumption:
            text.append(" assumption", style="yellow")
        if note.note:
            text.append(f" — {printable(note.note)}")
        table.add_row(f"[{number}]", text)
    return table
