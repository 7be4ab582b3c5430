"""'Two designs, one shock': what Kraken's and OKX's rules make of the same news, in figures and one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcrisk.report import charts, figures, names
from mcrisk.report import format as fmt
from mcrisk.report.answer import horizon
from mcrisk.report.headline import scaled
from mcrisk.report.model import Cell, Column, Figure, Panel, Section, Table, cell
from mcrisk.report.source import NAN, Run, VenueInfo
from mcrisk.risk.intervals import paired_difference

ANCHORED = ("kraken-preipo", "kraken")
SELF_REFERENTIAL = ("okx-premarket-perp", "okx-preipo-perp", "okx-prelaunch-futures", "okx")
VISIBLE = 0.10  # a mark this far from its own book is called detached


@dataclass(frozen=True)
class Detachment:
    """How far and how long the mark stays away from the last trade, at the low quantile after the event."""

    largest: float  # mark over last − 1, the largest
    at: float  # seconds after the event
    halves: float  # seconds from the event until half of the largest gap is closed
    last_then: float  # change of the last trade at that moment
    mark_then: float
    half_way: float  # seconds until the mark has made half of its own largest fall
    index_delay: float  # same for the index
    lowest: float  # largest fall of the last trade at the low quantile, and largest rise at the high one
    highest: float


def pick(run: Run, wanted: tuple[str, ...]) -> VenueInfo | None:
    """The first venue with one of these names, else with such a beginning."""
    for name in wanted:
        for venue in run.venues:
            if venue.name == name or venue.name.startswith(name + "-"):
                return venue
    return None


def detachment(time: np.ndarray, series: dict[str, np.ndarray], low: int, high: int) -> Detachment:
    """Read off the fan's lower edge."""
    after = time >= 0
    t, last, mark = time[after], series["last"][after, low], series["mark"][after, low]
    index = series.get("index", series["mark"])[after, low]
    gap = mark / last - 1
    if not np.isfinite(gap).any():
        return Detachment(*(NAN,) * 9)
    k = int(np.nanargmax(np.abs(gap)))
    closed = np.nonzero(np.abs(gap[k:]) <= 0.5 * abs(gap[k]))[0]
    return Detachment(
        float(gap[k]),
        float(t[k]),
        float(t[k + closed[0]]) if closed.size else NAN,
        float(last[k] - 1),
        float(mark[k] - 1),
        _half_way(t, mark),
        _half_way(t, index),
        float(np.nanmin(last) - 1),
        float(np.nanmax(series["last"][after, high]) - 1),
    )


def _half_way(t: np.ndarray, values: np.ndarray) -> float:
    """First time at which half of the largest fall is made."""
    if not np.isfinite(values).any() or np.nanmin(values) >= 1:
        return NAN
    reached = np.nonzero(values <= 1 - 0.5 * (1 - np.nanmin(values)))[0]
    return float(t[reached[0]]) if reached.size else NAN


def _closed(gap: Detachment) -> str:
    """'after 50 min', or that it stayed open."""
    return f"after {fmt.seconds(gap.halves)}" if fmt.known(gap.halves) else "after the time shown here"


def section(run: Run, cells: figures.Cells) -> Section:
    """The whole chapter; says what is missing when a venue or the bands are."""
    out = Section("two-designs", "Two designs, one shock")
    kraken, okx = pick(run, ANCHORED), pick(run, SELF_REFERENTIAL)
    name = figures.label(run.scenarios[run.shock])
    if kraken is None or okx is None:
        out.missing.append("This comparison needs a Kraken and an OKX venue in one run; it was not computed.")
        return out
    out.lead = (
        f"{kraken.name} holds its mark near a synthetic index; {okx.name} takes its own trades for the index. "
        f"Both see the same companies, dates and jumps under {name}."
    )
    gaps: dict[int, Detachment] = {}
    if run.has("bands"):
        both = [(v, figures.band_series(run, v, run.shock)) for v in (kraken, okx)]
        if all({"last", "mark"} <= set(series) for _, series in both):
            out.blocks.append(_fans(run, both, gaps))
    if not gaps:
        out.missing.append("Bands around the event were not stored, so the prices cannot be shown.")
    out.paragraphs += [
        _kraken_sentence(run, kraken, gaps.get(kraken.index)),
        _okx_sentence(run, okx, cells, gaps.get(okx.index)),
        _contrast(run, kraken, okx),
    ]
    out.blocks += [_hiding(run, kraken, okx, cells), _numbers(run, kraken, okx, cells, gaps)]
    return out


