"""How many processes a run starts: one per core, one where they would share a device's memory, one per device with dask-cuda."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest
from distributed import LocalCluster
from distributed.comm.core import CommClosedError

from mcrisk.errors import RunFailed
from mcrisk.runs import dispatch, execute, open_run, session
from mcrisk.runs.progress import Silent

fake = importlib.import_module("tests.runs.fake")


class Stop(Exception):
    """Raised where processes would start."""


@pytest.mark.parametrize(("backend", "asked", "started"), [
    ("native", None, None), ("cupy", None, 1), ("cupy", 3, 3), ("native", 2, 2)])
def test_one_process_plans_the_memory_of_a_device(tmp_path, monkeypatch, backend, asked, started):
    def crew(workers, scheduler, here, devices):
        assert workers == started and devices == (backend == "cupy" and asked is None)
        raise Stop

    monkeypatch.setattr(session, "Crew", crew)
    with pytest.raises(Stop):
        session.run_with(fake.engine(backend=backend), fake.Config(execution=fake.Execution(workers=asked)), tmp_path / "run.zarr")


@pytest.fixture
def two_devices(monkeypatch):
    """dask-cuda on a machine with two GPUs, without either: its cluster counts the workers itself. Yields what it was told."""
    told = {}

    def cluster(threads_per_worker, **options):  # the names that LocalCUDACluster hands on to LocalCluster
        told.update(options, threads=threads_per_worker)
        assert not {"n_workers", "processes"} & set(options)  # it sets them itself, and says so with a TypeError
        return LocalCluster(n_workers=2, processes=True, threads_per_worker=threads_per_worker, **options)

    monkeypatch.setitem(sys.modules, "dask_cuda", SimpleNamespace(LocalCUDACluster=cluster))
    return told


def test_a_run_on_devices_has_one_worker_each(tmp_path, two_devices):
    config = fake.Config(execution=fake.Execution(workers=None))
    out = session.run_with(fake.engine(backend="cupy"), config, tmp_path / "run.zarr").path
    assert open_run(out).manifest["sessions"][0]["workers"] == 2
    assert two_devices["host"] == "127.0.0.1" and two_devices["threads"] == 1


def test_devices_are_left_to_an_existing_cluster_and_to_those_who_ask(two_devices, monkeypatch):
    assert execute.Crew(None, None, devices=True).cuda is not None
    assert execute.Crew(None, "tcp://127.0.0.1:1", devices=True).cuda is None
    assert execute.Crew(2, None, devices=False).cuda is None
    monkeypatch.setitem(sys.modules, "dask_cuda", None)  # not installed
    assert execute.Crew(1, None, devices=True).cuda is None


class Answerless:
    """A client whose scheduler dies at a given call."""

    def __init__(self, dies_at: str) -> None:
        self.dies_at = dies_at

    def nthreads(self):
        return {"tcp://w": 1}

    def submit(self, *_, key, **__):
        self._die("submit")
        status = "error" if self.dies_at == "exception" else "finished"
        named = {name: lambda timeout, name=name: self._die(name) for name in ("result", "exception")}
        return SimpleNamespace(key=key, status=status, add_done_callback=lambda f: f(self.future), **named)

    @property
    def future(self):
        return SimpleNamespace(key="mcrisk-00000000-1")

    def _die(self, where: str) -> None:
        if where == self.dies_at:
            raise CommClosedError("in <TCP (closed)>: connection reset by peer")


@pytest.mark.parametrize("where", ["submit", "result", "exception"])
def test_a_scheduler_that_dies_at_any_call_ends_the_run_with_a_reason(where):
    block = next(fake.plan().blocks())
    with pytest.raises(RunFailed, match="the cluster went away"):
        dispatch.Dispatcher(Answerless(where), "0" * 8, [block], Silent()).run(lambda receipt: None)
