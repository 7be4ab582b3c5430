"""Leverage × size: which accounts are liquidated, which are auto-deleveraged, and whether ADL falls on a few."""

from __future__ import annotations

import numpy as np
import xarray as xr

from mcrisk.report import charts_more, figures
from mcrisk.report import format as fmt
from mcrisk.report.model import Column, Figure, Panel, Table
from mcrisk.report.source import Run

LEVERAGE = (0.0, 2.0, 3.0, 5.0, 10.0, 20.0, np.inf)  # × collateral
SIZE = (0.0, 1e3, 1e4, 1e5, 1e6, np.inf)  # notional, quote
LEVERAGE_NAMES = ("<2", "2–3", "3–5", "5–10", "10–20", "≥20")
SIZE_NAMES = ("<1k", "1–10k", "10–100k", "0.1–1M", "≥1M")
RISKS = (("p_liquidated", "liquidated"), ("p_deleveraged", "auto-deleveraged"))
NEEDED = {"leverage", "notional", "p_liquidated"}


def figure(run: Run) -> Figure | None:
    """Two maps per venue; None when the store lacks leverage or size."""
    if not run.has("accounts"):
        return None
    data = run.group("accounts").isel(scenario=run.headline)
    if not NEEDED <= set(data.variables):
        return None
    risks = [r for r in RISKS if r[0] in data.variables]
    panels = []
    columns = [Column("venue"), Column("leverage"), Column("notional"), Column("accounts", "count")]
    columns += [Column(f"P({word})", "percent") for _, word in risks]
    table = Table("account-map", "Share of paths by leverage and size, mean over accounts", columns)
    peaks = []
    for venue in run.venues:
        part = data.isel(venue=venue.index).load()
        counts, maps = _binned(part, [name for name, _ in risks])
        for (_, word), values in zip(risks, maps):
            title = f"{venue.name}: {word}"
            panels.append(Panel(title, charts_more.heat(title, LEVERAGE_NAMES, SIZE_NAMES, values, counts)))
        for s, k in zip(*np.nonzero(counts)):
            table.add(venue.name, LEVERAGE_NAMES[k], SIZE_NAMES[s], int(counts[s, k]),
                      *(float(values[s, k]) for values in maps))  # fmt: skip
        if counts.any():
            s, k = np.unravel_index(int(np.argmax(np.where(counts > 0, maps[0], -1))), counts.shape)
            peaks.append((float(maps[0][s, k]), venue.name, LEVERAGE_NAMES[k], SIZE_NAMES[s]))
    if not peaks:
        return None
    share, name, leverage, size = max(peaks)
    see = (
        f"Cells are shares of {figures.label(run.scenarios[run.headline])} paths; most often liquidated are accounts of "
        f"{leverage} times leverage and {size} notional at {name}, on {fmt.percent(share)} of the paths."
    )
    return Figure("account-map", "Who is liquidated, who is auto-deleveraged", see, panels, [], table)


def _binned(part: xr.Dataset, names: list[str]) -> tuple[np.ndarray, list[np.ndarray]]:
    """[size, leverage] number of accounts, and the mean of each variable."""
    leverage, notional = (np.asarray(part[k].values, dtype=float) for k in ("leverage", "notional"))
    real = np.isfinite(leverage) & np.isfinite(notional) & (np.abs(notional) > 0)
    edges = (SIZE, LEVERAGE)
    where = (np.abs(notional[real]), leverage[real])
    counts = np.histogram2d(*where, bins=edges)[0]
    maps = []
    for name in names:
        weights = np.nan_to_num(np.asarray(part[name].values, dtype=float)[real])
        total = np.histogram2d(*where, bins=edges, weights=weights)[0]
        maps.append(np.divide(total, counts, out=np.zeros_like(total), where=counts > 0))
    return counts, maps


def fairness(run: Run) -> Table | None:
    """How unevenly ADL falls: its share on the most exposed tenth, and by leverage; None without the data."""
    if not run.has("accounts"):
        return None
    data = run.group("accounts").isel(scenario=run.headline)
    if "p_deleveraged" not in data.variables:
        return None
    columns = [Column("venue"), Column("accounts ever deleveraged", "percent"), Column("mean P(ADL) of those", "percent"),
               Column("share of all ADL on the most hit tenth", "percent"), Column("largest P(ADL)", "percent")]  # fmt: skip
    table = Table("fairness", "How evenly auto-deleveraging falls", columns)
    for venue in run.venues:
        p = np.asarray(data["p_deleveraged"].isel(venue=venue.index).values, dtype=float)
        p = np.sort(p[np.isfinite(p)])[::-1]
        if not p.size or p[0] <= 0:
            table.add(venue.name, 0.0, 0.0, 0.0, 0.0)
            continue
        tenth = max(1, int(np.ceil(p.size / 10)))
        table.add(
            venue.name, float(np.mean(p > 0)), float(p[p > 0].mean()), float(p[:tenth].sum() / p.sum()), float(p[0])
        )
    table.note = (
        "Chances over the paths, counted per account: a tenth of the accounts that bears far more than a tenth of all ADL "
        "is what a ranking by profit and leverage intends, and what its members will complain about."
    )
    return table
