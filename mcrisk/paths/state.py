"""What a path carries from row to row, and the shocks of one row. Scalars of one path and one market, float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from mcrisk.paths.lifecycle import Plan
from mcrisk.paths.philox import Purpose, Words, fifth_uniform, normals, philox, uniform


class PathState(NamedTuple):
    """Prices are natural logarithms of quote currency, quantities contracts, times seconds."""

    time: Any  # of the row this state belongs to
    value: Any  # log fundamental value; of the listed share after listing
    vol: Any  # two regimes: 1.0 = stressed; Heston: variance per second
    lag: Any  # what the mid has not yet followed, log
    lag_decay: Any  # of it, per second
    basis: Any  # noise of the mid around value, log
    permanent: Any  # what displacements have left behind, log
    consumed_bid: Any  # contracts taken from the bids and not yet refilled
    consumed_ask: Any
    lost: Any  # share of depth lost with makers
    inventory: Any  # contracts the book has taken in net
    open_interest: Any  # contracts, one side; the unit of depth
    feed: Any  # log of what the valuation feed, later the spot market, shows
    session: Any  # spot session seconds since 1969-12-29 (a Monday), New York


class Draws(NamedTuple):
    """Shocks of one row: standard normals z, uniforms u in (0, 1). Tests may inject any."""

    z_value: Any
    z_basis: Any
    z_common: Any
    u_event: Any  # own jump or regime switch
    u_size: Any  # jump size
    u_extra: Any  # second uniform of a normal jump size, feed noise, side of the last trade
    u_common: Any  # jump common to all markets
    u_common_size: Any
    z_variance: Any = None  # Heston only
    z_total: Any = None  # variance reduction: the value's own and common shock together, given


class Hints(NamedTuple):
    """What the market knows about the venue."""

    target: Any  # settlement price expected after a cancellation announcement, quote currency
    has_target: Any  # bool; False: the market goes by value


def draws(key: Any, common_key: Any, path_lo: Any, path_hi: Any, step: Any, volatility: str = "two_regime") -> Draws:
    """The shocks of one step of one market from its stream and the one common to all markets.

    Two Philox calls; a Heston model takes a third (`volatility` is static: `PathParams.volatility`). They stand behind
    a `cond` that is always true: XLA would otherwise fuse the integer work into each consumer and do it again there
    (measured: 209 instead of 620 ns per path-step). `step` must not be batched, or vmap makes the fence a select.
    """
    arguments = (jnp.asarray(key, jnp.uint64), jnp.asarray(common_key, jnp.uint64), path_lo, path_hi)
    heston = volatility == "heston"
    zeros = Draws(*(jnp.zeros((), jnp.float64),) * 8, jnp.zeros((), jnp.float64) if heston else None)
    step = jnp.asarray(step)
    return lax.cond(
        step < 2**31 - 1,
        lambda key, common, lo, hi: draws_of(key, common, lo, hi, step, heston),
        lambda *_: zeros,
        *arguments,
    )


def draws_of(key: Any, common_key: Any, path_lo: Any, path_hi: Any, step: Any, heston: bool) -> Draws:
    """`draws` without the fence; `step` may be an array of steps."""
    own: Words = philox(key, path_lo, path_hi, step, Purpose.STEP)
    common: Words = philox(common_key, path_lo, path_hi, step, Purpose.COMMON)
    z_value, z_basis = normals(uniform(own.w0), uniform(own.w1))
    z_common, _ = normals(uniform(common.w0), uniform(common.w1))
    z_variance = None
    if heston:
        more: Words = philox(key, path_lo, path_hi, step, Purpose.VARIANCE)
        z_variance, _ = normals(uniform(more.w0), uniform(more.w1))
    return Draws(
        z_value,
        z_basis,
        z_common,
        uniform(own.w2),
        uniform(own.w3),
        fifth_uniform(own),
        uniform(common.w2),
        uniform(common.w3),
        z_variance,
    )


class Due(NamedTuple):
    """Bools: what a row brings, and what earlier rows have brought."""

    event: Any  # the main event (or the moment the zoom stands on)
    listing: Any
    conversion: Any
    revision: Any
    announcement: Any
    settlement: Any
    publication: Any
    since_event: Any  # at or after the main event
    was_event: Any  # … already before this row
    since_listing: Any
    was_listed: Any
    since_announcement: Any


def due(plan: Plan, state: PathState, time: Any) -> Due:
    """What falls into the row that ends at `time`.

    Compares with the stored time of the previous row: time − dt is off by a rounding, an event could fire twice.
    """

    def falls(at):
        return (state.time < at) & (at <= time)

    was_event, since_event = state.time >= plan.event_time, time >= plan.event_time
    was_listed, since_listing = state.time >= plan.listing_time, time >= plan.listing_time
    return Due(
        since_event & ~was_event,
        since_listing & ~was_listed,
        falls(plan.conversion_time),
        falls(plan.revision_time),
        falls(plan.announced_time),
        falls(plan.settle_time),
        falls(plan.publish_time),
        since_event,
        was_event,
        since_listing,
        was_listed,
        time >= plan.announced_time,
    )


def decay(rate: Any, dt: Any) -> Any:
    """What is left after `dt` seconds: exp(−rate · dt)."""
    return jnp.exp(-rate * dt)
