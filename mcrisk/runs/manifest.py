"""Facts about where, when and with what a run was made; stored in the attributes of the store."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import mcrisk
from mcrisk.runs.fingerprint import instruction_set, mcrisk_version

PACKAGES = (
    "jax", "jaxlib", "numpy", "scipy", "zarr", "xarray", "dask", "distributed", "pydantic", "pyarrow", "cupy-cuda12x",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of Python, mcrisk and the packages a run goes through; absent ones are left out."""
    found = {"python": platform.python_version(), "mcrisk": mcrisk_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state() -> dict[str, Any]:
    """Commit of the source tree mcrisk runs from, and whether tracked files were changed; empty for a wheel."""
    folder = Path(mcrisk.__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    # A wheel in some other project's environment lies inside a repository too, but is not one of its files.
    if not commit or not _git(folder, "ls-files", "__init__.py"):
        return {}
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def hardware() -> dict[str, Any]:
    """Processor, usable cores, memory and operating system of this machine."""
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "instruction_set": instruction_set(),
        "cores": usable_cores(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
    }


def usable_cores() -> int:
    """Cores this process may use: affinity and cgroup quota, as dask counts them."""
    from dask.system import CPU_COUNT

    return max(1, int(CPU_COUNT))


def peak_bytes() -> int:
    """Largest resident size of this process so far. Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def now() -> str:
    """The present moment, UTC, ISO-8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(folder: Path, *arguments: str) -> str:
    """Output of a git command in `folder`, "" when git or a repository is missing."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # `status` must not write into a repository others use
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20, env=environment, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
