"""What variance reduction has decided about a path before it starts, and how that reaches its rows.

Importance sampling happens in the unit cube: a uniform is replaced by one with another density, and everything that is
made from it stays as it was. Uniforms drawn up front are replaced on the host (`proposal`); those of the jumps here, row
by row, because a path of raised intensity keeps it only until all is settled. Nothing of this is part of a plain run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mcrisk.paths.grid import Clock
from mcrisk.paths.params import PathParams
from mcrisk.paths.state import Draws

COMPANY, OVERLAY = 20, 12  # uniforms of one market's plan: five and three blocks of four
CORNERS = 5  # rows between which the value's Brownian motion is bridged
CEILING = 0.5  # a raised probability of a jump in one row stays below this (or where it was)


class Script(NamedTuple):
    """Scalars of one path; what is None is drawn as in a plain run."""

    points: Any  # tuple of (COMPANY + OVERLAY) uniforms per market, market after market
    raised: Any = None  # bool: jumps come `factor` times as often
    factor: Any = None
    stretch: Any = None  # of the size of raised paths' jumps; 1 = none
    stretched: Any = None  # share of them that it applies to
    corners: Any = None  # tuple of CORNERS row numbers, ascending, the last one the last row; float64
    shocks: Any = None  # tuple of CORNERS standard normals: end, event, end of the fine rows, within them, before


class Steering(NamedTuple):
    """What a path carries from row to row."""

    raised: Any  # bool
    factor: Any
    stretch: Any
    stretched: Any
    ratio: Any  # density of the raised law over the model's, of the jumps so far
    corners: Any
    times: Any  # of the corners, s
    moves: Any  # tuple: Brownian increment between corners, sqrt(s)
    rest: Any  # of the present increment


def points_of(script: Script, markets: int) -> Any:
    """The company's uniforms [M, 5, 4] and the venue's [M, 3, 4], as `lifecycle.draw_plan` reads them."""

    def blocks(first: int, count: int):
        return jnp.stack([jnp.stack(script.points[k : k + 4]) for k in range(first, first + count, 4)])

    starts = range(0, markets * (COMPANY + OVERLAY), COMPANY + OVERLAY)
    company = jnp.stack([blocks(at, COMPANY) for at in starts])
    return company, jnp.stack([blocks(at + COMPANY, OVERLAY) for at in starts])


def open_steering(params: PathParams, script: Script | None, lead: Any) -> Steering | None:
    """Before row 0. `params` [M]; `lead`: the time the clock zooms on. None where rows are those of a plain run."""
    if script is None or (script.raised is None and script.shocks is None):
        return None
    one, none = jnp.ones((), jnp.float64), (None,) * 4
    jumps: tuple = (None,) * 5
    if script.raised is not None:
        jumps = (script.raised, script.factor, script.stretch, script.stretched, one)
    if script.shocks is None:
        return Steering(*jumps, *none)
    slope, offset = (jnp.asarray(table)[0] for table in params.grid)
    rows = [jnp.asarray(c).astype(jnp.int32) for c in script.corners]
    times = tuple(slope[k] * lead + offset[k] for k in rows)
    return Steering(*jumps, script.corners, times, _bridge(times, script.shocks), 0.0 * one)


def _bridge(times: Any, shocks: Any) -> tuple[Any, ...]:
    """Increments between the corners, ends first: W(end), then each corner given its neighbours (Caflisch & al. 1997)."""
    t1, t2, t3, t4, t5 = times
    end, event, fine, within, early = shocks

    def between(at, low, w_low, high, w_high, z):
        share = (at - low) / (high - low)
        return w_low + share * (w_high - w_low) + jnp.sqrt(share * (high - at)) * z

    w5 = jnp.sqrt(t5) * end
    w2 = between(t2, 0.0, 0.0, t5, w5, event)
    w4 = between(t4, t2, w2, t5, w5, fine)
    w3 = between(t3, t2, w2, t4, w4, within)
    w1 = between(t1, 0.0, 0.0, t2, w2, early)
    return w1, w2 - w1, w3 - w2, w4 - w3, w5 - w4


def steer(
    params: PathParams, steering: Steering | None, draws: Draws, clock: Clock, k: Any, alive: Any
) -> tuple[Draws, Steering | None]:
    """The shocks of row k, [M] each, as the path's script wants them. `alive`: something is still unsettled."""
    if steering is None:
        return draws, None
    if steering.raised is not None:
        draws, steering = _raise_jumps(params, steering, draws, clock.dt, alive)
    if steering.times is not None:
        draws, steering = _follow_bridge(params, steering, draws, clock, k)
    return draws, steering


def _replaced(u: Any, p: Any, q: Any, active: Any, raised: Any) -> tuple[Any, Any]:
    """(uniform that is below p with probability q where `raised`, density ratio of that law at it)."""
    below = u < jnp.where(raised, q, p)
    inner = jnp.minimum(u * (p / jnp.maximum(q, 1e-300)), p * (1.0 - 2.0**-52))
    outer = jnp.maximum(p + (u - q) * ((1.0 - p) / (1.0 - q)), p)
    moved = jnp.where(raised & active, jnp.where(below, inner, outer), u)
    ratio = jnp.where(below, q / jnp.maximum(p, 1e-300), (1.0 - q) / (1.0 - p))
    return moved, jnp.where(active, ratio, 1.0)


