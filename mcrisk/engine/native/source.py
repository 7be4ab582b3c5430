"""One source from a per-path function: frame, functions, and the loop over paths.

The text does not know its target: vectors, selections, loads and qualifiers are macros and small functions of a head
(`target.py`), so that another head puts the same text on another machine.
"""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np

from mcrisk.engine.native.emitter import BlockWriter, Emitter, Function, to_slot
from mcrisk.engine.native.graph import (
    Block,
    Const,
    Eqn,
    Operand,
    Value,
    View,
    all_blocks,
    layout,
    operand_roots,
    prune,
    squeezed,
    whole,
)
from mcrisk.engine.native.names import clean, last
from mcrisk.engine.native.primitives import C_TYPE, SLOT_TYPE, literal
from mcrisk.engine.native.slots import Slots, Source, constant_places
from mcrisk.engine.native.views import Builder, Shared

OUTLINE = 150   # equations from which on a block gets a function of its own


def generate(function: Any, shared: Any, lanes: Any) -> tuple[Source, Any]:
    """The source of `function(shared, *lanes)`; `shared` and `lanes` are trees of shapes. Returns the tree of results, too."""
    jaxpr, out = jax.make_jaxpr(function, return_shape=True)(shared, *lanes)
    common, single, results = _slots(shared), _slots(lanes), _slots(out)
    from jax.interpreters import partial_eval as pe

    lean, used = pe.dce_jaxpr(jaxpr.jaxpr, [True] * len(results), instantiate=True)
    text, arena = write_source(lean, jaxpr.consts, common, single, results)
    return Source(text, tuple(common), tuple(single), tuple(results), arena), out


def _slots(tree: Any) -> list[Slots]:
    return [Slots(tuple(int(n) for n in leaf.shape), np.dtype(leaf.dtype).name, jax.tree_util.keystr(place).lstrip("."))
            for place, leaf in jax.tree.leaves_with_path(tree)]


def write_source(jaxpr: Any, consts: list, common: list[Slots], single: list[Slots], results: list[Slots]) -> tuple[str, int]:
    """The text, and the slots of arena it needs."""
    root = Block(None, "root")
    root.function = "mcrisk_run"
    build = Builder(root, Shared(root))
    args = [_input(build, k, spec) for k, spec in enumerate(common)]
    path = Block(root, "path")
    path.function = "one_path"
    number = build.shared.value((), "int64", path)
    number.mutable = number.frame = True
    number.label = "path"
    inner = Builder(path, build.shared)
    for k, spec in enumerate(single):
        table = build.shared.value((8,), spec.dtype, root)
        table.table, table.label = f"in{len(common) + k}", last(spec.name)
        args.append(inner.load(View(table, (), (), 0, ((whole(number), 1),))))
    path.outs = inner.run(jaxpr, consts, args)
    build.shared.where = None
    build._append(root, Eqn("foreach", [], {"number": number, "results": results}, [path]), [])
    return _written(root, path, build, number, {"in": [*common, *single], "common": common, "o": results})


def _input(build: Builder, k: int, spec: Slots) -> Operand:
    value = build.shared.value(spec.shape if squeezed(spec.shape) else (8,), spec.dtype, build.block)
    value.table, value.label = f"in{k}", last(spec.name)
    return whole(value) if squeezed(spec.shape) else build.load(View(value, (), (), 0))


def _written(root: Block, path: Block, build: Builder, number: Value, outside: dict[str, list[Slots]]
             ) -> tuple[str, int]:
    prune(root)
    outline(root)
    frames = share(root)
    em = Emitter()
    em.spans = build.shared.spans
    from mcrisk.engine.native.emitter import Storage

    for block in all_blocks(root):
        for value in {r for e in block.eqns for o in e.ins for r in operand_roots(o)} | {
                r for o in block.outs for r in operand_roots(o)}:
            if value.table is not None and value.storage is None:
                value.storage = Storage(value.table, 0, fixed=True)
                value.storage.owner = value
    fn = Function("mcrisk_run")
    writer = BlockWriter(em, root, fn)
    path.external = [(f"o{k}", spec) for k, spec in enumerate(outside["o"])]
    path.number = number
    writer.write()
    em.done.append(fn)
    return _text(em, build.shared.tables, frames, outside), em.used


def outline(root: Block) -> None:
    """Give big blocks functions of their own: compilers take more than linear time over long ones."""
    serial = 0
    notes = {inner: e.note for block in all_blocks(root) for e in block.eqns for inner in e.blocks}
    for block in reversed(all_blocks(root)):
        loop_body = block.kind == "body" and not any(e.prim == "rest" for e in block.eqns)
        if block.function is None and (block.kind in ("branch", "rest") or loop_body) and block.size() >= OUTLINE:
            block.function = f"part_{serial}_{clean(notes[block].rsplit(' ', 1)[-1])}"
            serial += 1


