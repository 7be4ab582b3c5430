"""Which prices a venue looks at, as data: index or oracle, price limits, mark, and the funding that follows from them.

One model per rule kind; `config/venue.py` puts one of each into a phase. Units and sources as there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mcrisk.config.base import Fraction, Model, NonNegative, Positive, Seconds


# ---------------------------------------------------------------- index / oracle
class SmoothedFeedIndex(Model):
    """Kraken PreMarket Synthetic: exponential smoothing of a valuation feed, with a speed limit."""

    kind: Literal["smoothed_feed"]
    ema: Seconds = 600.0
    max_move_per_minute: Positive = 0.01


class ImpactEwmaIndex(Model):
    """trade.xyz internal oracle: EWMA driven by the impact price difference."""

    kind: Literal["impact_ewma"]
    tau: Seconds = 1800.0
    max_step_of_tau: Fraction = 0.1


class LastTradeIndex(Model):
    """The contract's own last trade (OKX, Binance before listing); `spot_from` names when the external feed takes over."""

    kind: Literal["last_trade"]
    spot_from: Literal["listed", "converted"] = "listed"


class MarkEwmaIndex(Model):
    """Hyperps: exponentially weighted mean of the minutely marks of one day, capped at a multiple of the initial mark."""

    kind: Literal["mark_ewma"]
    decay_minutes: Positive = 480.0
    window_minutes: int = Field(1440, ge=1, le=1440)
    cap_multiple: Positive = 4.0


class BlendIndex(Model):
    """Ventuals: a fixed mix of an off-chain feed and an EMA of the venue's own mark."""

    kind: Literal["blend"]
    external_weight: Fraction = 0.5
    ema: Seconds = 28800.0


class ExternalIndex(Model):
    """A spot index; outside its session `fallback` holds the last value or runs the impact EWMA."""

    kind: Literal["external"]
    fallback: Literal["hold", "impact_ewma"] = "hold"
    tau: Seconds = 1800.0
    max_step_of_tau: Fraction = 0.1


Index = Annotated[
    SmoothedFeedIndex | ImpactEwmaIndex | LastTradeIndex | MarkEwmaIndex | BlendIndex | ExternalIndex,
    Field(discriminator="kind"),
]


# ---------------------------------------------------------------- price limits / discovery bounds
class NoLimits(Model):
    kind: Literal["none"]


class DiscoveryBounds(Model):
    """trade.xyz: mark inside reference·(1 ± bound); the reference re-anchors when the oracle touches a trigger."""

    kind: Literal["discovery_bounds"]
    bound: Fraction
    trigger: Fraction = 0.9
    max_resets: int = Field(ge=0)
    # what the reference starts from: the launch price, or every fresh external price (which also clears the counters)
    anchor: Literal["initial", "external"] = "initial"
    repeat_within_row: bool = True
    oracle_stops_at_cap: bool = True
    limits_orders: bool = True


class OkxLimits(Model):
    """OKX standard limits from index, half-band Y, outer band Z and the mean premium; X in the first minutes."""

    kind: Literal["okx_limits"]
    x: Fraction = 0.02
    y: Fraction = 0.02
    z: Fraction = 0.05
    opening: Seconds = 600.0
    average: Seconds = 120.0
    premium_of: Literal["mid", "last"] = "mid"
    # the index the band stands on; null = the previous row's while the phase's index is the last trade, else the row's
    reference: Literal["index", "previous_index", "previous_until_listed"] | None = None
    # limits around the contract's own last trade compound in rows that are longer
    recompute: Annotated[Seconds, Field(gt=0.0)] = 5.0
    limits_orders: bool = True


class MidBand(Model):
    """OKX pre-launch futures: ± band around the one-minute mean mid; ± final_band of the index in the final window."""

    kind: Literal["mid_band"]
    band: Fraction = 0.15
    average: Seconds = 60.0
    final_band: Fraction = 0.05
    final_window: Seconds = 3600.0
    # which index the final band stands on; empty = by the index kind, as in OkxLimits
    reference: Literal["index", "previous_index", "previous_until_listed"] | None = None
    limits_orders: bool = True


Limits = Annotated[
    NoLimits | DiscoveryBounds | OkxLimits | MidBand, Field(discriminator="kind")
]


# ---------------------------------------------------------------- mark
class IndexBandMark(Model):
    """Kraken pre-IPO: the mid, held within a band around the index."""

    kind: Literal["index_band"]
    band: Fraction = 0.0025


