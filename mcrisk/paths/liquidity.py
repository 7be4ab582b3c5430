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

PERCENT = 0.01


class Book(NamedTuple):
    """The book of a row before its prices are known; quantities in contracts, logs for prices."""

    consumed_bid: Any
    consumed_ask: Any
    lost: Any
    inventory: Any
    permanent: Any
    half_spread: Any
    depth_bid: Any
    depth_ask: Any
    displaced_bid: Any  # log, ≥ 0
    displaced_ask: Any
    total: Any
    refill_bid: Any  # contracts that can come back within the row
    refill_ask: Any
    impact_bid: Any  # mean displacement of the impact probe, log ≥ 0
    impact_ask: Any
    has_impact_bid: Any
    has_impact_ask: Any


class Multipliers(NamedTuple):
    depth: Any
    total: Any
    half_spread: Any


def displacement(consumed: Any, depth: Any, power: Any) -> Any:
    """Log displacement after `consumed` contracts of a book with `depth` contracts per first percent."""
    return PERCENT * jnp.exp(power * jnp.log(jnp.maximum(consumed / depth, 1e-200)))


def multipliers(p: BookParams, plan: Plan, now: Due, time: Any, level: Any, thin_hours: Any, lost: Any) -> Multipliers:
    """Stress of a row: `level` is volatility over its calm level, `thin_hours` a flag for weekends and nights."""
    since = jnp.maximum(time - plan.event_time, 0.0)
    after = jnp.where(now.since_event, plan.happens, 0.0)
    fading = after * decay(p.event_decay, since)
    event = 1.0 - (1.0 - plan.depth) * fading
    shock = plan.flash * after * decay(p.refill, jnp.maximum(since - p.flash_for, 0.0))
    squeeze = jnp.where(time > plan.squeeze_from, decay(p.refill, jnp.maximum(time - plan.squeeze_release, 0.0)), 0.0)
    flash = (1.0 - (1.0 - p.flash) * shock) * (1.0 - (1.0 - p.flash) * squeeze)
    calm = jnp.where(thin_hours, p.thin_hours, 1.0) * event * (1.0 - lost) / jnp.maximum(level, 1.0)
    return Multipliers(
        jnp.maximum(calm * flash, p.floor), jnp.maximum(calm, p.floor), p.half_spread * (1.0 + p.spread_excess * fading)
    )


def _mean_displacement(p: BookParams, consumed: Any, displaced: Any, depth: Any, probe: Any) -> Any:
    """Mean over the next `probe` contracts: ∫ Q^power is known in closed form."""
    end = consumed + probe
    return (end * displacement(end, depth, p.power) - consumed * displaced) / ((1.0 + p.power) * probe)


def evolve(
    params: PathParams,
    plan: Plan,
    state: PathState,
    now: Due,
    time: Any,
    dt: Any,
    level: Any,
    thin_hours: Any,
    units: Any,
    keep: Any,
) -> Book:
    """The book at the end of a row: squeeze flow comes, quotes come back, multipliers change.

    Args:
        units: new contracts per old one (a rebase), else 1.
        keep: share of the permanent displacement that survives the row (after listing arbitrage removes it).
    """
    p, interest = params.book, state.open_interest * units
    recovered = decay(p.recovery, dt)
    lost, inventory = state.lost * recovered, state.inventory * units * recovered
    m = multipliers(p, plan, now, time, level, thin_hours, lost)
    cap = p.total * interest

    # The aggressor keeps the side it eats empty until it lets go; that side then comes back at the squeeze's own pace.
    started = time > plan.squeeze_from
    flow = (params.squeeze_size * interest / (plan.squeeze_until - plan.squeeze_from + 1e-9)) * (
        jnp.clip(time, plan.squeeze_from, plan.squeeze_until)
        - jnp.clip(state.time, plan.squeeze_from, plan.squeeze_until)
    )
    let_go = params.squeeze_revert * jnp.maximum(time - jnp.maximum(state.time, plan.squeeze_release), 0.0)
    usual = p.refill * dt
    back_ask = jnp.minimum(jnp.where(started & plan.squeeze_up, let_go, usual), 300.0)
    back_bid = jnp.minimum(jnp.where(started & ~plan.squeeze_up, let_go, usual), 300.0)
    consumed_ask = jnp.minimum(state.consumed_ask * units + jnp.where(plan.squeeze_up, flow, 0.0), cap) * jnp.exp(
        -back_ask
    )
    consumed_bid = jnp.minimum(state.consumed_bid * units + jnp.where(plan.squeeze_up, 0.0, flow), cap) * jnp.exp(
        -back_bid
    )

    full = p.depth * interest
    lean = jnp.clip(inventory / (p.inventory_limit * interest), -1.0, 1.0)  # long inventory thins the bids
    depth_bid = full * jnp.maximum(m.depth * (1.0 - jnp.maximum(lean, 0.0)), p.floor)
    depth_ask = full * jnp.maximum(m.depth * (1.0 + jnp.minimum(lean, 0.0)), p.floor)
    displaced_bid = displacement(consumed_bid, depth_bid, p.power)
    displaced_ask = displacement(consumed_ask, depth_ask, p.power)
    stays = p.permanent * (
        displaced_ask * jnp.expm1(p.power * back_ask) - displaced_bid * jnp.expm1(p.power * back_bid)
    )
    probe, total, share_back = p.probe * interest, cap * m.total, 1.0 - jnp.exp(-usual)
    return Book(
        consumed_bid,
        consumed_ask,
        lost,
        inventory,
        state.permanent * keep + stays,
        m.half_spread,
        depth_bid,
        depth_ask,
        displaced_bid,
        displaced_ask,
        total,
        depth_bid * share_back,
        depth_ask * share_back,
        _mean_displacement(p, consumed_bid, displaced_bid, depth_bid, probe),
        _mean_displacement(p, consumed_ask, displaced_ask, depth_ask, probe),
        consumed_bid + probe <= total,
        consumed_ask + probe <= total,
    )


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
