"""Tables, figures and pages of the calibration commands: printed, written as CSV, SVG and one Markdown page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcrisk.report.format import NOT_RESOLVED, clean

_STYLE = """<style>
svg { background: #fff; font: 11px system-ui, "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
text { fill: #333; } .tick, .note, .value { font-size: 10px; } .axis { font-size: 11px; }
.l { fill: none; stroke-width: 1.8; } .g { stroke: #e8eaed; } .a { stroke: #777; } .v { stroke-dasharray: 3 3; stroke: #777; }
.l.s0, .v.s0 { stroke: #0072b2; } .l.s5 { stroke: #d55e00; } .l.s1, .v.s1 { stroke: #c98500; } .l.s2, .v.s2 { stroke: #008a65; }
.l.s3, .v.s3 { stroke: #b5578f; } .r.s0, .b.s0 { fill: #0072b2; } .r.s1, .b.s1 { fill: #c98500; }
.r.s2, .b.s2 { fill: #008a65; } .r.s3 { fill: #b5578f; } .b { opacity: .18; } .bad { fill: #b23a08; } .q { fill: #59636d; }
</style>"""


@dataclass(frozen=True)
class Table:
    """Named columns and rows of texts and numbers; NaN means that the sample cannot give the number."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    def csv(self) -> str:
        """All digits; NaN is an empty field."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_plain(value) for value in row] for row in self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """A pipe table under its title."""
        lines = [f"### {clean(self.title)}", "", _line(self.columns), _line("---" for _ in self.columns)]
        lines += [_line(shown(value) for value in row) for row in self.rows]
        return "\n".join(lines) + (f"\n\n{clean(self.note)}" if self.note else "") + "\n"


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
    text = f"{value:,.0f}" if abs(value) >= 1e4 or isinstance(value, int) else f"{value:.4g}"
    return text.replace("-", "−") if value < 0 else text


def money_range(estimate: float, lower: float, upper: float) -> str:
    """`estimate [lower, upper]`; an unknown end is said in words."""
    return f"{shown(float(estimate))} [{shown(float(lower))}, {shown(float(upper))}]"


def standalone(svg: str) -> str:
    """An SVG element of the report as a file of its own, with the report's colours."""
    head = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    cut = head.index(">") + 1
    return head[:cut] + _STYLE + head[cut:] + "\n"


def write_page(
    folder: Path, name: str, title: str, text: str, tables: Sequence[Table], figures: Mapping[str, str]
) -> list[Path]:
    """Write `name.md`, one CSV per table and one SVG per figure into `folder`; returns the files.

    Args:
        figures: file stem → SVG element.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for table in tables:
        stem = "".join(c if c.isalnum() else "-" for c in table.title.lower()).strip("-")[:60]
        files.append(_put(folder / f"{name}-{stem}.csv", table.csv()))
    for stem, svg in figures.items():
        files.append(_put(folder / f"{name}-{stem}.svg", standalone(svg)))
    pictures = [f"![{stem}]({name}-{stem}.svg)\n" for stem in figures]
    body = "\n".join([f"# {clean(title)}\n", text.strip() + "\n", *(t.markdown() for t in tables), *pictures])
    return [_put(folder / f"{name}.md", body), *files]


def _put(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