def _fans(run: Run, both: list[tuple[VenueInfo, dict[str, np.ndarray]]], gaps: dict[int, Detachment]) -> Figure:
    data = run.group("bands")
    time, positions = data["time"].values.astype(float), figures.quantile_positions(data["quantile"].values)
    low, middle, high = positions
    span = figures.span_of([s for _, s in both], low, high)
    for venue, series in both:
        gaps[venue.index] = detachment(time, series, low, high)
    panels = [Panel(v.name, charts.fan(v.name, time, s, middle, low, high, span, 460, 300)) for v, s in both]
    a, b = (gaps[v.index] for v, _ in both)
    see = (
        f"Compare the filled mark with the dotted last trade at the low quantile: half of the largest gap is closed "
        f"{_closed(a)} at {both[0][0].name} and {_closed(b)} at {both[1][0].name}."
    )
    return Figure(
        "designs-fan",
        "The same news in two rulebooks",
        see,
        panels,
        figures.SERIES_LEGEND,
        figures.fan_table(run, [v for v, _ in both], run.shock, time, positions),
        wide=True,
    )


def _kraken_sentence(run: Run, venue: VenueInfo, gap: Detachment | None) -> str:
    latent = scaled(run, venue, run.shock, "latent_deficit_99", "open_interest")
    hidden = ""
    if latent and fmt.known(latent.estimate):
        hidden = (
            f"accounts not yet liquidated owe up to {fmt.percent(latent.estimate)} of open interest at "
            f"executable prices (99{fmt.NARROW}% quantile)"
        )
        if venue.fund > 0:
            hidden += f", {fmt.ratio(latent.estimate * venue.open_interest / venue.fund)} its fund"
    if gap is None or not fmt.known(gap.largest):
        return f"{venue.name}: {hidden}." if hidden else f"{venue.name}: no numbers were stored."
    if abs(gap.largest) <= VISIBLE:
        return (
            f"{venue.name}: in this run the mark stays within {fmt.percent(abs(gap.largest))} of its own "
            f"book{'; ' + hidden if hidden else ''}."
        )
    return (
        f"{venue.name}: {fmt.seconds(gap.at)} after the news its own book trades at "
        f"{fmt.signed_percent(gap.last_then)} while the mark still says "
        f"{fmt.signed_percent(gap.mark_then)}, and half of that gap is closed only {_closed(gap)}"
        f"{'; behind that mark ' + hidden if hidden else ''}."
    )


def _okx_sentence(run: Run, venue: VenueInfo, cells: figures.Cells, gap: Detachment | None) -> str:
    one = cells[venue.index, run.shock]
    first = one.median_first_liquidation
    parts = []
    if gap is not None and fmt.known(gap.half_way):
        parts.append(f"the mark follows its own trades and is halfway down after {fmt.seconds(gap.half_way)}")
    if fmt.known(first) and one.liquidated_before < 0.5:
        parts.append(f"liquidations start {fmt.seconds(first)} after the news (median)")
    sold = f"{fmt.percent(one.liquidated_mean)} of open interest is liquidated over {horizon(run)}"
    if one.liquidated_mean > 1:
        sold += " (positions are opened again)"
    parts.append(f"{sold}, sold into the very book that sets the index")
    if gap is not None and fmt.known(gap.lowest):
        moved = f"{fmt.signed_percent(gap.lowest)} and {fmt.signed_percent(gap.highest)}"
        parts.append(f"which slides as far as {moved} within {fmt.seconds(_reach(run))}")
    return f"{venue.name}: {', '.join(parts[:-1])}{', ' if parts[:-1] else ''}{parts[-1]}."


def _reach(run: Run) -> float:
    """How long after the event the bands go on, s."""
    return float(run.group("bands")["time"].values[-1])


def _contrast(run: Run, kraken: VenueInfo, okx: VenueInfo) -> str:
    """Paired difference of the deficit: both venues meet the same companies path by path."""
    names = ("bad_debt",)
    a = run.cell(kraken.index, run.shock, names)["bad_debt"] / kraken.open_interest
    b = run.cell(okx.index, run.shock, names)["bad_debt"] / okx.open_interest
    if not np.isfinite(a - b).all():
        return "The paired difference of their deficits is not resolved."
    mean, low, high = paired_difference(a, b)
    if not fmt.known(low):
        return f"The paired difference of their deficits is not resolved on {fmt.count(run.n_paths)} paths."
    rng = fmt.interval(low, high, "points")
    if low <= 0 <= high:
        return (
            f"Path by path their deficits do not differ by more than noise (mean difference "
            f"{fmt.points(mean)} of open interest, {rng})."
        )
    more, less = (kraken, okx) if mean > 0 else (okx, kraken)
    rng = fmt.interval(*((low, high) if mean > 0 else (-high, -low)), "points")
    return (
        f"Path by path {more.name} ends with the larger hole: {fmt.percent(abs(mean))} of open interest more "
        f"than {less.name} on average "
        f"(paired difference {rng})."
    )


