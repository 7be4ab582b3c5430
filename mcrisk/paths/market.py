"""One row of one market on one path: events due, value, market mid, book, feed. Pure functions of scalars.

    mid = value · exp(information lag + basis noise + permanent + book displacement)

A jump of value reaches the mid by `pass_through` at once; the rest is the lag, which dies with the event's half-life.
At the listing the first external print is the last perp price times exp(listing jump): value *becomes* that print and
the basis starts again from nothing. After the announcement of a cancellation the market no longer heads for value but
for the settlement price the venue is expected to use.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from mcrisk.paths import codes
from mcrisk.paths.feed import Seen, index_factor, observe, session
from mcrisk.paths.grid import Clock
from mcrisk.paths.lifecycle import Plan
from mcrisk.paths.liquidity import Book, Mood, evolve
from mcrisk.paths.params import PathParams
from mcrisk.paths.state import Draws, Due, Hints, PathState, decay, due
from mcrisk.paths.value import diffuse
from mcrisk.rules.branch import choose
from mcrisk.rules.types import NO_SETTLE, BookSide, Row


def start(params: PathParams, plan: Plan, initial_price: Any, open_interest: Any) -> PathState:
    """The state before row 0.

    Args:
        initial_price: quote currency; value, mid and feed start there.
        open_interest: one-sided, quote currency; depth and flows are shares of it.
    """
    zero = jnp.zeros((), jnp.float64)
    price = jnp.log(jnp.asarray(initial_price, jnp.float64))
    vol = params.value.start_variance if params.volatility == "heston" else plan.stressed
    now = session(params.calendar, jnp.asarray(params.calendar.epoch, jnp.float64))
    return PathState(
        time=zero,
        value=price,
        vol=jnp.asarray(vol, jnp.float64),
        lag=zero,
        lag_decay=zero,
        basis=zero,
        permanent=zero,
        consumed_bid=zero,
        consumed_ask=zero,
        lost=zero,
        inventory=zero,
        open_interest=jnp.asarray(open_interest, jnp.float64) / initial_price,
        feed=price,
        session=now.elapsed,
    )


class Pull(NamedTuple):
    """Where the market heads in a row, all logs."""

    value: Any
    anchor: Any  # value, or the expected settlement price
    lag: Any
    lag_decay: Any
    unit: Any  # change of unit by a rebase, ≤ 0 for more shares
    rebased: Any  # bool


def _events(params: PathParams, plan: Plan, state: PathState, now: Due, dt: Any, value: Any, hints: Hints) -> Pull:
    """Apply what is due to value, and what of it the mid has not followed yet; most rows bring nothing."""
    news = now.event | now.listing | now.revision | now.announcement
    heads = now.since_announcement & hints.has_target
    nothing = Pull(value, value, state.lag, state.lag_decay, jnp.zeros_like(value), jnp.bool_(False))
    return choose(
        news | heads | (state.lag != 0.0), lambda: _happen(params, plan, state, now, dt, value, hints), lambda: nothing
    )


def _happen(params: PathParams, plan: Plan, state: PathState, now: Due, dt: Any, value: Any, hints: Hints) -> Pull:
    """The row's events; a rest of old news fades."""
    p, info = params.plan, params.news
    shock = now.event & (plan.code >= codes.DELAY)
    rebased = now.revision & p.rebases & (jnp.abs(jnp.expm1(plan.revision_log)) >= p.rebase_from)
    rumour = now.revision & ~rebased
    unit = jnp.where(rebased, -plan.revision_log, 0.0)

    lag = state.lag * decay(state.lag_decay, dt)
    before = value + lag + unit
    jumped = value + unit + jnp.where(shock, plan.jump, 0.0) - jnp.where(rumour, plan.revision_log, 0.0)
    before = jnp.where(now.listing, before + state.basis, before)
    jumped = jnp.where(now.listing, before + plan.listing_jump, jumped)
    anchor = jnp.where(now.since_announcement & hints.has_target, jnp.log(jnp.maximum(hints.target, 1e-12)), jumped)

    def choose(of_plan, of_listing, of_rumour, of_cancellation):
        late = jnp.where(rumour, of_rumour, of_cancellation)
        return jnp.where(shock, of_plan, jnp.where(now.listing, of_listing, late))

    news = shock | now.listing | rumour | now.announcement
    passing = choose(plan.passing, info.listing, info.rumour, info.cancellation)
    lag_decay = choose(plan.lag_decay, info.listing_decay, info.rumour_decay, info.cancellation_decay)
    lag = jnp.where(news, (1.0 - passing) * (before - anchor), lag)
    return Pull(jumped, anchor, lag, jnp.where(news, lag_decay, state.lag_decay), unit, rebased)


