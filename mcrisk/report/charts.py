"""The figures of the report, each from summaries already computed. Every function returns finished SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mcrisk.report import format as fmt
from mcrisk.report.cells import BINS, GRID, PAYERS, CellSummary
from mcrisk.report.svg import Plot, Scale, around_event, linear, logarithmic, text_at

STYLES = ("s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7")


def _probability_axis(n_paths: int) -> Scale:
    floor = 10.0 ** math.floor(math.log10(1.0 / max(n_paths, 10)))
    return logarithmic(max(floor, 1e-6), 1.0, fmt.plain_percent)


def exceedance(
    name: str,
    lines: Sequence[tuple[str, np.ndarray]],
    n_paths: int,
    marks: Sequence[tuple[float, str]],
    loss_title: str,
    width: int = 380,
    height: int = 250,
) -> str:
    """P(loss > x) on log–log axes with bands; `marks` are labelled vertical lines (fund, fund + backstop)."""
    y = _probability_axis(n_paths)
    plot = Plot(
        logarithmic(GRID[0], 1.0, fmt.plain_percent),
        y,
        loss_title,
        "probability of more",
        f"{name}: probability that the loss exceeds a share of open interest",
        width,
        height,
    )
    for style, values in lines:
        shown = np.where(values[:, :1] > 0, values, np.nan)
        plot.band(GRID, np.maximum(shown[:, 1], y.lo), shown[:, 2], style)
        plot.line(GRID, shown[:, 0], style)
    _marks(plot, marks)
    return plot.render()


def _marks(plot: Plot, marks: Sequence[tuple[float, str]]) -> None:
    """Labelled verticals; a second one close by puts its label on the other side."""
    shown = [(x, text) for x, text in marks if GRID[0] <= x <= 1.0]
    for k, (x, text) in enumerate(shown):
        anchor = "end" if k == 0 and len(shown) > 1 else "start"
        plot.vertical(x, text, "q", anchor if plot.x(x) < 0.75 else "end")


def _change(relative: float) -> str:
    """Tick label of a price relative to the one before the event: '+50 %', '0', '−25 %'."""
    text = fmt.plain_percent(round(relative - 1, 6))
    return f"+{text}" if relative > 1 + 1e-9 else "0" if abs(relative - 1) < 1e-9 else text


def fan(
    name: str,
    time: np.ndarray,
    series: dict[str, np.ndarray],
    middle: int,
    low: int,
    high: int,
    span: tuple[float, float],
    width: int = 380,
    height: int = 250,
) -> str:
    """last, index and mark around the event: edges at two quantiles, the mark's range filled, medians thin."""
    time, series = step_at_event(time, series)
    plot = Plot(
        around_event(float(time[0]), float(time[-1])),
        linear(*span, _change, about=6),
        "time from the event",
        "change since just before the event",
        f"{name}: last, index and mark around the event",
        width,
        height,
        left=66 if width < 400 else 76,
    )
    plot.vertical(0.0, "event", "q")
    if "mark" in series:
        plot.band(time, series["mark"][:, low], series["mark"][:, high], "s5")
    for key, style in (("last", "s7"), ("index", "s0"), ("mark", "s5")):
        if key in series:
            for quantile in (low, high):
                plot.line(time, series[key][:, quantile], f"{style} {key}")
            plot.line(time, series[key][:, middle], f"{style} {key} thin")
    return plot.render()


