"""What may happen to a company and to a book: price models, liquidity, life-cycle scenarios, feeds, time grids.

Units: seconds (``30min`` may be written), log prices for jumps, annual volatility on a 365 d clock before listing,
fractions of one-sided open interest for depth and flows, probabilities per `probability_horizon` (30 d).
The numbers that ship stand in `configs/{prices,liquidity,scenarios,grids}/` with their provenance; the defaults below
are those of `configs/scenarios/baseline.yaml`, on which the other scenarios build (`base: baseline`).
"""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field, model_validator

from mcrisk.config.base import Fraction, Model, NonNegative, Positive, Seconds

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
CompanyClass = Literal["near", "far", "token"]
# Branch labels in the order of their codes (mcrisk.paths.lifecycle); company-level and mutually exclusive.
BRANCHES = ("orderly", "delay", "reset_down", "reset_up", "cancel")


class Provenance(Model):
    """Where the number under a dotted path comes from, and the range a sensitivity run should sweep."""

    field: str
    source: str
    marker: Literal["found", "venue-rules", "seed", "derived", "calibrated", "memory", "assumption"]
    range: tuple[float, float] | None = None
    assumption: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _assumption_has_note(self) -> "Provenance":
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
    long_run: Positive             # long-run volatility, theta = long_run²
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


Volatility = Annotated[
    Union[ConstantVolatility, HestonVolatility, TwoRegimeVolatility], Field(discriminator="kind")
]


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


Jumps = Annotated[Union[MertonJumps, KouJumps], Field(discriminator="law")]


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
    half_life: Seconds = 14 * 86400.0          # 10 sessions
    overnight_share_of_variance: Fraction = 0.35
    calendar: Literal["us", "always"] = "us"   # when a spot price exists
    cross_earliest: Seconds = 39600.0          # local time of day of the first print
    cross_latest: Seconds = 48600.0

    @model_validator(mode="after")
    def _cross_in_order(self) -> "PostListing":
        if self.cross_earliest > self.cross_latest:
            raise ValueError("cross_earliest must not be later than cross_latest")
        return self


class PriceModel(Model):
    """Fundamental value and its market: `configs/prices/NAME.yaml`."""

    name: str = Field(pattern=NAME)
    company: CompanyClass
    volatility: Volatility
    jumps: Jumps
    drift: float = 0.0                         # of the price, per year; 0 = martingale
    basis: BasisNoise = BasisNoise()
    post_listing: PostListing = PostListing()
    provenance: tuple[Provenance, ...] = ()


# ---------------------------------------------------------------- liquidity
class Spread(Model):
    calm: NonNegative                          # half spread, fraction of price
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
    maker_recovery: Seconds = 86400.0          # half-life in which lost makers and inventory come back
    weekend_night_multiplier: Fraction = 0.5
    floor: Annotated[float, Field(gt=0, le=1)] = 0.02   # the multipliers' product never falls below it


class Liquidity(Model):
    """One book: depth(x) = depth_1pct (x/1 %)^shape, cumulative, per side: `configs/liquidity/NAME.yaml`."""

    name: str = Field(pattern=NAME)
    half_spread: Spread
    depth_1pct: Positive                       # of open interest
    shape: Positive
    total_depth: Positive                      # of open interest; beyond it nothing fills
    refill_half_life: Seconds
    permanent_share: Fraction
    impact_size: Positive = 0.0004             # of open interest: size of the impact-price probe
    trades_per_minute: Positive = 10.0
    stress: Stress = Stress()
    provenance: tuple[Provenance, ...] = ()

    @model_validator(mode="after")
    def _total_holds_first_percent(self) -> "Liquidity":
        if self.total_depth < self.depth_1pct:
            raise ValueError("total_depth must be at least depth_1pct")
        return self


# ---------------------------------------------------------------- laws
class NormalLaw(Model):
    """Normal, optionally cut to [lo, hi]."""

    law: Literal["truncated_normal", "normal"]
    mean: float
    sd: Positive
    lo: float = -50.0
    hi: float = 50.0

    @model_validator(mode="after")
    def _interval(self) -> "NormalLaw":
        if self.lo >= self.hi:
            raise ValueError("lo must be below hi")
        if (self.lo - self.mean) / self.sd > 8 or (self.mean - self.hi) / self.sd > 8:
            raise ValueError("[lo, hi] holds practically none of the normal's mass")
        return self


class StudentLaw(Model):
    law: Literal["student_t"]
    dof: Annotated[float, Field(ge=1)]
    location: float
    scale: Positive


