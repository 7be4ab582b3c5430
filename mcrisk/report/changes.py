"""Where two resolved configurations differ, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcrisk.report import format as fmt
from mcrisk.report.model import Column, Table
from mcrisk.report.source import Run

NO_EFFECT = ("execution", "report", "title", "name", "limits", "paths")  # never move a path's outcome
SKIPPED = ("provenance",)
LONGEST = 80
FACTS = ("seed", "backend", "git_commit", "versions", "hardware")


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key path, old, new) of every leaf that differs; lists of named things are matched by name."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            if key not in SKIPPED:
                yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return
    a, b = _named(old), _named(new)
    if a is not None and b is not None:
        yield from differences(a, b, path)
    elif old != new:
        yield path, old, new


def _named(value: Any) -> dict[str, Any] | None:
    """A list of mappings with distinct names as a mapping by name."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, dict) and "name" in v for v in value):
        return None
    found = {str(v["name"]): {k: x for k, x in v.items() if k != "name"} for v in value}
    return found if value and len(found) == len(value) else None


def table(old: Run, new: Run, key: str = "config-changes") -> Table:
    """Config and circumstances that differ; what can move results first."""
    out = Table(key, "What was asked differently", [Column(t) for t in ("key", old.name, new.name, "moves results")])
    if old.name == new.name:
        out.columns = [Column(t) for t in ("key", "before", "after", "moves results")]
    rows = [(path, a, b, _effect(path)) for path, a, b in differences(old.config, new.config)]
    facts = [(name, old.attrs.get(name), new.attrs.get(name)) for name in FACTS]
    rows += [(name, a, b, "no" if name == "hardware" else "may") for name, a, b in facts if a != b and (a or b)]
    for path, a, b, effect in sorted(rows, key=lambda row: (row[3] == "no", row[0])):
        out.add(fmt.clean(path), _short(a), _short(b), effect)
    if not rows:
        out.note = "The configurations, versions and machines are the same."
    return out


def _effect(path: str) -> str:
    return "no" if path.split(".")[0] in NO_EFFECT else "yes"


def _short(value: Any) -> str:
    """A value on one line; a mapping by its keys."""
    if value is None:
        return "–"
    if isinstance(value, dict):
        named = ", ".join(f"{k} {v}" for k, v in value.items() if not isinstance(v, (dict, list)))
        text = named or f"{len(value)} keys"
    elif isinstance(value, float):
        text = f"{value:.10g}"
    else:
        text = str(value)
    text = fmt.clean(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
