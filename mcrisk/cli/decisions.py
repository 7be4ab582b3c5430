"""Commands that simulate in order to decide: calibrate, reverse-stress, sensitivity, compare-designs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.evaluations import Evaluations
from mcrisk.cli.options import JsonOption, QuietOption, SetOption, overrides

StudyArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped study (configs/calibrations).")
]
PathsOption = Annotated[int | None, typer.Option("--paths", metavar="N", help="Paths per evaluation.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=4096, help="Processes; results do not depend on it.")
]
SchedulerOption = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Existing dask cluster instead of --workers.")
]


def register(app: typer.Typer) -> None:
    app.command("calibrate", rich_help_panel="Decide")(calibrate)
    app.command("reverse-stress", rich_help_panel="Decide")(reverse_stress)
    app.command("sensitivity", rich_help_panel="Decide")(sensitivity)
    app.command("compare-designs", rich_help_panel="Decide")(compare_designs)


def progress(done: int, total: int) -> None:
    """A line that renews itself on a terminal, plain lines otherwise; on standard error."""
    end = "\r" if sys.stderr.isatty() and done < total else "\n"
    print(f"{done} of {total} candidates judged", end=end, file=sys.stderr, flush=True)


def calibrate(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped calibration.")],
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", help="Candidates in all.")] = None,
    paths: Annotated[int | None, typer.Option("--paths", metavar="N", help="Paths per candidate.")] = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    settings: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Results and trials; default calibrations/NAME.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search a venue's fields for the best rulebook. The same command again continues one that was interrupted."""
    from mcrisk.calibrate import decision as deciding
    from mcrisk.calibrate import recommendation as page
    from mcrisk.calibrate.evaluate import runner
    from mcrisk.calibrate.models import write_model
    from mcrisk.calibrate.output import Findings
    from mcrisk.calibrate.study import load_study
    from mcrisk.cli import checks
    from mcrisk.cli.calibrations import conclude

    study, run, venue = load_study(config, overrides(settings, trials=("trials", trials), paths=("paths", paths)))
    folder = out if out is not None else Path("calibrations") / study.name
    checks.writable(folder)
    with runner(workers, scheduler) as compute:
        found = deciding.decide(study, run, venue, compute, folder / "trials.log", None if quiet else progress)
    tables = [page.diff_table(found), page.front_table(found), page.checks_table(found)]
    picture = page.figure(found)
    figures = {"candidates": picture} if picture else {}
    title = study.title or f"Calibration {study.name}"
    folder.mkdir(parents=True, exist_ok=True)
    said = Findings("calibration", title, page.summary(found), [*tables, page.trials_table(found)], figures, len(tables))
    conclude(said, folder, Answer(as_json, quiet), [write_model(folder, page.rulebook(found))])


def reverse_stress(
    config: StudyArgument, paths: PathsOption = None, workers: WorkersOption = 1, scheduler: SchedulerOption = None,
    settings: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default calibrations/NAME.")] = None,
    as_json: JsonOption = False, quiet: QuietOption = False,
) -> None:  # fmt: skip
    """The mildest combination of shocks that breaks a limit, and the boundary around it."""
    from mcrisk.calibrate import reverse
    from mcrisk.calibrate.evaluate import runner
    from mcrisk.calibrate.output import Findings
    from mcrisk.calibrate.world import load_world
    from mcrisk.cli import checks
    from mcrisk.cli.calibrations import conclude
    from mcrisk.config.study import ReverseStress

    study, run = load_world(ReverseStress, config, overrides(settings, paths=("paths", paths)))
    folder = out if out is not None else Path("calibrations") / study.name
    checks.writable(folder)
    with runner(workers, scheduler, Evaluations(0, quiet or as_json)) as compute:
        rays = reverse.boundary(study, run, compute)
    title, figures = study.title or "Reverse stress", reverse.figures(study, rays)
    found = Findings("reverse-stress", title, reverse.sentence(study, rays), [reverse.table(study, rays)], figures)
    conclude(found, folder, Answer(as_json, quiet))


