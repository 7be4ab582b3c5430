"""cond, while and scan: blocks of their own that refer to outer values directly."""

from __future__ import annotations

from typing import Any

from jax.extend import core as jcore

from mcrisk.engine.native.graph import Block, Const, Eqn, Operand, Unsupported, Value, View, layout, squeezed, whole
from mcrisk.engine.native.names import PLAIN, arguments


def forwards(jaxpr: Any) -> list[int | None]:
    """Which input each output is, where it is one unchanged; sees through calls and conditionals."""
    known: dict[Any, Any] = {var: var for var in jaxpr.invars}
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name == "cond":
            maps = [forwards(branch.jaxpr) for branch in eqn.params["branches"]]
            args = eqn.invars[1:]
            through = [m[0] if all(x == m[0] for x in m) else None for m in zip(*maps)]
        elif name in ("jit", "pjit", "closed_call"):
            called = eqn.params.get("jaxpr") or eqn.params["call_jaxpr"]
            through, args = forwards(called.jaxpr), eqn.invars
        else:
            continue
        for var, source in zip(eqn.outvars, through):
            if source is not None and not isinstance(args[source], jcore.Literal) and args[source] in known:
                known[var] = known[args[source]]
    at = {var: i for i, var in enumerate(jaxpr.invars)}
    return [None if isinstance(v, jcore.Literal) or v not in known else at[known[v]] for v in jaxpr.outvars]


def _builder(build: Any, block: Block) -> Any:
    return type(build)(block, build.shared)


def _defined_inside(operand: Operand, block: Block) -> bool:
    from mcrisk.engine.native.graph import operand_roots

    return any(r.block.depth >= block.depth for r in operand_roots(operand))


def build_cond(build: Any, eqn: Any, ins: list[Operand]) -> list[Operand]:
    """Branches 0, 1, … by an index that is clamped; two branches by a boolean."""
    branches, index = eqn.params["branches"], ins[0]
    if isinstance(index, Const):
        branch = branches[min(max(int(index.value), 0), len(branches) - 1)]
        return build.run(branch.jaxpr, branch.consts, ins[1:])
    if len(branches) != 2:
        raise Unsupported(f"cond with {len(branches)} branches")
    blocks = [Block(build.block, "branch") for _ in branches]
    for block, branch in zip(blocks, branches):
        block.outs = _builder(build, block).run(branch.jaxpr, branch.consts, ins[1:])
    build.shared.where = eqn
    new = Eqn("cond", [_truth(build, index)], blocks=blocks)
    outs, results, kept = [], [], []
    for j, var in enumerate(eqn.outvars):
        first, second = blocks[0].outs[j], blocks[1].outs[j]
        if first.key() == second.key() and not _defined_inside(first, blocks[0]):
            results.append(first)
            continue
        value = build.shared.value(squeezed(var.aval.shape), var.aval.dtype.name, build.block)
        value.label = next((o.root.label for o in (second, first) if isinstance(o, View)), PLAIN)
        outs.append(value)
        kept.append(j)
        results.append(whole(value))
    for block in blocks:
        block.outs = [block.outs[j] for j in kept]
    build._append(build.block, new, outs)
    return results


def _truth(build: Any, index: View) -> Operand:
    """The boolean behind `index` = int(bool), or index > 0."""
    if index.dtype == "bool":
        return index
    source = index.root.eqn
    if source is not None and source.prim == "convert_element_type" and source.ins[0].dtype == "bool":
        return source.ins[0]
    return build.pointwise("gt", [index, Const(0, index.dtype)], (), "bool", {})


def _carries(build: Any, block: Block, init: list[Operand], variables: list[Any], through: list[int | None], first: int,
             called: list[str]):
    """A value per carried variable, or the initial operand where the body never changes it."""
    inside: list[Operand] = []
    for i, (operand, var) in enumerate(zip(init, variables)):
        if through[i] == first + i:
            inside.append(operand)
            continue
        value = build.shared.value(squeezed(var.aval.shape), var.aval.dtype.name, block)
        value.label = called[first + i]
        inside.append(whole(value))
    return inside, [i for i in range(len(init)) if through[i] != first + i]


