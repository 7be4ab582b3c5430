"""Scalars of a block as soon as they are ready; elementary functions of independent arguments four at a time.

An exponential costs as much as twenty other statements, and its vector form as much for four arguments as for one: they
wait until four are there or nothing else is ready. Bits do not depend on the grouping.
"""

from __future__ import annotations

from typing import Any

from mcrisk.engine.native.graph import Eqn

LANES = 4
GROUPED = ("exp", "expm1", "log", "sin", "cos")   # of primitives.VECTOR


def write_scalars(w: Any) -> None:
    """Everything outside loops and control flow that can be written now, full groups included; the rest stays pending."""
    progress = True
    while progress:
        before, left = len(w.pending), []
        for eqn in w.pending:
            if _scalar(w, eqn) and eqn.prim not in GROUPED and w._ready(eqn):
                w._scalar(eqn)
                w.release(eqn)
            else:
                left.append(eqn)
        w.pending = left
        progress = len(left) < before or write_groups(w, full=True)


def write_groups(w: Any, full: bool) -> bool:
    """Elementary functions whose arguments are there, in groups of four; smaller ones too unless `full`. Was there one?"""
    ready = [eqn for eqn in w.pending if eqn.prim in GROUPED and _scalar(w, eqn) and w._ready(eqn)]
    written: set[int] = set()
    for prim in GROUPED:
        same = [eqn for eqn in ready if eqn.prim == prim]
        for start in range(0, len(same), LANES):
            group = same[start:start + LANES]
            if len(group) == LANES or not full:
                _write_group(w, group)
                written |= set(map(id, group))
    w.pending = [eqn for eqn in w.pending if id(eqn) not in written]
    return bool(written)


def _scalar(w: Any, eqn: Eqn) -> bool:
    from mcrisk.engine.native.emitter import FLOW

    return eqn.prim not in FLOW and not w.is_loop(eqn)


def _write_group(w: Any, group: list[Eqn]) -> None:
    """One call for up to four equations; unused lanes repeat the last argument."""
    if len(group) == 1:
        w._scalar(group[0])
        w.release(group[0])
        return
    w.comment(group[0])
    args = [w.text(eqn.ins[0]) for eqn in group]
    args += args[-1:] * (LANES - len(args))
    name = w.em.fresh("g")
    w.fn.put(f"const vd {name} = v{group[0].prim}(FOUR({', '.join(args)}));")
    for lane, eqn in enumerate(group):
        w.define(eqn.outs[0], f"lane_float64({name}, {lane})")
        w.release(eqn)
