"""pydantic's findings → InputError: which file and line, which key, what is allowed, what to do."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mcrisk.config.catalog import suggest
from mcrisk.config.source import Map, Place, Seq
from mcrisk.errors import InputError

_SHOWN = 8  # more findings than this bury the first


def input_error(error: ValidationError, model: type[BaseModel], tree: Any, title: str) -> InputError:
    """One InputError with all findings of a validation (at most eight), each with its own place."""
    found = error.errors(include_url=False)
    errors = [_one(item, model, tree, title) for item in found[:_SHOWN]]
    if len(found) > _SHOWN:
        errors.append(InputError(f"… and {len(found) - _SHOWN} more", None, None, "correct these first"))
    first, *rest = errors
    return InputError(first.what, first.where, first.why, first.remedy, also=rest)


def _one(item: dict[str, Any], model: type[BaseModel], tree: Any, title: str) -> InputError:
    keys, place = _locate(tree, item["loc"], item["type"])
    path = key_path(keys) or title
    owner = model_at(model, item["loc"][:-1])
    what, why, remedy = _words(item, path, owner)
    at = str(place) if place else title
    return InputError(what, f"{at}, key {path}" if keys else at, why, remedy)


def _locate(tree: Any, loc: tuple[Any, ...], kind: str) -> tuple[list[Any], Place | None]:
    """Keys as the user wrote them (without pydantic's union tags) and the innermost place known on the way."""
    node, keys, place = tree, [], getattr(tree, "place", None)
    for index, step in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(node, Map) and step in node:
            place, node = node.places[step], node[step]
        elif isinstance(node, Seq) and isinstance(step, int) and step < len(node):
            place, node = node.places[step], node[step]
        elif not (last and kind in ("missing", "extra_forbidden")):
            continue
        keys.append(step)
    return keys, place


def key_path(keys: list[Any]) -> str:
    """`venue.pre.margin.tiers[3].initial` from a list of keys."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def model_at(model: Any, loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """The model class that pydantic's location points into, or None."""
    here: Any = model
    for step in loc:
        here = _child(_bare(here), step)
    here = _bare(here)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _bare(annotation: Any) -> Any:
    """Without Annotated, Optional and containers' own wrapping."""
    while True:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation = args[0]
        elif origin in (Union, UnionType) and len(rest := [a for a in args if a is not NoneType]) == 1:
            annotation = rest[0]
        else:
            return annotation


def _child(here: Any, step: Any) -> Any:
    origin, args = get_origin(here), get_args(here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        field = here.model_fields.get(step)
        return field.annotation if field else None
    if origin in (tuple, list):
        return args[0]
    if origin is dict:
        return args[1]
    if origin in (Union, UnionType):  # the step is the tag of a discriminated union
        options = [o for o in map(_bare, args) if isinstance(o, type) and issubclass(o, BaseModel)]
        return next((option for option in options if step in _tags(option)), None)
    return None


def _tags(option: type[BaseModel]) -> list[Any]:
    """Values of the field that tells the members of a union apart."""
    found = [option.model_fields[name] for name in ("kind", "law") if name in option.model_fields]
    return [tag for field in found for tag in get_args(field.annotation)]


def _words(item: dict[str, Any], path: str, owner: type[BaseModel] | None) -> tuple[str, str | None, str | None]:
    """What is wrong, what is allowed, what to do."""
    kind, value, context = item["type"], item.get("input"), item.get("ctx", {})
    shown = _shown(value)
    if kind == "extra_forbidden":
        known = [name for name in owner.model_fields] if owner else []
        wrong = str(item["loc"][-1])
        why = f"allowed here: {', '.join(known)}" if known else None
        return f"unknown key '{path}'", why, suggest(wrong, known) or "remove it, or use one of the allowed keys"
    if kind == "missing":
        return f"the key '{path}' is missing", "it has no default", "add it"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        allowed = context.get("expected_tags", "")
        wrong = context.get("tag")
        names = [name.strip(" '") for name in allowed.split(",")]
        if wrong is None:
            tag = str(context.get("discriminator", "kind")).strip("'")
            return f"'{path}' says no {tag}", f"allowed: {allowed}" if allowed else None, f"add `{tag}: …`"
        return f"'{path}' has the unknown kind '{wrong}'", f"allowed: {allowed}", suggest(wrong, names)
    if kind in ("literal_error", "enum"):
        names = [name.strip(" '") for name in context.get("expected", "").replace(" or ", ",").split(",")]
        return f"'{path}' must not be {shown}", f"allowed: {context.get('expected')}", suggest(value, names)
    if kind == "value_error":
        return f"'{path}': {context.get('error', item['msg'])}", None, "correct the value"
    limit = next((context[name] for name in ("gt", "ge", "lt", "le") if name in context), None)
    if limit is not None:
        return f"'{path}' is {shown}, which is out of range", f"{_plain(item['msg'])}", _unit_hint(value, context)
    return f"'{path}' is {shown}: {_plain(item['msg'])}", None, _unit_hint(value, context)


def _plain(message: str) -> str:
    return message.replace("Input should be", "it must be", 1).replace("Value error, ", "", 1)


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        return f"a {type(value).__name__}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _unit_hint(value: Any, context: dict[str, Any]) -> str:
    if isinstance(value, str) and value.strip().endswith("%"):
        return "write a fraction: 1 % is 0.01"
    if context.get("le") == 1 and isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1:
        return "write a fraction: 1 % is 0.01"
    return "correct the value"
