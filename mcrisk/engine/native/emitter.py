"""Scheduling of a block and storage: which scalars, loops and control flow come when, and which buffer an array lives in.

Scalars are written as soon as they are ready. One loop then takes every array equation that is ready over the same shape
and is needed now (by a reduction, or because its result has to be stored); what only later loops need waits for them.
Arrays live in buffers of one arena, returned when their last reader has been written; results of branches, loops and
scatters take over the buffer of an operand that dies with them, so that account rows are updated in place.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from mcrisk.engine.native.access import from_slot, to_slot
from mcrisk.engine.native.graph import Block, Const, Eqn, Operand, Value, View, layout, operand_roots, reads
from mcrisk.engine.native.primitives import C_TYPE, REDUCTIONS, Call, literal, scalar_text

FLOW = ("cond", "for", "while", "rest", "scatter", "assemble", "foreach", "empty")


class Storage:
    """A buffer: a stretch of the arena, or a read-only table. `home` is the block writer that may give it back."""

    __slots__ = ("name", "slots", "owner", "home", "fixed")

    def __init__(self, name: str, slots: int, fixed: bool = False):
        self.name, self.slots, self.fixed = name, slots, fixed
        self.owner: Value | None = None
        self.home: Any = None


class Function:
    """One C function being written."""

    def __init__(self, name: str):
        self.name, self.lines, self.depth = name, [], 1
        self.buffers: set[str] = set()

    def put(self, line: str) -> None:
        self.lines.append("  " * self.depth + line)


class Emitter:
    """State of one source: arena, functions in order of completion."""

    def __init__(self) -> None:
        self.used = 0                                  # slots of the arena
        self.free: dict[int, list[Storage]] = {}
        self.offsets: dict[str, int] = {}
        self.done: list[Function] = []
        self.frame: list[tuple[str, str]] = []         # (C type, name) of scalars shared between functions
        self.serial = 0
        self.spans: set[int] = set()                   # lengths of axes of which only the first `f->span…` are in use

    def take(self, shape: tuple[int, ...], home: Any) -> Storage:
        """A buffer for an array of `shape`."""
        slots = -(-layout(shape)[1] // 8) * 8
        if self.free.get(slots):
            storage = self.free[slots].pop()
        else:
            storage = Storage(f"b{len(self.offsets)}", slots)
            self.offsets[storage.name] = self.used
            self.used += slots
        storage.home = home
        return storage

    def give(self, storage: Storage) -> None:
        storage.owner = storage.home = None
        self.free.setdefault(storage.slots, []).append(storage)

    def fresh(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"


class BlockWriter:
    """Writes one block into a function. `donated`: outer values whose buffers may be overwritten here once read."""

    def __init__(self, em: Emitter, block: Block, fn: Function, donated: frozenset[Value] = frozenset(),
                 targets: dict[int, Storage] | None = None):
        self.em, self.block, self.fn, self.donated, self.targets = em, block, fn, donated, targets or {}
        self.pending = list(block.eqns)
        self.remaining: Counter[Value] = Counter()
        for eqn in block.eqns:
            self.remaining.update(v for v in reads(eqn) if v.shape)
        self.remaining.update({r for o in block.outs for r in operand_roots(o) if r.shape})
        self.hints: dict[Value, Storage] = {}
        self.must: set[Value] = self._stored_values()
        self.note = ""
        self._spread_hints()

    # ------------------------------------------------------------------ planning
    def _stored_values(self) -> set[Value]:
        """Arrays of this block that cannot stay inside one loop."""
        found = {r for o in self.block.outs for r in operand_roots(o) if r.shape}
        for eqn in self.block.eqns:
            if self.is_loop(eqn):
                for operand in eqn.ins:
                    if isinstance(operand, View) and operand.root.shape:
                        gathered = eqn.prim in ("gather", "fold") and operand is eqn.ins[0]
                        if gathered or not operand.is_whole() or operand.shape != self.domain(eqn):
                            found.add(operand.root)
            else:
                found |= {v for v in reads(eqn) if v.shape}
        return found

    def _spread_hints(self) -> None:
        """Where results should end decides where their sources are put."""
        for i, operand in enumerate(self.block.outs):
            if i in self.targets and isinstance(operand, View) and operand.is_whole():
                self.hints.setdefault(operand.root, self.targets[i])
        for eqn in reversed(self.block.eqns):
            if eqn.prim in ("for", "while"):
                pairs = list(zip(eqn.outs, eqn.ins))
            elif eqn.prim == "scatter":
                pairs = [(eqn.outs[0], eqn.ins[0])]
            else:
                continue
            for out, source in pairs:
                if out in self.hints and isinstance(source, View) and source.is_whole():
                    self.hints.setdefault(source.root, self.hints[out])

    @staticmethod
    def domain(eqn: Eqn) -> tuple[int, ...]:
        """Shape of the loop an array equation runs in."""
        return eqn.ins[0].shape if eqn.prim in REDUCTIONS else eqn.outs[0].shape

    def is_loop(self, eqn: Eqn) -> bool:
        return eqn.prim not in FLOW and (bool(eqn.outs[0].shape) or eqn.prim in REDUCTIONS or eqn.prim == "fold")

    # ------------------------------------------------------------------ the order
    def write(self) -> None:
        """The whole block, then its results into their targets."""
        from mcrisk.engine.native.batches import write_groups, write_scalars
        from mcrisk.engine.native.control import finish

        self.pending = [e for e in self.pending if e.prim != "iota"]
        while self.pending:
            before = len(self.pending)
            write_scalars(self)
            if self._loop() or self._flow() or write_groups(self, full=False):
                continue
            if len(self.pending) == before:
                raise AssertionError(f"nothing is ready: {[e.prim for e in self.pending][:5]}")
        finish(self)

    def available(self, value: Value) -> bool:
        """Can `value` be read now, from outside a loop?"""
        if value.is_index:
            return True
        return value.storage is not None if value.shape else value.live or value.mutable

    def _ready(self, eqn: Eqn) -> bool:
        return all(self.available(v) for v in reads(eqn))

    def _scalar(self, eqn: Eqn) -> None:
        self.comment(eqn)
        out = eqn.outs[0]
        if eqn.prim == "load":
            text = self.element(eqn.ins[0], self.slot(eqn.ins[0], []))
        elif eqn.prim == "gather":
            text = self.gathered(eqn, [])
        elif eqn.prim == "span":
            text = self.text(eqn.ins[0])
            self.fn.put(f"f->span{eqn.params['axis']} = {text};")
        else:
            text = scalar_text(eqn.prim, self.call(eqn, [self.text(o) for o in eqn.ins]))
        self.define(out, text)

    def comment(self, eqn: Eqn) -> None:
        if eqn.note and eqn.note != self.note:
            self.note = eqn.note
            self.fn.put(f"/* {eqn.note} */")

    def _loop(self) -> bool:
        from mcrisk.engine.native.loops import write_loop

        tried = set()
        for eqn in self.pending:
            if not self.is_loop(eqn) or self.domain(eqn) in tried:
                continue
            tried.add(self.domain(eqn))
            members = self._members(self.domain(eqn))
            if members:
                write_loop(self, self.domain(eqn), members)
                chosen = set(map(id, members))
                self.pending = [e for e in self.pending if id(e) not in chosen]
                for member in members:
                    self.release(member)
                return True
        return False

    def _members(self, domain: tuple[int, ...]) -> list[Eqn]:
        """Equations of one loop: all that are ready and needed now, with what they need."""
        inside: dict[Value, Eqn] = {}
        ready: list[Eqn] = []
        axes = None  # of the reductions; all in one loop run over the same
        for eqn in self.pending:
            if self.is_loop(eqn) and self.domain(eqn) == domain and self._ready_inside(eqn, inside):
                if eqn.prim in REDUCTIONS:
                    axes = eqn.params["axes"] if axes is None else axes
                    if eqn.params["axes"] != axes:
                        continue
                ready.append(eqn)
                if eqn.prim not in REDUCTIONS:
                    inside[eqn.outs[0]] = eqn
        keep: set[int] = set()
        for eqn in reversed(ready):
            if eqn.prim in REDUCTIONS or eqn.outs[0] in self.must or id(eqn) in keep:
                keep.add(id(eqn))
                keep |= {id(inside[r]) for o in eqn.ins for r in operand_roots(o) if r in inside}
        if not keep:
            return []
        later = set()
        for eqn in ready:  # a result only later loops read waits, unless waiting would store one of its operands
            if id(eqn) in keep:
                continue
            local = [inside[r] for o in eqn.ins for r in operand_roots(o) if r in inside]
            if all(id(e) in later or e.outs[0] in self.must for e in local):
                later.add(id(eqn))
            else:
                keep.add(id(eqn))
                keep |= {id(e) for e in local}
        return self._closed([e for e in ready if id(e) in keep], inside, keep)

    @staticmethod
    def _closed(members: list[Eqn], inside: dict[Value, Eqn], keep: set[int]) -> list[Eqn]:
        """Members with all their operands made in the loop."""
        by_id = {id(e): e for e in inside.values()}
        stack = list(members)
        while stack:
            for operand in stack.pop().ins:
                for root in operand_roots(operand):
                    if root in inside and id(inside[root]) not in keep:
                        keep.add(id(inside[root]))
                        stack.append(inside[root])
        chosen = {id(e): e for e in members} | {i: e for i, e in by_id.items() if i in keep}
        return sorted(chosen.values(), key=lambda e: e.outs[0].id)

    def _ready_inside(self, eqn: Eqn, inside: dict[Value, Eqn]) -> bool:
        for operand in eqn.ins:
            for root in operand_roots(operand):
                if self.available(root):
                    continue
                if root not in inside or root is not operand.root or not operand.is_whole():
                    return False
                if eqn.prim in ("gather", "fold") and operand is eqn.ins[0]:
                    return False
        return True

    def _flow(self) -> bool:
        from mcrisk.engine.native.control import write_flow

        for i, eqn in enumerate(self.pending):
            if eqn.prim in FLOW and self._ready(eqn):
                del self.pending[i]
                self.comment(eqn)
                write_flow(self, eqn)
                self.note = ""
                return True
        return False

    # ------------------------------------------------------------------ storage
    def owns(self, value: Value) -> bool:
        """May this block overwrite the value's buffer once nobody reads it?"""
        mine = value.block is self.block or value in self.donated
        return mine and value.storage is not None and not value.storage.fixed

    def dies_with(self, value: Value, readers: int = 1) -> bool:
        return self.owns(value) and self.remaining[value] <= readers and value.storage.owner is value

    def release(self, eqn: Eqn) -> None:
        """The equation is written: buffers of operands that nobody reads any more go back."""
        for value in reads(eqn):
            if value.shape:
                self.remaining[value] -= 1
                self.drop(value)
        for out in eqn.outs:
            if out.shape and self.remaining[out] == 0:
                self.drop(out)

    def drop(self, value: Value) -> None:
        storage = value.storage
        if self.remaining[value] <= 0 and storage is not None and storage.owner is value and storage.home is self:
            self.em.give(storage)

    def occupied(self, storage: Storage, dying: tuple[Value, ...] = ()) -> bool:
        """Does a value that is still to be read live in `storage`?"""
        return any(n > 0 and v.storage is storage and v not in dying for v, n in self.remaining.items())

    def place(self, value: Value, dying: tuple[Value, ...] = ()) -> Storage:
        """A buffer for a new array: where it should end if that is free, else from the arena."""
        hint = self.hints.get(value)
        if hint is not None and not self.occupied(hint, dying):
            value.storage, hint.owner = hint, value
            return hint
        value.storage = self.em.take(value.shape, self)
        value.storage.owner = value
        return value.storage

    # ------------------------------------------------------------------ texts
    def text(self, operand: Operand) -> str:
        """A scalar operand."""
        if isinstance(operand, Const):
            return literal(operand.value, operand.dtype)
        return self.name(operand.root)

    def name(self, value: Value) -> str:
        while value.alias is not None:
            value = value.alias
        elsewhere = value.block.function_of() != self.fn.name
        if value.parameter and elsewhere:   # the target says whether the frame keeps it or it is read again
            view = value.eqn.ins[0]
            return f"PARAM(f->{value.name}, {self.element(view, self.slot(view, []))})"
        if value.frame and (value.mutable or elsewhere):
            return f"f->{value.name}"
        return value.name

    def define(self, value: Value, text: str) -> None:
        """A scalar gets its value; one that other functions read goes into the frame as well."""
        value.live = True
        kind = C_TYPE[value.dtype]
        if value.frame:
            text = f"KEEP(f->{value.name}, {text})" if value.parameter else f"f->{value.name} = {text}"
        self.fn.put(f"const {kind} {value.name} = {text};")

    def declare(self, value: Value) -> None:
        """A scalar that branches or loops assign."""
        value.live = value.mutable = True
        if not value.frame:
            self.fn.put(f"{C_TYPE[value.dtype]} {value.name};")

    def open_result(self, value: Value) -> None:
        """A scalar that the end of a loop assigns."""
        self.fn.put(f"{C_TYPE[value.dtype]} {value.name};")

    def close_result(self, value: Value) -> None:
        value.live = True
        if value.frame:
            self.fn.put(f"f->{value.name} = {value.name};")

    def call(self, eqn: Eqn, args: list[str]) -> Call:
        return Call(args, [o.dtype for o in eqn.ins], eqn.outs[0].dtype, eqn.params, [isinstance(o, Const) for o in eqn.ins])

    def buffer(self, value: Value) -> str:
        """C name of the buffer an array is stored in."""
        self.fn.buffers.add(value.storage.name)
        return value.storage.name

    def slot(self, view: View, index: list[str]) -> str:
        """Index expression of an element, in slots."""
        parts = [str(view.offset)] if view.offset else []
        for operand, stride in view.dyn:
            parts.append(f"{self.text(operand)} * {stride}" if stride != 1 else self.text(operand))
        for name, stride in zip(index, view.strides):
            if stride:
                parts.append(f"{name} * {stride}" if stride != 1 else name)
        return " + ".join(parts) or "0"

    def element(self, view: View, slot: str) -> str:
        """One element as a scalar of its own type."""
        if view.root.is_index:
            return f"(({C_TYPE[view.dtype]})({slot}))"
        return from_slot(self.buffer(view.root), slot, view.dtype)

    def gathered(self, eqn: Eqn, index: list[str], local: Any = None) -> str:
        """An element at computed positions, under the equation's bounds mode."""
        p, base = eqn.params, eqn.ins[0]
        texts = [local(o) if local else self.text(o) for o in eqn.ins[1:]]
        parts, inside = [str(base.offset)], []
        for operand, stride in base.dyn:
            parts.append(f"{self.text(operand)} * {stride}")
        parts += [f"{i} * {s}" for i, s in zip(index, p["strides"]) if s]
        for text, step, limit in zip(texts, p["steps"], p["limits"]):
            parts.append(f"clip64({text}, {limit}) * {step}")
            inside.append(f"(int64_t){text} >= 0 && (int64_t){text} <= {limit}")
        value = from_slot(self.buffer(base.root), " + ".join(parts), base.dtype)
        if p["mode"] != "drop":
            return value
        fill = p["fill"]
        if fill is None:
            fill = {"float64": "NAN", "bool": "true", "int32": "INT32_MIN", "int64": "INT64_MIN", "uint32": "UINT32_MAX",
                    "uint64": "UINT64_MAX"}[base.dtype]
        else:
            fill = literal(fill, base.dtype)
        return f"(({' && '.join(inside)}) ? {value} : {fill})"


__all__ = ["BlockWriter", "Emitter", "Function", "Storage", "from_slot", "to_slot"]
