"""What a report is made of, before it becomes HTML, Markdown or JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mcrisk.report import format as fmt

VERDICT_WORDS = {"green": "within limit", "amber": "watch", "red": "breached", "grey": fmt.NOT_RESOLVED}


@dataclass(frozen=True)
class Column:
    """A table column: `kind` is a key of `format.FORMATS`; numeric unless text."""

    title: str
    kind: str = "text"
    unit: str = ""
    note: str = ""

    @property
    def numeric(self) -> bool:
        return self.kind != "text"


@dataclass(frozen=True)
class Cell:
    """One value with its printed form; optional interval and verdict colour."""

    value: Any
    text: str
    lower: float | None = None
    upper: float | None = None
    range_text: str = ""
    verdict: str = ""
    link: str = ""  # relative address, already quoted
    meaning: str = ""  # what the number stands for where the column's title would mislead


@dataclass
class Table:
    """Rows of cells under columns; the only table structure of the report."""

    key: str
    title: str
    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""
    has_intervals: bool = False

    def add(self, *values: Any) -> None:
        """Append a row: a Cell stays, anything else is formatted by its column's kind."""
        if len(values) != len(self.columns):
            raise ValueError(f"table {self.key}: {len(values)} values for {len(self.columns)} columns")
        self.rows.append([v if isinstance(v, Cell) else cell(v, c.kind) for v, c in zip(values, self.columns)])

    def as_json(self) -> dict:
        """Raw numbers, with bounds where there are any."""
        rows = []
        for row in self.rows:
            entry = {}
            for column, item in zip(self.columns, row):
                entry[column.title] = (
                    item.value
                    if not item.range_text
                    else {"estimate": item.value, "lower": item.lower, "upper": item.upper}
                )
                if item.verdict:
                    entry[column.title] = {
                        "verdict": item.verdict,
                        "estimate": item.value,
                        "lower": item.lower,
                        "upper": item.upper,
                        "text": item.text,
                    }
                if item.meaning:
                    plain = entry[column.title]
                    as_dict = plain if isinstance(plain, dict) else {"estimate": plain}
                    entry[column.title] = {**as_dict, "meaning": item.meaning}
            rows.append(entry)
        return {"title": self.title, "units": {c.title: c.unit for c in self.columns if c.unit}, "rows": rows}


def cell(
    value: Any,
    kind: str,
    lower: float | None = None,
    upper: float | None = None,
    *,
    with_range: bool = False,
    verdict: str = "",
    text: str | None = None,
    meaning: str = "",
) -> Cell:
    """A formatted cell; `with_range` prints the interval below the estimate."""
    shown = fmt.FORMATS[kind](value) if text is None else text
    exact = value == lower == upper and value != 0
    between = fmt.interval(lower, upper, kind) if with_range and fmt.known(value) and not exact else ""
    return Cell(fmt.clean(value) if isinstance(value, str) else value, shown, lower, upper, between, verdict,
                meaning=meaning)  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One small chart of a figure."""

    title: str
    svg: str
    note: str = ""


@dataclass
class Figure:
    """Small multiples that share a legend, one sentence saying what to see, and their numbers."""

    key: str
    title: str
    see: str
    panels: list[Panel]
    legend: list[tuple[str, str]] = field(default_factory=list)
    table: Table | None = None
    wide: bool = False


@dataclass
class Fold:
    """Something to open: lines of text, figures and tables, and a story in its own line breaks."""

    key: str
    title: str
    lines: list[str] = field(default_factory=list)
    blocks: list[Figure | Table] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


@dataclass
class Section:
    """A chapter: figures and tables in reading order, and sentences about what is missing."""

    key: str
    title: str
    lead: str = ""
    blocks: list[Figure | Table | Fold] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)

    @property
    def tables(self) -> list[Table]:
        """Every table of the section, those under figures included."""
        flat = [part for b in self.blocks for part in (b.blocks if isinstance(b, Fold) else [b])]
        found = [b.table if isinstance(b, Figure) else b for b in flat]
        return [t for t in found if t is not None]
