"""What the repository promises about itself: arrows, pins, sizes, first screen."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (".py", ".toml", ".txt", ".md", ".yaml", ".yml", ".sh", "")
REGISTRIES = re.compile(r"https?://[^ \"]*(pypi|pythonhosted|npmjs)|--(extra-)?index-url|--find-links")
LONG_FILES: dict[str, int] = {}  # exceptions, each with its reason
LONG_FUNCTION, LONG_FILE = 60, 400


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_arrows_point_down():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_requirements_are_exact_and_name_no_host():
    lines = [
        line
        for file in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / file).read_text().splitlines()
        if line and not line.startswith(("#", "-r "))
    ]
    assert len(lines) > 40
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [a-z_]+ [<>=!]+ \"[^\"]+\"( and .*)?)?", line), line
    assert "jax==0.10." in "\n".join(lines)


def test_every_declared_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(specs):
        return {re.split(r"[<>=\[; ]", spec)[0] for spec in specs}

    pinned = names((ROOT / "requirements.txt").read_text().splitlines())
    assert names(project["dependencies"]) <= pinned
    assert names(project["optional-dependencies"]["dev"]) <= pinned | names(
        (ROOT / "requirements-dev.txt").read_text().splitlines()
    )
    assert {"cuda12", "cuda13", "dev"} <= set(project["optional-dependencies"])


def test_every_import_of_the_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    distribution = {"pyyaml": "yaml", "jinja2": "jinja2", "salib": "SALib"}
    declared = {distribution.get(n, n) for n in (re.split(r"[<>=\[; ]", s)[0] for s in project["dependencies"])}
    brought = {"pydantic_core", "jaxlib", "markupsafe", "cupy", "dask_cuda"}  # by pydantic, jax, jinja2; with GPUs
    found = set()
    for file in (ROOT / "mcrisk").rglob("*.py"):
        if "testing" in file.parts:
            continue  # for users who test; they bring hypothesis
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    assert found - set(sys.stdlib_module_names) - {"mcrisk"} <= declared | brought


def test_no_registry_is_named_anywhere():
    named = [
        str(file.relative_to(ROOT))
        for file in tracked()
        if file.suffix in TEXT and file != Path(__file__) and REGISTRIES.search(file.read_text(errors="ignore"))
    ]
    assert not named


def test_files_and_functions_stay_readable():
    long = []
    for file in (ROOT / "mcrisk").rglob("*.py"):
        name, text = str(file.relative_to(ROOT)), file.read_text()
        if text.count("\n") > LONG_FILES.get(name, LONG_FILE):
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = node.end_lineno - node.lineno + 1
                if size > LONG_FUNCTION:
                    long.append(f"{name}: {node.name} {size} lines")
    assert not long


def test_assertions_are_not_used_as_checks():
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / "mcrisk").rglob("*.py")
        if "testing" not in file.parts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert not found


def test_the_first_screen_is_two_commands():
    top = (ROOT / "README.md").read_text().splitlines()[:8]
    assert any(line.startswith("make run") for line in top) and any(line.startswith("make test") for line in top)


@pytest.mark.parametrize("target", ["run", "test", "test-long", "bench", "clean"])
def test_make_knows_its_targets(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_make_bench_passes_its_arguments_on():
    done = subprocess.run(
        ["make", "-n", "bench", "BENCH_ARGS=--quick --json x"], cwd=ROOT, capture_output=True, text=True
    )
    assert "benchmarks/run.py --quick --json x" in done.stdout


def test_files_that_must_be_there():
    for name in ("LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", ".ci/run", "docs/conventions.md", "docs/decisions"):
        assert (ROOT / name).exists()
    assert "make test" in (ROOT / ".ci" / "run").read_text() and (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "/runs/" in ignored and ".venv/" in ignored  # with the slash, or mcrisk/runs would be ignored, too
