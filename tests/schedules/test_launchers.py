"""Who starts slots: the long-lived process, systemd, cron, the command line."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from mcrisk.cli.app import execute
from mcrisk.config.schedule import When
from mcrisk.schedules import daemon, install


def test_the_long_lived_process_asks_at_once_and_at_every_slot_without_overlap(setting):
    setting.options["when"] = {"every": "1s"}
    calls, running, lock = [], [], threading.Lock()

    def launch(reference):
        assert lock.acquire(blocking=False), "two slots at the same time"
        running.append(reference)
        calls.append(datetime.now(UTC))
        time.sleep(0.2)
        lock.release()
        return 0

    said = []
    scheduler = daemon.start([("x.yaml", setting.schedule)], launch, said.append)
    time.sleep(2.6)
    scheduler.shutdown(wait=True)
    assert 3 <= len(calls) <= 4 and said[0].startswith("watch: nothing left to do; next ")
    assert all(call.microsecond < 500_000 for call in calls[1:])


@pytest.mark.parametrize("code, words", [(-9, "killed (signal 9); the slot is taken up again"), (3, "limit"), (7, "exit code 7")])
def test_how_a_slot_ended_is_said_in_words(setting, code, words):
    said = []
    daemon._slot("x.yaml", setting.schedule, lambda reference: code, said.append)
    assert words in said[0] and "; next " in said[0]


def test_sigterm_ends_the_long_lived_process(tmp_path):
    file = tmp_path / "far.yaml"
    schedule = {"name": "far", "run": "quickstart", "when": {"cron": "0 0 1 1 *"}, "results": str(tmp_path / "r")}
    file.write_text(yaml.safe_dump(schedule))
    process = subprocess.Popen(
        [sys.executable, "-m", "mcrisk", "schedule", "run", file], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    lines = [process.stdout.readline()]
    while "nothing left to do; next" not in lines[-1]:
        assert lines[-1] or process.poll() is None, lines
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "stopping" in rest


@pytest.mark.parametrize(
    "when, expected",
    [
        ({"cron": "30 6 * * mon-fri", "timezone": "Europe/Zurich"},
         "Mon,Tue,Wed,Thu,Fri *-*-* 06:30:00 Europe/Zurich"),
        ({"cron": "*/20 8-10 1 jan *"}, "*-01-01 08,09,10:00,20,40:00 UTC"),
        ({"every": "6h"}, "*:0/5"),
        ({"every": "10s"}, "*:*:0/10"),
    ],
)  # fmt: skip
def test_systemd_understands_the_calendar(when, expected):
    text = install.on_calendar(When(**when))
    assert text == expected
    if shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "calendar", text], check=True, capture_output=True)


def test_units_and_crontab_line_survive_odd_names(tmp_path):
    odd = tmp_path / "a b%$'c"
    odd.mkdir()
    units = install.units("x", When(every="1h"), str(odd / "s.yaml"), odd)
    assert "%%$$'c" in units["mcrisk-x.service"] and "Persistent=true" in units["mcrisk-x.timer"]
    line = install.crontab_line(When(every="1h"), str(odd / "s.yaml"), odd)
    assert "\n" not in line and "\\%" in line
    shell = line.split(" ", 5)[5].replace("\\%", "%").replace(sys.executable, "echo")
    subprocess.run(["sh", "-c", shell], check=True)
    assert str(odd / "s.yaml") in (odd / "mcrisk-schedule.log").read_text()


@pytest.mark.parametrize(
    ("when", "often"),
    [({"cron": "30 6 * * *"}, "*/5"), ({"cron": "*/2 * * * *"}, "*"), ({"cron": "0,3 * * * mon"}, "*"), ({"every": "1h"}, "*/5"),
     ({"every": "60s"}, "*")],
)  # fmt: skip
def test_the_crontab_line_asks_often_enough_for_every_slot(when, often, tmp_path):
    assert install.crontab_line(When(**when), "s.yaml", tmp_path).split(" ")[0] == often


def call(capsys, *arguments):
    code = execute(["schedule", *map(str, arguments)])
    return code, capsys.readouterr()


def test_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text("{name: s, run: quickstart, when: {cron: 0 0 1 1 *}, results: out, tell: []}")
    code, said = call(capsys, "once", "s.yaml")
    assert code == 0 and "nothing is due" in said.out
    code, said = call(capsys, "once", "s.yaml", "--json")
    assert code == 0 and '"slots": []' in said.out
    code, said = call(capsys, "next", "nightly", "--count", 2)
    assert code == 0 and said.out.count("06:30:00 Europe/Zurich") == 2
    code, said = call(capsys, "install", "s.yaml", "--out", tmp_path / "units")
    assert code == 0 and str(tmp_path / "s.yaml") in (tmp_path / "units" / "mcrisk-s.service").read_text()
    code, said = call(capsys, "history", "s.yaml")
    assert code == 0 and "no slot" in said.out
    code, said = call(capsys, "slot", "s.yaml", "--at", "yesterday")
    assert code == 2 and "no time" in said.err
    code, said = call(capsys, "run", tmp_path / "units")
    assert code == 2 and "no schedule" in said.err