def step_at_event(time: np.ndarray, series: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Hold the last value before the event until the event, so that a jump is drawn as one."""
    at = int(np.searchsorted(time, 0.0))
    if at == 0 or at == len(time):
        return time, series
    held = {key: np.insert(values, at, values[at - 1], axis=0) for key, values in series.items()}
    return np.insert(time, at, -1e-3), held


def over_time(
    name: str,
    time: np.ndarray,
    lines: Sequence[tuple[str, np.ndarray]],
    y_title: str,
    width: int = 380,
    height: int = 250,
) -> str:
    """Relative differences over time from the event."""
    values = np.concatenate([v[np.isfinite(v)] for _, v in lines])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.1)
    pad = 0.06 * max(high - low, 0.02)
    plot = Plot(
        around_event(float(time[0]), float(time[-1])),
        linear(min(low, 0.0) - pad, max(high, 0.0) + pad, lambda v: _change(1 + v)),
        "time from the event",
        y_title,
        name,
        width,
        height,
        left=66 if width < 400 else 76,
    )
    plot.vertical(0.0, "event", "q")
    held, series = step_at_event(time, {str(k): v for k, (_, v) in enumerate(lines)})
    for k, (style, _) in enumerate(lines):
        plot.line(held, series[str(k)], style)
    return plot.render()


def bin_labels() -> list[str]:
    """Names of the histogram's bins: 'none', '≤ 0.1', …, '> 20'."""
    return ["none", *(f"≤{100 * edge:g}" for edge in BINS[1:]), f">{100 * BINS[-1]:g}"]


def histogram(name: str, cell: CellSummary, fund_share: float, layers_share: float) -> str:
    """Share of paths per loss bin (log scale, so that the tail is visible), coloured by who can absorb it."""
    shares, labels = cell.histogram, bin_labels()
    floor = 10.0 ** math.floor(math.log10(max(1e-7, min([s for s in shares if s > 0] or [1.0]) * 0.5)))
    y = logarithmic(floor, 1.0, fmt.plain_percent)
    x = Scale(0.0, float(len(shares)), [(k + 0.5, text) for k, text in enumerate(labels)])
    plot = Plot(
        x,
        y,
        "deficit, % of one-sided open interest",
        "share of paths (bars: %)",
        f"{name}: distribution of the deficit",
    )
    uppers = (0.0, *BINS[1:], math.inf)
    for k, share in enumerate(shares):
        if share <= 0:
            continue
        style = "fine" if uppers[k] <= fund_share * 1.0001 else "warn" if uppers[k] <= layers_share * 1.0001 else "bad"
        plot.bar(k + 0.12, k + 0.88, floor, float(share), style)
        plot.text(k + 0.5, float(share), f"{100 * share:.2g}", "value", "middle", dy=-4)
    return plot.render()


def waterfall(name: str, payers: dict[str, float]) -> str:
    """Who pays, as steps from left to right; the traders' own collateral is cut off when it dwarfs the rest."""
    values = [payers[key] if math.isfinite(payers[key]) else 0.0 for key, _ in PAYERS]
    rest = sum(values[1:])
    shown_first = min(values[0], 0.6 * rest) if rest > 0 else values[0]
    total = max(shown_first + rest, 1e-9)
    width, left, row, top = 380, 112, 26, 8
    scale = (width - left - 56) / total
    out, at = [], 0.0
    for k, ((key, label), value) in enumerate(zip(PAYERS, values)):
        y, size = top + k * row, shown_first if k == 0 else value
        x, w = left + at * scale, size * scale
        style = "fine" if k == 0 else ("s0", "s4", "s1", "s3", "bad")[k - 1]
        out.append(text_at(left - 8, y + 15, label, "tick", "end"))
        drawn = max(w, 0.6) if value > 0 else 0.0
        out.append(f'<rect class="r {style}" x="{x:.1f}" y="{y + 3}" width="{drawn:.1f}" height="{row - 8}"/>')
        if k == 0 and shown_first < values[0]:
            cut = x + w * 0.82
            out.append(f'<path class="cut" d="M{cut:.1f} {y + 1} l-5 {row - 4} m6 0 l5 -{row - 4}"/>')
        out.append(text_at(x + w + 5, y + 15, fmt.percent(value), "value"))
        at += size
        if k < len(values) - 1:
            step = left + at * scale
            out.append(f'<line class="g" x1="{step:.1f}" x2="{step:.1f}" y1="{y + 3}" y2="{y + row + 3}"/>')
    height = top + row * len(values) + 26
    out.append(text_at(width / 2 + 20, height - 8, "% of one-sided open interest, step by step", "axis", "middle"))
    return Plot(Scale(0, 1, []), Scale(0, 1, []), "", "", f"{name}: who pays", width, height, shapes=out).render()


def tornado(name: str, rows: Sequence[tuple[str, float, float]], x_title: str) -> str:
    """One bar per assumption from its low to its high effect, largest on top."""
    spread = [v for _, a, b in rows for v in (a, b) if math.isfinite(v)] or [0.0]
    reach = max(max(abs(v) for v in spread), 1e-9) * 1.1
    height = 24 * len(rows) + 62
    plot = Plot(
        linear(-reach, reach, lambda v: f"{100 * v:+g}".replace("-", "−") if v else "0"),
        Scale(0, max(1, len(rows)), []),
        x_title,
        "",
        f"{name}: effect of assumptions",
        height=height,
        left=140,
        top=8,
    )
    for k, (text, low, high) in enumerate(rows):
        y = len(rows) - k - 0.5
        for value, style in ((low, "s0"), (high, "s1")):
            if math.isfinite(value):
                plot.bar(0.0, value, y - 0.32, y + 0.32, style)
        plot.front.append(text_at(plot.left - 8, plot.py(y) + 4, text, "tick", "end"))
    zero = plot.px(0.0)
    plot.front.append(f'<line class="a" x1="{zero}" x2="{zero}" y1="{plot.top}" y2="{height - plot.bottom}"/>')
    return plot.render()


def differences(name: str, rows: Sequence[tuple[str, tuple[float, float, float]]]) -> str:
    """Intervals of differences (shares; drawn in percentage points), one row each, zero marked."""
    known = [v for _, d in rows for v in d if math.isfinite(v)] or [0.0]
    low, high = min(0.0, *known), max(0.0, *known)
    pad = 0.08 * max(high - low, 1e-6)
    height = 38 * len(rows) + 62
    plot = Plot(
        linear(low - pad, high + pad, lambda v: f"{100 * v:+.3g}".replace("-", "−") if v else "0"),
        Scale(0, max(1, len(rows)), []),
        "after − before, percentage points",
        "",
        f"{name}: differences between two runs",
        height=height,
        left=14,
        top=8,
    )
    for k, (text, (middle, lower, upper)) in enumerate(rows):
        y = len(rows) - k - 0.65
        style = "s5" if middle > 0 else "s2"
        ends = (lower if math.isfinite(lower) else plot.x.lo, upper if math.isfinite(upper) else plot.x.hi)
        plot.bar(*ends, y - 0.07, y + 0.07, style)
        plot.bar(middle - 0.008 * (high - low), middle + 0.008 * (high - low), y - 0.2, y + 0.2, "s7")
        plot.front.append(text_at(plot.left, plot.py(y) - 11, text, "tick"))
    zero = plot.px(0.0)
    plot.front.append(f'<line class="a" x1="{zero}" x2="{zero}" y1="{plot.top}" y2="{height - plot.bottom}"/>')
    return plot.render()
