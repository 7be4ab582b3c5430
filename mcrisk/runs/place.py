"""Where a store lies: a folder of this machine, or a prefix of an object store given by URL (through fsspec).

`file:///a/b.zarr` is the folder; `s3://bucket/b.zarr` and `memory://b.zarr` are prefixes. Credentials and end points come
from the environment of fsspec and its file systems (`AWS_…`, `FSSPEC_S3_ENDPOINT_URL`), never from a config. `memory://`
lives in one process and is for trials: its blocks are computed there, one after the other.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from mcrisk.errors import InputError, McriskError

REMOTE = ("s3", "memory", "gs", "gcs", "abfs", "az")  # those whose writes of one object are atomic
BUILDING = ".building"  # stands at a prefix until the layout of its store is complete


class Lock(Protocol):
    def release(self) -> None: ...


class Place(Protocol):
    """What a run needs of a place beyond what zarr does there."""

    text: str  # what zarr and xarray open, and what people read

    def document(self) -> Any:
        """The parsed `zarr.json` of the root, or None. Raises InputError when the place cannot be reached."""

    def is_free(self) -> bool: ...

    def publish(self, build: Callable[[str], None]) -> None:
        """Let `build` make a store in a folder, and bring it here as a whole. Raises OSError if something is here."""

    def sizes(self, files: Iterable[str]) -> dict[str, int]:
        """Bytes of each file, relative to the store; 0 = absent."""

    def sweep(self) -> None: ...

    def free_bytes(self) -> int | None: ...

    def lock(self) -> Lock: ...


def place_of(where: str | Path) -> Place:
    """The place a path or URL names. Raises InputError for a URL that cannot hold a store."""
    text = str(where)
    if "\0" in text:
        raise InputError("a path cannot contain a zero byte", text, None, "give another path")
    if "://" not in text:
        return LocalPlace(Path(text).absolute())
    protocol = text.split("://", 1)[0]
    if protocol == "file":
        return LocalPlace(Path(unquote(urlsplit(text).path)).absolute())
    if protocol not in REMOTE or "::" in text:
        raise InputError(
            f"results cannot be stored by '{protocol}'", text, f"allowed: a path, file, {', '.join(REMOTE)}",
            "give a path or e.g. s3://bucket/run.zarr",
        )  # fmt: skip
    return RemotePlace(text)


def is_url(where: str | Path) -> bool:
    """Whether `where` names an object store and not a folder of this machine."""
    return "://" in str(where) and not str(where).startswith("file://")


class LocalPlace:
    """A folder."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, str(path)

    def document(self) -> Any:
        try:
            return json.loads((self.path / "zarr.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def is_free(self) -> bool:
        return not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir()))

    def publish(self, build: Callable[[str], None]) -> None:
        building = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.new")
        try:
            build(str(building))
            os.rename(building, self.path)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def sizes(self, files: Iterable[str]) -> dict[str, int]:
        return {file: self._size(file) for file in files}

    def _size(self, file: str) -> int:
        try:
            return (self.path / file).stat().st_size
        except OSError:
            return 0

    def sweep(self) -> None:
        """Remove temporary files that a killed writer left behind."""
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        folder = self.path
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return None

    def lock(self) -> Lock:
        from mcrisk.runs.lock import StoreLock

        return StoreLock(self.path)


class RemotePlace:
    """A prefix of an object store. A write of one object is atomic there; there is no rename and no file lock."""

    def __init__(self, url: str) -> None:
        self.text = url.rstrip("/") if url.rstrip("/").partition("://")[2] else url
        with reaching(self.text):
            from fsspec.core import url_to_fs

            self.fs, self.root = url_to_fs(self.text, use_listings_cache=False)
        if not self.root.strip("/"):
            raise InputError("the URL names no place in the store", url, None, "give e.g. s3://bucket/run.zarr")

    def document(self) -> Any:
        try:
            with reaching(self.text):
                return json.loads(self.read("zarr.json") or b"null")
        except (ValueError, RecursionError):
            return None

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None = absent. A bucket that does not exist is an error."""
        try:
            return self.fs.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes, *, only_new: bool = False) -> None:
        """Raises FileExistsError when `only_new` and the object is there."""
        self.fs.pipe_file(f"{self.root}/{name}", content, **({"mode": "create"} if only_new else {}))

    def remove(self, name: str) -> None:
        try:
            self.fs.rm_file(f"{self.root}/{name}")
        except FileNotFoundError:
            pass

    def is_free(self) -> bool:
        """True for an empty prefix and for one whose layout was never finished."""
        with reaching(self.text):
            found = {name.rsplit("/", 1)[-1] for name in self._find()}
            return not found - {".lock"} or (BUILDING in found and self.read("zarr.json") is None)

    def _find(self) -> dict[str, int]:
        self.fs.invalidate_cache()
        return {name: int(facts["size"] or 0) for name, facts in self.fs.find(self.root, detail=True).items()}

    def publish(self, build: Callable[[str], None]) -> None:
        """Every object first, the root's metadata last: until then the prefix is no run. Call under the lock."""
        if self.read("zarr.json") is not None:
            raise FileExistsError(self.text)
        self.write(BUILDING, b"")
        with tempfile.TemporaryDirectory(prefix="mcrisk-") as folder:
            build(f"{folder}/store")
            top = Path(folder) / "store"
            files = {file.relative_to(top).as_posix(): file.read_bytes() for file in top.rglob("*") if file.is_file()}
        last = files.pop("zarr.json")
        self.fs.pipe({f"{self.root}/{name}": content for name, content in files.items()})
        self.write("zarr.json", last)
        self.remove(BUILDING)

    def sizes(self, files: Iterable[str]) -> dict[str, int]:
        with reaching(self.text):
            there, root = self._find(), self.root
        return {file: there.get(f"{root}/{file}", 0) for file in files}

    def sweep(self) -> None:
        self.remove(BUILDING)

    def free_bytes(self) -> int | None:
        return None

    def lock(self) -> Lock:
        from mcrisk.runs.lease import Lease

        return Lease(self)


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """Turn whatever a remote file system raises into an InputError that says what to do."""
    try:
        yield
    except (McriskError, ValueError):
        raise
    except ImportError as error:
        raise InputError(
            "this kind of store needs a package that is not installed", where, str(error)[:200],
            "pip install 'mcrisk[s3]' for s3://, gcsfs for gs://, adlfs for abfs://",
        ) from None  # fmt: skip
    except Exception as error:
        if not remote_error(error):
            raise
        raise InputError(
            "the store cannot be reached", where, f"{type(error).__name__}: {str(error)[:300]}",
            "check the URL, the credentials and the network; finished blocks are kept, repeat the same command",
        ) from None  # fmt: skip


def remote_error(error: BaseException) -> bool:
    """Whether an error comes from the file system and not from us: libraries below fsspec have types of their own."""
    module = type(error).__module__.split(".")[0]
    return isinstance(error, OSError) or module in ("botocore", "aiobotocore", "aiohttp", "fsspec", "gcsfs", "azure")
