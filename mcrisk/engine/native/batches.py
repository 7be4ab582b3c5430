"""Scalars of a block as soon as they are ready; elementary functions of independent arguments four at a time.

An exponential costs as much as twenty other statements, and its vector form as much for four arguments as for one: they
wait until nothing else is ready, then all of a kind are written together. Bits do not depend on the grouping.
"""

from __future__ import annotations

from typing import Any

from mcrisk.engine.native.graph import Eqn

LANES = 4
GROUPED = ("exp", "expm1", "log", "sin", "cos")   # of primitives.VECTOR


def write_scalars(w: Any) -> None:
    """Everything outside loops and control flow that can be written now; the rest stays in `w.pending`."""
    while True:
        waiting: list[Eqn] = []
        left: list[Eqn] = []
        before = len(w.pending)
        for eqn in w.pending:
            if not _scalar(w, eqn) or not w._ready(eqn):
                left.append(eqn)
            elif eqn.prim in GROUPED:
                waiting.append(eqn)
                left.append(eqn)
            else:
                w._scalar(eqn)
                w.release(eqn)
        w.pending = left
        if len(left) < before:
            continue   # what has been written may make more elementary functions ready
        if not waiting:
            return
        for prim in GROUPED:
            same = [eqn for eqn in waiting if eqn.prim == prim]
            for start in range(0, len(same), LANES):
                _write_group(w, same[start:start + LANES])
        written = set(map(id, waiting))
        w.pending = [eqn for eqn in w.pending if id(eqn) not in written]


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
