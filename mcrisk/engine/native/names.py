"""Names for the generated source: what a value is called where the rule computes it.

A value is named after the innermost assignment or keyword argument of the Python source around the expression that made it,
or after the function. Names are for readers only; a number behind each makes it unique.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

PLAIN = "x"
LONGEST = 24
Span = tuple[tuple[int, int], tuple[int, int], str]   # (line, column) of both ends, name


def clean(text: str) -> str:
    """`text` as (part of) a C identifier; `PLAIN` where nothing is left of it."""
    word = re.sub(r"\W+", "_", text).strip("_")[:LONGEST].rstrip("_")
    return word if word and not word[0].isdigit() else PLAIN


def last(path: str) -> str:
    """The last named part of a tree path such as `state[0].carry.market.mark[2]`."""
    words = re.findall(r"\.([A-Za-z]\w*)|\['(\w+)'\]|^([A-Za-z]\w*)", path)
    return clean("".join(words[-1])) if words else PLAIN


@lru_cache(maxsize=512)
def _spans(file: str) -> tuple[Span, ...]:
    """Named stretches of a Python file."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError):
        return ()
    found: list[Span] = []
    for node in ast.walk(tree):
        name, value = None, getattr(node, "value", None)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.keyword):
            name = node.arg
        elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
            name, value = getattr(node, "name", None), node
        if name is not None and value is not None:
            found.append(((value.lineno, value.col_offset), (value.end_lineno, value.end_col_offset), name))
    return tuple(found)


@lru_cache(maxsize=65_536)
def _at(file: str, start: tuple[int, int], end: tuple[int, int]) -> str | None:
    around = [(first, last, name) for first, last, name in _spans(file) if first <= start and end <= last]
    if not around:
        return None
    return max(around, key=lambda span: (span[0], tuple(-n for n in span[1])))[2]


def label(frame: Any) -> str:
    """The name of what an expression computes; `frame` is a frame of JAX's source information, or None."""
    if frame is None:
        return PLAIN
    found = _at(frame.file_name, (frame.start_line, frame.start_column), (frame.end_line, frame.end_column))
    return clean(found or frame.function_name.rsplit(".", 1)[-1])


def arguments(jaxpr: Any) -> list[str]:
    """A name for every argument of an inner function (the carried values of a loop)."""
    info = getattr(jaxpr, "debug_info", None)
    names = getattr(info, "arg_names", None) or ()
    if len(names) != len(jaxpr.invars):
        return [PLAIN] * len(jaxpr.invars)
    return [last(name) if name else PLAIN for name in names]
