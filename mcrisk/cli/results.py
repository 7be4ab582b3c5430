"""Commands about results that exist: report, show, list, check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.damage import readable
from mcrisk.cli.options import JsonOption, QuietOption, RunArgument, location
from mcrisk.errors import InputError, RunFailed, printable

if TYPE_CHECKING:
    from mcrisk.report.ledgers import Told

FORMATS = ("html", "md", "json", "csv", "pdf")


def register(app: typer.Typer) -> None:
    app.command("report")(report)
    app.command("show")(show)
    app.command("list")(list_runs)
    app.command("check")(check)


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder; default beside the run.")] = None,
    formats: Annotated[str, typer.Option("--format", help="Comma-separated: html, md, json, csv, pdf.")] = (
        "html,md,json"
    ),
    previous: Annotated[
        Path | None,
        typer.Option("--previous", metavar="RUN", parser=location, help="An earlier run; say what changed since."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Also every figure as SVG and PNG.")
    ] = None,
    ledgers: Annotated[
        bool | None,
        typer.Option("--ledgers/--no-ledgers", help="Walk three worst paths and a median one down to their ledgers; "
                     "default: for html."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the report of a run: one offline HTML page, Markdown and JSON; CSV, PDF and figures on request."""
    from mcrisk.cli import checks
    from mcrisk.config.catalog import suggest

    wanted = tuple(part.strip() for part in formats.split(",") if part.strip())
    for name in wanted:
        if name not in FORMATS:
            raise InputError(
                f"unknown report format '{name}'",
                f"--format {formats}",
                f"allowed: {', '.join(FORMATS)}",
                suggest(name, FORMATS),
            )
    if not wanted:
        raise InputError("no report format given", f"--format {formats}", f"allowed: {', '.join(FORMATS)}", None)
    existing(run)
    beside = run if isinstance(run, Path) else Path(Path(run).name)  # the report of a remote run is written here
    folder = out if out is not None else beside.with_suffix("")
    checks.writable(folder, "the report")
    if previous is not None:
        existing(previous)
    if figures is not None:
        checks.writable(figures, "the figures")
    from mcrisk.report import report as write

    with readable(run):
        told = _told(run, quiet or as_json) if (ledgers if ledgers is not None else "html" in wanted) else []
        files = write(run, folder, formats=wanted, previous=previous, figures_dir=figures, told=told)
    if as_json:
        typer.echo(json.dumps([str(file) for file in files], indent=1))
    elif not quiet:
        for file in files:
            typer.echo(f"wrote {printable(file)}")


def _told(run: Path, quiet: bool) -> list[Told]:
    """The paths of the drill-down, walked again."""
    from mcrisk.cli.ledgers import walk

    return walk(run, (lambda text: None) if quiet else (lambda text: typer.echo(printable(text), err=True)))


