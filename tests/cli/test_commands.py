"""Commands that need no finished run, and how the program starts and stops."""

import json
import signal
import subprocess
import sys
import time

import pytest

import mcrisk
from mcrisk.cli import app, runs, tables
from mcrisk.config import catalog
from mcrisk.errors import LimitBreached, PrecisionNotReached, RunFailed

COMMANDS = ["run", "report", "show", "list", "check", "validate", "schema", "venues", "replay", "backends", "warmup"]


def test_help_names_every_command(mcrisk):
    got = mcrisk("--help")
    assert got.code == 0 and all(command in got.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(mcrisk, command):
    got = mcrisk(command, "--help")
    assert got.code == 0 and len(got.out) > 100


def test_import_and_help_load_no_jax():
    code = (
        "import sys, mcrisk; from mcrisk.cli.app import execute; execute(['--help']);"
        "heavy = {'jax', 'numpy', 'pandas', 'xarray', 'zarr', 'dask', 'pydantic'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_validate_says_what_it_saw(mcrisk):
    got = mcrisk("validate", catalog.root() / "quickstart.yaml")
    assert got.code == 0 and "8 venues × 7 scenarios" in got.out
    got = mcrisk("validate", "quickstart", "--set", "paths=7", "--set", "venues=[kraken-preipo]")
    assert got.code == 0 and "1 venues × 7 scenarios × 7 paths" in got.out


@pytest.mark.parametrize(
    ("reference", "kind"),
    [("kraken-preipo", "venue"), ("combined", "scenario"), ("near", "price model"), ("thin", "liquidity model"),
     ("high-leverage", "book"), ("full", "run"), ("venues/okx-preipo-perp.yaml", "venue"), ("stale", "valuation feed"),
     ("kraken-band", "calibration"), ("kraken-reverse", "reverse stress test"), ("kraken-inputs", "sensitivity test"),
     ("comparisons/kraken-okx-tradexyz.yaml", "design comparison")],
)  # fmt: skip
def test_validate_knows_every_kind_of_file(mcrisk, reference, kind):
    path = catalog.root() / reference if "/" in reference else reference
    got = mcrisk("validate", path)
    assert got.code == 0 and f"valid {kind} configuration" in got.out


@pytest.mark.parametrize("kind", [k for k in catalog.KINDS])
def test_schema_is_json(mcrisk, kind):
    got = mcrisk("schema", kind)
    assert got.code == 0 and json.loads(got.out)["type"] == "object"


def test_schema_into_a_file(mcrisk, tmp_path):
    got = mcrisk("schema", "--out", "sub/s.json")
    assert got.code == 0 and "properties" in json.loads((tmp_path / "sub" / "s.json").read_text())


def test_venues_are_listed_and_shown(mcrisk):
    got = mcrisk("venues")
    assert got.code == 0 and "kraken-preipo" in got.out and "okx-prelaunch-futures" in got.out
    got = mcrisk("venues", "show", "kraken-preipo", "--set", "fund.initial=0.0123")
    assert got.code == 0
    for part in ("index_band", "0.0123", "assumption", "Sources", "maintenance", "Auto-deleveraging"):
        assert part in got.out


@pytest.mark.parametrize("name", catalog.names("venues"))
def test_every_value_of_a_rulebook_has_a_source(mcrisk, name):
    got = mcrisk("venues", "show", name)
    assert got.code == 0
    unsourced = [line for line in got.out.split("Sources")[0].splitlines() if line.rstrip().endswith("—")]
    assert not unsourced


def test_backends_are_listed(mcrisk):
    got = mcrisk("backends")
    assert got.code == 0 and all(name in got.out for name in ("jax", "native", "cupy"))


def test_list_shows_configs_and_results(mcrisk, tmp_path):
    got = mcrisk("list")
    assert got.code == 0 and "no results" in got.out and "quickstart" in got.out and "valuation_reset" in got.out
    store = tmp_path / "runs" / "mine.zarr"
    store.mkdir(parents=True)
    facts = {"config": {"name": "mi\x1bne", "paths": 64}, "fingerprint": "abc123", "complete": True}
    (store / "zarr.json").write_text(json.dumps({"node_type": "group", "attributes": facts}))
    got = mcrisk("list")
    assert "mine.zarr" in got.out and "64 paths" in got.out and "complete" in got.out and "\x1b" not in got.out


# ------------------------------------------------------------------------------------------------ exit codes
@pytest.mark.parametrize(
    ("error", "code"),
    [(RunFailed("x"), 1), (LimitBreached("x"), 3), (PrecisionNotReached("x"), 4), (KeyboardInterrupt(), 130),
     (ZeroDivisionError("x"), 1), (MemoryError(), 1)],
)  # fmt: skip
def test_errors_become_exit_codes(mcrisk, monkeypatch, error, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("mcrisk.cli.checks.writable", fail)
    got = mcrisk("run", "quickstart")
    assert got.code == code and got.err


def test_a_defect_is_told_in_short_and_in_full_on_request(monkeypatch, capsys):
    monkeypatch.setattr("mcrisk.cli.checks.backend_state", lambda name: 1 / 0)
    assert app.execute(["backends"]) == 1
    assert "ZeroDivisionError" in (said := capsys.readouterr().err) and "Traceback" not in said
    monkeypatch.setenv("MCRISK_DEBUG", "1")
    assert app.execute(["backends"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_enforced_red_limit_ends_with_3(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "load", lambda path: object())
    monkeypatch.setattr(tables, "breaches", lambda view: ["kraken-preipo: P(fund gone)"])
    monkeypatch.setattr(tables, "print_headline", lambda view: None)
    runs._conclude(tmp_path / "x.zarr", quiet=False, enforce=False)
    with pytest.raises(LimitBreached, match="kraken-preipo: P"):
        runs._conclude(tmp_path / "x.zarr", quiet=False, enforce=True)


def test_ctrl_c_ends_with_130():
    code = (
        "import sys, time\nfrom mcrisk.cli import app, checks\n"
        "def wait(*_): print('waiting', flush=True); time.sleep(30)\n"
        "checks.writable = wait\nsys.exit(app.execute(['run', 'quickstart']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said


# ------------------------------------------------------------------------------------------------ the package itself
def test_public_names():
    assert set(mcrisk.__all__) == {"run", "open_run", "load_config", "replay", "load_venue", "explain"}
    for name in mcrisk.__all__:
        assert callable(getattr(mcrisk, name)) and getattr(mcrisk, name).__doc__
        assert name in dir(mcrisk)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mcrisk.nothing  # noqa: B018


def test_replay_is_a_function_and_a_package_whatever_is_imported_first():
    code = """if True:
        import mcrisk.replay.read
        from mcrisk import replay
        import mcrisk.replay.write as write
        import mcrisk
        assert callable(replay) and callable(mcrisk.replay)
        assert write.write_replay and mcrisk.replay.read.read_replay
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert callable(mcrisk.replay)
