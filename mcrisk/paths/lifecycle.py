"""What happens on a path, drawn before its first step: branch, event times, jump sizes, overlays.

Company events (delay, reset, cancellation, listing, share count) come from the company's stream and are the same on all
venues; feed errors, squeezes and halts come from the venue's own stream. Every field is a pure function of the path
number and the parameters, so windows such as 'the last hour before settlement' are known when the path starts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax

from mcrisk.paths import codes
from mcrisk.paths.params import NEVER, EventTable, PathParams, PlanParams
from mcrisk.paths.philox import TWO_PI, Purpose, normals, philox, uniform
from mcrisk.rules.types import CANCELLED, EXPIRED, NO_SETTLE

DAY = 86400.0


class Forced(NamedTuple):
    """Break-even runs: where `active`, the path's company branch is a valuation reset by `jump` (log value)."""

    active: Any
    jump: Any
    script: Any = None  # variance reduction: `script.Script`


class Plan(NamedTuple):
    """Scalars of one path and one market; times in seconds, NEVER where the thing does not happen."""

    branch: Any  # int32, codes.ORDERLY …
    code: Any  # int32, kind of the main event
    event_time: Any  # the zoom stands here, with or without an event
    jump: Any  # of log value at the main event (0 for a listing: its jump is `listing_jump`)
    listing_time: Any
    listing_jump: Any  # log(first external print / last perp price)
    conversion_time: Any
    announced_time: Any  # of a cancellation
    settle_time: Any
    settle_code: Any  # int32
    settle_draw: Any
    delay: Any  # seconds the listing is put off
    passing: Any  # share of the main jump that reaches the mid at once
    lag_decay: Any  # of the rest, per second
    vol_excess: Any  # volatility multiplier − 1 right after the event
    vol_decay: Any
    depth: Any  # depth multiplier right after the event
    happens: Any  # 1.0 where the main event is one (else the zoom stands on nothing)
    flash: Any  # 1.0 where makers withdraw at first
    stressed: Any  # 1.0 if the path starts in the stressed regime
    publish_time: Any  # the feed's answer to the main event
    feed_phase: Any  # share of the update period that has passed at time 0
    revision_time: Any
    revision_log: Any  # log of new over old share count
    error_from: Any
    error_until: Any
    error_factor: Any
    squeeze_from: Any
    squeeze_until: Any  # the aggressor's flow ends
    squeeze_release: Any  # … and here lets the price go
    squeeze_up: Any  # bool: into the ask
    halt_from: Any
    halt_until: Any


def _normal(u0, u1):
    return normals(u0, u1)[0]


def _row(table: EventTable, code) -> EventTable:
    """One row of the table; leaves may be NumPy arrays."""
    return EventTable(*(jnp.asarray(column)[code] for column in table))


def sample(law: EventTable, u0, u1):
    """A jump of a row's law: inverse normal between the cuts, or Bailey's polar Student t (exact for any dof)."""
    low, high, dof = law.low, law.high, law.dof
    normal = 1.4142135623730951 * lax.erf_inv(2.0 * (low + u0 * (high - low)) - 1.0)
    student = jnp.sqrt(dof * (jnp.exp(-2.0 / dof * jnp.log(u0)) - 1.0)) * jnp.cos(TWO_PI * u1)
    return law.location + law.scale * jnp.where(law.law > 0.5, student, normal)


def _event_time(p: PlanParams, u):
    """Inside the window: uniform, or exponential cut to the window when a mean waiting time is given."""
    curved = -jnp.log1p(-u * (-jnp.expm1(-p.hazard))) / jnp.maximum(p.hazard, 1e-9)
    return p.window_start + p.window_length * jnp.where(p.hazard > 1e-6, curved, u)


def _crossing(params: PathParams, time, u):
    """The opening cross nearest in days to `time`: on a weekday, at crossing time in New York."""
    p, shift = params.plan, params.calendar.epoch + params.calendar.zone
    day = jnp.floor((time + shift) / DAY)
    weekday = day + 3.0 - 7.0 * jnp.floor((day + 3.0) / 7.0)  # 0 = Monday
    day = day - (weekday == 5.0) + (weekday == 6.0)  # Saturday → Friday, Sunday → Monday
    at = day * DAY + p.cross_start + u * p.cross_length - shift
    return jnp.where(p.snap, jnp.clip(at, p.fit_low, p.fit_high), time)


