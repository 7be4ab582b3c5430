"""Stores by URL: the same bits as in a folder, against a real S3 API (moto's server on loopback) and fsspec's memory."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest

from mcrisk.cli.app import execute
from mcrisk.errors import InputError
from mcrisk.runs import check, lease, open_run
from mcrisk.runs.place import place_of
from mcrisk.runs.session import run_with
from mcrisk.runs.store import RunStore
from tests.runs.test_faults import ROOT, content, start, until

fake = importlib.import_module("tests.runs.fake")
pytest.importorskip("s3fs")
pytest.importorskip("flask")  # moto's server
SMALL = {"scenarios": fake.Config.scenarios[:1]}  # moto answers about 150 requests a second


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """URL of an empty bucket of a server of our own; its address and invented keys stand in the environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder, address = tmp_path_factory.mktemp("moto"), f"http://127.0.0.1:{port}"
    settings = {
        "FSSPEC_S3_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, open(folder / "log", "w") as log:
        for name, value in settings.items():
            patch.setenv(name, value)
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            import fsspec

            fsspec.config.conf.setdefault("s3", {})["endpoint_url"] = address
            place = fsspec.filesystem("s3", skip_instance_cache=True)
            for _ in range(200):
                try:
                    place.mkdir("bucket")
                    break
                except Exception:  # noqa: BLE001 - not up yet
                    time.sleep(0.1)
            yield "s3://bucket"
        finally:
            fsspec.config.conf.pop("s3", None)
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("calm") / "one.zarr"
    fake.run_here(fake.Config(**SMALL), out)
    return content(out)


@pytest.fixture
def memory():
    return f"memory://{uuid.uuid4().hex}/run.zarr"


def run(out, paths=96):
    return run_with(fake.engine(), fake.Config(paths, execution=fake.Execution(workers=1), **SMALL), out)


def test_memory_and_file_urls_hold_the_same_bits(undisturbed, memory, tmp_path):
    assert run(memory).complete and content(memory) == undisturbed
    fake.run_here(fake.Config(**SMALL), f"file://{tmp_path}/a b.zarr".replace(" ", "%20"))
    assert content(tmp_path / "a b.zarr") == undisturbed


def test_a_run_on_s3_is_begun_anew_extended_checked_and_repaired(undisturbed, s3, capsys):
    out = f"{s3}/life/run.zarr"
    place = place_of(out)
    place.write(".building", b"")
    place.write("paths/zarr.json", b"what a killed client left of its layout")
    fake.run_here(fake.Config(32, **SMALL), out)
    fake.run_here(fake.Config(**SMALL), out)
    assert content(out) == undisturbed and place.read(lease.NAME) is None
    assert execute(["check", out]) == 0 and "sound" in capsys.readouterr().out
    victim = "paths/fund_minimum/c/1/0/0"
    flipped = bytearray(place.read(victim))
    flipped[len(flipped) // 2] ^= 1
    place.write(victim, bytes(flipped))
    place.remove("paths/depleted/c/0/0/1")
    reasons = sorted(damage.reason for damage in check(out))
    assert len(reasons) == 2 and "missing" in reasons[0] and not open_run(out).complete
    with RunStore.existing(out) as store:
        assert len(store.pending()) == 2


def test_kill_9_on_s3_then_the_same_command(undisturbed, s3):
    out = f"{s3}/killed/run.zarr"
    process = start(out, workers=1, delay=0.5)
    done = place_of(out)
    until(lambda: any("/done/c/" in name for name in done._find()), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert done.read(lease.NAME) is not None  # nobody gave it back; its holder is known to be dead
    assert not open_run(out).complete
    assert run(out).complete and content(out) == undisturbed


def test_what_is_not_ours_is_left_alone(s3):
    place = place_of(f"{s3}/foreign")
    place.write("letter.txt", b"dear")
    with pytest.raises(InputError, match="not an mcrisk run"):
        run(place.text)
    assert place.read("letter.txt") == b"dear"


def test_a_living_holder_is_respected_and_a_dead_one_succeeded(memory, monkeypatch):
    monkeypatch.setattr(lease, "RENEW", 0.05)
    monkeypatch.setattr(lease, "PATIENCE", 1.0)
    fake.run_here(fake.Config(**SMALL), memory)
    place = place_of(memory)
    with RunStore.existing(memory), pytest.raises(InputError, match="another mcrisk run") as caught:
        place.lock()
    assert str(os.getpid()) in caught.value.why
    note = {"owner": "x", "pid": 1, "host": "elsewhere"}
    for left in (json.dumps(note).encode(), b"\xff not json", b"[]"):
        place.write(lease.NAME, left)
        RunStore.existing(memory).close()
        assert place.read(lease.NAME) is None


def test_urls_that_cannot_hold_a_store_are_refused(s3):
    for url in ("http://x/y.zarr", "simplecache::s3://bucket/x", "github://a:b@/x", "s3://", "nonsense://x"):
        with pytest.raises(InputError):
            place_of(url)
    with pytest.raises(InputError, match="cannot be"):
        run("s3://no-such-bucket/run.zarr")


def test_a_server_that_is_down_is_an_input_error(memory):
    assert np.isnan(open_run(run(memory).path).paths["first_liquidation_time"].values).any()
    command = [sys.executable, "-c", "from mcrisk.runs.place import place_of; place_of('s3://bucket/x').is_free()"]
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "FSSPEC_S3_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "InputError: the store cannot be reached" in done.stderr
