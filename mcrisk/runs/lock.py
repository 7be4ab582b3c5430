"""One writer per store: an advisory lock on `<store>/.lock`, gone by itself when its holder dies, however it dies."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mcrisk.errors import InputError
from mcrisk.runs import manifest

try:
    import fcntl
except ImportError:  # not on POSIX: no lock there
    fcntl = None

NAME = ".lock"


class StoreLock:
    """Holds the lock from construction to `release`. Raises InputError when another process holds it."""

    def __init__(self, store: Path) -> None:
        self.path = store / NAME
        self._fd = self._acquire()

    def _acquire(self) -> int:
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise InputError(
                    "the run's store is not writable", str(self.path.parent), error.strerror, "give another --out"
                ) from None
            if fcntl is None:
                return fd
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(fd)
                os.close(fd)
                raise InputError(
                    "another mcrisk run has this store open",
                    str(self.path.parent),
                    f"two writers would do the work twice; held by {holder}",
                    "wait for it, stop it, or give another --out",
                ) from None
            except OSError:  # a file system without locks: better to run than to refuse
                return fd
            # The former holder may have removed the file between our open and our lock: then what we hold is a ghost.
            try:
                if os.stat(self.path).st_ino == os.fstat(fd).st_ino:
                    break
            except FileNotFoundError:
                pass
            os.close(fd)
        note = {"pid": os.getpid(), "host": manifest.hardware()["host"], "since": manifest.now()}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(note).encode(), 0)
        return fd

    def release(self) -> None:
        """Remove the file and let go; safe to call twice."""
        if self._fd < 0:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1


def _holder(fd: int) -> str:
    try:
        note = json.loads(os.pread(fd, 4096, 0))
        return f"process {int(note['pid'])} on {note['host']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that left no note"
