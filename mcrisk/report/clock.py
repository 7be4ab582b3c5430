"""The cascade on a clock: notional by minute where it is stored, and by when each of its steps has happened."""

from __future__ import annotations

import numpy as np

from mcrisk.report import cascade, charts_more, figures, names
from mcrisk.report import format as fmt
from mcrisk.report.cells import wilson
from mcrisk.report.model import Column, Figure, Panel, Section, Table, cell
from mcrisk.report.source import Run, VenueInfo

STEPS = (  # variable, what has happened, style
    ("first_liquidation_time", "first liquidation", "s0"),
    ("first_adl_time", "first ADL", "s1"),
    ("depletion_time", "fund gone", "s5"),
)
GRID = np.r_[-86400.0, -3600.0, -600.0, -60.0, 0.0, np.geomspace(5.0, 7 * 86400.0, 44)]
TOLD = (0.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0)
NOT_STORED = (
    "Liquidated and auto-deleveraged notional by minute is not stored; the clock shows by when each step of the cascade "
    "has begun. `mcrisk explain` gives one path row by row."
)


def section(run: Run) -> Section:
    """The chapter, or a sentence why it is not there."""
    out = Section("cascade", "The cascade on a clock")
    out.blocks += [f for f in (cascade.notional(run), cascade.fund(run)) if f is not None]
    present = [step for step in STEPS if step[0] in run.paths]
    if not present or "event_time" not in run.paths:
        out.missing.append("Times of the cascade were not stored.")
        return out
    shares = {v.index: _shares(run, v.index, [name for name, _, _ in present]) for v in run.venues}
    if not cascade.stored(run):
        out.missing.append(NOT_STORED)
    if all(s is None for s in shares.values()):
        out.missing.append(f"No path of {figures.label(run.scenarios[run.shock])} has an event to count from.")
        return out
    panels = [
        Panel(v.name, charts_more.clock(f"{v.name}: steps of the cascade", GRID, _lines(shares[v.index], present)), _note(v))
        if shares[v.index] is not None
        else Panel(v.name, "", "no event in this scenario")
        for v in run.venues
    ]
    legend = [(style, text) for _, text, style in present]
    title = "By when each step has happened"
    out.blocks.append(Figure("clock", title, _see(run, shares), panels, legend, _table(run, shares, present)))
    return out


def _shares(run: Run, venue: int, names: list[str]) -> dict[str, np.ndarray] | None:
    """Share of the paths with an event on which each step has happened, [time, (estimate, lower, upper)]."""
    values = run.sample(venue, run.shock, (*names, "event_time"))
    happened = np.isfinite(values["event_time"])
    n = int(happened.sum())
    if not n:
        return None
    found = {}
    for name in names:
        wait = np.sort(values[name][happened] - values["event_time"][happened])
        found[name] = wilson(np.searchsorted(wait[np.isfinite(wait)], GRID, side="right"), n)
    return found


def _note(venue: VenueInfo) -> str:
    """What the line “fund gone” counts where there is no fund."""
    return f"“fund gone” here: {names.meaning('p_fund_depleted', venue.cushion)}" if venue.cushion != "fund" else ""


def _lines(shares: dict[str, np.ndarray], present: list[tuple[str, str, str]]) -> list[tuple[str, np.ndarray]]:
    return [(style, shares[name]) for name, _, style in present]


def _see(run: Run, shares: dict[int, dict[str, np.ndarray] | None]) -> str:
    """The venue whose fund goes on most paths, and when half of those have lost it."""
    name = figures.label(run.scenarios[run.shock])
    ends = {v.name: s["depletion_time"] for v in run.venues
            if v.cushion == "fund" and (s := shares[v.index]) and "depletion_time" in s}  # fmt: skip
    if not ends or max(e[-1, 0] for e in ends.values()) <= 0:
        return f"No fund is gone within a week of the event under {name}; liquidations show how fast each venue reacts."
    venue = max(ends, key=lambda k: ends[k][-1, 0])
    final = ends[venue][:, 0]
    half = float(GRID[int(np.argmax(final >= 0.5 * final[-1]))])
    when = "before the event" if half < 0 else f"within {fmt.seconds(half)} of the event" if half else "at the event"
    return (
        f"Under {name} the fund of {venue} is gone on {fmt.percent(float(final[-1]))} of the paths a week later, on half "
        f"of those {when}."
    )


def _table(run: Run, shares: dict, present: list[tuple[str, str, str]]) -> Table:
    at = [int(np.argmin(np.abs(GRID - t))) for t in TOLD]
    columns = [Column("venue"), Column("step"), *(Column(f"by {fmt.seconds(GRID[i])}", "percent") for i in at)]
    table = Table("clock", "Share of paths on which a step has happened, by time from the event", columns,
                  has_intervals=True)  # fmt: skip
    for venue in run.venues:
        for name, text, _ in present if shares[venue.index] is not None else ():
            if name == "depletion_time" and venue.cushion != "fund":
                text = names.meaning("p_fund_depleted", venue.cushion)
            rows = shares[venue.index][name][at]
            table.add(venue.name, text, *(cell(*map(float, r[:1]), "percent", *map(float, r[1:]), with_range=True)
                                          for r in rows))  # fmt: skip
    return table
