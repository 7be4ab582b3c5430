"""What a results folder remembers: one record per slot, written whole; and the lock that keeps slots from overlapping.

`DIR/slots/ID.json` is the record, `DIR/ID.zarr` the run, `DIR/ID/` its report. A record says `started` until everything
that follows from the slot is done, so a process that is killed leaves a slot that the next one goes on with.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcrisk.errors import InputError
from mcrisk.schedules.calendar import from_id, slot_id

try:
    import fcntl
except ImportError:  # not on POSIX: no lock there
    fcntl = None

OPEN, DONE, FAILED, SKIPPED = "started", "done", "failed", "skipped"


@dataclass
class Record:
    """One slot. `told` and `untold` name notification targets (by position) that got or still wait for the message."""

    slot: str
    status: str = OPEN
    attempts: int = 0
    started: str = ""
    finished: str = ""
    computed: bool = False
    breaches: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    summary: str = ""
    error: str = ""
    untold: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    pruned: bool = False
    metrics: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        return from_id(self.slot)

    @property
    def exit_code(self) -> int:
        """0 done, 1 failed, 3 a limit is breached or a number moved."""
        return 1 if self.status == FAILED else 3 if self.breaches or self.moved else 0


class Folder:
    """The results folder of one schedule."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def store(self, slot: str) -> Path:
        return self.path / f"{slot}.zarr"

    def report(self, slot: str) -> Path:
        return self.path / slot

    def records(self) -> list[Record]:
        """All slots ever seen, oldest first. A file that is no record is left alone."""
        found = []
        for file in sorted((self.path / "slots").glob("*.json")):
            record = self._read(file)
            if record is not None:
                found.append(record)
        return found

    def record(self, slot: str) -> Record | None:
        return self._read(self.path / "slots" / f"{slot}.json")

    def _read(self, file: Path) -> Record | None:
        try:
            data = json.loads(file.read_text())
            from_id(data["slot"])
            return Record(**{k: v for k, v in data.items() if k in Record.__dataclass_fields__})
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, record: Record) -> None:
        """Replace a record whole and make it durable before anything that rests on it happens."""
        place = self.path / "slots"
        place.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".record-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(record), file, indent=1, allow_nan=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, place / f"{record.slot}.json")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def since(self, moment: datetime) -> datetime:
        """When this folder was first asked about; `moment` is remembered the first time."""
        file = self.path / "slots" / "since"
        try:
            return from_id(file.read_text().strip())
        except (OSError, ValueError):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(slot_id(moment))
            return moment

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """True while this process holds the folder; False at once when another does. Dies with its holder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / ".schedule.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(
                "the results folder cannot be written", str(self.path), error.strerror, "change `results`"
            ) from None
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield False
                    return
            yield True
        finally:
            os.close(handle)


def stamp(moment: datetime) -> str:
    """UTC, ISO-8601 to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def plain(value: Any) -> float | None:
    """A number JSON can hold; NaN and infinities become null."""
    number = float(value)
    return number if abs(number) < float("inf") else None
