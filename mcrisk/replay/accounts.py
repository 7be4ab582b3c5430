"""The book of a replay: accounts of one market, checked, as arrays in file order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcrisk.errors import InputError
from mcrisk.replay import tables

_REQUIRED = ("account_id", "quantity", "entry_price", "collateral")
_OPTIONAL = ("market", "margin_mode", "user_class")
_NET_TOLERANCE = 1e-9  # of gross quantity


@dataclass(frozen=True)
class Accounts:
    """One entry per account: signed contracts, quote per contract, quote; `cross` is False for isolated ones."""

    account_id: tuple[str, ...]
    quantity: np.ndarray
    entry_price: np.ndarray
    collateral: np.ndarray
    cross: np.ndarray
    user_class: tuple[str, ...]
    market: str

    def __len__(self) -> int:
        return len(self.account_id)


def read_accounts(source: tables.Source, market: str | None = None) -> tuple[Accounts, list[str]]:
    """Accounts in file order, and remarks. `market`: the market replayed; None takes the one the file names."""
    table = tables.read_table(source, "accounts")
    remarks = tables.require_columns(table, _REQUIRED, _OPTIONAL)
    ids = _ids(table)
    quantity = tables.numbers(table, "quantity", required=True)
    entry = tables.numbers(table, "entry_price", required=True, positive=True)
    collateral = tables.numbers(table, "collateral", required=True, minimum=0.0)
    net, gross = float(quantity.sum()), float(np.abs(quantity).sum())
    if abs(net) > _NET_TOLERANCE * max(gross, 1.0):
        remarks.append(f"{table.label}: positions sum to {net:g}, not 0; the book holds the other side")
    classes = tuple(tables.texts(table, "user_class")) if table.has("user_class") else ("",) * len(ids)
    return Accounts(ids, quantity, entry, collateral, _cross(table), classes, _market(table, market)), remarks


def _ids(table: tables.Table) -> tuple[str, ...]:
    ids = tables.texts(table, "account_id")
    seen: dict[str, int] = {}
    for i, name in enumerate(ids):
        if not name:
            raise InputError(
                "'account_id' is empty", table.at(i, "account_id"), "the ledger names accounts by it", "give it a name"
            )
        if name in seen:
            raise InputError(
                f"account '{name[:40]}' appears twice",
                table.at(i, "account_id"),
                f"it is already there at {table.at(seen[name])}",
                "give each account one row in a market",
            )
        seen[name] = i
    return tuple(ids)


def _cross(table: tables.Table) -> np.ndarray:
    if not table.has("margin_mode"):
        return np.zeros(len(table), bool)
    modes = [mode.lower() for mode in tables.texts(table, "margin_mode")]
    for i, mode in enumerate(modes):
        if mode not in ("isolated", "cross", ""):
            raise InputError(
                f"unknown margin mode '{mode[:40]}'",
                table.at(i, "margin_mode"),
                "it is isolated or cross",
                "write one of these",
            )
    return np.array([mode == "cross" for mode in modes], bool)


def _market(table: tables.Table, market: str | None) -> str:
    """One market per replay: every account must be in it."""
    if not table.has("market"):
        return market or ""
    names = tables.texts(table, "market")
    wanted = market or next((name for name in names if name), "")
    for i, name in enumerate(names):
        if name and name != wanted:
            raise InputError(
                f"account in an unknown market '{name[:40]}'",
                table.at(i, "market"),
                f"this replay is of '{wanted}', one market at a time",
                "leave such accounts out, or correct the name",
            )
    return wanted
