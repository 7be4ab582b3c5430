"""From what the user wrote (name, path, mapping, `--set`) to a validated model, with errors that name file and line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcrisk.config import catalog
from mcrisk.config.explain import input_error, key_path
from mcrisk.config.refs import as_map, compose, load_tree, merge
from mcrisk.config.source import Map, Place, Seq, parse_yaml
from mcrisk.errors import InputError

M = TypeVar("M", bound=BaseModel)
Overrides = Iterable["str | Override"]


def load_model(
    model: type[M], kind: str, reference: str | Path | Mapping[str, Any] | M, overrides: Overrides = ()
) -> M:
    """A validated model from a shipped name, a path, a mapping or a model.

    Args:
        model: the pydantic class.
        kind: a key of `catalog.KINDS`; decides which folder names are looked up in.
        reference: `"kraken-preipo"`, `"my/venue.yaml"`, `{"base": "kraken-preipo", "fund": {"initial": 0.02}}`.
        overrides: `"a.b=c"` texts, as on the command line; values are YAML.

    Raises InputError naming file, line, key path, what is allowed and what to do.
    """
    tree, title = _tree(reference, kind)
    tree = compose(tree, model)
    for item in overrides:
        apply_override(tree, item if isinstance(item, Override) else Override.parse(item), model)
        tree = compose(tree, model)  # an override may itself be a reference, or change what another one means
    return validated(model, tree, title)


def validated(model: type[M], tree: Any, title: str) -> M:
    """`tree` as a model; pydantic's findings become one InputError."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise input_error(error, model, tree, title) from None


def load_config(path: str | Path | Mapping[str, Any], overrides: Overrides = ()):
    """The `RunConfig` in a YAML file, of a shipped name (`quickstart`), or of a mapping, with `--set` style overrides.

    Raises InputError naming file, line, key path, what is allowed and what to do.
    """
    from mcrisk.config.run import RunConfig

    return load_model(RunConfig, "runs", path, overrides)


def load_venue(reference: str | Path | Mapping[str, Any], overrides: Overrides = ()):
    """The `Venue` of a shipped name or a YAML file, with `--set` style overrides (`fund.initial=0.02`).

    Raises InputError as `load_config` does.
    """
    from mcrisk.config.venue import Venue

    return load_model(Venue, "venues", reference, overrides)


def _tree(reference: Any, kind: str) -> tuple[Map, str]:
    if isinstance(reference, BaseModel):
        return as_map(reference.model_dump(mode="json")), type(reference).__name__
    if isinstance(reference, Mapping):
        tree = _located(dict(reference), Place("argument"))
        if "base" in tree:
            tree = merge(load_tree(kind, str(tree["base"]), tree.places["base"]), tree)
        return tree, "argument"
    if not isinstance(reference, (str, Path)):
        raise InputError(
            f"a {catalog.KINDS[kind]} cannot be of type {type(reference).__name__}",
            None,
            None,
            "give a name, a path or a mapping",
        )
    return load_tree(kind, str(reference)), str(reference)


def _located(value: Any, place: Place) -> Any:
    """Plain nested dicts and lists as Map and Seq, so that merging treats Python arguments and files alike."""
    if isinstance(value, dict) and not isinstance(value, Map):
        out = Map(place)
        for key, item in value.items():
            out.put(str(key), _located(item, place), place)
        return out
    if isinstance(value, (list, tuple)) and not isinstance(value, Seq):
        seq = Seq(place)
        for item in value:
            seq.add(_located(item, place), place)
        return seq
    return value


# ------------------------------------------------------------------------------------------------ --set
@dataclass(frozen=True)
class Override:
    """One setting from outside the file; `label` is what the user typed, for messages (`--paths 0`)."""

    key: str
    value: str
    label: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """From `a.b=c`. Raises InputError when there is no key or no `=`."""
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(
                f"'{text}' sets nothing", f"--set {text}", None, "write KEY=VALUE, e.g. --set book.accounts=500"
            )
        return cls(key.strip(), value, f"--set {text}")


def apply_override(tree: Map, override: Override, model: type[BaseModel]) -> None:
    """Set one value in a tree, in place.

    Steps of the key are separated by dots; in a list a step is an index, an item's `name`, or `*` for every item. The
    value is YAML (`paths=100`, `venues=[kraken-preipo]`). Raises InputError when the key leads nowhere; keys further
    down are judged by validation, with the same message as for a file.
    """
    place = Place(override.label, folder=tree.place.beside)
    steps = [step for step in override.key.replace("[", ".").replace("]", "").split(".") if step]
    if not steps or steps[0] not in model.model_fields:
        raise InputError(
            f"unknown key '{override.key}'", str(place), f"allowed at the top: {', '.join(model.model_fields)}",
            catalog.suggest(steps[0] if steps else "", model.model_fields) or "see `mcrisk schema` for all keys",
        )  # fmt: skip
    _set(tree, steps, _relocated(parse_yaml(override.value, str(place), lines=False), place), place, [])


def _relocated(value: Any, place: Place) -> Any:
    """All of `value` with the place of the override, which knows the folder of the configuration."""
    return _located(_plain(value), place)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _set(node: Any, steps: list[str], value: Any, place: Place, done: list[Any]) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(node, Seq):
        for index in _indices(node, step, place, done):
            if rest:
                _set(node[index], rest, value, place, [*done, index])
            else:
                node[index], node.places[index] = value, place
        return
    if not isinstance(node, Map):
        raise InputError(
            f"'{key_path(done)}' is a single value and has no key '{step}'", str(place), None,
            f"set '{key_path(done)}' itself",
        )  # fmt: skip
    if not rest:
        node.put(step, value, place)
        return
    if not isinstance(node.get(step), (Map, Seq)):
        if node.get(step) is not None:
            _set(node[step], rest, value, place, [*done, step])  # raises: a single value has no keys
        node.put(step, Map(place), place)
    _set(node[step], rest, value, place, [*done, step])


def _indices(node: Seq, step: str, place: Place, done: list[Any]) -> list[int]:
    if step == "*":
        return list(range(len(node)))
    if step.isdecimal() and int(step) < len(node):
        return [int(step)]
    names = [str(item.get("name")) if isinstance(item, dict) else str(item) for item in node]
    if step in names:
        return [names.index(step)]
    raise InputError(
        f"'{key_path(done)}' has no item '{step}'", str(place), f"there are: {', '.join(names) or 'none'}",
        catalog.suggest(step, names) or f"use one of these, an index below {len(node)}, or *",
    )  # fmt: skip
