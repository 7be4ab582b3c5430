"""What may happen to a company and its markets: life-cycle scenarios, valuation feeds, time grids.

Units: seconds (``30min`` may be written), log prices for jumps, probabilities per `probability_horizon` (30 d).
The numbers that ship stand in `configs/{prices,liquidity,scenarios,feeds,grids}/` with their provenance; the defaults
below are those of `configs/scenarios/baseline.yaml`, on which the other scenarios build (`base: baseline`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mcrisk.config.base import Fraction, Model, NonNegative, Positive, Seconds
from mcrisk.config.draws import checked_draws
from mcrisk.config.prices import NAME, CompanyClass, Correlation, Liquidity, PriceModel, Provenance

__all__ = ["Correlation", "Liquidity", "PriceModel", "Scenario", "FeedModel", "Grid", "Provenance", "BRANCHES"]

# Branch labels in the order of their codes (mcrisk.paths.lifecycle); company-level and mutually exclusive.
BRANCHES = ("orderly", "delay", "reset_down", "reset_up", "cancel")


# ---------------------------------------------------------------- laws
class NormalLaw(Model):
    """Normal, optionally cut to [lo, hi]."""

    law: Literal["truncated_normal", "normal"]
    mean: float
    sd: Positive
    lo: float = -50.0
    hi: float = 50.0

    @model_validator(mode="after")
    def _interval(self) -> NormalLaw:
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


JumpLaw = Annotated[NormalLaw | StudentLaw | FixedLaw, Field(discriminator="law")]


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
    probability: dict[CompanyClass, Fraction] = {"near": 1.0, "far": 0.0, "token": 1.0}  # on the orderly branch


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
    """Announced → notice of the venue → settled. Value jumps; the market heads for the settlement price."""

    jump: JumpLaw = NormalLaw(law="truncated_normal", mean=-0.35, sd=0.30, lo=-1.6, hi=0.3)
    after: After = After(volatility=3.0, depth=0.10)


class FeedError(Model):
    """A unit error of the index input: factor for a while. Probability by the venue's index type."""

    probability: dict[Literal["feed_based", "self_referential"], Fraction] = {
        "feed_based": 0.0,
        "self_referential": 0.0,
    }
    factors: tuple[tuple[Positive, Fraction], ...] = ((0.2, 0.5), (0.1, 0.1), (5.0, 0.1), (0.909, 0.3))
    duration: LognormalLaw = LognormalLaw(law="lognormal", median=1800.0, sigma_log=0.7)

    @model_validator(mode="after")
    def _weights(self) -> FeedError:
        total = sum(weight for _, weight in self.factors)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"feed error weights sum to {total:g}, not 1")
        return self


class Squeeze(Model):
    """An aggressor clears a thin book, holds the price, lets go. Probability by liquidity model (name)."""

    probability: dict[str, Fraction] = {"made": 0.0, "thin": 0.0}
    size: Fraction = 0.10  # of open interest
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
    def _sums_to_one(self) -> Branches:
        total = sum(getattr(self, name) for name in BRANCHES)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"branch probabilities sum to {total:g}, not 1")
        return self


class EventTime(Model):
    """When the main event falls: in [lead, horizon − tail], uniform, or with a constant hazard (mean in seconds)."""

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
    feed: str = "published"  # default feed recipe, by name
    draws: dict[str, tuple[float, ...]] = {}  # parameter sets for `parameters: bootstrap`, see config/draws.py
    provenance: tuple[Provenance, ...] = ()

    _draws_fit = model_validator(mode="after")(checked_draws)

    @model_validator(mode="after")
    def _all_classes(self) -> Scenario:
        for table, where in ((self.branches, "branches"), (self.listing.probability, "listing.probability")):
            missing = {"near", "far", "token"} - set(table)
            if missing:
                raise ValueError(f"{where} lacks {', '.join(sorted(missing))}")
        return self


# ---------------------------------------------------------------- valuation feed
class FeedModel(Model):
    """How value reaches a synthetic index: `configs/feeds/NAME.yaml`. Smoothing and speed limits are the venue's.

    Discrete recipes update so many times a day, and once some time after a public event; the regular updates wait
    for that one. No venue publishes its recipe, so all three are run and the worst is shown.
    """

    name: str = Field(pattern=NAME)
    recipe: Literal["published", "continuous", "stale"]
    updates_per_day: Positive = 1.0
    after_event: LognormalLaw = LognormalLaw(law="lognormal", median=1800.0, sigma_log=1.0)
    noise_sd: NonNegative = 0.01
    provenance: tuple[Provenance, ...] = ()


# ---------------------------------------------------------------- time grid
class Segment(Model):
    """`steps` equal steps over `duration`."""

    duration: Annotated[Seconds, Field(gt=0)]
    steps: Annotated[int, Field(ge=1)]


class Grid(Model):
    """Coarse – fine around the main event – coarse; as many steps on every path: `configs/grids/NAME.yaml`."""

    name: str = Field("coarse", pattern=NAME)
    horizon: Annotated[Seconds, Field(gt=0)] = 30 * 86400.0
    before: Annotated[int, Field(ge=1)] = 75  # coarse steps before the zoom
    approach: tuple[Segment, ...] = (Segment(duration=10800.0, steps=9), Segment(duration=600.0, steps=5))
    event: tuple[Segment, ...] = (
        Segment(duration=2400.0, steps=40),
        Segment(duration=19200.0, steps=64),
        Segment(duration=32400.0, steps=36),
        Segment(duration=118800.0, steps=33),
    )
    after: Annotated[int, Field(ge=1)] = 38  # coarse steps after the zoom
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
    def _fits(self) -> Grid:
        if not self.approach or not self.event:
            raise ValueError("approach and event need at least one segment each")
        if self.pre_window + self.post_window >= self.horizon:
            raise ValueError(
                f"the fine steps span {self.pre_window + self.post_window:g} s, the horizon only {self.horizon:g} s;"
                " lengthen the horizon or shorten the segments"
            )
        return self
