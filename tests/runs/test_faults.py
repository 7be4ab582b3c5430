"""Runs in real processes, interrupted in every way we could think of: the store ends up the same, bit for bit."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from mcrisk.errors import InputError, RunFailed
from mcrisk.runs import execute as execute_module
from mcrisk.runs import open_run
from mcrisk.runs.session import run_with

ROOT = Path(__file__).parents[2]
WORKER_FAKE = "tests.runs.fake"
sys.path.insert(0, str(ROOT))  # workers inherit the path and must find the fake by this name
fake = importlib.import_module(WORKER_FAKE)


def start(out: Path, paths: int = 96, workers: int = 2, delay: float = 0.0, trap: str = "") -> subprocess.Popen:
    """A run in a process group of its own."""
    command = [sys.executable, "-m", WORKER_FAKE, str(out), str(paths), str(workers), str(delay), trap]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    return text


def run(out: Path, paths: int = 96, workers: int = 2, trap: str = "") -> Path:
    """A run whose client is this process."""
    run_with(fake.engine(), fake.Config(paths, trap=trap, execution=fake.Execution(workers=workers)), out)
    return out


def until(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 60) -> None:
    """Wait for a condition while the process lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def done_blocks(out: Path) -> int:
    return (
        len(list((out / "blocks" / "done" / "c").rglob("[0-9]"))) - sum(1 for _ in _folders(out)) if out.exists() else 0
    )


def _folders(out: Path):
    return (p for p in (out / "blocks" / "done" / "c").rglob("[0-9]") if p.is_dir())