def _shaped(build: Any, operand: Operand, var: Any) -> Operand:
    """Initial values may be constants or broadcasts; loops want them under the shape of the variable."""
    return operand if isinstance(operand, Const) else build.as_array(operand, squeezed(var.aval.shape))


def build_while(build: Any, eqn: Any, ins: list[Operand]) -> list[Operand]:
    """`for (;;) { test; if (!test) break; body }`: the body stands inside the test's block, as its continuation."""
    p = eqn.params
    cut, split = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
    body, test = p["body_jaxpr"], p["cond_jaxpr"]
    init = [_shaped(build, o, v) for o, v in zip(ins[split:], eqn.outvars)]
    outer = Block(build.block, "body")
    inside, moving = _carries(build, outer, init, eqn.outvars, forwards(body.jaxpr), p["body_nconsts"],
                              arguments(body.jaxpr))
    inner = _builder(build, outer)
    verdict = inner.run(test.jaxpr, test.consts, [*ins[:cut], *inside])[0]
    rest = Block(outer, "rest")
    outs = _builder(build, rest).run(body.jaxpr, body.consts, [*ins[cut:split], *inside])
    rest.outs = [outs[i] for i in moving]
    inner._append(outer, Eqn("rest", [verdict], blocks=[rest]), [])
    return _close(build, eqn, "while", outer, init, inside, moving, {})


def build_scan(build: Any, eqn: Any, ins: list[Operand]) -> list[Operand]:
    """A counted loop; slices of inputs and outputs by its number."""
    p = eqn.params
    consts, carried, length = p["num_consts"], p["num_carry"], int(p["length"])
    if p["reverse"]:
        raise Unsupported("scan in reverse")
    body = p["jaxpr"]
    init = [_shaped(build, o, v) for o, v in zip(ins[consts:consts + carried], eqn.outvars)]
    block = Block(build.block, "body")
    number = build.shared.value((), "int64", block)
    number.mutable = True
    through = forwards(body.jaxpr)[:carried]
    inside, moving = _carries(build, block, init, eqn.outvars[:carried], through, consts, arguments(body.jaxpr))
    inner = _builder(build, block)
    slices = [_slice(inner, o, v.aval.shape, number) for o, v in zip(ins[consts + carried:], eqn.invars[consts + carried:])]
    outs = inner.run(body.jaxpr, body.consts, [*ins[:consts], *inside, *slices])
    block.outs = [outs[i] for i in moving] + outs[carried:]
    params = {"length": length, "number": number, "collected": len(outs) - carried}
    return _close(build, eqn, "for", block, init, inside, moving, params, eqn.outvars[carried:])


def _slice(build: Any, operand: Operand, full: tuple[int, ...], number: Value) -> Operand:
    if isinstance(operand, Const) or full[0] == 1:
        return operand
    stride, rest = operand.strides[0], operand.strides[1:]
    dyn = (*operand.dyn, (whole(number), stride)) if stride else operand.dyn
    return build.settle(View(operand.root, operand.shape[1:], rest, operand.offset, dyn))


def _close(build: Any, eqn: Any, name: str, block: Block, init: list, inside: list, moving: list[int], params: dict,
           collected: Any = ()) -> list[Operand]:
    """The loop's equation and its results: final carries, then collected slices."""
    build.shared.where = eqn
    new = Eqn(name, [init[i] for i in moving], {**params, "carries": [inside[i].root for i in moving]}, [block])
    for i in moving:
        if inside[i].root.label == PLAIN and isinstance(block.outs[moving.index(i)] if block.outs else None, View):
            inside[i].root.label = block.outs[moving.index(i)].root.label
    finals = {i: build.shared.value(inside[i].shape, inside[i].dtype, build.block) for i in moving}
    for i, value in finals.items():
        value.label = inside[i].root.label
    gathered = [build.shared.value(squeezed(v.aval.shape), v.aval.dtype.name, build.block) for v in collected]
    build._append(build.block, new, [*finals.values(), *gathered])
    return [whole(finals[i]) if i in finals else init[i] for i in range(len(init))] + [whole(v) for v in gathered]


__all__ = ["build_cond", "build_scan", "build_while", "forwards", "layout"]
