"""The CUDA text, compiled for the host with a stand-in for the device, against the native backend: bit for bit."""

from __future__ import annotations

import ctypes
import re
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcrisk.engine.cuda import device, kernel, onhost
from mcrisk.engine.native import compile as compiler
from mcrisk.engine.native import run
from mcrisk.engine.native.slots import Slots, Source
from mcrisk.engine.native.source import generate
from mcrisk.engine.native.target import CUDA
from mcrisk.errors import InputError, RunFailed
from tests.engine.test_native_cells import TWO, VENUES, simulator
from tests.engine.test_native_flow import random_program

pytestmark = pytest.mark.skipif(
    compiler.find_compiler() is None or onhost.find_compiler() is None, reason="no C or no C++ compiler")
HOST_ONLY = ("__attribute__", "vector_size", "restrict", "malloc", "__builtin_ia32", "immintrin", "goto", "printf", "alloca")


def same_bits(a, b) -> bool:
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def assert_same(one, two) -> None:
    different = [jax.tree_util.keystr(place) for (place, a), b in zip(
        jax.tree.leaves_with_path(one), jax.tree.leaves(two), strict=True) if not same_bits(a, b)]
    assert not different


def agree_on(venue: str, scenario: str, paths: int, *settings: str) -> None:
    cell = simulator(venue, scenario, *settings).cell
    native = run.run_lanes(cell, 0, paths, None)
    assert np.sum(native.carry.tally.account_stages) > 0
    assert_same(native, run.run_lanes(cell, 0, paths, None, kind=onhost.HostProgram))


def test_a_venue_equals_native_bit_for_bit():
    agree_on("kraken-preipo", "combined", 3)


@pytest.mark.slow
@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_equals_native_bit_for_bit(venue):
    for scenario in ("valuation_reset", "combined"):
        agree_on(venue, scenario, 16)


@pytest.mark.slow
def test_two_markets_equal_native_bit_for_bit():
    agree_on("kraken-preipo", "combined", 8, *TWO)


@pytest.mark.slow
def test_a_block_of_a_run_equals_native(monkeypatch):
    """Through `Simulator.block`: several lane groups in one call, several launches of bounded memory, an odd last one."""
    sim = simulator("kraken-preipo", "combined", "execution.lane_paths=32", "execution.block_paths=96")
    native = sim.block(5, 80)
    monkeypatch.setattr(kernel, "CudaProgram", onhost.HostProgram)
    source = run.program_of(sim.cell, onhost.HostProgram).source
    monkeypatch.setattr(onhost.Host, "memory", 8 * source.arena * kernel.BLOCK * 2 + 30 * 8 * sum(s.slots for s in source.outs))
    sim.backend = "cupy"
    got = sim.block(5, 80)
    for part in ("paths", "accounts", "bands"):
        assert_same(getattr(native, part), getattr(got, part))


def every_form(shared):
    """Vectors, masks, integers of all widths, stores, branches and loops: what the head for a device has to define."""
    x, y, k, u, s = shared
    words = k.astype(jnp.uint64)
    masks = (x > y) | ~(k <= 3) & (u != 7)
    wrapped = (k * 1_000_003 - 5) ^ 77
    picked = jnp.where(masks, jnp.maximum(x, y), jnp.minimum(x, 0.5)), jnp.where(masks, wrapped, k), jnp.where(masks, u, u * 3)
    a, b = jax.lax.cond(s > 0.0, lambda: (x + y, y), lambda: (y, x * 2.0))
    c = jax.lax.fori_loop(0, 4, lambda i, c: (c[1], 0.5 * c[0] + a, c[2].at[i].add(jnp.sum(c[0]))), (a, b, x))
    d = jax.lax.while_loop(lambda c: (jnp.sum(jnp.abs(c[0])) > 1.0) & (c[1] < 9), lambda c: (c[0] * 0.7, c[1] + 1), (x, 0))
    sums = [f(x * y) for f in (jnp.sum, jnp.max, jnp.min)] + [jnp.any(masks), jnp.all(masks), jnp.sum(k), jnp.sum(words)]
    return (picked, jnp.sqrt(jnp.abs(x)), jnp.sign(x), -x, x / y, -k, -u, words >> 3, words << 60, a, b, c, d, sums, masks,
            masks.astype(jnp.float64), k.astype(jnp.int64), x[::-1], x[k % 7], jnp.take(x, k, mode="fill"), jnp.arange(40) * u,
            jnp.isfinite(x / 0.0), jax.lax.erf_inv(s), jnp.float64(jnp.inf) * s, jnp.where(s > 2.0, jnp.nan, s),
            jnp.array([1.0, -0.0, np.inf] * 5) + s)


def programs(function, args):
    source, _ = generate(function, run.shapes(args), ())
    return run.Program(source, None), onhost.HostProgram(source, None)


def test_every_form_of_statement_equals_native():
    rng = np.random.default_rng(3)
    args = (rng.normal(size=40), rng.normal(size=40), rng.integers(-9, 60, 40).astype(np.int32),
            rng.integers(0, 2**32, 40).astype(np.uint32), np.float64(0.3))
    native, program = programs(every_form, args)
    for got, want in zip(program(jax.tree.leaves(args), [], 1), native(jax.tree.leaves(args), [], 1), strict=True):
        assert same_bits(got, want)
    text = program.source.for_target(CUDA)
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    assert not [word for word in HOST_ONLY if word in code]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_generated_programs_equal_native(seed):
    rng = np.random.default_rng(seed)
    shape = [(9,), (40,), (3, 16), (101,), (2, 5), (1, 33)][seed % 6]
    args = (rng.normal(size=shape), rng.normal(size=shape), np.float64(0.3), np.float64(-0.8))
    native, program = programs(lambda shared: random_program(seed)(*shared), args)
    for got, want in zip(program(list(args), [], 1), native(list(args), [], 1), strict=True):
        assert same_bits(got, want)


