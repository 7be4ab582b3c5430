"""Help by task, shell completion, answers as JSON, silence when asked."""

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcrisk.cli.app import TASKS, app
from tests.report.synthetic import write_store

SCRIPT = Path(sys.executable).parent / "mcrisk"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    options = {"paths": 64, "accounts": 4, "venues": ("kraken-preipo",), "scenarios": ("combined",)}
    return write_store(tmp_path_factory.mktemp("store") / "runs" / "one.zarr", **options)


def test_help_is_organised_by_task_and_no_command_is_left_over(mcrisk):
    said = mcrisk("--help").out
    places = [said.index(f"─ {task} ─") for task in TASKS]
    assert places == sorted(places) and "─ Commands ─" not in said
    panels = {c.name: c.rich_help_panel for c in app.registered_commands}
    assert set(panels.values()) <= set(TASKS)


def test_help_is_fast():
    best = 9.0
    for _ in range(3):
        started = time.process_time(), os.times().children_user + os.times().children_system
        subprocess.run([SCRIPT, "--help"], capture_output=True, check=True)
        best = min(best, os.times().children_user + os.times().children_system - started[1])
    assert best < 0.5  # processor time: the machine may be busy


@pytest.mark.parametrize(
    "words, expected",
    [("mcrisk sch", "schedule"), ("mcrisk run quick", "quickstart"), ("mcrisk schedule once ni", "nightly")],
)
def test_shells_complete_commands_and_shipped_names(words, expected):
    environment = {**os.environ, "_MCRISK_COMPLETE": "complete_bash", "COMP_WORDS": words,
                   "COMP_CWORD": str(words.count(" "))}  # fmt: skip
    done = subprocess.run([SCRIPT], capture_output=True, text=True, env=environment)
    assert expected in done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion_script(shell):
    environment = {**os.environ, "_MCRISK_COMPLETE": f"source_{shell}"}
    done = subprocess.run([SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "_MCRISK_COMPLETE" in done.stdout and "mcrisk" in done.stdout


SILENT = {"serve", "backends", "schema"}  # shows pages until stopped; prints what it was asked for and nothing else
NO_DOCUMENT = {"serve", "schedule run", "warmup", "schema"}  # nothing to answer, or JSON anyway
ONLY_AN_ANSWER = {"show", "list", "compare", "incidents", "venues", "venues show", "schedule next", "schedule history"}


def every_command(group=app, prefix=""):
    for entry in group.registered_commands:
        yield f"{prefix}{entry.name}", entry.callback
    for entry in group.registered_groups:
        if entry.typer_instance.registered_callback:
            yield f"{prefix}{entry.name}", entry.typer_instance.registered_callback.callback
        yield from every_command(entry.typer_instance, f"{prefix}{entry.name} ")


def test_json_and_quiet_are_there_wherever_they_make_sense():
    found = {name: set(inspect.signature(call).parameters) for name, call in every_command()}
    assert {"run", "report", "explain", "replay", "check", "schedule once", "venues show"} <= set(found)
    assert {n for n, has in found.items() if "as_json" not in has} <= NO_DOCUMENT
    assert {n for n, has in found.items() if "quiet" not in has} <= SILENT | ONLY_AN_ANSWER


def test_documents_of_commands_that_need_no_run(mcrisk, tmp_path):
    documents = {words: json.loads(mcrisk(*words.split(), "--json").out) for words in (
        "incidents", "venues", "venues show kraken-preipo", "validate quickstart", "schedule next nightly",
        "schedule install nightly --cron",
    )}  # fmt: skip
    assert documents["venues show kraken-preipo"]["name"] == "kraken-preipo"
    assert documents["validate quickstart"]["kind"] == "runs" and len(documents["schedule next nightly"]) == 5
    assert {v["name"] for v in documents["venues"]} >= {"kraken-preipo", "tradexyz-ipop"}
    assert mcrisk("validate", "quickstart", "--quiet").text == ""


def test_verbose_may_stand_anywhere(mcrisk, monkeypatch):
    seen = []
    monkeypatch.setattr("mcrisk.cli.app.logging.basicConfig", lambda **_: seen.append(os.environ.get("MCRISK_DEBUG")))
    for words in (("-v", "validate", "quickstart"), ("validate", "quickstart", "--verbose")):
        assert mcrisk(*words).code == 0
        os.environ.pop("MCRISK_DEBUG", None)  # not by monkeypatch, which would put it back
    assert seen == ["1", "1"]
    assert mcrisk("validate", "--", "-v").code == 2 and "MCRISK_DEBUG" not in os.environ  # after the dashes it is a name


def test_answers_as_json(mcrisk, store, tmp_path):
    shown = json.loads(mcrisk("show", store, "--json").out)
    assert shown["run"]["venues"] == ["kraken-preipo"] and shown["limits"]["rows"]
    listed = json.loads(mcrisk("list", store.parent, "--json").out)
    assert listed["results"][0]["name"] == "quickstart" and "nightly" in listed["configurations"]["schedules"]
    assert "jax" in json.loads(mcrisk("backends", "--json").out)
    files = json.loads(mcrisk("report", store, "--out", tmp_path / "r", "--format", "md,csv", "--json").out)
    assert all(Path(file).is_file() for file in files)


def test_a_venue_without_a_fund_is_not_said_to_lose_one(mcrisk, tmp_path):
    write_store(tmp_path / "two.zarr", paths=64, accounts=4, venues=("tradexyz-ipop",), scenarios=("combined",))
    said = mcrisk("show", tmp_path / "two.zarr").out
    assert "* no fund: P(first loss)" in said and "%*" in said
    assert "first loss" in said[said.index("Limits"):]


def test_quiet_is_silent(mcrisk, store, tmp_path):
    said = mcrisk("report", store, "--out", tmp_path / "r", "--format", "md", "--quiet")
    assert said.code == 0 and said.text == ""


def test_report_refuses_a_missing_previous_run(mcrisk, store, tmp_path):
    said = mcrisk("report", store, "--previous", tmp_path / "none.zarr")
    assert said.code == 2 and "no such run" in said.err


def test_a_study_says_how_far_it_is(capsys, monkeypatch):
    from mcrisk.cli import evaluations

    monkeypatch.setattr(evaluations, "EVERY", 0.0)
    heard, unknown, silent = (evaluations.Evaluations(*given) for given in ((2,), (0,), (2, True)))
    for call in (heard, heard, unknown, silent):
        call()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("simulating 2 times; the first time this compiles") and lines[1].startswith("simulating; ")
    assert lines[2].startswith("1 of 2 evaluations in ") and " s left" in lines[2]
    assert lines[3].startswith("2 of 2 evaluations in ") and " left" not in lines[3]
    assert lines[4].startswith("1 evaluation in ") and len(lines) == 5
