"""Wrong input: exit 2, a message that names what is wrong and what to do, nothing written."""

import errno
import os
import shutil
from collections import namedtuple

import pytest

from mcrisk.cli import checks
from mcrisk.errors import InputError

QUICK = "quickstart"
FILES = {
    "broken.yaml": b"a: [1",
    "evil.yaml": b'!!python/object/apply:os.system ["touch pwned"]',
    "empty.yaml": b"",
    "noise.yaml": bytes(range(128, 256)) * 16,
    "list.yaml": b"- 1\n- 2\n",
    "zero.yaml": b"base: quickstart\npaths: 0\n",
    "word.yaml": b"base: quickstart\npaths: many\n",
    "typo.yaml": b"base: quickstart\nscenaros: [baseline]\n",
    "unknown.yaml": b"base: quickstart\nvenues: [kraken-preip]\n",
    "unit.yaml": b"base: quickstart\ngrid: {base: default, horizon: 30 fortnights}\n",
    "nan.yaml": b"base: quickstart\nmarkets: [{name: a, initial_price: .nan}]\n",
    "negative.yaml": b"base: quickstart\nmarkets: [{name: a, open_interest_multiple: -1}]\n",
    "tiers.yaml": b"base: quickstart\nvenues: [{base: kraken-preipo, pre: {margin: {tiers: "
    b"[{up_to: 9, initial: 0.2, maintenance: 0.1}, {up_to: 5, initial: 0.2, maintenance: 0.1}]}}}]\n",
    "sums.yaml": b"base: quickstart\nscenarios: [{base: combined, branches: {near: {orderly: 0.9}}}]\n",
}
SAYS = {
    "broken.yaml": "not valid YAML", "evil.yaml": "tag", "empty.yaml": "empty", "noise.yaml": "UTF-8",
    "list.yaml": "mapping", "zero.yaml": "'paths' is 0", "word.yaml": "'paths' is 'many'",
    "typo.yaml": "did you mean 'scenarios'", "unknown.yaml": "did you mean 'kraken-preipo'", "unit.yaml": "no duration",
    "nan.yaml": "finite", "negative.yaml": "greater than 0", "tiers.yaml": "increasing up_to", "sums.yaml": "not 1",
}  # fmt: skip


def left_behind(folder):
    return {file for file in os.listdir(folder) if file not in FILES}


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file(mcrisk, tmp_path, command, name):
    (tmp_path / name).write_bytes(FILES[name])
    got = mcrisk(command, name)
    assert got.code == 2
    assert SAYS[name] in got.err and name in got.err and "do:" in got.err
    assert not left_behind(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.yaml"], "none.yaml"),
        (["quickstrt"], "did you mean 'quickstart'"),
        ([QUICK, "--paths", "0"], "'paths' is 0"),
        ([QUICK, "--paths", "-5"], "--paths -5"),
        ([QUICK, "--paths", "many"], "--paths"),
        ([QUICK, "--set", "no.such.key=1"], "no.such.key"),
        ([QUICK, "--set", "seed"], "KEY=VALUE"),
        ([QUICK, "--backend", "warp"], "'warp'"),
        ([QUICK, "--workers", "0"], "--workers 0"),
        ([QUICK, "--out", "/proc/no/x.zarr"], "/proc/no/x.zarr"),
        ([QUICK, "--out", "/dev/null/x.zarr"], "/dev/null/x.zarr"),
        ([QUICK, "--set", "book.file=none.csv"], "none.csv"),
        ([QUICK, "--set", "variance_reduction.control_variate={}"], "1000 accounts cannot stand for the 1000"),
        ([QUICK, "--set", "variance_reduction.control_variate={accounts: 100, ratio: 1}"], "control_variate.ratio"),
    ],
)
def test_a_wrong_run(mcrisk, tmp_path, arguments, says):
    got = mcrisk("run", *arguments)
    assert got.code == 2 and says in got.err
    assert not left_behind(tmp_path)


@pytest.mark.skipif(bool(shutil.which("nvidia-smi")), reason="a GPU may be here")
def test_a_gpu_that_is_absent(mcrisk, tmp_path):
    got = mcrisk("run", QUICK, "--backend", "cupy", "--out", "x.zarr")
    assert got.code == 2 and "cupy" in got.err.lower() and "--backend auto" in got.err
    assert not left_behind(tmp_path)


def test_a_folder_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="cannot be written") as caught:
        checks.writable(tmp_path / "sub" / "x.zarr")
    assert "no permission" in caught.value.why and not (tmp_path / "sub").exists()


def test_a_store_in_the_place_of_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        checks.writable(tmp_path / "file" / "x.zarr")


def test_a_disk_without_room(tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10**6))
    with pytest.raises(InputError, match="no room") as caught:
        checks.enough_space(tmp_path / "a" / "x.zarr", cells=56, paths=10**6)
    assert "GiB" in caught.value.why
    checks.enough_space(tmp_path / "x.zarr", cells=1, paths=10)


def test_a_disk_that_fills_up_on_the_way(mcrisk, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "x.zarr")

    monkeypatch.setattr("mcrisk.cli.checks.writable", full)
    got = mcrisk("run", QUICK, "--out", "x.zarr")
    assert got.code == 2 and "disk is full" in got.err and "run the same command again" in got.err


@pytest.mark.parametrize("command", ["report", "show", "check"])
def test_results_that_are_not_there(mcrisk, tmp_path, command):
    got = mcrisk(command, "none.zarr")
    assert got.code == 2 and "none.zarr" in got.err
    (tmp_path / "odd.zarr").mkdir()
    for content in (None, "not json", "[]", '{"node_type": "array", "attributes": {}}', "{}"):
        if content is not None:
            (tmp_path / "odd.zarr" / "zarr.json").write_text(content)
        got = mcrisk(command, "odd.zarr")
        assert got.code == 2 and "no results store" in got.err
    assert left_behind(tmp_path) == {"odd.zarr"}


def test_an_unknown_report_format_is_refused_first(mcrisk):
    got = mcrisk("report", "none.zarr", "--format", "htm")
    assert got.code == 2 and "did you mean 'html'" in got.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frobnicate"], "frobnicate"),
        (["run"], "CONFIG"),
        (["run", QUICK, "--frob"], "--frob"),
        (["schema", "venus"], "did you mean 'venues'"),
        (["validate", QUICK, "--kind", "zoo"], "zoo"),
        (["venues", "show", "kraken-preip"], "did you mean 'kraken-preipo'"),
        (
            ["replay", "--venue", "kraken-preip", "--prices", "p.csv", "--accounts", "a.csv", "--out", "o"],
            "kraken-preipo",
        ),
        (["replay", "--venue", "kraken-preipo", "--prices", "p.csv", "--accounts", "a.csv", "--out", "o"], "p.csv"),
        (["warmup", "none.yaml"], "none.yaml"),
    ],
)
def test_wrong_commands(mcrisk, tmp_path, arguments, says):
    got = mcrisk(*arguments)
    assert got.code == 2 and says in got.text
    assert not left_behind(tmp_path)


def test_a_name_cannot_move_the_cursor(mcrisk):
    got = mcrisk("validate", "evil\x1b[2Jname")
    assert got.code == 2 and "\x1b" not in got.text and "\\x1b" in got.text
