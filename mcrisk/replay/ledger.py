"""From a recording to the tables of a replay: ledger, accounts, market, summary (design contract 4.5, semantics.md 10)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mcrisk.replay.drive import Recording
from mcrisk.replay.result import ACCOUNT_COLUMNS, LEDGER_COLUMNS, MARKET_COLUMNS, PHASES

FUND = "fund"  # account_id of the fund's own entries


class Entries(NamedTuple):
    """Ledger entries of one stage of one row; `who` are places in the book, −1 the fund itself."""

    event: str
    who: np.ndarray
    quantity: np.ndarray
    price: np.ndarray
    cash: np.ndarray
    fee: np.ndarray
    fund: np.ndarray


class Terms(NamedTuple):
    """What a row's entries need besides the account arrays."""

    ratio: float
    vault: bool
    basis: float      # price funding is paid on
    mark: float
    own: dict[str, float]


def _some(event: str, shown: np.ndarray, quantity=None, price=None, cash=None, fee=None, fund=None) -> Entries:
    k = np.flatnonzero(shown)
    pick = lambda x: np.zeros(len(k)) if x is None else np.broadcast_to(x, shown.shape)[k]  # noqa: E731
    return Entries(event, k, pick(quantity), pick(price), pick(cash), pick(fee), pick(fund))


def _own(event: str, quantity: float, price: float, fund: float) -> Entries:
    here = np.flatnonzero([quantity != 0.0 or fund != 0.0])
    one = lambda x: np.full(len(here), x)  # noqa: E731
    return Entries(event, here - 1, one(quantity), one(price), one(0.0), one(0.0), one(fund))


def _mean_price(value: np.ndarray, quantity: np.ndarray) -> np.ndarray:
    return value / np.where(quantity != 0.0, quantity, 1.0)


def _row_entries(info: dict[str, np.ndarray], before: np.ndarray, entry: np.ndarray, terms: Terms) -> list[Entries]:
    """All entries of a row in the order things happen."""
    out: list[Entries] = []
    if terms.ratio != 1.0:
        out.append(_some("rebase", before != 0.0, before * (terms.ratio - 1.0), entry / terms.ratio))
    paid = info["funding_cash"]
    out.append(_some("funding", paid != 0.0, price=terms.basis, cash=paid))
    out.append(_own("funding", 0.0, terms.basis, terms.own["funding"] + float(info["own_funding_fund"].sum())))
    out.append(_own("fund", terms.own["unwound"], terms.own["unwound_price"],
                    terms.own["unwound_fund"] + float(info["own_unwind_fund"].sum())))
    q = info["fill_quantity"]
    out.append(_some("liquidation", q != 0.0, q, _mean_price(info["fill_value"], q), info["fill_cash"], info["fill_fee"],
                     info["fill_fund"]))
    q = info["take_quantity"]
    taken = "backstop" if terms.vault else "takeover"
    out.append(_some(taken, q != 0.0, q, _mean_price(info["take_value"], q), info["take_cash"]))
    q = info["assign_quantity"]
    price = _mean_price(info["assign_value"], q)
    out.append(_some("assignment", q != 0.0, q, price, info["assign_cash"], fund=info["assign_fund"]))
    q = info["adl_quantity"]
    out.append(_some("adl", q != 0.0, q, _mean_price(info["adl_value"], q), info["adl_cash"], fund=info["adl_fund"]))
    out += _inventory(info, "own_adl", "adl")
    paid = info["cover_cash"]
    out.append(_some("fund", paid != 0.0, price=terms.mark, cash=paid, fund=-paid))
    return out + _settlement(info)


def _settlement(info: dict[str, np.ndarray]) -> list[Entries]:
    q = info["settle_quantity"]
    price = _mean_price(info["settle_value"], q)
    from_fund, cover, cut = info["settle_fund"], info["settle_cover"], info["settle_cut"]
    return [
        _some("settlement", q != 0.0, q, price, info["settle_cash"], info["settle_fee"]),
        *_inventory(info, "own_settle", "settlement"),
        _some("fund", from_fund != 0.0, price=price, cash=from_fund, fund=-from_fund),
        _some("adl", (cut != 0.0) | (cover != from_fund), price=price, cash=cover - from_fund - cut),
    ]


