"""Price and liquidity models: how value moves, how the market follows it, how deep its book is.

Units: seconds (``30min`` may be written), log prices for jumps, annual volatility on a 365 d clock before listing,
fractions of one-sided open interest for depth and flows. Shipped: `configs/prices/`, `configs/liquidity/`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mcrisk.config.base import Fraction, Model, NonNegative, Positive, Seconds
from mcrisk.config.draws import checked_draws

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
CompanyClass = Literal["near", "far", "token"]


class Provenance(Model):
    """Where the number under a dotted path comes from, and the range a sensitivity run should sweep."""

    field: str
    source: str
    marker: Literal["found", "venue-rules", "seed", "derived", "calibrated", "memory", "assumption"]
    range: tuple[float, float] | None = None
    assumption: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _assumption_has_note(self) -> Provenance:
        if self.assumption and not self.note:
            raise ValueError(f"{self.field}: an assumption needs a note")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"{self.field}: range must be [low, high]")
        return self


# ---------------------------------------------------------------- prices
class ConstantVolatility(Model):
    kind: Literal["constant"]
    sigma: NonNegative


class HestonVolatility(Model):
    """dv = kappa (theta − v) dt + xi sqrt(v) dW, corr(dW, value shock) = rho; time in years; full truncation."""

    kind: Literal["heston"]
    sigma0: Positive
    long_run: Positive  # long-run volatility, theta = long_run²
    kappa: NonNegative
    xi: NonNegative
    rho: Annotated[float, Field(ge=-0.999, le=0.999)] = 0.0


class TwoRegimeVolatility(Model):
    """Calm and stressed volatility; the mean stay in the calm regime follows from the other two numbers."""

    kind: Literal["two_regime"]
    calm: Positive
    stressed: Positive
    share_of_time_stressed: Annotated[float, Field(gt=0, lt=1)]
    mean_stay_stressed: Seconds


Volatility = Annotated[ConstantVolatility | HestonVolatility | TwoRegimeVolatility, Field(discriminator="kind")]


class MertonJumps(Model):
    """Normal log jumps."""

    law: Literal["merton"]
    per_year: NonNegative
    mean: float
    sd: NonNegative


class KouJumps(Model):
    """Double-exponential log jumps: up with p_up and mean mean_up, else down with mean mean_down."""

    law: Literal["kou"]
    per_year: NonNegative
    p_up: Fraction
    mean_up: Annotated[float, Field(gt=0, lt=1)]
    mean_down: Positive


Jumps = Annotated[MertonJumps | KouJumps, Field(discriminator="law")]


class BasisNoise(Model):
    """Mean-reverting gap between the market mid and value (Ornstein–Uhlenbeck, log), by distance to the listing."""

    sd: NonNegative = 0.007
    half_life: Seconds = 1800.0
    sd_before_listing: NonNegative = 0.028
    before_listing: Seconds = 86400.0
    sd_after_listing: NonNegative = 0.002
    half_life_after_listing: Seconds = 900.0


class PostListing(Model):
    """Volatility of the listed share, on trading time; before it the perp's own volatility rules."""

    first_fortnight_vol: Positive = 1.65
    long_run_vol: Positive = 0.80
    half_life: Seconds = 14 * 86400.0  # 10 sessions
    overnight_share_of_variance: Fraction = 0.35
    calendar: Literal["us", "always"] = "us"  # when a spot price exists
    cross_earliest: Seconds = 39600.0  # local time of day of the first print
    cross_latest: Seconds = 48600.0

    @model_validator(mode="after")
    def _cross_in_order(self) -> PostListing:
        if self.cross_earliest > self.cross_latest:
            raise ValueError("cross_earliest must not be later than cross_latest")
        return self


class PriceModel(Model):
    """Fundamental value and its market: `configs/prices/NAME.yaml`."""

    name: str = Field(pattern=NAME)
    company: CompanyClass
    volatility: Volatility
    jumps: Jumps
    drift: float = 0.0  # of the price, per year; 0 = martingale
    basis: BasisNoise = BasisNoise()
    post_listing: PostListing = PostListing()
    draws: dict[str, tuple[float, ...]] = {}  # parameter sets for `parameters: bootstrap`, see config/draws.py
    provenance: tuple[Provenance, ...] = ()

    _draws_fit = model_validator(mode="after")(checked_draws)


class Correlation(Model):
    """How the markets of a run hang together: one common factor of diffusion, a share of the jumps hits all at once."""

    diffusion: Fraction = 0.5  # of the Brownian parts, every pair
    common_jump_share: Annotated[float, Field(ge=0, lt=1)] = 0.3


# ---------------------------------------------------------------- liquidity
class Spread(Model):
    calm: NonNegative  # half spread, fraction of price
    event_multiplier: Positive


class Inventory(Model):
    """Depth falls to 0 as the book agent's net inventory reaches `limit` of open interest; it is worked off slowly."""

    limit: Positive


class Flash(Model):
    """Right after a shock makers withdraw; afterwards the book comes back with the refill half-life."""

    multiplier: Fraction
    duration: Seconds


class Stress(Model):
    event_multiplier: Fraction = 0.25
    event_half_life: Seconds = 14400.0
    flash: Flash = Flash(multiplier=0.10, duration=600.0)
    inventory: Inventory | None = None
    maker_recovery: Seconds = 86400.0  # half-life in which lost makers and inventory come back
    weekend_night_multiplier: Fraction = 0.5
    floor: Annotated[float, Field(gt=0, le=1)] = 0.10  # the multipliers' product never falls below it


class Liquidity(Model):
    """One book: depth(x) = depth_1pct (x/1 %)^shape, cumulative, per side: `configs/liquidity/NAME.yaml`."""

    name: str = Field(pattern=NAME)
    half_spread: Spread
    depth_1pct: Positive  # of open interest
    shape: Positive
    total_depth: Positive  # of open interest; beyond it nothing fills
    refill_half_life: Seconds
    permanent_share: Fraction
    impact_size: Positive = 0.0004  # of open interest: size of the impact-price probe
    trades_per_minute: Positive = 10.0
    stress: Stress = Stress()
    provenance: tuple[Provenance, ...] = ()

    @model_validator(mode="after")
    def _total_holds_first_percent(self) -> Liquidity:
        if self.total_depth < self.depth_1pct:
            raise ValueError("total_depth must be at least depth_1pct")
        return self
