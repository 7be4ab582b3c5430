"""A comparison as tables, text, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from mcrisk.report import changes, charts, headline, names, render, verdicts
from mcrisk.report import format as fmt
from mcrisk.report.compare import MOVED, OPEN, SAME, Change, Comparison, sentence, spelled
from mcrisk.report.model import VERDICT_WORDS, Cell, Column, Figure, Panel, Section, Table, cell

ORDER = (MOVED, "perhaps", OPEN, "within noise", SAME)
SHOWN = 8  # numbers in the figure
FEW = 3  # differences of configurations that fit into the page's head


def change_table(found: Comparison, key: str = "changes") -> Table:
    """Every number, what moved first."""
    how = "paired" if found.paired else "independent"
    table = Table(
        key, "Every number in both runs",
        [Column("venue"), Column("scenario"), Column("number"), Column("before", "percent"), Column("after", "percent"),
         Column("difference", "points", note=how), Column("verdict")],
        has_intervals=True,
    )  # fmt: skip
    for change in sorted(found.changes, key=lambda c: ORDER.index(c.verdict)):
        money = change.unit == "quote"
        kinds = ("money", "money") if money else ("percent", "points")
        of = " (of OI)" if change.unit.startswith("share") else ""
        table.add(
            change.venue, change.scenario, names.label(change.metric, change.cushion) + of,
            *(cell(i.estimate, kinds[0], i.lower, i.upper, with_range=True) for i in (change.old, change.new)),
            _difference_cell(change, kinds[1]), change.verdict,
        )  # fmt: skip
    table.note = (
        f"95{fmt.NARROW}% intervals, {how}. “{MOVED}” is called only where the interval at "
        f"{100 * found.level_each:.6g}{fmt.NARROW}% excludes zero, so that two equal runs are told apart by mistake "
        "in one comparison out of twenty, however many numbers it has."
    )
    return table


def _difference_cell(change: Change, kind: str) -> Cell:
    d = change.difference
    if change.verdict == SAME:
        return Cell(0.0, "0", 0.0, 0.0)
    return cell(d.estimate, kind, d.lower, d.upper, with_range=True)


def section(found: Comparison) -> Section:
    """The chapter "what changed": sentence, figure, numbers, configuration."""
    out = Section("changes", "What changed", lead=sentence(found))
    out.paragraphs = [f"How: {found.why}; {_counted(found)}.", *(spelled(c) + "." for c in found.moved[1:4])]
    out.missing = list(found.alone)
    moved = found.moved or [c for c in found.changes if c.verdict == "perhaps"]
    if moved:
        out.blocks.append(_figure(found, moved))
    out.blocks += [lights_table(found), change_table(found), changes.table(found.old, found.new)]
    return out


def lights_table(found: Comparison, key: str = "changed-lights") -> Table:
    """Limits whose light changed, break-even jumps included; each run is judged by its own limits."""
    columns = [Column("venue"), Column("limit"), Column("before"), Column("after")]
    table = Table(key, "Lights that changed", columns)
    before, after = (
        {row[0].text: row[1:] for row in headline.verdict_table(run, verdicts.judge(run)).rows}
        for run in (found.old, found.new)
    )
    for venue in (name for name in before if name in after):
        for (title, _), old, new in zip(verdicts.TITLES.values(), before[venue], after[venue]):
            if old.verdict != new.verdict:
                table.add(venue, title, *(f"{VERDICT_WORDS[c.verdict]}: {c.text}" for c in (old, new)))
    if not table.rows:
        table.note = "No light has another colour than before."
    return table


def _counted(found: Comparison) -> str:
    a, b = found.paths
    return f"{fmt.count(a)} paths per cell" if a == b else f"{fmt.count(a)} against {fmt.count(b)} paths per cell"


def _figure(found: Comparison, moved: Sequence[Change]) -> Figure:
    """Differences with their intervals, one panel per venue."""
    shares = [c for c in moved if c.unit != "quote"]
    panels = []
    for venue in dict.fromkeys(c.venue for c in shares):
        rows = [
            (f"{names.label(c.metric, c.cushion)}, {c.scenario.replace('_', ' ')}", c.difference)
            for c in shares
            if c.venue == venue
        ][:SHOWN]
        panels.append(Panel(venue, charts.differences(venue, rows)))
    see = "Each bar is the 95 % interval of a difference (black: the estimate); to the right of zero it got worse."
    return Figure("differences", "What moved", see, panels)


def page(many: Sequence[Comparison]) -> render.Leaf:
    """All comparisons against the first run on one page."""
    base = many[0].old
    sections = []
    for k, found in enumerate(many):
        part = section(found)
        if len(many) > 1:
            part.key, part.title = f"changes-{k + 1}", f"Against {found.new.name}"
            for block in part.blocks:
                block.key = f"{block.key}-{k + 1}"
        sections.append(part)
    runs = [base, *(found.new for found in many)]
    called = [run.name if len({r.name for r in runs}) == len(runs) else PurePath(run.path).stem for run in runs]
    facts = [("base" if k == 0 else f"run {k + 1}", f"{run.name} ({run.path})") for k, run in enumerate(runs)]
    if len(many) == 1:
        sections[0].lead = ""  # stands in the page's head
        differs = changes.table(base, many[0].new).rows
        if 0 < len(differs) <= FEW:
            facts.append(("differs", "; ".join(f"{row[0].text}: {row[1].text} → {row[2].text}" for row in differs)))
    title = fmt.clean(f"{called[0]} against {fmt.join(called[1:])}")
    return render.Leaf("mcrisk comparison", title, sentence(many[0]), sections, facts)


def to_html(many: Sequence[Comparison]) -> str:
    """One offline page."""
    return render.html("leaf.html.j2", page=page(many))


def as_data(found: Comparison) -> dict[str, Any]:
    """Plain values; NaN becomes null."""

    def bounds(interval):
        return dict(zip(("estimate", "lower", "upper"), interval))

    return fmt.jsonable({
        "base": found.old.path, "run": found.new.path, "paired": found.paired, "why": found.why,
        "paths": list(found.paths), "level": 0.95, "level_each_for_moved": found.level_each,
        "summary": sentence(found),
        "counts": {word: found.count(word) for word in ORDER},
        "changes": [
            {"venue": c.venue, "scenario": c.scenario, "metric": c.metric, "unit": c.unit or "share",
             "before": bounds(c.old), "after": bounds(c.new), "difference": bounds(c.difference),
             "verdict": c.verdict}
            for c in found.changes
        ],
        "only_in_one": found.alone,
        "lights": lights_table(found).as_json()["rows"],
        "config": changes.table(found.old, found.new).as_json()["rows"],
    })  # fmt: skip


def to_json(many: Sequence[Comparison]) -> str:
    """All comparisons for machines."""
    data = {"format": 1, "comparisons": [as_data(found) for found in many]}
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