def _inventory(info: dict[str, np.ndarray], stage: str, event: str) -> list[Entries]:
    """The fund's own closes, long and short side as one entry."""
    quantity, value, fund = (float(info[f"{stage}_{what}"][:2].sum()) for what in ("quantity", "value", "fund"))
    gross = float(np.abs(info[f"{stage}_quantity"][:2]).sum())
    price = float(np.abs(info[f"{stage}_value"][:2]).sum()) / gross if gross else 0.0
    return [_own(event, quantity, price, fund)] if gross or fund else []


class Bookkeeper:
    """Turns the account arrays of a row into ledger entries while the replay runs."""

    def __init__(self, count: int, ratios: np.ndarray, vault: bool, oracle_basis: np.ndarray) -> None:
        """`count` accounts; ratios, oracle_basis [T]: rebase ratio, and whether funding is paid on the index."""
        self.count, self.ratios, self.vault, self.oracle_basis = count, ratios, vault, oracle_basis
        self.entries: dict[int, list[Entries]] = {}
        self.as_bankrupt = np.zeros(count, bool)  # was the account's last ADL its own bankruptcy?

    def take(self, row: int, info: dict[str, np.ndarray], before: np.ndarray, entry: np.ndarray, seen: dict[str, float]) -> None:
        """Keep the entries of a row in which accounts were looked at."""
        n = self.count
        if self.vault:  # the vault's own affairs are no ledger entries
            info = {k: v * 0.0 if k.startswith("own_") else v for k, v in info.items()}
        taken = info["adl_quantity"][:n] != 0.0
        self.as_bankrupt[taken] = info["adl_own"][:n][taken] > 0.0
        mine = {k: v if k.startswith("own_") else v[:n] for k, v in info.items()}
        found = _row_entries(mine, before[:n], entry[:n], self._terms(row, seen))
        self.entries[row] = [e for e in found if len(e.who)]

    def quiet(self, row: int, seen: dict[str, float]) -> list[Entries]:
        """Entries of a row in which only the fund's inventory did anything."""
        terms = self._terms(row, seen)
        own = terms.own
        return [_own("funding", 0.0, terms.basis, own["funding"]),
                _own("fund", own["unwound"], own["unwound_price"], own["unwound_fund"])]

    def _terms(self, row: int, seen: dict[str, float]) -> Terms:
        fund = 0.0 if self.vault else 1.0
        own = {"funding": seen["own_funding"] * fund, "unwound": seen["unwound"] * fund,
               "unwound_price": seen["unwound_price"], "unwound_fund": seen["unwound_fund"] * fund}
        basis = seen["index"] if self.oracle_basis[row] else seen["mark"]
        return Terms(float(self.ratios[row]), self.vault, basis, seen["mark"], own)


def build_ledger(recording: Recording, keeper: Bookkeeper, ids: tuple[str, ...], times: np.ndarray) -> pd.DataFrame:
    """The ledger: one line per account, event and row."""
    t = recording.trace
    own = np.flatnonzero((t["own_funding"] != 0.0) | (t["unwound"] != 0.0) | (t["unwound_fund"] != 0.0)).tolist()
    parts: list[tuple[int, Entries]] = []
    for row in sorted({*own, *keeper.entries}):
        entries = keeper.entries.get(row)
        if entries is None:
            entries = keeper.quiet(row, {name: float(column[row]) for name, column in t.items()})
        parts += [(row, e) for e in entries if len(e.who)]
    return _frame(parts, np.append(np.asarray(ids, object), FUND), times)  # place −1 is the fund


