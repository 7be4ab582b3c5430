"""Commands that simulate in order to decide: calibrate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.errors import printable

WorkersOption = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=4096, help="Processes; results do not depend on it.")
]


def register(app: typer.Typer) -> None:
    app.command("calibrate", rich_help_panel="Decide")(calibrate)


def progress(done: int, total: int) -> None:
    """A line that renews itself on a terminal, plain lines otherwise; on standard error."""
    end = "\r" if sys.stderr.isatty() and done < total else "\n"
    print(f"{done} of {total} candidates judged", end=end, file=sys.stderr, flush=True)


def calibrate(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped calibration.")],
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", help="Candidates in all.")] = None,
    paths: Annotated[int | None, typer.Option("--paths", metavar="N", help="Paths per candidate.")] = None,
    workers: WorkersOption = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Results and trials; default calibrations/NAME.")
    ] = None,
) -> None:
    """Search a venue's fields for the best rulebook. The same command again continues one that was interrupted."""
    from mcrisk.calibrate import decision as deciding
    from mcrisk.calibrate.evaluate import runner
    from mcrisk.calibrate.models import write_model
    from mcrisk.calibrate.study import load_study
    from mcrisk.cli import checks
    from mcrisk.cli.calibrations import conclude

    given = {key: value for key, value in (("trials", trials), ("paths", paths)) if value is not None}
    study, run, venue = load_study(config, given)
    folder = out if out is not None else Path("calibrations") / study.name
    checks.writable(folder)
    with runner(workers) as compute:
        found = deciding.decide(study, run, venue, compute, folder / "trials.log", progress)
    tables = [deciding.diff_table(found), deciding.front_table(found), deciding.checks_table(found)]
    picture = deciding.figure(found)
    figures = {"candidates": picture} if picture else {}
    title = study.title or f"Calibration {study.name}"
    conclude("calibration", title, deciding.summary(found), [*tables, deciding.trials_table(found)], figures, folder, 3)
    typer.echo(f"wrote {printable(write_model(folder, deciding.rulebook(found)))}")
