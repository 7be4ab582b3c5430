"""`mcrisk compare` from the outside."""

import json

import pytest

from tests.report.synthetic import write_store


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    options = {"paths": 64, "accounts": 4, "venues": ("kraken-preipo",), "scenarios": ("combined",)}
    return [write_store(folder / f"{n}.zarr", seed=n, **options) for n in (1, 2, 3)]


def test_text_json_and_page(mcrisk, stores, tmp_path):
    said = mcrisk("compare", *stores, "--out", tmp_path / "out")
    assert said.code == 0 and "paired" in said.out and "moved by more than noise" in said.out
    html = (tmp_path / "out" / "compare.html").read_text()
    assert html.count("<section") == 2
    said = mcrisk("compare", *stores[:2], "--json", "--all")
    assert said.code == 0 and json.loads(said.out)["comparisons"][0]["paired"] is True


def test_wrong_input_is_explained(mcrisk, stores, tmp_path):
    assert mcrisk("compare", stores[0]).code == 2
    said = mcrisk("compare", stores[0], tmp_path / "none.zarr")
    assert said.code == 2 and "no such run" in said.err