def _hiding(run: Run, kraken: VenueInfo, okx: VenueInfo, cells: figures.Cells) -> Figure:
    """How far the mark is from its own book over time, and what hides behind it."""
    pair = [("s2", kraken, cells[kraken.index, run.shock]), ("s3", okx, cells[okx.index, run.shock])]
    columns, panels, gaps = [Column("venue")], [], {}
    if run.has("bands"):
        data = run.group("bands")
        time, q = data["time"].values.astype(float), data["quantile"].values
        low = figures.quantile_positions(q)[0]
        for _, venue, _ in pair:
            series = figures.band_series(run, venue, run.shock)
            if {"last", "mark"} <= set(series):
                gaps[venue.index] = series["mark"][:, low] / series["last"][:, low] - 1
        shown = figures.time_positions(time)
        columns += [Column(f"gap {fmt.seconds(float(time[i]))}", "signed_percent") for i in shown]
    if len(gaps) == len(pair):
        lines = [(style, gaps[venue.index]) for style, venue, _ in pair]
        title = f"mark over last trade, both at their {fmt.plain_percent(float(q[low]))} quantile"
        panels.append(
            Panel(title, charts.over_time("Mark over last trade", time, lines, "mark over last − 1", 460, 300))
        )
    else:
        columns = columns[:1]
    curves = [(style, one.latent_exceed) for style, _, one in pair]
    axis = "latent deficit, % of one-sided open interest"
    panels.append(Panel("latent deficit", charts.exceedance("Latent deficit", curves, run.n_paths, [], axis, 460, 300)))
    columns += [Column(f"latent > {fmt.plain_percent(x)}", "percent") for x in figures.THRESHOLDS]
    table = Table("designs-hiding", "Gap of mark to last trade, and probability of a latent deficit above", columns)
    at = figures.grid_positions()
    for _, venue, one in pair:
        gap = [float(gaps[venue.index][i]) for i in shown] if len(columns) > 1 + len(at) else []
        table.add(venue.name, *gap, *map(float, one.latent_exceed[at, 0]))
    deep = [float(one.latent_exceed[at[2], 0]) for _, _, one in pair]
    see = (
        f"A mark above its own book hides losses: a latent deficit above {fmt.plain_percent(figures.THRESHOLDS[2])} of "
        f"open interest appears on {fmt.percent(deep[0])} of the paths at {kraken.name} and on {fmt.percent(deep[1])} "
        f"at {okx.name}."
    )
    legend = [(style, venue.name) for style, venue, _ in pair]
    return Figure("designs-hiding", "What hides behind the mark", see, panels, legend, table, wide=True)


def _numbers(run: Run, kraken: VenueInfo, okx: VenueInfo, cells: figures.Cells, gaps: dict[int, Detachment]) -> Table:
    table = Table(
        "designs",
        f"Side by side under {figures.label(run.scenarios[run.shock])}",
        [Column("measure"), Column(kraken.name), Column(okx.name)],
        has_intervals=True,
    )
    pair = (kraken, okx)
    if gaps:

        def get(name: str, show: Callable[[float], str]) -> list[Cell]:
            return [Cell(value, show(value)) for value in (getattr(gaps[v.index], name) for v in pair)]

        table.add("largest mark-to-last gap at the low quantile", *get("largest", fmt.signed_percent))
        table.add("half of that gap closed after", *get("halves", fmt.seconds))
        table.add("index halfway down after", *get("index_delay", fmt.seconds))
        table.add("mark halfway down after", *get("half_way", fmt.seconds))
        table.add("last trade, lowest at the low quantile", *get("lowest", fmt.signed_percent))
        table.add("last trade, highest at the high quantile", *get("highest", fmt.signed_percent))
    first = [cells[v.index, run.shock].median_first_liquidation for v in pair]
    before = [cells[v.index, run.shock].liquidated_before for v in pair]
    table.add("paths with a liquidation before the news", *(Cell(x, fmt.percent(x)) for x in before))
    table.add("first liquidation after the news, median of the others", *(Cell(x, fmt.seconds(x)) for x in first))
    for key, title, by in (
        ("liquidated_notional_mean", "liquidated, mean, % of OI", "oi"),
        ("latent_deficit_99", "latent deficit 99 %, % of OI", "oi"),
        ("es_99", "deficit ES 99 %, % of OI", "oi"),
        ("p_adl", "P(ADL)", ""),
        ("p_depleted", "P(fund gone)", ""),
        ("mark_index_gap_99", "mark–index gap 99 %", ""),
    ):
        bounds = [scaled(run, v, run.shock, key, by) for v in pair]
        if all(b is not None for b in bounds):
            means = [names.meaning(names.ALIASES[key][0], v.cushion) for v in pair]
            table.add(title, *(cell(b.estimate, "percent", b.lower, b.upper, with_range=True, meaning=m)
                               for b, m in zip(bounds, means)))  # fmt: skip
    return table
