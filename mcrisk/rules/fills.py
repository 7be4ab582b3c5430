"""Executing against one side of the book.

Formula   x(Q) = u·(Q/depth)^power with u = 1 % in log price; marginal price = top·exp(−d·x(Q)), d = +1 for bids, −1 for asks.
          Mean price of q contracts after Q0 were consumed:
          top·exp(−d·x̄), x̄ = u·depth^(−power)·(Q1^e − Q0^e)/(e·q), e = power + 1, Q1 = Q0 + q.
          Averaging the displacement (not the price) keeps two half fills equal to one whole fill in displacement.
Symbols   Q contracts consumed and not refilled, top the price at Q = 0.
Source    defaults.md section 3 (shape 1.5, square-root family), design.md 3.1. Replay rows use depth = inf: x ≡ 0.
Date      2026-11-20
"""

from __future__ import annotations

import jax.numpy as jnp

from mcrisk.rules.branch import choose, selected
from mcrisk.rules.types import BookSide, Scalar

UNIT = 0.01  # the displacement that `depth` refers to


def best_price(side: BookSide, sign: float) -> Scalar:
    """Best price [quote] of a side; sign +1 for the bid, −1 for the ask."""

    def moved(top: Scalar) -> Scalar:
        return top * jnp.exp(-sign * displacement(side, side.consumed))

    if jnp.ndim(side.top) or selected():
        return moved(side.top)
    return choose(side.consumed > 0.0, moved, lambda top: top, side.top)


def displacement(side: BookSide, consumed: Scalar) -> Scalar:
    """Log displacement after `consumed` contracts."""
    return UNIT * (jnp.maximum(consumed, 0.0) / side.depth) ** side.power


def mean_price(side: BookSide, quantity: Scalar, sign: float) -> Scalar:
    """Mean price [quote] of `quantity` contracts taken now; the best price for zero quantity."""
    e = side.power + 1.0
    start = jnp.maximum(side.consumed, 0.0) / side.depth
    taken = quantity / side.depth
    safe = jnp.where(taken > 1e-12, taken, 1.0)
    mean = UNIT * ((start + safe) ** e - start**e) / (e * safe)
    return side.top * jnp.exp(-sign * jnp.where(taken > 1e-12, mean, displacement(side, side.consumed)))


def capacity(side: BookSide, limit: Scalar, sign: float) -> Scalar:
    """Contracts that can trade before the marginal price passes `limit` (0 or inf: no limit) or the book ends."""
    best = best_price(side, sign)
    room = sign * jnp.log(side.top / jnp.where((limit > 0.0) & (limit < jnp.inf), limit, side.top))
    no_limit = (limit <= 0.0) | (limit == jnp.inf)
    # an undisplaced book (depth = inf) trades everything at its best price or nothing
    flat = side.depth == jnp.inf
    depth = jnp.where(flat, 1.0, side.depth)
    to_limit = depth * (jnp.maximum(room, 0.0) / UNIT) ** (1.0 / side.power) - side.consumed
    acceptable = sign * (best - limit) >= 0.0
    room_contracts = jnp.where(no_limit, jnp.inf, jnp.where(flat, jnp.where(acceptable, jnp.inf, 0.0), to_limit))
    available = jnp.minimum(room_contracts, side.total - side.consumed)
    return jnp.where(side.present, jnp.maximum(available, 0.0), 0.0)