def _stretched(u: Any, p_up: Any, raised: Any, stretch: Any, share: Any) -> tuple[Any, Any]:
    """(uniform of Kou's law whose tail is t^stretch with probability `share`, density ratio of that mixture at it).

    A jump is −log(tail) times a mean, so t^c makes it c times as large; density of t^c: t^(1/c − 1)/c.
    """
    up = u < p_up
    width = jnp.where(up, p_up, 1.0 - p_up)
    t = jnp.where(up, u, 1.0 - u) / jnp.maximum(width, 1e-12)
    larger = t < share  # the lower part of the uniform chooses, and what is left of it is uniform again
    within = jnp.where(larger, t / share, (t - share) / (1.0 - share))
    moved = jnp.where(raised, jnp.where(larger, within**stretch, within), t)
    moved = jnp.clip(moved, 2.0**-52, 1.0 - 2.0**-52)
    ratio = 1.0 - share + share * moved ** (1.0 / stretch - 1.0) / stretch
    return jnp.where(raised, jnp.where(up, width * moved, 1.0 - width * moved), u), ratio


def _raise_jumps(params: PathParams, steering: Steering, draws: Draws, dt: Any, alive: Any) -> tuple[Draws, Steering]:
    """Probabilities as in `value.diffuse`. A jump common to all markets counts once, and so does its size."""
    p, markets = params.value, draws.u_event.shape[0]

    def higher(chance):
        return jnp.minimum(steering.factor * chance, jnp.maximum(chance, CEILING))

    mean = p.jump_rate * dt
    p_common = p.jump_common * mean
    p_own = (mean - p_common) / (1.0 - p_common)
    own, ratios = jax.vmap(_replaced, in_axes=(0, 0, 0, None, None))(
        draws.u_event, p_own, higher(p_own), alive, steering.raised
    )
    widest = p_common[0]
    for m in range(1, markets):
        widest = jnp.maximum(widest, p_common[m])
    common, ratio = _replaced(draws.u_common[0], widest, higher(widest), alive, steering.raised)
    for m in range(markets):
        ratio = ratio * ratios[m]
    shared = jnp.full_like(draws.u_common, 0.0) + common
    draws = draws._replace(u_event=own, u_common=shared)
    if params.jumps == "kou":
        draws, sizes = _stretch_jumps(params, steering, draws, p_own, p_common, alive)
        ratio = ratio * sizes
    return draws, steering._replace(ratio=steering.ratio * ratio)


def _stretch_jumps(
    params: PathParams, steering: Steering, draws: Draws, p_own: Any, p_common: Any, alive: Any
) -> tuple[Draws, Any]:
    """Sizes of the jumps that come in this row, and the density ratio of those that do.

    Markets share the uniform of a common jump, but each has its own share of falls: it is stretched as the first has it.
    """
    p, how = params.value, (steering.raised & alive, steering.stretch, steering.stretched)
    size, ratios = jax.vmap(_stretched, in_axes=(0, 0, None, None, None))(draws.u_size, p.jump_p_up, *how)
    both, ratio = _stretched(draws.u_common_size[0], p.jump_p_up[0], *how)
    joint = draws.u_common < p_common  # [M]
    alone = (draws.u_event < p_own) & ~joint
    product = jnp.where(alive & jnp.any(joint), ratio, 1.0)
    for m in range(size.shape[0]):
        product = product * jnp.where(alive & alone[m], ratios[m], 1.0)
    size = jnp.where(alone, size, draws.u_size)
    shared = jnp.where(jnp.any(joint), both, draws.u_common_size[0])
    return draws._replace(u_size=size, u_common_size=jnp.full_like(draws.u_common_size, 0.0) + shared), product


def _follow_bridge(
    params: PathParams, steering: Steering, draws: Draws, clock: Clock, k: Any
) -> tuple[Draws, Steering]:
    """The row's part of the way to the next corner: exact in law, and the sum over the rows is the increment."""
    p, at = params.value, jnp.asarray(k).astype(jnp.float64)
    start, rest, until, last = -1.0, steering.rest, clock.time, jnp.bool_(False)
    for corner, time, move in zip(steering.corners, steering.times, steering.moves):
        here = (at > start) & (at <= corner)
        first = jnp.maximum(start, 0.0) + 1.0
        rest = jnp.where(at == first, move, rest)
        until, last = jnp.where(here, time, until), last | (at == corner)
        start = corner
    z = p.factor[0] * draws.z_common[0] + p.own[0] * draws.z_value[0]
    before = clock.time - clock.dt
    share = jnp.where(last, 1.0, jnp.clip(clock.dt / jnp.maximum(until - before, 1e-9), 0.0, 1.0))
    moving = clock.dt > 0.0
    step = share * rest + jnp.sqrt(clock.dt * (1.0 - share)) * z
    bent = jnp.where(moving, step / jnp.sqrt(jnp.where(moving, clock.dt, 1.0)), z)
    rest = jnp.where(moving, rest - step, rest)
    return draws._replace(z_total=jnp.full_like(draws.z_value, 0.0) + bent), steering._replace(rest=rest)