def _uniforms(key, path_lo, path_hi, purpose: Purpose, count: int):
    """[count, 4] uniforms of one purpose; one vectorised Philox keeps the program short."""
    draws = jnp.arange(count, dtype=jnp.uint32)
    return jnp.stack([uniform(word) for word in philox(key, path_lo, path_hi, 0, purpose, draws)], axis=-1)


def _company(params: PathParams, u, forced: Forced) -> dict[str, Any]:
    """The company's branch, its main event and its jump sizes."""
    p = params.plan
    a, b, c, d = u[0], u[1], u[2], u[3]
    branch = jnp.sum(a[0] >= p.branch[:-1]).astype(jnp.int32)
    forced_branch = jnp.where(forced.jump < 0, codes.RESET_DOWN_BRANCH, codes.RESET_UP_BRANCH).astype(jnp.int32)
    branch = jnp.where(forced.active, forced_branch, branch)
    lists = b[1] < p.lists
    orderly, delayed = branch == codes.ORDERLY, branch == codes.DELAYED
    code = jnp.where(orderly, jnp.where(lists, codes.LISTING, codes.NONE), branch + 1).astype(jnp.int32)
    time = _event_time(p, a[1])
    time = jnp.where(code == codes.LISTING, _crossing(params, time, a[2]), time)
    row = _row(params.events, code)
    drawn = sample(row, a[3], b[0])
    jump = jnp.where(forced.active, forced.jump, jnp.where(code == codes.LISTING, 0.0, drawn))
    delay = jnp.where(delayed, jnp.exp(p.delay_log + p.delay_sigma * _normal(b[2], b[3])), 0.0)
    listing = jnp.where(lists & (orderly | delayed), time + delay, NEVER)
    revision_normal = 1.4142135623730951 * lax.erf_inv(
        2.0 * (p.revision_low + d[2] * (p.revision_high - p.revision_low)) - 1.0
    )
    return dict(
        branch=branch,
        code=code,
        event_time=time,
        jump=jump,
        delay=delay,
        listing_time=listing,
        listing_jump=sample(_row(params.events, codes.LISTING), c[0], c[1]),
        settle_draw=c[2],
        stressed=jnp.where(c[3] < params.value.share_stressed, 1.0, 0.0),
        revision_time=jnp.where(d[0] < p.revision_probability, d[1] * time, NEVER),
        revision_log=p.revision_mean + p.revision_sd * revision_normal,
        feed_phase=d[3],
        passing=row.passing,
        lag_decay=row.decay,
        vol_excess=row.vol_excess,
        vol_decay=row.vol_decay,
        depth=row.depth,
        flash=row.flash,
    )


def _settlement(p: PlanParams, company: dict[str, Any]) -> dict[str, Any]:
    """Conversion, expiry, and the two ways to a cancellation: by the company, or by the venue's clock in a delay."""
    listing, event = company["listing_time"], company["event_time"]
    cancelled = company["branch"] == codes.CANCELLED_BRANCH
    timeout = jnp.maximum(event + p.notice, p.clock)
    timed_out = (company["branch"] == codes.DELAYED) & (listing > timeout) & (p.clock < NEVER)
    listing = jnp.where(timed_out, NEVER, listing)
    expires = (listing < NEVER) & (p.expires_after < NEVER)
    ends = cancelled | timed_out
    settle = jnp.where(
        cancelled, event + p.notice, jnp.where(timed_out, timeout, jnp.where(expires, listing + p.expires_after, NEVER))
    )
    return dict(
        listing_time=listing,
        conversion_time=jnp.minimum(listing + p.converts_after, NEVER),
        announced_time=jnp.where(cancelled, event, jnp.where(timed_out, timeout - p.notice, NEVER)),
        settle_time=settle,
        settle_code=jnp.where(ends, CANCELLED, jnp.where(expires, EXPIRED, NO_SETTLE)).astype(jnp.int32),
    )


