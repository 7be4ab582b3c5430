"""Replay inputs: price rows, events and accounts of one market, checked and laid out for the step of the engine.

What a missing column or an empty cell means is decided here and nowhere else (design contract 4.5). The result
holds one entry per row for every field of `rules.types.Row`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcrisk.config.venue import Venue
from mcrisk.errors import InputError
from mcrisk.replay import events as life
from mcrisk.replay import tables
from mcrisk.replay.accounts import Accounts, read_accounts
from mcrisk.rules.types import EXPIRED, POST, PRE, TRANSITION, BookSide, Row

_REQUIRED = ("time", "last")
_WIDE = 20.0  # times the usual distance of rows: a gap
_OPTIONAL = ("bid", "ask", "impact_bid", "impact_ask", "external", "depth", "trades")


@dataclass(frozen=True)
class ReplayInput:
    """Everything a replay needs besides the venue. Arrays in `row` have one entry per price row."""

    row: Row  # numpy arrays [T]; bid and ask are BookSides of arrays
    phase: np.ndarray  # PRE / TRANSITION / POST as the events of the rows make it, int32
    initial_price: float
    accounts: Accounts
    settle_row: int | None  # the replay ends with this row
    dates: bool  # were times written as dates? then they are written back as dates
    events: tuple[tuple[int, life.Event], ...]
    remarks: tuple[str, ...]  # what was odd but not wrong

    @property
    def rows(self) -> int:
        """Rows that count: up to and with the settlement."""
        return len(self.row.time) if self.settle_row is None else self.settle_row + 1


@dataclass(frozen=True)
class _Quotes:
    """Optional price columns, resolved: value (finite everywhere) and whether it stands for a real quote."""

    value: np.ndarray
    present: np.ndarray


def read_replay(
    venue: Venue,
    prices: tables.Source,
    accounts: tables.Source,
    events: life.EventSource = None,
    *,
    market: str | None = None,
    initial_price: float | None = None,
) -> ReplayInput:
    """Read and check the three inputs of a replay.

    `initial_price` None means the first `last`. Raises InputError naming file and row for anything that is wrong.
    """
    table = tables.read_table(prices, "prices")
    remarks = tables.require_columns(table, _REQUIRED, _OPTIONAL)
    utc, dates = tables.times(table)
    _check_increasing(table, utc)
    last = tables.numbers(table, "last", required=True, positive=True)
    book, book_remarks = read_accounts(accounts, market)
    happened, event_remarks = life.read_events(events)
    happened, expiry_remarks = _scheduled_expiry(venue, happened, utc)
    way_remarks = _check_given_price(venue, happened)
    laid = life.lay_out(happened, utc)
    early = [event for event in happened if event.time < utc[0]]
    event_remarks += [f"'{event.kind}' of {event.where} lies before the first row: it acts in that row" for event in early]
    phase = np.where(np.cumsum(laid.converted) > 0, POST, np.where(np.cumsum(laid.listed) > 0, TRANSITION, PRE)).astype(
        np.int32
    )
    external = _external(table, venue, laid, phase, last)
    row, odd = _rows(table, venue, utc, last, external, laid)
    return ReplayInput(
        row=row,
        phase=phase,
        initial_price=float(last[0]) if initial_price is None else float(initial_price),
        accounts=book,
        settle_row=laid.settle_row,
        dates=dates,
        events=laid.applied,
        remarks=tuple(remarks + book_remarks + event_remarks + expiry_remarks + way_remarks + odd),
    )


def _check_increasing(table: tables.Table, utc: np.ndarray) -> None:
    falls = np.flatnonzero(np.diff(utc) <= 0)
    if len(falls):
        i = int(falls[0]) + 1
        kind = "repeats" if utc[i] == utc[i - 1] else "goes back"
        raise InputError(
            f"time {kind}",
            table.at(i, "time"),
            "times must increase strictly from row to row",
            "sort the rows, drop doubles",
        )


def most_probable(venue: Venue) -> float:
    """The draw (0 to 1) that stands for the profile's most probable way to settle a cancelled contract, the first of equals."""
    ways = [outcome.probability for outcome in venue.settlement.cancellation]
    k = ways.index(max(ways))
    return sum(ways[:k]) + 0.5 * ways[k]


