"""Headline numbers that are means over paths, as one value per path: what paired differences and variance components need."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mcrisk.risk.headline import fund_need, winners_haircut

NAMES = (
    "p_fund_depleted", "p_adl", "p_unpaid", "winners_haircut_mean", "liquidated_notional_mean_of_oi",
    "avoidable_liquidation", "fund_pnl_mean", "fund_need_mean_of_oi", "unpaid_mean_of_oi", "bad_debt_mean_of_oi",
)  # fmt: skip


def samples(paths: xr.Dataset, open_interest: float) -> dict[str, NDArray[np.float64]]:
    """[n] per name of `NAMES`; losses as shares of one-sided open interest (quote)."""
    get = lambda name: np.asarray(paths[name].values, np.float64)  # noqa: E731
    calm = np.isin(get("event_label"), (0, 1))  # neither reset nor cancelled
    return {
        "p_fund_depleted": np.isfinite(get("depletion_time")).astype(float),
        "p_adl": (get("adl_accounts") > 0).astype(float),
        "p_unpaid": (get("unpaid") > 0).astype(float),
        "winners_haircut_mean": winners_haircut(paths),
        "liquidated_notional_mean_of_oi": get("liquidated_notional") / open_interest,
        "avoidable_liquidation": np.where(calm, get("liquidated_notional"), 0.0) / open_interest,
        "fund_pnl_mean": (get("fund_end") - get("fund_initial")) / open_interest,
        "fund_need_mean_of_oi": fund_need(paths) / open_interest,
        "unpaid_mean_of_oi": get("unpaid") / open_interest,
        "bad_debt_mean_of_oi": get("bad_debt") / open_interest,
    }
