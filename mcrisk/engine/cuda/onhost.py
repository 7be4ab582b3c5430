"""The kernel's CUDA text on the host: compiled by a C++ compiler with a header that stands in for the device.

For tests and for `benchmarks/gpu_check.py`: everything but the device itself is what a CUDA run uses (text, memory plan,
launches), so that its results can be held against the native backend's, bit for bit.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mcrisk.engine.cuda.kernel import CudaProgram
from mcrisk.engine.native.compile import cache_folder
from mcrisk.errors import InputError

# without optimisation: few paths are run, and -O1 takes ten times as long to compile a kernel
FLAGS = ("-std=c++17", "-O0", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-w")


def find_compiler() -> str | None:
    """Path of the C++ compiler: $CXX, c++, g++ or clang++; None where there is none."""
    named = os.environ.get("CXX")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


@lru_cache(maxsize=16)
def load(text: str) -> ctypes.CDLL:
    """The library of a CUDA text, compiled once. Raises InputError where there is no compiler or it refuses."""
    compiler = find_compiler()
    if compiler is None:
        raise InputError("the stand-in for a CUDA device needs a C++ compiler and found none", "CXX, c++, g++, clang++",
                         remedy="install g++ (Debian: apt-get install g++)")
    whole = _beside("onhost.h") + text + _beside("onhost_run.h")
    name = hashlib.sha256("\0".join((whole, compiler, *FLAGS)).encode()).hexdigest()[:24]
    library = cache_folder() / f"{name}.onhost.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            source, out = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
            source.write_text(whole)
            done = subprocess.run([compiler, *FLAGS, "-o", str(out), str(source)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise InputError(f"{compiler} could not compile the kernel", why=done.stderr.strip()[:600],
                                 remedy="set CXX to another C++ compiler")
            os.replace(out, library)
    return ctypes.CDLL(str(library))


class Host:
    """The counterpart of `device.Device`; `memory` bounds launches as a device's free memory would."""

    arrays = np
    threads = 1024
    memory = 1 << 30

    def __init__(self, text: str):
        self.library = load(text)

    def free(self) -> int:
        return self.memory

    def set_constants(self, values: np.ndarray) -> None:
        self.library.set_constants(ctypes.c_void_p(values.ctypes.data))

    def launch(self, blocks: int, threads: int, inputs: list, outs: list, count: int, arena: Any) -> None:
        arena.fill(np.nan)   # nothing may depend on what scratch memory held before
        pointers = lambda arrays: (ctypes.c_void_p * max(len(arrays), 1))(*[a.ctypes.data for a in arrays])  # noqa: E731
        self.library.launch(blocks, threads, pointers(inputs), pointers(outs), ctypes.c_int64(count),
                            ctypes.c_void_p(arena.ctypes.data))

    def fetch(self, array: np.ndarray) -> np.ndarray:
        return array


class HostProgram(CudaProgram):
    """A CUDA text run by the host."""

    machine = Host
