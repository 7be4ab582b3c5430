from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mcrisk.config.book import BookSpec

BOOKS = Path(__file__).parents[2] / "configs" / "books"


def load(name: str) -> dict:
    return yaml.safe_load((BOOKS / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def spec() -> BookSpec:
    """The shipped default book."""
    return BookSpec.model_validate(load("default"))
