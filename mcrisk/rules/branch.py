"""Branches of a rule: taken where one path is traced, both sides and a selection where lanes or markets are.

Formula   choose(p, yes, no, …) = yes(…) where p, no(…) elsewhere.
Symbols   p a boolean scalar; lanes and markets are named axes of `vmap`.
Source    XLA turns a batched conditional into a selection that pays for both sides and for copies of the state; rules
          that know may then choose a cheaper form (`selected`). Measured: docs/native.md. Date 2026-11-20.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

LANES, MARKETS = "lanes", "markets"   # axis names of the engine's vmaps over paths and over markets


def selected() -> bool:
    """Is a rule being traced for several paths or markets at once?"""
    return _bound(LANES) or _bound(MARKETS)


def _bound(axis: str) -> bool:
    try:
        lax.axis_size(axis)
    except NameError:
        return False
    return True


def choose(pred: Array, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any) -> Any:
    """`lax.cond` on one path; in lanes both sides, selected element by element. Both must have no side effects."""
    if not selected():
        return lax.cond(pred, yes, no, *operands)
    return jax.tree.map(lambda a, b: jnp.where(pred, a, b), yes(*operands), no(*operands))