def _check_given_price(venue: Venue, happened: list[life.Event]) -> list[str]:
    """Some venues settle a cancelled contract at a price they announce: a replay cannot make it up."""
    ways = venue.settlement.cancellation
    way = max(ways, key=lambda outcome: outcome.probability)
    unpriced = [event for event in happened if event.kind == "cancelled" and event.price is None]
    for event in unpriced:
        if way.price == "given":
            raise InputError(
                "'cancelled' without a price",
                event.where,
                f"'{venue.name}' settles at the price it announces with the cancellation",
                "add 'price'",
            )
    if not unpriced or len(ways) == 1:
        return []
    return [f"'cancelled' without a price: settled by '{way.price}', the most probable of {len(ways)} ways the profile knows"]


def _scheduled_expiry(venue: Venue, happened: list[life.Event], utc: np.ndarray) -> tuple[list[life.Event], list[str]]:
    """A future expires its own time after listing, unless the events say themselves how the market ends."""
    after = venue.settlement.expires_after_listing
    listed = next((event for event in happened if event.kind == "listed"), None)
    if after is None or listed is None or any(event.kind in ("cancelled", "expired") for event in happened):
        return happened, []
    due = listed.time + after
    if due > utc[-1]:
        return happened, [f"the contract expires {after:g} s after listing, after the last price row: it stays open"]
    late = next((event for event in happened if event.time > due), None)
    if late is not None:
        raise InputError(
            f"'{late.kind}' after settlement",
            late.where,
            f"the contract expires {after:g} s after its listing",
            "remove it, or give 'expired' its own time",
        )
    expiry = life.Event(due, "expired", None, None, f"expiry {after:g} s after {listed.where}")
    return happened + [expiry], [f"the contract expires {after:g} s after listing, as its profile says"]


def _rows(
    table: tables.Table, venue: Venue, utc: np.ndarray, last: np.ndarray, external: _Quotes, laid: life.EventRows
) -> tuple[Row, list[str]]:
    count = len(utc)
    bid, ask = _quotes(table, "bid", _all(last)), _quotes(table, "ask", _all(last))
    impact_bid, impact_ask = _quotes(table, "impact_bid", bid), _quotes(table, "impact_ask", ask)
    depth = _filled(
        tables.numbers(table, "depth", minimum=0.0, infinite=True) if table.has("depth") else np.full(count, np.nan),
        np.inf,
    )
    row = Row(
        time=utc - utc[0],
        utc=utc,
        dt=np.diff(utc, prepend=utc[0]),
        last=last,
        bid=_side(bid, depth),
        ask=_side(ask, depth),
        impact_bid=impact_bid.value,
        impact_ask=impact_ask.value,
        has_impact_bid=impact_bid.present,
        has_impact_ask=impact_ask.present,
        external=external.value,
        has_external=external.present,
        trades=_trades(table, count),
        index_factor=np.ones(count),
        listed=laid.listed,
        converted=laid.converted,
        settle=laid.settle,
        settle_price=laid.settle_price,
        has_settle_price=laid.has_settle_price,
        settle_draw=np.full(count, most_probable(venue)),
        final_hour=_final_hour(venue, utc, laid),
        rebase=laid.rebase,
        halted=laid.halted,
        restrike=np.zeros(count, bool),
        averaging=_averaging(utc, laid),
    )
    return row, _crossed(table, bid, ask) + _gaps(table, utc)


def _all(values: np.ndarray) -> _Quotes:
    return _Quotes(values, np.ones(len(values), bool))


def _filled(values: np.ndarray, instead: float | np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), instead, values)


def _quotes(table: tables.Table, column: str, default: _Quotes) -> _Quotes:
    """Column missing: the default throughout. Empty cell: no quote on that side (the value then is only a filler)."""
    if not table.has(column):
        return default
    values = tables.numbers(table, column, positive=True)
    return _Quotes(_filled(values, default.value), ~np.isnan(values))


def _side(quote: _Quotes, depth: np.ndarray) -> BookSide:
    """A given book is never moved by fills: flat price up to what the row's depth buys, renewed with every row."""
    count = len(quote.value)
    return BookSide(
        top=quote.value,
        consumed=np.zeros(count),
        depth=np.full(count, np.inf),
        power=np.ones(count),
        total=depth / quote.value,
        refill=np.full(count, np.inf),
        turns=np.ones(count),
        present=quote.present,
    )


