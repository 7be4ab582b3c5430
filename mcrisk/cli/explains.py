"""`mcrisk explain`: from a number in a report down to the ledger of the path behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, RunArgument
from mcrisk.errors import printable


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    run: RunArgument,
    venue: Annotated[str, typer.Option("--venue", metavar="V", help="Name of a venue of the run.")],
    scenario: Annotated[str, typer.Option("--scenario", metavar="S", help="Name of a scenario of the run.")],
    path: Annotated[int, typer.Option("--path", metavar="N", help="Number of the path, from 0.")],
    account: Annotated[str | None, typer.Option("--account", metavar="ID", help="Tell this account's life, too.")] = None,
    market: Annotated[str | None, typer.Option("--market", metavar="NAME", help="Market shown; default the first.")] = None,
    allow_difference: Annotated[
        bool, typer.Option("--allow-difference", help="Tell it although jax and the run's own backend part on this path.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the files; default beside the run.")
    ] = None,
) -> None:
    """Walk one stored path again and tell what happened, line by line."""
    from mcrisk.cli import checks
    from mcrisk.cli.results import existing

    existing(run)
    beside = run if isinstance(run, Path) else Path(Path(run).name)  # what a remote run tells is written here
    folder = out if out is not None else beside.with_suffix("") / f"explain-{venue}-{scenario}-{path}"
    checks.writable(folder, "the explanation")
    from mcrisk.runs.explain import explain as tell

    if not (quiet or as_json):
        text = f"walking path {path} again; the first time this compiles for the venue's rules, about half a minute, kept for later"
        typer.echo(printable(text), err=True)
    told = tell(run, venue, scenario, path, account, market=market, allow_difference=allow_difference)
    files = told.write(folder)
    answer = Answer(as_json, quiet)
    for line in (*told.story, ""):
        answer.say(line)
    answer.give({"venue": venue, "scenario": scenario, "path": path, "account": account, "agreement": told.agreement,
                 "numbers": told.numbers, "summary": told.result.summary, "files": answer.wrote(files)})  # fmt: skip
