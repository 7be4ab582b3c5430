"""Plain venue profiles for the oracle's own tests; every test changes only what it is about."""

from __future__ import annotations

from typing import Any

from mcrisk.config.venue import Venue

PLAIN_PHASE: dict[str, Any] = {
    "index": {"kind": "last_trade", "spot_from": "listed"},
    "limits": {"kind": "none"},
    "mark": {
        "kind": "trade_mean",
        "window": 0.5,
        "sparse_below": 1,
        "sparse_last": 1,
        "max_change_per_second": 0.999,
    },  # the last price
    "funding": {"kind": "none"},
    "margin": {"mode": "whole", "tiers": [{"initial": 0.2, "maintenance": 0.1}]},
}
PLAIN: dict[str, Any] = {
    "name": "plain",
    "title": "Plain",
    "operator": "Test",
    "contract": {"initial_price": 100.0, "open_interest": 1000.0, "tick": 0.01},
    "liquidation": {"kind": "ioc_then_fund"},
    "fund": {"initial": 0.0},
    "adl": {"trigger": "fund_cannot_take", "rank": "binance", "price": "bankruptcy"},
    "settlement": {"cancellation": [{"price": "mark"}]},
    "index_type": "self_referential",
    "provenance": [
        {
            "field": "",
            "source": "test",
            "date": "2026-11-20",
            "marker": "assumption",
            "note": "made up",
            "assumption": True,
        }
    ],
}


def venue(phase: dict[str, Any] | None = None, post: dict[str, Any] | None = None, **top: Any) -> Venue:
    """The plain venue with some slots of the phase(s) and some top-level sections replaced."""
    before = {**PLAIN_PHASE, **(phase or {})}
    after = {**before, "index": {"kind": "external"}, **(post or {})}
    return Venue.model_validate({**PLAIN, "pre": before, "post": after, **top})


def path(*last: float, dt: float = 60.0, **columns: list[Any]) -> list[dict[str, Any]]:
    """Price rows dt apart; further columns by name, as lists."""
    rows = [{"time": dt * i, "last": price} for i, price in enumerate(last)]
    for name, cells in columns.items():
        for row, cell in zip(rows, cells, strict=True):
            row[name] = cell
    return rows


def account(name: str, quantity: float, entry: float, collateral: float) -> dict[str, Any]:
    return {"account_id": name, "quantity": quantity, "entry_price": entry, "collateral": collateral}
