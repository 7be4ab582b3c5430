"""Tables and figures of the calibration commands: printed, written as CSV, SVG, Markdown and one offline page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcrisk.report.format import NOT_RESOLVED, clean
from mcrisk.report.render import write

_STYLE = """<style>
svg { background: #fff; font: 11px system-ui, "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
text { fill: #333; } .tick, .note, .value { font-size: 10px; } .axis { font-size: 11px; }
.l { fill: none; stroke-width: 1.8; } .g { stroke: #e8eaed; } .a { stroke: #777; } .v { stroke-dasharray: 3 3; stroke: #777; }
.l.s0, .v.s0 { stroke: #0072b2; } .l.s5 { stroke: #d55e00; } .l.s1, .v.s1 { stroke: #c98500; } .l.s2, .v.s2 { stroke: #008a65; }
.l.s3, .v.s3 { stroke: #b5578f; } .l.w { stroke: #333; stroke-width: 1.2; }
.r.s0, .b.s0 { fill: #0072b2; } .r.s1, .b.s1 { fill: #c98500; }
.r.s2, .b.s2 { fill: #008a65; } .r.s3 { fill: #b5578f; } .b.s5 { fill: #d55e00; }
.b { opacity: .18; } .bad { fill: #b23a08; } .q { fill: #59636d; }
</style>"""


class Range(str):
    """A number with its interval as people read it; the numbers stay for pages that sort and for JSON."""

    interval: tuple[float, float, float]

    def __new__(cls, text: str, interval: Sequence[float]) -> Range:
        made = super().__new__(cls, text)
        made.interval = tuple(map(float, interval))
        return made

    @property
    def exact(self) -> float | None:
        """The number, where there is no doubt about it; else None."""
        estimate, lower, upper = self.interval
        return estimate if lower == estimate == upper else None


def certain(text: str, value: float) -> Range:
    """A number without an interval that is shown in its own way, e.g. in percent."""
    return Range(text, (value, value, value))


class Verdict(str):
    """A word that is good (tone green), bad (red) or neither (""), e.g. 'better'."""

    tone: str

    def __new__(cls, text: str, tone: str = "") -> Verdict:
        made = super().__new__(cls, text)
        made.tone = tone
        return made


@dataclass(frozen=True)
class Picture:
    """One chart: SVG element, title, one sentence that says what to see, (style, words) of its colours.

    Pictures of one `group` stand side by side on the page, each under `panel`; with a `chapter` they stand in one of their own,
    behind the tables, else with the answer.
    """

    svg: str
    title: str
    see: str
    legend: tuple[tuple[str, str], ...] = ()
    group: str = ""
    panel: str = ""
    chapter: str = ""


@dataclass(frozen=True)
class Table:
    """Named columns and rows of texts and numbers; NaN means that the sample cannot give the number."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    def csv(self) -> str:
        """All digits; NaN is an empty field. A column of intervals becomes three: estimate, lower, upper."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        wide = [any(isinstance(row[k], Range) and row[k].exact is None for row in self.rows) for k in range(len(self.columns))]
        heads = [(title, f"{title} lower", f"{title} upper")[: 3 if w else 1] for title, w in zip(self.columns, wide)]
        writer.writerow([name for head in heads for name in head])
        writer.writerows([part for value, w in zip(row, wide) for part in _fields(value, w)] for row in self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """A pipe table under its title."""
        lines = [f"### {clean(self.title)}", "", _line(self.columns), _line("---" for _ in self.columns)]
        lines += [_line(shown(value) for value in row) for row in self.rows]
        return "\n".join(lines) + (f"\n\n{clean(self.note)}" if self.note else "") + "\n"


def _fields(value: Any, wide: bool) -> list[Any]:
    """The CSV fields of a cell."""
    if not isinstance(value, Range):
        return [_plain(value), "", ""] if wide else [_plain(value)]
    return [_plain(float(end)) for end in value.interval] if wide else [_plain(value.interval[0])]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return clean(value) if isinstance(value, str) else value


def _line(cells: Any) -> str:
    return "| " + " | ".join(clean(cell).replace("|", "\\|") for cell in cells) + " |"


def shown(value: Any) -> str:
    """A cell as people read it: thousands grouped, four digits, NaN as 'not resolved'."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, float) and math.isnan(value):
        return NOT_RESOLVED
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.0f}" if abs(value) >= 1e4 or isinstance(value, int) else f"{value:,.4g}"
    return text.replace("-", "−") if value < 0 else text


def money_range(estimate: float, lower: float, upper: float) -> Range:
    """`estimate [lower, upper]`; an unknown end is said in words."""
    text = f"{shown(float(estimate))} [{shown(float(lower))}, {shown(float(upper))}]"
    return Range(text, (estimate, lower, upper))


def standalone(svg: str) -> str:
    """An SVG element of the report as a file of its own, with the report's colours."""
    head = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    cut = head.index(">") + 1
    return head[:cut] + _STYLE + head[cut:] + "\n"


@dataclass(frozen=True)
class Findings:
    """What a command found: the answer (its first line is the headline), tables, figures by file stem.

    The first `main` tables are printed and open on the page; the others are files, and folded there. None = all.
    """

    command: str
    title: str
    text: str
    tables: Sequence[Table]
    figures: Mapping[str, Picture] = field(default_factory=dict)
    main: int | None = None

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]

    def as_data(self) -> dict[str, Any]:
        """Plain values for `--json`: rows by column, intervals as {estimate, lower, upper}."""
        tables = [
            {"title": t.title, "rows": [dict(zip(t.columns, map(_data, row))) for row in t.rows], "note": t.note}
            for t in self.tables
        ]
        return {"command": self.command, "title": self.title, "answer": self.lines, "tables": tables}


def _data(value: Any) -> Any:
    if isinstance(value, Range):
        return value.exact if value.exact is not None else dict(zip(("estimate", "lower", "upper"), value.interval))
    return clean(value) if isinstance(value, str) else value


def slug(title: str) -> str:
    """A file's or an anchor's name."""
    return "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")[:60]


def write_page(folder: Path, found: Findings) -> list[Path]:
    """Write `COMMAND.html`, `COMMAND.md`, one CSV per table and one SVG per figure into `folder`; returns the files."""
    from mcrisk.calibrate.pages import to_html

    folder.mkdir(parents=True, exist_ok=True)
    name, files = found.command, []
    for table in found.tables:
        files.append(_put(folder / f"{name}-{slug(table.title)}.csv", table.csv()))
    for stem, picture in found.figures.items():
        files.append(_put(folder / f"{name}-{stem}.svg", standalone(picture.svg)))
    pictures = [f"![{clean(p.title)}]({name}-{stem}.svg)\n\n{clean(p.see)}\n" for stem, p in found.figures.items()]
    text = "\n\n".join(map(clean, found.lines))
    body = "\n".join([f"# {clean(found.title)}\n", text + "\n", *pictures, *(t.markdown() for t in found.tables)])
    return [_put(folder / f"{name}.html", to_html(found)), _put(folder / f"{name}.md", body), *files]


def _put(file: Path, text: str) -> Path:
    return write(file, text)
