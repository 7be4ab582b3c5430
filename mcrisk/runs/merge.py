"""From the blocks' partial sums to /accounts and /bands, in block order: workers and restarts leave no trace."""

from __future__ import annotations

import numpy as np
import zarr

from mcrisk.errors import RunFailed
from mcrisk.runs.layout import ACCOUNT_RESULTS, QUANTILES, zarr_settings
from mcrisk.runs.plan import Plan
from mcrisk.runs.store import RunStore, failing_clearly

Z95 = 1.959963984540054
TOGETHER = 64  # blocks read at once: memory stays that of 64 however many a cell has


def merge(store: RunStore) -> None:
    """Fill /accounts and /bands of a store whose blocks are all done. Idempotent."""
    plan, root = store.plan, store.root
    with zarr_settings(), failing_clearly(store.path):
        for v, venue in enumerate(plan.venues):
            edges = np.asarray(plan.layout.pnl_edges[venue], dtype=np.float64)
            count = len(plan.layout.account_ids[venue])
            rows = [_account_rows(root, plan, v, s, edges, count) for s in range(len(plan.scenarios))]
            for name in ACCOUNT_RESULTS:
                root[f"accounts/{name}"][v] = np.stack([row[name] for row in rows])
            for band, by_venue in plan.layout.band_edges.items():
                histograms = [_sum_blocks(root[f"blocks/band_{band}"], v, s) for s in range(len(plan.scenarios))]
                limits = np.asarray(by_venue[venue], dtype=np.float64)
                root[f"bands/{band}"][v] = np.stack([quantiles(h, limits, QUANTILES) for h in histograms])


def quantiles(histogram: np.ndarray, edges: np.ndarray, probabilities: tuple[float, ...]) -> np.ndarray:
    """Quantiles of binned values, linear inside a bin; exact to a bin's width.

    Args:
        histogram: counts [..., bins]; bins beyond `len(edges) - 1` are padding.
        edges: [bins + 1] ascending. An infinite outer edge stands for "beyond the inner one", which is then the answer.
        probabilities: q of them.

    Returns: [..., q], NaN where a row is empty.
    """
    counts = histogram[..., : len(edges) - 1].astype(np.float64)
    edges = _finite(edges)
    below = np.cumsum(counts, axis=-1)
    total = below[..., -1:]
    out = np.full((*counts.shape[:-1], len(probabilities)), np.nan)
    for k, p in enumerate(probabilities):
        rank = p * total
        place = np.minimum((below < rank).sum(axis=-1, keepdims=True), counts.shape[-1] - 1)
        # p = 0 falls into the first bin that holds anything
        inside = np.take_along_axis(counts, place, -1)
        share = (rank - (np.take_along_axis(below, place, -1) - inside)) / np.where(inside > 0, inside, 1.0)
        value = edges[place] + np.clip(share, 0.0, 1.0) * (edges[place + 1] - edges[place])
        out[..., k] = np.where(total > 0, value, np.nan)[..., 0]
    return out


def wilson(p: np.ndarray, n: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """95 % Wilson interval of a probability estimated as p from (as good as) n independent paths."""
    z2 = Z95 * Z95
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def _effective_paths(p: np.ndarray, squares: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[accounts] independent paths that would know p as well.

    With fewer than ten effective paths on which it happened: as many as the largest weight allows, what was missed may weigh
    as much.

    Args:
        squares: sum of squared weights of the paths on which it happened [accounts]. weight: of all paths [paths].
    """
    if (weight == 1.0).all():
        return np.full(p.shape, float(weight.size))
    total = weight.sum()
    variance = (squares * (1.0 - 2.0 * p) + p * p * np.square(weight).sum()) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        n, hits = p * (1.0 - p) / variance, np.square(p * total) / squares
    known = (p > 0.0) & (p < 1.0) & (hits >= 10.0)
    return np.where(known, n, np.minimum(np.where(p * (1.0 - p) > 0.0, n, np.inf), total / weight.max()))


def _sum_blocks(array: zarr.Array, v: int, s: int) -> np.ndarray:
    """Sum over the blocks of a cell, one after the other in block order."""
    total = np.zeros(array.shape[3:], np.int64 if array.dtype.kind == "i" else np.float64)
    for first in range(0, array.shape[2], TOGETHER):
        for block in array[v, s, first : first + TOGETHER]:
            total += block
    return total


def _account_rows(root: zarr.Group, plan: Plan, v: int, s: int, edges: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Every variable of /accounts for one cell, [accounts]; NaN beyond the venue's `count` accounts."""
    names = (*plan.layout.account_sums, "pnl_histogram")
    sums = {name: _sum_blocks(root[f"blocks/{name}"], v, s) for name in names}
    weight = root["paths/weight"][v, s].astype(np.float64) if plan.layout.weighted else np.ones(plan.paths)
    found = sums["pnl_histogram"][:count].sum(axis=-1)
    total = found[0] if plan.layout.weighted else plan.paths  # of a weighted run: in units of weight
    stray = found != total
    if stray.any():
        raise RunFailed(
            "the accounts' histograms do not count every path once", f"{int(stray.sum())} of {count} accounts",
            "a block is damaged or the engine is at fault", "run `mcrisk check` on the store",
        )  # fmt: skip
    out = {}
    unit = total / weight.sum()
    if abs(unit / np.exp2(np.rint(np.log2(unit))) - 1.0) > 1e-6:
        raise RunFailed("the accounts' sums do not hold every path's weight once", f"{unit} per unit", None,
                        "run `mcrisk check` on the store")  # fmt: skip
    for source, name in (("liquidated", "p_liquidated"), ("deleveraged", "p_deleveraged")):
        p = sums[source] / total
        squares = sums[f"{source}_squares"] / unit if plan.layout.weighted else sums[source]
        out[name] = p
        out[f"{name}_lower"], out[f"{name}_upper"] = wilson(p, _effective_paths(p, squares, weight))
    histogram = sums["pnl_histogram"]
    tail = quantiles(histogram, edges, (0.01, 0.05))
    out |= {"pnl_mean": sums["pnl_sum"] / weight.sum(), "pnl_p01": tail[:, 0], "pnl_p05": tail[:, 1]}
    out["pnl_es05"] = _mean_of_worst(histogram, edges, 0.05)
    counts, middle = histogram[:, : len(edges) - 1], _middles(edges)
    out["expected_loss"] = (counts * np.maximum(-middle, 0.0)).sum(axis=-1) / total
    for values in out.values():
        values[count:] = np.nan
    return out


def _mean_of_worst(histogram: np.ndarray, edges: np.ndarray, share: float) -> np.ndarray:
    """Mean over the lowest `share` of each row, from midpoints; the bin on the border counts in part."""
    counts = histogram[:, : len(edges) - 1].astype(np.float64)
    total = counts.sum(axis=-1, keepdims=True)
    below = np.cumsum(counts, axis=-1)
    taken = np.clip(share * total - (below - counts), 0.0, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (taken * _middles(edges)).sum(axis=-1) / taken.sum(axis=-1)


def _middles(edges: np.ndarray) -> np.ndarray:
    edges = _finite(edges)
    return 0.5 * (edges[:-1] + edges[1:])


def _finite(edges: np.ndarray) -> np.ndarray:
    """Infinite outer edges replaced by their inner neighbour: a catch-all bin then stands for its known side."""
    edges = edges.copy()
    if np.isinf(edges[0]):
        edges[0] = edges[1]
    if np.isinf(edges[-1]):
        edges[-1] = edges[-2]
    return edges
