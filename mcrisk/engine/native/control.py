"""Branches, loops, scatters and copies in C."""

from __future__ import annotations

from mcrisk.engine.native.emitter import BlockWriter, Function, Storage, from_slot, to_slot
from mcrisk.engine.native.graph import (
    Block,
    Const,
    Eqn,
    Operand,
    Value,
    View,
    layout,
    operand_roots,
    reads,
    squeezed,
    whole,
)
from mcrisk.engine.native.primitives import C_TYPE, SPLAT, VECTOR_TYPE, Call, literal, scalar_text


def write_flow(w: BlockWriter, eqn: Eqn) -> None:
    """One equation of control flow or indexed storing; its operands are ready."""
    {"cond": _cond, "for": _for, "while": _while, "rest": _rest, "scatter": _scatter, "assemble": _assemble,
     "foreach": _foreach, "empty": _empty}[eqn.prim](w, eqn)


# ---------------------------------------------------------------------- nested blocks
def _nested(w: BlockWriter, block: Block, donated: frozenset[Value], targets: dict[int, Storage]) -> None:
    """A block in place, or as a call of its own function."""
    if block.function is None:
        w.fn.depth += 1
        BlockWriter(w.em, block, w.fn, donated, targets).write()
        w.fn.depth -= 1
        return
    fn = Function(block.function)
    BlockWriter(w.em, block, fn, donated, targets).write()
    w.em.done.append(fn)
    w.fn.put(f"  {block.function}(f);")


def _dying(w: BlockWriter, eqn: Eqn) -> frozenset[Value]:
    return frozenset(v for v in reads(eqn) if v.shape and w.dies_with(v))


def _after(w: BlockWriter, eqn: Eqn, dying: frozenset[Value]) -> None:
    """Buffers of operands that died: with a result now, or back to the arena."""
    kept = {out.storage for out in eqn.outs if out.shape}
    for value in dying:
        value.storage.owner = None if value.storage in kept else value
    for out in eqn.outs:
        if out.shape:
            out.storage.owner = out
    w.release(eqn)


def _cond(w: BlockWriter, eqn: Eqn) -> None:
    dying = _dying(w, eqn)
    targets = _branch_targets(w, eqn, dying)
    taken: set[Value] = set()
    for j, out in enumerate(eqn.outs):
        if not out.shape and not _stands(w, eqn, j, taken):
            w.declare(out)
    for block in eqn.blocks:
        block.results = eqn.outs
    test = w.text(eqn.ins[0])
    lines: list[list[str]] = []
    for block in eqn.blocks:
        mark = len(w.fn.lines)
        _nested(w, block, dying, targets)
        lines.append(w.fn.lines[mark:])
        del w.fn.lines[mark:]
    no, yes = lines
    head, first, second = (f"if ({test}) {{", yes, no) if yes else (f"if (!({test})) {{", no, [])
    if first:
        w.fn.put(head)
        w.fn.lines += first
        if second:
            w.fn.put("} else {")
            w.fn.lines += second
        w.fn.put("}")
    _after(w, eqn, dying)


def _stands(w: BlockWriter, eqn: Eqn, j: int, taken: set[Value]) -> bool:
    """May result j take the place of the loop variable that a branch hands through, so that this branch does nothing?"""
    out = eqn.outs[j]
    for block in eqn.blocks:
        operand = block.outs[j]
        root = operand.root if isinstance(operand, View) and not operand.root.shape else None
        if root is None or root in taken or root.block is not w.block:
            continue
        base = root
        while base.alias is not None:
            base = base.alias
        if base not in w.block.results or out.frame and not base.frame:
            continue
        if any(root in reads(later) for later in w.pending) or any(root in operand_roots(o) for o in w.block.outs):
            continue
        taken.add(root)
        out.alias, out.live, out.mutable = root, True, True
        return True
    return False


