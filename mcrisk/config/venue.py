"""A venue as data: one rule kind per slot with its parameters, for the phases before and after conversion.

Units: seconds (durations may be written ``30min``), fractions (0.01 = 1 %), quote currency. Sources: venue-rules.md.
Field names here are the YAML keys, the `--set` paths and the attributes the rule functions read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mcrisk.config.base import Fraction, Model, NonNegative, Positive, Seconds
from mcrisk.config.pricing import Funding, Index, Limits, Mark


# ---------------------------------------------------------------- margin
class Tier(Model):
    """Up to `up_to` (notional or contracts; null = without end) these rates hold."""

    up_to: Positive | None = None
    initial: Positive
    maintenance: Fraction


class Margin(Model):
    """Tier table. `whole`: the reached tier's rate on the whole position; `marginal`: continuous, with deductions."""

    mode: Literal["whole", "marginal"]
    by: Literal["notional", "contracts"] = "notional"
    tiers: tuple[Tier, ...] = Field(min_length=1)
    position_limit: Positive | None = None      # notional, one account
    isolation: Literal["strict", "normal", "cross_allowed"] = "cross_allowed"

    @model_validator(mode="after")
    def _ordered(self) -> Margin:
        edges = [tier.up_to for tier in self.tiers]
        if any(edge is None for edge in edges[:-1]):
            raise ValueError("only the last tier may leave up_to empty")
        finite = [edge for edge in edges if edge is not None]
        if any(b <= a for a, b in zip(finite, finite[1:])):
            raise ValueError("tiers must have increasing up_to")
        for a, b in zip(self.tiers, self.tiers[1:]):
            if b.maintenance < a.maintenance or b.initial < a.initial:
                raise ValueError("maintenance and initial rates must not fall from tier to tier")
        if any(tier.maintenance > tier.initial for tier in self.tiers):
            raise ValueError("maintenance must not exceed initial margin in any tier")
        return self


class Phase(Model):
    """The rulebook of one phase of the contract's life."""

    index: Index
    limits: Limits
    mark: Mark
    funding: Funding
    margin: Margin

    @model_validator(mode="before")
    @classmethod
    def _band_stands_on(cls, data: Any) -> Any:
        """A band around the last trade must not move with the trade it limits: fill in `limits.reference`."""
        if not isinstance(data, dict):
            return data
        index, limits = (_plain(data.get(slot)) for slot in ("index", "limits"))
        if limits.get("kind") not in ("okx_limits", "mid_band") or limits.get("reference") is not None:
            return data
        reference = "index"
        if index.get("kind") == "last_trade":
            listed = index.get("spot_from", "listed") == "listed"
            reference = "previous_until_listed" if listed else "previous_index"
        return {**data, "limits": {**limits, "reference": reference}}


def _plain(value: Any) -> dict[str, Any]:
    """A model or a mapping as a mapping; anything else as an empty one (validation will judge it)."""
    if isinstance(value, Model):
        return value.model_dump()
    return value if isinstance(value, dict) else {}


# ---------------------------------------------------------------- liquidation, fund, ADL
class BookThenBackstop(Model):
    """Hyperliquid family: market order, 20 % first above a size, cool-down, then the backstop or ADL."""

    kind: Literal["book_then_backstop"]
    partial_above: NonNegative = 100_000.0
    partial_share: Fraction = 0.2
    cooldown: Seconds = 30.0
    floor: Literal["zero_equity", "none"] = "zero_equity"
    backstop_below: Fraction = 2.0 / 3.0   # of maintenance margin
    fee: NonNegative = 0.0


class TierStepDown(Model):
    """OKX: from a tier up, cut two tiers at a time through the book; below it the fund takes over at bankruptcy price."""

    kind: Literal["tier_step_down"]
    partial_from_tier: int = Field(3, ge=1)
    tiers_per_step: int = Field(2, ge=1)
    repeat_within_row: bool = True
    fee: NonNegative = 0.0005


class IocThenFund(Model):
    """Binance: immediate-or-cancel limit at the bankruptcy price, the rest to the fund at that price."""

    kind: Literal["ioc_then_fund"]
    fund_takes_up_to: NonNegative = 1.0    # notional taken over, as a multiple of the fund
    stops_when_compliant: bool = True      # who is above maintenance after the order keeps the rest
    clearance_fee: NonNegative = 0.0       # of filled notional, to the fund, at most what equity is left


class BandThenAssignment(Model):
    """Kraken equity protection: partial band, IOC at zero-equity price, assignment, covered liquidation, unwind."""

    kind: Literal["band_then_assignment"]
    band_floor: Fraction = 0.5             # of maintenance: partial cuts while equity is above it
    cut: Fraction = 0.1
    cooldown: Seconds = 0.0
    assignment_min_edge: Fraction = 0.0075
    assignment_max_edge: Fraction = 0.025
    assignment_capacity: NonNegative = 0.05   # of one-sided initial open interest
    covered_max_edge: Fraction = 0.05


Liquidation = Annotated[
    BookThenBackstop | TierStepDown | IocThenFund | BandThenAssignment, Field(discriminator="kind")
]


