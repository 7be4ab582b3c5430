"""Reading of compiler logs and machine code in benchmarks/kernel_stats.py, and the compilation itself where NVRTC is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_file = Path(__file__).parents[2] / "benchmarks" / "kernel_stats.py"
_spec = importlib.util.spec_from_file_location("kernel_stats", _file)
stats = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stats)

LOG = """ptxas info    : Compiling entry function 'mcrisk_run' for 'sm_90'
ptxas info    : Function properties for mcrisk_run
    6184 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 6184 bytes cumulative stack size
ptxas info    : Function properties for _ZN39_INTERNAL_00000000_9_mcrisk_cu_0d2b9e1911part_2_stepEP5frame
    0 bytes stack frame, 1552 bytes spill stores, 2096 bytes spill loads
"""
LISTING = """
mcrisk_run:
.text.mcrisk_run:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   CALL.REL.NOINC `($mcrisk_run$_ZN4_00000_98one_pathEP5frame) ;
        /*0020*/                   EXIT ;
$mcrisk_run$_ZN4_00000_911part_2_stepEP5frame:
        /*0030*/              @!P0 DADD R2, R2, R4 ;
        /*0040*/                   RET.REL.NODEC R20 `(mcrisk_run) ;
$mcrisk_run$_ZN4_00000_98one_pathEP5frame:
.L_x_1:
        /*0050*/                   LDG.E R2, [R4] ;
        /*0060*/                   DADD R2, R2, R4 ;
        /*0070*/                   DMUL R2, R2, R4 ;
        /*0080*/               @P0 BRA `(.L_x_1) ;
.L_x_2:
        /*0090*/                   CALL.REL.NOINC `($mcrisk_run$_ZN4_00000_911part_2_stepEP5frame) ;
        /*00a0*/                   NOP ;
        /*00b0*/               @P0 BRA `(.L_x_2) ;
        /*00c0*/                   RET.REL.NODEC R20 `(mcrisk_run) ;
"""


def test_registers_and_spills_are_read_from_the_log():
    got = stats.resources(LOG)
    assert got["mcrisk_run"] == {"stack": 6184, "spill_stores": 0, "spill_loads": 0, "registers": 255, "cumulative_stack": 6184}
    assert got["part_2_step"]["spill_loads"] == 2096


def test_instructions_of_a_row_are_counted():
    code = stats.machine_code(LISTING)
    assert {name: stats.kinds(lines)["all"] for name, lines in code.items()} == {"mcrisk_run": 3, "part_2_step": 2, "one_path": 7}
    row = stats.step(code)
    assert row["loop_itself"]["all"] == 2 and row["loop_itself"]["branch or call"] == 2   # not the longer loop above it
    assert row["called_from_the_loop"] == {"part_2_step": {"all": 2, "float64": 1, "branch or call": 1}}


@pytest.mark.slow
def test_the_kernel_compiles_for_a_device_without_one():
    try:
        nvrtc = stats.Nvrtc(stats.find_nvrtc())
    except SystemExit as missing:
        pytest.skip(str(missing))
    cubin, log = nvrtc.compile(stats.kernel_text("kraken-preipo", 60), ("--gpu-architecture=sm_90", *stats.OPTIONS))
    assert cubin[:4] == b"\x7fELF" and 32 < stats.resources(log)["mcrisk_run"]["registers"] <= 255
