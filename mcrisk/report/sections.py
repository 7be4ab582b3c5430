"""The remaining chapters: accounts at risk, assumptions and their effect, how to reproduce the run."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcrisk.report import charts, figures
from mcrisk.report import format as fmt
from mcrisk.report import names as names_of
from mcrisk.report.model import Cell, Column, Figure, Panel, Section, Table, cell
from mcrisk.report.notes import notes_table
from mcrisk.report.source import NAN, Run

TOP_ACCOUNTS = 5
ACCOUNT_COLUMNS = (  # variable, title, printed as; the first of several names that exists
    (("user_class",), "class", "text"),
    (("side",), "side", "text"),
    (("notional", "size"), "notional", "money"),
    (("leverage",), "leverage", "ratio"),
    (("collateral",), "collateral", "money"),
)
ACCOUNT_RISKS = (
    ("p_liquidated", "P(liquidated)", "percent"),
    ("p_deleveraged", "P(deleveraged)", "percent"),
    ("pnl_mean", "P&L, mean", "money"),
    ("pnl_es", "P&L, worst 5 % mean", "money"),
)


def accounts_section(run: Run) -> Section:
    """The accounts most likely to be liquidated, per venue, in the headline scenario."""
    out = Section("accounts", "Accounts at risk")
    if not run.has("accounts"):
        out.missing.append("Results per account were not stored, so no account can be named.")
        return out
    data = run.group("accounts").isel(scenario=run.headline)
    if "pnl_es" not in data and "pnl_es05" in data:
        data = data.rename(pnl_es05="pnl_es")
    attributes = [(n, t, k) for names, t, k in ACCOUNT_COLUMNS for n in names[:1] if n in data.variables]
    risks = [r for r in ACCOUNT_RISKS if r[0] in data.variables]
    columns = [
        Column("venue"),
        Column("account"),
        *(Column(t, k) for _, t, k in attributes),
        *(Column(t, k) for _, t, k in risks),
    ]
    table = Table(
        "accounts",
        f"Five accounts per venue that lose most, {figures.label(run.scenarios[run.headline])}",
        columns,
        has_intervals=True,
    )
    worst: tuple[float, str, str] = (-1.0, "", "")
    shares = []
    for venue in run.venues:
        part = data.isel(venue=venue.index)
        ids = _ids(part)
        for a in _ranked(part, ids)[:TOP_ACCOUNTS]:
            row = [_attribute(part, n, k, a) for n, _, k in attributes] + [_risk(part, n, k, a) for n, _, k in risks]
            table.add(venue.name, ids[a], *row)
        p = part["p_liquidated"].values if "p_liquidated" in part else np.empty(0)
        p = np.array([x for x, name in zip(p, ids) if name and x == x])
        if p.size:
            shares.append((float(np.mean(p > 0.5)), venue.name))
            k = int(np.nanargmax(p))
            worst = max(worst, (float(p[k]), [n for n in ids if n][k], venue.name))
    if shares:
        top = max(shares)
        out.lead = (
            f"{fmt.percent(top[0])} of the accounts at {top[1]} are liquidated on more than half of the paths; "
            f"the likeliest single one is {worst[1]} at {worst[2]} ({fmt.percent(worst[0])})."
        )
    out.blocks.append(table)
    return out


def _ids(part: Any) -> list[str]:
    name = next((n for n in ("account_id", "id") if n in part.variables), "account")
    values = part[name].values if name in part.variables else np.arange(part.sizes["account"])
    return [fmt.clean(v) for v in values]


def _ranked(part: Any, ids: list[str]) -> list[int]:
    """Accounts by expected shortfall of their P&L, most negative first; padding left out."""
    key = next((k for k in ("pnl_es", "pnl_mean") if k in part.variables), None)
    score = part[key].values if key else -part["p_liquidated"].values
    order = np.argsort(np.where(np.isnan(score), np.inf, score), kind="stable")
    return [int(a) for a in order if ids[a] and score[a] == score[a]]


def _attribute(part: Any, name: str, kind: str, a: int) -> Cell:
    value = part[name].values[a]
    if name == "side" and not isinstance(value, str):
        value = "long" if float(value) > 0 else "short"
    return cell(str(value) if kind == "text" else float(value), kind)


def _risk(part: Any, name: str, kind: str, a: int) -> Cell:
    value = float(part[name].values[a])
    if f"{name}_lower" in part.variables:
        return cell(
            value, kind, float(part[f"{name}_lower"].values[a]), float(part[f"{name}_upper"].values[a]), with_range=True
        )
    return cell(value, kind)


def strip_section(run: Run) -> Section:
    """Assumptions ranked by effect, and every value marked as an assumption."""
    out = Section("assumptions", "Assumptions")
    if run.has("strip"):
        out.blocks += _strip_blocks(run)
    else:
        out.missing.append(
            "The assumptions were not run low and high, so their effect and the model-risk add-on are not computed."
        )
    out.blocks.append(notes_table(run))
    return out


def _strip_blocks(run: Run) -> list[Figure | Table]:
    data = run.group("strip")
    dims = ("venue", "assumption", "level")
    values = data["value"].transpose(*dims).values
    diff = data["difference"].transpose(*dims).values if "difference" in data else np.full(values.shape, NAN)
    low, high = (
        data[k].transpose(*dims).values if k in data else np.full(values.shape, NAN) for k in ("lower", "upper")
    )
    names, levels = [fmt.clean(a) for a in data["assumption"].values], [fmt.clean(v) for v in data["level"].values]
    metric = names_of.label(fmt.clean(data.attrs.get("metric", "headline metric")))
    panels, addons = [], {}
    title = f"Effect of each assumption on {metric}"
    table = Table(
        "strip",
        title,
        [
            Column("venue"),
            Column("assumption"),
            Column("level"),
            Column("value", "percent"),
            Column("difference to base", "points"),
        ],
        has_intervals=True,
    )
    for venue in run.venues:
        d = diff[venue.index]
        spread = np.max(np.abs(np.nan_to_num(d)), axis=1)
        order = np.argsort(-spread, kind="stable")
        rows = [(names[k], float(d[k, 0]), float(d[k, -1])) for k in order]
        panels.append(Panel(venue.name, charts.tornado(venue.name, rows, f"change of {metric}, percentage points")))
        addons[venue.name] = (float(max(0.0, np.nanmax(d))) if np.isfinite(d).any() else NAN, names[int(order[0])])
        for k in order:
            for j, level in enumerate(levels):
                at = (venue.index, k, j)
                table.add(
                    venue.name,
                    names[k],
                    level,
                    float(values[at]),
                    cell(float(diff[at]), "points", float(low[at]), float(high[at]), with_range=True),
                )
    addon = Table(
        "model-risk",
        "Model-risk add-on: the largest increase over the base",
        [Column("venue"), Column("add-on", "points"), Column("largest effect")],
    )
    for name, (size, which) in addons.items():
        addon.add(name, size, which)
    resolved = {k: v for k, v in addons.items() if v[0] == v[0]}
    see = "No difference was resolved."
    if resolved:
        top = max(resolved, key=lambda k: resolved[k][0])
        see = (
            f"Bars show how far {metric} moves when one assumption goes to its low or high end, on the same "
            f"draws; most is at stake at {top}, "
            f"where {resolved[top][1]} moves it most and the add-on is {fmt.points(resolved[top][0])}."
        )
    figure = Figure("strip", title, see, panels, [("bar s0", levels[0]), ("bar s1", levels[-1])], table)
    return [figure, addon]


def reproduce_section(run: Run, cells: figures.Cells) -> Section:
    """What is needed to get the same bits again, and how well the books balance."""
    out = Section("reproduce", "Reproduce and check")
    residual = max((c.worst_residual for c in cells.values() if c.worst_residual == c.worst_residual), default=NAN)
    if fmt.known(residual):
        verdict = "within" if residual <= 1e-9 else "ABOVE"
        out.lead = (
            f"Money is conserved on every path: the worst relative residual is {residual:.1e}, {verdict} "
            f"the 1e-9 allowed."
        )
    else:
        out.missing.append("Conservation residuals were not stored.")
    table = Table("reproduce", "The run", [Column("what"), Column("value")])
    rows = [
        ("run", run.name),
        ("store", run.path),
        ("paths per venue and scenario", fmt.count(run.n_paths)),
        ("conservation residual, worst", f"{residual:.2e}" if fmt.known(residual) else fmt.NOT_RESOLVED),
    ]
    for key in ("fingerprint", "seed", "git", "git_commit", "backend", "hardware", "versions", "timings"):
        if run.attrs.get(key) not in (None, "", {}):
            rows.append((key.replace("_", " "), _flat(run.attrs[key])))
    for row in rows:
        table.add(*row)
    out.blocks.append(table)
    return out


def _flat(value: Any) -> str:
    """Nested attributes on one line: 'jax 0.10.2, numpy 2.4.6'."""
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_flat(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(v) for v in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