def content(out: Path) -> dict[str, bytes]:
    """The bytes of everything that must not depend on how the run went."""
    tree = open_run(out).tree
    groups = {g: tree[g].to_dataset().load() for g in ("paths", "accounts", "bands", "metrics")}
    return {
        f"{g}/{n}": np.ascontiguousarray(data[n].values).tobytes() for g, data in groups.items() for n in data.variables
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("calm") / "one.zarr"
    fake.run_here(fake.Config(), out)
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_bits(undisturbed, tmp_path, workers):
    out = run(tmp_path / "run.zarr", workers=workers)
    assert content(out) == content(undisturbed)
    log = open_run(out).manifest["sessions"]
    assert [(s["workers"], s["blocks"]) for s in log] == [(workers, 18)]


def test_kill_9_of_everything_then_the_same_command(undisturbed, tmp_path):
    out = tmp_path / "run.zarr"
    process = start(out, delay=0.15)
    until(lambda: done_blocks(out) >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < done_blocks(out) < 18 and not open_run(out).complete
    assert "resuming" in finish(start(out))
    assert content(out) == content(undisturbed)


def test_kill_9_of_the_client_alone_takes_its_workers_along(undisturbed, tmp_path):
    out = tmp_path / "run.zarr"
    process = start(out, delay=0.15)
    until(lambda: done_blocks(out) >= 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert content(run(out)) == content(undisturbed)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_killed_in_a_block_are_replaced(undisturbed, tmp_path, workers):
    out = run(tmp_path / "run.zarr", workers=workers, trap=str(tmp_path / f"kill-{workers}"))
    assert (tmp_path / f"sprung-{workers - 1}").exists()
    assert content(out) == content(undisturbed)


def test_ctrl_c_keeps_what_is_done_and_says_so(tmp_path):
    out = tmp_path / "run.zarr"
    process = start(out, delay=0.15)
    until(lambda: done_blocks(out) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, None) and "Interrupted" in text and "repeat the same command" in text
    assert done_blocks(out) >= 2
    assert not psutil.pid_exists(process.pid)


def test_a_second_run_on_the_same_store_is_refused(undisturbed, tmp_path):
    out = tmp_path / "run.zarr"
    first = start(out, delay=0.15)
    until(lambda: done_blocks(out) >= 1, first)
    with pytest.raises(InputError, match="another mcrisk run") as caught:
        run_with(fake.engine(), fake.Config(), out)
    assert str(first.pid) in caught.value.why
    family = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}  # nobody outside this machine can reach scheduler or workers
    finish(first)
    assert content(out) == content(undisturbed)


def test_a_longer_run_continues_a_shorter_one(undisturbed, tmp_path):
    out = run(run(tmp_path / "run.zarr", paths=40), paths=96)
    assert content(out) == content(undisturbed)
    assert open_run(out).manifest["sessions"][1]["blocks"] == 12  # the cut blocks and the new ones


def test_a_finished_run_is_not_computed_again(undisturbed):
    run_with(fake.engine(run_block=None), fake.Config(), undisturbed)
    assert open_run(undisturbed).manifest["sessions"] == []


def test_faults_of_a_block_become_messages(tmp_path):
    config = fake.Config(trap=str(tmp_path / "fault"))
    with pytest.raises(RunFailed, match="ZeroDivisionError: a bug in the engine"):
        run_with(fake.engine(), config, tmp_path / "a.zarr")
    with pytest.raises(InputError, match="no space left"):
        run_with(fake.engine(), fake.Config(trap=str(tmp_path / "full")), tmp_path / "b.zarr")


def test_check_repair_computes_just_the_damaged_blocks(undisturbed, tmp_path, monkeypatch, capsys):
    """The command itself: a flipped bit, a truncated file and a number in /bands; then once more on the sound store."""
    from mcrisk.cli.app import execute
    from mcrisk.runs import api

    out = Path(shutil.copytree(undisturbed, tmp_path / "run.zarr"))
    for name, place in {"paths/fund_minimum": "c/0/1/2", "blocks/pnl_histogram": "c/1/0/0/0/0", "bands/mark": "c/0/0/0/0"}.items():
        raw = bytearray((out / name / place).read_bytes())
        raw[len(raw) // 2] ^= 1
        (out / name / place).write_bytes(raw if name != "blocks/pnl_histogram" else raw[:7])
    monkeypatch.setattr(api, "load_config", lambda stored: fake.Config())
    monkeypatch.setattr(api, "engine_for", lambda config: fake.engine())
    copy = Path(shutil.copytree(out, tmp_path / "copy.zarr"))
    assert execute(["check", str(copy)]) == 1
    assert execute(["show", str(copy)]) != 1 and "Traceback" not in capsys.readouterr().err  # half of it is never shown
    assert execute(["check", str(out), "--repair", "--workers", "1"]) == 0
    assert "3 part(s) repaired" in capsys.readouterr().out
    assert open_run(out).manifest["sessions"][-1]["blocks"] == 2
    assert content(out) == content(undisturbed)
    assert execute(["check", str(out), "--repair"]) == 0 and "all finished blocks are sound" in capsys.readouterr().out
    assert execute(["check", str(out), "--workers", "1"]) == 2


@pytest.mark.slow
def test_a_block_that_kills_every_worker_ends_the_run_with_a_reason(tmp_path):
    config = fake.Config(trap=str(tmp_path / "kill-99"), execution=fake.Execution(workers=2))
    with pytest.raises(RunFailed, match="lost 4 workers"):
        run_with(fake.engine(), config, tmp_path / "run.zarr")


def test_an_unreachable_scheduler_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setattr(execute_module, "CONNECT", "1s")
    config = fake.Config(execution=fake.Execution(scheduler="tcp://127.0.0.1:1"))
    with pytest.raises(InputError, match="cannot be reached"):
        run_with(fake.engine(), config, tmp_path / "run.zarr")


# ---------------------------------------------------------------------- a cluster that is not ours
class Cluster:
    """A dask scheduler and two workers as separate processes on loopback."""

    def __init__(self, folder: Path) -> None:
        dask, python = Path(sys.executable).with_name("dask"), {**os.environ, "PYTHONPATH": str(ROOT)}
        options = {"cwd": folder, "env": python, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        file = folder / "scheduler.json"
        quiet = ["--no-dashboard", "--host", "127.0.0.1"]
        self.processes = [
            subprocess.Popen([dask, "scheduler", *quiet, "--port", "0", "--scheduler-file", file], **options)
        ]
        until(file.exists, self.processes[0])
        self.address = json.loads(file.read_text())["address"]
        worker = [dask, "worker", self.address, *quiet, "--nthreads", "1", "--death-timeout", "20"]
        self.processes += [subprocess.Popen(worker, **options) for _ in range(2)]

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.stop()


def test_an_existing_cluster_gives_the_same_bits_and_is_left_running(undisturbed, cluster, tmp_path):
    config = fake.Config(execution=fake.Execution(workers=None, scheduler=cluster.address))
    for name in ("a.zarr", "b.zarr"):
        run_with(fake.engine(), config, tmp_path / name)
        assert content(tmp_path / name) == content(undisturbed)
    assert all(process.poll() is None for process in cluster.processes)


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_run_with_a_reason(undisturbed, cluster, tmp_path):
    out = tmp_path / "run.zarr"
    config = fake.Config(delay=0.3, execution=fake.Execution(workers=None, scheduler=cluster.address))

    def kill_soon() -> None:
        until(lambda: done_blocks(out) >= 2, cluster.processes[0])
        cluster.processes[0].kill()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(kill_soon)
        with pytest.raises(RunFailed, match="cluster went away"):
            run_with(fake.engine(), config, out)
    assert content(run(out)) == content(undisturbed)
