"""One fused loop over equations of the same shape: vectors of four elements where every equation has a vector form.

Reductions keep one accumulator per lane (two sets in short loops) and add them up in a fixed order at the end, so that a
sum does not depend on the compiler. Loads come first and stores last in every iteration; a result may therefore take
the place of an operand that is read at the same index only.
"""

from __future__ import annotations

from typing import Any

from mcrisk.engine.native.graph import Const, Eqn, Operand, Value, View
from mcrisk.engine.native.primitives import (
    C_TYPE,
    REDUCTIONS,
    SLOT_TYPE,
    SPLAT,
    VECTOR_TYPE,
    Call,
    literal,
    neutral,
    scalar_text,
    vector_text,
)

LANES = 4
SHORT = 14   # statements of a loop body up to which two iterations are interleaved
_STEP = {"reduce_sum": "add", "reduce_prod": "mul", "reduce_max": "max", "reduce_min": "min", "reduce_or": "or",
         "reduce_and": "and"}


def write_loop(writer: Any, domain: tuple[int, ...], members: list[Eqn]) -> None:
    """Write the loop of `members`, store what is read after it, define what it reduces to."""
    FusedLoop(writer, domain, members).write()


class FusedLoop:
    def __init__(self, writer: Any, domain: tuple[int, ...], members: list[Eqn]):
        self.w, self.domain, self.members = writer, domain, members
        self.made = {e.outs[0] for e in members if e.prim not in REDUCTIONS}
        self.inner = domain[-1]
        self.vector = self.inner >= 8 and all(self._has_vector(e) for e in members)
        self.spanned = self.inner in writer.em.spans
        self.bound = "n" if self.spanned else str(self.inner)
        self.index = [f"i{d}" for d in range(len(domain))]
        inside = {r: 0 for r in self.made}
        for eqn in members:
            for operand in eqn.ins:
                if isinstance(operand, View) and operand.root in inside:
                    inside[operand.root] += 1
        self.stores = [e for e in members if e.outs[0] in self.made and self._needed_after(e.outs[0])]
        self.reductions = [e for e in members if e.prim in REDUCTIONS]
        short = len(members) <= SHORT and bool(self.reductions) and self.inner >= 64
        self.copies = 2 if self.vector and short else 1
        self.splats: dict[int, str] = {}
        self.accumulators: dict[Eqn, str] = {}

    def _needed_after(self, value: Value) -> bool:
        here = sum(1 for e in self.members if any(isinstance(o, View) and o.root is value for o in e.ins))
        return self.w.remaining[value] > here

    def _has_vector(self, eqn: Eqn) -> bool:
        if any(isinstance(o, View) and o.strides and o.strides[-1] not in (0, 1) and o.root not in self.made
               for o in eqn.ins if eqn.prim != "fold"):
            return False
        if eqn.prim == "fold":
            view, extra = eqn.ins[0], eqn.params["axes"]
            return view.strides[-1 - extra] == 1 and eqn.params["by"] in ("reduce_sum", "reduce_or", "reduce_and")
        if eqn.prim in REDUCTIONS:
            return not (eqn.outs[0].dtype in ("int32", "uint32") and eqn.prim in ("reduce_sum", "reduce_prod"))
        if eqn.outs[0].dtype == "float32" or any(o.dtype == "float32" for o in eqn.ins):
            return False
        call = Call(["a", "b", "c"][: len(eqn.ins)], [o.dtype for o in eqn.ins], eqn.outs[0].dtype, eqn.params,
                    [isinstance(o, Const) for o in eqn.ins])
        return eqn.prim != "gather" and bool(vector_text(eqn.prim, call))

    # ------------------------------------------------------------------ the frame of the loop
    def write(self) -> None:
        w = self.w
        for eqn in self.reductions:
            if eqn.outs[0].shape:
                w.place(eqn.outs[0])
            else:
                w.open_result(eqn.outs[0])
        self._place_stores()
        w.fn.put("{")
        w.fn.depth += 1
        if self.spanned:
            w.fn.put(f"const int64_t n = f->span{self.inner};")
        self._splat_scalars()
        depth = self._reduced_axes()
        for level, name in enumerate(self.index):
            if depth is not None and level == len(self.domain) - depth:
                self._open_accumulators()
            if level < len(self.domain) - 1:
                w.fn.put(f"for (int64_t {name} = 0; {name} < {self.domain[level]}; {name}++) {{")
                w.fn.depth += 1
        self._innermost()
        for level in reversed(range(len(self.domain))):
            if level < len(self.domain) - 1:
                w.fn.depth -= 1
                w.fn.put("}")
            if depth is not None and level == len(self.domain) - depth:
                self._close_accumulators(self.index[:level])
        w.fn.depth -= 1
        w.fn.put("}")
        for eqn in self.reductions:
            if not eqn.outs[0].shape:
                w.close_result(eqn.outs[0])

    def _reduced_axes(self) -> int | None:
        """How many trailing axes the reductions of this loop run over (the same for all, see `same_axes`)."""
        return self.reductions[0].params["axes"] if self.reductions else None

    def _place_stores(self) -> None:
        dying = tuple(v for v in self._dying())
        for eqn in self.stores:
            self.w.place(eqn.outs[0], dying)

    def _dying(self) -> list[Value]:
        """Stored operands read here for the last time, at the same index only."""
        count: dict[Value, int] = {}
        same: dict[Value, bool] = {}
        for eqn in self.members:
            for value in {o.root for o in eqn.ins if isinstance(o, View) and o.root.shape and o.root not in self.made}:
                count[value] = count.get(value, 0) + 1
            for o in eqn.ins:
                if isinstance(o, View) and o.root.shape:
                    fine = o.is_whole() and o.shape == self.domain and eqn.prim not in ("gather", "fold")
                    same[o.root] = same.get(o.root, True) and fine
        return [v for v, n in count.items() if same[v] and self.w.remaining[v] <= n]

    def _innermost(self) -> None:
        w, name = self.w, self.index[-1]
        step = LANES * self.copies if self.vector else 1
        w.fn.put(f"for (int64_t {name} = 0; {name} < {self.bound}; {name} += {step}) {{")
        w.fn.depth += 1
        masked = bool(self.reductions) and self.vector and (self.spanned or self.inner % step != 0)
        for copy in range(self.copies):
            Body(self, copy, masked).write()
        w.fn.depth -= 1
        w.fn.put("}")

    def _splat_scalars(self) -> None:
        """Scalars as vectors, once before the loop."""
        for eqn in self.members:
            for operand in eqn.ins if eqn.prim != "gather" else eqn.ins[1:]:
                if not isinstance(operand, View) or operand.root.shape or operand.root.id in self.splats:
                    continue
                kind = VECTOR_TYPE[operand.dtype] if self.vector else C_TYPE[operand.dtype]
                name = self.splats[operand.root.id] = f"{operand.root.label}_s{operand.root.id}"
                text = self.w.name(operand.root)
                self.w.fn.put(f"const {kind} {name} = {splat(kind, text, operand.dtype) if self.vector else text};")

    # ------------------------------------------------------------------ reductions
    def _open_accumulators(self) -> None:
        for eqn in self.reductions:
            dtype = eqn.ins[0].dtype
            start = literal(neutral(eqn.prim, dtype), dtype)
            self.accumulators[eqn] = f"{eqn.outs[0].label}_a{eqn.outs[0].id}"
            for copy in range(self.copies):
                name = f"{self.accumulators[eqn]}_{copy}"
                if self.vector:
                    self.w.fn.put(f"{VECTOR_TYPE[dtype]} {name} = {splat(VECTOR_TYPE[dtype], start, dtype)};")
                else:
                    self.w.fn.put(f"{C_TYPE[dtype]} {name} = {start};")

    def accumulate(self, eqn: Eqn, text: str, copy: int, mask: str | None) -> str:
        """One step of a reduction."""
        dtype, name = eqn.ins[0].dtype, f"{self.accumulators[eqn]}_{copy}"
        if mask is not None:
            start = splat(VECTOR_TYPE[dtype], literal(neutral(eqn.prim, dtype), dtype), dtype)
            text = f"sel_{VECTOR_TYPE[dtype]}({mask}, {text}, {start})"
        return f"{name} = {self._join(eqn, name, text, self.vector)};"

    @staticmethod
    def _join(eqn: Eqn, a: str, b: str, vector: bool) -> str:
        dtype = eqn.ins[0].dtype
        call = Call([a, b], [dtype, dtype], dtype, {}, [False, False])
        return (vector_text if vector else scalar_text)(_STEP[eqn.prim], call)

    def _close_accumulators(self, index: list[str]) -> None:
        from mcrisk.engine.native.emitter import to_slot
        from mcrisk.engine.native.graph import whole

        for eqn in self.reductions:
            names = [f"{self.accumulators[eqn]}_{copy}" for copy in range(self.copies)]
            total = self._join(eqn, *names, self.vector) if self.copies == 2 else names[0]
            out = eqn.outs[0]
            if self.vector:
                lanes = self.w.em.fresh("t")
                self.w.fn.put(f"const {VECTOR_TYPE[out.dtype]} {lanes} = {total};")
                part = [f"lane_{out.dtype}({lanes}, {k})" for k in range(LANES)]
                total = self._join(eqn, self._join(eqn, part[0], part[1], False), self._join(eqn, part[2], part[3], False), False)
            if out.shape:
                self.w.fn.put(to_slot(self.w.buffer(out), self.w.slot(whole(out), index), out.dtype, total))
            else:
                self.w.fn.put(f"{out.name} = {total};")


