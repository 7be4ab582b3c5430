"""Where the shipped configs lie, in a checkout (`configs/`) and in an installed wheel (`mcrisk/_configs/`)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from mcrisk.errors import InputError

KINDS = {
    "runs": "run",
    "venues": "venue",
    "scenarios": "scenario",
    "prices": "price model",
    "liquidity": "liquidity model",
    "feeds": "valuation feed",
    "grids": "time grid",
    "books": "book",
    "schedules": "schedule",
    "calibrations": "calibration",
    "reverse-stress": "reverse stress test",
    "sensitivities": "sensitivity test",
    "comparisons": "design comparison",
}
"""Folder of `configs/` → what one of its files is called in messages. Runs lie at the top of `configs/`."""

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")


def root() -> Path:
    """The folder of the shipped configs. Raises InputError when the installation has lost it."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_configs", package.parent / "configs"):
        if folder.is_dir():
            return folder
    raise InputError(
        "the shipped configs are missing", str(package / "_configs"), None, "reinstall mcrisk, or give paths of files"
    )


def _folder(base: Path, kind: str) -> Path:
    return base if kind == "runs" else base / kind


def names(kind: str) -> list[str]:
    """Names of the shipped configs of one kind, sorted."""
    return sorted(file.stem for file in _folder(root(), kind).glob("*.yaml"))


def is_name(reference: str) -> bool:
    """Whether a reference is a name (no path, no ending)."""
    return bool(_NAME.match(reference))


def find(kind: str, reference: str, *, beside: Path | None = None, where: str | None = None) -> Path:
    """The file a reference means: a path, or a name, looked up beside the referring file and then among the shipped.

    Args:
        kind: a key of `KINDS`.
        reference: a name (`kraken-preipo`) or a path (`./my-venue.yaml`).
        beside: folder of the file that says it; relative paths start there, then in the working directory.
        where: place of the reference, for the message.

    Raises InputError with the nearest names when nothing is found.
    """
    if not is_name(reference):
        return _path(kind, reference, beside, where)
    places = [_folder(beside, kind)] if beside is not None else []
    for folder in (*places, _folder(root(), kind)):
        file = folder / f"{reference}.yaml"
        if file.is_file():
            return file
    raise InputError(
        f"unknown {KINDS[kind]} '{reference}'", where, f"known: {', '.join(names(kind)) or 'none'}",
        suggest(reference, names(kind)) or "use one of these names, or a path ending in .yaml",
    )  # fmt: skip


def _path(kind: str, reference: str, beside: Path | None, where: str | None) -> Path:
    if "\0" in reference:
        raise InputError(f"'{reference}' is no path", where, "it holds a zero byte", "write a plain path")
    tried = [base / reference for base in ([beside] if beside else []) + [Path()]]
    for file in tried:
        if file.exists():
            return file
    raise InputError(
        f"no such file: {reference}", where, f"it was given as a {KINDS[kind]}",
        suggest(Path(reference).stem, names(kind)) or f"check the path, or use a name: {', '.join(names(kind))}",
    )  # fmt: skip


def suggest(wrong: object, known: Iterable[str]) -> str | None:
    """`did you mean 'x'?` with the nearest known names, or None."""
    near = difflib.get_close_matches(str(wrong), list(known), n=2, cutoff=0.55)
    return f"did you mean {' or '.join(repr(name) for name in near)}?" if near else None
