"""`mcrisk index` and `mcrisk serve`: a results folder as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, location
from mcrisk.errors import InputError

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with results.")]


def register(app: typer.Typer) -> None:
    app.command("index", rich_help_panel="Watch over time")(index)
    app.command("serve", rich_help_panel="Watch over time")(serve)


def index(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with results, or its URL.", parser=location)
    ] = Path("runs"),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the page of a URL is written; default here.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write index.html over a results folder: runs, trends with intervals, links to reports."""
    from mcrisk.report.index import index as write

    if out is not None and isinstance(folder, Path):
        raise InputError("--out is for results behind a URL", f"--out {out}", "a folder gets its index.html inside", None)
    answer = Answer(as_json, quiet)
    answer.give({"files": answer.wrote([write(folder, out)])})


def serve(
    folder: FolderArgument = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    fresh: Annotated[bool, typer.Option(help="Write the index page before serving.")] = True,
) -> None:
    """Show a results folder in a browser on this machine, until Ctrl-C."""
    from mcrisk.report.serve import server

    if fresh:
        from mcrisk.report.index import index as write

        write(folder)
    elif not (folder / "index.html").is_file():
        raise InputError("there is no index page", str(folder), None, "`mcrisk index` writes one")
    try:
        made = server(folder, port)
    except OSError as error:
        raise InputError(f"port {port} cannot be used", f"--port {port}", error.strerror, "try --port 0") from None
    with made:
        typer.echo(f"http://{made.server_address[0]}:{made.server_address[1]}/   (Ctrl-C ends)")
        try:
            made.serve_forever()
        except KeyboardInterrupt:
            typer.echo("stopped")