def _trades(table: tables.Table, count: int) -> np.ndarray:
    if not table.has("trades"):
        return np.ones(count)
    trades = tables.numbers(table, "trades", minimum=0.0)
    broken = np.flatnonzero(~np.isnan(trades) & (trades != np.floor(trades)))
    if len(broken):
        raise InputError(
            "'trades' is not a whole number", table.at(int(broken[0]), "trades"), "it counts trades", "write an integer"
        )
    return _filled(trades, 1.0)


def _crossed(table: tables.Table, bid: _Quotes, ask: _Quotes) -> list[str]:
    over = np.flatnonzero(bid.present & ask.present & (bid.value > ask.value))
    return [f"{table.at(int(over[0]))}: bid above ask ({len(over)} such rows)"] if len(over) else []


def _gaps(table: tables.Table, utc: np.ndarray) -> list[str]:
    """Rows much further from the one before than rows usually are: allowed, and said."""
    steps = np.diff(utc)
    wide = np.flatnonzero(steps > _WIDE * np.median(steps)) + 1 if len(steps) > 2 else np.array([], int)
    if not len(wide):
        return []
    i = int(wide[0])
    return [f"{table.at(i, 'time')}: {steps[i - 1]:g} s after the row before ({len(wide)} such gaps; rows are usually "
            f"{np.median(steps):g} s apart); the whole gap counts as one step at this row's prices"]


def _external(table: tables.Table, venue: Venue, laid: life.EventRows, phase: np.ndarray, last: np.ndarray) -> _Quotes:
    """The external price: empty holds the last one; an error where the venue's index needs one and never had one."""
    count = len(last)
    fresh = tables.numbers(table, "external", positive=True) if table.has("external") else np.full(count, np.nan)
    present = ~np.isnan(fresh)
    held = np.maximum.accumulate(np.where(present, np.arange(count), -1))
    end = count if laid.settle_row is None else laid.settle_row + 1
    lacking = np.flatnonzero((held < 0) & _needs_external(venue, phase) & (np.arange(count) < end))
    if len(lacking):
        i = int(lacking[0])
        rule = (venue.post if phase[i] == POST else venue.pre).index.kind
        raise InputError(
            "no external index",
            table.at(i, "external"),
            f"the index of '{venue.name}' ({rule}) needs one from here on and none came before",
            "fill column 'external' in this row or an earlier one",
        )
    scale = np.cumprod(laid.rebase)  # a held price is in the units of its own row
    value = np.where(held < 0, 0.0, fresh[held] * scale[held] / scale)   # 0: there never was one
    return _Quotes(value, present)


def _needs_external(venue: Venue, phase: np.ndarray) -> np.ndarray:
    """Rows in which the venue's index cannot do without an external price."""
    before, after = venue.pre.index, venue.post.index
    rows = np.zeros(len(phase), bool)
    for code in (PRE, TRANSITION, POST):
        index = after if code == POST else before
        if index.kind in ("smoothed_feed", "blend") or (index.kind == "external" and index.fallback == "hold"):
            rows |= phase == code
        elif index.kind == "last_trade" and (code == POST or (code == TRANSITION and index.spot_from == "listed")):
            rows |= phase == code
    return rows


def _final_hour(venue: Venue, utc: np.ndarray, laid: life.EventRows) -> np.ndarray:
    """Rows inside the averaging window before an expiry; a cancellation is not known beforehand."""
    if laid.settle_row is None or laid.settle[laid.settle_row] != EXPIRED:
        return np.zeros(len(utc), bool)
    windows = [phase.limits.final_window for phase in (venue.pre, venue.post) if phase.limits.kind == "mid_band"]
    end = utc[laid.settle_row]
    return (utc > end - (windows[0] if windows else 3600.0)) & (utc <= end)


def _averaging(utc: np.ndarray, laid: life.EventRows) -> np.ndarray:
    """Seconds [T] of each row that a settlement price averages: those within the hour that ends with the settlement row."""
    if laid.settle_row is None:
        return np.zeros(len(utc))
    end = utc[laid.settle_row]
    return np.where(utc <= end, np.clip(utc - (end - 3600.0), 0.0, np.diff(utc, prepend=utc[0])), 0.0)
