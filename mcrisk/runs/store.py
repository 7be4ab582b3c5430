"""The results store of a run: created whole before anything is computed, then filled block by block, in any order.

A block is written data first, mark last. Each chunk is one file that appears by rename, so a reader sees the old one or
the new one; what `done` does not count is never read. Writing a block again writes the same bytes.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from mcrisk.errors import InputError, McriskError, RunFailed
from mcrisk.runs import fingerprint as prints
from mcrisk.runs.layout import block_arrays, lay_out, lay_variants, mend, resize, stored_plan, zarr_settings
from mcrisk.runs.lock import NAME as LOCK_NAME
from mcrisk.runs.place import LocalPlace, Lock, Place, place_of, reaching, remote_error
from mcrisk.runs.plan import TWIN, Block, Plan

FORMAT = 1
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass
class RunStore:
    """An open, locked store and the plan it holds (its block size and at least its number of paths)."""

    place: Place
    plan: Plan
    root: zarr.Group
    lock: Lock
    created: bool

    @property
    def path(self) -> Path | str:
        """The folder, or the URL of a store elsewhere; `zarr.open_group` and `xarray.open_datatree` take both."""
        return self.place.path if isinstance(self.place, LocalPlace) else self.place.text

    @classmethod
    def open(cls, path: str | Path, plan: Plan, identity: dict[str, Any], attributes: dict[str, Any]) -> RunStore:
        """Create the store, or resume or extend the one that is there, and lock it.

        Args:
            plan: what is asked for; an existing store keeps its own block size, and its paths if it has more.
            identity: from `fingerprint.identity`; must equal that of an existing store.
            attributes: config, seed, versions, git, hardware …, JSON-ready; written at creation.

        Raises:
            InputError: the path cannot be written, is not a run, holds another run, is locked, or the disk is too full.
        """
        place = place_of(path)
        with zarr_settings(), reaching(place.text):
            created, lock = not _is_run(place), None
            try:
                if created:
                    _refuse_full(place, plan)
                    if not isinstance(place, LocalPlace):
                        lock = place.lock()  # a folder appears by a rename; a prefix needs the lock while it is made
                    created = _create(place, plan, identity, attributes)
                lock = lock or place.lock()
                root = zarr.open_group(place.text, mode="r+", use_consolidated=False)
                prints.refuse_other(dict(root.attrs["identity"]), identity, place.text)
                plan = _adopt(root, plan)
                if not created:
                    mend(root, plan)
                return cls(place, plan, root, lock, created)
            except BaseException:
                if lock is not None:
                    lock.release()
                raise

    @classmethod
    def existing(cls, path: str | Path) -> RunStore:
        """Open and lock a store as it is, its plan read from it. Raises InputError if there is none or it is in use."""
        place = place_of(path)
        if not _is_run(place):
            raise InputError("there is no run here", place.text, None, "see `mcrisk list`")
        with reaching(place.text):
            lock = place.lock()
            try:
                root = zarr.open_group(place.text, mode="r+", use_consolidated=False)
                return cls(place, stored_plan(root), root, lock, created=False)
            except Exception as error:
                lock.release()
                if isinstance(error, McriskError) or remote_error(error):
                    raise
                raise InputError(
                    "the store's axes are damaged", place.text, f"{type(error).__name__}: {str(error)[:200]}",
                    "repeat the same `mcrisk run` command: it writes them anew",
                ) from error  # fmt: skip
            except BaseException:
                lock.release()
                raise

    # ------------------------------------------------------------------ what is there
    def done(self) -> np.ndarray:
        """Paths stored per block, int32 [venue, scenario, block]; −1 = the mark cannot be read, and counts as none."""
        return _marks(self.root["blocks/done"])

    def marks(self) -> list[tuple[Block, int]]:
        """Every block of the plan, in plan order, and the paths stored of it, as in `done`."""
        found = {kind: _marks(self.root[f"blocks/{kind}done"]) for kind in self.plan.kinds}
        return [(block, int(found[block.kind][block.index])) for block in self.plan.blocks()]

    def pending(self) -> list[Block]:
        """Blocks of the plan that are not complete in the store, in plan order."""
        return [block for block, stored in self.marks() if stored < block.n]

    def forget(self, blocks: list[Block]) -> None:
        """Mark blocks as not done, so that they are computed again."""
        with zarr_settings():
            for block in blocks:
                self.root[f"blocks/{block.kind}done"][block.index] = 0
                self.root.attrs["complete"] = False

    def extend(self, plan: Plan) -> None:
        """Make room for the paths of `plan`, if it has more than the store; what is done stays."""
        with zarr_settings(), failing_clearly(self.path):
            self.plan = _adopt(self.root, plan)

    def sweep(self) -> None:
        """Remove temporary files that a killed writer left behind."""
        self.place.sweep()

    def note(self, **attributes: Any) -> None:
        """Set attributes of the run and refresh the consolidated metadata."""
        with zarr_settings(), failing_clearly(self.path):
            self.root.attrs.update(attributes)
            zarr.consolidate_metadata(self.place.text)
            self.root = zarr.open_group(self.place.text, mode="r+", use_consolidated=False)

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self.root.attrs)

    def close(self) -> None:
        self.lock.release()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _marks(array: zarr.Array) -> np.ndarray:
    """All marks of one array; −1 where one is damaged, so that a flipped bit costs one block and not the run."""
    try:
        return array[...]
    except McriskError:
        raise
    except Exception as error:  # decoders raise whatever a damaged chunk makes them raise
        if remote_error(error):
            raise
    found = np.full(array.shape, -1, array.dtype)
    for index in np.ndindex(array.shape):
        with suppress(Exception):
            found[index] = array[index]
    return found


# ---------------------------------------------------------------------- writing one block (runs in the workers)
_open: dict[tuple[str, str], zarr.Group] = {}


def write_block(url: str, session: str, plan: Plan, block: Block, result: Any) -> int:
    """Store one block: results, then sums, then the mark that it is done. Returns the digest of its per-path results.

    Args:
        url: path of the store as the worker sees it.
        session: changes with every run, so that a long-lived worker does not use an outdated shape.
        result: `engine.simulate.BlockResult`.

    Raises:
        RunFailed: the result has not the shape the plan says.
        InputError: the disk is full or not writable.
    """
    _check_result(plan, block, result)
    key = (url, session)
    with zarr_settings(), failing_clearly(url):
        if key not in _open:
            _open.clear()
            _open[key] = zarr.open_group(url, mode="r+", use_consolidated=True)
        root = _open[key]
        write = {"": _write_base, "variant_": _write_variant, f"{TWIN}_": _write_twin}[block.kind]
        digest = write(root, plan, block, result)
        root[f"blocks/{block.kind}digest"][block.index] = np.uint64(digest)
        root[f"blocks/{block.kind}seconds"][block.index] = float(result.seconds)
        root[f"blocks/{block.kind}done"][block.index] = np.int32(block.n)
    return digest


def digest_of(arrays: Iterable[np.ndarray]) -> int:
    """64-bit hash of the bytes of arrays, one after the other."""
    digest = hashlib.blake2b(digest_size=8)
    for values in arrays:
        digest.update(np.ascontiguousarray(values).tobytes())
    return int.from_bytes(digest.digest(), "little")


def _write_base(root: zarr.Group, plan: Plan, block: Block, result: Any) -> int:
    v, s, b = block.index
    rows = slice(block.first_path, block.first_path + block.n)
    columns = {field.name: np.asarray(result.paths[field.name], dtype=field.dtype) for field in plan.layout.fields}
    for name, values in columns.items():
        root[f"paths/{name}"][v, s, rows] = values
    for name, (dtype, shape, _) in block_arrays(plan).items():
        values = result.bands[name[5:]] if name.startswith("band_") else result.accounts[name]
        whole = np.zeros(shape, dtype)  # a smaller book or histogram leaves the end of the axis at zero
        whole[tuple(slice(0, n) for n in values.shape)] = values
        root[f"blocks/{name}"][v, s, b] = whole
    return digest_of(columns.values())


def _write_variant(root: zarr.Group, plan: Plan, block: Block, result: Any) -> int:
    k, v, s, _ = block.index
    rows = slice(block.first_path, block.first_path + block.n)
    table = np.stack([np.asarray(result.paths[name], dtype=np.float64) for name in plan.variant_fields])
    root["variants/value"][k, v, s, :, rows] = table
    return digest_of([table])


def _write_twin(root: zarr.Group, plan: Plan, block: Block, result: Any) -> int:
    v, s, _ = block.index
    table = np.stack([np.asarray(result.paths[name], dtype=np.float64) for name in plan.twin.fields])
    root[f"{TWIN}/value"][v, s, :, block.first_path : block.first_path + block.n] = table
    return digest_of([table])


def _check_result(plan: Plan, block: Block, result: Any) -> None:
    """A block of the wrong shape must not reach the store: zarr would broadcast it. Raises RunFailed."""
    problems = [f.name for f in plan.layout.fields if np.shape(result.paths.get(f.name, 0)) != (block.n,)]
    if not block.variant:
        for name, (_, shape, _) in block_arrays(plan).items():
            source = result.bands.get(name[5:]) if name.startswith("band_") else result.accounts.get(name)
            got = np.shape(source) if source is not None else ()
            if len(got) != len(shape) or any(n > limit for n, limit in zip(got, shape)):
                problems.append(name)
    if problems:
        raise RunFailed(
            "the engine returned a block of another shape than planned", block.label,
            f"missing or misshapen: {', '.join(problems[:6])}", "this is a fault of mcrisk; please report it",
        )  # fmt: skip


@contextmanager
def failing_clearly(path: Path | str):
    """Turn errors of the file system into an InputError that says what to do; what is done stays."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise InputError(
                "no space left for the results", str(path), os.strerror(error.errno),
                "free space and repeat the same command: finished blocks are kept",
            ) from None  # fmt: skip
        raise InputError(
            "the results cannot be written", str(path), error.strerror or str(error),
            "check the path and its permissions, or give another --out; repeating the command resumes",
        ) from None  # fmt: skip
    except Exception as error:
        if not remote_error(error):
            raise
        raise InputError(
            "the results cannot be written", str(path), f"{type(error).__name__}: {str(error)[:300]}",
            "check URL, credentials and network; finished blocks are kept, repeating the command resumes",
        ) from None  # fmt: skip


