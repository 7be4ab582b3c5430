"""Accounts at risk: who loses most in the headline scenario, per venue."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from mcrisk.report import account_map, figures
from mcrisk.report import format as fmt
from mcrisk.report.model import Cell, Column, Section, Table, cell
from mcrisk.report.source import Run

TOP = 5
FACTS = (  # variable of /accounts, column, printed as
    ("user_class", "class", "text"),
    ("side", "side", "text"),
    ("notional", "notional", "money"),
    ("leverage", "leverage", "ratio"),
    ("collateral", "collateral", "money"),
)
RISKS = (
    ("p_liquidated", "P(liquidated)"),
    ("p_deleveraged", "P(deleveraged)"),
    ("pnl_mean", "P&L, mean"),
    ("pnl_es05", "P&L, mean of worst 5 %"),
    ("pnl_es", "P&L, mean of worst 5 %"),
)
SIDES = {1.0: "long", -1.0: "short", 0.0: "flat"}


def section(run: Run) -> Section:
    """The accounts that lose most on their worst paths, with how often they are liquidated and deleveraged."""
    out = Section("accounts", "Accounts at risk")
    if not run.has("accounts"):
        out.missing.append("Results per account were not stored, so no account can be named.")
        return out
    data = run.group("accounts").isel(scenario=run.headline)
    facts = [f for f in FACTS if f[0] in data.variables]
    risks = [(name, title, _kind(data[name])) for name, title in RISKS if name in data.variables]
    columns = [Column("venue"), Column("account"), *(Column(t, k) for _, t, k in facts)]
    columns += [Column(t, k, _unit(data[n])) for n, t, k in risks]
    title = f"{TOP} accounts per venue that lose most, {figures.label(run.scenarios[run.headline])}"
    table = Table("accounts", title, columns, has_intervals=True)
    for venue in run.venues:
        part = data.isel(venue=venue.index).load()
        ids = _ids(part)
        for a in _ranked(part, ids)[:TOP]:
            row = [_fact(part, n, k, a) for n, _, k in facts] + [_risk(part, n, k, a) for n, _, k in risks]
            table.add(venue.name, ids[a], *row)
    out.lead = _lead(run, data)
    out.blocks.append(table)
    map_of = account_map.figure(run)
    if map_of is None:
        out.missing.append("Leverage and size of the accounts were not stored, so there is no map of them.")
    else:
        out.blocks.append(map_of)
    fair = account_map.fairness(run)
    if fair is not None:
        out.blocks.append(fair)
    return out


def _lead(run: Run, data: xr.Dataset) -> str:
    """How many accounts of the worst venue are liquidated more often than not."""
    if "p_liquidated" not in data:
        return ""
    shares = []
    for venue in run.venues:
        part = data["p_liquidated"].isel(venue=venue.index).values
        part = part[np.isfinite(part)]
        if part.size:
            shares.append((float(np.mean(part > 0.5)), float(np.median(part)), venue.name))
    if not shares:
        return ""
    often, middle, name = max(shares)
    return (
        f"At {name} {fmt.percent(often)} of the accounts are liquidated on more than half of the "
        f"{figures.label(run.scenarios[run.headline])} paths; its median account on {fmt.percent(middle)} of them."
    )


def _kind(values: xr.DataArray) -> str:
    """P&L comes in money or in multiples of the account's collateral."""
    if str(values.name).startswith("p_"):
        return "percent"
    return "percent" if "collateral" in str(values.attrs.get("units", "")) else "money"


def _unit(values: xr.DataArray) -> str:
    return "% of collateral" if _kind(values) == "percent" and not str(values.name).startswith("p_") else ""


def _ids(part: xr.Dataset) -> list[str]:
    name = next((n for n in ("account_id", "id") if n in part.variables), "account")
    values = part[name].values if name in part.variables else np.arange(part.sizes["account"])
    return [fmt.clean(v) for v in values]


def _ranked(part: xr.Dataset, ids: list[str]) -> list[int]:
    """Accounts by the money they lose on their worst paths, largest loss first; padding left out."""
    name = next((n for n in ("pnl_es05", "pnl_es", "pnl_mean") if n in part.variables), None)
    score = np.asarray(part[name].values, dtype=float) if name else -np.asarray(part["p_liquidated"].values)
    if name and _kind(part[name]) == "percent" and "collateral" in part.variables:
        score = score * part["collateral"].values
    order = np.argsort(np.where(np.isnan(score), np.inf, score), kind="stable")
    return [int(a) for a in order if ids[a] and score[a] == score[a]]


def _fact(part: xr.Dataset, name: str, kind: str, a: int) -> Cell:
    value: Any = part[name].values[a]
    if name == "side" and part[name].dtype.kind == "f":
        value = SIDES.get(float(np.sign(value)), "")
    return cell(str(value) if kind == "text" else float(value), kind)


def _risk(part: xr.Dataset, name: str, kind: str, a: int) -> Cell:
    value = float(part[name].values[a])
    if f"{name}_lower" not in part.variables:
        return cell(value, kind)
    low, high = (float(part[f"{name}_{end}"].values[a]) for end in ("lower", "upper"))
    return cell(value, kind, low, high, with_range=True)
