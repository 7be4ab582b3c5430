"""Numbers that a replayed incident and a news item can both give; `METRICS` names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mcrisk.errors import InputError
from mcrisk.replay.result import ReplayResult

_CLOSES = ("liquidation", "takeover", "assignment", "backstop")


class Told(NamedTuple):
    """What the numbers are made from."""

    market: pd.DataFrame
    ledger: pd.DataFrame
    ends: pd.DataFrame       # accounts at the end
    starts: pd.DataFrame     # accounts at the start, by account_id
    prices: pd.DataFrame
    summary: dict[str, Any]

    def closes(self, side: int = 0) -> pd.DataFrame:
        """Entries by which the venue closed positions below maintenance; side +1 longs, −1 shorts, 0 both."""
        rows = self.ledger[self.ledger["event"].isin(_CLOSES) & (self.ledger["account_id"] != "fund")]
        return rows if side == 0 else rows[np.sign(rows["quantity"]) == -side]

    def adl(self) -> pd.DataFrame:
        """ADL entries of the winning side: those whose position was in profit at the price."""
        rows = self.ledger[(self.ledger["event"] == "adl") & (self.ledger["quantity"] != 0.0)]
        return rows[rows["account_id"].map(self.ends.set_index("account_id")["status"]) != "liquidated"]


def _notional(rows: pd.DataFrame) -> float:
    return float((rows["quantity"] * rows["price"]).abs().sum())


def _first_adl_after(t: Told) -> float:
    adl, closes = t.ledger[t.ledger["event"] == "adl"], t.closes()
    return float(adl["time"].min() - closes["time"].min()) if len(adl) and len(closes) else float("nan")


def _gap_settles(t: Told, within: float) -> float:
    """Minutes from conversion until |mark − spot| stays within `within` quote for good."""
    post = t.market["phase"].to_numpy() == "post"
    gap = np.abs(t.market["mark"].to_numpy() - t.prices["external"].ffill().to_numpy()[: len(t.market)])
    outside = np.flatnonzero(post & (gap > within))
    first = np.flatnonzero(post)
    since = t.market["time"].to_numpy()
    listed = np.flatnonzero(t.market["phase"].to_numpy() != "pre")[0]
    at = outside[-1] + 1 if len(outside) else first[0]
    return float((since[min(at, len(since) - 1)] - since[listed]) / 60.0)


def _minutes_to_low(t: Told) -> float:
    """From the first row in which the mark is 1 % below its start to the row of its low."""
    mark, time = t.market["mark"].to_numpy(), t.market["time"].to_numpy()
    fallen = np.flatnonzero(mark < 0.99 * mark[0])
    return float((time[np.argmin(mark)] - time[fallen[0]]) / 60.0) if len(fallen) else float("nan")


def _funding(t: Told, phases: tuple[str, ...]) -> float:
    """Mean funding rate per hour over the payments of these phases, basis points."""
    rows = t.market[t.market["phase"].isin(phases) & (t.market["funding_rate"] != 0.0)]
    return float(rows["funding_rate"].mean() * 1e4) if len(rows) else float("nan")


def _open_interest_left(t: Told) -> float:
    return float(t.ends["quantity"].abs().sum() / t.starts["quantity"].abs().sum())


def _adl_result(t: Told) -> float:
    """Realised result of the deleveraged at the price of their close."""
    rows = t.adl()
    return float(rows["cash"].sum())


def _adl_result_over(t: Told) -> float:
    return _adl_result(t) / max(_notional(t.adl()), 1e-300)


def _in_profit(t: Told) -> float:
    rows = t.adl()
    return float((rows["cash"] > 0.0).mean()) if len(rows) else float("nan")


def _traders_loss(t: Told) -> float:
    """Money lost by liquidated longs: what their closes took from their collateral."""
    return float(-t.closes(1)["cash"].sum())


def _median_margin(t: Told) -> float:
    gone = t.closes(1)["account_id"].unique()
    return float(t.starts.loc[gone, "collateral"].median()) if len(gone) else float("nan")


def _oi(t: Told) -> float:
    return float(t.starts["quantity"].clip(lower=0.0).sum() * t.prices["last"].iloc[0])


def _negative_paid(t: Told) -> float:
    return float(t.summary["bad_debt"])


METRICS: dict[str, Callable[[Told], float]] = {
    "mark_low": lambda t: float(t.market["mark"].min()),
    "mark_low_change": lambda t: float(t.market["mark"].min() / t.market["mark"].iloc[0] - 1.0),
    "mark_high": lambda t: float(t.market["mark"].max()),
    "mark_high_multiple": lambda t: float(t.market["mark"].max() / t.market["mark"].iloc[0]),
    "mark_end": lambda t: float(t.market["mark"].iloc[-1]),
    "index_low": lambda t: float(t.market["index"].min()),
    "index_high_multiple": lambda t: float(t.market["index"].max() / t.market["index"].iloc[0]),
    "minutes_to_low": _minutes_to_low,
    "long_liquidations": lambda t: _notional(t.closes(1)),
    "short_liquidations": lambda t: _notional(t.closes(-1)),
    "liquidated_accounts": lambda t: float(t.closes()["account_id"].nunique()),
    "liquidated_share": lambda t: _notional(t.closes()) / _oi(t),
    "traders_loss": _traders_loss,
    "median_margin": _median_margin,
    "adl_notional": lambda t: _notional(t.adl()),
    "adl_accounts": lambda t: float(t.adl()["account_id"].nunique()),
    "adl_over_liquidated": lambda t: _notional(t.adl()) / max(_notional(t.closes()), 1e-300),
    "adl_share": lambda t: _notional(t.adl()) / _oi(t),
    "adl_in_profit": _in_profit,
    "adl_result": _adl_result,
    "adl_result_over": _adl_result_over,
    "seconds_to_first_adl": _first_adl_after,
    "deficit_share": lambda t: _negative_paid(t) / _oi(t),
    "open_interest_left": _open_interest_left,
    "gap_within_2_minutes": lambda t: _gap_settles(t, 2.0),
    "gap_within_1_minutes": lambda t: _gap_settles(t, 1.0),
    "funding_before": lambda t: _funding(t, ("pre", "transition")),
    "funding_after": lambda t: _funding(t, ("post",)),
    "median_premium_before": lambda t: float(t.market[t.market["phase"] != "post"]["premium"].abs().median() * 1e4),
}


def compare(incident: Any, result: ReplayResult, prices: pd.DataFrame, accounts: pd.DataFrame) -> pd.DataFrame:
    """The table simulated against reported; `met` says which facts a number was chosen to meet."""
    told = Told(result.market, result.ledger, result.accounts, accounts.set_index("account_id"), prices, result.summary)
    chosen = {choice.meets for choice in incident.chosen if choice.meets}
    rows = []
    for fact in incident.reported:
        if fact.metric is not None and fact.metric not in METRICS:
            raise InputError(f"unknown metric '{fact.metric}'", f"incident {incident.name}", f"known: {', '.join(METRICS)}",
                             None)
        value = METRICS[fact.metric](told) if fact.metric else float("nan")
        rows.append({"what": fact.what, "reported": fact.value, "simulated": value, "unit": fact.unit,
                     "chosen_to_meet": fact.metric in chosen, "source": fact.source, "marker": fact.marker,
                     "metric": fact.metric or ""})
    return pd.DataFrame(rows)
