"""A generated program as its drivers see it, and arrays in the form it reads and writes: 8 bytes per element, rows padded.

Needs NumPy only, so that a machine with a device but without the rest can run a program that another machine wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcrisk.engine.native.graph import layout, squeezed
from mcrisk.engine.native.primitives import SLOT_TYPE
from mcrisk.engine.native.target import C, Target

SMALL = 16         # slots of an input that goes into constant memory
CONSTANT = 7168    # of its 64 KiB, in slots
_WORDS = {"double": np.float64, "int64_t": np.int64, "uint64_t": np.uint64}


@dataclass(frozen=True)
class Slots:
    """How one input or output lies in memory: shape as JAX sees it, type, and 8-byte slots per path."""

    shape: tuple[int, ...]
    dtype: str
    name: str = ""     # its place in the tree of inputs or results

    @property
    def slots(self) -> int:
        return layout(squeezed(self.shape))[1]

    @property
    def word(self) -> type:
        """NumPy type of a slot."""
        return _WORDS[SLOT_TYPE[self.dtype]]


@dataclass(frozen=True)
class Source:
    """A generated program and what its driver has to know."""

    body: str                   # the same for every target
    shared: tuple[Slots, ...]   # inputs common to all paths
    lanes: tuple[Slots, ...]    # scalars per path
    outs: tuple[Slots, ...]     # results per path
    arena: int                  # slots of scratch memory per path under way

    @property
    def text(self) -> str:
        """The C file."""
        return self.for_target(C)

    def for_target(self, target: Target) -> str:
        """The file for one target."""
        return target.text(self.body)


def constant_places(shared: Sequence[Slots]) -> tuple[list[int], int]:
    """Where each input common to all paths stands in constant memory (−1: in ordinary memory), and the slots that takes.

    Constant memory serves a warp that reads one place at a time: scalars and small tables, not what is read by account.
    """
    places, used = [], 0
    for spec in shared:
        small = spec.slots <= SMALL and used + spec.slots <= CONSTANT
        places.append(used if small else -1)
        used += spec.slots if small else 0
    return places, max(used, 1)


def constants(source: Source, arrays: list[np.ndarray]) -> np.ndarray:
    """The contents of constant memory; `arrays` are the inputs common to all paths in slots."""
    places, used = constant_places(source.shared)
    out = np.zeros(used, np.uint64)
    for place, array in zip(places, arrays, strict=True):
        if place >= 0:
            out[place:place + array.size] = array.reshape(-1).view(np.uint64)
    return out


def slot_arrays(source: Source, shared: list[np.ndarray] | None, lanes: list[np.ndarray] | None) -> list[np.ndarray]:
    """Inputs as a source reads them, in its order: those common to all paths, then those per path; None leaves a kind out."""
    common = [] if shared is None else [to_slots(np.asarray(a), spec) for a, spec in zip(shared, source.shared, strict=True)]
    if lanes is None:
        return common
    return common + [np.ascontiguousarray(_wide(np.asarray(a), spec)) for a, spec in zip(lanes, source.lanes, strict=True)]


def _wide(array: np.ndarray, spec: Slots) -> np.ndarray:
    wide = array.astype(spec.word)
    return -wide if spec.dtype == "bool" else wide


def to_slots(array: np.ndarray, spec: Slots) -> np.ndarray:
    """An input as the source reads it: 8 bytes per element, rows padded."""
    shape = squeezed(spec.shape)
    strides, slots = layout(shape)
    out = np.zeros(slots, spec.word)
    seen = np.lib.stride_tricks.as_strided(out, shape, tuple(8 * s for s in strides))
    seen[...] = _wide(array.reshape(shape), spec)
    return out


def from_slots(array: np.ndarray, spec: Slots) -> np.ndarray:
    """[count, slots] as [count, *shape] in its own type."""
    shape = squeezed(spec.shape)
    strides, slots = layout(shape)
    seen = np.lib.stride_tricks.as_strided(array, (len(array), *shape), (8 * slots, *(8 * s for s in strides)))
    narrow = seen != 0 if spec.dtype == "bool" else seen.astype(spec.dtype)
    return np.ascontiguousarray(narrow).reshape(len(array), *spec.shape)
