"""How a command answers: lines for people, one JSON document for machines, or nothing but errors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from mcrisk.errors import printable


@dataclass(frozen=True)
class Answer:
    """What `--json` and `--quiet` of a command ask for."""

    as_json: bool = False
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        return not (self.as_json or self.quiet)

    def say(self, text: str) -> None:
        """A line for people; names in it may come from anywhere."""
        if self.for_people:
            typer.echo(printable(text))

    def wrote(self, files: Iterable[Path]) -> list[str]:
        """Name the files for people; their paths for the document."""
        paths = [str(file) for file in files]
        for path in paths:
            self.say(f"wrote {path}")
        return paths

    def show(self, table: Any) -> None:
        """A rich table for people."""
        if self.for_people:
            from mcrisk.cli.terminal import console

            console().print(table)

    def give(self, data: Any) -> None:
        """The document for machines; NaN becomes null."""
        if self.as_json:
            from mcrisk.report.format import jsonable

            typer.echo(json.dumps(jsonable(data), indent=1, ensure_ascii=False, allow_nan=False))
