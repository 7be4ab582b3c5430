"""How open interest is shared out among accounts under position limits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def fill(weight: Array, total: float, cap: ArrayLike) -> Array:
    """Amounts min(λ·weight, cap) that sum to `total`.

    Args:
        weight: [n] > 0.
        total: >= 0; when it exceeds Σ cap, everyone gets cap·total/Σ cap (callers check first).
        cap: scalar or [n], > 0.
    """
    caps = np.broadcast_to(np.asarray(cap, np.float64), weight.shape)
    if total >= caps.sum():
        return caps * (total / caps.sum()) if np.isfinite(caps).all() else np.full(len(weight), total / len(weight))
    order = np.argsort(caps / weight, kind="stable")  # who reaches its cap first as λ grows
    ranked, limits = weight[order], caps[order]
    rest = np.cumsum(ranked[::-1])[::-1]  # Σ of weights from rank i on
    taken = np.concatenate([[0.0], np.cumsum(limits[:-1])])  # Σ of caps before rank i
    scale = (total - taken) / rest  # λ if exactly the first i accounts sit at their caps
    capped = int(np.argmax(scale * ranked <= limits * (1 + 1e-15)))
    amounts = np.empty(len(weight))
    amounts[order[:capped]] = limits[:capped]
    amounts[order[capped:]] = scale[capped] * ranked[capped:]
    return amounts


def refill(weight: Array, amounts: Array, band: NDArray[np.int64], admitted: Array, cap: Array) -> Array:
    """Share `amounts` out anew so that nobody holds more than the tiers admit at its leverage.

    Each band keeps its sum as far as its accounts can carry it; the excess goes to the next lower band, whose larger
    tiers admit larger positions. What even the lowest cannot take is spread over everyone up to `cap`.

    Args:
        weight, amounts: [n].
        band: [n] leverage band, 0 = lowest.
        admitted: [n] largest position the tiers admit at the account's leverage; cap: [n] position limit.
    """
    result, excess = np.zeros_like(amounts), 0.0
    for b in range(int(band.max()), -1, -1):
        group = np.flatnonzero(band == b)
        caps = np.minimum(cap, admitted)[group]
        wanted = amounts[group].sum() + excess
        carried = min(wanted, caps.sum())
        if group.size:
            result[group] = fill(weight[group], carried, caps)
        excess = wanted - carried
    if excess > 1e-12 * amounts.sum():
        result += fill(weight, excess, np.maximum(cap - result, 1e-300))
    return result


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
    even = (traders * limit + desk_oi[1] - desk_oi[0]) / (2 * limit)  # both sides carry the same
    longs = min(max(int(even), 1), traders - 1)
    return longs, min(wanted, longs * limit + desk_oi[0], (traders - longs) * limit + desk_oi[1])
