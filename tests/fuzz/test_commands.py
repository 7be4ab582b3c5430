"""Thousands of damaged inputs at the commands: exit 0 or 2 with a message, no traceback, no hang, nothing written elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcrisk.cli.app import execute
from mcrisk.config import catalog
from mcrisk.errors import InputError
from tests.fuzz import mutate
from tests.report.synthetic import write_store
from tests.runs import fake

LIMIT = 10  # s of processor time per command: on a machine that is shared, ten seconds of the clock may be one of work
STUCK = 90  # s of the clock: what waits for something that never comes (a pipe, a lock) uses no processor time, and never ends
ALLOWED = {0, 2}
EVERY_DAY, LONG = 120, 3400  # cases per kind of input


class Hung(BaseException):
    """A command worked longer than `LIMIT`, or waited longer than `STUCK`."""


@contextlib.contextmanager
def at_most(work: float, clock: float):
    """Raises `Hung` after `work` seconds of processor time of this process, or `clock` seconds whatever it does."""

    def ring(*_):
        raise Hung

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, work), signal.SIGALRM: (signal.ITIMER_REAL, clock)}
    before = {number: signal.signal(number, ring) for number in timers}
    try:
        for timer, seconds in timers.values():
            signal.setitimer(timer, seconds)
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """An empty working directory, with computing replaced by an end right before it."""

    def stop(*_, **__):
        raise InputError("the input was readable", None, None, "nothing is computed here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCRISK_DEBUG", raising=False)
    monkeypatch.setattr("mcrisk.runs.run", lambda *_, **__: SimpleNamespace(missed_targets=[]))
    monkeypatch.setattr("mcrisk.replay.api.record", stop)
    return tmp_path


def attempt(*arguments: str, allowed: set[int] = ALLOWED) -> str | None:
    """What is wrong with how a command took its input; None if nothing."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with at_most(LIMIT, STUCK), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = execute(list(arguments))
    except Hung:
        return f"hangs: {arguments}"
    said = out.getvalue() + err.getvalue()
    if "Traceback" in said or code not in allowed:
        return f"{str(arguments)[:200]} → {code}: {said[-400:]}"
    if code == 2 and "error" not in err.getvalue().lower():
        return f"{arguments} → 2 without a message: {said[-300:]}"
    return None if "\x1b" not in said else f"{arguments}: control characters reach the terminal"


def test_the_limits_ring():
    """Work and waiting are both ended: otherwise the tests below could not fail."""
    with pytest.raises(Hung), at_most(0.05, 60.0):
        while True:
            pass
    with pytest.raises(Hung), at_most(60.0, 0.05):
        signal.pause()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def configs(folder: Path, number: int) -> str | None:
    dice = random.Random(f"config {number}")
    if dice.random() < 0.6:
        source, command = mutate.RUN, ["validate", "x.yaml"] if dice.random() < 0.5 else ["run", "x.yaml", "-q"]
    else:
        kind = dice.choice(("venues", "scenarios", "prices", "liquidity", "grids", "books"))
        source = catalog.find(kind, dice.choice(catalog.names(kind))).read_text()
        command = ["validate", "x.yaml", "--kind", kind]
    (folder / "x.yaml").write_bytes(mutate.text(source, dice))
    if dice.random() < 0.3:
        key = dice.choice(("seed", "paths", "book.accounts", "venues.0.fund", "a..b", ""))
        command += ["--set", f"{key}={dice.choice(mutate.NASTY)}"]
    return attempt(*command) or (f"{number}: wrote {left(folder)}" if left(folder) != {"x.yaml"} else None)


def replays(folder: Path, number: int) -> str | None:
    dice = random.Random(f"replay {number}")
    which = dice.choice(("prices", "book", "both"))
    prices, book = mutate.PRICES.encode(), mutate.BOOK.encode()
    (folder / "p.csv").write_bytes(mutate.text(mutate.PRICES, dice) if which != "book" else prices)
    (folder / "a.csv").write_bytes(mutate.text(mutate.BOOK, dice) if which != "prices" else book)
    venue = dice.choice(catalog.names("venues")) if dice.random() < 0.9 else dice.choice(mutate.NASTY)
    problem = attempt("replay", "--venue", venue, "--prices", "p.csv", "--accounts", "a.csv", "--out", "o")
    return problem or (f"{number}: wrote {left(folder)}" if left(folder) - {"p.csv", "a.csv", "o"} else None)


def stores(folder: Path, number: int, sound: tuple[Path, Path]) -> str | None:
    dice = random.Random(f"store {number}")
    report = ["report", "--format", "json", "--out", "o"]
    command = dice.choice((["show"], ["show"], report, ["check"], ["check"], ["list", "."]))
    done = mutate.store(sound[command[0] == "check"], folder / "x.zarr", dice)
    arguments = [command[0], "x.zarr", *command[1:]] if command[0] != "list" else command
    problem = attempt(*arguments, allowed=ALLOWED | ({1} if command[0] == "check" else set()))
    strays = left(folder) - {"x.zarr", "o"}
    shutil.rmtree(folder / "o", ignore_errors=True)
    return f"{number}, {done}: {problem or strays}" if problem or strays else None


def outputs(number: int) -> str | None:
    """Names from outside as places to write and to read."""
    dice = random.Random(f"output {number}")
    name = dice.choice([n for n in mutate.NASTY if "/x" not in n and "~" not in n]) + dice.choice(("", ".zarr", "/../.."))
    command = dice.choice((["run", "quickstart", "-q", "--out"], ["show"], ["check"], ["report"], ["validate"], ["run"]))
    return attempt(*command, name)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> tuple[Path, Path]:
    """A store for reports, and one for `check`."""
    folder = tmp_path_factory.mktemp("sound")
    small = {"venues": ("kraken-preipo", "okx-premarket-perp"), "scenarios": ("baseline", "combined")}
    fake.run_here(fake.Config(paths=32, scenarios=fake.Config.scenarios[:1]), folder / "fake.zarr")
    return write_store(folder / "run.zarr", paths=32, accounts=4, **small), folder / "fake.zarr"


def problems(desk: Path, sound: tuple[Path, Path], kind: str, count: int) -> list[str]:
    attack = {
        "configs": lambda n: configs(desk, n), "replays": lambda n: replays(desk, n),
        "stores": lambda n: stores(desk, n, sound), "outputs": outputs,
    }[kind]  # fmt: skip
    return [problem for number in range(count) if (problem := attack(number))]


@pytest.mark.parametrize("kind", ["configs", "replays", "stores", "outputs"])
def test_damaged_inputs_end_in_a_message(desk, sound, kind):
    found = problems(desk, sound, kind, EVERY_DAY if kind != "stores" else EVERY_DAY // 4)
    assert not found, "\n\n".join(found[:5])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["configs", "replays", "stores"])
def test_ten_thousand_damaged_inputs(desk, sound, kind):
    found = problems(desk, sound, kind, LONG)
    assert not found, "\n\n".join(found[:5])


@pytest.mark.slow
def test_a_hundred_processes(tmp_path):
    """The same through the real command, its working directory watched."""
    for number in range(100):
        dice = random.Random(f"process {number}")
        (tmp_path / "x.yaml").write_bytes(mutate.text(mutate.RUN, dice))
        command = [sys.executable, "-m", "mcrisk", "validate", "x.yaml"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert done.returncode in ALLOWED and b"Traceback" not in done.stderr, done.stderr[-600:]
        assert left(tmp_path) == {"x.yaml"}