def sensitivity(
    config: StudyArgument, paths: PathsOption = None, workers: WorkersOption = 1, scheduler: SchedulerOption = None,
    settings: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default calibrations/NAME.")] = None,
    as_json: JsonOption = False, quiet: QuietOption = False,
) -> None:  # fmt: skip
    """What a number depends on: one input at a time, Sobol indices, and a map of two inputs."""
    from mcrisk.calibrate import sensitivity as study_of
    from mcrisk.calibrate.evaluate import runner
    from mcrisk.calibrate.output import Findings
    from mcrisk.calibrate.world import load_world
    from mcrisk.cli import checks
    from mcrisk.cli.calibrations import conclude
    from mcrisk.config.study import Sensitivity

    study, run = load_world(Sensitivity, config, overrides(settings, paths=("paths", paths)))
    folder = out if out is not None else Path("calibrations") / study.name
    checks.writable(folder)
    count = len(study.inputs)
    total = 1 + 2 * count + study.sobol * (count + 2) + (study.map_steps**2 if study.map else 0)
    with runner(workers, scheduler, Evaluations(total, quiet or as_json)) as compute:
        base, bars = study_of.tornado(study, run, compute)
        tables, figures = [study_of.tornado_table(study, base, bars)], {"tornado": study_of.tornado_figure(study, bars)}
        indices = study_of.sobol(study, run, compute) if study.sobol else None
        tables += [indices] if indices is not None else []
        if study.map:
            mapped, figures["map"] = study_of.heat_map(study, run, compute)
            tables.append(mapped)
    text = study_of.sentence(study, base, bars, indices)
    conclude(Findings("sensitivity", study.title or "Sensitivity", text, tables, figures), folder, Answer(as_json, quiet))


def compare_designs(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A comparison, or a run with two venues or more.")],
    base: Annotated[str | None, typer.Option("--base", help="The design the others are held against.")] = None,
    same_mix: Annotated[
        str | None, typer.Option("--same-mix", metavar="MIX", help="One leverage mix for all: the same traders.")
    ] = None,
    paths: Annotated[int | None, typer.Option("--paths", metavar="N", help="Default: those of the file.")] = None,
    workers: WorkersOption = 1,
    scheduler: SchedulerOption = None,
    settings: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default calibrations/NAME-designs.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The same company and accounts under different rulebooks: paired differences and a one-page answer."""
    from mcrisk.calibrate import designs
    from mcrisk.calibrate.evaluate import runner
    from mcrisk.calibrate.output import Findings
    from mcrisk.cli import checks
    from mcrisk.cli.calibrations import conclude, pick
    from mcrisk.config import kinds
    from mcrisk.config.load import load_config

    if kinds.guess(config) == "comparisons":
        given = overrides(settings, paths=("paths", paths), base=("against", base), same_mix=("same_mix", same_mix))
        asked = designs.load_comparison(config, given)
    else:
        run = load_config(config, overrides(settings, paths=("paths", paths)))
        asked = designs.from_run(run, pick(base, [venue.name for venue in run.venues], "--base")[0], same_mix)
    folder = out if out is not None else Path("calibrations") / f"{Path(config).stem}-designs"
    checks.writable(folder)
    total = len(asked.run.venues) * len(asked.run.scenarios)
    with runner(workers, scheduler, Evaluations(total, quiet or as_json)) as compute:
        found = designs.compare(asked, compute)
    tables = [designs.verdicts_table(found), designs.differences_table(found), *(designs.table(found, s) for s in found.scenarios)]
    text = "\n".join(filter(None, (designs.answer(found), asked.assumption)))
    said = Findings("designs", asked.title or "Venue designs compared", text, tables)
    conclude(said, folder, Answer(as_json, quiet))