def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Print the headline table and the verdicts of a run."""
    existing(run)
    from mcrisk.cli import tables

    with readable(run):
        view = tables.load(run)
        facts = attributes(run)
        if as_json:
            typer.echo(tables.as_json(view, facts))
            return
        tables.print_facts(view, facts)
        if not (facts or {}).get("complete", True):
            typer.echo(f"UNFINISHED: {_progress(run)}, risk numbers need all of them; the same `mcrisk run` command goes on")
            return
        tables.print_headline(view)
        tables.print_verdicts(view)


def _progress(run: Path) -> str:
    from mcrisk.runs import open_run

    done, total = open_run(run).blocks_done
    return f"{done:,} of {total:,} blocks are done"


def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where results lie.")] = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """List the results in a folder and the shipped configurations."""
    from mcrisk.config import catalog

    found = list(_stores(folder))
    if as_json:
        shown = {"results": [_facts(at, facts) for at, facts in found]}
        shown["configurations"] = {kind: catalog.names(kind) for kind in catalog.KINDS}
        typer.echo(json.dumps(shown, indent=1))
        return
    typer.echo(f"results in {printable(folder)}:" if found else f"no results in {printable(folder)}")
    for store, facts in found:
        typer.echo(f"  {printable(store)}  {_line(facts)}")
    for kind, title in catalog.KINDS.items():
        typer.echo(f"{title}s: {', '.join(catalog.names(kind)) or 'none'}")


def check(
    run: RunArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Compute damaged blocks again, with the configuration in the store.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", min=1, help="With --repair, as in `run`.")] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="With --repair, as in `run`.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Verify a store: every finished block is there, readable, and has the digest it was written with."""
    whole = bool(existing(run).get("complete"))
    if not repair and (workers is not None or scheduler is not None):
        raise InputError("--workers and --scheduler say who repairs", "mcrisk check", None, "add --repair")
    from mcrisk.runs import check as verify
    from mcrisk.runs import repair as mend

    answer = Answer(as_json, quiet)
    if repair:
        problems = [str(problem) for problem in mend(run, workers=workers, scheduler=scheduler, quiet=quiet or as_json)]
        left = [str(problem) for problem in verify(run)] if problems else []
    else:
        left = problems = [str(problem) for problem in verify(run)]
    repaired = len(problems) - len(left) if repair and whole else 0
    answer.give({"run": str(run), "sound": not left, "problems": problems, "repaired": repaired})
    if left:
        raise RunFailed(
            f"{len(left)} part(s) of the store are damaged", str(run), "; ".join(left[:5]),
            "`mcrisk check --repair`, or the same `mcrisk run` command again: what is damaged is computed again",
        )  # fmt: skip
    if problems:
        for problem in problems:
            answer.say(f"was damaged: {problem}")
        answer.say(f"{run}: {repaired} part(s) repaired; all finished blocks are sound" if whole else
                   f"{run}: unfinished; the same `mcrisk run` command computes these blocks with the rest")  # fmt: skip
        return
    answer.say(f"{run}: all finished blocks are sound" + ("" if whole else "; the run is unfinished"))


def existing(run: Path) -> dict[str, Any]:
    """The attributes of a results store. Raises InputError when there is none at `run`."""
    if isinstance(run, Path) and not run.exists():
        raise InputError("there is no such run", str(run), "results are .zarr folders", "see `mcrisk list`")
    facts = attributes(run)
    if facts is None:
        raise InputError(
            "this is no results store",
            str(run),
            "it has no readable zarr.json",
            "give the .zarr folder that `mcrisk run` wrote",
        )
    return facts


def attributes(run: Path) -> dict[str, Any] | None:
    """Root attributes read as JSON, without loading the arrays' libraries; None when it is no Zarr v3 group."""
    try:
        if isinstance(run, Path):
            document = json.loads((run / "zarr.json").read_text())
        else:
            from mcrisk.runs.place import place_of

            document = place_of(run).document() or {}
        return dict(document["attributes"]) if document.get("node_type") == "group" else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _stores(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    if not folder.is_dir():
        return
    for store in sorted(folder.glob("*.zarr")):
        facts = attributes(store)
        if facts is not None:
            yield store, facts


def _facts(at: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What `list --json` says of a store."""
    config = facts.get("config")
    config = json.loads(config) if isinstance(config, str) else config or {}
    shown = {key: facts.get(key) for key in ("fingerprint", "seed", "created", "complete")}
    return {"path": str(at), "name": config.get("name"), "paths": config.get("paths"), **shown}


def _line(facts: dict[str, Any]) -> str:
    config = facts.get("config")
    config = json.loads(config) if isinstance(config, str) else config or {}
    state = "complete" if facts.get("complete") else "unfinished"
    parts = [
        printable(config.get("name", "?")),
        f"{config.get('paths', '?')} paths",
        state,
        str(facts.get("fingerprint", ""))[:12],
    ]
    return "  ".join(parts)