class LognormalLaw(Model):
    law: Literal["lognormal"]
    median: Seconds
    sigma_log: NonNegative


class FixedLaw(Model):
    law: Literal["fixed"]
    value: float


JumpLaw = Annotated[Union[NormalLaw, StudentLaw, FixedLaw], Field(discriminator="law")]


# ---------------------------------------------------------------- valuation feed
class Publication(Model):
    """Discrete updates: so many a day, and one some time after a public event (the regular ones wait for it)."""

    updates_per_day: Positive
    after_event: LognormalLaw
    noise_sd: NonNegative


class FeedModel(Model):
    """How value reaches a synthetic index. Smoothing and speed limits are the venue's index rule.

    `recipe` picks one of the three; all three are run and the worst is shown, because no venue publishes its own.
    """

    recipe: Literal["published", "continuous", "stale"] = "published"
    published: Publication = Publication(
        updates_per_day=1.0, noise_sd=0.01, after_event=LognormalLaw(law="lognormal", median=1800.0, sigma_log=1.0))
    stale: Publication = Publication(
        updates_per_day=1.0, noise_sd=0.01, after_event=LognormalLaw(law="lognormal", median=43200.0, sigma_log=0.0))


# ---------------------------------------------------------------- scenario
class Passing(Model):
    """Share of a value jump that reaches the market mid at once; the rest follows with this half-life."""

    pass_through: Fraction
    half_life: Seconds


class Information(Model):
    listing: Passing = Passing(pass_through=0.95, half_life=900.0)
    delay: Passing = Passing(pass_through=0.7, half_life=3600.0)
    reset: Passing = Passing(pass_through=0.6, half_life=7200.0)
    cancellation: Passing = Passing(pass_through=0.9, half_life=900.0)
    rumour: Passing = Passing(pass_through=0.4, half_life=21600.0)


class After(Model):
    """What an event leaves behind. `depth` empty: the liquidity model's own event multiplier."""

    volatility: Positive = 1.0
    volatility_half_life: Seconds = 86400.0
    depth: Fraction | None = None
    flash: bool = False


class Listing(Model):
    """The conversion jump: log(first external print / last perp price before the cross)."""

    jump: JumpLaw = StudentLaw(law="student_t", dof=4.0, location=-0.03, scale=0.05)
    after: After = After()
    probability: dict[CompanyClass, Fraction] = {"near": 1.0, "far": 0.0, "token": 1.0}   # on the orderly branch


class Delay(Model):
    jump: JumpLaw = NormalLaw(law="truncated_normal", mean=-0.12, sd=0.10, lo=-0.60, hi=0.15)
    length: LognormalLaw = LognormalLaw(law="lognormal", median=140 * 86400.0, sigma_log=1.0)
    after: After = After(volatility=2.0, depth=0.5)
    # By venue: a market still unlisted after this time may be settled; `clock_at_start` of it has passed at time 0.
    venue_clock: dict[str, Seconds] = {}
    clock_at_start: Seconds = 0.0


class Reset(Model):
    down: JumpLaw = NormalLaw(law="truncated_normal", mean=-0.45, sd=0.25, lo=-1.6, hi=-0.10)
    up: JumpLaw = NormalLaw(law="truncated_normal", mean=0.35, sd=0.20, lo=0.05, hi=1.10)
    after: After = After(volatility=2.0, depth=0.25, flash=True)


class Cancellation(Model):
    """Announced → notice of the venue → settled. The value jump is the company's; the market heads for the settlement price."""

    jump: JumpLaw = NormalLaw(law="truncated_normal", mean=-0.35, sd=0.30, lo=-1.6, hi=0.3)
    after: After = After(volatility=3.0, depth=0.10)


class FeedError(Model):
    """A unit error of the index input: factor for a while. Probability by the venue's index type."""

    probability: dict[Literal["feed_based", "self_referential"], Fraction] = {
        "feed_based": 0.0, "self_referential": 0.0}
    factors: tuple[tuple[Positive, Fraction], ...] = ((0.2, 0.5), (0.1, 0.1), (5.0, 0.1), (0.909, 0.3))
    duration: LognormalLaw = LognormalLaw(law="lognormal", median=1800.0, sigma_log=0.7)

    @model_validator(mode="after")
    def _weights(self) -> "FeedError":
        total = sum(weight for _, weight in self.factors)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"feed error weights sum to {total:g}, not 1")
        return self


