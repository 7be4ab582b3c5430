"""Configuration models as YAML files that `mcrisk` reads back."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel


def write_model(folder: Path, model: BaseModel, name: str | None = None) -> Path:
    """Write `folder/NAME.yaml`; the name is the model's own unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name or model.name}.yaml"
    text = yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=118)
    file.write_text(text, encoding="utf-8")
    return file
