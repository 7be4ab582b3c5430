"""One pass over the per-path results: what the charts need of each (venue, scenario) cell, and nothing else kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcrisk.report.source import NAN, Run

GRID = np.geomspace(1e-4, 1.0, 33)  # deficit as a share of one-sided open interest
BINS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20)  # edges of the loss histogram, last one open
PAYERS = (
    ("traders_loss", "traders' collateral"),
    ("fund_loss", "insurance fund"),
    ("backstop_loss", "backstop"),
    ("adl_wealth", "ADL of winners"),
    ("settlement_cut", "settlement cut"),
    ("unpaid", "unpaid"),
)
USED = (
    "bad_debt",
    "latent_deficit",
    "liquidated_notional",
    "first_liquidation_time",
    "event_time",
    "conservation_residual",
    *(name for name, _ in PAYERS),
)
TAIL = 0.01
DUST = 1e-9  # of open interest; less is rounding


@dataclass(frozen=True)
class CellSummary:
    """Arrays and numbers of one cell; shares are of one-sided open interest."""

    exceed: np.ndarray  # P(deficit > GRID), [grid, (estimate, lower, upper)]
    latent_exceed: np.ndarray  # same for the latent deficit
    histogram: np.ndarray  # shares of paths: none, then one per bin of BINS
    payers_mean: dict[str, float]
    payers_tail: dict[str, float]
    tail_paths: int
    median_first_liquidation: float  # over the paths whose first one comes after the event
    liquidated_before: float  # share of paths with a liquidation before the event
    liquidated_mean: float
    worst_residual: float


def wilson(hits: np.ndarray, n: int, z: float = 1.959963984540054) -> np.ndarray:
    """Wilson 95 % intervals: [..., (estimate, lower, upper)]."""
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return np.stack([p, np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)], axis=-1)


def exceedance(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """P(value > x) on a grid with Wilson intervals; missing values count as no loss."""
    ordered = np.sort(np.nan_to_num(values, nan=0.0))
    return wilson(ordered.size - np.searchsorted(ordered, grid, side="right"), ordered.size)


def _histogram(share: np.ndarray) -> np.ndarray:
    share = np.nan_to_num(share, nan=0.0)
    hit = share > DUST
    counts = np.histogram(share[hit], bins=[*BINS, np.inf])[0]
    return np.concatenate([[np.sum(~hit)], counts]) / share.size


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if np.isfinite(values).any() else NAN


def summarise(values: dict[str, np.ndarray], open_interest: float) -> CellSummary:
    """Everything kept of a cell.

    The tail is the worst 1 % of the paths by deficit, ties broken by path number so that reruns agree.
    """
    share = values["bad_debt"] / open_interest
    n = share.size
    tail = np.argsort(-np.nan_to_num(share, nan=0.0), kind="stable")[: max(1, int(round(TAIL * n)))]
    start = np.where(np.isfinite(values["event_time"]), values["event_time"], 0.0)
    wait = values["first_liquidation_time"] - start
    wait = wait[np.isfinite(wait)]
    residual = np.abs(values["conservation_residual"])
    return CellSummary(
        exceed=exceedance(share, GRID),
        latent_exceed=exceedance(values["latent_deficit"] / open_interest, GRID),
        histogram=_histogram(share),
        payers_mean={name: _mean(values[name]) / open_interest for name, _ in PAYERS},
        payers_tail={name: _mean(values[name][tail]) / open_interest for name, _ in PAYERS},
        tail_paths=int(tail.size),
        median_first_liquidation=float(np.median(wait[wait >= 0])) if (wait >= 0).any() else NAN,
        liquidated_before=float(np.sum(wait < 0)) / n,
        liquidated_mean=_mean(values["liquidated_notional"]) / open_interest,
        worst_residual=float(np.nanmax(residual)) if np.isfinite(residual).any() else NAN,
    )


def summarise_run(run: Run) -> dict[tuple[int, int], CellSummary]:
    """All cells of a run, read one at a time so that memory stays at one cell."""
    return {
        (v.index, s): summarise(run.sample(v.index, s, USED), v.open_interest)
        for v in run.venues
        for s in range(len(run.scenarios))
    }
