"""The closed table of elementwise primitives: name → C expression, one element at a time and, where it exists, for vectors.

Scalars have their own C type; a vector has four 64-bit lanes (`vd` double, `vi` int64, `vu` uint64) and holds booleans as
0 and −1 and 32-bit integers widened. What stands in no table is refused by name. Semantics are XLA's: maxima and minima
hand NaN on, shifts by the word length and more give 0, integer division by zero gives −1 (quotient) or the dividend.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mcrisk.engine.native.graph import Unsupported

C_TYPE = {"float64": "double", "float32": "float", "int32": "int32_t", "int64": "int64_t", "uint32": "uint32_t",
          "uint64": "uint64_t", "bool": "bool"}
VECTOR_TYPE = {"float64": "vd", "int32": "vi", "int64": "vi", "bool": "vi", "uint32": "vu", "uint64": "vu"}
SLOT_TYPE = {"float64": "double", "int32": "int64_t", "int64": "int64_t", "bool": "int64_t", "uint32": "uint64_t",
             "uint64": "uint64_t", "float32": "double"}
SPLAT = {"vd": "VD", "vi": "VI", "vu": "VU"}


class Call:
    """What a template may look at: argument texts, their types, the result's type, the parameters of the equation."""

    __slots__ = ("args", "types", "out", "params", "literal")

    def __init__(self, args: list[str], types: list[str], out: str, params: dict[str, Any], literal: list[bool]):
        self.args, self.types, self.out, self.params, self.literal = args, types, out, params, literal

    @property
    def real(self) -> bool:
        return self.types[0] in ("float64", "float32")


Template = Callable[[Call], str]
SCALAR: dict[str, Template] = {}
VECTOR: dict[str, Template] = {}


