"""What makes two runs the same run: everything that decides a bit of `/paths`, and nothing else.

The identity is stored readable, so that a refusal can say what differs; the fingerprint is its hash.
"""

from __future__ import annotations

import hashlib
import json
import platform
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mcrisk
from mcrisk.errors import InputError

PACKAGES = ("jax", "jaxlib", "numpy", "scipy")  # those whose code computes results
ROOMS = ("config", "rules", "paths", "book", "engine")  # likewise, of our own
# Keys of a run that move no bit of /paths. The strip and the break-even search are further blocks beside them.
EXTRAS = ("assumption_strip", "break_even", "strip_paths")
IRRELEVANT = ("name", "title", "paths", "execution", "report", "limits", "target", *EXTRAS)

_LEVELS = (  # x86-64 micro-architecture levels as the psABI defines them, by flags of /proc/cpuinfo
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}),
    ("x86-64-v2", {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
)


@lru_cache(maxsize=1)
def instruction_set() -> str:
    """Instruction-set level of this machine, e.g. ``x86-64-v3``; the machine's name where there are no levels."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return machine
    flags = cpu_flags()
    reached = "x86-64-v1"
    for level, needed in reversed(_LEVELS):
        if not needed <= flags:
            break
        reached = level
    return reached


@lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """Feature flags of the first core; empty where /proc/cpuinfo does not exist."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Hash of the source of the rooms that compute results: an edited rule is another engine of the same version."""
    root = Path(mcrisk.__file__).parent
    digest = hashlib.sha256()
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def mcrisk_version() -> str:
    """Version of the installed package; of the source tree when it is not installed."""
    try:
        return metadata.version("mcrisk")
    except metadata.PackageNotFoundError:
        return getattr(mcrisk, "__version__", "0+source")


def identity(resolved: dict[str, Any], backend: str, **more: Any) -> dict[str, Any]:
    """Everything that decides results, as JSON-ready values.

    Args:
        resolved: the resolved config (`model_dump(mode="json")`); keys in `IRRELEVANT` are left out.
        backend: jax, native or cupy.
        more: further deciding facts of the backend (compiler, device kind).
    """
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "config": {key: value for key, value in resolved.items() if key not in IRRELEVANT},
        "backend": backend,
        "instruction_set": instruction_set(),
        "packages": {name: version for name, version in versions.items() if version},
        "mcrisk": mcrisk_version(),
        "source": source_digest(),
        **more,
    }


def fingerprint(identity: dict[str, Any]) -> str:
    """SHA-256 of the identity in canonical JSON, 64 hex digits."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_other(stored: dict[str, Any], asked: dict[str, Any], where: str) -> None:
    """Raises InputError naming what differs, if the identities are not the same."""
    if fingerprint(stored) == fingerprint(asked):
        return
    changes = differences(stored, asked)
    shown = "; ".join(changes[:6]) + (f"; and {len(changes) - 6} more" if len(changes) > 6 else "")
    raise InputError(
        "the store holds a run that is not this one",
        where,
        f"results of the two must not be mixed; stored → asked: {shown}",
        "give another --out, or repeat the run with what it was started with",
    )


def differences(stored: Any, asked: Any, path: str = "") -> list[str]:
    """One line per leaf that differs: ``packages.jax: 0.10.1 → 0.10.2``."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        keys = [*stored, *(key for key in asked if key not in stored)]
        return [line for k in keys for line in differences(stored.get(k), asked.get(k), f"{path}.{k}" if path else k)]
    if isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked):
        return [line for i, (a, b) in enumerate(zip(stored, asked)) for line in differences(a, b, f"{path}.{i}")]
    same = json.dumps(stored, sort_keys=True) == json.dumps(asked, sort_keys=True)
    return [] if same else [f"{path}: {_short(stored)} → {_short(asked)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else text[:37] + "…"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
