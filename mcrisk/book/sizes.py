"""How open interest is shared out among accounts under position limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fill(weight: Array, total: float, cap: float) -> Array:
    """Amounts min(λ·weight, cap) that sum to `total`.

    Args:
        weight: [n] > 0.
        total: >= 0; when it exceeds n·cap everyone gets an equal share (above the cap, so callers check first).
    """
    n = len(weight)
    if total >= n * cap:
        return np.full(n, total / n)
    order = np.argsort(-weight, kind="stable")
    ranked = weight[order]
    rest = np.cumsum(ranked[::-1])[::-1]                        # Σ of weights from rank i on
    scale = (total - cap * np.arange(n)) / rest                 # λ if exactly the first i accounts sit at the cap
    capped = int(np.argmax(scale * ranked <= cap * (1 + 1e-15)))
    amounts = np.empty(n)
    amounts[order[:capped]] = cap
    amounts[order[capped:]] = scale[capped] * ranked[capped:]
    return amounts


def split(
    traders: int, long_share: float, wanted: float, desk_oi: tuple[float, float], limit: float
) -> tuple[int, float]:
    """Number of long traders and the one-sided open interest the market can carry.

    Args:
        desk_oi: notional of long and short market makers.
        limit: notional one trader can bring at most, on average (position limit times `limit_fill`).

    The long share is kept when both sides find room for `wanted`. Otherwise just enough traders change sides; when even
    that does not do, open interest falls to what the smaller side can carry.
    """
    longs = min(max(int(round(long_share * traders)), 1), traders - 1)
    if not np.isfinite(limit):
        return longs, wanted
    need_long = int(np.ceil(max(wanted - desk_oi[0], 0.0) / limit))
    need_short = int(np.ceil(max(wanted - desk_oi[1], 0.0) / limit))
    if need_long + need_short <= traders:
        return min(max(longs, need_long, 1), traders - max(need_short, 1)), wanted
    even = (traders * limit + desk_oi[1] - desk_oi[0]) / (2 * limit)       # both sides carry the same
    longs = min(max(int(even), 1), traders - 1)
    return longs, min(wanted, longs * limit + desk_oi[0], (traders - longs) * limit + desk_oi[1])
