"""Chapters at the end: assumptions and their effect, how to reproduce the run."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcrisk.report import charts, control, figures, parameters, sampling
from mcrisk.report import format as fmt
from mcrisk.report import names as names_of
from mcrisk.report.model import Column, Figure, Panel, Section, Table, cell
from mcrisk.report.notes import notes_table
from mcrisk.report.source import NAN, Run, VenueInfo


def strip_section(run: Run) -> Section:
    """Assumptions ranked by effect, and every value marked as an assumption."""
    out = Section("assumptions", "Assumptions")
    if run.has("strip"):
        out.blocks += _strip_blocks(run)
    else:
        out.missing.append(
            "The assumptions were not run low and high, so their effect and the model-risk add-on are not computed."
        )
    if run.has("parameters"):
        out.blocks.append(parameters.table(run))
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
    stored = fmt.clean(data.attrs.get("metric", "headline metric"))
    metric = names_of.label(stored)
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
        own = names_of.label(stored, venue.cushion)
        panels.append(Panel(venue.name, charts.tornado(venue.name, rows, f"change of {own}, percentage points")))
        same = np.where(_other_number(names, d.shape[1], venue), NAN, d)
        addons[venue.name] = _addon(same, names)
        for k in order:
            for j, level in enumerate(levels):
                at = (venue.index, k, j)
                means = names_of.meaning(stored, _cushion(names[k], j, venue))
                table.add(
                    venue.name,
                    names[k],
                    level,
                    cell(float(values[at]), "percent", meaning=means),
                    cell(float(diff[at]), "points", float(low[at]), float(high[at]), with_range=True),
                )
    addon = _addon_table(addons, names)
    resolved = {k: v for k, v in addons.items() if v[0] == v[0]}
    see = "No difference was resolved."
    if resolved:
        top = max(resolved, key=lambda k: resolved[k][0])
        size, which = resolved[top]
        most = f"most is at stake at {top}, where {which} alone adds {fmt.points(size)}" if size > 0 else "none makes it larger"
        see = f"Bars show how far {metric} moves when one assumption goes to its low or high end, on the same draws; {most}."
    figure = Figure("strip", title, see, panels, [("bar s0", levels[0]), ("bar s1", levels[-1])], table)
    return [figure, addon]


def _addon(changes: np.ndarray, names: list[str]) -> tuple[float, str]:
    """The largest increase over the base and the assumption behind it; (0, –) where nothing makes the number larger."""
    if not np.isfinite(changes).any():
        return NAN, fmt.NOT_RESOLVED
    worst = np.nanmax(np.where(np.isnan(changes), -np.inf, changes), axis=1)
    top = int(np.argmax(worst))
    return (float(worst[top]), names[top]) if worst[top] > 0 else (0.0, fmt.DASH)


def _addon_table(addons: dict[str, tuple[float, str]], names: list[str]) -> Table:
    """Per venue the largest increase over the base, and the assumption behind it."""
    addon = Table(
        "model-risk",
        "Model-risk add-on: the largest increase over the base",
        [Column("venue"), Column("add-on", "points"), Column("assumption behind it")],
    )
    for name, (size, which) in addons.items():
        addon.add(name, size, which)
    if "fund" in names:
        addon.note = (
            f"The low end of “fund” is no fund at all: there the number is {names_of.DEPLETED['none']}, another one, and the "
            "add-on leaves it out."
        )
    return addon


def _cushion(assumption: str, level: int, venue: VenueInfo) -> str:
    """What a venue has against losses at one end of an assumption: the ends of “fund” are none and some."""
    if assumption != "fund":
        return venue.cushion
    return "none" if level == 0 else "vault" if venue.cushion == "vault" else "fund"


def _other_number(names: list[str], levels: int, venue: VenueInfo) -> np.ndarray:
    """[assumption, level]: where the run counts something else than at its base, so that a difference says nothing."""
    return np.array([[_cushion(name, j, venue) != venue.cushion for j in range(levels)] for name in names])


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
    commit = "git" if run.attrs.get("git") else "git_commit"
    for key in ("fingerprint", "seed", commit, "backend", "hardware", "versions", "timings"):
        if run.attrs.get(key) not in (None, "", {}):
            rows.append((key.replace("_", " "), _flat(run.attrs[key])))
    for row in rows:
        table.add(*row)
    out.blocks.append(table)
    if (drawn := sampling.table(run)) is not None:
        out.blocks.append(drawn)
    if (gained := control.table(run)) is not None:
        out.blocks.append(gained)
    return out


def _flat(value: Any) -> str:
    """Nested attributes on one line: 'jax 0.10.2, numpy 2.4.6'."""
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_flat(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(v) for v in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