def _basis(params: PathParams, plan: Plan, state: PathState, now: Due, time: Any, dt: Any, z: Any) -> tuple[Any, Any]:
    """(noise of the mid around its anchor, share of old permanent displacement that survives the row).

    Ornstein–Uhlenbeck, exact over any step; wider in the last day before a listing, tight and quick after it.
    """
    p, listed = params.basis, now.was_listed
    near = time > plan.listing_time - p.before
    sd = jnp.where(listed, p.sd_after, jnp.where(near, p.sd_before, p.sd))
    fading = decay(jnp.where(listed, p.decay_after, p.decay), dt)
    noise = state.basis * fading + sd * jnp.sqrt(1.0 - fading * fading) * z
    return jnp.where(now.listing, 0.0, noise), jnp.where(listed | now.since_announcement, fading, 1.0)


def _restrike(params: PathParams, plan: Plan, state: PathState, now: Due, clock: Clock) -> Any:
    """Is the book of accounts re-struck at this row: last row before the main event, and every holding time.

    After the event the holding time counts from it, so that no re-strike hides what the event has done.
    """
    before = params.restrike_at_event & ~now.since_event & (clock.next >= plan.event_time)
    base = jnp.where(now.was_event, plan.event_time, 0.0)
    turn = jnp.floor((clock.time - base) / params.holding) > jnp.floor((state.time - base) / params.holding)
    return before | (turn & ~now.event)


def advance(
    params: PathParams, plan: Plan, state: PathState, clock: Clock, draws: Draws, hints: Hints
) -> tuple[PathState, Row]:
    """Row at `clock.time` from the state after the previous row (the start state for row 0, whose dt is 0).

    `hints.target` is read only after a cancellation has been announced.
    """
    time, dt, now = clock.time, clock.dt, due(plan, state, clock.time)
    hours = session(params.calendar, clock.utc)
    moved = diffuse(params, plan, state, now, time, dt, hours.elapsed - state.session, draws)
    pull = _events(params, plan, state, now, dt, moved.value, hints)
    basis, keep = _basis(params, plan, state, now, time, dt, draws.z_basis)
    units = choose(pull.rebased, lambda: jnp.exp(-pull.unit), lambda: jnp.float64(1.0))
    book = evolve(params, plan, state, now, dt, time, Mood(moved.level, hours.thin), units, keep)
    seen = observe(params, plan, state, now, time, pull.value, pull.unit, hours.is_open, draws.u_extra)
    after = PathState(
        time=time,
        value=pull.value,
        vol=moved.vol,
        lag=pull.lag,
        lag_decay=pull.lag_decay,
        basis=basis,
        permanent=book.permanent,
        consumed_bid=book.bid.consumed,
        consumed_ask=book.ask.consumed,
        lost=book.lost,
        inventory=book.inventory,
        open_interest=state.open_interest * units,
        feed=seen.price,
        session=hours.elapsed,
    )
    centre = pull.anchor + pull.lag + basis + book.permanent
    return after, _row(params, plan, state, now, clock, draws, book, centre, seen, units, pull.value)


def _row(
    params: PathParams,
    plan: Plan,
    state: PathState,
    now: Due,
    clock: Clock,
    draws: Draws,
    book: Book,
    centre: Any,
    seen: Seen,
    units: Any,
    value: Any,
) -> Row:
    """Prices and flags of the row from its logs."""
    time, power = clock.time, params.book.power
    top_bid = jnp.exp(centre + book.ask.displaced - book.half_spread)
    top_ask = jnp.exp(centre - book.bid.displaced + book.half_spread)
    side = jnp.where(draws.u_extra < 0.5, -book.half_spread, book.half_spread)  # the last trade hit the bid or the ask
    yes = jnp.bool_(True)
    turns = jnp.maximum(params.book.refill * clock.dt, 1.0)  # a book comes back once per e-folding time
    ends_soon = (now.since_announcement | now.since_listing) & (state.time < plan.settle_time)
    window = plan.settle_time - params.last_window
    return Row(
        time=time,
        utc=clock.utc,
        dt=clock.dt,
        last=jnp.exp(centre + book.ask.displaced - book.bid.displaced + side),
        bid=BookSide(top_bid, book.bid.consumed, book.bid.depth, power, book.total, book.bid.refill, turns, yes),
        ask=BookSide(top_ask, book.ask.consumed, book.ask.depth, power, book.total, book.ask.refill, turns, yes),
        impact_bid=top_bid * jnp.exp(-book.bid.impact),
        impact_ask=top_ask * jnp.exp(book.ask.impact),
        has_impact_bid=book.bid.has_impact,
        has_impact_ask=book.ask.has_impact,
        external=jnp.exp(seen.price),
        has_external=seen.fresh,
        trades=jnp.maximum(params.book.trades * clock.dt, 1.0),
        index_factor=index_factor(plan, state, time),
        listed=now.listing,
        converted=now.conversion,
        settle=jnp.where(now.settlement, plan.settle_code, NO_SETTLE).astype(jnp.int32),
        settle_price=jnp.exp(value),
        has_settle_price=jnp.bool_(False),
        settle_draw=plan.settle_draw,
        final_hour=ends_soon & (time >= window),
        averaging=jnp.where(ends_soon, jnp.clip(time - window, 0.0, clock.dt), 0.0),
        rebase=units,
        halted=(time >= plan.halt_from) & (time < plan.halt_until),
        restrike=_restrike(params, plan, state, now, clock),
    )
