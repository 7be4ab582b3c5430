"""Figures with their sentence, legend and table, assembled from the per-cell summaries and the bands."""

from __future__ import annotations

import itertools

import numpy as np

from mcrisk.report import charts
from mcrisk.report import format as fmt
from mcrisk.report.cells import GRID, PAYERS, CellSummary
from mcrisk.report.model import Column, Figure, Panel, Table, cell
from mcrisk.report.names import spoken
from mcrisk.report.source import Run, VenueInfo

Cells = dict[tuple[int, int], CellSummary]
THRESHOLDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
SHOWN_TIMES = (0.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0)
SERIES_LEGEND = [("s7 last", "last trade"), ("s0 index", "index"), ("s5 mark", "mark")]


def scenario_styles(run: Run) -> dict[int, str]:
    """A fixed colour per scenario; the mixture gets the ink colour."""
    colours = itertools.cycle(charts.STYLES[:7])
    return {
        s: "s7" if s == run.headline and len(run.scenarios) > 1 else next(colours) for s in range(len(run.scenarios))
    }


def grid_positions() -> list[int]:
    """Points of the exceedance grid nearest to `THRESHOLDS`."""
    return [int(np.argmin(np.abs(np.log(GRID / x)))) for x in THRESHOLDS]


def time_positions(time: np.ndarray) -> list[int]:
    """Positions of the band times nearest to `SHOWN_TIMES`."""
    return sorted({nearest(time, t) for t in SHOWN_TIMES if t <= time[-1]})


def nearest(time: np.ndarray, wanted: float) -> int:
    """Position of the time nearest to `wanted`."""
    return int(np.argmin(np.abs(time - wanted)))


def label(name: str) -> str:
    return spoken(name)


def exceedance_panel(run: Run, cells: Cells, venue: VenueInfo) -> Panel:
    """P(deficit > x) at one venue, a line per scenario, fund and backstop as vertical lines."""
    lines = [(style, cells[venue.index, s].exceed) for s, style in scenario_styles(run).items()]
    fund, layers = venue.fund / venue.open_interest, (venue.fund + venue.backstop) / venue.open_interest
    marks = [(fund, "fund")] if fund > 0 else []
    marks += [(layers, "fund + backstop" if fund > 0 else "backstop")] if venue.backstop > 0 else []
    drawn = charts.exceedance(venue.name, lines, run.n_paths, marks, "deficit, % of one-sided open interest")
    return Panel(venue.name, drawn, "" if layers > 0 else "No fund and no backstop: every deficit lands on traders.")


def first_screen(run: Run, cells: Cells, name: str) -> Figure:
    """The one chart beside the answer: the deficit at the venue that worries most. Its numbers stand below."""
    venue = next(v for v in run.venues if v.name == name)
    panel, styles = exceedance_panel(run, cells, venue), scenario_styles(run)
    legend = [(styles[s], label(run.scenarios[s])) for s in styles]
    return Figure("first", f"{venue.name}: how large is the hole", panel.note, [panel], legend)


def exceedance_figure(run: Run, cells: Cells) -> Figure:
    """P(deficit > x) per venue, a line per scenario."""
    styles, panels = scenario_styles(run), []
    table = Table(
        "exceedance",
        "Probability that the deficit exceeds a share of open interest",
        [Column("venue"), Column("scenario"), *(Column(f"> {fmt.plain_percent(x)}", "percent") for x in THRESHOLDS)],
        has_intervals=True,
    )
    for venue in run.venues:
        panels.append(exceedance_panel(run, cells, venue))
        for s, name in enumerate(run.scenarios):
            rows = cells[venue.index, s].exceed[grid_positions()]
            table.add(
                venue.name, name, *(cell(float(p), "percent", float(a), float(b), with_range=True) for p, a, b in rows)
            )
    table.note = (
        "The deficit is what liquidated accounts owe beyond their collateral (bad_debt). Thresholds "
        "are the nearest points of a logarithmic grid (33 points from 0.01 % to 100 %)."
    )
    beyond = _beyond(run, cells)
    return Figure(
        "exceedance",
        "How large is the hole",
        beyond,
        panels,
        [(styles[s], label(run.scenarios[s])) for s in styles],
        table,
    )


