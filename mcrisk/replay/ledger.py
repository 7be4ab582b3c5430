"""From a recording to the tables of a replay: ledger, accounts, market, summary (design contract 4.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mcrisk.replay.drive import Recording
from mcrisk.replay.result import ACCOUNT_COLUMNS, LEDGER_COLUMNS, MARKET_COLUMNS, PHASES

_ORDER = ("rebase", "funding", "liquidation", "takeover", "backstop", "assignment", "adl", "settlement", "cut", "fund")


def _entries(info: dict[str, np.ndarray], before: np.ndarray, ratio: float, vault: bool):
    """(event, account index, quantity, price, cash, fee, fund) arrays of one row, in the order things happen."""
    zero = np.zeros_like(before)

    def some(mask, event, quantity, price, cash, fee, fund):
        k = np.flatnonzero(mask)
        return (event, k, quantity[k], price[k], cash[k], fee[k], fund[k])

    def price(value, quantity):
        return value / np.where(quantity != 0.0, quantity, 1.0)

    if ratio != 1.0:
        yield some(before != 0.0, "rebase", before * (ratio - 1.0), np.full_like(before, np.nan), zero, zero, zero)
    paid = info["funding_cash"]
    yield some(paid != 0.0, "funding", zero, np.full_like(before, np.nan), paid, zero, zero)
    q = info["fill_quantity"]
    yield some(q != 0.0, "liquidation", q, price(info["fill_value"], q), info["fill_cash"], info["fill_fee"], info["fill_fund"])
    q = info["take_quantity"]
    yield some(q != 0.0, "backstop" if vault else "takeover", q, price(info["take_value"], q), info["take_cash"], zero, zero)
    q = info["assign_quantity"]
    yield some(q != 0.0, "assignment", q, price(info["assign_value"], q), info["assign_cash"], zero, zero)
    q = info["adl_quantity"]
    yield some(q != 0.0, "adl", q, price(info["adl_value"], q), info["adl_cash"], zero, zero)
    q = info["settle_quantity"]
    yield some(q != 0.0, "settlement", q, price(info["settle_value"], q), info["settle_cash"], info["settle_fee"], zero)
    cut = info["settle_cut"]
    yield some(cut != 0.0, "adl", zero, np.full_like(before, np.nan), -cut, zero, zero)
    help_ = info["cover_cash"] + info["settle_cover"]
    yield some(help_ != 0.0, "fund", zero, np.full_like(before, np.nan), help_, zero,
               -(info["cover_cash"] + info["settle_fund"]))


def build_ledger(recording: Recording, ids: tuple[str, ...], times: np.ndarray, ratios: np.ndarray, vault: bool) -> pd.DataFrame:
    """The ledger, one line per event of an account, plus the fund's own gains and losses (account_id empty)."""
    parts: list[dict[str, np.ndarray]] = []
    names = np.asarray(ids, object)
    fund = np.concatenate([[float(np.sum(recording.start[0].fund)) if not vault else 0.0], recording.trace["fund"]])
    explained = np.zeros(len(times))
    for row, info, before in recording.events:
        for event, k, quantity, price, cash, fee, to_fund in _entries(info, before, float(ratios[row]), vault):
            if not len(k):
                continue
            explained[row] += float(np.sum(to_fund))
            parts.append({"row": np.full(len(k), row), "account_id": names[k], "event": np.full(len(k), event, object),
                          "quantity": quantity, "price": price, "cash": cash, "fee": fee, "fund": to_fund})
    own = np.diff(fund)[: len(times)] - explained
    scale = max(float(np.max(np.abs(fund))), 1.0)
    k = np.flatnonzero(np.abs(own) > 1e-12 * scale)
    parts.append({"row": k, "account_id": np.full(len(k), "", object), "event": np.full(len(k), "fund", object),
                  "quantity": np.zeros(len(k)), "price": np.full(len(k), np.nan), "cash": np.zeros(len(k)),
                  "fee": np.zeros(len(k)), "fund": own[k]})
    table = pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    table = table.sort_values("row", kind="stable", ignore_index=True)
    table["time"] = times[table["row"].to_numpy(int)]
    table["seq"] = np.arange(len(table))
    return table[list(LEDGER_COLUMNS)]


