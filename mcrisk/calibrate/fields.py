"""Fields of a configuration model by dotted path: read, set, and the nearest name when there is none.

Steps are keys, list indices, names of list items, or `*` for every item: `pre.margin.tiers.*.initial`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from mcrisk.config.catalog import suggest
from mcrisk.errors import InputError


def places(tree: Any, path: str, where: str) -> list[tuple[Any, ...]]:
    """Every place in a tree of dicts and lists that `path` means. Raises InputError naming the nearest key."""
    found: list[tuple[Any, ...]] = [()]
    for step in path.split("."):
        found = [(*done, key) for done in found for key in _keys(_at(tree, done), step, path, where)]
    return found


def _keys(node: Any, step: str, path: str, where: str) -> list[Any]:
    if isinstance(node, dict):
        if step in node:
            return [step]
        known = ", ".join(map(str, node))
        raise InputError(
            f"unknown field '{path}'", where, f"'{step}' is not among {known}", suggest(step, node) or "see `mcrisk schema`"
        )
    if isinstance(node, list):
        if step == "*" and node:
            return list(range(len(node)))
        names = [str(item.get("name")) if isinstance(item, dict) else str(item) for item in node]
        if step.isdecimal() and int(step) < len(node):
            return [int(step)]
        if step in names:
            return [names.index(step)]
        raise InputError(
            f"unknown field '{path}'", where, f"the list has no item '{step}'; it has {len(node)} items", "use an index or *"
        )
    raise InputError(f"unknown field '{path}'", where, f"there is nothing below it to be called '{step}'", "shorten it")


def _at(tree: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        tree = tree[key]
    return tree


def read(model: BaseModel, path: str, where: str = "") -> list[Any]:
    """The values at `path`, one per place."""
    tree = model.model_dump(mode="json")
    return [_at(tree, place) for place in places(tree, path, where)]


def changed(model: BaseModel, values: dict[str, Any], where: str = "") -> BaseModel:
    """A copy with fields set and validated. A callable is applied to the value that is there.

    Raises InputError when a path leads nowhere or the model refuses the values.
    """
    tree = model.model_dump(mode="json")
    for path, value in values.items():
        for place in places(tree, path, where):
            node = _at(tree, place[:-1])
            node[place[-1]] = value(node[place[-1]]) if callable(value) else value
    try:
        return type(model).model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(step) for step in first["loc"])
        raise InputError(
            f"these values are not allowed together: {first['msg']}{f' ({at})' if at else ''}", where or None,
            ", ".join(f"{path}" for path in values), "narrow the bounds",
        ) from None  # fmt: skip


def differences(old: BaseModel, new: BaseModel) -> list[tuple[str, Any, Any]]:
    """(path, before, after) of every leaf that differs, provenance left out."""
    return list(_walk(old.model_dump(mode="json"), new.model_dump(mode="json"), ""))


def _walk(a: Any, b: Any, path: str):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            if key not in ("provenance", "name"):
                yield from _walk(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from _walk(x, y, f"{path}.{i}")
    elif a != b:
        yield path, a, b
