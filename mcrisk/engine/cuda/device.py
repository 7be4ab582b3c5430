"""What a CUDA run needs, piece by piece, and which piece is missing. CuPy is imported only when asked for."""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mcrisk.errors import RunFailed

OPTIONS = ("--fmad=false", "-std=c++17")   # no fused multiply-adds: the host's rounding
REGISTERS = 65_536                         # of a multiprocessor, all architectures since 2012
GROUP = 64                                 # threads that come and go together: a block
SHARE = 0.8                                # of the device's free memory that a launch may take


@lru_cache(maxsize=1)
def missing() -> str | None:
    """None when the kernel can be compiled and run here, else the piece that is missing."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed (pip install 'mcrisk[cuda12]' or 'mcrisk[cuda13]')"
    try:
        import cupy
    except Exception as error:  # a broken installation raises what it likes
        return f"CuPy is installed but cannot be imported: {_first_line(error)}"
    runtime = cupy.cuda.runtime
    try:
        if not runtime.driverGetVersion():
            return "no NVIDIA driver is installed (libcuda.so.1)"
        if not runtime.getDeviceCount():
            return "no CUDA device was found"
    except Exception as error:  # CuPy's own error types: no device, driver too old, device in use
        return f"no CUDA device can be used: {_first_line(error)}"
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        return f"NVRTC, which compiles the kernel, is missing (pip install nvidia-cuda-nvrtc): {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True)
class Facts:
    """A device as launches see it."""

    name: str
    architecture: str     # sm_90
    multiprocessors: int
    memory: int           # bytes


def facts() -> Facts:
    """The current device."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name = properties["name"]
    return Facts(name.decode() if isinstance(name, bytes) else name, f"sm_{properties['major']}{properties['minor']}",
                 int(properties["multiProcessorCount"]), int(properties["totalGlobalMem"]))


def environment() -> str:
    """What decides the last bits besides the source: compiler, options, device."""
    if missing() is not None:
        return f"cupy; {missing()}"
    import cupy

    here, nvrtc = facts(), ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
    driver = cupy.cuda.runtime.driverGetVersion()
    return f"cupy {cupy.__version__}; NVRTC {nvrtc}; driver {driver}; {here.name} {here.architecture}; {' '.join(OPTIONS)}"


class Device:
    """Memory and launches of the current CUDA device for one source."""

    def __init__(self, text: str):
        import cupy

        self.arrays = cupy
        # CuPy adds --gpu-architecture of the current device and keeps compiled modules in its own cache
        try:
            module = cupy.RawModule(code=text, options=OPTIONS, backend="nvrtc")
            self.kernel, self.constants = module.get_function("mcrisk_run"), module.get_global("constants")
        except cupy.cuda.compiler.CompileException as error:
            errors = [line for line in str(error).splitlines() if "error" in line]
            raise RunFailed(
                "NVRTC could not compile the generated kernel", environment(), "\n".join(errors[:5]) or str(error)[:600],
                "report this with `mcrisk backends`, and use --backend native meanwhile",
            ) from error
        here = facts()
        resident = max(GROUP, min(2048, REGISTERS // max(1, self.kernel.num_regs) // GROUP * GROUP))
        self.threads = here.multiprocessors * resident   # that the device holds at a time

    def free(self) -> int:
        """Bytes that launches may take."""
        self.arrays.get_default_memory_pool().free_all_blocks()
        return int(SHARE * self.arrays.cuda.runtime.memGetInfo()[0])

    def pointers(self, arrays: list) -> Any:
        """Addresses of arrays as an array on the device."""
        import numpy as np

        return self.arrays.asarray(np.array([a.data.ptr for a in arrays] or [0], np.uint64))

    def set_constants(self, values: Any) -> None:
        """Fill the kernel's constant memory, in the order of launches."""
        self.constants.copy_from(values.ctypes.data_as(ctypes.c_void_p), values.nbytes)

    def launch(self, blocks: int, threads: int, inputs: list, outs: list, count: int, arena: Any) -> None:
        import numpy as np

        pointed = self.pointers(inputs), self.pointers(outs)
        self.kernel((blocks,), (threads,), (*pointed, np.int64(count), arena))

    def fetch(self, array: Any) -> Any:
        return self.arrays.asnumpy(array)
