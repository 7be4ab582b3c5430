"""The wheel carries the configs and works where no checkout is."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        folder,
        ROOT,
    )
    (file,) = folder.glob("mcrisk-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel; dependencies are taken from ours by path, the editable install is not."""
    folder = tmp_path_factory.mktemp("clean")
    call(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    packages = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run_there(installed, *arguments):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return call(installed / "venv" / "bin" / "mcrisk", *arguments, cwd=installed, env=environment)


def test_the_wheel_holds_every_config_and_nothing_of_the_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"mcrisk/_configs/{file.relative_to(ROOT / 'configs')}" for file in (ROOT / "configs").rglob("*.yaml")}
    assert shipped and shipped <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "docs"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_runs_from_a_clean_environment(installed):
    where = call(installed / "venv" / "bin" / "python", "-c", "import mcrisk; print(mcrisk.__file__)", cwd=installed)
    assert where.startswith(str(installed))
    assert "8 venues × 7 scenarios" in run_there(installed, "validate", "quickstart")
    assert "kraken-preipo" in run_there(installed, "venues")


@pytest.mark.slow
def test_a_small_run_from_a_clean_environment(installed):
    small = [
        "--paths",
        "64",
        "--set",
        "venues=[okx-preipo-perp]",
        "--set",
        "scenarios=[baseline]",
        "--set",
        "book.accounts=50",
    ]
    off = ["--set", "assumption_strip=false", "--set", "break_even=false", "--workers", "1", "--out", "small.zarr"]
    run_there(installed, "run", "quickstart", *small, *off)
    run_there(installed, "report", "small.zarr", "--out", "small")
    assert (installed / "small" / "report.html").stat().st_size > 10_000
