"""YAML text → plain values that remember file and line.

Own composer on PyYAML's event stream instead of a loader, because a config is read from people we do not know:
tags (code), aliases (exponential bombs), duplicate keys and deep nesting are refused while reading, before anything is
built. Scalars follow YAML 1.2's core rules: `on`, `no` and `12:30` stay text, `1e6` is a number, `1_000` is accepted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcrisk.errors import InputError

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 500_000

_INT = re.compile(r"^[-+]?[0-9](?:_?[0-9])*$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9](?:_?[0-9])*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_SPECIAL = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"), "nan": float("nan"),
    ".inf": float("inf"), ".Inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), "-.Inf": float("-inf"),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a value was written: a file (or `--set …`) and its 1-based line.

    `folder` is where names in an override are looked up; `implied` is the reference that stood here when nobody wrote
    one (see RunConfig.complete_tree).
    """

    file: str
    line: int | None = None
    folder: Path | None = None
    implied: str = ""

    @property
    def beside(self) -> Path | None:
        """The folder in which references written here are looked up first."""
        return self.folder or (Path(self.file).parent if self.line is not None else None)

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Map(dict):
    """A mapping that knows its own place and the place of each key."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: Any, place: Place) -> None:
        self[key] = value
        self.places[key] = place


class Seq(list):
    """A list that knows its own place and the place of each item."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: list[Place] = []

    def add(self, value: Any, place: Place) -> None:
        self.append(value)
        self.places.append(place)


def read_yaml(path: str | Path) -> Map:
    """The mapping in a YAML file. Raises InputError naming file and line on anything else."""
    file = Path(path)
    remedy = "give the path of a YAML file, or the name of a shipped config (mcrisk list)"
    try:
        if file.is_dir():
            raise InputError("a directory is no configuration file", str(file), None, remedy)
        with file.open("rb") as handle:  # one byte past the cap, so that devices and growing files cannot fill memory
            raw = handle.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError("no such file", str(file), None, remedy) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError("the file cannot be read", str(file), why, remedy) from None
    if len(raw) > MAX_BYTES:
        raise InputError(
            "the file is too large", str(file), f"a configuration has at most {MAX_BYTES // 2**20} MiB", remedy
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError("the file is not UTF-8 text", f"{file}:{line}", None, "save it as UTF-8 YAML") from None
    value = parse_yaml(text, str(file))
    if value is None:
        raise InputError(
            "the file is empty", str(file), "a configuration is a YAML mapping", "see configs/quickstart.yaml"
        )
    if not isinstance(value, Map):
        raise InputError(
            "the file holds no mapping", str(file), f"a configuration is a mapping of keys, this is a {_kind(value)}",
            "write `key: value` lines, as in configs/quickstart.yaml",
        )  # fmt: skip
    return value


def parse_yaml(text: str, file: str, *, lines: bool = True) -> Any:
    """One YAML document as Map, Seq or scalar; None when there is none. `lines=False` leaves line numbers out."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(yaml.parse(text, Loader=loader), file, lines).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = str(Place(file, mark.line + 1 if mark and lines else None))
        raise InputError(f"this is not valid YAML: {error.problem or error.context}", where, None, _QUOTING) from None
    except yaml.YAMLError as error:
        raise InputError(f"this is not valid YAML: {str(error).splitlines()[0]}", file, None, _QUOTING) from None


_QUOTING = "check brackets, quotes and indentation of that line and the one before"


def scalar(text: str) -> Any:
    """A plain scalar by YAML 1.2's core rules."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.match(text):
        return int(text) if len(text) < 400 else text  # int() of huge text is quadratic and refused by Python
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    return text


class _Composer:
    """Builds one document from parse events."""

    def __init__(self, events: Any, file: str, lines: bool) -> None:
        self.events, self.file, self.lines, self.nodes = events, file, lines, 0

    def document(self) -> Any:
        value, seen = None, False
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    self._refuse(event, "a second document begins", "keep one document in a file")
                seen = True
                value = self._node(next(self.events), 0)
        return value

    def _place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1 if self.lines else None)

    def _refuse(self, event: Any, what: str, remedy: str) -> None:
        raise InputError(what, str(self._place(event)), None, remedy)

    def _node(self, event: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            self._refuse(
                event, "the document is nested too deeply or too large", "split it into files and refer by name"
            )
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self._refuse(
                event, "anchors and aliases (&name, *name) are not allowed", "use `base: NAME` to reuse a model"
            )
        if event.tag not in (None, "!"):
            self._refuse(event, f"the tag {event.tag} is not allowed", "write plain values without !tags")
        if isinstance(event, yaml.ScalarEvent):
            return scalar(event.value) if event.implicit[0] else event.value
        return (
            self._sequence(event, depth) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(event, depth)
        )

    def _sequence(self, start: Any, depth: int) -> Seq:
        out = Seq(self._place(start))
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            place = self._place(event)
            out.add(self._node(event, depth + 1), place)
        return out

    def _mapping(self, start: Any, depth: int) -> Map:
        out = Map(self._place(start))
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            place = self._place(event)
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key must be plain text", "quote the key, or remove the brackets around it")
            self._node(event, depth + 1)  # the same checks as for values; a key keeps its text
            key = event.value
            if key == "<<":
                self._refuse(event, "merge keys (<<) are not allowed", "use `base: NAME` to reuse a model")
            if key in out:
                self._refuse(event, f"the key '{key}' is written twice", f"keep one; the first is at {out.places[key]}")
            out.put(key, self._node(next(self.events), depth + 1), place)
        return out


def _kind(value: Any) -> str:
    return "list" if isinstance(value, list) else "single value"
