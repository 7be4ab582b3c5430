"""Gather, scatter, concatenation: equations whose operands are index lists over strides of a stored array.

An element's slot in `gather` and `scatter` is Σ (index of the result or update)·stride + Σ start_k·stride_k; starts are
operands of the equation after the array (and the update), bounded by `limits` as the mode says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mcrisk.engine.native.graph import Const, Eqn, Operand, Unsupported, View, layout, squeezed, whole

_JOIN = {"scatter": "set", "scatter-add": "add", "scatter-mul": "mul", "scatter-min": "min", "scatter-max": "max"}


def _mode(eqn: Any) -> str:
    name = str(eqn.params["mode"]).rsplit(".", 1)[-1]
    modes = {"CLIP": "clip", "PROMISE_IN_BOUNDS": "promise", "FILL_OR_DROP": "drop", "0": "clip", "1": "drop", "2": "promise"}
    if name not in modes:
        raise Unsupported(f"{eqn.primitive.name} with mode {name}")
    return modes[name]


def full_strides(view: View, full: tuple[int, ...]) -> list[int]:
    """Strides with zeros for axes of length one."""
    strides = iter(view.strides)
    return [next(strides) if n != 1 else 0 for n in full]


def _starts(build: Any, indices: Operand, full: tuple[int, ...], batch: list[int], shape: tuple[int, ...],
            count: int) -> list[Operand]:
    """Index number k of every element of the result, as operands of (squeezed) `shape`; `batch` names result axes."""
    if isinstance(indices, Const):
        return [indices] * count
    strides = full_strides(indices, full)
    kept = [d for d in range(len(shape)) if shape[d] != 1]
    to = {d: strides[i] for i, d in enumerate(batch)}
    out: list[Operand] = []
    for k in range(count):
        view = View(indices.root, squeezed(shape), tuple(to.get(d, 0) for d in kept), indices.offset + k * strides[-1],
                    indices.dyn)
        if not any(view.strides) and indices.root.shape:
            scalar = build.load(View(view.root, (), (), view.offset, view.dyn))
            view = scalar if isinstance(scalar, Const) else View(scalar.root, view.shape, (0,) * len(view.shape))
        out.append(view)
    return out


def gather(build: Any, eqn: Any, ins: list[Operand]) -> Operand:
    """Indexing with computed positions."""
    numbers, sizes = eqn.params["dimension_numbers"], [int(n) for n in eqn.params["slice_sizes"]]
    operand, full, shape = ins[0], eqn.invars[0].aval.shape, tuple(eqn.outvars[0].aval.shape)
    if isinstance(operand, Const):
        return operand
    mode = _mode(eqn)
    offset_dims = [int(d) for d in numbers.offset_dims]
    batch = [d for d in range(len(shape)) if d not in offset_dims]
    dropped = {int(d) for d in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)}
    windows = [d for d in range(len(full)) if d not in dropped]
    strides, by_out = full_strides(operand, full), {}
    for out, d in zip(offset_dims, windows):
        by_out[out] = strides[d]
    places = [d for d in range(len(eqn.invars[1].aval.shape) - 1)]
    for d, at in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims):
        by_out[batch[places.index(int(at))]] = strides[int(d)]
    starts = _starts(build, ins[1], eqn.invars[1].aval.shape, batch, shape, len(numbers.start_index_map))
    limits = [int(full[int(d)] - sizes[int(d)]) for d in numbers.start_index_map]
    steps = [strides[int(d)] for d in numbers.start_index_map]
    kept = [d for d in range(len(shape)) if shape[d] != 1]
    out_strides = tuple(by_out.get(d, 0) for d in kept)
    if all(isinstance(s, Const) or not s.root.shape for s in starts) and mode != "drop":
        return _as_view(build, operand, starts, limits, steps, squeezed(shape), out_strides)
    fill = eqn.params.get("fill_value")
    params = {"strides": out_strides, "steps": steps, "limits": limits, "mode": mode,
              "fill": None if fill is None else np.asarray(fill).item()}
    if not operand.root.shape:
        raise Unsupported("gather from a single element with positions that may lie outside")
    base = View(operand.root, operand.shape, operand.strides, operand.offset, operand.dyn)
    return build.add("gather", [base, *starts], squeezed(shape), operand.dtype, params)


def _as_view(build: Any, operand: View, starts: list, limits: list[int], steps: list[int], shape: tuple, strides: tuple):
    """One position for the whole result: a slice that starts at a computed place."""
    offset, dyn = operand.offset, list(operand.dyn)
    for start, limit, step in zip(starts, limits, steps):
        at = build.clamped(start if isinstance(start, Const) else whole(start.root), limit)
        if isinstance(at, Const):
            offset += at.value * step
        else:
            dyn.append((at, step))
    return build.settle(View(operand.root, shape, strides, offset, tuple(dyn)))


def scatter(build: Any, eqn: Any, ins: list[Operand]) -> Operand:
    """`x.at[…].set/add/…`."""
    numbers = eqn.params["dimension_numbers"]
    full, update_shape = eqn.invars[0].aval.shape, tuple(eqn.invars[2].aval.shape)
    batching = [int(d) for d in numbers.operand_batching_dims]
    dropped = {int(d) for d in numbers.inserted_window_dims} | set(batching)
    windows = [d for d in range(len(full)) if d not in dropped]
    window_dims = [int(d) for d in numbers.update_window_dims]
    batch = [d for d in range(len(update_shape)) if d not in window_dims]
    strides = full_strides(whole_like(full), full)
    by_update = {u: strides[d] for u, d in zip(window_dims, windows)}
    size = {d: update_shape[u] for u, d in zip(window_dims, windows)}
    places = list(range(len(eqn.invars[1].aval.shape) - 1))
    for d, at in zip(batching, numbers.scatter_indices_batching_dims):
        by_update[batch[places.index(int(at))]] = strides[d]
    targets = [int(d) for d in numbers.scatter_dims_to_operand_dims]
    starts = _starts(build, ins[1], eqn.invars[1].aval.shape, batch, update_shape, len(targets))
    limits = [int(full[d] - size.get(d, 1)) for d in targets]
    return _put(build, _JOIN[eqn.primitive.name], ins[0], ins[2], starts, limits, [strides[d] for d in targets],
                squeezed(full), squeezed(update_shape),
                tuple(by_update.get(d, 0) for d in range(len(update_shape)) if update_shape[d] != 1), _mode(eqn))


def whole_like(full: tuple[int, ...]) -> View:
    """Strides of a stored array of this shape, without an array."""
    shape = squeezed(full)
    return View(None, shape, layout(shape)[0])


def _put(build: Any, join: str, operand: Operand, update: Operand, starts: list, limits: list[int], steps: list[int],
         shape: tuple, update_shape: tuple, strides: tuple, mode: str) -> Operand:
    certain = [s for s in starts]
    if mode != "drop":
        certain = [build.clamped(s, n) for s, n in zip(starts, limits)]
    inside = mode != "drop" or all(isinstance(s, Const) and 0 <= s.value <= n for s, n in zip(starts, limits))
    if shape == update_shape and not any(limits):  # everything is replaced
        return _replaced(build, join, operand, update, starts, shape, inside)
    operand = build.as_array(operand, shape)
    params = {"join": join, "strides": strides, "steps": steps, "limits": limits, "mode": "in" if inside else "drop",
              "update_shape": update_shape}
    if not any(operand.strides) and operand.root.shape == ():
        operand = build.add("copy", [operand], shape, operand.dtype)
    return build.add("scatter", [operand, update, *certain], shape, operand.dtype, params)


def _replaced(build: Any, join: str, operand: Operand, update: Operand, starts: list, shape: tuple, inside: bool) -> Operand:
    dtype = operand.dtype
    new = update if join == "set" else build.pointwise(join, [operand, update], shape, dtype, {})
    if inside:
        return new
    for start in starts:
        zero = Const(0, start.dtype)
        hit = build.pointwise("eq", [start, zero], start.shape, "bool", {})
        new = build.pointwise("select_n", [hit, operand, new], shape, dtype, {})
    return new


def empty(build: Any, eqn: Any) -> Operand:
    """Memory whose contents nobody reads before they are written."""
    aval = eqn.outvars[0].aval
    value = build.shared.value(tuple(aval.shape), aval.dtype.name, build.block)
    build._append(build.block, Eqn("empty", []), [value])
    return whole(value)


def span(build: Any, eqn: Any, ins: list[Operand]) -> Operand:
    """How many elements of an axis are in use: loops over axes of that length end there (`engine.sparse.memory`)."""
    axis = int(eqn.params["axis"])
    build.shared.spans.add(axis)
    value = build.shared.value((), eqn.outvars[0].aval.dtype.name, build.block)
    build._append(build.block, Eqn("span", ins, {"axis": axis}), [value])
    return whole(value)


def peek(build: Any, eqn: Any, ins: list[Operand]) -> Operand:
    """One element at a place that is inside."""
    operand = ins[0]
    dyn = [(i, s) for i, s in zip(ins[1:], full_strides(operand, eqn.invars[0].aval.shape)) if s]
    known = sum(i.value * s for i, s in dyn if isinstance(i, Const))
    moving = tuple((i, s) for i, s in dyn if not isinstance(i, Const))
    return build.load(View(operand.root, (), (), operand.offset + known, (*operand.dyn, *moving)))


def poke(build: Any, eqn: Any, ins: list[Operand]) -> Operand:
    """One element replaced, at a place that is inside."""
    full = eqn.invars[0].aval.shape
    shape = squeezed(full)
    steps = full_strides(whole_like(full), full)
    if not shape:
        return ins[1]
    params = {"join": "set", "strides": (), "steps": steps, "limits": [0] * len(steps), "mode": "in", "update_shape": ()}
    return build.add("scatter", [build.as_array(ins[0], shape), ins[1], *ins[2:]], shape, eqn.outvars[0].aval.dtype.name, params)


def update_slice(build: Any, eqn: Any, ins: list[Operand]) -> Operand:
    """dynamic_update_slice: a window at clamped positions."""
    full, part = eqn.invars[0].aval.shape, eqn.invars[1].aval.shape
    strides = full_strides(whole_like(full), full)
    limits = [int(a - b) for a, b in zip(full, part)]
    window = tuple(strides[d] for d in range(len(part)) if part[d] != 1)
    return _put(build, "set", ins[0], ins[1], ins[2:], limits, strides, squeezed(full), squeezed(part), window, "clip")


def concatenate(build: Any, eqn: Any, ins: list[Operand], axis: int) -> Operand:
    """Pieces one after the other along an axis."""
    full = tuple(eqn.outvars[0].aval.shape)
    stride = full_strides(whole_like(full), full)[axis]
    pieces, at = [], 0
    for operand, var in zip(ins, eqn.invars):
        part = tuple(var.aval.shape)
        pieces.append((squeezed(part), _piece_strides(full, part), at * stride))
        at += part[axis]
    return build.add("assemble", ins, squeezed(full), eqn.outvars[0].aval.dtype.name, {"pieces": pieces})


def stack(build: Any, eqn: Any, ins: list[Operand], axis: int) -> Operand:
    """Arrays side by side along a new axis."""
    full = tuple(eqn.outvars[0].aval.shape)
    if full[axis] == 1:
        return ins[0]
    strides = full_strides(whole_like(full), full)
    part = tuple(n for d, n in enumerate(full) if d != axis)
    kept = tuple(strides[d] for d in range(len(full)) if d != axis and full[d] != 1)
    pieces = [(squeezed(part), kept, k * strides[axis]) for k in range(full[axis])]
    return build.add("assemble", ins, squeezed(full), eqn.outvars[0].aval.dtype.name, {"pieces": pieces})


def _piece_strides(full: tuple[int, ...], part: tuple[int, ...]) -> tuple[int, ...]:
    strides = full_strides(whole_like(full), full)
    return tuple(strides[d] for d in range(len(part)) if part[d] != 1)
