"""`mcrisk.replay(venue, prices, accounts, events)`: a given path and book through a venue's rules, with a full ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mcrisk.config.venue import Venue
from mcrisk.errors import InputError
from mcrisk.replay.drive import record
from mcrisk.replay.ledger import Bookkeeper, build_accounts, build_ledger, build_market, summarize
from mcrisk.replay.read import read_replay
from mcrisk.replay.result import ReplayResult


def replay(venue: Venue | str | Path, prices: Any, accounts: Any, events: Any = None, *, market: str | None = None,
           initial_price: float | None = None, overrides: tuple[str, ...] = ()) -> ReplayResult:
    """Replay one market through a venue's rulebook.

    Args:
        venue: a profile, its name or its file; `overrides` are `a.b=c` assignments on a name or file.
        prices, accounts, events: CSV/Parquet paths or DataFrames (events also YAML or a list of mappings).
        initial_price: reference price of the profile's rules; default `contract.initial_price` where `overrides` set
            it, else the first `last`.

    Returns market, ledger and accounts tables (pandas) and a summary with the conservation residual.
    Raises InputError naming file and row for anything wrong in the inputs.
    """
    from mcrisk.config.load import load_venue

    if isinstance(venue, Venue) and overrides:
        raise InputError("overrides on a profile object", why="they are read with the profile's file",
                         remedy="give the venue's name or file, or change the object by model_copy")
    profile = venue if isinstance(venue, Venue) else load_venue(venue, overrides)
    if initial_price is None and any(line.partition("=")[0].strip() == "contract.initial_price" for line in overrides):
        initial_price = profile.contract.initial_price
    given = read_replay(profile, prices, accounts, events, market=market, initial_price=initial_price)
    book = given.accounts
    times = given.row.utc[: given.rows]
    pre, post = (getattr(phase.funding, "basis", "mark") == "oracle" for phase in (profile.pre, profile.post))
    converted = np.cumsum(given.row.converted[: given.rows]) > 0
    keeper = Bookkeeper(len(book), given.row.rebase, profile.backstop.enabled, np.where(converted, post, pre))
    recording = record(profile, given.row, given.rows, book.quantity, book.entry_price, book.collateral, given.initial_price,
                       keeper)
    ledger = build_ledger(recording, keeper, book.account_id, times)
    summary = summarize(recording, profile.backstop.enabled) | {
        "venue": profile.name, "dates": given.dates, "rows": given.rows, "accounts": len(book), "remarks": list(given.remarks),
    }
    return ReplayResult(build_market(recording, times), ledger, build_accounts(recording, keeper, book.account_id, ledger), summary)
