"""Further figures: numbers over time, over paths, and over the clock after the event; the map of accounts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from mcrisk.report import format as fmt
from mcrisk.report.charts import step_at_event
from mcrisk.report.svg import CHARACTER, Plot, Scale, around_event, linear, logarithmic, text_at

Line = tuple[str, Sequence[tuple[float, float, float, float]]]  # style, (x, estimate, lower, upper)


def trend(name: str, lines: Sequence[Line]) -> str:
    """Numbers over calendar time with bands; x in seconds since 1970."""
    xs = [p[0] for _, points in lines for p in points]
    plot = Plot(_dates(min(xs), max(xs)), _shares(lines), "made (UTC)", "headline scenario", name)
    _draw(plot, lines)
    return plot.render()


def convergence(name: str, lines: Sequence[Line], y_title: str) -> str:
    """Numbers over the number of paths they rest on (log scale), with bands."""
    xs = [p[0] for _, points in lines for p in points]
    plot = Plot(logarithmic(min(xs), max(xs), fmt.count), _shares(lines), "paths", y_title, name)
    if len(plot.x.ticks) < 2:
        plot.x = Scale(plot.x.lo, plot.x.hi, [(x, fmt.count(x)) for x in (min(xs), max(xs))], plot.x.forward)
    _draw(plot, lines)
    return plot.render()


def _draw(plot: Plot, lines: Sequence[Line]) -> None:
    for style, points in lines:
        x, estimate, lower, upper = (list(column) for column in zip(*points))
        plot.band(x, lower, upper, style)
        plot.line(x, estimate, style)
        if len(points) < 40:
            for a, b in zip(x, estimate):
                if math.isfinite(b):
                    plot.front.append(f'<circle class="dot {style}" cx="{plot.px(a)}" cy="{plot.py(b)}" r="2.4"/>')


def _shares(lines: Sequence[Line]) -> Scale:
    values = [v for _, points in lines for p in points for v in p[1:] if math.isfinite(v)] or [0.0, 1.0]
    return linear(0.0, max(max(values) * 1.06, 1e-6), fmt.plain_percent)


def _dates(low: float, high: float) -> Scale:
    """Three round dates are enough on a phone."""
    span = max(high - low, 60.0)
    form = "%d %b" if span > 3 * 86400 else "%d %H:%M"
    ticks = [low + span * k / 2 for k in range(3)]
    return Scale(low, low + span, [(t, datetime.fromtimestamp(t, UTC).strftime(form)) for t in ticks])


def clock(name: str, time: np.ndarray, lines: Sequence[tuple[str, np.ndarray]], width: int = 380) -> str:
    """Share of paths on which something has happened, over the time from the event; lines are [time, (e, lo, up)]."""
    top = max((float(np.nanmax(v)) for _, v in lines), default=1.0)
    plot = Plot(
        around_event(float(time[0]), float(time[-1])), linear(0.0, min(1.0, max(top * 1.05, 1e-3)), fmt.plain_percent),
        "time from the event", "share of paths so far", name, width,
    )  # fmt: skip
    plot.vertical(0.0, "event", "q")
    for style, values in lines:
        plot.band(time, values[:, 1], values[:, 2], style)
        plot.line(time, values[:, 0], style)
    return plot.render()


def bands(name: str, time: np.ndarray, lines: Sequence[tuple[str, np.ndarray]], y_title: str) -> str:
    """Medians with bands over the time from the event; lines are [time, (low, median, high)], shares."""
    values = np.concatenate([v[np.isfinite(v)] for _, v in lines])
    low, high = min(0.0, float(values.min())), float(values.max())
    pad = 0.05 * max(high - low, 1e-3)
    y = linear(low - pad * (low < 0), high + pad, lambda v: fmt.plain_percent(round(v, 9)))
    left = max(60, 28 + round(CHARACTER * max(len(text) for _, text in y.ticks)))
    plot = Plot(around_event(float(time[0]), float(time[-1])), y, "time from the event", y_title, name, left=left)
    plot.vertical(0.0, "event", "q")
    for style, v in lines:
        held, shown = step_at_event(time, {"v": v})
        plot.band(held, shown["v"][:, 0], shown["v"][:, 2], style)
        plot.line(held, shown["v"][:, 1], style)
    return plot.render()


def heat(name: str, columns: Sequence[str], rows: Sequence[str], values: np.ndarray, counts: np.ndarray) -> str:
    """A map: columns left to right, rows from the bottom up, share printed in each cell; empty cells stay empty."""
    width, left, top, row = 380, 76, 6, 26
    wide = (width - left - 8) / max(1, len(columns))
    height = top + row * len(rows) + 50
    out = []
    for r, label in enumerate(rows):
        y = top + row * (len(rows) - 1 - r)
        out.append(text_at(left - 6, y + 17, label, "tick", "end"))
        for c in range(len(columns)):
            if not counts[r, c]:
                continue
            x, share = left + c * wide, float(values[r, c])
            out.append(
                f'<rect class="heat" x="{x + 1:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{row - 2}" '
                f'style="fill-opacity:{0.06 + 0.64 * min(1.0, math.sqrt(share)):.2f}"/>'
            )
            out.append(text_at(x + wide / 2, y + 17, f"{100 * share:.2g}", "value", "middle"))
    for c, label in enumerate(columns):
        out.append(text_at(left + (c + 0.5) * wide, top + row * len(rows) + 15, label, "tick", "middle"))
    out.append(text_at(left + (width - left) / 2, height - 8, "leverage (cells: % of paths)", "axis", "middle"))
    turned = f"translate(12 {top + row * len(rows) / 2:.0f}) rotate(-90)"
    out.append(f'<text class="axis" text-anchor="middle" transform="{turned}">notional, quote</text>')
    return Plot(Scale(0, 1, []), Scale(0, 1, []), "", "", name, width, height, shapes=out).render()
