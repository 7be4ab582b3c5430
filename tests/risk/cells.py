"""Made-up per-path results of one cell, consistent with each other."""

from __future__ import annotations

import numpy as np
import xarray as xr


def cell(n: int = 4096, seed: int = 0, fund: float = 100.0, hit: float = 0.02) -> xr.Dataset:
    """`hit` of the paths lose Exp(mean 2·fund): the fund first, then winners, a tenth of that unpaid."""
    r = np.random.default_rng(seed)
    struck = r.random(n) < hit
    debt = np.where(struck, r.exponential(2 * fund, n), 0.0)
    paid = np.minimum(debt, fund)
    rest = debt - paid
    never = np.full(n, np.nan)
    event = r.uniform(1e5, 1e6, n)
    liquidation = np.where(struck, event + r.exponential(600, n), never)
    values = {
        "fund_initial": np.full(n, fund),
        "fund_min": fund - paid,
        "fund_end": fund - paid,
        "fund_loss": paid,
        "bad_debt": debt,
        "unpaid": 0.1 * rest,
        "backstop_loss": 0.0 * debt,
        "traders_loss": 5 * debt,
        "liquidated_notional": 30 * debt,
        "liquidated_accounts": np.ceil(debt / 10),
        "adl_notional": 8 * rest,
        "adl_wealth": 0.8 * rest,
        "adl_accounts": np.ceil(rest / 20),
        "settlement_cut": 0.1 * rest,
        "winners_profit": 20 * debt,
        "first_liquidation_time": liquidation,
        "first_adl_time": np.where(rest > 0, liquidation + 60, never),
        "depletion_time": np.where(rest > 0, liquidation + 30, never),
        "event_time": event,
        "event_label": np.ones(n, np.int8),
        "latent_deficit": 0.5 * debt,
        "deficit_48h": debt,
        "mark_index_gap": r.random(n) * 0.1,
        "terminal_mark": np.full(n, 500.0),
        "fees": 0 * debt,
        "conservation_residual": 0 * debt,
    }
    return xr.Dataset({name: ("path", np.array(column)) for name, column in values.items()})
