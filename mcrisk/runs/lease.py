"""One writer per remote store: an object `.lock` that only one can create, renewed while its holder lives.

Object stores have no lock that ends with its holder. A holder renews its lease every few seconds; one that does not is
dead and is succeeded. Clocks are not compared: a newcomer watches the lease change, or not, on its own clock. Should
two writers meet all the same, they write the same bytes, because a block is a pure function of its path numbers.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING

from mcrisk.errors import InputError
from mcrisk.runs import manifest

if TYPE_CHECKING:
    from mcrisk.runs.place import RemotePlace

NAME = ".lock"
RENEW = 5.0  # s between renewals
PATIENCE = 20.0  # s without a renewal before the holder counts as dead


class Lease:
    """Holds the lock from construction to `release`. Raises InputError when another process holds it."""

    def __init__(self, place: RemotePlace) -> None:
        from mcrisk.runs.place import reaching

        self.place, self.owner, self.count = place, uuid.uuid4().hex, 0
        self._stop = threading.Event()
        with reaching(place.text):
            self._acquire()
        self._thread = threading.Thread(target=self._renew, name="mcrisk-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Stop renewing and give the lock back; safe to call twice."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join(timeout=30)
        try:
            if self._owner_of(self.place.read(NAME)) == self.owner:
                self.place.remove(NAME)
        except Exception:  # noqa: BLE001 - the store may be what failed; the lease then runs out by itself
            return

    def _acquire(self) -> None:
        while True:
            try:
                self.place.write(NAME, self._note(), only_new=True)
                return
            except FileExistsError:
                seen = self.place.read(NAME)
            except OSError as error:  # how S3 says "precondition failed" depends on the version of s3fs
                seen = self.place.read(NAME)
                if seen is None:
                    raise error
            if seen is None:
                continue
            if not _left_by_the_dead(seen):
                self._watch(seen)
            self.place.remove(NAME)

    def _watch(self, seen: bytes) -> None:
        """Return when the holder has not renewed for `PATIENCE`. Raises InputError when it does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(min(1.0, PATIENCE / 10))
            now = self.place.read(NAME)
            if now is None:
                return
            if now != seen:
                raise InputError(
                    "another mcrisk run has this store open", self.place.text,
                    f"two writers would do the work twice; held by {_holder(now)}",
                    "wait for it, stop it, or give another --out",
                )  # fmt: skip

    def _renew(self) -> None:
        while not self._stop.wait(RENEW):
            try:
                if self._owner_of(self.place.read(NAME)) not in (self.owner, None):
                    return  # succeeded by another while we were away; the bytes we write are the same
                self.count += 1
                self.place.write(NAME, self._note())
            except Exception:  # noqa: BLE001 - the network may come back before patience ends
                continue

    def _note(self) -> bytes:
        host = manifest.hardware()["host"]
        note = {"owner": self.owner, "count": self.count, "pid": os.getpid(), "host": host, "since": manifest.now()}
        return json.dumps(note).encode()

    @staticmethod
    def _owner_of(note: bytes | None) -> str | None:
        return None if note is None else str(_read(note).get("owner"))


def _read(note: bytes) -> dict:
    try:
        found = json.loads(note)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _left_by_the_dead(note: bytes) -> bool:
    """True if the note names a process of this machine that is gone."""
    facts = _read(note)
    if facts.get("host") != manifest.hardware()["host"] or not isinstance(facts.get("pid"), int):
        return False
    try:
        os.kill(facts["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _holder(note: bytes) -> str:
    facts = _read(note)
    return f"process {facts.get('pid', '?')} on {str(facts.get('host', '?'))[:80]}"
