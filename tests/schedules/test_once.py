"""Each slot exactly once: catch-up, no overlap, limits, pruning, failures, a real kill."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mcrisk.errors import InputError, Interrupted
from mcrisk.schedules.once import one_slot
from mcrisk.schedules.state import Folder
from mcrisk.schedules.work import Judgement


def statuses(setting):
    return [(r.slot[6:11], r.status) for r in Folder(setting.folder).records()]


def test_a_slot_is_done_once_however_often_somebody_asks(setting):
    assert setting.once().exit_code == 0
    for _ in range(3):
        setting.clock.forward(minutes=10)
        assert setting.once().done == []
    setting.clock.forward(days=1)
    setting.once()
    assert setting.engine.computed == ["20261120T053000Z", "20261121T053000Z"]
    assert setting.engine.previous == ["", "20261120T053000Z"]


def test_nothing_is_due_before_the_first_slot(setting):
    setting.clock.forward(hours=-3)
    assert setting.once().done == []


def test_a_first_slot_that_was_missed_counts_from_when_the_schedule_was_first_asked(setting):
    setting.clock.forward(hours=6)
    assert setting.once().done == []
    setting.clock.forward(days=1)
    assert [r.slot for r in setting.once().done] == ["20261121T053000Z"]


@pytest.mark.parametrize(
    "policy, computed",
    [("latest", ["23T05"]), ("all", ["21T05", "22T05", "23T05"]), ("none", [])],
)
def test_catching_up_by_policy(setting, policy, computed):
    setting.options["catch_up"] = policy
    setting.once()
    setting.clock.forward(days=3, hours=5)
    setting.once()
    done = [slot for slot, status in statuses(setting) if status == "done"]
    assert done == ["20T05", *computed] and len(statuses(setting)) == 4


def test_two_processes_never_work_at_the_same_time(setting):
    with Folder(setting.folder).locked() as mine:
        assert mine
        outcome = setting.once()
        assert outcome.busy and outcome.exit_code == 0
    assert setting.once().done


def test_breach_and_move_end_in_code_three_and_failure_in_one(setting):
    setting.engine.verdict = Judgement(["kraken: P(fund gone)"], [], "", {})
    assert setting.once().exit_code == 3
    setting.clock.forward(days=1)
    setting.engine.verdict = Judgement([], ["kraken: P(ADL) up"], "", {})
    assert setting.once().exit_code == 3
    setting.clock.forward(days=1)
    setting.engine.problem = lambda: (_ for _ in ()).throw(InputError("no such venue"))
    outcome = setting.once()
    assert outcome.exit_code == 1 and outcome.done[0].error == "no such venue"
    setting.clock.forward(minutes=1)
    assert setting.once().done == []


def test_a_defect_in_the_engine_is_a_failed_slot_not_a_crash(setting):
    setting.engine.problem = lambda: 1 / 0
    assert "ZeroDivisionError" in setting.once().done[0].error


def test_a_stopped_slot_goes_on_and_is_not_held_against_it(setting):
    setting.engine.problem = lambda: (_ for _ in ()).throw(Interrupted("stopped"))
    for _ in range(5):
        with pytest.raises(Interrupted):
            setting.once()
    setting.engine.problem = lambda: None
    assert setting.once().done[0].status == "done"


def test_pruning_keeps_the_newest_and_the_history(setting):
    setting.options["keep"] = {"runs": 2}
    for _ in range(4):
        setting.once()
        setting.clock.forward(days=1)
    stores = sorted(p.name for p in setting.folder.glob("*.zarr"))
    assert stores == ["20261122T053000Z.zarr", "20261123T053000Z.zarr"]
    assert not (setting.folder / "20261120T053000Z").exists() and not list(setting.folder.glob(".removed*"))
    assert [r.pruned for r in Folder(setting.folder).records()] == [True, True, False, False]


def test_pruning_by_age_always_leaves_two(setting):
    setting.options["keep"] = {"days": 0.5}
    for _ in range(3):
        setting.once()
        setting.clock.forward(days=1)
    assert len(list(setting.folder.glob("*.zarr"))) == 2


def test_pruning_touches_nothing_that_is_not_a_slot(setting):
    setting.options["keep"] = {"runs": 2}
    (setting.folder / "mine.zarr").mkdir(parents=True)
    (setting.folder / "slots").mkdir()
    (setting.folder / "slots" / "evil.json").write_text(json.dumps({"slot": "../../etc", "status": "done"}))
    for _ in range(4):
        setting.once()
        setting.clock.forward(days=1)
    assert (setting.folder / "mine.zarr").is_dir()


def test_a_single_slot_can_be_asked_for(setting):
    moment = setting.clock.now.replace(second=0)
    work = setting.engine.work()
    one_slot(setting.schedule, moment, setting.clock, work)
    one_slot(setting.schedule, moment, setting.clock, work)
    assert len(setting.engine.computed) == 1
    one_slot(setting.schedule, moment, setting.clock, work, again=True)
    assert len(setting.engine.computed) == 2
    with pytest.raises(InputError, match="no slot"):
        one_slot(setting.schedule, moment.replace(minute=29), setting.clock, work)
    with pytest.raises(InputError, match="future"):
        one_slot(setting.schedule, moment.replace(year=2030), setting.clock, work)


KILLED = """
    import sys, time
    from pathlib import Path
    from mcrisk.schedules.work import Judgement, Work
    from tests.schedules.conftest import Setting
    setting = Setting(Path(sys.argv[1]), options={"tell": [{"kind": "file", "path": sys.argv[2], "on": ["done"]}]})
    def compute(schedule, store):
        store.mkdir()
        (store / "half").write_text("done before the kill")
        print("working", flush=True)
        time.sleep(60)
    setting.engine._compute = compute
    setting.once()
"""


def test_a_kill_in_mid_slot_loses_nothing_and_repeats_nothing(setting, tmp_path):
    told = tmp_path / "told.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), setting.folder, told],
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert process.stdout.readline().strip() == b"working"
    assert setting.once().busy
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    assert statuses(setting) == [("20T05", "started")] and not told.exists()

    setting.options["tell"] = [{"kind": "file", "path": str(told), "on": ["done"]}]
    seen = []

    def resume(schedule, store):
        seen.append((store / "half").read_text())

    setting.engine._compute = resume
    setting.clock.forward(hours=8)
    record = setting.once().done[0]
    assert (record.status, record.attempts, seen) == ("done", 2, ["done before the kill"])
    assert setting.once().done == []
    assert [json.loads(line)["slot"] for line in told.read_text().splitlines()] == [record.slot]


def test_a_slot_that_is_always_killed_is_given_up(setting):
    setting.options["attempts"] = 2
    for _ in range(2):
        setting.engine.problem = lambda: (_ for _ in ()).throw(SystemExit)  # dies without a word, like a kill
        with pytest.raises(SystemExit):
            setting.once()
    outcome = setting.once()
    assert outcome.exit_code == 1 and "given up" in outcome.done[0].error


def test_asking_when_nothing_is_due_loads_no_engine():
    script = (
        "import sys; from mcrisk.schedules import once; "
        "print([m for m in ('jax', 'xarray', 'zarr', 'pandas') if m in sys.modules])"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and time.monotonic() - started < 20