def literal(value: Any, dtype: str) -> str:
    """A C constant with exactly this value."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtype in ("float64", "float32"):
        if math.isnan(value):
            return "NAN"
        if math.isinf(value):
            return "INFINITY" if value > 0 else "(-INFINITY)"
        text = repr(float(value))
        text = text if any(c in text for c in ".en") else text + ".0"
        text += "f" if dtype == "float32" else ""
        return f"({text})" if text.startswith("-") else text
    value = int(value)
    if value == -(2**63):
        return "INT64_MIN"
    text = str(value) + {"int32": "", "int64": "LL", "uint32": "u", "uint64": "ULL"}[dtype]
    return f"({text})" if value < 0 else text


def _wrapped(text: str, dtype: str) -> str:
    """Vector lanes are 64 bits wide; 32-bit results wrap as they would in 32 bits."""
    if dtype == "int32":
        return f"wrap32({text})"
    return f"(({text}) & VU(0xFFFFFFFFULL))" if dtype == "uint32" else f"({text})"


def _binary(name: str, sign: str) -> None:
    SCALAR[name] = lambda c: f"({c.args[0]} {sign} {c.args[1]})"
    VECTOR[name] = lambda c: _wrapped(f"{c.args[0]} {sign} {c.args[1]}", c.out)


def _compare(name: str, sign: str) -> None:
    SCALAR[name] = lambda c: f"({c.args[0]} {sign} {c.args[1]})"
    VECTOR[name] = lambda c: f"((vi)({c.args[0]} {sign} {c.args[1]}))"


for _name, _sign in {"add": "+", "add_any": "+", "sub": "-", "mul": "*"}.items():
    _binary(_name, _sign)
for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    _compare(_name, _sign)
for _name, _sign in {"and": "&", "or": "|", "xor": "^"}.items():
    SCALAR[_name] = lambda c, s=_sign: f"({c.args[0]} {s} {c.args[1]})"
    VECTOR[_name] = lambda c, s=_sign: f"({c.args[0]} {s} {c.args[1]})"

SCALAR["not"] = lambda c: f"(!{c.args[0]})" if c.out == "bool" else f"(({C_TYPE[c.out]})~{c.args[0]})"
VECTOR["not"] = lambda c: _wrapped(f"~{c.args[0]}", c.out) if c.out == "uint32" else f"(~{c.args[0]})"
SCALAR["neg"] = lambda c: f"(-{c.args[0]})"
VECTOR["neg"] = lambda c: _wrapped(f"-{c.args[0]}", c.out)
SCALAR["square"] = lambda c: f"({c.args[0]} * {c.args[0]})"
VECTOR["square"] = lambda c: _wrapped(f"{c.args[0]} * {c.args[0]}", c.out)


def _product(c: Call) -> str:
    """64-bit products cost vector units much more than those by a known half word."""
    half = c.out == "uint64" and c.literal[1] and int("".join(ch for ch in c.args[1] if ch.isdigit()) or 2**32) < 2**32
    return f"by_half_word({c.args[0]}, {c.args[1]})" if half else _wrapped(f"{c.args[0]} * {c.args[1]}", c.out)


VECTOR["mul"] = _product


def _power(c: Call) -> str:
    n = c.params["y"]
    if abs(n) > 16:
        raise Unsupported(f"integer_pow with exponent {n}")
    text = "1.0" if c.real else "1"
    square, first = c.args[0], True
    m = abs(n)
    while m:  # XLA's order: squares, multiplied in from the lowest bit
        if m & 1:
            text, first = (square, False) if first else (f"({text} * {square})", False)
        m >>= 1
        if m:
            square = f"({square} * {square})"
    return f"(1.0 / {text})" if n < 0 else text


SCALAR["integer_pow"] = _power


def _divide(c: Call) -> str:
    if c.real:
        return f"({c.args[0]} / {c.args[1]})"
    return f"div_{c.out}({c.args[0]}, {c.args[1]})"


def _remainder(c: Call) -> str:
    return f"fmod({c.args[0]}, {c.args[1]})" if c.real else f"rem_{c.out}({c.args[0]}, {c.args[1]})"


SCALAR["div"], SCALAR["rem"] = _divide, _remainder
VECTOR["div"] = lambda c: f"({c.args[0]} / {c.args[1]})" if c.real else ""


def _extreme(name: str, sign: str) -> None:
    def scalar(c: Call) -> str:
        a, b = c.args
        if c.out == "bool":
            return f"({a} {'|' if sign == '>' else '&'} {b})"
        if c.real and c.literal[1]:    # a constant is no NaN: one comparison is enough
            return f"({b} {sign} {a} ? {b} : {a})"
        return f"{name}_real({a}, {b})" if c.real else f"({a} {sign} {b} ? {a} : {b})"

    def vector(c: Call) -> str:
        a, b = c.args
        if c.out == "bool":
            return f"({a} {'|' if sign == '>' else '&'} {b})"
        if c.real and c.literal[1]:
            return f"v{name}({b}, {a})"
        if c.real and c.literal[0]:
            return f"v{name}({a}, {b})"
        return f"v{name}_nan({a}, {b})" if c.real else _pick(c.out, f"(vi)({a} {sign} {b})", a, b)

    SCALAR[name], VECTOR[name] = scalar, vector


def _pick(dtype: str, mask: str, yes: str, no: str) -> str:
    return f"sel_{VECTOR_TYPE[dtype]}({mask}, {yes}, {no})"


_extreme("max", ">")
_extreme("min", "<")
SCALAR["clamp"] = lambda c: f"clamp_{C_TYPE[c.out]}({c.args[0]}, {c.args[1]}, {c.args[2]})"
SCALAR["select_n"] = lambda c: f"({c.args[0]} ? {c.args[2]} : {c.args[1]})"
VECTOR["select_n"] = lambda c: _pick(c.out, c.args[0], c.args[2], c.args[1])
SCALAR["abs"] = lambda c: f"fabs({c.args[0]})" if c.real else f"({c.args[0]} < 0 ? -{c.args[0]} : {c.args[0]})"
VECTOR["abs"] = lambda c: f"vabs({c.args[0]})" if c.real else ""
SCALAR["sign"] = lambda c: f"sign_real({c.args[0]})" if c.real else f"(({c.args[0]} > 0) - ({c.args[0]} < 0))"
VECTOR["sign"] = lambda c: f"vsign({c.args[0]})" if c.real else ""
SCALAR["is_finite"] = lambda c: f"finite_real({c.args[0]})"
for _name in ("shift_left", "shift_right_logical", "shift_right_arithmetic"):
    SCALAR[_name] = lambda c, n=_name: f"{n}_{c.out}({c.args[0]}, {c.args[1]})"
for _name, _sign in {"shift_left": "<<", "shift_right_logical": ">>"}.items():   # by fewer places than a word has
    VECTOR[_name] = lambda c, s=_sign: f"({c.args[0]} {s} {c.args[1]})" if c.out == "uint64" and c.literal[1] else ""

_OWN = ("exp", "expm1", "log", "log1p", "sin", "cos", "pow")   # elementary.h; what no hot path needs comes from the C library
_LIBM = {"exp2": "exp2", "sqrt": "sqrt", "cbrt": "cbrt", "tan": "tan", "tanh": "tanh", "atan2": "atan2", "floor": "floor",
         "ceil": "ceil", "erf": "erf", "erfc": "erfc", "erf_inv": "erf_inv", "sinh": "sinh", "cosh": "cosh"}
for _name, _function in {**{name: f"own_{name}" for name in _OWN}, **_LIBM}.items():
    SCALAR[_name] = lambda c, f=_function: f"{f}({', '.join(c.args)})"
for _name in ("exp", "expm1", "log", "sin", "cos"):
    VECTOR[_name] = lambda c, n=_name: f"v{n}({c.args[0]})"
VECTOR["sqrt"] = lambda c: f"vsqrt({c.args[0]})"
SCALAR["rsqrt"] = lambda c: f"(1.0 / sqrt({c.args[0]}))"
SCALAR["logistic"] = lambda c: f"(1.0 / (1.0 + own_exp(-{c.args[0]})))"


def _convert(c: Call) -> str:
    old, new, x = c.types[0], c.out, c.args[0]
    if new == "bool":
        return f"({x} != 0)"
    if c.real and new in ("int32", "int64", "uint32", "uint64"):
        return f"real_to_{new}({x})"
    return f"(({C_TYPE[new]}){x})" if old != new else x


def _convert_vector(c: Call) -> str:
    old, new, x = c.types[0], c.out, c.args[0]
    if (old, new) == ("uint64", "float64"):
        return f"words_to_reals({x})"
    if old == "bool":
        return f"mask_to_real({x})" if new == "float64" else f"((v{'u' if new[0] == 'u' else 'i'})({x} & VI(1)))"
    if new == "bool":
        return f"((vi)({x} != {SPLAT[VECTOR_TYPE[old]]}(0)))"
    if {old, new} <= {"int32", "int64"} and new == "int64":
        return x
    return x if old == new else ""


SCALAR["convert_element_type"], VECTOR["convert_element_type"] = _convert, _convert_vector


def _bitcast(c: Call) -> str:
    if {c.types[0], c.out} <= {"float64", "int64", "uint64"}:
        return f"bits_{c.types[0]}_{c.out}({c.args[0]})" if c.types[0] != c.out else c.args[0]
    raise Unsupported(f"bitcast_convert_type from {c.types[0]} to {c.out}")


SCALAR["bitcast_convert_type"] = _bitcast
VECTOR["bitcast_convert_type"] = lambda c: f"(({VECTOR_TYPE[c.out]}){c.args[0]})" if "32" not in c.out else ""
SCALAR["copy"] = VECTOR["copy"] = lambda c: c.args[0]

# reductions: (neutral element, scalar step, vector step, closing function of a vector)
REDUCTIONS = {"reduce_sum": "add", "reduce_prod": "mul", "reduce_max": "max", "reduce_min": "min", "reduce_or": "or",
              "reduce_and": "and"}


def neutral(prim: str, dtype: str) -> Any:
    """What a reduction starts from."""
    if prim in ("reduce_sum", "reduce_or"):
        return False if dtype == "bool" else 0
    if prim in ("reduce_prod", "reduce_and"):
        return True if dtype == "bool" else 1
    if dtype == "bool":
        return prim == "reduce_min"
    if dtype in ("float64", "float32"):
        return math.inf if prim == "reduce_min" else -math.inf
    info = np.iinfo(dtype)
    return int(info.max if prim == "reduce_min" else info.min)


def scalar_text(prim: str, call: Call) -> str:
    """The C expression of one element. Raises Unsupported naming the primitive."""
    if prim not in SCALAR:
        raise Unsupported(f"the primitive '{prim}'")
    if "float32" in (call.out, *call.types) and prim not in ("add", "sub", "mul", "div", "lt", "le", "gt", "ge", "eq", "ne",
                                                            "neg", "select_n", "convert_element_type", "copy"):
        raise Unsupported(f"the primitive '{prim}' for float32")
    return SCALAR[prim](call)


def vector_text(prim: str, call: Call) -> str:
    """The C expression of four elements; empty where there is none."""
    return VECTOR[prim](call) if prim in VECTOR else ""
