"""'Two designs, one shock': what Kraken's and OKX's rules make of the same news, in figures and one sentence each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcrisk.report import charts, figures
from mcrisk.report import format as fmt
from mcrisk.report.cells import TIMES
from mcrisk.report.headline import scaled
from mcrisk.report.model import Cell, Column, Figure, Panel, Section, Table, cell
from mcrisk.report.source import NAN, Run, VenueInfo
from mcrisk.risk.intervals import paired_difference

ANCHORED = ("kraken-preipo", "kraken")
SELF_REFERENTIAL = ("okx-premarket-perp", "okx-preipo-perp", "okx-prelaunch-futures", "okx")
VISIBLE = 0.02  # a mark this far from its own book is called detached


@dataclass(frozen=True)
class Detachment:
    """How far and how long the mark stays away from the last trade, at the low quantile after the event."""

    largest: float  # mark over last − 1, the largest
    at: float  # seconds after the event
    lasts: float  # seconds during which it is more than VISIBLE
    last_then: float  # change of the last trade at that moment
    mark_then: float
    half_way: float  # seconds until the mark has made half of its own largest fall
    index_delay: float  # same for the index


def pick(run: Run, wanted: tuple[str, ...]) -> VenueInfo | None:
    """The first venue with one of these names, else with such a beginning."""
    for name in wanted:
        for venue in run.venues:
            if venue.name == name or venue.name.startswith(name + "-"):
                return venue
    return None


def detachment(time: np.ndarray, series: dict[str, np.ndarray], low: int) -> Detachment:
    """Read off the fan's lower edge."""
    after = time >= 0
    t, last, mark = time[after], series["last"][after, low], series["mark"][after, low]
    index = series.get("index", series["mark"])[after, low]
    gap = mark / last - 1
    if not np.isfinite(gap).any():
        return Detachment(*(NAN,) * 7)
    k = int(np.nanargmax(np.abs(gap)))
    wide = np.abs(gap) > VISIBLE
    steps = np.diff(t, append=t[-1])
    return Detachment(
        float(gap[k]),
        float(t[k]),
        float(steps[wide].sum()),
        float(last[k] - 1),
        float(mark[k] - 1),
        _half_way(t, mark),
        _half_way(t, index),
    )


def _half_way(t: np.ndarray, values: np.ndarray) -> float:
    """First time at which half of the largest fall is made."""
    if not np.isfinite(values).any() or np.nanmin(values) >= 1:
        return NAN
    reached = np.nonzero(values <= 1 - 0.5 * (1 - np.nanmin(values)))[0]
    return float(t[reached[0]]) if reached.size else NAN


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
    out.blocks += [_timing(run, kraken, okx, cells), _numbers(run, kraken, okx, cells, gaps)]
    return out


def _fans(run: Run, both: list[tuple[VenueInfo, dict[str, np.ndarray]]], gaps: dict[int, Detachment]) -> Figure:
    data = run.group("bands")
    time, positions = data["time"].values.astype(float), figures.quantile_positions(data["quantile"].values)
    low, middle, high = positions
    span = figures.span_of([s for _, s in both], low, high)
    for venue, series in both:
        gaps[venue.index] = detachment(time, series, low)
    panels = [Panel(v.name, charts.fan(v.name, time, s, middle, low, high, span, 460, 300)) for v, s in both]
    a, b = (gaps[v.index] for v, _ in both)
    see = (
        f"Compare the filled mark with the dotted last trade: at the low quantile they are more than "
        f"{fmt.plain_percent(VISIBLE)} apart for "
        f"{fmt.seconds(a.lasts)} at {both[0][0].name} and for {fmt.seconds(b.lasts)} at {both[1][0].name}."
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
        f"{fmt.signed_percent(gap.mark_then)}, and they stay more than {fmt.plain_percent(VISIBLE)} apart for "
        f"{fmt.seconds(gap.lasts)}"
        f"{'; behind that mark ' + hidden if hidden else ''}."
    )


def _okx_sentence(run: Run, venue: VenueInfo, cells: figures.Cells, gap: Detachment | None) -> str:
    one = cells[venue.index, run.shock]
    follows = ""
    if gap is not None and fmt.known(gap.half_way):
        follows = f"the mark follows its own trades, halfway down after {fmt.seconds(gap.half_way)}, so "
    first = one.median_first_liquidation
    start = f"liquidations start {fmt.seconds(first)} after the news (median) and " if fmt.known(first) else ""
    return (
        f"{venue.name}: {follows}{start}{fmt.percent(one.liquidated_mean)} of open interest is sold into the "
        f"book that sets the index, "
        f"on average over all paths."
    )


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
    return (
        f"Path by path {more.name} ends with the larger hole: {fmt.percent(abs(mean))} of open interest more "
        f"than {less.name} on average "
        f"(paired difference {rng})."
    )


def _timing(run: Run, kraken: VenueInfo, okx: VenueInfo, cells: figures.Cells) -> Figure:
    pair = [("s2", kraken, cells[kraken.index, run.shock]), ("s3", okx, cells[okx.index, run.shock])]
    when = charts.share_over_time(
        "Share of paths with a first liquidation, by time after the event",
        [(style, one.liquidated_by) for style, _, one in pair],
        "paths with a liquidation",
        460,
        300,
    )
    hidden = charts.exceedance(
        "Latent deficit",
        [(style, one.latent_exceed) for style, _, one in pair],
        run.n_paths,
        [],
        "latent deficit, % of one-sided open interest",
        460,
        300,
    )
    table = Table(
        "designs-timing",
        "Paths with a first liquidation by then, and with a latent deficit above a share of open interest",
        [
            Column("venue"),
            *(Column(f"by {fmt.seconds(float(t))}", "percent") for t in TIMES[::5]),
            *(Column(f"latent > {fmt.plain_percent(x)}", "percent") for x in figures.THRESHOLDS),
        ],
    )
    at = figures.grid_positions()
    for _, venue, one in pair:
        table.add(venue.name, *map(float, one.liquidated_by[::5]), *map(float, one.latent_exceed[at, 0]))
    medians = [one.median_first_liquidation for _, _, one in pair]
    deep = [float(one.latent_exceed[figures.grid_positions()[2], 0]) for _, _, one in pair]
    see = (
        f"First chart: where nobody was liquidated before the news, half of the first liquidations come within "
        f"{fmt.seconds(medians[0])} at {kraken.name} and {fmt.seconds(medians[1])} at {okx.name}; "
        f"second chart: a hidden deficit above 1{fmt.NARROW}% of open interest appears on "
        f"{fmt.percent(deep[0])} and {fmt.percent(deep[1])} of the paths."
    )
    return Figure(
        "designs-timing",
        "When it is noticed, and what hides until then",
        see,
        [Panel("first liquidation", when), Panel("latent deficit", hidden)],
        [("s2", kraken.name), ("s3", okx.name)],
        table,
        wide=True,
    )


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
        table.add(f"time more than {fmt.plain_percent(VISIBLE)} apart", *get("lasts", fmt.seconds))
        table.add("index halfway down after", *get("index_delay", fmt.seconds))
        table.add("mark halfway down after", *get("half_way", fmt.seconds))
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
            table.add(title, *(cell(b.estimate, "percent", b.lower, b.upper, with_range=True) for b in bounds))
    return table
