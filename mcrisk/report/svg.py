"""Small charts as plain SVG text: styled by the page's CSS variables, readable without scripts.

A `Plot` knows two scales and collects shapes; `Plot.render` returns the element. Colours are classes
(`s0` … `s7` for series, `q` for muted ink), so light, dark and print need no second drawing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from mcrisk.report.format import clean, unbroken

Ticks = list[tuple[float, str]]
CHARACTER = 6.2  # width of a character of a tick label, generously


@dataclass(frozen=True)
class Scale:
    """Maps data to [0, 1]; `ticks` are (value, label)."""

    lo: float
    hi: float
    ticks: Ticks
    forward: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        a, b = self.forward(self.lo), self.forward(self.hi)
        return (self.forward(min(max(value, self.lo), self.hi)) - a) / ((b - a) or 1.0)


def linear(lo: float, hi: float, label: Callable[[float], str], about: int = 4) -> Scale:
    """A linear scale with round ticks."""
    if not hi > lo:
        hi = lo + (abs(lo) or 1.0)
    raw = (hi - lo) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(lo / step - 1e-9)
    ticks = [(k * step, label(k * step)) for k in range(first, math.floor(hi / step + 1e-9) + 1)]
    return Scale(lo, hi, ticks)


def logarithmic(lo: float, hi: float, label: Callable[[float], str]) -> Scale:
    """A log scale with a tick per decade (every second one when there are more than six)."""
    low, high = math.ceil(math.log10(lo) - 1e-9), math.floor(math.log10(hi) + 1e-9)
    stride = 1 if high - low < 6 else 2
    ticks = [(10.0**k, label(10.0**k)) for k in range(low, high + 1, stride)]
    return Scale(lo, hi, ticks, lambda v: math.log10(max(v, 1e-300)))


def around_event(lo: float, hi: float) -> Scale:
    """Time from an event in seconds: linear within a minute of it, logarithmic beyond."""
    marks = [
        (-86400, "−1 d"),
        (-3600, "−1 h"),
        (0, "0"),
        (60, "1 min"),
        (600, "10 min"),
        (3600, "1 h"),
        (6 * 3600, "6 h"),
        (86400, "1 d"),
        (7 * 86400, "7 d"),
    ]
    ticks = [(float(t), text) for t, text in marks if lo <= t <= hi]
    return Scale(lo, hi, ticks, _zoomed)


def _zoomed(t: float) -> float:
    """Minutes on a log scale that is linear near zero; the time before the event takes less room."""
    return math.copysign(math.log1p(abs(t) / 60.0), t) * (0.45 if t < 0 else 1.0)


@dataclass
class Plot:
    """A chart with axes, 380 units wide unless told otherwise (about the width of a phone)."""

    x: Scale
    y: Scale
    x_title: str
    y_title: str
    name: str
    width: int = 380
    height: int = 250
    left: int = 60
    right: int = 12
    top: int = 26
    bottom: int = 44
    shapes: list[str] = field(default_factory=list)
    front: list[str] = field(default_factory=list)

    def px(self, value: float) -> float:
        return round(self.left + self.x(value) * (self.width - self.left - self.right), 1)

    def py(self, value: float) -> float:
        return round(self.height - self.bottom - self.y(value) * (self.height - self.top - self.bottom), 1)

    def _runs(self, *series: Sequence[float]) -> list[list[int]]:
        """Index runs where every series is finite."""
        runs: list[list[int]] = [[]]
        for i in range(len(series[0])):
            if all(math.isfinite(s[i]) for s in series):
                runs[-1].append(i)
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if run]

    def line(self, xs: Sequence[float], ys: Sequence[float], style: str) -> None:
        """A polyline; a gap where a value is missing."""
        for run in self._runs(xs, ys):
            points = " ".join(f"{self.px(xs[i])},{self.py(ys[i])}" for i in run)
            self.shapes.append(f'<polyline class="l {style}" points="{points}"/>')

    def band(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], style: str) -> None:
        """The area between two series."""
        for run in self._runs(xs, lows, highs):
            there = [f"{self.px(xs[i])},{self.py(highs[i])}" for i in run]
            back = [f"{self.px(xs[i])},{self.py(lows[i])}" for i in reversed(run)]
            self.shapes.insert(0, f'<polygon class="b {style}" points="{" ".join(there + back)}"/>')

    def vertical(self, value: float, text: str, style: str = "q", anchor: str = "start", row: int = 0) -> None:
        """A labelled line across the plot; `row` keeps labels apart."""
        x = self.px(value)
        shift = {"start": 3, "end": -3, "middle": 0}[anchor]
        y = self.top - 5 + 11 * row
        self.front.append(
            f'<line class="v {style}" x1="{x}" x2="{x}" y1="{self.top - 2}" y2="{self.height - self.bottom}"/>'
        )
        self.front.append(text_at(x + shift, y, text, "note", anchor))

    def bar(self, x0: float, x1: float, y0: float, y1: float, style: str) -> None:
        """A rectangle between data coordinates."""
        a, b, c, d = self.px(x0), self.px(x1), self.py(y0), self.py(y1)
        self.shapes.append(
            f'<rect class="r {style}" x="{min(a, b):.1f}" y="{min(c, d):.1f}" '
            f'width="{abs(b - a):.1f}" height="{abs(d - c):.1f}"/>'
        )

    def text(
        self, x: float, y: float, text: str, style: str = "note", anchor: str = "start", dx: float = 0, dy: float = 0
    ) -> None:
        """Text at data coordinates, shifted by pixels."""
        self.front.append(text_at(self.px(x) + dx, self.py(y) + dy, text, style, anchor))

    def _axes(self) -> str:
        right, floor = self.width - self.right, self.height - self.bottom
        out = []
        for value, label in self.y.ticks:
            y = self.py(value)
            out.append(f'<line class="g" x1="{self.left}" x2="{right}" y1="{y}" y2="{y}"/>')
            out.append(text_at(self.left - 6, y + 4, label, "tick", "end"))
        taken = -math.inf
        for value, label in self.x.ticks:
            x = self.px(value)
            out.append(f'<line class="a" x1="{x}" x2="{x}" y1="{floor}" y2="{floor + 4}"/>')
            anchor = "end" if x > right - 8 else "middle"
            wide = CHARACTER * len(label) * (1.0 if anchor == "end" else 0.5)
            if x - wide < taken:  # it would touch its neighbour; the tick itself stays
                continue
            taken = x + (0.0 if anchor == "end" else wide) + CHARACTER
            out.append(text_at(min(x, right), floor + 16, label, "tick", anchor))
        out.append(f'<line class="a" x1="{self.left}" x2="{right}" y1="{floor}" y2="{floor}"/>')
        out.append(text_at((self.left + right) / 2, self.height - 8, self.x_title, "axis", "middle"))
        title, room = clean(self.y_title), max(8, int((self.height - 8) / (1.1 * CHARACTER)))
        half = 0.55 * CHARACTER * min(len(title), room)  # a long title moves down a little rather than out of the picture
        middle = min(max((self.top + floor) / 2, half + 4), self.height - half - 4) if half * 2 < self.height else self.height / 2
        out.append(
            f'<text class="axis" text-anchor="middle" transform="translate(12 {middle:.0f}) rotate(-90)">'
            f"{escape(title if len(title) <= room else title[: room - 1] + '…')}</text>"
        )
        return "".join(out)

    def render(self) -> Markup:
        """The finished element with its accessible name."""
        axes = self._axes() if self.x_title else ""
        return Markup(
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(clean(self.name))}">'
            f"{axes}{''.join(self.shapes)}{''.join(self.front)}</svg>"
        )


def text_at(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    """One escaped text element at pixel coordinates."""
    shown = escape(unbroken(clean(text)))
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'