def _branch_targets(w: BlockWriter, eqn: Eqn, dying: frozenset[Value]) -> dict[int, Storage]:
    """Buffers of array results: where they should end, or that of an operand that a branch hands through."""
    targets: dict[int, Storage] = {}
    taken: set[Storage] = set()
    for j, out in enumerate(eqn.outs):
        if not out.shape:
            continue
        through = [b.outs[j].root for b in eqn.blocks if isinstance(b.outs[j], View) and b.outs[j].is_whole()]
        hint = w.hints.get(out)
        if hint is not None and hint not in taken and not w.occupied(hint, tuple(dying)):
            storage = hint
        else:
            passed = [v.storage for v in through if v in dying and v.storage not in taken]
            storage = passed[0] if passed else None
        if storage is not None:
            targets[j] = storage
            taken.add(storage)
    for j, out in enumerate(eqn.outs):
        if out.shape:
            targets[j] = targets.get(j) or w.em.take(out.shape, w)
            out.storage = targets[j]
    return targets


def _enter_loop(w: BlockWriter, eqn: Eqn) -> tuple[frozenset[Value], dict[int, Storage]]:
    """Carried variables: scalars assigned, arrays in the buffer of a dying initial value or copied into one."""
    inner = {v for v in reads_of_blocks(eqn)}
    carries: list[Value] = eqn.params["carries"]
    targets: dict[int, Storage] = {}
    dying: set[Value] = set()
    roots = [o.root for o in eqn.ins if isinstance(o, View)]
    for j, (carry, start) in enumerate(zip(carries, eqn.ins)):
        if not carry.shape:
            w.declare(carry)
            w.fn.put(f"{w.name(carry)} = {w.text(start)};")
            continue
        root = start.root if isinstance(start, View) else None
        if root is not None and root not in inner and roots.count(root) == 1 and start.is_whole() and w.dies_with(root):
            storage = root.storage
            dying.add(root)
        else:
            hint = w.hints.get(eqn.outs[j])
            free = hint is not None and hint not in targets.values() and not w.occupied(hint)
            storage = hint if free else w.em.take(carry.shape, w)
            copy(w, start, storage, carry.dtype, carry.shape)
        carry.storage, storage.owner = storage, carry
        targets[j] = storage
    return frozenset(dying), targets


def reads_of_blocks(eqn: Eqn) -> set[Value]:
    """Values read inside the blocks of an equation."""
    from mcrisk.engine.native.graph import block_reads

    return {v for block in eqn.blocks for v in block_reads(block)}


def _leave_loop(w: BlockWriter, eqn: Eqn, dying: frozenset[Value]) -> None:
    for out, carry in zip(eqn.outs, eqn.params["carries"]):
        if out.shape:
            out.storage = carry.storage
        else:
            w.define(out, w.name(carry))
    _after(w, eqn, dying)


def _for(w: BlockWriter, eqn: Eqn) -> None:
    dying, targets = _enter_loop(w, eqn)
    block, number, carries = eqn.blocks[0], eqn.params["number"], eqn.params["carries"]
    for out in eqn.outs[len(carries):]:
        if out.shape:
            w.place(out)
        else:
            w.declare(out)
    block.results = carries
    block.collected = (eqn.outs[len(carries):], number, eqn.params["length"])
    name = w.name(number)
    kind = "" if number.frame else "int64_t "
    w.fn.put(f"for ({kind}{name} = 0; {name} < {eqn.params['length']}; {name}++) {{")
    _nested(w, block, frozenset(c for c in carries if c.shape), targets)
    w.fn.put("}")
    _leave_loop(w, eqn, dying)


def _foreach(w: BlockWriter, eqn: Eqn) -> None:
    """The loop over paths."""
    name = w.name(eqn.params["number"])
    w.fn.put(f"for ({name} = FIRST_PATH; {name} < f->count; {name} += PATHS_AT_ONCE) {{")
    _nested(w, eqn.blocks[0], frozenset(), {})
    w.fn.put("}")
    w.release(eqn)


def _empty(w: BlockWriter, eqn: Eqn) -> None:
    w.place(eqn.outs[0])
    w.release(eqn)


def _export(w: BlockWriter) -> None:
    """Results of a path to where the caller wants them."""
    at = w.name(w.block.number)
    for operand, (buffer, spec) in zip(w.block.outs, w.block.external):
        storage = Storage(buffer, 0, fixed=True)
        copy(w, operand, storage, spec.dtype, squeezed(spec.shape), f"{at} * {spec.slots}")


