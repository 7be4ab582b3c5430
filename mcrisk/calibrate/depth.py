"""A liquidity model from order-book snapshots: spread, depth within 1 %, shape of the impact curve.

Formula   depth(x) = depth_1pct·(x/1 %)^shape, cumulative per side; shape by regression of log depth on log distance.
File      one row per level: timestamp, side (bid or ask), price, amount in contracts, as in a flattened ccxt order book.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mcrisk.calibrate.history import numbers, read_frame
from mcrisk.calibrate.output import Table
from mcrisk.config.prices import Liquidity
from mcrisk.errors import InputError
from mcrisk.risk.intervals import Interval, quantile

Array = NDArray[np.float64]
_AT = (0.0025, 0.005, 0.01, 0.02, 0.04)  # distances from the mid at which depth is read


@dataclass(frozen=True)
class Depth:
    """Medians over snapshots with 95 % intervals. Money in quote; snapshots: how many books were read."""

    snapshots: int
    half_spread: Interval
    depth_1pct: Interval
    total: Interval
    shape: Interval


def read_depth(file: Path) -> Depth:
    """Raises InputError naming file, line and column, or a snapshot with one side only or a crossed book."""
    frame = read_frame(file, "the depth file")
    price = numbers(frame, "price", file, positive=True)
    amount = numbers(frame, "amount", file, positive=True)
    for column in ("timestamp", "side"):
        if column not in frame.columns:
            raise InputError(
                f"the column '{column}' is missing", str(file), f"there are: {', '.join(frame.columns)}",
                "one row per level: timestamp, side, price, amount",
            )  # fmt: skip
    side = frame["side"].astype(str).str.lower().str.rstrip("s")
    odd = np.flatnonzero(~side.isin(["bid", "ask"]))
    if odd.size:
        raise InputError(
            f"'{frame['side'].iloc[odd[0]]}' is no side", f"{file}:{odd[0] + 2}", "allowed: bid, ask", None
        )
    levels = pd.DataFrame({"time": frame["timestamp"], "side": side, "price": price, "quote": price * amount})
    rows = [_snapshot(book, stamp, file) for stamp, book in levels.groupby("time", sort=False)]
    spread, near, total, shape = np.array(rows).T
    known = shape[np.isfinite(shape)]
    if not known.size:
        raise InputError(
            "no book reaches far enough to fit an impact curve", str(file), "depth is read from 0.25 % to 4 % of the mid",
            "export more levels",
        )  # fmt: skip
    return Depth(len(rows), *(quantile(v, 0.5) for v in (spread, near, total, known)))


def _snapshot(book: pd.DataFrame, stamp: object, file: Path) -> tuple[float, float, float, float]:
    """(half spread, depth within 1 % per side, total per side, shape); the thinner side decides each depth."""
    bids, asks = book[book["side"] == "bid"], book[book["side"] == "ask"]
    if bids.empty or asks.empty or bids["price"].max() >= asks["price"].min():
        raise InputError(
            "a snapshot has one side only or is crossed", f"{file}, timestamp {stamp}", None, "drop that snapshot"
        )
    best_bid, best_ask = bids["price"].max(), asks["price"].min()
    mid = 0.5 * (best_bid + best_ask)
    at = np.array(_AT)
    within = np.minimum(*(
        (part["quote"].to_numpy()[None, :] * (np.abs(part["price"].to_numpy() / mid - 1)[None, :] <= at[:, None])).sum(1)
        for part in (bids, asks)
    ))  # fmt: skip
    reach = min(1 - bids["price"].min() / mid, asks["price"].max() / mid - 1)
    use = (within > 0) & (at <= reach * (1 + 1e-9))
    shape = np.polyfit(np.log(at[use]), np.log(within[use]), 1)[0] if use.sum() >= 2 else np.nan
    total = float(min(bids["quote"].sum(), asks["quote"].sum()))
    return float((best_ask - best_bid) / (2 * mid)), float(within[2]), total, float(shape)


def liquidity_model(depth: Depth, base: Liquidity, open_interest: float, name: str, source: str) -> Liquidity:
    """The fitted book as fractions of open interest (quote, one-sided); dynamics under stress stay as in `base`."""
    near = depth.depth_1pct.estimate / open_interest
    total = max(min(depth.total.estimate / open_interest, 1.0), near)
    if not near > 0:
        raise InputError("there is nothing within 1 % of the mid in half of the books", source, None, "check the export")
    changed = {"half_spread.calm": depth.half_spread, "depth_1pct": depth.depth_1pct.over(open_interest),
               "total_depth": depth.total.over(open_interest), "shape": depth.shape}  # fmt: skip
    notes = [
        {"field": field, "source": source, "marker": "calibrated", "note": "mcrisk fit, median over snapshots"}
        | ({"range": list(interval[1:])} if interval.resolved else {})
        for field, interval in changed.items()
    ]
    notes += [n.model_dump() for n in base.provenance if n.field not in changed and n.field != "half_spread"]
    spread = base.half_spread.model_dump() | {"calm": depth.half_spread.estimate}
    tree = base.model_dump() | {"name": name, "half_spread": spread, "depth_1pct": near, "total_depth": total}
    return Liquidity.model_validate(tree | {"shape": max(depth.shape.estimate, 0.1), "provenance": notes})


def table(depth: Depth) -> Table:
    """The book's medians with intervals."""
    rows = tuple(
        (name, *interval, unit)
        for name, interval, unit in (
            ("half spread", depth.half_spread, "fraction"), ("depth within 1 %, per side", depth.depth_1pct, "quote"),
            ("total depth, per side", depth.total, "quote"), ("shape", depth.shape, "exponent of depth"),
        )
    )  # fmt: skip
    return Table("Order book", ("what", "median", "lower", "upper", "unit"), rows, f"{depth.snapshots:,} snapshots.")