class Median3Mark(Model):
    """Hyperliquid family: median(third, oracle + EMA(mid − oracle), median(bid, ask, last)) with speed limits.

    `third`: the oracle itself (trade.xyz), or an EMA of median(bid, ask, last) over `book_ema` (Hyperliquid's own markets
    while no other exchange has a perpetual).
    """

    kind: Literal["median3"]
    third: Literal["oracle", "book_ema"] = "oracle"
    ema: Seconds = 150.0
    book_ema: Seconds = 30.0
    relayer_step: NonNegative = 0.0      # 0 = no relayer clamp
    relayer_interval: Seconds = 3.0
    protocol_step: NonNegative = 0.0     # 0 = no protocol clamp
    protocol_interval: Seconds = 2.5
    bound_first: bool = True
    cap_over_mark_ema: NonNegative = 0.0  # 0 = no cap; hyperps 3 × the 8 h EMA of the mark
    mark_ema: Seconds = 28800.0


class MidAverageMark(Model):
    """OKX pre-market: moving average of the mid, clamped to the price limits."""

    kind: Literal["mid_average"]
    average: Seconds = 60.0


class MidToIndexMark(Model):
    """OKX pre-launch futures: MA(mid) → blend → index + MA(mid − index) during the transition after listing."""

    kind: Literal["mid_to_index"]
    average: Seconds = 60.0
    transition: Seconds = 3600.0


class IndexBasisMark(Model):
    """Index + moving average of (mid − index): OKX and Kraken standard perpetuals. `of` picks mid or impact mid."""

    kind: Literal["index_basis"]
    average: Seconds = 60.0
    form: Literal["window", "ema"] = "window"
    of: Literal["mid", "impact_mid"] = "mid"
    band: NonNegative = 0.0              # 0 = none, else |mark/index − 1| ≤ band


class TradeMeanMark(Model):
    """Binance pre-market: mean of the trades of the last seconds, limited per second."""

    kind: Literal["trade_mean"]
    window: Seconds = 10.0
    sparse_below: int = Field(21, ge=1)
    sparse_last: int = Field(20, ge=1, le=100)
    # rows with trades that are remembered, at least `sparse_last`; a replay remembers as many as its rows need
    tape: int = Field(24, ge=1)
    max_change_per_second: Positive = 0.01


class MedianPremiumMark(Model):
    """Binance standard: median(index·(1 + funding·time left/interval), index + MA(premium), last), inside a band."""

    kind: Literal["median_premium"]
    average: Seconds = 30.0
    band: NonNegative = 0.05
    max_change_per_second: NonNegative = 0.0   # 0 = no speed limit


Mark = Annotated[
    IndexBandMark | Median3Mark | MidAverageMark | MidToIndexMark | IndexBasisMark | TradeMeanMark | MedianPremiumMark,
    Field(discriminator="kind"),
]


# ---------------------------------------------------------------- funding
class NoFunding(Model):
    kind: Literal["none"]


class FlatFunding(Model):
    """A fixed rate paid by longs to shorts every interval."""

    kind: Literal["flat"]
    rate: float
    interval: Seconds = 14400.0
    basis: Literal["oracle", "mark"] = "mark"


class ClampedPremiumFunding(Model):
    """rate = multiplier·(avgP + clamp(interest − avgP, ±clamp))/divisor, capped; Hyperliquid, trade.xyz, OKX, Binance."""

    kind: Literal["clamped_premium"]
    interest: float = 1e-4                # per formula period (8 h)
    clamp: NonNegative = 5e-4
    multiplier: NonNegative = 1.0
    scales: Literal["all", "premium"] = "all"   # the multiplier scales the whole formula or the premium samples only
    divisor: Positive = 8.0
    interval: Seconds = 3600.0
    cap: Positive = 0.04                  # per interval
    premium: Literal["impact", "hip3", "mid"] = "impact"
    basis: Literal["oracle", "mark"] = "oracle"


class PreviousHourFunding(Model):
    """Kraken: the mean premium of the previous interval over a divisor, capped; the first interval pays nothing."""

    kind: Literal["previous_interval"]
    divisor: Positive = 24.0
    interval: Seconds = 3600.0
    cap: Positive = 0.005
    premium: Literal["mid", "mark", "impact", "hip3"] = "mid"
    basis: Literal["oracle", "mark"] = "mark"


Funding = Annotated[
    NoFunding | FlatFunding | ClampedPremiumFunding | PreviousHourFunding, Field(discriminator="kind")
]