def _while(w: BlockWriter, eqn: Eqn) -> None:
    dying, targets = _enter_loop(w, eqn)
    block, carries = eqn.blocks[0], eqn.params["carries"]
    rest = block.eqns[-1].blocks[0] if block.eqns[-1].prim == "rest" else next(
        e.blocks[0] for e in block.eqns if e.prim == "rest")
    rest.results, rest.targets = carries, targets
    w.fn.put("for (;;) {")
    _nested(w, block, frozenset(c for c in carries if c.shape), {})
    w.fn.put("}")
    _leave_loop(w, eqn, dying)


def _rest(w: BlockWriter, eqn: Eqn) -> None:
    block = eqn.blocks[0]
    w.fn.put(f"if (!({w.text(eqn.ins[0])})) break;")
    w.fn.depth -= 1
    donated = frozenset(v for v in reads(eqn) if v.shape and w.dies_with(v))
    _nested(w, block, donated, block.targets)
    w.fn.depth += 1
    w.release(eqn)


# ---------------------------------------------------------------------- the end of a block
def finish(w: BlockWriter) -> None:
    """Results of a block into variables and buffers of the equation that owns it."""
    outs, results = w.block.outs, getattr(w.block, "results", [])
    collected = getattr(w.block, "collected", None)
    if w.block.external is not None:
        return _export(w)
    if collected is not None:
        _collect(w, outs[len(results):], *collected)
        outs = outs[: len(results)]
    moves = []
    for j, (operand, result) in enumerate(zip(outs, results)):
        if result.shape:
            target = w.targets[j]
            if not (isinstance(operand, View) and operand.is_whole() and operand.root.storage is target):
                moves.append((operand, target, result))
    _move(w, moves)
    _assign(w, [(o, r) for o, r in zip(outs, results) if not r.shape])
    for value in {r for o in w.block.outs for r in operand_roots(o) if r.shape}:
        w.remaining[value] -= 1
        w.drop(value)


def _move(w: BlockWriter, moves: list) -> None:
    """Copies as if all at once: a target that another copy still reads from waits, or is saved first."""
    while moves:
        for k, (operand, target, result) in enumerate(moves):
            others = [o for i, (o, _, _) in enumerate(moves) if i != k and isinstance(o, View)]
            if all(o.root.storage is not target for o in others):
                break
        else:
            k = 0
            operand, target, result = moves[0]
            saved = _copy_of(w, operand, result)
            moves[0] = (saved, target, result)
            continue
        own = isinstance(operand, View) and operand.root.storage is target
        copy(w, _copy_of(w, operand, result) if own else operand, target, result.dtype, result.shape)
        del moves[k]


def _copy_of(w: BlockWriter, operand: Operand, like: Value) -> View:
    value = Value(10**6 + w.em.serial, like.shape, like.dtype, w.block)
    w.em.serial += 1
    value.storage = w.em.take(like.shape, w)   # kept: happens only where results swap places
    copy(w, operand, value.storage, like.dtype, like.shape)
    return whole(value)


def _assign(w: BlockWriter, pairs: list[tuple[Operand, Value]]) -> None:
    """Scalar results as if all at once."""
    results = {w.name(r) for _, r in pairs}
    late = []
    for operand, result in pairs:
        text = w.text(operand)
        if text == w.name(result):
            continue
        if text in results:
            name = w.em.fresh("t")
            w.fn.put(f"const {C_TYPE[result.dtype]} {name} = {text};")
            text = name
        late.append(f"{w.name(result)} = {text};")
    for line in late:
        w.fn.put(line)


def _collect(w: BlockWriter, operands: list[Operand], outs: list[Value], number: Value, length: int) -> None:
    """Slices of a scan's outputs."""
    for operand, out in zip(operands, outs):
        at = w.name(number)
        w.fn.buffers.add(out.storage.name) if out.shape else None
        if not out.shape:
            w.fn.put(f"{w.name(out)} = {w.text(operand)};")
        elif not operand.shape and length > 1 and len(out.shape) == 1:
            stride = layout(out.shape)[0][0]
            w.fn.put(to_slot(out.storage.name, f"{at} * {stride}", out.dtype, w.text(operand)))
        else:
            rows = out.shape[1:] if length > 1 else out.shape
            offset = f"{at} * {layout(out.shape)[0][0]}" if length > 1 else "0"
            copy(w, operand, out.storage, out.dtype, rows, offset, layout(out.shape)[0][-len(rows):])


