"""`mcrisk schedule`: repeated runs, each slot exactly once, whoever starts it."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, names_and_files
from mcrisk.errors import InputError, Interrupted, printable

if TYPE_CHECKING:
    from mcrisk.config.schedule import Schedule
    from mcrisk.schedules.once import Outcome

ScheduleArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE",
        help="YAML file, or a name in configs/schedules.",
        autocompletion=names_and_files("schedules"),
    ),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Repeat runs: each slot exactly once, with limits, notifications and history.",
                        no_args_is_help=True)  # fmt: skip
    group.command("once")(once)
    group.command("run")(run)
    group.command("slot")(slot)
    group.command("install")(install)
    group.command("next")(upcoming)
    group.command("history")(history)
    app.add_typer(group, name="schedule", rich_help_panel="Watch over time")


def load(reference: str) -> Schedule:
    """The schedule of a name or file. A run file beside the schedule is found. Raises InputError."""
    from mcrisk.config import catalog
    from mcrisk.config.load import load_model
    from mcrisk.config.schedule import Schedule

    made = load_model(Schedule, "schedules", reference)
    beside = catalog.find("schedules", reference).parent / made.run
    if not catalog.is_name(made.run) and beside.is_file():
        made = made.model_copy(update={"run": str(beside)})
    return made


def once(schedule: ScheduleArgument, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Do every slot that is due now, then end: 0 done or nothing due, 3 limit breached or number moved, 1 failed."""
    from mcrisk.schedules.once import once as do

    signal.signal(signal.SIGTERM, _as_interrupt)
    _conclude(do(load(schedule)), as_json, quiet)


def slot(
    schedule: ScheduleArgument,
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="ISO time with zone, or UTC, e.g. 2026-11-20T05:30.")],
    again: Annotated[bool, typer.Option("--again", help="Compute it anew although it is done.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do one given slot, unless it is done already."""
    from mcrisk.schedules.once import one_slot

    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise InputError(f"'{at}' is no time", "--at", "ISO-8601 is needed", "e.g. 2026-11-20T05:30Z") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    signal.signal(signal.SIGTERM, _as_interrupt)
    _conclude(one_slot(load(schedule), moment, again=again), as_json, quiet)


def run(
    schedules: Annotated[list[str], typer.Argument(metavar="SCHEDULE…", help="Files, names, or folders of files.")],
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Slots of different schedules side by side.")] = 1,
    quiet: QuietOption = False,
) -> None:
    """Stay and do every slot when its time comes, missed ones first (for containers)."""
    references = [
        str(file) for name in schedules
        for file in (sorted(Path(name).glob("*.yaml")) if Path(name).is_dir() else [name])
    ]  # fmt: skip
    loaded = [(reference, load(reference)) for reference in references]
    for key in ("name", "results"):
        values = [getattr(one, key) for _, one in loaded]
        twice = next((v for v in values if values.count(v) > 1), None)
        if twice is not None:
            raise InputError(f"two schedules have the same {key} '{twice}'", None, "each needs its own", "change one")
    if not loaded:
        raise InputError("no schedule was found", ", ".join(schedules), "schedules are .yaml files", None)
    from mcrisk.schedules.daemon import run_forever

    raise typer.Exit(run_forever(loaded, (lambda text: None) if quiet else _say, at_once))


def install(
    schedule: ScheduleArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where systemd looks for the units of a user.")
    ] = Path("~/.config/systemd/user"),
    cron: Annotated[bool, typer.Option("--cron", help="Print a line for crontab instead.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a systemd service and timer for a schedule, or print a crontab line. Enabling them is left to you."""
    from mcrisk.cli.checks import writable
    from mcrisk.config import catalog
    from mcrisk.schedules.install import crontab_line, units

    made = load(schedule)
    reference = schedule if catalog.is_name(schedule) else str(Path(schedule).absolute())
    answer = Answer(as_json, quiet)
    if cron:
        line = crontab_line(made.when, reference, Path.cwd())
        answer.say(line)
        answer.give({"crontab": line})
        return
    folder = out.expanduser()
    writable(folder, "the units")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in units(made.name, made.when, reference, Path.cwd()).items():
        (folder / name).write_text(text)
        files.append(folder / name)
    command = f"systemctl --user daemon-reload && systemctl --user enable --now mcrisk-{made.name}.timer"
    written = answer.wrote(files)
    answer.say(f"next: {command}")
    answer.give({"files": written, "next": command})


def upcoming(
    schedule: ScheduleArgument,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Print the next slots, in UTC and in the schedule's time zone."""
    from zoneinfo import ZoneInfo

    from mcrisk.schedules.calendar import following

    made, moment = load(schedule), datetime.now(UTC)
    answer, slots = Answer(as_json), []
    for _ in range(count):
        moment = following(made.when, moment)
        if moment is None:
            break
        local = moment.astimezone(ZoneInfo(made.when.timezone))
        answer.say(f"{moment:%Y-%m-%d %H:%M:%S} UTC   {local:%a %Y-%m-%d %H:%M:%S} {made.when.timezone}")
        slots.append({"utc": moment.isoformat(), "local": local.isoformat()})
    answer.give(slots)


def history(schedule: ScheduleArgument, as_json: JsonOption = False) -> None:
    """Print every slot so far: done, failed, passed over, what was breached."""
    from dataclasses import asdict

    from mcrisk.schedules.state import Folder

    records = Folder(load(schedule).results).records()
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in records], indent=1))
        return
    for record in records:
        typer.echo(_line(record))
    if not records:
        typer.echo("no slot so far")


def _line(record: Any) -> str:
    what = "; ".join([*record.breaches, *record.moved]) or record.error.split("\n")[0]
    gone = " (results pruned)" if record.pruned else ""
    return printable(f"{record.moment:%Y-%m-%d %H:%M:%S} UTC  {record.status:<8}{what}{gone}".rstrip())


def _conclude(outcome: Outcome, as_json: bool, quiet: bool) -> None:
    """Say what was done and end with the contract's code."""
    if as_json:
        from dataclasses import asdict

        data = {"busy": outcome.busy, "exit_code": outcome.exit_code, "slots": [asdict(r) for r in outcome.done]}
        typer.echo(json.dumps(data, indent=1))
    elif not quiet:
        for record in outcome.done:
            typer.echo(_line(record))
        if outcome.busy:
            typer.echo("another process is at a slot of this schedule; nothing was done")
        elif not outcome.done:
            typer.echo("nothing is due")
    for problem in outcome.problems:
        typer.echo(f"error: {problem}", err=True)
    for record in outcome.done:
        if record.error:
            typer.echo(f"error: {printable(record.error)}", err=True)
    raise typer.Exit(outcome.exit_code)


def _as_interrupt(*_: Any) -> None:
    raise Interrupted("stopped", None, "finished blocks are kept", "`mcrisk schedule once` goes on with the slot")


def _say(text: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S')} {printable(text)}")
