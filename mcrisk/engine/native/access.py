"""How a slot of a buffer is read and written: 8 bytes, doubles as they are, everything else as 64-bit integers."""

from __future__ import annotations

from mcrisk.engine.native.primitives import C_TYPE, SLOT_TYPE

_WORDS = {"int64_t": "I64", "uint64_t": "U64"}   # a buffer's slots as integers; how, the target's head says


def from_slot(buffer: str, slot: str, dtype: str) -> str:
    """Read a slot."""
    if dtype == "float64":
        return f"{buffer}[{slot}]"
    text = f"{buffer}[{slot}]" if SLOT_TYPE[dtype] == "double" else f"{_WORDS[SLOT_TYPE[dtype]]}({buffer})[{slot}]"
    if dtype == "bool":
        return f"({text} != 0)"
    return text if dtype in ("int64", "uint64") else f"(({C_TYPE[dtype]}){text})"


def to_slot(buffer: str, slot: str, dtype: str, text: str) -> str:
    """Write a slot."""
    if dtype in ("float64", "float32"):
        return f"{buffer}[{slot}] = {text};"
    return f"{_WORDS[SLOT_TYPE[dtype]]}({buffer})[{slot}] = {'-(int64_t)' if dtype == 'bool' else ''}({text});"