def path_sums(shared, number):
    return jax.lax.fori_loop(0, 20, lambda i, c: c * 0.9 + shared[i] * number, jnp.float64(0.0)), shared * number


def test_launches_do_not_change_a_path(monkeypatch):
    """Fewer threads than paths, several launches, inputs kept between calls."""
    table = np.random.default_rng(1).normal(size=30)
    source, _ = generate(path_sums, jax.ShapeDtypeStruct((30,), np.float64), (jax.ShapeDtypeStruct((), np.float64),))
    number = np.arange(500.0)
    want = run.Program(source, None)([table], [number], 500)
    program = onhost.HostProgram(source, None)
    assert_same(program([table], [number], 500), want)
    monkeypatch.setattr(onhost.Host, "threads", kernel.BLOCK)    # one block: every thread takes eight paths
    assert_same(program([table], [number], 500), want)
    monkeypatch.setattr(onhost.Host, "memory", 8 * source.arena * kernel.BLOCK + 8 * 70 * (len(source.lanes) + 33))
    shape = kernel.plan(source, 500, kernel.BLOCK, onhost.Host.memory)
    assert shape.paths < 100 and shape.blocks == 1
    assert_same(program([table], [number], 500), want)
    assert_same(program([table + 1.0], [number], 500), run.Program(source, None)([table + 1.0], [number], 500))


def with_parameters(shared, number):
    table, rate, tiers = shared
    return jax.lax.fori_loop(0, 20, lambda i, c: c * rate + table[i] * tiers[2], number * rate), tiers + number


class Acted(np.ndarray):
    """An array with an address where CuPy has it."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.ctypes.data)


class ActedModule:
    """CuPy's compiled module, compiled for the host."""

    num_regs = 100

    def __init__(self, code, options, backend):
        assert "--fmad=false" in options and backend == "nvrtc"
        if "refuse" in code:
            raise ActedError("line one\nk.cu(3): error: no such thing\nmore")
        self.library = onhost.load(code)

    def get_function(self, name):
        assert name == "mcrisk_run"
        return self

    def get_global(self, name):
        def copy_from(at, size):
            self.filled = size
            self.library.set_constants(at)

        assert name == "constants"
        return types.SimpleNamespace(copy_from=copy_from)

    def __call__(self, grid, block, args):
        inputs, outs, count, arena = args
        assert isinstance(count, np.int64) and inputs.dtype == outs.dtype == np.uint64
        at = [ctypes.c_void_p(a.ctypes.data) for a in (inputs, outs, arena)]
        self.library.launch(*grid, *block, *at[:2], ctypes.c_int64(count), at[2])


class ActedError(Exception):
    """CuPy's CompileException."""


def test_the_calls_of_cupy(monkeypatch):
    """`Device` against a CuPy of our own: what is compiled with which options, and what a launch hands over."""
    cupy = types.ModuleType("cupy")
    properties = {"name": b"A GPU", "major": 9, "minor": 0, "multiProcessorCount": 4, "totalGlobalMem": 1 << 30}
    runtime = types.SimpleNamespace(getDeviceProperties=lambda i: properties, memGetInfo=lambda: (1 << 30, 2 << 30))
    cupy.cuda = types.SimpleNamespace(runtime=runtime, Device=lambda: types.SimpleNamespace(id=0),
                                      compiler=types.SimpleNamespace(CompileException=ActedError))
    cupy.asarray, cupy.zeros = (lambda a: np.array(a).view(Acted)), (lambda *a: np.zeros(*a).view(Acted))
    cupy.asnumpy, cupy.RawModule = (lambda a: a.view(np.ndarray)), ActedModule
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: None)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(device, "environment", lambda: "a GPU")
    shared, number = [np.linspace(0.0, 1.0, 30), np.float64(0.25), np.linspace(2.0, 3.0, 5)], np.arange(300.0)
    source, _ = generate(with_parameters, run.shapes(shared), (jax.ShapeDtypeStruct((), np.float64),))
    program = kernel.CudaProgram(source, None)
    assert program.device.threads == 4 * 640   # 65,536 registers, 100 per thread, whole blocks
    assert_same(program(shared, [number], 300), run.Program(source, None)(shared, [number], 300))
    assert program.device.kernel.filled == 8 * 6   # the scalar and the short table stand in constant memory
    with pytest.raises(RunFailed, match="NVRTC") as caught:
        device.Device("refuse")
    assert "no such thing" in str(caught.value) and "line one" not in str(caught.value)


def test_memory_of_a_launch_is_planned_and_bounded():
    source = Source("", (), (Slots((), "uint64"),) * 4, (Slots((10_000,), "float64"),) * 8, 50_000)
    free = 100 << 30
    shape = kernel.plan(source, 1_000_000, 132 * 256, free)
    assert shape.bytes <= free and shape.threads == 132 * 256 <= shape.paths
    assert kernel.plan(source, 10, 9999, free).paths == 10 and kernel.plan(source, 10, 9999, free).blocks == 1
    with pytest.raises(RunFailed, match="do not fit"):
        kernel.plan(source, 10, 9999, 1 << 20)


def test_the_stand_in_names_a_missing_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/c++")
    onhost.load.cache_clear()
    with pytest.raises(InputError, match="C\\+\\+ compiler"):
        onhost.load("int x;")