class Squeeze(Model):
    """An aggressor clears a thin book, holds the price, lets go. Probability by liquidity model (name)."""

    probability: dict[str, Fraction] = {}
    size: Fraction = 0.10                      # of open interest
    duration: Annotated[Seconds, Field(gt=0)] = 120.0
    p_up: Fraction = 0.8
    hold: Seconds = 600.0
    revert_half_life: Seconds = 1800.0


class Revision(Model):
    """Share-count revision before listing; what a venue does about it stands in its profile."""

    probability: Fraction = 0.3
    log_ratio: NormalLaw = NormalLaw(law="normal", mean=0.08, sd=0.06)


class Halt(Model):
    """A venue stops the market after the main event (none shipped)."""

    probability: Fraction = 0.0
    starts_after: Seconds = 0.0
    duration: Seconds = 1800.0


class Branches(Model):
    """Probabilities of the company's branches over the probability horizon."""

    orderly: Fraction = 1.0
    delay: Fraction = 0.0
    reset_down: Fraction = 0.0
    reset_up: Fraction = 0.0
    cancel: Fraction = 0.0

    @model_validator(mode="after")
    def _sums_to_one(self) -> "Branches":
        total = sum(getattr(self, name) for name in BRANCHES)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"branch probabilities sum to {total:g}, not 1")
        return self


class EventTime(Model):
    """When the main event falls: inside [lead, horizon − tail], uniform, or with a constant hazard (mean in seconds)."""

    lead: Seconds = 1.5 * 86400.0
    tail: Seconds = 3.5 * 86400.0
    mean: Seconds | None = None


class Scenario(Model):
    """What happens: `configs/scenarios/NAME.yaml`."""

    name: str = Field(pattern=NAME)
    label: str
    branches: dict[CompanyClass, Branches] = {"near": Branches(), "far": Branches(), "token": Branches()}
    probability_horizon: Annotated[Seconds, Field(gt=0)] = 30 * 86400.0
    event_time: EventTime = EventTime()
    information: Information = Information()
    listing: Listing = Listing()
    delay: Delay = Delay()
    reset: Reset = Reset()
    cancellation: Cancellation = Cancellation()
    feed_error: FeedError = FeedError()
    squeeze: Squeeze = Squeeze()
    share_count_revision: Revision = Revision()
    halt: Halt = Halt()
    feed: FeedModel = FeedModel()
    provenance: tuple[Provenance, ...] = ()

    @model_validator(mode="after")
    def _all_classes(self) -> "Scenario":
        for table, where in ((self.branches, "branches"), (self.listing.probability, "listing.probability")):
            missing = {"near", "far", "token"} - set(table)
            if missing:
                raise ValueError(f"{where} lacks {', '.join(sorted(missing))}")
        return self


# ---------------------------------------------------------------- time grid
class Segment(Model):
    """`steps` equal steps over `duration`."""

    duration: Annotated[Seconds, Field(gt=0)]
    steps: Annotated[int, Field(ge=1)]


class Grid(Model):
    """Coarse – fine around the main event – coarse; every path has the same number of steps: `configs/grids/NAME.yaml`."""

    name: str = Field("default", pattern=NAME)
    horizon: Annotated[Seconds, Field(gt=0)] = 30 * 86400.0
    before: Annotated[int, Field(ge=1)] = 75                # coarse steps before the zoom
    approach: tuple[Segment, ...] = (
        Segment(duration=10800.0, steps=9), Segment(duration=600.0, steps=5))
    event: tuple[Segment, ...] = (
        Segment(duration=2400.0, steps=40), Segment(duration=19200.0, steps=64),
        Segment(duration=32400.0, steps=36), Segment(duration=118800.0, steps=33))
    after: Annotated[int, Field(ge=1)] = 38                 # coarse steps after the zoom
    provenance: tuple[Provenance, ...] = ()

    @property
    def pre_window(self) -> float:
        """Seconds of fine steps before the event."""
        return sum(segment.duration for segment in self.approach)

    @property
    def post_window(self) -> float:
        """Seconds of fine steps after the event."""
        return sum(segment.duration for segment in self.event)

    @property
    def steps(self) -> int:
        """Steps after row 0, on every path."""
        return self.before + self.after + sum(s.steps for s in self.approach + self.event)

    @model_validator(mode="after")
    def _fits(self) -> "Grid":
        if not self.approach or not self.event:
            raise ValueError("approach and event need at least one segment each")
        if self.pre_window + self.post_window >= self.horizon:
            raise ValueError(
                f"the fine steps span {self.pre_window + self.post_window:g} s, the horizon only {self.horizon:g} s;"
                " lengthen the horizon or shorten the segments")
        return self
