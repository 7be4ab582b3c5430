"""The builder: equations of a jaxpr into a block; elementwise ones directly, structural ones as views or index lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend import core as jcore

from mcrisk.engine.native import names
from mcrisk.engine.native.graph import (
    Block,
    Const,
    Eqn,
    Operand,
    Unsupported,
    Value,
    View,
    operand_roots,
    spread_axes,
    squeezed,
    whole,
)
from mcrisk.engine.native.primitives import REDUCTIONS, SCALAR
from mcrisk.engine.native.simplify import folded_constant, simplified

_INLINE = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint"}
_SAME = {"copy", "copy_p", "stop_gradient", "reduce_precision", "pvary"}


class Builder:
    """Adds equations to `block`; one counter of values and one list of constant tables for a whole graph."""

    def __init__(self, block: Block, shared: Shared):
        self.block, self.shared = block, shared

    # ------------------------------------------------------------------ the walk
    def run(self, jaxpr: Any, consts: list[Any], args: list[Operand]) -> list[Operand]:
        """All equations of a jaxpr (not closed), inlining calls; returns its outputs."""
        env: dict[Any, Operand] = dict(zip(jaxpr.invars, args))
        env |= {var: self.constant(value) for var, value in zip(jaxpr.constvars, consts)}

        def read(atom: Any) -> Operand:
            return self.constant(atom.val) if isinstance(atom, jcore.Literal) else env[atom]

        for eqn in jaxpr.eqns:
            outs = self.apply(eqn, [read(atom) for atom in eqn.invars])
            env |= dict(zip(eqn.outvars, outs))
        return [read(atom) for atom in jaxpr.outvars]

    def apply(self, eqn: Any, ins: list[Operand]) -> list[Operand]:
        name = eqn.primitive.name
        if name in _INLINE:
            inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
            closed = inner if hasattr(inner, "consts") else None
            return self.run(closed.jaxpr, closed.consts, ins) if closed else self.run(inner, [], ins)
        self.shared.where = eqn
        if name in _SAME:
            return ins
        if name == "optimization_barrier":
            return ins
        handler = getattr(self, "on_" + name.replace("-", "_"), None)
        if handler is not None:
            out = handler(eqn, ins)
            return out if isinstance(out, list) else [out]
        if name in REDUCTIONS:
            return [self.reduce(eqn, ins[0])]
        if name not in SCALAR:
            raise Unsupported(f"the primitive '{name}'")
        spread = [spread_axes(o, tuple(v.aval.shape), _shape(eqn)) for o, v in zip(ins, eqn.invars)]
        return [self.pointwise(name, spread, _shape(eqn), _dtype(eqn), eqn.params)]

    def constant(self, value: Any) -> Operand:
        """A literal, or a table of the source for an array."""
        array = np.asarray(value)
        if array.dtype.name == "float0":
            raise Unsupported("a float0 constant")
        if array.size == 1:
            return Const(array.reshape(()), array.dtype.name)
        return whole(self.shared.table(array))

    # ------------------------------------------------------------------ adding equations
    def add(self, prim: str, ins: list[Operand], shape: tuple[int, ...], dtype: str, params: dict | None = None) -> Operand:
        """One equation with one result, shared with an equal one in sight, hoisted when it is a scalar that does not change."""
        params = params or {}
        key = (prim, shape, dtype, repr(sorted(params.items())), tuple(o.key() for o in ins))
        home, look = self.block, self.block
        if not shape:
            home = self._home(ins)
        while look is not None:
            if key in look.known and (not shape or look is self.block):
                return look.known[key][0]
            look = look.parent if not shape else None
        value = self.shared.value(shape, dtype, home)
        self._append(home, Eqn(prim, ins, params), [value])
        home.known[key] = [whole(value)]
        return home.known[key][0]

    def _append(self, block: Block, eqn: Eqn, outs: list[Value]) -> None:
        eqn.outs, eqn.note = outs, self.shared.note()
        for out in outs:
            out.eqn = eqn
            if out.label == names.PLAIN:
                given = eqn.prim == "load" and eqn.ins[0].root.table is not None
                out.label = eqn.ins[0].root.label if given else names.label(self.shared.frame())
        block.eqns.append(eqn)

    def _home(self, ins: list[Operand]) -> Block:
        """The outermost block out of which no loop would have to be entered: where a scalar is computed."""
        blocks = [r.block for o in ins for r in operand_roots(o)]
        deepest = max(blocks, key=lambda b: b.depth, default=None)
        home, at = self.block, self.block
        while at is not None and at is not deepest and at.parent is not None:
            if at.repeats:
                home = at.parent
            at = at.parent
        return home

    def pointwise(self, prim: str, ins: list[Operand], shape: tuple[int, ...], dtype: str, params: dict) -> Operand:
        """An elementwise equation; constants are folded, trivial selections disappear."""
        shape = squeezed(shape)
        if all(isinstance(o, Const) for o in ins):
            folded = folded_constant(prim, ins, dtype)
            if folded is not None:
                return folded
        simple = simplified(prim, ins, dtype)
        if simple is not None and (simple.shape == shape or isinstance(simple, Const)):
            return simple
        kept = {k: v for k, v in params.items() if k == "y"}
        if not shape or all(_is_scalar(o) for o in ins):  # an array of equal elements is a scalar, seen broadcast
            out = self.add(prim, [_scalar(o) for o in ins], (), dtype, kept)
            return View(out.root, shape, (0,) * len(shape))
        return self.add(prim, ins, shape, dtype, kept)

    def reduce(self, eqn: Any, operand: Operand) -> Operand:
        """Over trailing axes inside a loop; over others by adding up stored rows."""
        full = eqn.invars[0].aval.shape
        axes = {int(a) for a in eqn.params["axes"] if full[int(a)] != 1}
        if not axes:
            return operand
        kept = [d for d in range(len(full)) if full[d] != 1 and d not in axes]
        shape, name, dtype = tuple(full[d] for d in kept), eqn.primitive.name, _dtype(eqn)
        operand = self.as_array(operand, squeezed(full))
        real = [d for d in range(len(full)) if full[d] != 1]
        if not kept or max(kept) < min(axes):
            return self.add(name, [operand], shape, dtype, {"axes": len(axes)})
        order = [real.index(d) for d in kept] + [real.index(d) for d in sorted(axes)]
        turned = View(operand.root, tuple(operand.shape[i] for i in order), tuple(operand.strides[i] for i in order),
                      operand.offset, operand.dyn)
        return self.add("fold", [turned], shape, dtype, {"by": name, "axes": len(axes)})

    def as_array(self, operand: Operand, shape: tuple[int, ...]) -> View:
        """A constant or a scalar as a view of `shape`."""
        if isinstance(operand, Const):
            value = self.add("convert_element_type", [operand], (), operand.dtype, {"keep": len(shape)})
            return View(value.root, shape, (0,) * len(shape))
        return operand if operand.shape == shape else View(operand.root, shape, (0,) * len(shape), operand.offset, operand.dyn)

    def load(self, view: View) -> Operand:
        """One element of an array as a scalar."""
        if not view.root.shape:
            return whole(view.root)
        if view.root.is_index:
            return self._index(view)
        return self.add("load", [view], (), view.dtype)

    def _index(self, view: View) -> Operand:
        """An element of arange: its position."""
        out: Operand = Const(view.offset, "int64")
        for operand, stride in view.dyn:
            wide = self.convert(operand, "int64")
            out = self.pointwise("add", [out, self.pointwise("mul", [wide, Const(stride, "int64")], (), "int64", {})],
                                 (), "int64", {})
        return self.convert(out, view.dtype)

    def convert(self, operand: Operand, dtype: str) -> Operand:
        return operand if operand.dtype == dtype else self.pointwise("convert_element_type", [operand], operand.shape, dtype, {})

    def settle(self, view: View) -> Operand:
        """Views with nothing but one element become loads."""
        return self.load(view) if not view.shape and view.root.shape else view

    def on_select_n(self, eqn: Any, ins: list[Operand]) -> Operand:
        """A choice by number (a conditional under vmap) is one by truth; of two cases only."""
        spread = [spread_axes(o, tuple(v.aval.shape), _shape(eqn)) for o, v in zip(ins, eqn.invars)]
        if len(ins) == 3 and spread[0].dtype == "int32":
            spread[0] = self.pointwise("ne", [spread[0], Const(0, "int32")], spread[0].shape, "bool", {})
        return self.pointwise("select_n", spread, _shape(eqn), _dtype(eqn), eqn.params)

    # ------------------------------------------------------------------ views
    def on_convert_element_type(self, eqn: Any, ins: list[Operand]) -> Operand:
        return ins[0] if ins[0].dtype == _dtype(eqn) else self.pointwise("convert_element_type", ins, _shape(eqn), _dtype(eqn), {})

    def on_broadcast_in_dim(self, eqn: Any, ins: list[Operand]) -> Operand:
        operand, old, new = ins[0], eqn.invars[0].aval.shape, _shape(eqn)
        if isinstance(operand, Const):
            return operand
        if len(ins) > 1:
            raise Unsupported("broadcast_in_dim with dynamic shape")
        strides = dict(zip((d for d in range(len(old)) if old[d] != 1), operand.strides))
        to = {int(target): strides.get(d, 0) for d, target in enumerate(eqn.params["broadcast_dimensions"])}
        kept = [d for d in range(len(new)) if new[d] != 1]
        return View(operand.root, squeezed(new), tuple(to.get(d, 0) for d in kept), operand.offset, operand.dyn)

    def on_reshape(self, eqn: Any, ins: list[Operand]) -> Operand:
        if isinstance(ins[0], Const):
            return ins[0]
        if squeezed(_shape(eqn)) != ins[0].shape:
            if not any(ins[0].strides):
                shape = squeezed(_shape(eqn))
                return View(ins[0].root, shape, (0,) * len(shape), ins[0].offset, ins[0].dyn)
            raise Unsupported(f"reshape from {ins[0].shape} to {_shape(eqn)}")
        return ins[0]

    on_squeeze = on_expand_dims = on_reshape

    def on_transpose(self, eqn: Any, ins: list[Operand]) -> Operand:
        old, operand = eqn.invars[0].aval.shape, ins[0]
        if isinstance(operand, Const):
            return operand
        order = [int(d) for d in eqn.params["permutation"] if old[int(d)] != 1]
        real = [d for d in range(len(old)) if old[d] != 1]
        at = [real.index(d) for d in order]
        return View(operand.root, tuple(operand.shape[i] for i in at), tuple(operand.strides[i] for i in at), operand.offset,
                    operand.dyn)

    def on_slice(self, eqn: Any, ins: list[Operand]) -> Operand:
        p, old = eqn.params, eqn.invars[0].aval.shape
        steps = p["strides"] or (1,) * len(old)
        return self.cut(ins[0], old, [int(s) for s in p["start_indices"]], _shape(eqn), [int(s) for s in steps])

    def cut(self, operand: Operand, old: tuple, start: list[int], new: tuple, steps: list[int]) -> Operand:
        """A slice with known bounds."""
        if isinstance(operand, Const):
            return operand
        strides, offset, kept = iter(operand.strides), operand.offset, []
        for d, n in enumerate(old):
            if n == 1:
                continue
            stride = next(strides)
            offset += start[d] * stride
            if new[d] != 1:
                kept.append(stride * steps[d])
        return self.settle(View(operand.root, squeezed(new), tuple(kept), offset, operand.dyn))

    def on_rev(self, eqn: Any, ins: list[Operand]) -> Operand:
        old, turn = eqn.invars[0].aval.shape, {int(d) for d in eqn.params["dimensions"]}
        start = [n - 1 if d in turn else 0 for d, n in enumerate(old)]
        return self.cut(ins[0], old, start, old, [-1 if d in turn else 1 for d in range(len(old))])

    def on_split(self, eqn: Any, ins: list[Operand]) -> list[Operand]:
        old, axis, at, outs = eqn.invars[0].aval.shape, int(eqn.params["axis"]), 0, []
        for var in eqn.outvars:
            start = [at if d == axis else 0 for d in range(len(old))]
            outs.append(self.cut(ins[0], old, start, var.aval.shape, [1] * len(old)))
            at += var.aval.shape[axis]
        return outs

    def on_dynamic_slice(self, eqn: Any, ins: list[Operand]) -> Operand:
        old, new = eqn.invars[0].aval.shape, _shape(eqn)
        operand = ins[0]
        if isinstance(operand, Const):
            return operand
        strides, kept, dyn, offset = iter(operand.strides), [], list(operand.dyn), operand.offset
        for d, n in enumerate(old):
            if n == 1:
                continue
            stride = next(strides)
            at = self.clamped(ins[1 + d], n - new[d])
            if isinstance(at, Const):
                offset += at.value * stride
            else:
                dyn.append((at, stride))
            if new[d] != 1:
                kept.append(stride)
        return self.settle(View(operand.root, squeezed(new), tuple(kept), offset, tuple(dyn)))

    def clamped(self, index: Operand, last: int) -> Operand:
        """`index` between 0 and `last`, in int64."""
        if last == 0:
            return Const(0, "int64")
        wide = self.convert(index, "int64")
        low = self.pointwise("max", [wide, Const(0, "int64")], wide.shape, "int64", {})
        return self.pointwise("min", [low, Const(last, "int64")], wide.shape, "int64", {})

    def on_iota(self, eqn: Any, ins: list[Operand]) -> Operand:
        full, d = _shape(eqn), int(eqn.params["dimension"])
        if full[d] == 1:
            return Const(0, _dtype(eqn))
        line = self.add("iota", [], (full[d],), _dtype(eqn))
        kept = [i for i in range(len(full)) if full[i] != 1]
        return View(line.root, squeezed(full), tuple(1 if i == d else 0 for i in kept))

    def on_empty(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import empty
        return empty(self, eqn)

    def on_span(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import span
        return span(self, eqn, ins)

    def on_peek(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import peek
        return peek(self, eqn, ins)

    def on_poke(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import poke
        return poke(self, eqn, ins)

    # ------------------------------------------------------------------ in other files
    def on_gather(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import gather
        return gather(self, eqn, ins)

    def on_scatter(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import scatter
        return scatter(self, eqn, ins)

    on_scatter_add = on_scatter_mul = on_scatter_min = on_scatter_max = on_scatter

    def on_dynamic_update_slice(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import update_slice
        return update_slice(self, eqn, ins)

    def on_concatenate(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import concatenate
        return concatenate(self, eqn, ins, int(eqn.params["dimension"]))

    def on_stack(self, eqn: Any, ins: list[Operand]) -> Operand:
        from mcrisk.engine.native.indexing import stack
        return stack(self, eqn, ins, int(eqn.params["axis"]))

    def on_cond(self, eqn: Any, ins: list[Operand]) -> list[Operand]:
        from mcrisk.engine.native.flows import build_cond
        return build_cond(self, eqn, ins)

    def on_while(self, eqn: Any, ins: list[Operand]) -> list[Operand]:
        from mcrisk.engine.native.flows import build_while
        return build_while(self, eqn, ins)

    def on_scan(self, eqn: Any, ins: list[Operand]) -> list[Operand]:
        from mcrisk.engine.native.flows import build_scan
        return build_scan(self, eqn, ins)


class Shared:
    """What all builders of one graph share: numbering, constant tables, the place in the rules being read."""

    def __init__(self, root: Block):
        self.root, self.count, self.where = root, 0, None
        self.tables: list[tuple[Value, np.ndarray]] = []
        self._seen: dict[tuple, Value] = {}
        self.spans: set[int] = set()   # lengths of axes of which only a part is in use

    def value(self, shape: tuple[int, ...], dtype: str, block: Block) -> Value:
        self.count += 1
        return Value(self.count, squeezed(shape), str(dtype), block)

    def table(self, array: np.ndarray) -> Value:
        """The table of a constant array; equal arrays share one."""
        key = (array.shape, array.dtype.name, array.tobytes())
        if key not in self._seen:
            value = self.value(array.shape, array.dtype.name, self.root)
            value.table = f"k{len(self.tables)}"
            self.tables.append((value, array))
            self._seen[key] = value
        return self._seen[key]

    def frame(self) -> Any:
        """Where in the rules the present equation comes from; None where nobody knows."""
        from jax._src import source_info_util

        return source_info_util.user_frame(self.where.source_info.traceback) if self.where is not None else None

    def note(self) -> str:
        """`file: function` of the rule that the present equation comes from."""
        frame = self.frame()
        if frame is None or "/mcrisk/" not in frame.file_name:
            return ""
        return f"{frame.file_name.rsplit('/mcrisk/', 1)[1]}: {frame.function_name.rsplit('.', 1)[-1]}"


def _shape(eqn: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in eqn.outvars[0].aval.shape)


def _dtype(eqn: Any) -> str:
    return eqn.outvars[0].aval.dtype.name


def _is_scalar(operand: Operand) -> bool:
    return isinstance(operand, Const) or not operand.root.shape


def _scalar(operand: Operand) -> Operand:
    return operand if isinstance(operand, Const) else whole(operand.root)
