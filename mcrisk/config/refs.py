"""Composition by name: a field marked `Ref` takes a name, a path, `{base: NAME, overrides…}` or the model written out.

`compose` replaces every reference in a raw tree by what it means, before pydantic validates anything, so that messages
can name the file and line where a value was really written. Rules of a merge over a base: mappings merge key by key,
lists and scalars are replaced, `key+: […]` appends to the base's list, and a mapping that names another `kind` or `law`
replaces the base's (parameters of one rule kind mean nothing to another).
"""

from __future__ import annotations

from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidatorFunctionWrapHandler
from pydantic_core import core_schema

from mcrisk.config import catalog
from mcrisk.config.source import Map, Place, Seq, read_yaml
from mcrisk.errors import InputError

_MAX_BASES = 16


class Ref:
    """Annotation of a field that is composed by name; `default` is the name taken when the key is absent."""

    def __init__(self, kind: str, default: str | None = None) -> None:
        self.kind, self.default = kind, default

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        def resolve(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
            return inner(resolved(value, self.kind, source))  # so that Python arguments may be names, too

        return core_schema.no_info_wrap_validator_function(resolve, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        title = catalog.KINDS[self.kind]
        by_name = {"type": "string", "description": f"name or path of a {title} (configs/{self.kind}/NAME.yaml)"}
        on_base = {"type": "object", "properties": {"base": {"type": "string"}}, "required": ["base"]}
        return {"anyOf": [by_name, on_base, handler(core)]}


def compose(tree: Any, model: type[BaseModel]) -> Any:
    """`tree` with every reference in it resolved, following the fields of `model`. Not in place; idempotent.

    A model may have a static method `complete_tree(tree) -> names`, which adds references that depend on others (the
    liquidity model a venue names) and says which fields it touched.
    """
    if not isinstance(tree, dict) or not _refers(model):
        return tree
    out = as_map(tree)
    for name, field in model.model_fields.items():
        ref = next((item for item in field.metadata if isinstance(item, Ref)), None)
        if ref and ref.default and name not in out:
            out.put(name, ref.default, Place(f"default of '{name}'"))
        if name in out:
            _compose_field(out, name, model)
    complete = getattr(model, "complete_tree", None)
    for name in complete(out) if complete else ():
        _compose_field(out, name, model)
    return out


@lru_cache
def _refers(model: type[BaseModel]) -> bool:
    """Whether a reference stands anywhere in the fields of `model`; most models have none and are left as they are."""
    return any(
        any(isinstance(item, Ref) for item in field.metadata) or _refers_in(field.annotation)
        for field in model.model_fields.values()
    )


def _refers_in(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated and any(isinstance(item, Ref) for item in get_args(annotation)[1:]):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _refers(annotation)
    return any(_refers_in(part) for part in get_args(annotation))


def _compose_field(tree: Map, name: str, model: type[BaseModel]) -> None:
    field = model.model_fields[name]
    ref = next((item for item in field.metadata if isinstance(item, Ref)), None)
    annotation = Annotated[field.annotation, ref] if ref else field.annotation
    tree.put(name, _compose_value(tree[name], annotation, tree.places[name]), tree.places[name])


def _compose_value(value: Any, annotation: Any, place: Place | None) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        ref = next((item for item in args[1:] if isinstance(item, Ref)), None)
        return resolved(value, ref.kind, args[0], place) if ref else _compose_value(value, args[0], place)
    if origin in (Union, UnionType):
        options = [option for option in args if option is not NoneType]
        return _compose_value(value, options[0], place) if len(options) == 1 else value
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        out = Seq(getattr(value, "place", place))
        for index, item in enumerate(value):
            at = value.places[index] if isinstance(value, Seq) else place
            out.add(_compose_value(item, args[0], at), at)
        return out
    if origin is dict and isinstance(value, dict):
        out = as_map(value)
        for key in list(out):
            out.put(key, _compose_value(out[key], args[1], out.places[key]), out.places[key])
        return out
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return compose(value, annotation)
    return value


def resolved(value: Any, kind: str, annotation: Any, place: Place | None = None) -> Any:
    """What one reference means, as a tree: names and paths are read, a `base` is merged under the overrides."""
    if isinstance(value, str):
        value = load_tree(kind, value, place)
    elif isinstance(value, dict) and "base" in value:
        value = _on_base(as_map(value), kind, place, 0)
    return _compose_value(value, annotation, place)


def load_tree(kind: str, reference: str, place: Place | None = None, depth: int = 0) -> Map:
    """The tree of a named or pathed config with its own `base` merged; references inside stay as they are.

    A name means the same wherever its file is used from: it is looked up beside the file that says it.
    """
    beside = place.beside if place else None
    if beside is not None and kind != "runs" and beside.name in catalog.KINDS:
        beside = beside.parent  # a venue file names its siblings' folders, not folders below venues/
    file = catalog.find(kind, reference, beside=beside, where=str(place) if place else None)
    tree = read_yaml(file)
    return _on_base(tree, kind, None, depth) if "base" in tree else tree


def _on_base(value: Map, kind: str, place: Place | None, depth: int) -> Map:
    at = value.places.get("base", place)
    if depth >= _MAX_BASES:
        raise InputError(
            "`base` goes round in a circle", str(at), f"more than {_MAX_BASES} files build on each other",
            "let one of them be written without `base`",
        )  # fmt: skip
    base = value["base"]
    if not isinstance(base, str):
        raise InputError("`base` must be a name or a path", str(at), None, f"write e.g. `base: {_example(kind)}`")
    return merge(load_tree(kind, base, at, depth + 1), value)


def _example(kind: str) -> str:
    return next(iter(catalog.names(kind)), "NAME")


def merge(base: Map, over: Map) -> Map:
    """`over` laid on `base` by the rules at the head of this file; places follow the values."""
    out = as_map(base)
    out.place = over.place
    for key, value in over.items():
        place = over.places[key]
        if key == "base":
            continue
        if key.endswith("+"):
            out.put(key[:-1], _append(base.get(key[:-1]), value, place), place)
        elif isinstance(value, Map) and isinstance(out.get(key), Map) and _same_kind(out[key], value):
            out.put(key, merge(out[key], value), place)
        else:
            out.put(key, value, place)
    return out


def _same_kind(base: Map, over: Map) -> bool:
    return "base" not in over and all(over.get(tag, base.get(tag)) == base.get(tag) for tag in ("kind", "law"))


def _append(base: Any, more: Any, place: Place) -> Seq:
    if not isinstance(base, Seq) or not isinstance(more, Seq):
        raise InputError(
            "`key+` appends a list to the base's list", str(place), None, "drop the + to replace the value"
        )
    out = Seq(place)
    for seq in (base, more):
        for item, at in zip(seq, seq.places):
            out.add(item, at)
    return out


def as_map(value: dict) -> Map:
    """A shallow copy of a mapping as a Map; plain dicts (Python arguments) get an unnamed place."""
    place = getattr(value, "place", None) or Place("argument")
    out = Map(place)
    for key, item in value.items():
        out.put(str(key), item, value.places.get(key, place) if isinstance(value, Map) else place)
    return out
