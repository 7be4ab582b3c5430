"""Compiler and library cache.

One shared library per (source, flags, compiler); stored under XDG_CACHE_HOME/mcrisk/native and moved into place in one
step, so that several processes may compile the same thing at once. Flags keep IEEE arithmetic: no -ffast-math, and no
contraction into fused multiply-adds, whose use would depend on the compiler's taste.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from mcrisk.errors import InputError

CANDIDATES = ("cc", "gcc", "clang")
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-fno-math-errno",
         "-fno-trapping-math", "-w")
compilations = 0   # of this process; tests count it


def find_compiler() -> str | None:
    """Path of the C compiler: $CC, cc, gcc or clang; None where there is none."""
    named = os.environ.get("CC")
    if named:
        return shutil.which(named.split()[0])
    return next((path for path in map(shutil.which, CANDIDATES) if path), None)


def require_compiler() -> str:
    """`find_compiler`, or an InputError that says what is missing."""
    path = find_compiler()
    if path is None:
        named = os.environ.get("CC")
        raise InputError(
            what="the native backend needs a C compiler and found none",
            why=f"CC={named} is no program on this machine" if named else f"none of {', '.join(CANDIDATES)} is on the PATH",
            remedy="install gcc or clang (Debian: apt-get install gcc libc6-dev), or use --backend jax",
        )
    return path


@lru_cache(maxsize=8)
def compiler_version(path: str) -> str:
    """First line of `--version`."""
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return (out.stdout.splitlines() or ["unknown"])[0].strip()


@lru_cache(maxsize=1)
def machine_flags() -> tuple[str, ...]:
    """The instruction set: x86-64-v3 where this processor has it."""
    if platform.machine() in ("x86_64", "AMD64"):
        try:
            words = set(Path("/proc/cpuinfo").read_text().split())
        except OSError:
            words = set()
        if {"avx2", "fma", "bmi2", "f16c", "movbe"} <= words:
            return ("-march=x86-64-v3",)
    return ()


def environment() -> str:
    """What decides the last bits besides the source: compiler, flags, libm."""
    path = find_compiler()
    version = compiler_version(path) if path else "none"
    libc = " ".join(platform.libc_ver()) or "unknown libc"
    return f"native; {version}; {' '.join((*machine_flags(), *FLAGS))}; {libc}; {platform.machine()}"


def cache_folder() -> Path:
    """Where libraries are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mcrisk" / "native"


def library_name(text: str, compiler: str) -> str:
    """Hash of what the library depends on; comments do not count."""
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    parts = (bare, compiler_version(compiler), *machine_flags(), *FLAGS, platform.machine())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@lru_cache(maxsize=64)
def load(text: str) -> ctypes.CDLL:
    """The library of a source, compiled once. Raises InputError with the compiler's words where it fails."""
    compiler = require_compiler()
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"{library_name(text, compiler)}.so"
    if not library.exists():
        _compile(compiler, text, library)
    return ctypes.CDLL(str(library))


def _compile(compiler: str, text: str, library: Path) -> None:
    global compilations
    compilations += 1
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        source, out = Path(folder) / "source.c", Path(folder) / "out.so"
        source.write_text(text)
        command = [compiler, *machine_flags(), *FLAGS, "-o", str(out), str(source), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise InputError(
                what=f"{compiler} could not compile the generated source", why=done.stderr.strip()[:600],
                remedy="check the compiler with a small program, set CC to another one, or use --backend jax",
            )
        os.replace(source, library.with_suffix(".c"))
        os.replace(out, library)
