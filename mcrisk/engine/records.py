"""What a path leaves behind: names, types, units. The order here is the order in the store."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Field(NamedTuple):
    """One per-path number. `dtype` as numpy writes it; `unit` 'quote' is money; times are seconds from the start, NaN = never."""

    name: str
    dtype: str
    unit: str
    text: str


def _money(name: str, text: str) -> Field:
    return Field(name, "float64", "quote", text)


PATH_FIELDS: tuple[Field, ...] = (
    _money("fund_initial", "usable insurance fund at the start"),
    _money("fund_min", "lowest value of fund (or vault) with its inventory at the mark"),
    _money("fund_end", "value of fund (or vault) at the end"),
    _money("fund_loss", "what fund or vault lost from its start to its lowest value"),
    _money("fund_need", "fund that would have spared ADL, profit cuts and unpaid losses: fund_loss + the three"),
    _money("bad_debt", "losses beyond collateral that somebody else had to bear"),
    _money("deficit_48h", "the part of bad_debt within 48 h after the path's event"),
    _money("unpaid", "losses nobody paid"),
    _money("backstop_loss", "loss of the backstop vault"),
    _money("traders_loss", "collateral that liquidated accounts lost"),
    _money("liquidated_notional", "notional closed by liquidation"),
    _money("liquidated_48h", "the part of liquidated_notional within 48 h after the path's event"),
    Field("liquidated_accounts", "int32", "accounts", "accounts liquidated at least once"),
    _money("adl_notional", "notional of counterparties closed by auto-deleveraging"),
    _money("adl_wealth", "wealth ADL took from counterparties, against the mark"),
    Field("adl_accounts", "int32", "accounts", "accounts auto-deleveraged at least once"),
    _money("settlement_cut", "profit cut at settlement"),
    _money("winners_profit", "sum of positive account results before ADL and profit cuts"),
    _money("latent_deficit", "largest sum of negative equities at the executable price among accounts not yet liquidated"),
    _money("open_deficit", "negative equity of positions still open at the end"),
    Field("mark_index_gap", "float64", "1", "largest |mark/index − 1|"),
    Field("first_liquidation_time", "float64", "s", "time of the first liquidation"),
    Field("first_adl_time", "float64", "s", "time of the first ADL or profit cut"),
    Field("depletion_time", "float64", "s", "fund or vault exhausted at (no fund: the first loss it would have met)"),
    Field("event_time", "float64", "s", "time of the path's main event"),
    Field("event_label", "int32", "code", "company branch of the path, see event_labels"),
    Field("event_jump", "float64", "log", "jump in log value at the main event"),
    Field("terminal_mark", "float64", "quote", "mark at the end (settlement price where settled)"),
    Field("terminal_phase", "int32", "code", "0 pre, 1 transition, 2 post, 3 settled"),
    _money("fees", "liquidation and settlement fees"),
    Field("account_stages", "int32", "rows", "rows in which accounts had to be looked at"),
    Field("conservation_residual", "float64", "1", "|change of all cash| over Σ|initial collateral| + fund"),
    Field("weight", "float64", "1", "probability of the path under the model over that of drawing it; 1 in a plain run"),
)

EVENT_LABELS = ("orderly", "delayed", "reset_down", "reset_up", "cancelled")
BAND_NAMES = ("last", "index", "mark", "funding", "fund", "liquidated", "adl")
BAND_UNITS = dict.fromkeys(BAND_NAMES, "1")
BAND_TEXTS = {
    "last": "last trade over the mark in the row before the event",
    "index": "index over the mark in the row before the event",
    "mark": "mark over itself in the row before the event",
    "funding": "sum of the funding rates paid since the start of this clock (positive: longs pay)",
    "fund": "value of fund or vault over the fund at the start (no fund: over one-sided open interest)",
    "liquidated": "notional closed by liquidation since the start of this clock, over one-sided open interest at the start",
    "adl": "notional of counterparties closed by ADL since the start of this clock, over one-sided open interest at the start",
}
MAX_BAND_TIMES = 128


def pnl_edges() -> np.ndarray:
    """[65] edges of the accounts' P&L histogram, in multiples of initial collateral; fine around ±1, open at the ends."""
    inner = np.concatenate([-np.geomspace(30.0, 1.25, 8), np.linspace(-1.1, 1.1, 45), np.geomspace(1.25, 30.0, 10)])
    return np.concatenate([[-1e6], inner, [1e6]])


def band_edges(name: str) -> np.ndarray:
    """Edges of a band's histogram; what is counted stands in BAND_TEXTS. A notional of zero has a bin of its own."""
    if name in ("last", "index", "mark"):
        return np.exp(np.linspace(np.log(0.02), np.log(8.0), 401))
    if name == "funding":
        inner = np.geomspace(1e-6, 1.0, 241)
        return np.concatenate([-inner[::-1], inner])
    if name == "fund":
        near = np.geomspace(1e-4, 2.0, 87)  # a vault starts at 0 and a fund at 1: both have a narrow bin of their own
        inner = np.union1d(np.linspace(-2.0, 3.0, 201), np.concatenate([-near, near, [1.0001]]))
        return np.concatenate([[-1e6], inner, np.geomspace(3.0, 300.0, 101)[1:], [1e6]])
    return np.concatenate([[0.0], np.geomspace(1e-6, 20.0, 361), [1e6]])


UNIT = 2.0**28  # a path of weight 1 counts this much in the sums of a weighted run: integers merge exactly in any order


def in_units(weight: np.ndarray) -> np.ndarray:
    """[P] weights as whole numbers (int64) of units."""
    return np.rint(weight * UNIT).astype(np.int64)


def histogram(values: np.ndarray, edges: np.ndarray, units: np.ndarray | None = None) -> np.ndarray:
    """Counts [T, bins] int32 of `values` [T, P]; what lies outside falls into the end bins. With `units` [P]: int64 sums."""
    bins = len(edges) - 1
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    rows = np.arange(values.shape[0])[:, None] * bins
    # sums of a lane group's units stay far below 2^53, so that floating point adds them exactly
    counted = None if units is None else np.broadcast_to(units.astype(np.float64), values.shape).ravel()
    counts = np.bincount((index + rows).ravel(), counted, minlength=values.shape[0] * bins).reshape(values.shape[0], bins)
    return counts.astype(np.int32 if units is None else np.int64)
