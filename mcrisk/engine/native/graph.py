"""From jaxprs to blocks of equations in the form the C emitter works on.

Axes of length one are dropped, so a market axis of one market costs nothing. Broadcasts, slices and reshapes become
views (`View`: a root value, strides and an offset), never copies. Blocks nest like the control flow; inner blocks refer
to values of outer ones directly, so nothing is passed. Scalars that do not change in a loop are hoisted out of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

PAD = 8          # rows of at least this many elements are padded to a multiple of it: two vectors of four
DTYPES = ("float64", "float32", "int32", "int64", "uint32", "uint64", "bool")


class Unsupported(Exception):
    """Something in a jaxpr that has no C form yet; the text names it."""


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` without axes of length one."""
    if any(n == 0 for n in shape):
        raise Unsupported(f"an array of shape {shape} without elements")
    return tuple(int(n) for n in shape if n != 1)


def layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Strides and number of 8-byte slots of a stored array of (squeezed) `shape`."""
    if not shape:
        return (), 1
    width = -(-shape[-1] // PAD) * PAD if shape[-1] >= PAD else shape[-1]
    strides, step = [1], width
    for n in reversed(shape[:-1]):
        strides.append(step)
        step *= n
    return tuple(reversed(strides)), step


class Value:
    """What an equation, an input or a loop defines once (in SSA sense)."""

    __slots__ = ("id", "shape", "dtype", "block", "eqn", "table", "storage", "live", "frame", "mutable", "label", "alias")

    def __init__(self, ident: int, shape: tuple[int, ...], dtype: str, block: Block, eqn: Eqn | None = None):
        if dtype not in DTYPES or (dtype == "float32" and shape):
            raise Unsupported(f"{'an array' if shape else 'a scalar'} of type {dtype}")
        self.id, self.shape, self.dtype, self.block, self.eqn = ident, shape, dtype, block, eqn
        self.table: str | None = None   # C name of the read-only table it lives in
        self.storage: Any = None        # emitter.Storage once stored
        self.live = False               # scalar: its statement has been written
        self.frame = False              # scalar: read or written in another C function
        self.mutable = False            # scalar: assigned more than once (loops, branches)
        self.alias: Value | None = None  # scalar: the loop variable in whose place it stands
        self.label = "x"                # what the rule calls it

    @property
    def parameter(self) -> bool:
        """A scalar at a fixed place of an input that all paths share: it may be read again instead of handed on."""
        eqn = self.eqn
        return (self.block.depth == 0 and eqn is not None and eqn.prim == "load" and eqn.ins[0].root.table is not None
                and not eqn.ins[0].dyn)

    @property
    def name(self) -> str:
        """Its identifier in the source, where it is a scalar."""
        return f"{self.label}_{self.id}"

    @property
    def is_index(self) -> bool:
        return self.eqn is not None and self.eqn.prim == "iota"


class Const:
    """A scalar known when the source is written."""

    __slots__ = ("value", "dtype")
    shape: tuple[int, ...] = ()

    def __init__(self, value: Any, dtype: str):
        self.value, self.dtype = np.asarray(value, dtype).item(), str(np.dtype(dtype))

    def key(self) -> tuple:
        return ("c", self.dtype, repr(self.value))


class View:
    """Elements of `root` seen under another shape: slot = offset + Σ dyn·stride + Σ index·stride."""

    __slots__ = ("root", "shape", "strides", "offset", "dyn")

    def __init__(self, root: Value, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, dyn: tuple = ()):
        self.root, self.shape, self.strides, self.offset, self.dyn = root, shape, strides, offset, dyn

    @property
    def dtype(self) -> str:
        return self.root.dtype

    def key(self) -> tuple:
        return (self.root.id, self.shape, self.strides, self.offset, tuple((d.key(), s) for d, s in self.dyn))

    def is_whole(self) -> bool:
        return (self.shape == self.root.shape and self.offset == 0 and not self.dyn
                and self.strides == layout(self.root.shape)[0])


Operand = Const | View


def whole(value: Value) -> View:
    """All of a value."""
    return View(value, value.shape, layout(value.shape)[0])


class Eqn:
    """One equation. `blocks` hold branches or bodies; `note` names the rule it comes from."""

    __slots__ = ("prim", "ins", "outs", "params", "blocks", "note", "cached_reads")

    def __init__(self, prim: str, ins: list[Operand], params: dict | None = None, blocks: list[Block] | None = None):
        self.prim, self.ins, self.params, self.blocks = prim, ins, params or {}, blocks or []
        self.outs: list[Value] = []
        self.note = ""
        self.cached_reads: frozenset[Value] | None = None


class Block:
    """Equations that run together: the whole, a path, a branch, or the body of a loop."""

    def __init__(self, parent: Block | None, kind: str):
        self.parent, self.kind = parent, kind
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.eqns: list[Eqn] = []
        self.outs: list[Operand] = []
        self.known: dict[tuple, list[Operand]] = {}
        self.function: str | None = None   # name of its own C function, where it has one
        self.results: list[Value] = []     # variables of the owning equation that `outs` are assigned to
        self.collected: tuple | None = None  # (results, loop number, length) of a scan's stacked outputs
        self.external: list | None = None  # (buffer, slots) of results that leave the source, and the path's number
        self.number: Value | None = None
        self.targets: dict = {}            # buffers of array results, for the second half of a `while`

    @property
    def repeats(self) -> bool:
        return self.kind in ("path", "body")

    def function_of(self) -> str:
        """Name of the C function this block is written into."""
        block: Block | None = self
        while block.function is None:
            block = block.parent
        return block.function

    def size(self) -> int:
        return len(self.eqns) + sum(b.size() for e in self.eqns for b in e.blocks if b.function is None)


def operand_roots(operand: Operand) -> list[Value]:
    """Values an operand reads."""
    if isinstance(operand, Const):
        return []
    return [operand.root, *(r for d, _ in operand.dyn for r in operand_roots(d))]


def reads(eqn: Eqn) -> frozenset[Value]:
    """Values of enclosing blocks and of this one that an equation needs; index arrays are made where they are used."""
    if eqn.cached_reads is None:
        found = {r for operand in eqn.ins for r in operand_roots(operand)}
        for block in eqn.blocks:
            found |= block_reads(block)
        found -= set(eqn.outs)
        eqn.cached_reads = frozenset(v for v in found if not v.is_index)
    return eqn.cached_reads


def block_reads(block: Block) -> set[Value]:
    """Values from outside that a block needs."""
    found = {r for operand in block.outs for r in operand_roots(operand)}
    for eqn in block.eqns:
        found |= reads(eqn)
    return {v for v in found if not v.is_index and v.block.depth < block.depth}


def prune(block: Block) -> None:
    """Drop equations whose results nobody reads (innermost blocks first)."""
    for eqn in block.eqns:
        for inner in eqn.blocks:
            prune(inner)
    needed = {r for operand in block.outs for r in operand_roots(operand)}
    kept = []
    for eqn in reversed(block.eqns):
        eqn.cached_reads = None
        if eqn.prim in ("rest", "foreach") or any(out in needed for out in eqn.outs):
            kept.append(eqn)
            needed |= {r for operand in eqn.ins for r in operand_roots(operand)}
            for inner in eqn.blocks:
                needed |= block_reads(inner)
    block.eqns = kept[::-1]


def all_blocks(block: Block) -> list[Block]:
    """A block and everything inside it."""
    return [block, *(b for e in block.eqns for inner in e.blocks for b in all_blocks(inner))]


def spread_axes(operand: Operand, old: tuple[int, ...], new: tuple[int, ...]) -> Operand:
    """An operand whose axes of length one stand for the length of the result's."""
    if isinstance(operand, Const) or len(old) != len(new) or operand.shape == squeezed(new):
        return operand
    strides = iter(operand.strides)
    full = [next(strides) if n != 1 else 0 for n in old]
    kept = tuple(s for s, n in zip(full, new) if n != 1)
    return View(operand.root, squeezed(new), kept, operand.offset, operand.dyn)
