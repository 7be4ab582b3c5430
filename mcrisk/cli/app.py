"""Entry point of `mcrisk`: the commands, and how their errors become messages and exit codes.

Exit codes (contract): 0 done, 1 the run failed, 2 the input is wrong, 3 a risk limit is breached, 4 a precision target
was not reached, 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from mcrisk.cli import (
    calibrations,
    comparing,
    configs,
    decisions,
    explains,
    machine,
    publishing,
    replays,
    results,
    runs,
    scheduling,
)
from mcrisk.errors import Interrupted, McriskError, printable

app = typer.Typer(
    name="mcrisk",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    runs, results, comparing, configs, replays, explains, calibrations, decisions, scheduling, publishing, machine
):  # fmt: skip
    group.register(app)
TASKS = {
    "Compute": ("run", "warmup"),
    "Look at results": ("report", "show", "compare", "list", "check"),
    "Look into single paths": ("explain", "replay", "incidents"),
    "Decide": (),
    "Watch over time": ("schedule", "index", "serve"),
    "Prepare": ("validate", "venues", "schema", "backends", "validate-model"),
}
"""Help by task: commands that name no panel of their own, in reading order; others say `rich_help_panel`."""


def _by_task(entry: Any) -> tuple[int, int]:
    """Gives a command its panel, and its place in the help."""
    name = entry.name or ""
    panel = next((task for task, names in TASKS.items() if name in names), None)
    if panel is not None:
        entry.rich_help_panel = panel
    names = TASKS.get(entry.rich_help_panel, ())
    order = list(TASKS)
    place = order.index(entry.rich_help_panel) if entry.rich_help_panel in order else len(order)
    return place, names.index(name) if name in names else len(names)


app.registered_commands.sort(key=_by_task)
app.registered_groups.sort(key=_by_task)


@app.callback()
def _options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With any command: where a defect happened, what libraries log.")
    ] = False,
) -> None:
    """Monte Carlo risk of pre-IPO perpetual futures: venue rulebooks applied to every account on every path."""
    if verbose:
        os.environ["MCRISK_DEBUG"] = "1"
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")


_UNUSABLE = {  # a name of the user's that the file system refuses, wherever it is first touched
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENXIO,
}  # fmt: skip

_INTERRUPTED = Interrupted(
    "interrupted", None, "finished blocks are kept", "the same command again continues where this one stopped"
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    sys.exit(execute(arguments))


def execute(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; all messages go to standard error."""
    try:
        code = _command()(args=_verbose_first(list(arguments) if arguments is not None else sys.argv[1:]), standalone_mode=False)
        if code == Interrupted.exit_code:  # what typer makes of Ctrl-C, without a word
            return _say(_INTERRUPTED)
        return code if isinstance(code, int) else 0
    except McriskError as error:
        return _say(error)
    except (KeyboardInterrupt, typer.Abort):
        return _say(_INTERRUPTED)
    except typer.Exit as stop:
        return stop.exit_code
    except TyperException as error:  # an unknown command or option, or a value of the wrong type
        error.show() if hasattr(error, "show") else typer.echo(f"error: {printable(error)}", err=True)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at exit
        return 1
    except Exception as error:
        return _unexpected(error)


@cache
def _command() -> Any:
    """The click command behind `app`. Built once a process: typer reads every signature anew, a quarter of a second each time."""
    return get_command(app)


def _verbose_first(arguments: list[str]) -> list[str]:
    """`--verbose` may stand anywhere before a `--`, as people write it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    told = [a for a in arguments[:end] if a in ("-v", "--verbose")]
    return [*told[:1], *(a for a in arguments[:end] if a not in ("-v", "--verbose")), *arguments[end:]]


def _say(error: McriskError) -> int:
    typer.echo(f"error: {error}" if not isinstance(error, Interrupted) else str(error), err=True)
    return error.exit_code


def _unexpected(error: Exception) -> int:
    """A full disk is the user's to mend; anything else is a defect, told in one line, with the traceback on request."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = printable(error.filename or "the output folder")
        typer.echo(
            f"error: the disk is full\n  where: {where}\n  why:   finished blocks are kept\n"
            "  do:    free some space, then run the same command again; it continues",
            err=True,
        )
        return 2
    if isinstance(error, OSError) and error.filename is not None and error.errno in _UNUSABLE:
        place = printable(error.filename)[:200]
        typer.echo(f"error: a path cannot be used: {os.strerror(error.errno)}\n  where: {place}", err=True)
        return 2
    if os.environ.get("MCRISK_DEBUG"):
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    typer.echo(
        f"error: the run failed: {type(error).__name__}: {printable(error)}\n  where: {last.filename}:{last.lineno}\n"
        "  do:    MCRISK_DEBUG=1 shows the whole traceback; please report it with the configuration",
        err=True,
    )
    return 1
