"""Everything a path depends on, as one pytree of float64 arrays; `build.params` fills it from the configs, on the host.

Only two choices are static (they decide what is compiled): the kind of volatility and the law of the jumps. All numbers
are leaves, so sweeps and scenarios reuse one compiled program. Seconds, log prices; rates are per second; variances
are turned from years into seconds here, so that the step multiplies only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from mcrisk.paths.grid import GridTables

YEAR = 365.0 * 86400.0
TRADING_DAYS = 252.0
SESSION_OPEN, SESSION_LENGTH = 34_200.0, 23_400.0  # New York, 09:30 for 6.5 h
OVERNIGHT = 365.0 * 86400.0 / TRADING_DAYS - SESSION_LENGTH
LN2 = math.log(2.0)
NEVER = 1e18  # a time after every horizon; finite, so differences stay numbers


class ValueParams(NamedTuple):
    """Fundamental value. Variances per second, jump rate per second, the compensator makes drift the price's."""

    drift: Any  # per second
    calm: Any  # volatility per sqrt(second): constant sigma, calm regime, or long-run (Heston)
    stressed: Any
    share_stressed: Any
    switch_rate: Any  # sum of both switching rates
    start_variance: Any  # Heston, per second
    kappa: Any  # Heston, per second
    xi: Any  # Heston, per second
    rho: Any
    jump_rate: Any
    jump_common: Any  # share of jumps common to all markets
    jump_compensator: Any  # E[exp(jump) − 1]
    jump_p_up: Any  # Kou
    jump_up: Any  # Kou mean up, Merton mean
    jump_down: Any  # Kou mean down, Merton sd
    factor: Any  # loading on the common normal, sqrt(correlation)
    own: Any  # sqrt(1 − correlation)
    listed_vol: Any  # annual long-run volatility of the listed share
    listed_excess: Any  # first days: relative excess over it
    listed_decay: Any  # per second
    session_variance: Any  # share of annual variance per second of session
    closed_variance: Any  # … per second outside


class BasisParams(NamedTuple):
    sd: Any
    decay: Any
    sd_before: Any
    before: Any
    sd_after: Any
    decay_after: Any


class BookParams(NamedTuple):
    """Liquidity; shares of one-sided open interest, decays per second."""

    half_spread: Any
    spread_excess: Any  # event multiplier − 1
    depth: Any
    power: Any  # 1 / shape
    total: Any
    refill: Any
    permanent: Any
    probe: Any  # size of the impact price
    trades: Any  # per second
    event_decay: Any
    flash: Any  # multiplier
    flash_for: Any
    inventory_limit: Any
    recovery: Any
    thin_hours: Any  # multiplier on weekends and nights
    floor: Any


class EventTable(NamedTuple):
    """One row per event code (codes.py): arrays [codes.COUNT]."""

    passing: Any  # share of the jump that reaches the mid at once
    decay: Any  # of the rest, per second
    vol_excess: Any
    vol_decay: Any
    depth: Any  # multiplier right after the event
    flash: Any  # 1 where makers withdraw at first
    law: Any  # 0 (truncated) normal or fixed, 1 Student t
    location: Any
    scale: Any
    dof: Any
    low: Any  # normal probabilities at the cuts
    high: Any


class NewsParams(NamedTuple):
    """Pass-through and decay of news other than the plan's main event (whose numbers are in the plan)."""

    listing: Any
    listing_decay: Any
    rumour: Any
    rumour_decay: Any
    cancellation: Any
    cancellation_decay: Any


class PlanParams(NamedTuple):
    """Laws of the life cycle; probabilities are already those of this horizon."""

    branch: Any  # cumulative, [5]
    window_start: Any
    window_length: Any
    hazard: Any  # window length / mean; 0 = uniform
    fit_low: Any  # the zoom fits between these
    fit_high: Any
    lists: Any  # probability on the orderly branch
    snap: Any  # bool: the first print falls on a trading day at crossing time
    cross_start: Any  # local seconds of the day
    cross_length: Any
    delay_log: Any
    delay_sigma: Any
    clock: Any  # a delayed market still unlisted by then is settled
    notice: Any
    converts_after: Any  # NEVER for futures
    expires_after: Any  # NEVER for perpetuals
    error_probability: Any
    error_weights: Any  # cumulative, [4]
    error_factors: Any  # [4]
    error_log: Any
    error_sigma: Any
    squeeze_probability: Any
    squeeze_up: Any
    squeeze_for: Any
    squeeze_hold: Any
    fine: Any  # seconds of fine steps after the event
    approach: Any  # seconds of fine steps before it
    revision_probability: Any
    revision_mean: Any
    revision_sd: Any
    revision_low: Any
    revision_high: Any
    rebases: Any  # bool: the venue rebases
    rebase_from: Any  # smallest |ratio − 1| it rebases for
    halt_probability: Any
    halt_after: Any
    halt_for: Any
    publish_log: Any
    publish_sigma: Any


class FeedParams(NamedTuple):
    continuous: Any  # bool
    period: Any
    noise: Any


class CalendarParams(NamedTuple):
    epoch: Any  # UTC seconds of time 0
    zone: Any  # local = UTC + zone
    always: Any  # bool: spot trades around the clock


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PathParams:
    """Parameters of one market of one venue under one scenario; scalars, or [M] after stacking."""

    value: ValueParams
    basis: BasisParams
    book: BookParams
    events: EventTable
    news: NewsParams
    plan: PlanParams
    feed: FeedParams
    calendar: CalendarParams
    grid: GridTables
    squeeze_size: Any
    squeeze_revert: Any  # per second
    holding: Any  # re-strike period, seconds; NEVER = not re-struck
    restrike_at_event: Any  # bool
    last_window: Any  # seconds before a settlement that count as its final window
    volatility: str = field(metadata={"static": True})
    jumps: str = field(metadata={"static": True})
