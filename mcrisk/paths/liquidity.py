"""The order book as one state per side: contracts consumed and not yet refilled.

    displacement(Q) = 1 % · (Q / (depth · m))^(1/shape)         log price
    mid = centre · exp(permanent + displacement(ask) − displacement(bid)),  half spread on either side

m is the product of the stress multipliers: volatility, event, flash, weekend and night, lost makers, inventory. When
the book refills, `permanent_share` of the displacement it gives back stays in the price. Both quotes move together, so
a sell-off takes the offers down with the bids. Flash thins the depth, not the total: in the incident the thin book is
calibrated on (XPL, 27 Aug 2025) the whole offer side was eaten, it had not been withdrawn.
All effects of a fill depend on the quantity only, so one fill and its two halves end in the same state.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from mcrisk.paths.lifecycle import Plan
from mcrisk.paths.params import BookParams, PathParams
from mcrisk.paths.state import Due, PathState, decay
from mcrisk.rules.branch import choose, selected

PERCENT = 0.01


class Side(NamedTuple):
    """One side at the end of a row; contracts, log displacements ≥ 0."""

    consumed: Any
    depth: Any
    displaced: Any
    given_back: Any  # displacement the refill has undone in the row
    refill: Any  # contracts that can come back within the row
    impact: Any  # mean displacement of the impact probe
    has_impact: Any


class Book(NamedTuple):
    """The book of a row before its prices are known."""

    bid: Side
    ask: Side
    total: Any  # contracts per side
    half_spread: Any  # log
    permanent: Any  # log
    lost: Any
    inventory: Any


class Mood(NamedTuple):
    """What thins the book from outside."""

    level: Any  # volatility over its calm level
    thin_hours: Any  # bool: weekend or night


class Multipliers(NamedTuple):
    depth: Any
    total: Any
    half_spread: Any


def displacement(consumed: Any, depth: Any, power: Any) -> Any:
    """Log displacement after `consumed` contracts of a book with `depth` contracts per first percent."""
    return PERCENT * jnp.exp(power * jnp.log(jnp.maximum(consumed / depth, 1e-200)))


def multipliers(p: BookParams, plan: Plan, now: Due, time: Any, mood: Mood, lost: Any) -> Multipliers:
    """Stress of a row: event and flash fade, squeezes keep makers away, the rest is the mood and the makers lost."""

    def stressed() -> tuple[Any, Any, Any]:
        since = jnp.maximum(time - plan.event_time, 0.0)
        after = jnp.where(now.since_event, plan.happens, 0.0)
        left = decay(p.refill, jnp.maximum(time - plan.squeeze_release, 0.0))
        shock = plan.flash * after * decay(p.refill, jnp.maximum(since - p.flash_for, 0.0))
        return after * decay(p.event_decay, since), shock, jnp.where(time > plan.squeeze_from, left, 0.0)

    none = jnp.float64(0.0)
    fading, shock, squeeze = choose(
        now.since_event | (time > plan.squeeze_from), stressed, lambda: (none, none, none)
    )
    event = 1.0 - (1.0 - plan.depth) * fading
    flash = (1.0 - (1.0 - p.flash) * shock) * (1.0 - (1.0 - p.flash) * squeeze)
    calm = jnp.where(mood.thin_hours, p.thin_hours, 1.0) * event * (1.0 - lost) / jnp.maximum(mood.level, 1.0)
    return Multipliers(
        jnp.maximum(calm * flash, p.floor), jnp.maximum(calm, p.floor), p.half_spread * (1.0 + p.spread_excess * fading)
    )


def _squeeze(params: PathParams, plan: Plan, state: PathState, time: Any, interest: Any) -> tuple[Any, Any]:
    """(contracts the aggressor takes in the row, refill exponent of the side it eats), once it has started.

    It keeps that side empty until it lets go; from then on the side comes back at the squeeze's own pace.
    """
    duration = plan.squeeze_until - plan.squeeze_from + 1e-9
    taken = jnp.clip(time - plan.squeeze_from, 0.0, duration) - jnp.clip(state.time - plan.squeeze_from, 0.0, duration)
    let_go = params.squeeze_revert * jnp.maximum(time - jnp.maximum(state.time, plan.squeeze_release), 0.0)
    return params.squeeze_size * interest / duration * taken, let_go


def _side(p: BookParams, before: Any, back: Any, depth: Any, probe: Any, total: Any, usual: Any) -> Side:
    """One side after its quotes came back by exp(−back); the probe's mean displacement is ∫ Q^power in closed form."""
    back = jnp.minimum(back, 300.0)  # keeps the inverse finite
    consumed = before * jnp.exp(-back)
    displaced = displacement(consumed, depth, p.power)
    end = consumed + probe
    impact = (end * displacement(end, depth, p.power) - consumed * displaced) / ((1.0 + p.power) * probe)
    given_back = displaced * jnp.expm1(p.power * back)
    return Side(consumed, depth, displaced, given_back, depth * usual, impact, end <= total)


