"""Path stage: steps 1–4 of the model contract for one market of one path — phase, index, limits, mark, funding."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.engine.rulebook import PhaseRules, Rulebook
from mcrisk.engine.state import MarketState, PhaseState
from mcrisk.rules import funding, index, mark, price_limits
from mcrisk.rules.branch import choose, selected
from mcrisk.rules.fills import best_price
from mcrisk.rules.settlement import rescale_averages, start_averages, update_averages
from mcrisk.rules.types import NO_SETTLE, POST, PRE, SETTLED, TRANSITION, Market, Row


class Paid(NamedTuple):
    """Funding of a row: what longs pay per contract, the rate, and the premium sample."""

    per_contract: Array
    rate: Array
    premium: Array


def start_market(rules: Rulebook, row: Row, initial_price: Array, launch_age: Array) -> MarketState:
    """State before row 0; `row` is row 0 itself (some feeds start from its values)."""
    inf = jnp.full_like(initial_price, jnp.inf)
    zero = jnp.zeros_like(initial_price)
    start = _start_phase(rules.pre, row, initial_price)
    return MarketState(
        phase=jnp.int32(PRE) + zero.astype(jnp.int32), index=initial_price, mark=initial_price,
        listed_at=inf, converted_at=inf, pre=start,
        post=_start_phase(rules.post, row, initial_price),
        funding_total=zero, rate=zero, units=zero + 1.0,
        averages=start_averages(launch_age, initial_price),
    )


def _start_phase(p: PhaseRules, row: Row, reference: Array) -> PhaseState:
    return PhaseState(
        index.KINDS[p.index.kind].init(p.index, row, reference),
        price_limits.KINDS[p.limits.kind].init(p.limits, reference),
        mark.KINDS[p.mark.kind].init(p.mark, row, reference),
        funding.KINDS[p.funding.kind].init(p.funding),
    )


def _rescale(p: PhaseRules, s: PhaseState, factor: Array) -> PhaseState:
    return PhaseState(
        index.KINDS[p.index.kind].rescale(s.index, factor),
        price_limits.KINDS[p.limits.kind].rescale(s.limits, factor),
        mark.KINDS[p.mark.kind].rescale(s.mark, factor),
        s.funding,
    )


def mid_price(row: Row) -> Array:
    """Mid of both sides; the last trade where a side is missing."""
    both = row.bid.present & row.ask.present
    return jnp.where(both, 0.5 * (best_price(row.bid, 1.0) + best_price(row.ask, -1.0)), row.last)


def _index(p: PhaseRules, s: PhaseState, state: MarketState, row: Row, initial_price: Array) -> tuple[Any, Array]:
    """Memory and value of a phase's index rule."""
    return index.KINDS[p.index.kind].update(p.index, s.index, row, state.index, state.mark, state.phase, initial_price)


def _view(p: PhaseRules, s: PhaseState, state: MarketState, row: Row, indexed: tuple[Any, Array], mid: Array, age: Array):
    """Index → limits → mark → funding of one phase; returns its new memory, the view and the funding."""
    previous, kind = state.index, p.mark.kind
    s_index, value = indexed
    if kind == "median3":
        value = mark.publish(p.mark, previous, value, row.dt)
    s_limits, value, lower, upper = price_limits.KINDS[p.limits.kind].update(
        p.limits, s.limits, row, value, previous, mid, age
    )
    listed_for = jnp.where(row.time >= state.listed_at, row.time - state.listed_at, -1.0)
    clock = funding.clock(p.funding, s.funding, row.utc)
    s_mark, price = mark.KINDS[kind].update(
        p.mark, s.mark, row, value, mid, state.mark, lower, upper, listed_for, clock
    )
    s_funding, paid = funding.KINDS[p.funding.kind].update(p.funding, s.funding, row, value, price, mid)
    on_orders = getattr(p.limits, "limits_orders", False) if p.limits.kind != "none" else False
    order = (lower, upper) if on_orders else (jnp.zeros_like(lower), jnp.full_like(upper, jnp.inf))
    seen = (value, price, lower, upper, *order, paid.paid_per_contract, paid.rate_paid, paid.premium)
    return PhaseState(s_index, s_limits, s_mark, s_funding), seen


