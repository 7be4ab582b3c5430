"""State of one path. Scalars unless a shape is given: M markets, A accounts. Vectorising over paths is done outside."""

from __future__ import annotations

from typing import Any, NamedTuple

from jax import Array

from mcrisk.rules.insurance import Peak
from mcrisk.rules.settlement import Averages
from mcrisk.rules.windows import Window


class PhaseState(NamedTuple):
    """Memory of the four path-level rules of a phase (each rule kind brings its own NamedTuple)."""

    index: Any
    limits: Any
    mark: Any
    funding: Any


class MarketState(NamedTuple):
    """One market as the venue remembers it."""

    phase: Array         # int32, rules.types
    index: Array
    mark: Array
    listed_at: Array     # seconds; inf = not yet
    converted_at: Array
    pre: PhaseState
    post: PhaseState
    funding_total: Array  # F: cumulative funding per contract, paid by longs
    rate: Array          # last funding rate paid
    units: Array         # product of all rebase ratios so far
    averages: Averages


class Accounts(NamedTuple):
    """All accounts of one path."""

    quantity: Array      # [M, A] signed contracts
    entry: Array         # [M, A]
    collateral: Array    # [A]
    last_partial: Array  # [M, A] time of the last partial liquidation order
    deposits: Array      # [A] money brought in (+) or taken out (−) at re-strikes
    liquidated: Array    # [A] bool
    deleveraged: Array   # [A] bool
    topped: Array        # [A] bool: has answered a margin call since the last re-strike


class Pool(NamedTuple):
    """Everybody who is not an account."""

    fund: Array            # [M] cash of fund or vault (slot 0 only where the fund is shared)
    inventory: Array       # [M, 2] contracts taken over: long ≥ 0, short ≤ 0, never netted
    inventory_cost: Array  # [M, 2]
    inventory_since: Array  # [M, 2] time since which a side is not empty; negative = empty
    outside: Array         # [M] contracts held by book, assignees, new traders
    outside_cash: Array    # []
    fees: Array            # []
    venue: Array           # [] cash of the venue's owner
    assigned: Array        # [M] notional given to assignees
    peak: Peak | Window    # what the fund's drawdown is measured from, per market


class Guard(NamedTuple):
    """Bands inside which no account needs a look; set at the last account stage."""

    lo: Array              # [M] mark prices
    hi: Array              # [M]
    funding: Array         # [M] F up to which accounts have paid
    slack: Array           # [M] how far F may drift
    hot: Array             # [] bool: somebody is still below maintenance or waiting for ADL
    latent_bid: Array      # [M] next executable prices at which the latent deficit is looked at
    latent_ask: Array      # [M]


class Tally(NamedTuple):
    """What a path leaves behind; money in quote, times in seconds (inf = never)."""

    liquidated_notional: Array
    traders_loss: Array
    bad_debt: Array
    deficit_48h: Array
    liquidated_48h: Array
    unpaid: Array
    adl_notional: Array
    adl_wealth: Array
    settlement_cut: Array
    latent_deficit: Array
    mark_index_gap: Array
    fund_min: Array
    depletion_time: Array
    first_liquidation_time: Array
    first_adl_time: Array
    account_stages: Array   # int32: how often accounts had to be looked at


class PathCarry(NamedTuple):
    """All of one path but its accounts."""

    market: MarketState    # each field [M]
    pool: Pool
    guard: Guard
    tally: Tally
