"""Configuration models as YAML files that `mcrisk` reads back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel


def write_model(folder: Path, model: BaseModel, name: str | None = None) -> Path:
    """Write `folder/NAME.yaml`; the name is the model's own unless given."""
    return write_tree(folder, model.model_dump(mode="json"), name or model.name)


def write_tree(folder: Path, tree: dict[str, Any], name: str) -> Path:
    """Write `folder/NAME.yaml` from plain values, e.g. what changes on a `base`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    text = yaml.dump(tree, Dumper=_Flat, sort_keys=False, allow_unicode=True, width=118)
    file.write_text(text, encoding="utf-8")
    return file


class _Flat(yaml.SafeDumper):
    """Lists of numbers on flowing lines; everything else one item per line."""


def _numbers(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    plain = bool(items) and all(isinstance(item, (int, float)) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


_Flat.add_representer(list, _numbers)
