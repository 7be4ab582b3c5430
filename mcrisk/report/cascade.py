"""Minute by minute around the event: liquidated and auto-deleveraged notional, what is left of the fund, funding paid."""

from __future__ import annotations

import numpy as np

from mcrisk.report import charts_more, figures
from mcrisk.report import format as fmt
from mcrisk.report.model import Column, Figure, Panel, Table
from mcrisk.report.source import Run, VenueInfo

SERIES = (("liquidated", "liquidated", "s0"), ("adl", "closed by ADL", "s1"))
HOUR = 3600.0
NO_FUNDING = 2e-6  # the first bin of the stored histogram


def stored(run: Run) -> bool:
    """Whether the run kept notional over time."""
    return run.has("bands") and {"liquidated", "adl"} <= set(run.group("bands").data_vars)


def clock_start(run: Run) -> str:
    """'3.2 h before the event', from where notional and funding are counted."""
    first = float(run.group("bands")["time"].values[0])
    return f"{fmt.seconds(-first)} before the event" if first < 0 else "the event"


def notional(run: Run) -> Figure | None:
    """Cumulative notional per venue, a band and a median for liquidations and for ADL; None when not stored."""
    if not stored(run):
        return None
    time, places = _axes(run)
    title = "Liquidated and auto-deleveraged notional by minute from the event"
    table = _table("cascade", f"{title}, % of one-sided open interest", time)
    panels, hours = [], {}
    for venue in run.venues:
        found = {key: _series(run, venue, key, places) for key, _, _ in SERIES}
        if not np.isfinite(found["liquidated"]).any():
            panels.append(Panel(venue.name, "", "no event in this scenario"))
            continue
        lines = [(style, found[key]) for key, _, style in SERIES]
        what = f"{venue.name}: notional liquidated and closed by ADL"
        panels.append(Panel(venue.name, charts_more.bands(what, time, lines, "% of open interest")))
        hours[venue.name] = {key: found[key][figures.nearest(time, HOUR)] for key, _, _ in SERIES}
        for key, text, _ in SERIES:
            _rows(table, venue.name, text, time, found[key])
    legend = [(style, text) for _, text, style in SERIES]
    return Figure("cascade", title, _see(run, hours), panels, legend, table)


def _see(run: Run, hours: dict[str, dict[str, np.ndarray]]) -> str:
    """Who liquidates most within an hour, and where ADL closes most."""
    name = figures.label(run.scenarios[run.shock])
    if not hours:
        return f"No path of {name} has an event to count from."
    top = max(hours, key=lambda v: hours[v]["liquidated"][2])
    adl = max(hours, key=lambda v: hours[v]["adl"][1])
    middle, high = hours[top]["liquidated"][1:]
    taken = hours[adl]["adl"][1]
    tail = (
        f"ADL closes most at {adl}, {fmt.percent(float(taken))} on the median path."
        if taken > 0
        else "on the median path ADL closes nothing anywhere by then."
    )
    return (
        f"Lines are medians, bands run from the 5{fmt.NARROW}% to the 95{fmt.NARROW}% quantile, counted from "
        f"{clock_start(run)} under {name}, each venue on its own scale: an hour after the event {top} has liquidated "
        f"{fmt.percent(float(middle))} of open interest on the median path and {fmt.percent(float(high))} on one in twenty; "
        f"{tail}"
    )


