"""`mcrisk replay` and `mcrisk incidents`: a given price path, or a known incident, through one venue's rulebook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, SetOption, overrides
from mcrisk.errors import InputError, printable


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)
    app.command("incidents")(incidents)


def replay(
    venue: Annotated[str | None, typer.Option("--venue", metavar="V", help="Name or file of a venue profile.")] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="CSV or Parquet, one row per step.")
    ] = None,
    accounts: Annotated[
        Path | None, typer.Option("--accounts", metavar="FILE", help="CSV or Parquet, one row per position.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for market, ledger, accounts and summary.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="YAML or CSV of life-cycle events.")
    ] = None,
    incident: Annotated[
        str | None, typer.Option("--incident", metavar="NAME", help="A shipped incident instead of files of your own.")
    ] = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Replay given prices through a venue's rulebook and write the full ledger."""
    answer = Answer(as_json, quiet)
    if incident is not None:
        _incident(incident, {"--venue": venue, "--prices": prices, "--accounts": accounts, "--events": events,
                             "--set": settings}, out, answer)  # fmt: skip
        return
    missing = [name for name, value in (("--venue", venue), ("--prices", prices), ("--accounts", accounts), ("--out", out))
               if value is None]  # fmt: skip
    if missing:
        raise InputError(f"{', '.join(missing)} not given", "mcrisk replay",
                         "a replay needs a venue, prices, accounts and a place to write", "or --incident NAME")
    from mcrisk.cli import checks
    from mcrisk.config.load import load_venue

    profile = load_venue(venue, overrides(settings))
    checks.writable(out)
    from mcrisk.runs.explain import prepare_jax

    prepare_jax()  # compiled steps are kept: the next replay of a venue starts at once
    from mcrisk.replay import replay as compute
    from mcrisk.replay.write import write_replay

    result = compute(profile, prices, accounts, events=events)
    for remark in result.summary["remarks"]:
        answer.say(f"note: {remark}")
    answer.say(_in_short(result.summary))
    files = answer.wrote(write_replay(result, out, dates=bool(result.summary["dates"])))
    answer.give({"summary": result.summary, "files": files})


def _in_short(s: dict[str, Any]) -> str:
    """A replay in one line; money in quote."""
    return (f"{s['rows']:,} rows, {s['accounts']:,} accounts: {s['liquidated_accounts']:,} liquidated "
            f"({s['liquidated_notional']:,.2f} notional), {s['adl_accounts']:,} deleveraged ({s['adl_notional']:,.2f}), "
            f"fund {s['insurance_fund_start']:,.2f} → {s['insurance_fund_end']:,.2f}, unpaid {s['unpaid']:,.2f}; "
            f"money conserved to {s['conservation_residual']:.0e}")


def _incident(name: str, others: dict[str, object], out: Path | None, answer: Answer) -> None:
    given = [option for option, value in others.items() if value]
    if given:
        raise InputError(f"--incident and {', '.join(given)} are both given", f"--incident {name}",
                         "an incident brings its own venue, prices and accounts", "give one or the other")
    from mcrisk.cli import checks
    from mcrisk.replay.incidents import load_incident, replay_incident

    incident = load_incident(name)
    if out is not None:
        checks.writable(out)
    from mcrisk.runs.explain import prepare_jax

    prepare_jax()
    told = replay_incident(incident)
    if answer.for_people:
        _print(told)
    files = []
    if out is not None:
        from mcrisk.replay.write import write_replay

        files = write_replay(told.result, out)
        for file, frame in (("comparison.csv", told.comparison), ("prices.csv", told.prices)):
            frame.to_csv(out / file, index=False)
            files = [*files, out / file]
    answer.give({"incident": name, "comparison": told.comparison.to_dict("records"), "summary": told.result.summary,
                 "files": answer.wrote(files)})  # fmt: skip


def _print(told) -> None:
    from rich.table import Table

    from mcrisk.cli.terminal import console
    from mcrisk.replay.pages import number

    screen = console()
    screen.print(printable(told.incident.title), style="bold", markup=False, highlight=False)
    screen.print(printable(told.incident.what_happened.strip()) + "\n", markup=False, highlight=False)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("what", "reported", "simulated", "unit", "met by choice", "source"):
        table.add_column(title, justify="right" if title in ("reported", "simulated") else "left", overflow="fold")
    for row in told.comparison.itertuples():
        table.add_row(printable(row.what), number(row.reported), number(row.simulated), row.unit,
                      "yes" if row.chosen_to_meet else "", printable(f"{row.source} ({row.marker})"))
    screen.print(table)
    screen.print("\nnot public: " + "; ".join(map(printable, told.incident.not_public)), markup=False, highlight=False)
    screen.print("\n" + printable(told.incident.reading.strip()), markup=False, highlight=False)


def incidents(as_json: JsonOption = False) -> None:
    """List the shipped incidents."""
    from mcrisk.replay.incidents import load_incident, names

    answer, titles = Answer(as_json), {name: load_incident(name).title for name in names()}
    for name, title in titles.items():
        answer.say(f"{name:32}{title}")
    answer.give(titles)
