"""The guides do what they say: their code blocks are run in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.stem)
def test_the_guide_runs(page, tmp_path):
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "MPLBACKEND": "agg", "NO_COLOR": "1"}
    for language, name, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text)
            continue
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
