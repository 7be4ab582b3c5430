"""One account along a walked path: position, equity, margin and the price at which it would be liquidated, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mcrisk.config.venue import Venue
from mcrisk.replay.trace import Trace
from mcrisk.rules import position
from mcrisk.rules.position import maintenance_margin
from mcrisk.rules.types import POST

_NO_END = ("funding", "rebase", "deposit", "restrike", "elsewhere")  # events that end no position


@dataclass(frozen=True)
class Biography:
    """[T] each, after the row; money in quote. Margins are those of the one market told here."""

    quantity: np.ndarray
    entry: np.ndarray
    collateral: np.ndarray
    equity: np.ndarray
    maintenance: np.ndarray


def biography(trace: Trace, venue: Venue, account: int, market: int = 0) -> Biography:
    """Columns of an account; funding is counted when it is due, whenever the engine settles it."""
    c, rows = trace.columns, len(trace.fund)
    quantity, entry, collateral, paid_to = (np.zeros(rows) for _ in range(4))
    accounts = trace.start[1]
    q, e, cash, settled = (float(accounts.quantity[market, account]), float(accounts.entry[market, account]),
                           float(accounts.collateral[account]), 0.0)  # fmt: skip
    changed = {step.row: step.after for step in trace.steps}
    for k in range(rows):
        after = changed.get(k)
        if after is not None:
            q, e = float(after.quantity[market, account]), float(after.entry[market, account])
            cash, settled = float(after.collateral[account]), float(trace.cumulative_funding[k])
        quantity[k], entry[k], collateral[k], paid_to[k] = q, e, cash, settled
    collateral = collateral - quantity * (trace.cumulative_funding - paid_to)
    equity = collateral + quantity * (c["mark"] - entry)
    units = np.cumprod(c["rebase"])
    margins = [margin_of(venue, int(c["phase"][k]), quantity[k], c["mark"][k], units[k]) for k in range(rows)]
    return Biography(quantity, entry, collateral, equity, np.array(margins))


def margin_of(venue: Venue, phase: int, quantity: float, price: float, units: float = 1.0) -> float:
    """Maintenance margin in quote at a price, the closing fee counted where the venue counts it."""
    return maintenance_margin(venue, quantity, price, _name(phase), units)


def liquidation_price(venue: Venue, phase: int, quantity: float, entry: float, collateral: float, mark: float,
                      units: float = 1.0) -> float:
    """First mark on the losing side beyond which equity is below maintenance; the mark itself if it is so already; NaN: none."""
    return position.liquidation_price(venue, quantity, entry, collateral, mark, _name(phase), units)


def _name(phase: int) -> str:
    return "post" if phase == POST else "pre"


def zero_equity_price(quantity: float, entry: float, collateral: float) -> float:
    """Price at which the account is worth nothing, quote; NaN without a position."""
    return position.bankruptcy_price(quantity, entry, collateral)


def last_row(ledger: pd.DataFrame, account_id: str, times: np.ndarray) -> int:
    """The row that ended the account's position, or its last own event; the last row where nothing happened to it."""
    mine = ledger[(ledger["account_id"] == account_id) & ~ledger["event"].isin(_NO_END)]
    if not len(mine):
        return len(times) - 1
    return int(np.searchsorted(times, mine["time"].iloc[-1]))
