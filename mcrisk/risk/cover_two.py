"""Cover-two: what the two largest accounts of one side lose beyond their collateral at a given jump.

Analytic, no paths: the price jumps, both accounts are closed through the book at once, and the impact of that closing
is their own. Form after the "cover 2" standard for central counterparties (PFMI principle 4); impact law of
defaults.md 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mcrisk.book.table import HOUSE, Book
from mcrisk.config.scenario import Liquidity


@dataclass(frozen=True)
class CoverTwo:
    """Loss beyond collateral (quote), whose it is, and the mean price of the closing."""

    loss: float
    accounts: tuple[str, ...]
    price: float
    filled_share: float  # of their quantity that the book could take


def impact(quantity: float, depth: float, shape: float, total: float) -> float:
    """Mean displacement (log price) of a batch of `quantity` contracts into a fresh book.

    Displacement after Q contracts is 1 %·(Q/depth)^(1/shape); its mean over [0, Q] is shape/(shape + 1) of that. What
    exceeds `total` finds no quote and is valued at the last one.
    """
    filled = min(quantity, total)
    last = 0.01 * (filled / depth) ** (1.0 / shape)
    mean = last * shape / (shape + 1.0)
    return mean if quantity <= total else (filled * mean + (quantity - filled) * last) / quantity


def cover_two(
    book: Book,
    mark: float,
    jump: float,
    liquidity: Liquidity,
    depth_multiplier: float | None = None,
    market: int = 0,
    accounts: int = 2,
) -> CoverTwo:
    """Loss beyond collateral of the largest accounts on the side that `jump` hurts.

    Args:
        mark: price before the jump, quote.
        jump: log return, e.g. the scenario's median; below 0 it hurts longs.
        liquidity: depth as a share of one-sided open interest.
        depth_multiplier: of depth during the event; default the liquidity model's own event multiplier.
        accounts: how many accounts default together.

    Largest by notional; the house account is no candidate. Other markets of a cross account keep their value at entry.
    """
    if not (math.isfinite(jump) and mark > 0):
        raise ValueError(f"cover-two needs a finite jump and a positive mark, not {jump} and {mark}")
    side = 1.0 if jump < 0 else -1.0
    held = np.where(book.user_class == HOUSE, 0.0, np.maximum(side * book.quantity[:, market], 0.0))
    chosen = np.argsort(-held, kind="stable")[:accounts]
    chosen = chosen[held[chosen] > 0]
    quantity = float(held[chosen].sum())
    if quantity == 0:
        return CoverTwo(0.0, (), mark * math.exp(jump), 1.0)
    multiplier = liquidity.stress.event_multiplier if depth_multiplier is None else depth_multiplier
    contracts = float(np.abs(book.quantity[:, market]).sum()) / 2 * multiplier  # one-sided open interest, thinned
    total = liquidity.total_depth * contracts
    moved = impact(quantity, liquidity.depth_1pct * contracts, liquidity.shape, total)
    price = mark * math.exp(jump - side * moved)
    equity = book.collateral[chosen] + side * held[chosen] * (price - book.entry_price[chosen, market])
    return CoverTwo(
        float(np.maximum(-equity, 0.0).sum()),
        tuple(str(a) for a in book.account_id[chosen]),
        price,
        min(1.0, total / quantity),
    )