def fund(run: Run) -> Figure | None:
    """What is left of fund or vault; None when not stored or when no venue has one."""
    if not run.has("bands") or "fund" not in run.group("bands"):
        return None
    having = [v for v in run.venues if v.cushion != "none"]
    if not having:
        return None
    time, places = _axes(run)
    title = "What is left of the fund by minute from the event"
    table = _table("cascade-fund", f"{title} (vaults: gain or loss, % of open interest)", time)
    panels, ends = [], {}
    for venue in run.venues:
        if venue.cushion == "none":
            panels.append(Panel(venue.name, "", "no fund and no vault"))
            continue
        values = _series(run, venue, "fund", places)
        if not np.isfinite(values).any():
            panels.append(Panel(venue.name, "", "no event in this scenario"))
            continue
        unit = "fund, % of its start" if venue.cushion == "fund" else "vault, gain or loss, % of OI"
        panels.append(Panel(venue.name, charts_more.bands(f"{venue.name}: {unit}", time, [("s5", values)], unit)))
        _rows(table, venue.name, unit.split(",")[0], time, values)
        if venue.cushion == "fund":
            ends[venue.name] = values[-1]
    return Figure("cascade-fund", title, _see_fund(run, ends, float(time[-1])), panels, [("s5", "fund or vault")], table)


def _see_fund(run: Run, ends: dict[str, np.ndarray], last: float) -> str:
    if not ends:
        return "Vaults keep their losses: below zero the vault's capital is at work."
    low = min(ends, key=lambda v: ends[v][0])
    return (
        f"{fmt.seconds(last)} after the event of {figures.label(run.scenarios[run.shock])}, the fund of {low} is down to "
        f"{fmt.percent(float(ends[low][0]))} of its start on one path in twenty and stands at "
        f"{fmt.percent(float(ends[low][1]))} on the median path; a fund above 100{fmt.NARROW}% earns from liquidations."
    )


def funding(run: Run) -> Figure | None:
    """Funding paid since the start of the clock; None when the run did not add it up or nobody paid any."""
    if not run.has("bands") or "funding" not in run.group("bands"):
        return None
    if not str(run.group("bands")["funding"].attrs.get("long_name", "")).startswith("sum"):
        return None  # single payments, as earlier versions stored them, make a comb and no line
    time, places = _axes(run)
    title = "Funding paid around the event"
    table = _table("funding", f"{title}, % of notional, positive: longs pay", time)
    panels, ends = [], {}
    for venue in run.venues:
        values = _series(run, venue, "funding", places)
        if not np.isfinite(values).any() or np.nanmax(np.abs(values)) < NO_FUNDING:
            panels.append(Panel(venue.name, "", "no funding is paid here"))
            continue
        panels.append(Panel(venue.name, charts_more.bands(f"{venue.name}: {title}", time, [("s2", values)], "% of notional")))
        _rows(table, venue.name, "funding", time, values)
        ends[venue.name] = values[-1]
    if not ends:
        return None
    top = max(ends, key=lambda v: float(np.max(np.abs(ends[v]))))
    see = (
        f"Funding added up from {clock_start(run)} under {figures.label(run.scenarios[run.shock])}, median and 5 to "
        f"95{fmt.NARROW}% band: it moves most at {top}, where {fmt.seconds(float(time[-1]))} after the event longs have paid "
        f"between {fmt.percent(float(ends[top][0]))} and {fmt.percent(float(ends[top][2]))} of notional."
    )
    return Figure("funding", title, see, panels, [("s2", "funding paid by longs")], table)


def _axes(run: Run) -> tuple[np.ndarray, tuple[int, int, int]]:
    data = run.group("bands")
    return data["time"].values.astype(float), figures.quantile_positions(data["quantile"].values)


def _series(run: Run, venue: VenueInfo, key: str, places: tuple[int, int, int]) -> np.ndarray:
    """[time, (5 %, 50 %, 95 %)] of a band under the shock scenario."""
    data = run.group("bands")[key].isel(venue=venue.index, scenario=run.shock)
    return data.transpose("time", "quantile").values[:, list(places)].astype(float)


def _table(key: str, title: str, time: np.ndarray) -> Table:
    shown = [Column(fmt.seconds(float(time[i])), "percent") for i in figures.time_positions(time)]
    return Table(key, title, [Column("venue"), Column("what"), Column("quantile"), *shown])


def _rows(table: Table, venue: str, what: str, time: np.ndarray, values: np.ndarray) -> None:
    for k, name in enumerate(("5 %", "50 %", "95 %")):
        table.add(venue, what, name, *(float(values[i, k]) for i in figures.time_positions(time)))
