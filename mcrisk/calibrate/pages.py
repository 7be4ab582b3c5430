"""What a decision command found as one offline page: the report's style, the answer as its headline."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from mcrisk.calibrate import output
from mcrisk.report import render
from mcrisk.report.format import NOT_RESOLVED, clean, known
from mcrisk.report.model import Cell, Column, Figure, Fold, Panel, Section, Table

FROM_DATA = ("backtest", "fit")  # commands that simulate no venue


def to_html(found: output.Findings) -> str:
    """One file, nothing loaded from anywhere; the same findings give the same bytes."""
    main = len(found.tables) if found.main is None else found.main
    headline, *rest = found.lines
    first = Section("answer", "The answer", paragraphs=list(map(clean, rest)))
    drawn = _figures(found)  # the numbers of every figure stand in the tables below
    first.blocks += drawn.pop("", [])
    sections = [*([first] if first.paragraphs or first.blocks else []), *(_section(table) for table in found.tables[:main])]
    sections += [Section(output.slug(chapter), clean(chapter), blocks=list(figures)) for chapter, figures in drawn.items()]
    if found.tables[main:]:
        folds = [Fold(f"fold-{output.slug(t.title)}", clean(t.title), [clean(t.note)] if t.note else [], [converted(t)])
                 for t in found.tables[main:]]  # fmt: skip
        sections.append(Section("more", "All the numbers", blocks=folds))
    leaf = render.Leaf(f"mcrisk {found.command}: {clean(found.title)}", clean(headline), "", sections)
    if found.command in FROM_DATA:
        leaf.footer = "Every number here is estimated from the data that were given; its interval says how little they may tell."
    return render.html("leaf.html.j2", page=leaf)


def _figures(found: output.Findings) -> dict[str, list[Figure]]:
    """Figures by chapter ("": with the answer); pictures of one group are panels of one figure."""
    chapters: dict[str, dict[str, Figure]] = {}
    for stem, p in found.figures.items():
        panel = Panel(clean(p.panel), Markup(p.svg))
        group = chapters.setdefault(p.chapter, {})
        if p.group in group:
            group[p.group].panels.append(panel)
            continue
        title, legend = clean(p.group or p.title), [(style, clean(text)) for style, text in p.legend]
        figure = Figure(f"{found.command}-{stem}", title, clean(p.see), [panel], legend, wide=not p.group)
        group[p.group or f"{stem}-alone"] = figure
    return {chapter: list(figures.values()) for chapter, figures in chapters.items()}


def _section(table: output.Table) -> Section:
    return Section(output.slug(table.title), clean(table.title), clean(table.note), [converted(table)])


def converted(table: output.Table) -> Table:
    """A table of the report: numbers sort as numbers, intervals stand below their estimates."""
    columns = []
    for k, title in enumerate(table.columns):
        values = [row[k] for row in table.rows]
        numeric = bool(values) and all(isinstance(v, (int, float, output.Range)) and not isinstance(v, bool) for v in values)
        columns.append(Column(clean(title), "number" if numeric else "text"))
    out = Table(f"{output.slug(table.title)}-table", clean(table.title), columns)
    for row in table.rows:
        out.rows.append([_cell(value) for value in row])
    return out


def _cell(value: Any) -> Cell:
    if isinstance(value, output.Range):
        estimate, lower, upper = value.interval
        text, _, between = clean(value).partition(" [")
        return Cell(estimate if known(estimate) else None, text, lower, upper, f"[{between}" if between else "")
    if isinstance(value, output.Verdict):
        return Cell(clean(value), clean(value), verdict=value.tone)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Cell(clean(output.shown(value)), clean(output.shown(value)))
    return Cell(value if known(value) else None, NOT_RESOLVED if value != value else output.shown(value))
