"""Equations that need no code: constants are folded, and operands stand in where an operation changes nothing."""

from __future__ import annotations

import numpy as np

from mcrisk.engine.native.graph import Const, Operand, Unsupported

_FOLD = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative, "max": np.maximum, "min": np.minimum,
         "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
         "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert}


def folded_constant(prim: str, ins: list[Const], dtype: str) -> Const | None:
    """The value of an equation on constants, where NumPy and XLA cannot disagree."""
    if prim == "select_n":
        return ins[2] if ins[0].value else ins[1]
    arrays = [np.asarray(o.value, o.dtype) for o in ins]
    if prim == "convert_element_type":
        safe = arrays[0].dtype.kind != "f" or dtype.startswith("float")
        return Const(arrays[0].astype(dtype), dtype) if safe else None
    if prim not in _FOLD:
        return None
    with np.errstate(all="ignore"):
        return Const(_FOLD[prim](*arrays), dtype)


def simplified(prim: str, ins: list[Operand], dtype: str) -> Operand | None:
    """Operands that make an equation superfluous; nothing but the sign of a zero can change."""
    if prim == "select_n":
        if len(ins) != 3 or ins[0].dtype != "bool":
            raise Unsupported("select_n with more than two cases")
        if isinstance(ins[0], Const):
            return ins[2] if ins[0].value else ins[1]
        return ins[1] if ins[1].key() == ins[2].key() else None
    for a, b in (ins, ins[::-1]) if len(ins) == 2 else ():
        if not isinstance(a, Const):
            continue
        if prim in ("and", "or") and dtype == "bool":
            return (b if a.value else a) if prim == "and" else (a if a.value else b)
        if prim == "mul" and a.value == 1:
            return b
        if prim == "add" and a.value == 0:   # as XLA does; only −0 + 0 would be another zero
            return b
    return None
