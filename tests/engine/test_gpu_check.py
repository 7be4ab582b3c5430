"""benchmarks/gpu_check.py with the host in place of the device: export, parity, a failure that is seen, the report."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from mcrisk.engine.cuda import device, onhost
from mcrisk.engine.native import compile as compiler

_file = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"
_spec = importlib.util.spec_from_file_location("gpu_check", _file)
gpu_check = importlib.util.module_from_spec(_spec)

pytestmark = [
    pytest.mark.skipif(compiler.find_compiler() is None or onhost.find_compiler() is None, reason="no C or no C++ compiler"),
    pytest.mark.slow,  # a minute of tracing; the program itself is compared in test_cuda_onhost.py in every run
]


@pytest.fixture(scope="module", autouse=True)
def loaded():
    import sys

    sys.modules["gpu_check"] = gpu_check   # dataclasses look their module up
    _spec.loader.exec_module(gpu_check)
    yield
    del sys.modules["gpu_check"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    file = tmp_path_factory.mktemp("cases") / "cases.npz"
    assert gpu_check.main(["--export", str(file), "--cases", "kraken-preipo:60:6"]) == 0
    return file


def test_the_check_passes_and_is_reported(cases, tmp_path):
    out = tmp_path / "report.json"
    assert gpu_check.main([str(cases), "--on-host", "--bench-paths", "4", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    (parity,), (speed,) = found["parity"], found["benchmarks"]
    assert found["ok"] and parity["equal_bits"] == 1.0 and parity["independent_of_launch"] and parity["paths"] == 6
    assert speed["paths"] == 4 and speed["ns_per_path_step"] > 0 and speed["launch"]["blocks"] == 1
    assert "stands in" in found["hardware"]["device"]


@pytest.mark.parametrize("what", ["count", "money"])
def test_a_wrong_result_fails(cases, tmp_path, what):
    (case,) = gpu_check.load(cases)
    kind = gpu_check.is_count if what == "count" else gpu_check.is_money
    k = next(k for k, spec in enumerate(case.source.outs) if kind(spec) and "tally" in spec.name)
    case.expected[k] = case.expected[k] + np.asarray(1 if what == "count" else 1e6, case.expected[k].dtype)
    gpu_check.save([case], tmp_path / "wrong.npz")
    assert gpu_check.main([str(tmp_path / "wrong.npz"), "--on-host", "--only-parity"]) == 1


def test_without_a_device_the_missing_piece_is_named(cases, monkeypatch, capsys):
    device.missing.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    assert gpu_check.main([str(cases)]) == 2
    assert "CuPy is not installed" in capsys.readouterr().err
    device.missing.cache_clear()