def _full_side(p: BookParams, depth: Any, probe: Any, total: Any, usual: Any) -> Side:
    """`_side` of a side nothing has been taken from."""
    zero = jnp.zeros_like(depth)
    impact = probe * displacement(probe, depth, p.power) / ((1.0 + p.power) * probe)
    return Side(zero, depth, zero, zero, depth * usual, impact, probe <= total)


def evolve(
    params: PathParams, plan: Plan, state: PathState, now: Due, dt: Any, time: Any, mood: Mood, units: Any, keep: Any
) -> Book:
    """The book at the end of a row: squeeze flow comes, quotes come back, multipliers change.

    Args:
        units: new contracts per old one (a rebase), else 1.
        keep: share of the permanent displacement that survives the row (arbitrage removes it once there is an anchor).
    """
    p, interest = params.book, state.open_interest * units
    lost, inventory = choose(
        (state.lost != 0.0) | (state.inventory != 0.0),
        lambda: (state.lost * decay(p.recovery, dt), state.inventory * units * decay(p.recovery, dt)),
        lambda: (state.lost, state.inventory),
    )
    m = multipliers(p, plan, now, time, mood, lost)
    cap, usual = p.total * interest, p.refill * dt
    started = time > plan.squeeze_from
    flow, let_go = choose(
        started, lambda: _squeeze(params, plan, state, time, interest), lambda: (jnp.float64(0.0), jnp.float64(0.0))
    )
    up = plan.squeeze_up
    ask = jnp.minimum(state.consumed_ask * units + jnp.where(up, flow, 0.0), cap)
    bid = jnp.minimum(state.consumed_bid * units + jnp.where(up, 0.0, flow), cap)
    lean = jnp.clip(inventory / (p.inventory_limit * interest), -1.0, 1.0)  # long inventory thins the bids
    full, probe, total = p.depth * interest, p.probe * interest, cap * m.total
    depth_bid = full * jnp.maximum(m.depth * (1.0 - jnp.maximum(lean, 0.0)), p.floor)
    depth_ask = full * jnp.maximum(m.depth * (1.0 + jnp.minimum(lean, 0.0)), p.floor)
    comes_back = 1.0 - jnp.exp(-usual)

    def touched() -> tuple[Side, Side]:
        return (
            _side(p, bid, jnp.where(started & ~up, let_go, usual), depth_bid, probe, total, comes_back),
            _side(p, ask, jnp.where(started & up, let_go, usual), depth_ask, probe, total, comes_back),
        )

    def full() -> tuple[Any, ...]:
        return tuple(_full_side(p, depth, probe, total, comes_back) for depth in (depth_bid, depth_ask))

    bid, ask = touched() if selected() else choose((bid > 0.0) | (ask > 0.0), touched, full)
    permanent = state.permanent * keep + p.permanent * (ask.given_back - bid.given_back)
    return Book(bid, ask, total, m.half_spread, permanent, lost, inventory)


def consume(params: PathParams, state: PathState, sold: Any, bought: Any, makers_lost: Any) -> PathState:
    """The state after a row's forced fills.

    Args:
        sold: contracts sold into the bids; bought: contracts bought from the offers; both ≥ 0.
        makers_lost: depth share of makers liquidated or auto-deleveraged in the row, of the undisturbed book.
    """
    cap = params.book.total * state.open_interest
    return state._replace(
        consumed_bid=jnp.minimum(state.consumed_bid + sold, cap),
        consumed_ask=jnp.minimum(state.consumed_ask + bought, cap),
        inventory=state.inventory + sold - bought,
        lost=jnp.minimum(state.lost + makers_lost, 1.0),
    )


def rescale(state: PathState, factor: Any) -> PathState:
    """Contract-denominated quantities times `factor`: accounts were re-struck, depth follows open interest."""
    return state._replace(
        consumed_bid=state.consumed_bid * factor,
        consumed_ask=state.consumed_ask * factor,
        inventory=state.inventory * factor,
        open_interest=state.open_interest * factor,
    )