def _beyond(run: Run, cells: Cells) -> str:
    """Sentence: in which venue and scenario the deficit most often passes fund and backstop."""

    def past(venue: VenueInfo, s: int) -> float:
        at = int(np.searchsorted(GRID, (venue.fund + venue.backstop) / venue.open_interest))
        return float(cells[venue.index, s].exceed[min(at, len(GRID) - 1), 0])

    options = [(past(v, s), v, s) for v in run.venues if v.fund + v.backstop > 0 for s in range(len(run.scenarios))]
    if not options:
        return (
            "A line is the probability that losses beyond collateral exceed that share of open interest; no "
            "venue here has a fund to stop it."
        )
    p, venue, s = max(options, key=lambda o: o[0])
    most = ", more often than any other venue with a fund or backstop" if len({v.index for _, v, _ in options}) > 1 else ""
    return (
        f"Right of the vertical line nothing but the winners is left to pay: {venue.name} gets there on "
        f"{fmt.percent(p)} "
        f"of {label(run.scenarios[s])} paths{most}."
    )


def histogram_figure(run: Run, cells: Cells) -> Figure:
    """Distribution of the deficit in the headline scenario."""
    panels, s = [], run.headline
    labels = charts.bin_labels()
    table = Table(
        "histogram",
        f"Share of {label(run.scenarios[s])} paths by deficit (% of open interest)",
        [Column("venue"), *(Column(text, "percent") for text in labels)],
    )
    for venue in run.venues:
        one = cells[venue.index, s]
        fund, layers = venue.fund / venue.open_interest, (venue.fund + venue.backstop) / venue.open_interest
        panels.append(Panel(venue.name, charts.histogram(venue.name, one, fund, layers)))
        table.add(venue.name, *(float(x) for x in one.histogram))
    none = {v.name: cells[v.index, s].histogram[0] for v in run.venues}
    best, worst = max(none, key=none.get), min(none, key=none.get)
    tail = max(run.venues, key=lambda v: cells[v.index, s].histogram[-3:].sum())
    see = (
        f"{fmt.percent(float(none[best]))} of {label(run.scenarios[s])} paths leave no hole at {best}, "
        f"{fmt.percent(float(none[worst]))} at {worst}; "
        f"the tail beyond 5{fmt.NARROW}% of open interest is heaviest at {tail.name} "
        f"({fmt.percent(float(cells[tail.index, s].histogram[-3:].sum()))})."
    )
    return Figure(
        "histogram",
        "Loss distribution with its tail",
        see,
        panels,
        [("fine", "the fund covers it"), ("warn", "fund and backstop cover it"), ("bad", "beyond both")],
        table,
    )


def waterfall_figure(run: Run, cells: Cells) -> Figure:
    """Who pays on the worst paths of the headline scenario."""
    s = run.headline
    panels = [Panel(v.name, charts.waterfall(v.name, cells[v.index, s].payers_tail)) for v in run.venues]
    table = Table(
        "who-pays",
        "Who pays, % of one-sided open interest",
        [Column("venue"), Column("scenario"), Column("paths"), *(Column(text, "percent") for _, text in PAYERS)],
    )
    for venue in run.venues:
        for k, name in enumerate(run.scenarios):
            one = cells[venue.index, k]
            table.add(venue.name, name, "mean", *(one.payers_mean[p] for p, _ in PAYERS))
            table.add(venue.name, name, "worst 1 %", *(one.payers_tail[p] for p, _ in PAYERS))
    share = {v.name: _winners_share(cells[v.index, s].payers_tail) for v in run.venues}
    share = {k: x for k, x in share.items() if x == x}
    see = (
        f"On the worst {cells[0, s].tail_paths} of {fmt.count(run.n_paths)} {label(run.scenarios[s])} paths "
        f"nobody's collateral runs out."
    )
    if share:
        top = max(share, key=share.get)
        see = (
            f"On the worst {cells[0, s].tail_paths} of {fmt.count(run.n_paths)} {label(run.scenarios[s])} "
            f"paths, what collateral does not cover "
            f"is paid by the winners to {fmt.percent(share[top])} at {top}"
            f"{_least(share, top)}; the rest falls on fund, backstop or stays unpaid."
        )
    return Figure("who-pays", "Who pays", see, panels, [], table)


