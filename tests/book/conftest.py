from __future__ import annotations

import pytest

from mcrisk.config.book import BookSpec
from mcrisk.config.refs import load_tree


def load(name: str) -> dict:
    """The tree of a shipped book, with its base merged."""
    return dict(load_tree("books", name))


@pytest.fixture(scope="session")
def spec() -> BookSpec:
    """The shipped default book."""
    return BookSpec.model_validate(load("default"))
