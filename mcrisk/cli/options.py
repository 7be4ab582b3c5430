"""Arguments and options that several commands share, declared once."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mcrisk.config.load import Override


def names_and_files(kind: str) -> Callable[[str], list[str]]:
    """Shell completion: shipped names of a kind, then files that begin like that."""

    def complete(incomplete: str) -> list[str]:
        from mcrisk.config import catalog

        names = [name for name in catalog.names(kind) if name.startswith(incomplete)]
        return names + sorted(glob.glob(glob.escape(incomplete) + "*"))[:200]

    return complete


ConfigArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG", help="YAML file, or the name of a shipped run.", autocompletion=names_and_files("runs")
    ),
]


def location(text: str) -> Any:
    """A folder as a Path; a URL stays text, because a Path would merge its slashes."""
    return text if "://" in text else Path(text)


RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Results of a run: a .zarr folder, or its URL.", parser=location)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key, e.g. book.accounts=500. Repeatable."),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def overrides(settings: list[str] | None, **flags: tuple[str, object]) -> list[Override]:
    """`--set` texts followed by flags, which are short names of keys: `paths=("paths", 100)`; None means not given."""
    from mcrisk.config.load import Override

    given = [Override.parse(text) for text in settings or []]
    for flag, (key, value) in flags.items():
        if value is not None:
            given.append(Override(key, str(value), f"--{flag.replace('_', '-')} {value}"))
    return given
