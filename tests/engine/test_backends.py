"""Choice of the backend, and what is said about one that cannot be used; CuPy is acted by a module of our own."""

from __future__ import annotations

import importlib.util
import logging
import sys
import types

import pytest

from mcrisk.engine import backends
from mcrisk.engine.cuda import device
from mcrisk.errors import InputError


def cupy(monkeypatch, driver=13000, devices=1, nvrtc=(13, 0), fails=None):
    """A CuPy whose runtime answers as told; `fails` is raised where devices are counted."""
    def count():
        if fails:
            raise fails
        return devices

    def version():
        if nvrtc is None:
            raise RuntimeError("libnvrtc.so.13: cannot open shared object file")
        return nvrtc

    module = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: driver, getDeviceCount=count,
        getDeviceProperties=lambda i: {"name": b"A GPU", "major": 9, "minor": 0, "multiProcessorCount": 132, "totalGlobalMem": 1})
    module.cuda = types.SimpleNamespace(runtime=runtime, nvrtc=types.SimpleNamespace(getVersion=version),
                                        Device=lambda: types.SimpleNamespace(id=0))
    module.__version__ = "14.2.0"
    monkeypatch.setitem(sys.modules, "cupy", module)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: True if name == "cupy" else found(name, *a))


@pytest.fixture(autouse=True)
def fresh():
    for cache in (device.missing, backends._tell):
        cache.cache_clear()
    yield
    device.missing.cache_clear()


MISSING = [
    ({"driver": 0}, "driver"), ({"devices": 0}, "no CUDA device was found"), ({"nvrtc": None}, "NVRTC"),
    ({"fails": RuntimeError("cudaErrorNoDevice: no CUDA-capable device\ndetails")}, "no CUDA-capable device"),
]


@pytest.mark.parametrize(("machine", "piece"), MISSING)
def test_the_missing_piece_is_named(monkeypatch, machine, piece):
    cupy(monkeypatch, **machine)
    with pytest.raises(InputError) as caught:
        backends.resolve("cupy")
    assert piece in str(caught.value) and "details" not in str(caught.value)
    assert "cupy" not in backends.available()


def test_without_cupy_it_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(InputError, match="cupy") as caught:
        backends.resolve("cupy")
    assert "CuPy is not installed" in str(caught.value)


def test_a_cupy_that_cannot_be_imported_is_named(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcuda.so.1 is missing')\n")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "libcuda.so.1" in backends.state("cupy")


def test_auto_takes_the_gpu_where_there_is_one_and_says_so(monkeypatch, caplog):
    cupy(monkeypatch)
    with caplog.at_level(logging.INFO, "mcrisk.engine"):
        assert backends.resolve("auto") == backends.resolve("cupy") == "cupy"
    assert "backend cupy" in caplog.text
    words = backends.environment("cupy")
    assert all(word in words for word in ("NVRTC 13.0", "A GPU sm_90", "--fmad=false", "14.2.0"))


def test_auto_says_why_nothing_faster_was_taken(monkeypatch, caplog):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    monkeypatch.setenv("CC", "/nowhere/cc")
    with caplog.at_level(logging.INFO, "mcrisk.engine"):
        assert backends.resolve("auto") == "jax"
        assert backends.resolve("auto") == "jax"
    assert caplog.text.count("backend jax") == 1   # once per process
    assert "CuPy is not installed" in caplog.text and "no C compiler" in caplog.text