def _winners_share(payers: dict[str, float]) -> float:
    beyond = sum(v for k, v in payers.items() if k != "traders_loss" and v == v)
    return (payers["adl_wealth"] + payers["settlement_cut"]) / beyond if beyond > 0 else float("nan")


def _least(share: dict[str, float], top: str) -> str:
    low = min(share, key=share.get)
    return f" and to {fmt.percent(share[low])} at {low}" if low != top else ""


def quantile_positions(quantiles: np.ndarray) -> tuple[int, int, int]:
    """Positions of the quantiles nearest to 5 %, 50 % and 95 %."""
    return tuple(int(np.argmin(np.abs(quantiles - q))) for q in (0.05, 0.5, 0.95))


def band_series(run: Run, venue: VenueInfo, scenario: int) -> dict[str, np.ndarray]:
    """last, index and mark of a cell as [time, quantile]; series with no number are left out."""
    data = run.group("bands").isel(venue=venue.index, scenario=scenario)
    found = {k: data[k].transpose("time", "quantile").values for k in ("last", "index", "mark") if k in data}
    return {k: v for k, v in found.items() if np.isfinite(v).any()}


def span_of(many: list[dict[str, np.ndarray]], low: int, high: int) -> tuple[float, float]:
    """A common vertical range for several fans."""
    values = np.concatenate([s[:, [low, high]].ravel() for one in many for s in one.values()] or [np.array([0.9, 1.1])])
    values = values[np.isfinite(values)]
    a, b = (float(values.min()), float(values.max())) if values.size else (0.9, 1.1)
    pad = 0.06 * max(b - a, 0.02)
    return max(0.0, a - pad), b + pad


def fan_figure(run: Run) -> Figure | None:
    """last, index and mark around the event at every venue, one common scale."""
    if not run.has("bands"):
        return None
    data = run.group("bands")
    time, low_mid_high = data["time"].values.astype(float), quantile_positions(data["quantile"].values)
    low, middle, high = low_mid_high
    s, q = run.shock, data["quantile"].values
    all_series = [band_series(run, v, s) for v in run.venues]
    span = span_of(all_series, low, high)
    panels = [
        Panel(
            v.name,
            charts.fan(v.name, time, one, middle, low, high, span) if one else "",
            "" if one else "no event in this scenario",
        )
        for v, one in zip(run.venues, all_series)
    ]
    name = label(run.scenarios[s])
    see = (
        f"Outer lines are the {fmt.plain_percent(float(q[low]))} and {fmt.plain_percent(float(q[high]))} "
        f"quantiles, thin lines the medians, under {name}: "
        "where the filled range of the mark lags behind the dotted last trade, liquidations wait while losses grow."
    )
    return Figure(
        "fan", "Around the event", see, panels, SERIES_LEGEND, fan_table(run, run.venues, s, time, low_mid_high)
    )


def fan_table(run: Run, venues: list[VenueInfo], s: int, time: np.ndarray, positions: tuple[int, int, int]) -> Table:
    """The numbers under a fan chart at a few times after the event."""
    q = run.group("bands")["quantile"].values
    at = time_positions(time)
    columns = [
        Column("venue"),
        Column("series"),
        Column("quantile"),
        *(Column(fmt.seconds(float(time[i])), "signed_percent") for i in at),
    ]
    table = Table(
        f"fan-{'-'.join(v.name for v in venues) if len(venues) < 3 else 'all'}",
        "Change since just before the event, by time after it",
        columns,
    )
    for venue in venues:
        for key, values in band_series(run, venue, s).items():
            for position in positions:
                table.add(
                    venue.name,
                    key,
                    fmt.plain_percent(float(q[position])),
                    *(float(values[i, position] - 1) for i in at),
                )
    return table