def build_accounts(recording: Recording, ids: tuple[str, ...], ledger: pd.DataFrame) -> pd.DataFrame:
    """Every account at the end, in file order."""
    end = recording.accounts
    quantity = end.quantity[0]
    position = {name: i for i, name in enumerate(ids)}
    at = ledger["account_id"].map(position)
    known = at.notna().to_numpy()
    where = at[known].to_numpy(int)
    rows = ledger[known]

    def total(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(where[mask], weights=values[mask], minlength=len(ids))

    event, cash, fee = rows["event"].to_numpy(), rows["cash"].to_numpy(float), rows["fee"].to_numpy(float)
    trade = np.isin(event, ("liquidation", "takeover", "backstop", "assignment", "adl", "settlement"))
    settled = total(event == "settlement", np.ones(len(event))) > 0
    status = np.full(len(ids), "open", object)
    gone = quantity == 0.0
    status[gone & end.deleveraged] = "adl"
    status[gone & end.liquidated] = "liquidated"
    status[settled] = "settled"
    frame = pd.DataFrame({
        "account_id": list(ids), "quantity": quantity, "entry_price": end.entry[0], "collateral": end.collateral,
        "realized_pnl": total(trade, cash + fee), "funding_paid": -total(event == "funding", cash),
        "fees_paid": total(trade, fee), "status": status,
    })
    return frame[list(ACCOUNT_COLUMNS)]


def build_market(recording: Recording, times: np.ndarray) -> pd.DataFrame:
    """market.csv: one line per row."""
    t = recording.trace
    frame = pd.DataFrame({
        "time": times, "phase": [PHASES[code] for code in t["phase"]], "index": t["index"], "mark": t["mark"],
        "lower_limit": t["lower_limit"], "upper_limit": t["upper_limit"], "premium": t["premium"],
        "funding_rate": t["funding_rate"], "cumulative_funding": t["cumulative_funding"], "insurance_fund": t["fund"],
    })
    return frame[list(MARKET_COLUMNS)]


def conservation_residual(recording: Recording) -> float:
    """|change of Σ cash of all holders| relative to Σ|initial collateral| + fund; cash of a position is −q·entry."""
    pool0, quantity, entry, collateral = recording.start
    pool, end = recording.carry.pool, recording.accounts

    def pooled(p: Any) -> float:
        return float(np.sum(p.fund) - np.sum(p.inventory_cost) + p.outside_cash + p.fees + p.venue)

    before = float(np.sum(collateral) - np.sum(quantity * entry)) + pooled(pool0)
    after = float(np.sum(end.collateral) - np.sum(end.quantity * end.entry)) + pooled(pool)
    scale = float(np.sum(np.abs(collateral)) + np.sum(pool0.fund))
    return abs(after - before) / max(scale, 1e-300)


def summarize(recording: Recording, vault: bool) -> dict[str, Any]:
    """Headline numbers of a replay, money in quote."""
    tally, pool = recording.carry.tally, recording.carry.pool
    net = float(np.sum(recording.accounts.quantity) + np.sum(pool.inventory) + np.sum(pool.outside))
    return {
        "conservation_residual": conservation_residual(recording),
        "position_residual": abs(net),
        "liquidated_accounts": int(np.sum(recording.accounts.liquidated)),
        "adl_accounts": int(np.sum(recording.accounts.deleveraged)),
        "liquidated_notional": float(tally.liquidated_notional),
        "adl_notional": float(tally.adl_notional),
        "adl_wealth": float(tally.adl_wealth),
        "bad_debt": float(tally.bad_debt),
        "unpaid": float(tally.unpaid),
        "settlement_cut": float(tally.settlement_cut),
        "latent_deficit": float(tally.latent_deficit),
        "insurance_fund_start": 0.0 if vault else float(np.sum(recording.start[0].fund)),
        "insurance_fund_end": 0.0 if vault else float(np.sum(pool.fund)),
        "backstop_pnl": float(np.sum(pool.fund)) if vault else 0.0,
        "inventory": float(np.sum(pool.inventory)),
        "fees": float(pool.fees),
        "venue_paid": -float(pool.venue),
    }
