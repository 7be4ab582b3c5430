"""The report's tables on a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from mcrisk.cli.terminal import console
from mcrisk.errors import printable
from mcrisk.report import control, headline, names, sampling, verdicts
from mcrisk.report.format import jsonable
from mcrisk.report.model import Cell
from mcrisk.report.model import Table as SourceTable
from mcrisk.report.source import Run

_TERMINAL = (
    "P(fund gone)",
    "required fund 99 %",
    "liquidated, mean",
    "P(ADL)",
    "winners' haircut ES 99 %",
    "unpaid, mean",
)
MARKS = {names.meaning("p_fund_depleted", "none"): "*", names.meaning("p_fund_depleted", "vault"): "†"}
_COLOURS = {"green": "green", "amber": "yellow", "red": "red", "grey": "dim"}


MANIFEST = (
    "complete", "backend", "versions", "git", "hardware", "created", "sessions", "timings", "memory", "precision",
)  # fmt: skip


def load(run: Path) -> Run:
    """The run as the report sees it. Raises InputError when it is no results store."""
    return Run.open(run)


def print_facts(run: Run, facts: dict[str, Any] | None) -> None:
    """Name, size, fingerprint and seed of the run."""
    facts = facts or {}
    out = console()
    out.print(
        Text(
            f"{printable(run.name)}: {len(run.venues)} venues × {len(run.scenarios)} scenarios × {run.n_paths:,} paths"
        )
    )
    out.print(
        Text(f"fingerprint {str(facts.get('fingerprint', '?'))[:16]}   seed {printable(facts.get('seed', '?'))}"), style="dim"
    )
    for line in manifest_lines(facts):
        out.print(Text(printable(line)), style="dim")
    out.print()


def manifest_lines(facts: dict[str, Any]) -> list[str]:
    """Where, when and with what the run was made; what an older or foreign store does not say is left out."""
    git, versions, machine, memory, times = (
        value if isinstance(value := facts.get(key), dict) else {} for key in ("git", "versions", "hardware", "memory", "timings")
    )
    sessions = facts.get("sessions") if isinstance(facts.get("sessions"), list) else []
    code = f"commit {str(git.get('commit', ''))[:12]}{', changed' if git.get('dirty') else ''}" if git else "no repository"
    packages = ", ".join(f"{name} {versions[name]}" for name in ("python", "mcrisk", "jax", "numpy") if name in versions)
    lines = [f"{facts.get('backend', '?')} backend   {packages}   {code}"]
    if machine:
        lines.append(f"{machine.get('processor', '?')}, {machine.get('cores', '?')} cores, {machine.get('memory_gib', '?')} GiB, "
                     f"{machine.get('instruction_set', '?')}, {machine.get('system', '?')}")  # fmt: skip
    if isinstance(wall := times.get("wall_seconds"), (int, float)):
        peak = max([v for v in memory.values() if isinstance(v, int)], default=0)
        lines.append(f"made {facts.get('created', '?')} in {len(sessions)} session(s), {wall:,.0f} s; "
                     f"blocks {times.get('block_seconds', '?')} s; memory peak {peak / 2**20:,.0f} MiB")  # fmt: skip
    targets = [t for t in facts.get("precision") or [] if isinstance(t, dict)]
    return lines + [f"{'precision' if t.get('held') else 'PRECISION NOT REACHED'}: {t.get('wish')}" for t in targets]


def as_json(run: Run, facts: dict[str, Any] | None) -> str:
    """Facts, lights and headline numbers for machines; NaN becomes null."""
    facts = facts or {}
    data = {
        "run": {"name": run.name, "path": run.path, "paths": run.n_paths, "venues": [v.name for v in run.venues],
                "scenarios": run.scenarios, "fingerprint": facts.get("fingerprint"), "seed": facts.get("seed")},
        "manifest": {key: facts.get(key) for key in MANIFEST},
        "limits": headline.verdict_table(run, verdicts.judge(run)).as_json(),
        "headline": headline.headline_table(run).as_json(),
    }  # fmt: skip
    return json.dumps(jsonable(data), indent=1, ensure_ascii=False, allow_nan=False)


def print_headline(run: Run) -> None:
    """Venue × scenario, the columns that say who is hit; P(fund gone) is followed by its 95 % interval."""
    source = headline.headline_table(run)
    shown = [i for i, column in enumerate(source.columns) if i < 2 or column.title in _TERMINAL]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for i in shown:
        column = source.columns[i]
        title = f"{column.title}\n({column.unit})" if column.unit else column.title
        table.add_column(title, justify="right" if column.numeric else "left", no_wrap=i < 2)
    previous = ""
    for row in source.rows:
        venue = row[0].text
        cells = [Text(printable("" if venue == previous else venue)), Text(printable(row[1].text))]
        cells += [_text(row[i], interval=source.columns[i].title == _TERMINAL[0]) for i in shown[2:]]
        if previous and venue != previous:
            table.add_section()
        table.add_row(*cells)
        previous = venue
    console().print(table)
    for meaning in dict.fromkeys(c.meaning for row in source.rows for c in row if c.meaning):
        console().print(Text(f"{MARKS.get(meaning, '*')} {printable(meaning)}"), style="italic")
    _print_sampling(run)


def _print_sampling(run: Run) -> None:
    """Of a run with variance reduction: what its weights leave, or what its control variate gained, by venue and scenario."""
    for source in filter(None, (sampling.table(run), control.table(run))):
        _print_plain(source)


def _print_plain(source: SourceTable) -> None:
    table = Table(title="\n" + source.title, title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for k, column in enumerate(source.columns):
        table.add_column(column.title, justify="right" if k > 1 else "left", no_wrap=k < 2)
    for row in source.rows:
        table.add_row(*(Text(printable(cell.text)) for cell in row))
    console().print(table)


def print_verdicts(run: Run) -> None:
    """One light per venue and limit."""
    source = headline.verdict_table(run, verdicts.judge(run))
    table = Table(title="\nLimits", title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in source.columns:
        table.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=not column.numeric)
    for row in source.rows:
        table.add_row(*(_light(cell) for cell in row))
    console().print(table)
    console().print(Text(source.note), style="dim")


def breaches(run: Run) -> list[str]:
    """`venue: limit` of every red verdict."""
    judged = zip(run.venues, verdicts.judge(run))
    return [
        f"{venue.name}: {verdicts.TITLES[key][0]}"
        for venue, row in judged
        for key, v in row.items()
        if v.colour == "red"
    ]


def _light(cell: Cell) -> Text:
    text = Text(printable(cell.text), style=_COLOURS.get(cell.verdict, ""))
    return text.append(f"\n{printable(cell.meaning)}", style="dim italic") if cell.meaning else text


def _text(cell: Cell, *, interval: bool) -> Text:
    text = Text(printable(cell.text))
    if cell.meaning:
        text.append(MARKS.get(cell.meaning, "*"), style="bold")
    if interval and cell.range_text:
        text.append(f" {printable(cell.range_text)}", style="dim")
    return text