class Body:
    """One iteration (or one of two interleaved ones)."""

    def __init__(self, loop: FusedLoop, copy: int, masked: bool):
        self.loop, self.w, self.copy, self.masked = loop, loop.w, copy, masked
        self.names: dict[tuple, str] = {}
        last = loop.index[-1] if not copy else f"({loop.index[-1]} + {LANES})"
        self.index = [*loop.index[:-1], last]
        self.tag = f"_{copy}" if loop.copies == 2 else ""

    def write(self) -> None:
        loop, put = self.loop, self.w.fn.put
        mask = None
        if self.masked:
            mask = f"m{self.tag}"
            put(f"const vi {mask} = VI({self.index[-1]}) + lanes < VI({loop.bound});")
        for eqn in loop.members:
            self.w.comment(eqn)
            if eqn.prim in REDUCTIONS:
                put(loop.accumulate(eqn, self.operand(eqn.ins[0]), self.copy, mask))
                continue
            out = eqn.outs[0]
            kind = VECTOR_TYPE[out.dtype] if loop.vector else C_TYPE[out.dtype]
            text = self._value(eqn)
            name = self.names[out.id,] = f"{out.label}_v{out.id}{self.tag}"
            put(f"const {kind} {name} = {text};")
        for eqn in loop.stores:
            self._store(eqn.outs[0])

    def _value(self, eqn: Eqn) -> str:
        if eqn.prim == "gather":
            return self.w.gathered(eqn, self.index, self.operand)
        if eqn.prim == "fold":
            return self._fold(eqn)
        args = [self.operand(o) for o in eqn.ins]
        call = self.w.call(eqn, args)
        return vector_text(eqn.prim, call) if self.loop.vector else scalar_text(eqn.prim, call)

    def _fold(self, eqn: Eqn) -> str:
        """Rows added up in order; written out, since there are as many as markets."""
        view, extra, by = eqn.ins[0], eqn.params["axes"], eqn.params["by"]
        places = [()]
        for n in view.shape[-extra:]:
            places = [(*p, k) for p in places for k in range(n)]
        if len(places) > 64:
            from mcrisk.engine.native.graph import Unsupported
            raise Unsupported(f"{by} over {len(places)} leading elements")
        text = ""
        for place in places:
            offset = view.offset + sum(k * s for k, s in zip(place, view.strides[-extra:]))
            one = View(view.root, view.shape[:-extra], view.strides[:-extra], offset, view.dyn)
            item = self.operand(one)
            call = Call([text, item], [view.dtype] * 2, view.dtype, {}, [False, False])
            text = item if not text else (vector_text if self.loop.vector else scalar_text)(_STEP[by], call)
        return text

    def operand(self, operand: Operand) -> str:
        """A local name or a literal; loads are made once per iteration."""
        loop = self.loop
        if isinstance(operand, Const):
            text = literal(operand.value, operand.dtype)
            return splat(VECTOR_TYPE[operand.dtype], text, operand.dtype) if loop.vector else text
        if operand.root in loop.made:
            return self.names[operand.root.id,]
        if not operand.root.shape:
            return loop.splats[operand.root.id]
        key = operand.key()
        if key not in self.names:
            name = self.w.em.fresh("l")
            self.w.fn.put(f"const {self._load(operand, name)}")
            self.names[key] = name
        return self.names[key]

    def _load(self, view: View, name: str) -> str:
        slot = self.w.slot(view, self.index)
        if not self.loop.vector:
            return f"{C_TYPE[view.dtype]} {name} = {self.w.element(view, slot)};"
        kind = VECTOR_TYPE[view.dtype]
        if view.root.is_index:
            step = f" + {SPLAT[kind]}(0)" if not view.strides[-1] else f" + ({kind})lanes"
            return f"{kind} {name} = {SPLAT[kind]}({slot}){step};"
        if not view.strides[-1]:
            return f"{kind} {name} = {splat(kind, self.w.element(view, slot), view.dtype)};"
        return f"{kind} {name} = load_{kind}({self.w.buffer(view.root)} + ({slot}));"

    def _store(self, value: Value) -> None:
        from mcrisk.engine.native.emitter import to_slot
        from mcrisk.engine.native.graph import whole

        buffer, slot, name = self.w.buffer(value), self.w.slot(whole(value), self.index), self.names[value.id,]
        if self.loop.vector:
            self.w.fn.put(f"store_{VECTOR_TYPE[value.dtype]}({buffer} + ({slot}), {name});")
        else:
            self.w.fn.put(to_slot(buffer, slot, value.dtype, name))


def splat(kind: str, text: str, dtype: str) -> str:
    """Four times the same; booleans as masks."""
    return f"{SPLAT[kind]}(-(int64_t)({text}))" if dtype == "bool" else f"{SPLAT[kind]}({text})"


__all__ = ["SLOT_TYPE", "write_loop"]
