"""What an index sees from outside: the valuation feed before listing, the spot market after it.

Before listing value is known only through a feed: continuously, or by discrete updates (regular ones, and one answering
the main event, for which the regular ones wait) with publication noise. No source prefers a law for that noise; it is
uniform with the stated standard deviation, which needs no extra draw. After listing spot shows value in its session.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from mcrisk.paths.lifecycle import DAY, Plan
from mcrisk.paths.params import SESSION_LENGTH, SESSION_OPEN, CalendarParams, PathParams
from mcrisk.paths.state import Due, PathState

_SQRT12 = 3.4641016151377544
_EXTENDED_OPEN, _EXTENDED_CLOSE = 14_400.0, 72_000.0  # 04:00–20:00 New York: US pre-market to after-hours


class Session(NamedTuple):
    elapsed: Any  # session seconds since 1969-12-29
    is_open: Any  # bool
    thin: Any  # bool: weekend, or outside the extended hours


def session(calendar: CalendarParams, utc: Any) -> Session:
    """US trading hours at an instant; holidays are not modelled. With calendar.always only `is_open` differs."""
    local = utc + calendar.zone
    day = jnp.floor(local / DAY)
    second = local - day * DAY
    week = jnp.floor((day + 3.0) / 7.0)  # 1970-01-01 was a Thursday
    weekday = day + 3.0 - 7.0 * week  # 0 = Monday
    working = weekday < 5.0
    today = jnp.clip(second - SESSION_OPEN, 0.0, SESSION_LENGTH)
    elapsed = SESSION_LENGTH * (5.0 * week + jnp.minimum(weekday, 5.0)) + jnp.where(working, today, 0.0)
    is_open = (working & (second >= SESSION_OPEN) & (second < SESSION_OPEN + SESSION_LENGTH)) | calendar.always
    thin = ~(working & (second >= _EXTENDED_OPEN) & (second < _EXTENDED_CLOSE))
    return Session(elapsed, is_open, thin)


class Seen(NamedTuple):
    price: Any  # log
    fresh: Any  # bool


def observe(
    params: PathParams,
    plan: Plan,
    state: PathState,
    now: Due,
    time: Any,
    value: Any,
    shift: Any,
    is_open: Any,
    noise: Any,
) -> Seen:
    """What the feed or the spot market shows at the end of a row.

    Args:
        value: log value now. shift: change of unit by a rebase in this row, log (0 otherwise).
        noise: uniform that decides the publication noise, should there be an update.
    """
    p = params.feed
    phase = plan.feed_phase * p.period
    regular = jnp.floor((time + phase) / p.period) > jnp.floor((state.time + phase) / p.period)
    review = now.since_event & (time < plan.publish_time) & (plan.happens > 0.0)
    update = p.continuous | (regular & ~review) | now.publication
    published = jnp.where(update, value + p.noise * _SQRT12 * (noise - 0.5), state.feed + shift)
    listed = now.since_listing
    fresh = is_open | now.listing  # the first print is a price wherever it falls
    spot = jnp.where(fresh, value, state.feed + shift)
    return Seen(jnp.where(listed, spot, published), fresh | ~listed)


def index_factor(plan: Plan, state: PathState, time: Any) -> Any:
    """The unit error of the index input in this row; a row that contains the whole error shows it, too."""
    return jnp.where((time >= plan.error_from) & (state.time < plan.error_until), plan.error_factor, 1.0)