def _overlays(p: PlanParams, u, code, event) -> dict[str, Any]:
    """Feed error, squeeze and halt of one venue's market.

    They stand at the zoom: at its centre where the company does nothing, before a listing, after any other event —
    books are thin then, and elsewhere a two-minute squeeze would fall between two rows.
    """
    a, b, c = u[0], u[1], u[2]
    nothing, lists = code == codes.NONE, code == codes.LISTING

    def start(u, alone):
        return event + jnp.where(nothing & alone, 0.0, jnp.where(lists, -p.approach * u, p.fine * u))

    squeezed, wrong, stopped = (a[0] < p.squeeze_probability, a[1] < p.error_probability, a[2] < p.halt_probability)
    squeeze = jnp.where(squeezed, start(a[3], True), NEVER)
    error = jnp.where(wrong, start(b[0], ~squeezed), NEVER)
    which = jnp.minimum(jnp.sum(b[1] >= p.error_weights), p.error_factors.shape[-1] - 1)
    length = jnp.exp(p.error_log + p.error_sigma * _normal(b[2], b[3]))
    halt = jnp.where(stopped, event + p.halt_after, NEVER)
    return dict(
        squeeze_from=squeeze,
        squeeze_until=squeeze + p.squeeze_for,
        squeeze_release=squeeze + p.squeeze_for + p.squeeze_hold,
        squeeze_up=c[0] < p.squeeze_up,
        error_from=error,
        error_until=error + length,
        error_factor=jnp.asarray(p.error_factors)[which],
        halt_from=halt,
        halt_until=halt + p.halt_for,
    )


def draw_plan(
    params: PathParams, company_key, venue_key, path_lo, path_hi, forced: Forced | None = None, points: Any = None
) -> Plan:
    """The plan of one path of one market.

    Args:
        company_key, venue_key: uint64 (philox.stream_keys).
        path_lo, path_hi: 32-bit halves of the path number.
        forced: overrides the company's branch by a reset of a given size.
        points: uniforms of the company [5, 4] and of the venue [3, 4] instead of those of the streams.
    """
    if forced is None:
        forced = Forced(jnp.bool_(False), jnp.float64(0.0))
    p = params.plan
    if points is None:
        u = _uniforms(company_key, path_lo, path_hi, Purpose.COMPANY, 5)
    else:
        u, over = points
    company = _company(params, u, forced)
    code, event = company["code"], company["event_time"]
    company |= _settlement(p, company)
    answer = event + jnp.exp(p.publish_log + p.publish_sigma * _normal(u[4, 0], u[4, 1]))
    happens = jnp.where(code == codes.NONE, 0.0, 1.0)
    if points is None:
        over = _uniforms(venue_key, path_lo, path_hi, Purpose.OVERLAY, 3)
    return Plan(
        **company,
        happens=happens,
        publish_time=jnp.where(happens > 0.0, answer, NEVER),
        **_overlays(p, over, code, event),
    )


def share_zoom(plans: Plan) -> Plan:
    """Plans of the markets of one path ([M] on every field) made to share one zoom time; identity for one market.

    The zoom stands on the earliest shock of any company, else on the earliest listing, else on the first market's time.
    Markets on which nothing happens move their overlays there; other markets' events fall where they fall.
    """
    quiet = plans.code == codes.NONE
    first = zoom_time(plans)
    shift = jnp.where(quiet, first - plans.event_time, 0.0)
    moved = {
        name: jnp.where(getattr(plans, name) < 0.5 * NEVER, getattr(plans, name) + shift, getattr(plans, name))
        for name in (
            "error_from",
            "error_until",
            "squeeze_from",
            "squeeze_until",
            "squeeze_release",
            "halt_from",
            "halt_until",
        )
    }
    return plans._replace(event_time=jnp.where(quiet, first, plans.event_time), **moved)


def zoom_time(plans: Plan):
    """The time the clock of a path zooms on, from plans that went through `share_zoom`."""
    rank = jnp.where(plans.code == codes.NONE, 2.0, jnp.where(plans.code == codes.LISTING, 1.0, 0.0))
    best = jnp.min(rank)
    return jnp.where(best > 1.5, plans.event_time[0], jnp.min(jnp.where(rank == best, plans.event_time, NEVER)))
