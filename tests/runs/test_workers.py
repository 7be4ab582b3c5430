"""How many processes a run starts: one per core, and one where they would share a device's memory."""

from __future__ import annotations

import importlib

import pytest

from mcrisk.runs import session

fake = importlib.import_module("tests.runs.fake")


class Stop(Exception):
    """Raised where processes would start."""


@pytest.mark.parametrize(("backend", "asked", "started"), [
    ("native", None, None), ("cupy", None, 1), ("cupy", 3, 3), ("native", 2, 2)])
def test_one_process_plans_the_memory_of_a_device(tmp_path, monkeypatch, backend, asked, started):
    def crew(workers, scheduler, here):
        assert workers == started
        raise Stop

    monkeypatch.setattr(session, "Crew", crew)
    with pytest.raises(Stop):
        session.run_with(fake.engine(backend=backend), fake.Config(execution=fake.Execution(workers=asked)), tmp_path / "run.zarr")