def _phase_stage(rules: Rulebook, state: MarketState, row: Row, initial_price: Array, ages: tuple[Array, Array],
                 mid: Array, converts: Array):
    """The rules of the phase in force; the memory of the other one rests (before conversion that of `post` is unused)."""
    standing = rules.pre.index.kind in index.STANDING
    indexed = _index(rules.pre, state.pre, state, row, initial_price) if standing else None

    def before(pre: PhaseState, post: PhaseState):
        of_index = indexed or _index(rules.pre, pre, state, row, initial_price)
        pre, seen = _view(rules.pre, pre, state, row, of_index, mid, ages[0])
        return (pre._replace(index=()) if standing else pre), post, seen

    def after(pre: PhaseState, post: PhaseState):
        def fresh(post: PhaseState) -> PhaseState:
            start = _start_phase(rules.post, row, state.index)
            return start._replace(funding=funding.convert(rules.pre.funding, rules.post.funding, pre.funding))

        post = choose(converts, fresh, lambda post: post, post)
        post, seen = _view(rules.post, post, state, row, _index(rules.post, post, state, row, initial_price), mid, ages[1])
        return (pre._replace(index=()) if standing else pre), post, seen

    is_post = state.phase == POST
    if selected():   # what a phase that is not in force makes of its memory does not matter: nothing to select
        (pre, _, seen_pre), (_, post, seen_post) = before(state.pre, state.post), after(state.pre, state.post)
        seen = tuple(jnp.where(is_post, b, a) for a, b in zip(seen_pre, seen_post, strict=True))
    else:
        pre, post, seen = lax.cond(is_post, after, before, state.pre, state.post)
    return (pre._replace(index=indexed[0]) if indexed else pre), post, seen


def market_stage(rules: Rulebook, state: MarketState, row: Row, initial_price: Array, launch_age: Array
                 ) -> tuple[MarketState, Market, Paid]:
    """One row through the path-level rules. A settled market stands still."""
    if rules.rebases:
        state = choose(row.rebase != 1.0, lambda state: _apply_rebase(rules, state, row.rebase), lambda state: state, state)
        initial_price = initial_price / state.units
    live = state.phase != SETTLED
    converts = row.converted & live & (state.phase != POST)
    lists = (row.listed | converts) & (state.listed_at == jnp.inf)
    listed_at = jnp.where(lists, row.time, state.listed_at)
    converted_at = jnp.where(converts, row.time, state.converted_at)
    phase = jnp.where(converts, POST, jnp.where((listed_at <= row.time) & (state.phase == PRE), TRANSITION, state.phase))
    state = state._replace(phase=phase.astype(jnp.int32), listed_at=listed_at, converted_at=converted_at)
    mid = mid_price(row)
    ages = (row.time + launch_age, jnp.where(converted_at <= row.time, row.time - converted_at, 0.0))
    pre, post, seen = _phase_stage(rules, state, row, initial_price, ages, mid, converts)
    value, price, lower, upper, order_lower, order_upper, paid, rate, premium = seen
    value, price = jnp.where(live, value, state.index), jnp.where(live, price, state.mark)
    paid = jnp.where(live, paid, 0.0)
    settles = live & (row.settle != NO_SETTLE)
    after = MarketState(
        phase=jnp.where(settles, SETTLED, phase).astype(jnp.int32), index=value, mark=price, listed_at=listed_at,
        converted_at=converted_at, pre=pre, post=post, funding_total=state.funding_total + paid,
        rate=jnp.where(live, rate, 0.0), averages=update_averages(state.averages, row, value, price), units=state.units,
    )
    view = Market(
        phase=jnp.where(live, phase, SETTLED).astype(jnp.int32), index=value, mark=price, previous_mark=state.mark,
        lower_limit=lower, upper_limit=upper, order_lower=order_lower, order_upper=order_upper, mid=mid,
    )
    return after, view, Paid(paid, jnp.where(live, rate, 0.0), premium)


def _apply_rebase(rules: Rulebook, state: MarketState, ratio: Array) -> MarketState:
    """Prices the venue remembers are divided by the ratio; nothing else changes."""
    factor = 1.0 / ratio
    return state._replace(
        units=state.units * ratio, index=state.index * factor, mark=state.mark * factor,
        funding_total=state.funding_total * factor,
        pre=_rescale(rules.pre, state.pre, factor), post=_rescale(rules.post, state.post, factor),
        averages=rescale_averages(state.averages, factor),
    )
