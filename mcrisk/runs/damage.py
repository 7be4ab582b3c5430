"""Is everything that `done` counts really there and unharmed?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import zarr

from mcrisk.runs.layout import MARKS, block_arrays, zarr_settings
from mcrisk.runs.plan import TWIN, Block
from mcrisk.runs.store import RunStore, digest_of


@dataclass(frozen=True)
class Damage:
    """A finished block that cannot be trusted, or an array made from all of them (`block` is None then), and why."""

    block: Block | None
    reason: str
    where: str = ""  # of an array: its name in the store

    def __str__(self) -> str:
        return f"{self.block.label if self.block else self.where}: {self.reason}"


def find_missing(store: RunStore) -> list[Damage]:
    """Finished blocks with a file that is absent or empty (lost with a crashed disk). Looks at names and sizes only."""
    files = {block: [file.as_posix() for file in block_files(store, block)] for block in _finished(store)}
    sizes = store.place.sizes(chain.from_iterable(files.values()))
    lost = {block: next((name for name in names if sizes[name] == 0), None) for block, names in files.items()}
    return [Damage(block, f"{name} is missing or empty") for block, name in lost.items() if name is not None]


def find_damage(store: RunStore) -> list[Damage]:
    """Finished blocks that cannot be read or have not the digest they were written with, and whatever else cannot be read.

    Reads everything.
    """
    found = [*_unmarked(store), *find_missing(store)]
    known = {damage.block for damage in found}
    with zarr_settings():
        for block in _finished(store):
            if block not in known and (reason := _fault(store, block)):
                found.append(Damage(block, reason))
        return found + _elsewhere(store)


def _unmarked(store: RunStore) -> list[Damage]:
    """Blocks whose mark is unreadable, or gone from a run that was complete."""
    marks = store.marks()
    complete = bool(store.attributes.get("complete"))
    reasons = {True: "its mark cannot be read", False: "it is not marked as done in a run that was complete"}
    return [Damage(b, reasons[mark < 0]) for b, mark in marks if mark < 0 or (complete and mark < b.n)]


def _elsewhere(store: RunStore) -> list[Damage]:
    """Arrays that belong to no block (sums over all blocks, risk numbers, names and axes) and cannot be read."""
    of_blocks = {f"paths/{field.name}" for field in store.plan.layout.fields} | {"variants/value"}
    of_blocks |= {f"blocks/{name}" for name in (*block_arrays(store.plan), "done", "digest", "seconds")}
    of_blocks |= {f"blocks/{kind}_{name}" for kind in ("variant", TWIN) for name in MARKS} | {f"{TWIN}/value"}
    found = []
    for name, array in sorted(store.root.members(max_depth=None)):
        if name in of_blocks or not isinstance(array, zarr.Array):
            continue
        try:
            array[...]
        except Exception as error:  # noqa: BLE001 - as in `_fault`
            found.append(Damage(None, _unreadable(error), f"/{name}"))
    return found


def block_files(store: RunStore, block: Block) -> list[Path]:
    """Files of a block, relative to the store."""
    place = "/".join(str(i) for i in block.index)
    if block.variant == TWIN:
        v, s, b = block.index
        marks = [Path(f"blocks/{TWIN}_{name}/c/{place}") for name in ("digest", "seconds")]
        return [Path(f"{TWIN}/value/c/{v}/{s}/0/{b}"), *marks]
    if block.variant:
        k, v, s, b = block.index
        marks = [Path(f"blocks/variant_{name}/c/{place}") for name in ("digest", "seconds")]
        return [Path(f"variants/value/c/{k}/{v}/{s}/0/{b}"), *marks]
    rows = [Path(f"paths/{field.name}/c/{place}") for field in store.plan.layout.fields]
    for name, (_, shape, _) in block_arrays(store.plan).items():
        rows.append(Path(f"blocks/{name}/c/{place}", *["0"] * len(shape)))
    return rows + [Path(f"blocks/{name}/c/{place}") for name in ("digest", "seconds")]


def _finished(store: RunStore) -> list[Block]:
    return [block for block, stored in store.marks() if stored >= block.n]


def _fault(store: RunStore, block: Block) -> str:
    """Why a block cannot be trusted; "" when it can."""
    root, plan = store.root, store.plan
    rows = slice(block.first_path, block.first_path + block.n)
    try:
        wanted = int(root[f"blocks/{block.kind}digest"][block.index])
        if block.variant:
            group = TWIN if block.variant == TWIN else "variants"
            got = digest_of([np.ascontiguousarray(root[f"{group}/value"][(*block.index[:-1], slice(None), rows)])])
        else:
            v, s, b = block.index
            got = digest_of([root[f"paths/{field.name}"][v, s, rows] for field in plan.layout.fields])
            for name in block_arrays(plan):
                root[f"blocks/{name}"][v, s, b]
    except Exception as error:  # noqa: BLE001 - decoders raise whatever a damaged chunk makes them raise
        return _unreadable(error)
    return "" if got == wanted else "its results are not those it was written with"


def _unreadable(error: Exception) -> str:
    return f"unreadable: {str(error).splitlines()[0][:120] if str(error) else type(error).__name__}"
