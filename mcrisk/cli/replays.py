"""`mcrisk replay`: one given price path through one venue's rulebook, to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.options import SetOption, overrides
from mcrisk.errors import printable


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    venue: Annotated[str, typer.Option("--venue", metavar="V", help="Name or file of a venue profile.")],
    prices: Annotated[Path, typer.Option("--prices", metavar="FILE", help="CSV or Parquet, one row per step.")],
    accounts: Annotated[Path, typer.Option("--accounts", metavar="FILE", help="CSV or Parquet, one row per position.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for market, ledger, accounts and summary.")],
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="YAML or CSV of life-cycle events.")
    ] = None,
    settings: SetOption = None,
) -> None:
    """Replay given prices through a venue's rulebook and write the full ledger."""
    from mcrisk.cli import checks
    from mcrisk.config.load import load_venue

    profile = load_venue(venue, overrides(settings))
    checks.writable(out)
    from mcrisk.replay import replay as compute
    from mcrisk.replay.write import write_replay

    result = compute(profile, prices, accounts, events=events)
    for file in write_replay(result, out):
        typer.echo(f"wrote {printable(file)}")
