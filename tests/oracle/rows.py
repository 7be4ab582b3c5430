"""Price rows and life-cycle events as the oracle sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mcrisk.config.venue import Venue


@dataclass
class Row:
    """One row: None means no quote on that side, no fresh external value, no settlement."""

    k: int
    time: float  # since row 0
    utc: float
    dt: float
    last: float
    bid: float | None
    ask: float | None
    impact_bid: float | None
    impact_ask: float | None
    external: float | None
    depth: float
    trades: int
    listed: bool = False
    converted: bool = False
    settle: str | None = None  # 'cancelled' or 'expired'
    settle_price: float | None = None
    rebase: float = 1.0
    halted: bool = False
    final_hour: bool = False

    @property
    def mid(self) -> float:
        return self.last if self.bid is None or self.ask is None else (self.bid + self.ask) / 2.0

    @property
    def impact_mid(self) -> float:
        return (
            self.mid
            if self.impact_bid is None or self.impact_ask is None
            else (self.impact_bid + self.impact_ask) / 2.0
        )


def rows_of(venue: Venue, prices: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[Row]:
    """A key that is absent is a missing column (bid = ask = last); a key that is None is an empty cell."""
    rows: list[Row] = []
    for k, cells in enumerate(prices):
        last, utc = float(cells["last"]), float(cells["time"])
        bid, ask = cells.get("bid", last), cells.get("ask", last)
        depth, trades = cells.get("depth"), cells.get("trades")
        rows.append(
            Row(
                k=k,
                time=utc - float(prices[0]["time"]),
                utc=utc,
                dt=utc - rows[-1].utc if rows else 0.0,
                last=last,
                bid=bid,
                ask=ask,
                impact_bid=cells.get("impact_bid", bid),
                impact_ask=cells.get("impact_ask", ask),
                external=cells.get("external"),
                depth=math.inf if depth is None else depth,
                trades=1 if trades is None else int(trades),
            )
        )
    for event in _with_expiry(venue, events, rows[-1].utc):
        _place(rows, event)
    _mark_final_hour(venue, rows)
    return rows


def _with_expiry(venue: Venue, events: list[dict[str, Any]], end: float) -> list[dict[str, Any]]:
    """A future that was listed expires by its own rule unless the events say how the market ends."""
    after = venue.settlement.expires_after_listing
    listed = [event["time"] for event in events if event["event"] == "listed"]
    ended = any(event["event"] in ("cancelled", "expired") for event in events)
    if after is None or not listed or ended or listed[0] + after > end:
        return events
    return [*events, {"time": listed[0] + after, "event": "expired"}]


def _place(rows: list[Row], event: dict[str, Any]) -> None:
    row = next(row for row in rows if row.utc >= event["time"])  # StopIteration: the event lies after the end
    kind = event["event"]
    if kind in ("listed", "converted"):
        setattr(row, kind, True)
    elif kind == "rebase":
        row.rebase *= event["ratio"]
    elif kind in ("cancelled", "expired"):
        row.settle, row.settle_price = kind, event.get("price")
    else:
        for later in rows[row.k :]:
            later.halted = kind == "halted"


def _mark_final_hour(venue: Venue, rows: list[Row]) -> None:
    end = next((row.utc for row in rows if row.settle == "expired"), None)
    if end is None:
        return
    windows = [rules.limits.final_window for rules in (venue.pre, venue.post) if rules.limits.kind == "mid_band"]
    for row in rows:
        row.final_hour = end - (windows[0] if windows else 3600.0) < row.utc <= end
