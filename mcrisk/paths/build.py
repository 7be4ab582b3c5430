"""From configs to `PathParams`: the one entry that turns typed models into numbers a path can use."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import jax
import numpy as np

from mcrisk.config import prices as price_config
from mcrisk.config import scenario as config
from mcrisk.config.venue import Venue
from mcrisk.paths.grid import grid_tables
from mcrisk.paths.params import (
    LN2,
    NEVER,
    OVERNIGHT,
    SESSION_LENGTH,
    TRADING_DAYS,
    YEAR,
    BasisParams,
    BookParams,
    CalendarParams,
    EventTable,
    FeedParams,
    NewsParams,
    PathParams,
    PlanParams,
    ValueParams,
)

START = datetime(2026, 11, 20, tzinfo=UTC)
_NORMAL, _STUDENT = 0.0, 1.0


def params(
    prices: price_config.PriceModel,
    liquidity: price_config.Liquidity,
    scenario: config.Scenario,
    feed: config.FeedModel,
    venue: Venue,
    *,
    grid: config.Grid = config.Grid(),
    correlation: price_config.Correlation = price_config.Correlation(),
    start: datetime = START,
    restrike_every: float = 518_400.0,
    restrike_at_event: bool = True,
    last_window: float = 3600.0,
) -> PathParams:
    """Parameters of one market of one venue under one scenario.

    Args:
        start: UTC instant of time 0; sessions, weekends and funding boundaries follow it.
        restrike_every: seconds between re-strikes of a generated book; 0 = never (a book from a file).
        last_window: seconds before a settlement that count as its final window.

    Markets of a cell are stacked by `stack`; they must share the kind of volatility and the law of jumps.
    """
    tree = PathParams(
        value=_value(prices, correlation),
        basis=_basis(prices.basis),
        book=_book(liquidity),
        events=_events(scenario, liquidity),
        news=_news(scenario.information),
        plan=_plan(prices, liquidity, scenario, feed, venue, grid),
        feed=FeedParams(
            feed.recipe == "continuous",
            86400.0 / feed.updates_per_day,
            0.0 if feed.recipe == "continuous" else feed.noise_sd,
        ),
        calendar=_calendar(prices.post_listing, start),
        grid=grid_tables(grid),
        squeeze_size=scenario.squeeze.size,
        squeeze_revert=_decay(scenario.squeeze.revert_half_life),
        holding=restrike_every or NEVER,
        restrike_at_event=restrike_at_event,
        last_window=last_window,
        volatility=prices.volatility.kind,
        jumps=prices.jumps.law,
    )
    return jax.tree.map(_leaf, tree)


def stack(markets: list[PathParams]) -> PathParams:
    """Parameters of the markets of a cell with a leading market axis [M] on every leaf, grid tables included."""
    kinds = {(one.volatility, one.jumps) for one in markets}
    if len(kinds) > 1:
        raise ValueError(f"markets of one run must share the kinds of volatility and jumps, not {sorted(kinds)}")
    return jax.tree.map(lambda *leaves: np.stack(leaves), *markets)


def _leaf(value) -> np.ndarray:
    return np.asarray(value, np.bool_ if isinstance(value, (bool, np.bool_)) else np.float64)


def _decay(half_life: float) -> float:
    """Rate per second of a half-life; a half-life of 0 is 'at once' (finite, so that rate · 0 s stays 0)."""
    return LN2 / half_life if half_life > 0 else 1e9


def _value(prices: price_config.PriceModel, correlation: price_config.Correlation) -> ValueParams:
    vol, jumps, listed = prices.volatility, prices.jumps, prices.post_listing
    second = math.sqrt(YEAR)
    calm = stressed = share = switch = variance = kappa = xi = rho = 0.0
    if vol.kind == "two_regime":
        calm, stressed, share = vol.calm, vol.stressed, vol.share_of_time_stressed
        switch = 1.0 / (vol.mean_stay_stressed * (1.0 - share))  # leaving stress = switch · (1 − share)
    elif vol.kind == "heston":
        calm, variance = vol.long_run, vol.sigma0**2 / YEAR
        kappa, xi, rho = vol.kappa / YEAR, vol.xi / YEAR, vol.rho
    else:
        calm = vol.sigma
    if jumps.law == "kou":
        p_up, up, down = jumps.p_up, jumps.mean_up, jumps.mean_down
        compensator = p_up / (1.0 - up) + (1.0 - p_up) / (1.0 + down) - 1.0
    else:
        p_up, up, down = 0.0, jumps.mean, jumps.sd
        compensator = math.exp(up + 0.5 * down * down) - 1.0
    if listed.calendar == "us":
        in_session = (1.0 - listed.overnight_share_of_variance) / (TRADING_DAYS * SESSION_LENGTH)
        closed = listed.overnight_share_of_variance / (TRADING_DAYS * OVERNIGHT)
    else:
        in_session = closed = 1.0 / YEAR
    return ValueParams(
        drift=prices.drift / YEAR,
        calm=calm / second,
        stressed=stressed / second,
        share_stressed=share,
        switch_rate=switch,
        start_variance=variance,
        kappa=kappa,
        xi=xi,
        rho=rho,
        jump_rate=jumps.per_year / YEAR,
        jump_common=correlation.common_jump_share,
        jump_compensator=compensator,
        jump_p_up=p_up,
        jump_up=up,
        jump_down=down,
        factor=math.sqrt(correlation.diffusion),
        own=math.sqrt(1.0 - correlation.diffusion),
        listed_vol=listed.long_run_vol,
        listed_excess=listed.first_fortnight_vol / listed.long_run_vol - 1.0,
        listed_decay=_decay(listed.half_life),
        session_variance=in_session,
        closed_variance=closed,
    )


def _basis(basis: price_config.BasisNoise) -> BasisParams:
    return BasisParams(
        sd=basis.sd,
        decay=_decay(basis.half_life),
        sd_before=basis.sd_before_listing,
        before=basis.before_listing,
        sd_after=basis.sd_after_listing,
        decay_after=_decay(basis.half_life_after_listing),
    )


def _book(liquidity: price_config.Liquidity) -> BookParams:
    stress = liquidity.stress
    return BookParams(
        half_spread=liquidity.half_spread.calm,
        spread_excess=liquidity.half_spread.event_multiplier - 1.0,
        depth=liquidity.depth_1pct,
        power=1.0 / liquidity.shape,
        total=liquidity.total_depth,
        refill=_decay(liquidity.refill_half_life),
        permanent=liquidity.permanent_share,
        probe=liquidity.impact_size,
        trades=liquidity.trades_per_minute / 60.0,
        event_decay=_decay(stress.event_half_life),
        flash=stress.flash.multiplier,
        flash_for=stress.flash.duration,
        inventory_limit=stress.inventory.limit if stress.inventory else 1e9,
        recovery=_decay(stress.maker_recovery),
        thin_hours=stress.weekend_night_multiplier,
        floor=stress.floor,
    )


def _law(law) -> tuple[float, float, float, float, float, float]:
    """(kind, location, scale, dof, low, high) of a jump law."""
    if law.law == "student_t":
        return _STUDENT, law.location, law.scale, law.dof, 0.0, 1.0
    if law.law == "fixed":
        return _NORMAL, law.value, 0.0, 1.0, 0.25, 0.75
    low, high = (0.5 * math.erfc(-(cut - law.mean) / law.sd / math.sqrt(2.0)) for cut in (law.lo, law.hi))
    return _NORMAL, law.mean, law.sd, 1.0, low, high


def _events(scenario: config.Scenario, liquidity: price_config.Liquidity) -> EventTable:
    """One row per code of codes.py."""
    info, still = scenario.information, config.FixedLaw(law="fixed", value=0.0)
    quiet = config.After(depth=1.0)
    sure = config.Passing(pass_through=1.0, half_life=3600.0)
    rows = (
        (sure, quiet, still),
        (info.listing, scenario.listing.after, scenario.listing.jump),
        (info.delay, scenario.delay.after, scenario.delay.jump),
        (info.reset, scenario.reset.after, scenario.reset.down),
        (info.reset, scenario.reset.after, scenario.reset.up),
        (info.cancellation, scenario.cancellation.after, scenario.cancellation.jump),
        (info.rumour, quiet, still),
    )
    table = []
    for passing, after, law in rows:
        depth = liquidity.stress.event_multiplier if after.depth is None else after.depth
        table.append(
            (
                passing.pass_through,
                _decay(passing.half_life),
                after.volatility - 1.0,
                _decay(after.volatility_half_life),
                depth,
                1.0 if after.flash else 0.0,
                *_law(law),
            )
        )
    return EventTable(*(np.array(column, np.float64) for column in zip(*table)))


def _news(info: config.Information) -> NewsParams:
    sources = (info.listing, info.rumour, info.cancellation)
    return NewsParams(*(x for one in sources for x in (one.pass_through, _decay(one.half_life))))


def _scaled(probability: float, scenario: config.Scenario, grid: config.Grid) -> float:
    """A probability over the probability horizon as one over this horizon, at a constant hazard."""
    return 1.0 - (1.0 - probability) ** (grid.horizon / scenario.probability_horizon)


def _branches(scenario: config.Scenario, company: str, grid: config.Grid) -> np.ndarray:
    table = scenario.branches[company]
    shares = np.array([getattr(table, name) for name in config.BRANCHES])
    happening = 1.0 - shares[0]
    if happening > 0:
        shares[1:] *= _scaled(happening, scenario, grid) / happening
        shares[0] = 1.0 - shares[1:].sum()
    cumulative = np.cumsum(shares)
    cumulative[-1] = 1.0
    return cumulative


def _plan(prices, liquidity, scenario, feed, venue: Venue, grid: config.Grid) -> PlanParams:
    """Laws of the life cycle with the facts of the venue and the room the grid leaves."""
    times, listed, settlement = scenario.event_time, prices.post_listing, venue.settlement
    low, high = grid.pre_window, grid.horizon - grid.post_window
    start = min(max(times.lead, low), high)
    length = max(min(grid.horizon - times.tail, high) - start, 0.0)
    clock = _venue_clock(scenario.delay.venue_clock, venue.name)
    error, squeeze, revision, halt = scenario.feed_error, scenario.squeeze, scenario.share_count_revision, scenario.halt
    revision_law = _law(revision.log_ratio)
    publish = feed.after_event
    return PlanParams(
        branch=_branches(scenario, prices.company, grid),
        window_start=start,
        window_length=length,
        hazard=length / times.mean if times.mean else 0.0,
        fit_low=low,
        fit_high=high,
        lists=scenario.listing.probability[prices.company],
        snap=listed.calendar == "us",
        cross_start=listed.cross_earliest,
        cross_length=listed.cross_latest - listed.cross_earliest,
        delay_log=math.log(scenario.delay.length.median),
        delay_sigma=scenario.delay.length.sigma_log,
        clock=NEVER if clock is None else max(clock - scenario.delay.clock_at_start, 0.0),
        notice=settlement.notice,
        converts_after=NEVER if venue.instrument == "future" else settlement.converts_after_listing,
        expires_after=NEVER if settlement.expires_after_listing is None else settlement.expires_after_listing,
        error_probability=_scaled(error.probability.get(venue.index_type, 0.0), scenario, grid),
        error_weights=_padded([weight for _, weight in error.factors], 0.0).cumsum(),
        error_factors=_padded([factor for factor, _ in error.factors], 1.0),
        error_log=math.log(error.duration.median),
        error_sigma=error.duration.sigma_log,
        squeeze_probability=_scaled(squeeze.probability.get(liquidity.name, 0.0), scenario, grid),
        squeeze_up=squeeze.p_up,
        squeeze_for=squeeze.duration,
        squeeze_hold=squeeze.hold,
        fine=_fine_time(grid),
        approach=grid.pre_window,
        revision_probability=_scaled(revision.probability, scenario, grid),
        revision_mean=revision_law[1],
        revision_sd=revision_law[2],
        revision_low=revision_law[4],
        revision_high=revision_law[5],
        rebases=settlement.share_count_revision == "rebase",
        rebase_from=settlement.rebase_min_change,
        halt_probability=halt.probability,
        halt_after=halt.starts_after,
        halt_for=halt.duration,
        publish_log=math.log(max(publish.median, 1.0)),
        publish_sigma=publish.sigma_log,
    )


def _venue_clock(clocks: dict[str, float], venue: str) -> float | None:
    """The clock of a venue; an entry also holds for profiles that extend its name (tradexyz-ipop-spcx)."""
    fitting = [name for name in clocks if venue == name or venue.startswith(name + "-")]
    return clocks[max(fitting, key=len)] if fitting else None


def _padded(values: list[float], fill: float, size: int = 8) -> np.ndarray:
    """A table of fixed size, so that scenarios with fewer outcomes reuse the compiled program."""
    if len(values) > size:
        raise ValueError(f"at most {size} feed error factors, not {len(values)}")
    return np.array(values + [fill] * (size - len(values)), np.float64)


def _fine_time(grid: config.Grid) -> float:
    """Seconds after the event in steps of at most five minutes; overlays of a path with an event start there."""
    total = 0.0
    for segment in grid.event:
        if total and segment.duration / segment.steps > 300.0:
            break
        total += segment.duration
    return total


def _calendar(listed: price_config.PostListing, start: datetime) -> CalendarParams:
    """New York's offset from UTC is that of `start`; a clock change within a run is not followed."""
    begin = start if start.tzinfo else start.replace(tzinfo=UTC)
    offset = begin.astimezone(ZoneInfo("America/New_York")).utcoffset() or timedelta(0)
    return CalendarParams(begin.timestamp(), offset.total_seconds(), listed.calendar == "always")
