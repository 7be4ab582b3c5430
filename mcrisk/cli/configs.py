"""Commands about what may be asked for: validate, schema, venues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, SetOption, overrides
from mcrisk.errors import InputError, printable


def register(app: typer.Typer) -> None:
    app.command("validate")(validate)
    app.command("schema")(schema)
    venues = typer.Typer(help="List the shipped venue profiles, or show one rulebook.", no_args_is_help=False)
    venues.callback(invoke_without_command=True)(list_venues)
    venues.command("show")(show_venue)
    app.add_typer(venues, name="venues")


def validate(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped run or venue.")],
    settings: SetOption = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="runs, venues, scenarios, prices, liquidity, feeds, grids, books, schedules, calibrations, "
            "reverse-stress, sensitivities or comparisons; guessed if not given.",
        ),
    ] = "",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check a configuration without computing anything; --json prints it as it is understood, defaults included."""
    from mcrisk.config import catalog, kinds
    from mcrisk.config.load import load_model
    from mcrisk.config.study import Study

    chosen = kind or kinds.guess(config)
    if chosen not in kinds.models():
        raise InputError(
            f"unknown kind '{chosen}'", f"--kind {chosen}", f"allowed: {', '.join(kinds.models())}",
            catalog.suggest(chosen, kinds.models()),
        )  # fmt: skip
    given = overrides(settings)
    model = load_model(kinds.models()[chosen], chosen, config, given)
    if isinstance(model, Study):
        from mcrisk.calibrate.load import check

        check(chosen, config, given)  # its fields and names in the run it speaks of
    answer = Answer(as_json, quiet)
    answer.say(f"{config} is a valid {kinds.title(chosen)}: {kinds.summary(model)}")
    answer.give({"kind": chosen, "config": model.model_dump(mode="json")})


def schema(
    kind: Annotated[
        str,
        typer.Argument(
            help="runs, venues, scenarios, prices, liquidity, feeds, grids, books, schedules, calibrations, "
            "reverse-stress, sensitivities or comparisons."
        ),
    ] = "runs",
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead of standard output.")] = None,
) -> None:
    """Print the JSON schema of a configuration file."""
    from mcrisk.cli.checks import writable
    from mcrisk.config import catalog, kinds

    models = kinds.models()
    if kind not in models:
        raise InputError(
            f"unknown kind '{kind}'",
            f"mcrisk schema {kind}",
            f"allowed: {', '.join(models)}",
            catalog.suggest(kind, models),
        )
    text = json.dumps(models[kind].model_json_schema(), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    writable(out, "the schema")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    typer.echo(f"wrote {printable(out)}")


def list_venues(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the shipped venue profiles."""
    if context.invoked_subcommand:
        return
    from rich.table import Table

    from mcrisk.config import catalog
    from mcrisk.config.load import load_venue

    answer, facts = Answer(as_json), []
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("name", "venue", "index", "fund / OI", "assumptions"):
        table.add_column(heading, no_wrap=heading == "name", justify="left")
    for name in catalog.names("venues"):
        venue = load_venue(name)
        assumed = sum(note.assumption for note in venue.provenance)
        table.add_row(name, venue.title, venue.index_type.replace("_", "-"), f"{venue.fund.initial:.1%}", str(assumed))
        facts.append({"name": name, "title": venue.title, "index_type": venue.index_type,
                      "fund_over_open_interest": venue.fund.initial, "assumptions": assumed})  # fmt: skip
    answer.show(table)
    answer.give(facts)


def show_venue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or file of a venue profile.")],
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one venue's rulebook with its sources and assumptions."""
    from mcrisk.cli.sheet import print_sheet
    from mcrisk.config.load import load_venue

    answer, venue = Answer(as_json), load_venue(name, overrides(settings))
    if answer.for_people:
        print_sheet(venue)
    answer.give(venue.model_dump(mode="json"))
