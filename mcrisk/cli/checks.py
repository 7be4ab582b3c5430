"""What must hold before anything is computed: a place to write, room on the disk, a backend that is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mcrisk.errors import InputError

_ROW_BYTES = 64 * 8  # about this much is kept per path: some 50 numbers, before compression


def writable(path: Path, what: str = "the output") -> None:
    """Raise InputError unless `path` can be created or written. Creates nothing."""
    parent = path
    while not os.path.lexists(parent) and parent != parent.parent:
        parent = parent.parent
    remedy = "choose another place with --out"
    if not parent.is_dir():
        raise InputError(f"{what} cannot be written", str(path), f"{parent} is no folder", remedy)
    if not os.access(parent, os.W_OK | os.X_OK) or parent.is_relative_to("/proc") or parent.is_relative_to("/sys"):
        raise InputError(f"{what} cannot be written", str(path), f"no permission to write in {parent}", remedy)


def enough_space(path: Path, cells: int, paths: int) -> None:
    """Raise InputError when the store of `cells` × `paths` rows would not fit on the disk of `path`."""
    parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    need, free = cells * paths * _ROW_BYTES, shutil.disk_usage(parent).free
    if need > free:
        raise InputError(
            "the disk has no room for the results", str(path),
            f"about {need / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free",
            "free some space, choose another place with --out, or lower --paths",
        )  # fmt: skip


def backend_state(name: str) -> str | None:
    """None when a backend can be used here, else why it cannot."""
    from mcrisk.engine.backends import NAMES, state

    return state(name) if name in NAMES else None


def usable_backend(name: str, label: str) -> None:
    """Raise InputError unless the backend can be used here; `label` is where it was asked for."""
    state = backend_state(name)
    if state:
        raise InputError(
            f"the backend '{name}' cannot be used here", label, state, "use --backend auto, or see `mcrisk backends`"
        )
