"""`mcrisk compare`: what moved between runs, by how much, and whether by more than noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcrisk.cli.options import JsonOption, location
from mcrisk.errors import InputError, printable

if TYPE_CHECKING:
    from mcrisk.report.compare import Comparison

ROWS = 25


def register(app: typer.Typer) -> None:
    app.command("compare", rich_help_panel="Look at results")(compare)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN…", parser=location, help="The base, then the runs to hold against it."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write compare.html and compare.json there.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Print every number, not only what moved.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: paired where their draws are common, with the difference of their configurations."""
    from mcrisk.cli import checks
    from mcrisk.cli.results import existing

    if len(runs) < 2:
        raise InputError("one run cannot be compared", None, "a base and at least one other are needed", None)
    for run in runs:
        existing(run)
    if out is not None:
        checks.writable(out, "the comparison")
    from mcrisk.report import compare_page, render
    from mcrisk.report.compare import compare as against

    found = [against(runs[0], run) for run in runs[1:]]
    if as_json:
        typer.echo(compare_page.to_json(found), nl=False)
    else:
        for one in found:
            _print(one, everything)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in (("html", compare_page.to_html(found)), ("json", compare_page.to_json(found))):
            file = render.write(out / f"compare.{name}", text)
            typer.echo(f"wrote {printable(file)}", err=as_json)


def _print(found: Comparison, everything: bool) -> None:
    """Sentence, how it was compared, numbers, configuration."""
    from rich.table import Table
    from rich.text import Text

    from mcrisk.cli.terminal import console
    from mcrisk.report import changes, compare_page
    from mcrisk.report.compare import sentence

    out = console()
    out.print(Text(printable(f"{found.old.path} → {found.new.path}")), style="bold")
    out.print(Text(printable(sentence(found))))
    out.print(Text(printable(f"{'paired' if found.paired else 'not paired'}: {found.why}")), style="dim")
    for line in found.alone:
        out.print(Text(printable(line)), style="dim")
    rows = compare_page.change_table(found)
    kept = rows.rows if everything else [r for r in rows.rows if r[-1].text in ("moved", "perhaps")]
    parts = ((compare_page.lights_table(found), None), (rows, kept[: None if everything else ROWS]),
             (changes.table(found.old, found.new), None))  # fmt: skip
    for source, shown in parts:
        shown = source.rows if shown is None else shown
        if not shown:
            continue
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        for column in source.columns:
            table.add_column(column.title, justify="right" if column.numeric else "left", overflow="fold")
        for row in shown:
            table.add_row(*(Text(printable(f"{c.text} {c.range_text}".strip())) for c in row))
        out.print(table)
    if len(kept) > ROWS and not everything:
        out.print(Text(f"{len(kept) - ROWS} more with --all"), style="dim")