# ---------------------------------------------------------------------- creating and adopting
def read_attributes(path: str | Path) -> dict[str, Any] | None:
    """Attributes of the run stored at a path or URL; None if there is no run. Reads one file, executes nothing."""
    return _attributes_in(place_of(path).document())


def _attributes_in(document: Any) -> dict[str, Any] | None:
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return attributes if isinstance(attributes, dict) and attributes.get("mcrisk_format") else None


def _is_run(place: Place) -> bool:
    """True if a run is there, False if the place is free. Raises InputError for anything else."""
    try:
        attributes = _attributes_in(place.document())
        if attributes is None and place.is_free():
            return False
    except OSError as error:
        raise InputError("the output path cannot be read", place.text, error.strerror, "give another --out") from None
    if attributes is None:
        raise InputError(
            "the output path exists and is not an mcrisk run",
            place.text,
            "nothing of yours is overwritten",
            "give another --out",
        )
    if attributes["mcrisk_format"] != FORMAT:
        raise InputError(
            f"the store has format {attributes['mcrisk_format']}, this mcrisk writes {FORMAT}", place.text,
            None, "give another --out, or use the version named in its attributes",
        )  # fmt: skip
    return True


def _create(place: Place, plan: Plan, identity: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Lay the store out aside and bring it to its place in one step. False if another run was faster."""

    def build(folder: str) -> None:
        root = zarr.create_group(folder, zarr_format=3)
        lay_out(root, plan)
        root.attrs.update(_root_attributes(plan, identity, attributes))
        zarr.consolidate_metadata(folder)

    try:
        if isinstance(place, LocalPlace):
            place.path.parent.mkdir(parents=True, exist_ok=True)
        with failing_clearly(place.text):
            place.publish(build)
        return True
    except OSError as error:
        raise InputError(
            "the output folder cannot be made", place.text, error.strerror, "give another --out"
        ) from None
    except InputError:
        if _attributes_in(place.document()) is not None:
            return False
        raise


def _root_attributes(plan: Plan, identity: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "mcrisk_format": FORMAT,
        "fingerprint": prints.fingerprint(identity),
        "identity": identity,
        "complete": False,
        "paths": plan.paths,
        "block_paths": plan.block_paths,
        "variant_block": plan.variant_block,
        **attributes,
    }


def _adopt(root: zarr.Group, plan: Plan) -> Plan:
    """The plan with the store's block size; the store with the plan's paths, if it has fewer."""
    stored = int(root.attrs["paths"])
    plan = replace(
        plan,
        block_paths=int(root.attrs["block_paths"]),
        paths=max(plan.paths, stored),
        variant_block=int(root.attrs["variant_block"]),
    )
    changed = False
    if root["paths/path"].shape[0] != plan.paths or stored != plan.paths:
        # Marked unfinished first and resized last-but-one: a kill in between leaves a store that resumes.
        root.attrs["complete"] = False
        resize(root, plan)
        root.attrs["paths"] = plan.paths
        changed = True
    if plan.variants and not _same_variants(root, plan):
        root.attrs["complete"] = False
        for name in ("variants", "blocks/variant_done", "blocks/variant_digest", "blocks/variant_seconds"):
            if name in root:
                del root[name]
        lay_variants(root, plan)
        changed = True
    if changed:
        zarr.consolidate_metadata(root.store)
    return plan


def _same_variants(root: zarr.Group, plan: Plan) -> bool:
    """True if the stored /variants was laid out for the plan's variants and fields."""
    if "variants" not in root or "blocks/variant_done" not in root:
        return False
    stored = stored_plan(root)
    asked = [(v.name, set(v.venues), set(v.scenarios), v.paths, v.text) for v in plan.variants]
    there = [(v.name, set(v.venues), set(v.scenarios), v.paths, v.text) for v in stored.variants]
    return asked == there and stored.variant_fields == plan.variant_fields


def _refuse_full(place: Place, plan: Plan) -> None:
    """Refuse before computing when the disk has less room than the store will take."""
    free = place.free_bytes()
    if free is not None and free < plan.store_bytes():
        raise InputError(
            f"the store will need about {plan.store_bytes() / 2**20:,.0f} MiB, {free / 2**20:,.0f} MiB are free",
            place.text, None, "free space, ask for fewer --paths, or give another --out",
        )  # fmt: skip


__all__ = ["LOCK_NAME", "RunStore", "digest_of", "failing_clearly", "read_attributes", "write_block"]
