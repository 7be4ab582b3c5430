"""Form of a path-level rule: three pure functions, looked up by kind in the registry `KINDS` of its slot.

Formula   none; this is the shape the slots index, price limits, mark and funding share.
Symbols   state = NamedTuple of scalars and short rings of one path and one market.
Source    docs/architecture.md of this repository. Date 2026-11-20.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """`init` makes the first state, `update` advances one row, `rescale` multiplies what is a price in the state."""

    init: Callable[..., Any]
    update: Callable[..., Any]
    rescale: Callable[[Any, Any], Any]


class Empty(NamedTuple):
    """State of a rule that remembers nothing."""


def unchanged(state: Any, factor: Any) -> Any:
    """`rescale` of a rule whose state holds no price."""
    del factor
    return state
