"""`mcrisk run`: compute a run, or continue it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mcrisk.cli.options import ConfigArgument, JsonOption, SetOption, overrides
from mcrisk.errors import LimitBreached, PrecisionNotReached, printable


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    config: ConfigArgument,
    paths: Annotated[int | None, typer.Option("--paths", metavar="N", help="Paths per venue and scenario.")] = None,
    backend: Annotated[str | None, typer.Option("--backend", help="auto, jax, native or cupy.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Worker processes; default one per core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Use an existing dask cluster.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="RUN.zarr", help="Results, a path or s3://…; default runs/NAME.zarr."),
    ] = None,
    settings: SetOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute a run. The same command again continues one that was interrupted."""
    from mcrisk.cli import checks
    from mcrisk.config.load import load_config

    changes = overrides(
        settings,
        paths=("paths", paths),
        backend=("execution.backend", backend),
        workers=("execution.workers", workers),
        scheduler=("execution.scheduler", scheduler),
    )
    asked = load_config(config, changes)
    target = out if out is not None else f"runs/{asked.name}.zarr"
    checks.usable_backend(asked.execution.backend, f"--backend {asked.execution.backend}")
    if "://" not in target:
        checks.writable(Path(target))
        checks.enough_space(Path(target), len(asked.venues) * len(asked.scenarios), asked.paths)

    from mcrisk.runs import run as compute

    done = compute(asked, out=target, quiet=quiet)
    missed = _not_precise(target, done.missed_targets) if asked.target and done.missed_targets else None
    try:
        _conclude(target, quiet, as_json, enforce=asked.limits.enforce)
    except LimitBreached:
        if missed:  # the breach decides the exit code; that the number is not as precise as asked must be said all the same
            typer.echo(f"warning: {missed}", err=True)
        raise
    if missed:
        raise missed


def _conclude(target: str, quiet: bool, as_json: bool = False, *, enforce: bool) -> None:
    """The headline on the terminal, and exit code 3 when an enforced limit is red."""
    if quiet and not enforce and not as_json:
        return
    from mcrisk.cli import tables

    view = tables.load(target)
    if as_json:
        typer.echo(tables.as_json(view, dict(view.attrs)))
    elif not quiet:
        tables.print_headline(view)
        typer.echo(f"\nresults: {printable(target)}   next: mcrisk report {printable(target)}")
    breached = tables.breaches(view) if enforce else []
    if breached:
        raise LimitBreached(
            f"{len(breached)} limit(s) breached: {'; '.join(breached)}", target, "limits.enforce is true",
            "see the report; set limits.enforce=false to only show verdicts",
        )  # fmt: skip


def _not_precise(target: str, missed: list[dict[str, Any]]) -> PrecisionNotReached:
    told = [f"{m['wish']}: {m['cells_held']} of {m['cells']} cells, farthest {m['worst']}, {m['worst_text']}" for m in missed]
    return PrecisionNotReached(
        f"{len(missed)} precision target(s) were not reached", target, "; ".join(told),
        "the results are complete and kept; raise target.max_paths and repeat the same command to go on",
    )  # fmt: skip
