"""Compare an engine's replay with the oracle's: the first row in which they part, and in what."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import pandas as pd

from mcrisk.replay.result import ReplayResult

from .replay import OracleResult
from .strategies import Case

PRICES = ("index", "mark", "lower_limit", "upper_limit", "premium", "funding_rate", "cumulative_funding")
FRACTIONS = ("premium", "funding_rate")


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of dicts as the table an engine reads: a key absent everywhere is a missing column, None an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns)


def first_difference(case: Case, engine: ReplayResult, oracle: OracleResult, rel: float = 1e-9) -> str | None:
    """None when they agree to `rel` of the money in the book; else one line saying where they part first."""
    money = sum(a["collateral"] + abs(a["quantity"]) * a["entry_price"] for a in case.accounts)
    size = sum(abs(a["quantity"]) for a in case.accounts) or 1.0
    theirs, ours = engine.market.to_dict("records"), oracle.market
    by_row = _entries(engine.ledger.to_dict("records")), _entries(oracle.ledger)
    for k, (a, b) in enumerate(zip(theirs, ours)):
        if a["phase"] != b["phase"]:
            return f"row {k}: phase {a['phase']}, oracle {b['phase']}"
        for name in PRICES:
            # a compounded limit may lie at many times the mark: it is compared with itself there
            far = abs(b[name]) if name.endswith("_limit") and math.isfinite(b[name]) else 0.0
            unit = 1e-3 if name in FRACTIONS else max(abs(b["mark"]), far, 1e-12)
            if not _close(a[name], b[name], rel * unit) and not (name == "upper_limit" and min(a[name], b[name]) > 1e300):
                return f"row {k}: {name} {a[name]!r}, oracle {b[name]!r}"
        found = _ledger_difference(by_row[0].get(b["time"], {}), by_row[1].get(b["time"], {}), rel * money, rel * size)
        if found:
            return f"row {k}: {found}"
        if not _close(a["insurance_fund"], b["insurance_fund"], rel * money):
            return f"row {k}: fund {a['insurance_fund']!r}, oracle {b['insurance_fund']!r}"
    if len(theirs) != len(ours):
        return f"{len(theirs)} rows, oracle {len(ours)}"
    crumbs = [*oracle.ledger, *engine.ledger.to_dict("records")]
    dusty = {e["account_id"] for e in crumbs if 0.0 < abs(e["quantity"]) < rel * size}
    return _account_difference(engine.accounts.to_dict("records"), oracle.accounts, rel * money, rel * size, dusty)


def _close(a: float, b: float, tolerance: float) -> bool:
    return a == b or (math.isfinite(a) and math.isfinite(b) and abs(a - b) <= tolerance)


def _entries(ledger: list[dict[str, Any]]) -> dict[float, dict[tuple[str, str], dict[str, float]]]:
    out: dict[float, dict[tuple[str, str], dict[str, float]]] = defaultdict(dict)
    for entry in ledger:
        key = (str(entry["account_id"]), entry["event"])
        into = out[entry["time"]].setdefault(
            key, {"quantity": 0.0, "cash": 0.0, "fee": 0.0, "fund": 0.0, "price": entry["price"]}
        )
        for name in ("quantity", "cash", "fee", "fund"):
            into[name] += entry[name]
    return out


def _ledger_difference(theirs: dict, ours: dict, money: float, size: float) -> str | None:
    nothing = {"quantity": 0.0, "cash": 0.0, "fee": 0.0, "fund": 0.0, "price": math.nan}
    for key in sorted({*theirs, *ours}):
        a, b = theirs.get(key, nothing), ours.get(key, nothing)
        for name, tolerance in (("quantity", size), ("cash", money), ("fee", money), ("fund", money)):
            if not _close(a[name], b[name], tolerance):
                return f"{key} {name} {a[name]!r}, oracle {b[name]!r} (price {a['price']}, oracle {b['price']})"
        traded = abs(b["quantity"]) > 1e-6 * size / 1e-9
        if traded and not _close(a["price"], b["price"], 1e-6 * abs(b["price"])):
            return f"{key} price {a['price']!r}, oracle {b['price']!r}"
    return None


def _account_difference(theirs: list[dict], ours: list[dict], money: float, size: float, dusty: set) -> str | None:
    for a, b in zip(theirs, ours, strict=True):
        if b["quantity"] != 0.0 and not _close(a["entry_price"], b["entry_price"], 1e-9 * b["entry_price"]):
            return f"account {b['account_id']}: entry price {a['entry_price']!r}, oracle {b['entry_price']!r}"
        for name in ("collateral", "realized_pnl", "funding_paid", "fees_paid"):
            if not _close(a[name], b[name], money):
                return f"account {b['account_id']}: {name} {a[name]!r}, oracle {b[name]!r}"
        last_of_all = b["account_id"] in dusty  # rounding left the oracle a crumb that a later entry closed
        if not _close(a["quantity"], b["quantity"], size) or (a["status"] != b["status"] and not last_of_all):
            return f"account {b['account_id']}: {a['quantity']} {a['status']}, oracle {b['quantity']} {b['status']}"
    return None
