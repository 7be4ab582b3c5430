"""A walked path as one self-contained SVG: last price, index and mark over time, and one account's thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcrisk.config.venue import Venue
from mcrisk.replay import biography as bio
from mcrisk.replay.result import ReplayResult
from mcrisk.replay.trace import Trace
from mcrisk.report.svg import Plot, linear, text_at

_STYLE = """
svg{background:#fff;font:11px system-ui,sans-serif}.l{fill:none;stroke-width:1.3}.s0{stroke:#888}.s1{stroke:#0072b2}
.s2{stroke:#d55e00}.s3{stroke:#009e73;stroke-dasharray:5 3}.s4{stroke:#cc0000;stroke-dasharray:2 2}
.g{stroke:#e4e4e4}.a{stroke:#555}.v{stroke:#777;stroke-dasharray:3 3}.tick,.axis,.note{fill:#333}.k{stroke-width:3}
"""


def draw(trace: Trace, result: ReplayResult, venue: Venue, title: str, account: int | None = None,
         account_id: str = "", market: int = 0) -> str:
    """The figure as text. Time runs in rows' own time, zoomed on the days around the main event or the account's end."""
    times = trace.columns["utc"]
    at = times[0] + float(trace.numbers["event_time"])
    lines = [("last price", "s0", trace.columns["last"]), ("index", "s1", trace.columns["index"]),
             ("mark", "s2", trace.columns["mark"])]
    if account is not None:
        life = bio.biography(trace, venue, account, market)
        end = bio.last_row(result.ledger, account_id, times)
        at = times[end]
        lines += _thresholds(trace, venue, life)
    window = (times >= at - 86400.0) & (times <= at + 86400.0)
    window = window if window.sum() > 2 else np.ones(len(times), bool)
    hours = (times[window] - at) / 3600.0
    shown = np.concatenate([trace.columns["mark"][window], trace.columns["last"][window], trace.columns["index"][window]])
    lo, hi = float(np.nanmin(shown)), float(np.nanmax(shown))
    room = 0.08 * (hi - lo or hi)
    plot = Plot(linear(float(hours[0]), float(hours[-1]), lambda v: f"{v:g}"), linear(lo - room, hi + room, lambda v: f"{v:g}"),
                "hours from " + ("the account's end" if account is not None else "the main event"), "quote per contract",
                title, width=760, height=380, top=40)
    for i, (name, style, values) in enumerate(lines):
        inside = np.where((values >= lo - room) & (values <= hi + room), values, np.nan)[window]
        plot.line(hours, inside, style)
        plot.front.append(f'<line class="k {style}" x1="{64 + 130 * i}" x2="{84 + 130 * i}" y1="26" y2="26"/>')
        plot.front.append(text_at(88 + 130 * i, 30, name, "note"))
    plot.front.append(text_at(60, 14, title, "note"))
    plot.vertical(0.0, "")
    body = str(plot.render())
    return body.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="380" ', 1).replace(
        ">", f"><style>{_STYLE}</style>", 1)


def _thresholds(trace: Trace, venue: Venue, life: bio.Biography) -> list[tuple[str, str, np.ndarray]]:
    """Liquidation and zero-equity price per row, computed where the position or its cash has changed."""
    rows = len(trace.fund)
    phase, mark, units = trace.columns["phase"], trace.columns["mark"], np.cumprod(trace.columns["rebase"])
    liquidation, zero = np.full(rows, np.nan), np.full(rows, np.nan)
    known: dict[tuple[float, ...], float] = {}
    for k in range(rows):
        if life.quantity[k] == 0.0:
            continue
        key = (life.quantity[k], life.entry[k], round(life.collateral[k], 4), float(phase[k]))
        if key not in known:
            known[key] = bio.liquidation_price(venue, int(phase[k]), life.quantity[k], life.entry[k], life.collateral[k],
                                               mark[k], units[k])
        liquidation[k] = known[key]
        zero[k] = bio.zero_equity_price(life.quantity[k], life.entry[k], life.collateral[k])
    return [("liquidation price", "s3", liquidation), ("zero equity", "s4", zero)]


def write(path: Path, text: str) -> Path:
    """Write the figure; returns its path."""
    path.write_text(text, encoding="utf-8")
    return path
