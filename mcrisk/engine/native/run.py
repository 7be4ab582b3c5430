"""Driver of the native backend: plans per cell structure, arrays in and out, the call itself (which releases the GIL).

Results of a path depend on the cell and its number only: paths run one after the other, whatever group they come in.
Bits depend on the C library's elementary functions and on the compiler (`compile.environment`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import pickle
import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mcrisk import paths as model
from mcrisk.engine.chosen import chosen_lanes
from mcrisk.engine.native import compile as compiler
from mcrisk.engine.native.graph import Unsupported
from mcrisk.engine.native.slots import Slots, Source, from_slots, slot_arrays
from mcrisk.engine.native.source import generate
from mcrisk.errors import InputError


class Program:
    """A per-path function, compiled. `shared` and `lanes` are trees of arrays or shapes that fix the structure."""

    ahead = True   # vectors: shocks are drawn several rows at a time

    def __init__(self, source: Source, out: Any):
        self.source, self.out = source, out
        self.library = compiler.load(source.text)

    def __call__(self, shared: list[np.ndarray], lanes: list[np.ndarray], count: int) -> list[np.ndarray]:
        """Results [count, …] of the leaves; `lanes` hold one element per path."""
        inputs = slot_arrays(self.source, shared, lanes)
        outs = [np.empty((count, spec.slots), spec.word) for spec in self.source.outs]
        arena = np.zeros(self.source.arena + 8, np.float64)
        start = (-arena.ctypes.data % 64) // 8   # whole cache lines
        pointers = lambda arrays: (ctypes.c_void_p * max(len(arrays), 1))(*[a.ctypes.data for a in arrays])  # noqa: E731
        self.library.mcrisk_run(pointers(inputs), pointers(outs), ctypes.c_int64(count),
                                ctypes.c_void_p(arena.ctypes.data + 8 * start))
        return [from_slots(a, spec) for a, spec in zip(outs, self.source.outs)]


# ---------------------------------------------------------------------- plans
def shapes(tree: Any) -> Any:
    """A tree of arrays as a tree of their shapes."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x)), tree)


@lru_cache(maxsize=1)
def _code_digest() -> str:
    """Everything a generated source depends on besides the structure of the cell."""
    digest = hashlib.sha256(jax.__version__.encode())
    top = Path(__file__).resolve().parents[2]
    for room in ("engine", "rules", "paths"):
        for file in sorted((top / room).rglob("*.py")) + sorted((top / room).rglob("*.h")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


_programs: dict[Any, Program] = {}


def program_of(cell: Any, kind: Any = Program, chosen: Any = None) -> Any:
    """The compiled program of a cell's structure; traced and compiled at most once, kept in memory and on disk.

    `kind` is what makes a source and its result tree callable: `Program` here, its counterparts of `engine.cuda` elsewhere.
    `chosen` decides by its structure which scalars a path has besides its number; None = those of a plain run.
    """
    chosen = chosen_lanes(0, 1, None) if chosen is None else chosen
    structure = jax.tree.structure((cell, chosen))
    kinds = tuple((np.shape(x), jnp.result_type(x).name) for x in jax.tree.leaves(cell))
    if (kind, structure, kinds) not in _programs:
        ahead = getattr(kind, "ahead", False)
        _programs[kind, structure, kinds] = kind(*_plan(cell, chosen, ahead, f"{structure}{kinds}{ahead}"))
    return _programs[kind, structure, kinds]


def _plan(cell: Any, chosen: Any, ahead: bool, structure: str) -> tuple[Source, Any]:
    """Source and result tree, from the cache where the same structure was traced with the same code."""
    name = hashlib.sha256(f"{_code_digest()}{structure}".encode()).hexdigest()[:24]
    file = compiler.cache_folder() / f"{name}.plan"
    try:
        return pickle.loads(file.read_bytes())
    except (OSError, pickle.PickleError, EOFError, AttributeError, ImportError, IndexError):
        pass
    from mcrisk.engine.native.journey import journey

    word = jax.ShapeDtypeStruct((), np.uint64)
    forced = jax.tree.map(lambda x: jax.ShapeDtypeStruct((), x.dtype), chosen)
    try:
        single = (word, word, forced, jax.ShapeDtypeStruct((), np.bool_))
        source, out = generate(partial(journey, ahead=ahead), shapes(cell), single)
    except Unsupported as error:
        raise InputError(
            what="the native backend has no C for this cell", why=f"it does not know {error}",
            remedy="use --backend jax, or add it to mcrisk/engine/native/primitives.py",
        ) from error
    plan = (source, jax.tree.map(lambda x: Slots(tuple(x.shape), np.dtype(x.dtype).name), out))
    _keep(file, pickle.dumps(plan))
    return plan


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    os.replace(name, file)


# ---------------------------------------------------------------------- the drop-in
def run_lanes(cell: Any, first_path: int, lanes: int, forced: Any, dense: bool = False, kind: Any = Program) -> Any:
    """Paths [first_path, first_path + lanes) as `engine.build.run_lanes` returns them, in NumPy arrays.

    `forced`: `simulate.ForcedJumps`, None, or what `chosen_lanes` makes of them.
    """
    chosen = forced if isinstance(forced, model.Forced) else chosen_lanes(first_path, lanes, forced)
    program = program_of(cell, kind, chosen)
    number = np.uint64(first_path) + np.arange(lanes, dtype=np.uint64)
    single = [number & np.uint64(0xFFFFFFFF), number >> np.uint64(32), *jax.tree.leaves(chosen), np.full(lanes, dense)]
    flat = program(jax.tree.leaves(cell), single, lanes)
    out = jax.tree.unflatten(jax.tree.structure(program.out), flat)
    return out._replace(snapshots=jax.tree.map(np.transpose, out.snapshots))