def share(root: Block) -> list[Value]:
    """Mark scalars that more than one function reads or assigns."""
    found: dict[int, Value] = {}

    def mark(value: Value) -> None:
        if not value.shape and value.table is None:
            value.frame = True
            found[value.id] = value

    for block in all_blocks(root):
        here = block.function_of()
        used = [r for o in block.outs for r in operand_roots(o)]
        for eqn in block.eqns:
            used += [r for o in eqn.ins for r in operand_roots(o)]
            apart = any(b.function_of() != here for inner in eqn.blocks for b in [inner, *_rests(inner)])
            if apart:
                number = [eqn.params["number"]] if "number" in eqn.params else []
                for value in [*eqn.outs, *eqn.params.get("carries", ()), *number]:
                    mark(value)
        for value in used:
            if value.block.function_of() != here:
                mark(value)
    return list(found.values())


def _rests(block: Block) -> list[Block]:
    return [b for e in block.eqns if e.prim == "rest" for b in e.blocks]


# ---------------------------------------------------------------------- text
def _text(em: Emitter, tables: list, frames: list[Value], outside: dict[str, list[Slots]]) -> str:
    parts = [f"#define ARENA_SLOTS {em.used}   /* scratch memory per path under way */",
             f"CONSTANTS({constant_places(outside['common'])[1]})   /* slots of small inputs that all paths share */",
             "/* scalars that several functions read */", "struct frame {",
             "  const double *const *in;", "  double *const *out;", "  slots arena;", "  int64_t count;"]
    parts += [f"  int64_t span{axis};" for axis in sorted(em.spans)]
    fields = [(v, f"{C_TYPE[v.dtype]} {v.name};") for v in sorted(frames, key=lambda v: v.id)]
    parts += [f"  KEPT({text})" if v.parameter else f"  {text}" for v, text in fields]
    parts += ["};", ""]
    parts += [_table(value, array) for value, array in tables]
    for fn in em.done:
        top = fn.name == "mcrisk_run"
        parts += [_origins(fn), "ENTRY {" if top else f"PART({fn.name}) {{"]
        if top:
            parts += ["  struct frame frame = {0}, *f = &frame;",
                      "  f->in = in, f->out = out, f->arena = THREAD_ARENA, f->count = count;"]
        buffers = sorted((name for name in fn.buffers if name[0] != "k"), key=lambda n: (n[0], len(n), n))
        parts += [f"  {_buffer(em, name, outside)}" for name in buffers]
        parts += [*fn.lines, "}", ""]
    return "\n".join(parts)


def _origins(fn: Function) -> str:
    """The files of mcrisk that a function's lines come from."""
    found = dict.fromkeys(re.findall(r"/\* (\S+\.py): \w+ \*/", "\n".join(fn.lines)))
    return f"/* {fn.name}: {', '.join(sorted(found))} */" if found else f"/* {fn.name} */"


def _buffer(em: Emitter, name: str, outside: dict[str, list[Slots]]) -> str:
    if name.startswith("in"):
        k = int(name[2:])
        place = dict(enumerate(constant_places(outside["common"])[0])).get(k, -1)
        return f"const double *const {name} = INPUT({k}, {place});   {_named(outside['in'][k])}"
    if name.startswith("o"):
        return f"double *const {name} = f->out[{name[1:]}];   {_named(outside['o'][int(name[1:])])}"
    return f"const slots {name} = f->arena + {em.offsets[name]};"


def _named(spec: Slots) -> str:
    shape = f" [{', '.join(map(str, spec.shape))}]" if spec.shape else ""
    return f"/* {spec.name}{shape} */"


def _table(value: Value, array: np.ndarray) -> str:
    """A constant array of the source, in slots."""
    shape, (_, slots) = squeezed(array.shape), layout(squeezed(array.shape))
    flat = np.zeros(slots, array.dtype)
    strides = layout(shape)[0]
    for place in np.ndindex(*shape):
        flat[sum(p * s for p, s in zip(place, strides))] = array.reshape(shape)[place]
    kind = SLOT_TYPE[value.dtype]
    if kind == "double" and not np.isfinite(flat).all():   # no target has a constant expression for these: bits
        kind, flat = "int64_t", flat.astype(np.float64).view(np.int64)
    dtype = {"int64_t": "int64", "uint64_t": "uint64"}.get(kind, value.dtype)
    items = ", ".join(literal(-int(x) if value.dtype == "bool" else x, dtype) for x in flat.tolist())
    return f"TABLE {kind} {value.table}_[{slots}] = {{{items}}};\n#define {value.table} ((const double *){value.table}_)"


__all__ = ["Const", "Slots", "Source", "generate", "to_slot"]
