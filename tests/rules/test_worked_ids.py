"""Every worked example has a test that carries its id: `test_w_xyz_1_…` for W-XYZ-1."""

from __future__ import annotations

import re
from pathlib import Path

IDS = (
    "XYZ-1 XYZ-2 XYZ-3 XYZ-4 XYZ-5 XYZ-7 XYZ-9 XYZ-10 HL-1 HL-2 HL-3 HL-4 HL-5 HL-7 HL-8 OKX-1 OKX-2 OKX-3 OKX-4 OKX-5 "
    "OKX-7 OKX-8 KR-1 KR-2 KR-4 BN-2 BN-3 BN-4 BN-5 BY-1 BY-2 BY-3 CH-1 CH-3 CH-4 CH-5 WO-1 VE-1"
).split()
BACKTESTS = ("BT-1", "BT-2", "BT-4")  # of margins against history: they come with `mcrisk backtest`
TEST = re.compile(r"^\s*def test_w_([a-z]+)_(\d+)(?:_|\()", re.MULTILINE)


def claimed() -> set[str]:
    files = (Path(__file__).resolve().parents[1]).rglob("test_*.py")
    return {f"{a.upper()}-{n}" for file in files for a, n in TEST.findall(file.read_text(encoding="utf-8"))}


def test_every_example_has_its_test():
    assert set(IDS) - claimed() == set()


def test_no_test_claims_an_example_that_does_not_exist():
    assert claimed() - set(IDS) - set(BACKTESTS) == set()


def test_the_list_is_that_of_the_examples_where_they_are_at_hand():
    """The examples are kept outside the repository; where they lie beside it, the list must be complete."""
    source = Path(__file__).resolve().parents[3] / "shared" / "worked-examples.md"
    if source.is_file():
        named = set(re.findall(r"^### W-([A-Z]+-\d+)", source.read_text(encoding="utf-8"), re.MULTILINE))
        assert named == set(IDS) | set(BACKTESTS)
