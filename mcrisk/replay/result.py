"""What a replay leaves behind: the market row by row, the ledger entry by entry, the accounts at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

PHASES = ("pre", "transition", "post", "settled")  # by code of rules.types
MARKET_COLUMNS = (
    "time",
    "phase",
    "index",
    "mark",
    "lower_limit",
    "upper_limit",
    "premium",
    "funding_rate",
    "cumulative_funding",
    "insurance_fund",
)
LEDGER_COLUMNS = ("seq", "time", "account_id", "event", "quantity", "price", "cash", "fee", "fund")
LEDGER_EVENTS = (
    "funding",
    "liquidation",
    "takeover",
    "assignment",
    "backstop",
    "adl",
    "settlement",
    "rebase",
    "fee",
    "fund",
    "restrike",  # simulated paths only: the book drawn anew in units of the mark
    "deposit",  # simulated paths only: a margin call answered
    "elsewhere",  # simulated paths only: what another market of the venue did to an account's collateral
)
ACCOUNT_COLUMNS = (
    "account_id",
    "quantity",
    "entry_price",
    "collateral",
    "realized_pnl",
    "funding_paid",
    "fees_paid",
    "status",
)
STATUSES = ("open", "liquidated", "adl", "settled")


@dataclass(frozen=True)
class ReplayResult:
    """Three tables with the columns above (and only these) and a summary of plain numbers and texts."""

    market: pd.DataFrame
    ledger: pd.DataFrame
    accounts: pd.DataFrame
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError when a table lacks a column or holds a word outside its vocabulary."""
        for name, frame, columns in (
            ("market", self.market, MARKET_COLUMNS),
            ("ledger", self.ledger, LEDGER_COLUMNS),
            ("accounts", self.accounts, ACCOUNT_COLUMNS),
        ):
            if tuple(frame.columns) != columns:
                raise ValueError(f"{name} has columns {list(frame.columns)}, not {list(columns)}")
        for name, column, words in (
            ("market", self.market["phase"], PHASES),
            ("ledger", self.ledger["event"], LEDGER_EVENTS),
            ("accounts", self.accounts["status"], STATUSES),
        ):
            strange = set(column) - set(words)
            if strange:
                raise ValueError(f"{name} holds {sorted(map(str, strange))}, known are {list(words)}")
        if "conservation_residual" not in self.summary:
            raise ValueError("the summary lacks 'conservation_residual'")