class Fund(Model):
    """Insurance fund that can really be used in this market, as a fraction of one-sided open interest."""

    initial: NonNegative
    usable_share: Fraction = 1.0
    scope: Literal["per_underlying", "shared_by_category", "shared_discretionary", "none"] = "per_underlying"
    unwind_share_of_depth: Fraction = 0.5   # of the refilled depth, how fast taken-over inventory is sold


class Backstop(Model):
    """A vault that takes positions and their margin until its losses reach a cap (fraction of open interest)."""

    enabled: bool = False
    loss_capacity: NonNegative = 0.0


class Adl(Model):
    """Auto-deleveraging: what triggers it, whom it ranks first, at which price, who bears the difference."""

    trigger: Literal["negative_equity", "fund_drawdown", "fund_cannot_take", "fund_empty"]
    scope: Literal["unfilled", "inventory"] = "unfilled"
    rank: Literal["hyperliquid", "hyperliquid_literal", "okx", "binance", "pnl_leverage"]
    price: Literal["previous_mark", "mark", "bankruptcy"]
    difference_to: Literal["fund", "account", "unpaid"] = "account"
    drawdown: Fraction = 0.3
    drawdown_window: Seconds = 28800.0
    drawdown_of: Literal["peak", "average"] = "peak"
    drawdown_floor: NonNegative = 0.0       # quote; only with drawdown_of: average
    backlog_age: Seconds = 0.0              # 0 = no backlog trigger
    backlog_notional: NonNegative = 0.0
    bankruptcy_price_below: Fraction = 0.1  # of the initial fund: 'mark' turns into 'bankruptcy' (OKX near-empty fund)
    previous_mark_within: Seconds = 3.0     # longer steps: zero-equity price clamped between previous and current mark


# ---------------------------------------------------------------- settlement and life of the contract
class CancellationOutcome(Model):
    """One way a cancelled contract may settle, with its probability in simulations."""

    price: Literal["tick", "last_hour_index", "last_hour_mark", "twap_from_launch", "last_index", "mark", "given"]
    probability: Fraction = 1.0


class Settlement(Model):
    cancellation: tuple[CancellationOutcome, ...] = Field(min_length=1)
    notice: Seconds = 86400.0               # simulations: announcement to settlement
    # price of a cancellation after conversion, where it is another; empty: as before conversion
    delisting: Literal["last_hour_index", "last_hour_mark", "last_index", "mark"] | None = None
    deficits: Literal["fund_then_profit_cut", "fund_then_venue"] = "fund_then_profit_cut"
    fee: NonNegative = 0.0                  # of settled notional
    expires_after_listing: Seconds | None = None   # futures only
    expiry_price: Literal["last_hour_index", "last_hour_last", "index"] = "last_hour_index"
    converts_after_listing: Seconds = 3600.0       # simulations: first print to conversion
    share_count_revision: Literal["rebase", "none"] = "none"
    rebase_min_change: Fraction = 0.0

    @model_validator(mode="after")
    def _sums_to_one(self) -> Settlement:
        total = sum(outcome.probability for outcome in self.cancellation)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"cancellation probabilities sum to {total:g}, not 1")
        return self


class Contract(Model):
    """The listed market itself."""

    initial_price: Positive
    tick: Positive = 0.01
    contract_size: Positive = 1.0
    open_interest: Positive                 # one-sided, quote currency
    launch_age: Seconds = 0.0               # simulations: how long the market has traded before time 0


class Note(Model):
    """Provenance of the fields under a dotted path (longest prefix wins)."""

    field: str
    source: str
    date: str
    marker: Literal["seed", "found", "third-party", "derived", "memory", "assumption"]
    assumption: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _assumption_has_note(self) -> Note:
        if self.assumption and not self.note:
            raise ValueError("an assumption needs a note")
        return self


class Venue(Model):
    """A venue profile: `configs/venues/NAME.yaml`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: str
    operator: str
    instrument: Literal["perpetual", "future"] = "perpetual"
    contract: Contract
    pre: Phase
    post: Phase
    liquidation: Liquidation
    fund: Fund
    backstop: Backstop = Backstop()
    adl: Adl
    settlement: Settlement
    liquidity: str = "thin"                 # default liquidity model, by name
    book: str = "max_5x"                    # default leverage mix, by name
    index_type: Literal["feed_based", "self_referential"]
    provenance: tuple[Note, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _computable(self) -> Venue:
        """Combinations no venue publishes and the engine does not have."""
        if self.pre.margin.mode != self.post.margin.mode:
            raise ValueError("pre and post must read their tier tables in one mode; a one-tier marginal table is a whole one")
        if any(p.margin.mode == "marginal" and p.margin.by == "contracts" for p in (self.pre, self.post)):
            raise ValueError("marginal tiers in contracts have no published deductions; use notional bounds, or mode: whole")
        if self.backstop.enabled and self.fund.initial > 0.0:
            raise ValueError(
                "a market has an insurance fund or a backstop vault; set fund.initial: 0 or backstop.enabled: false")
        return self
