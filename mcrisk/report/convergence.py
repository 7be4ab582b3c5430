"""Headline numbers against the number of paths they rest on: has the sample said what it has to say?"""

from __future__ import annotations

import numpy as np
import xarray as xr

from mcrisk.report import charts_more, figures, names
from mcrisk.report import format as fmt
from mcrisk.report.model import Column, Figure, Panel, Table, cell
from mcrisk.report.source import Run, VenueInfo
from mcrisk.risk.differences import MEASURES, VARIABLES, Measure, estimate
from mcrisk.risk.weighted import estimator

SHOWN = ("p_fund_depleted", "required_fund_99", "es_99_bad_debt")
FEWEST, POINTS = 32, 8


def figure(run: Run) -> Figure | None:
    """A panel per number, a line per venue, in the headline scenario; None when the store lacks the variables."""
    measures = [m for m in MEASURES if m.name in SHOWN and _usable(run, m)]
    sizes = _sizes(run.n_paths)
    if not measures or len(sizes) < 2:
        return None
    cells = {v.index: _cell(run, v) for v in run.venues}
    panels, unsettled = [], []
    columns = [Column("venue"), Column("number"), *(Column(f"{fmt.count(n)} paths", "percent") for n in sizes)]
    table = Table("convergence", "Headline numbers by number of paths", columns, has_intervals=True)
    styles = {v.index: f"s{k % 8}" for k, v in enumerate(run.venues)}
    for measure in measures:
        title = names.label(measure.name) + (" (of open interest)" if measure.money else "")
        lines = []
        for venue in run.venues:
            values = measure.of(cells[venue.index]) / (venue.open_interest if measure.money else 1.0)
            if not np.isfinite(values).all():
                continue
            found = [estimate(measure, values[:n], of=estimator(cells[venue.index]).first(n)) for n in sizes]
            lines.append((styles[venue.index], [(float(n), *f) for n, f in zip(sizes, found)]))
            own = names.label(measure.name, venue.cushion) + (" (of open interest)" if measure.money else "")
            table.add(venue.name, own, *(cell(*f[:1], "percent", *f[1:], with_range=True) for f in found))
            final = found[-1]
            if not final.resolved or (final.estimate > 0 and final.upper - final.lower > final.estimate):
                unsettled.append(f"{own} at {venue.name}")
        if lines:
            note = _note(run) if measure.name == "p_fund_depleted" else ""
            panels.append(Panel(title, charts_more.convergence(title, lines, "estimate and 95 % band"), note))
    if not panels:
        return None
    legend = [(styles[v.index], v.name) for v in run.venues]
    return Figure("convergence", "Do the numbers stand still", _see(run, unsettled), panels, legend, table)


def _note(run: Run) -> str:
    """Whose line is not about a fund."""
    told = [f"{v.name}: {names.meaning('p_fund_depleted', v.cushion)}" for v in run.venues if v.cushion != "fund"]
    return "; ".join(told)


def _see(run: Run, unsettled: list[str]) -> str:
    where = figures.label(run.scenarios[run.headline])
    if not unsettled:
        return f"Under {where} every interval is narrower than its number at {fmt.count(run.n_paths)} paths."
    few = fmt.join(unsettled[:3]) + (f" and {len(unsettled) - 3} more" if len(unsettled) > 3 else "")
    return (
        f"Under {where} the interval is still wider than the number itself, or not resolved, for {few}: do not rank by "
        f"those on {fmt.count(run.n_paths)} paths."
    )


def _sizes(n: int) -> list[int]:
    """Halves of the sample, smallest first."""
    sizes = []
    while n >= FEWEST and len(sizes) < POINTS:
        sizes.append(n)
        n //= 2
    return sizes[::-1]


def _cell(run: Run, venue: VenueInfo) -> xr.Dataset:
    shown = [n for n in VARIABLES if n in run.paths]
    return run.paths[shown].isel(venue=venue.index, scenario=run.headline).load()


def _usable(run: Run, measure: Measure) -> bool:
    try:
        measure.of(run.paths.isel(venue=0, scenario=0, path=slice(0, 1)))
    except Exception:  # a variable is not stored
        return False
    return True
