"""A book of accounts as data: who holds the open interest, with how much leverage, at which entry prices.

Every number is a fraction unless its name says otherwise; open interest is one-sided, quote currency. Source of the
shipped values: shared/defaults.md section 6; each carries its provenance and range in `provenance`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mcrisk.config.base import Fraction, Model, NonNegative, Positive, Seconds
from mcrisk.config.venue import Margin, Note

Variant = Literal["low", "base", "high"]
CompanyKind = Literal["near", "far", "token"]
Traders = Literal["fixed_leverage", "fixed_collateral", "elastic"]


class RangedNote(Note):
    """Provenance of a field and the range it is varied over in sensitivity runs (null = not varied)."""

    range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _ascending(self) -> RangedNote:
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"range of '{self.field}' must be written low first")
        return self


class SizeLaw(Model):
    """Notional of an account is proportional to exp(sigma·z); no trader holds more than `max_share_of_side`."""

    law: Literal["lognormal"] = "lognormal"
    sigma: Positive = 2.7
    max_share_of_side: Fraction = 0.10


class LeverageBand(Model):
    """Effective leverage (notional / equity now) between `lower` and `upper`, and its share of open interest."""

    lower: Positive
    upper: Positive
    low: Fraction
    base: Fraction
    high: Fraction

    @model_validator(mode="after")
    def _ordered(self) -> LeverageBand:
        if self.upper <= self.lower:
            raise ValueError("a leverage band needs upper > lower")
        return self


class LeverageMix(Model):
    """Bands of one leverage class; in each variant the shares sum to one."""

    bands: tuple[LeverageBand, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sums_to_one(self) -> LeverageMix:
        for variant in ("low", "base", "high"):
            total = sum(getattr(band, variant) for band in self.bands)
            if abs(total - 1.0) > 1e-9:
                raise ValueError(f"shares of variant '{variant}' sum to {total:g}, not 1")
        if any(b.lower < a.upper for a, b in zip(self.bands, self.bands[1:])):
            raise ValueError("leverage bands must not overlap and must ascend")
        return self

    def shares(self, variant: Variant) -> tuple[float, ...]:
        """Open-interest share of each band in a variant."""
        return tuple(getattr(band, variant) for band in self.bands)


class HedgedShorts(Model):
    """Share of short open interest held at `leverage` as a hedge, by kind of company."""

    near: Fraction = 0.30
    far: Fraction = 0.30
    token: Fraction = 0.50
    leverage: Positive = 1.0


class MarketMakers(Model):
    """Accounts that quote: Σ|position| = share_of_oi · one-sided open interest, equal among them.

    `depth_share` of the book's depth is theirs together; `long_share` of the accounts is long. A venue's position
    limit for ordinary users is multiplied by `position_limit_multiple` for them.
    """

    accounts: int = Field(3, ge=0)
    share_of_oi: Fraction = 0.20
    leverage: Positive = 2.0
    long_share: Fraction = 1.0 / 3.0
    hedged_elsewhere: bool = True
    depth_share: Fraction = 0.6
    position_limit_multiple: Positive = 10.0


class Restrike(Model):
    """When a generated book is drawn anew in units of the mark; deposits and withdrawals are booked."""

    at_event: bool = True
    every: Seconds = 518400.0  # 0 = never


class CrossMargin(Model):
    """Accounts margined over several markets of a venue; only where there is more than one and the venue allows it."""

    share_of_accounts: Fraction = 0.20
    markets_per_account: int = Field(3, ge=2, le=8)


class Response(Model):
    """How traders' leverage answers margin requirements other than those it was observed under.

    leverage = observed leverage · (required initial margin there / required here)^e, at most what is admitted here, with
    e = 0 for fixed_leverage (traders post what they posted), e = 1 for fixed_collateral (the same collateral carries as
    much position as the requirement admits), e = elasticity for elastic. Positions and open interest stay as they are;
    makers and hedgers do not answer.
    """

    traders: Traders = "fixed_leverage"
    elasticity: Fraction = 0.5
    observed_under: Margin | None = None  # null = the venue's own requirements: there is nothing to answer

    @property
    def exponent(self) -> float:
        """e of the formula above."""
        return {"fixed_leverage": 0.0, "fixed_collateral": 1.0}.get(self.traders, self.elasticity)


class BookSpec(Model):
    """`configs/books/NAME.yaml`: generate a book by these laws, or read it from `file`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: str = ""
    file: str | None = None  # CSV or Parquet; then only house_account, tolerance and top_up_probability apply
    house_account: str | None = None  # takes the difference between longs and shorts of a file
    balance_tolerance: Fraction = 1e-6  # of one-sided quantity
    accounts: int = Field(1000, ge=2, le=10_000_000)
    size: SizeLaw = SizeLaw()
    leverage_mixes: dict[str, LeverageMix] = Field(default_factory=dict)
    leverage_mix: str | None = None  # null = the mix the venue names in `book`
    variant: Variant = "base"
    company_kind: CompanyKind = "near"
    accounts_long_share: Fraction = 0.70
    hedged_shorts: HedgedShorts = HedgedShorts()
    makers: MarketMakers = MarketMakers()
    entry_sd: NonNegative = 0.08  # entry = mark·exp(−side·entry_sd·z)
    collateral_floor: Fraction = 0.05  # of equity: profit beyond the rest is taken as withdrawn (entry moves)
    holding_time: Seconds = 518400.0
    restrike: Restrike = Restrike()
    top_up_probability: Fraction = 0.15  # of accounts between 100 and 130 % of maintenance
    cross: CrossMargin = CrossMargin()
    response: Response = Response()
    limit_fill: Positive = Field(0.9, le=1)  # open interest never exceeds this share of what position limits admit
    seed_purpose: str = Field("book", pattern=r"^[a-z0-9-]{1,32}$")  # separates this book's random bits from others
    provenance: tuple[RangedNote, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> BookSpec:
        if self.file is None and not self.leverage_mixes:
            raise ValueError("give leverage_mixes to generate a book, or a file to read one")
        if self.leverage_mix is not None and self.file is None and self.leverage_mix not in self.leverage_mixes:
            known = ", ".join(sorted(self.leverage_mixes))
            raise ValueError(f"leverage_mix '{self.leverage_mix}' is not among {known}")
        if self.accounts < self.makers.accounts + 2 and self.file is None:
            raise ValueError(f"{self.accounts} accounts leave no long and short trader beside the makers")
        worst = max(self.hedged_shorts.near, self.hedged_shorts.far, self.hedged_shorts.token)
        if worst + self.makers.share_of_oi > 1:
            raise ValueError("hedged shorts and market makers together exceed the open interest")
        return self
