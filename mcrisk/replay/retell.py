"""A walked path as replay tables: the same market, ledger and accounts files as a replay, plus what only simulations have.

Two things differ from a replay, and the ledger shows both. Accounts settle the funding of quiet rows when they are next
looked at, so one `funding` entry may cover several payments (market.csv has each). Traders come and go: `restrike` is
the book drawn anew in units of the mark, `deposit` money brought in at a margin call, `elsewhere` what the venue's other
markets did to an account's collateral; cash is what collateral changed by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mcrisk.config.venue import Venue
from mcrisk.replay.drive import INFO_NAMES, Recording
from mcrisk.replay.ledger import Bookkeeper, build_accounts, build_ledger, build_market
from mcrisk.replay.result import LEDGER_COLUMNS, ReplayResult
from mcrisk.replay.trace import Step, Trace
from mcrisk.rules.types import POST, SETTLED

_ROUNDING = 1e-9  # of the collateral in play: below it a difference of two passes is rounding, not money


def retell(trace: Trace, venue: Venue, ids: tuple[str, ...], market: int = 0) -> ReplayResult:
    """The four tables of a walked path for one of its markets; `ids` name the accounts in book order."""
    columns, rows = trace.columns, len(trace.fund)
    vault = venue.backstop.enabled
    shown = {
        "phase": _phases(trace, market), "fund": np.zeros(rows) if vault else trace.fund,
        "cumulative_funding": trace.cumulative_funding,
        **{name: columns[name] for name in (
            "index", "mark", "lower_limit", "upper_limit", "premium", "funding_rate", "own_funding", "unwound",
            "unwound_price", "unwound_fund")},
    }  # fmt: skip
    recording = Recording(trace=shown, carry=trace.end[0], accounts=_settled_end(trace, market))
    bases = tuple(getattr(phase.funding, "basis", "mark") == "oracle" for phase in (venue.pre, venue.post))
    keeper = Bookkeeper(len(ids), columns["rebase"], vault, np.where(columns["phase"] == POST, bases[1], bases[0]))
    for row, info, before, entry in _merged([_event(step, market) for step in trace.steps]
                                            + _last_funding(trace, market)):
        keeper.take(row, info, before, entry, {name: float(column[row]) for name, column in shown.items()})
    ledger = build_ledger(recording, keeper, ids, columns["utc"])
    ledger = _with_deposits(ledger, trace, ids, columns["utc"], market)
    summary = {name: _plain(value) for name, value in trace.numbers.items()} | {"rows": rows, "accounts": len(ids)}
    return ReplayResult(build_market(recording, columns["utc"]), ledger, build_accounts(recording, keeper, ids, ledger),
                        summary)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _phases(trace: Trace, market: int) -> np.ndarray:
    phase = trace.columns["phase"].copy()
    if int(trace.end[0].market.phase[market]) == SETTLED:
        phase[-1] = SETTLED
    return phase


def _event(step: Step, market: int) -> tuple[int, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What the ledger builder wants of a row: stage arrays [A], positions and entries before it."""
    info = {name: np.array(values[market]) for name, values in step.info.items()}
    quantity = step.before.quantity * step.ratio[:, None]
    info["funding_cash"] = step.info["funding_cash"][0] - np.sum(quantity * step.owed[:, None], axis=0)
    return step.row, info, step.before.quantity[market], step.before.entry[market]


def _end_owed(trace: Trace) -> np.ndarray:
    """[A] funding that accounts still owe when the path ends."""
    carry, accounts = trace.end
    owed = np.asarray(carry.market.funding_total) - np.asarray(carry.guard.funding)
    return np.sum(accounts.quantity * owed[:, None], axis=0)


def _last_funding(trace: Trace, market: int) -> list[tuple[int, dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    owed, accounts = _end_owed(trace), trace.end[1]
    if not np.any(owed):
        return []
    info = {name: np.zeros(owed.shape) for name in INFO_NAMES} | {"funding_cash": -owed}
    return [(len(trace.fund) - 1, info, accounts.quantity[market], accounts.entry[market])]


def _merged(events: list[Any]) -> list[Any]:
    """The last row may have been a busy one, too: one event per row."""
    if len(events) > 1 and events[-1][0] == events[-2][0]:
        row, info, before, entry = events[-2]
        total = {name: info[name] + events[-1][1][name] for name in info}
        return events[:-2] + [(row, total, before, entry)]
    return events


def _settled_end(trace: Trace, market: int) -> Any:
    """The accounts at the end, their funding settled, positions of the one market."""
    accounts = trace.end[1]
    return accounts._replace(quantity=accounts.quantity[market : market + 1], entry=accounts.entry[market : market + 1],
                             collateral=accounts.collateral - _end_owed(trace))


def _with_deposits(ledger: pd.DataFrame, trace: Trace, ids: tuple[str, ...], times: np.ndarray, market: int
                   ) -> pd.DataFrame:
    """Entries for what is in the difference of states and in no rule: re-strikes and margin calls."""
    place = {name: i for i, name in enumerate(ids)}
    who = ledger["account_id"].map(place)
    known = ledger[who.notna()].assign(who=who[who.notna()].astype(int))
    by_time = {time: part for time, part in known.groupby("time")}
    extra = []
    for step in trace.steps:
        time = times[step.row]
        cash, quantity = _booked(by_time.get(time), len(ids))
        cash = step.after.collateral - step.before.collateral - cash
        ratio = trace.columns["rebase"][step.row]
        quantity = step.after.quantity[market] - step.before.quantity[market] - quantity
        scale = np.abs(step.before.collateral) + np.abs(step.after.collateral) + np.abs(
            step.before.quantity * step.before.entry).sum(axis=0)
        moved = np.abs(quantity) > _ROUNDING * (np.abs(step.before.quantity[market]) * ratio + 1e-12)
        shown = np.flatnonzero((np.abs(cash) > _ROUNDING * scale) | (moved & bool(trace.columns["struck"][step.row])))
        if len(shown):
            called = np.abs(step.after.deposits - step.before.deposits)[shown] > 0.0
            events = np.where(called, "deposit", "elsewhere").astype(object)
            if trace.columns["struck"][step.row]:
                events[:] = "restrike"
            extra.append(_entries(events, time, np.asarray(ids, object)[shown], np.where(moved, quantity, 0.0)[shown],
                                  trace.columns["mark"][step.row], cash[shown]))
    if not extra:
        return ledger
    whole = pd.concat([ledger, *extra], ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
    whole["seq"] = np.arange(len(whole))
    return whole[list(LEDGER_COLUMNS)]


def _booked(part: pd.DataFrame | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cash and quantity the row's entries account for, [A] each."""
    if part is None:
        return np.zeros(count), np.zeros(count)
    where = part["who"].to_numpy()
    return (np.bincount(where, part["cash"].to_numpy(float), count),
            np.bincount(where, part["quantity"].to_numpy(float), count))


def _entries(event: np.ndarray, time: float, names: np.ndarray, quantity: np.ndarray, price: float, cash: np.ndarray
             ) -> pd.DataFrame:
    return pd.DataFrame({"seq": 0, "time": time, "account_id": names, "event": event, "quantity": quantity,
                         "price": price, "cash": cash, "fee": 0.0, "fund": 0.0})
