"""One synthetic store and its report, built once per session."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcrisk.report import report
from tests.report.synthetic import write_store

NASTY = {
    "kraken-preipo": "<script>alert(1)</script>",
    "tradexyz-ipop": "\x1b[31mred\x1b[0m | `x` [link](http://evil.example/)",
    "binance-preipo": "a\"onmouseover='x'&amp;\u202eevil",
}


def make(folder: Path, **options) -> SimpleNamespace:
    """Store and report under `folder`, with the texts already read."""
    store = write_store(folder / "run.zarr", **options)
    files = report(store, folder / "out")
    html, md, data = (f.read_text(encoding="utf-8") for f in files)
    return SimpleNamespace(store=store, files=files, html=html, md=md, json=json.loads(data))


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("report"), paths=300, accounts=12)


@pytest.fixture(scope="session")
def nasty(tmp_path_factory):
    return make(
        tmp_path_factory.mktemp("nasty"),
        paths=64,
        accounts=6,
        rename=NASTY,
        operator="<b>bold</b>\x1b]0;title\x07",
        venues=("kraken-preipo", "tradexyz-ipop", "okx-premarket-perp", "binance-preipo"),
    )


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    return make(
        tmp_path_factory.mktemp("bare"),
        paths=64,
        accounts=6,
        venues=("binance-premarket", "binance-preipo"),
        scenarios=("baseline", "squeeze"),
        without=("accounts", "bands", "metrics", "break_even", "strip"),
    )