# ---------------------------------------------------------------------- indexed storing
def _scatter(w: BlockWriter, eqn: Eqn) -> None:
    operand, update, starts, p = eqn.ins[0], eqn.ins[1], eqn.ins[2:], eqn.params
    out, root = eqn.outs[0], operand.root
    if operand.is_whole() and w.dies_with(root):
        out.storage = root.storage
        dying = frozenset([root])
    else:
        w.place(out)
        copy(w, operand, out.storage, out.dtype, out.shape)
        dying = frozenset()
    buffer = w.buffer(out)
    index, shape = [f"i{d}" for d in range(len(p["update_shape"]))], p["update_shape"]
    for name, n in zip(index, shape):
        w.fn.put(f"for (int64_t {name} = 0; {name} < {n}; {name}++) {{")
        w.fn.depth += 1
    texts = [_element(w, s, index) for s in starts]
    parts = [f"(int64_t){t} * {s}" for t, s in zip(texts, p["steps"]) if s]
    parts += [f"{i} * {s}" for i, s in zip(index, p["strides"]) if s]
    slot, new = " + ".join(parts) or "0", _element(w, update, index)
    if p["join"] != "set":
        old = from_slot(buffer, slot, out.dtype)
        new = scalar_text(p["join"], Call([old, new], [out.dtype] * 2, out.dtype, {}, [False, False]))
    line = to_slot(buffer, slot, out.dtype, new)
    if p["mode"] == "drop":
        inside = " && ".join(f"(int64_t){t} >= 0 && (int64_t){t} <= {n}" for t, n in zip(texts, p["limits"]))
        line = f"if ({inside}) {line}"
    w.fn.put(line)
    for _ in shape:
        w.fn.depth -= 1
        w.fn.put("}")
    _after(w, eqn, dying)


def _element(w: BlockWriter, operand: Operand, index: list[str]) -> str:
    if isinstance(operand, Const) or not operand.root.shape:
        return w.text(operand)
    return w.element(operand, w.slot(operand, index))


def _assemble(w: BlockWriter, eqn: Eqn) -> None:
    out = eqn.outs[0]
    w.place(out)
    for operand, (shape, strides, offset) in zip(eqn.ins, eqn.params["pieces"]):
        copy(w, operand, out.storage, out.dtype, shape, str(offset), strides)
    w.release(eqn)


def copy(w: BlockWriter, operand: Operand, target: Storage, dtype: str, shape: tuple[int, ...], offset: str = "0",
         strides: tuple[int, ...] | None = None) -> None:
    """Elements of `operand` into a buffer."""
    strides = layout(shape)[0] if strides is None else strides
    w.fn.buffers.add(target.name)
    view = operand if isinstance(operand, View) else None
    if view is not None and view.is_whole() and view.shape and offset == "0" and strides == layout(shape)[0]:
        used = f"f->span{shape[0]}" if len(shape) == 1 and shape[0] in w.em.spans else layout(shape)[1]
        w.fn.put(f"copy_slots({target.name}, {w.buffer(view.root)}, {used});")
        return
    index = [f"i{d}" for d in range(len(shape))]
    for name, n in zip(index, shape):
        end = f"f->span{n}" if n in w.em.spans else n
        w.fn.put(f"for (int64_t {name} = 0; {name} < {end}; {name}++) {{")
        w.fn.depth += 1
    slot = " + ".join([offset, *(f"{i} * {s}" for i, s in zip(index, strides))])
    w.fn.put(to_slot(target.name, slot, dtype, _element(w, operand, index)))
    for _ in shape:
        w.fn.depth -= 1
        w.fn.put("}")


__all__ = ["SPLAT", "VECTOR_TYPE", "copy", "finish", "literal", "write_flow"]