def _frame(parts: list[tuple[int, Entries]], names: np.ndarray, times: np.ndarray) -> pd.DataFrame:
    if not parts:
        words = ("account_id", "event")
        return pd.DataFrame({name: pd.Series(dtype=object if name in words else float) for name in LEDGER_COLUMNS})
    sizes = [len(e.who) for _, e in parts]
    column = lambda name: np.concatenate([getattr(e, name) for _, e in parts])  # noqa: E731
    return pd.DataFrame({
        "seq": np.arange(sum(sizes)),
        "time": np.repeat(times[[row for row, _ in parts]], sizes),
        "account_id": names[column("who")],
        "event": np.repeat(np.array([e.event for _, e in parts], object), sizes),
        **{name: column(name) + 0.0 for name in LEDGER_COLUMNS[4:]},  # + 0.0: never "-0.0"
    })


def build_accounts(recording: Recording, keeper: Bookkeeper, ids: tuple[str, ...], ledger: pd.DataFrame) -> pd.DataFrame:
    """Every account at the end, in file order; status is what closed its last contract."""
    end, count = recording.accounts, len(ids)
    quantity = end.quantity[0][:count]
    position = {name: i for i, name in enumerate(ids)}
    at = np.array([position.get(name, -1) for name in ledger["account_id"].tolist()], int)
    known = at >= 0
    where, rows = at[known], {name: ledger[name].to_numpy()[known] for name in ("event", "quantity", "cash", "fee")}

    def total(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(where[mask], weights=values[mask], minlength=count)

    event, cash, fee = rows["event"], rows["cash"].astype(float), rows["fee"].astype(float)
    status = np.full(count, "open", object)
    changes = np.flatnonzero((rows["quantity"] != 0.0) & (event != "rebase"))
    last = np.full(count, -1)
    np.maximum.at(last, where[changes], changes)  # the last one stands
    status[last >= 0] = [_STATUS.get(name, "liquidated") for name in event[last[last >= 0]]]
    status[(status == "adl") & keeper.as_bankrupt] = "liquidated"
    status[quantity != 0.0] = "open"
    frame = pd.DataFrame({
        "account_id": list(ids), "quantity": quantity, "entry_price": end.entry[0][:count], "collateral": end.collateral[:count],
        "realized_pnl": total(event != "funding", cash + fee), "funding_paid": 0.0 - total(event == "funding", cash),
        "fees_paid": total(event != "funding", fee), "status": status,
    })
    return frame[list(ACCOUNT_COLUMNS)]


_STATUS = {"settlement": "settled", "adl": "adl"}


def build_market(recording: Recording, times: np.ndarray) -> pd.DataFrame:
    """market.csv: one line per row."""
    t = recording.trace
    frame = pd.DataFrame({
        "time": times, "phase": [PHASES[code] for code in t["phase"]], "index": t["index"], "mark": t["mark"],
        "lower_limit": t["lower_limit"], "upper_limit": t["upper_limit"], "premium": t["premium"] + 0.0,
        "funding_rate": t["funding_rate"] + 0.0, "cumulative_funding": t["cumulative_funding"] + 0.0, "insurance_fund": t["fund"],
    })
    return frame[list(MARKET_COLUMNS)]


def conservation_residual(recording: Recording) -> float:
    """|change of Σ cash of all holders| relative to Σ|initial collateral| + fund; cash of a position is −q·entry."""
    pool0, quantity, entry, collateral = recording.start
    pool, end = recording.carry.pool, recording.accounts

    def pooled(p: Any) -> float:
        return float(np.sum(p.fund) - np.sum(p.inventory_cost) + p.outside_cash + p.fees + p.venue)

    owed = float(recording.carry.market.funding_total[0] - recording.carry.guard.funding[0])
    before = float(np.sum(collateral) - np.sum(quantity * entry)) + pooled(pool0)
    after = float(np.sum(end.collateral) - np.sum(end.quantity * (end.entry + owed))) + pooled(pool)
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
        "venue_paid": 0.0 - float(pool.venue),
    }
