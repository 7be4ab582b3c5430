"""The guides do what they say: their code blocks are run in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.synthetic import write_store

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "guide").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: title=\"([\w.-]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """(language, file name or "", text) of every fenced block."""
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.stem)
def test_every_block_is_of_a_kind_that_is_run_or_written(page):
    found = blocks(page)
    assert len(found) >= 3 and page.read_text().count("```") == 2 * len(found)
    for language, name, text in found:
        assert name or language in ("sh", "python"), f"{language} without a title"
        if language == "python":
            compile(text, str(page), "exec")
        if language == "sh":
            subprocess.run(["bash", "-n", "-c", text], check=True)


def test_the_site_lists_every_page():
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in GUIDES:
        assert f"guide/{page.name}" in menu


def perform(language: str, text: str, folder: Path) -> None:
    """Run one block as its reader would."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "MPLBACKEND": "agg", "NO_COLOR": "1"}
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


COMPUTES = re.compile(r"mcrisk (run|replay|explain|report|compare)|replay/|import mcrisk\n\nresult")


def test_what_computes_nothing_works_as_typed(tmp_path):
    """The fast half of the guides: files, checks, errors with their exit codes, schedules."""
    ran = 0
    for page in GUIDES:
        folder = tmp_path / page.stem
        folder.mkdir()
        for language, name, text in blocks(page):
            if name:
                (folder / name).write_text(text)
            elif language == "sh" and not COMPUTES.search(text):
                perform(language, text.replace("mcrisk show", "true"), folder)
                ran += 1
    assert ran >= 3


def test_the_report_of_the_first_guide_is_written_as_typed(tmp_path):
    """On a made-up store in place of the run, which is the slow test's; its paths cannot be walked, and the page says so."""
    write_store(tmp_path / "runs" / "first.zarr", paths=64, accounts=6, scenarios=("valuation_reset", "combined"),
                venues=("kraken-preipo", "okx-premarket-perp"))  # fmt: skip
    shell = next(text for _, name, text in blocks(ROOT / "docs" / "guide" / "first-run.md") if not name)
    command = next(line for line in shell.splitlines() if line.startswith("mcrisk report"))
    perform("sh", command, tmp_path)
    page = (tmp_path / "runs" / "first" / "report.html").read_text()
    assert "4 of 4 paths could not be walked again" in page and "worries most" in page


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.stem)
def test_the_guide_runs(page, tmp_path):
    for language, name, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text)
        else:
            perform(language, text, tmp_path)
