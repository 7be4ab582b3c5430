"""Fundamental value: diffusion with constant, two-regime or Heston volatility, plus Merton or Kou jumps.

    d log V = (drift − ½ σ² − λ κ) dt + σ (√ρ dW_common + √(1−ρ) dW) + J dN,    κ = E[e^J] − 1

so exp(value) has the stated drift. Log-Euler: exact for constant volatility; the regime chain is exact at the grid
times (its state at the start of a step rules the step). At most one jump a step, with probability λ·dt: the mean of the
jump part does not depend on the step, its variance is short of λT by Σ (λ dt)² of the squared mean jump. A share of the
jumps is common to all markets. After listing the volatility is the share's, on trading time: so much variance per
second of session, so much outside.
Merton (1976), Kou (2002), Heston (1993) with full truncation (Lord, Koekkoek, van Dijk 2010).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from mcrisk.paths.lifecycle import Plan
from mcrisk.paths.params import PathParams, ValueParams
from mcrisk.paths.philox import normals
from mcrisk.paths.state import Draws, Due, PathState, decay
from mcrisk.rules.branch import choose


class ValueStep(NamedTuple):
    value: Any  # log
    vol: Any  # next state of PathState.vol
    level: Any  # volatility over its calm level; thins the book


def jump_size(p: ValueParams, jumps: str, u0: Any, u1: Any) -> Any:
    """A log jump: Kou from one uniform by inversion, Merton from two by Box–Muller."""
    if jumps == "merton":
        return p.jump_up + p.jump_down * normals(u0, u1)[0]
    up = u0 < p.jump_p_up
    tail = jnp.where(up, u0 / jnp.maximum(p.jump_p_up, 1e-12), (1.0 - u0) / jnp.maximum(1.0 - p.jump_p_up, 1e-12))
    return jnp.log(tail) * jnp.where(up, -p.jump_up, p.jump_down)


def diffuse(
    params: PathParams, plan: Plan, state: PathState, now: Due, time: Any, dt: Any, session: Any, d: Draws
) -> ValueStep:
    """Value after the ordinary shocks of a row. `session`: seconds of spot session within it."""
    p = params.value
    z = p.factor * d.z_common + p.own * d.z_value if d.z_total is None else d.z_total
    jump_mean = p.jump_rate * dt
    p_common = p.jump_common * jump_mean
    p_own = (jump_mean - p_common) / (1.0 - p_common)
    common = d.u_common < p_common
    which = jnp.where(common, d.u_common_size, d.u_size)
    jump = choose(
        common | (d.u_event < p_own), lambda: jump_size(p, params.jumps, which, d.u_extra), lambda: jnp.float64(0.0)
    )

    sigma, vol, level = _volatility(params, state, dt, z, p_own, d)
    listed = now.was_listed

    def excited() -> Any:
        since = 0.5 * (state.time + time) - jnp.where(listed, plan.listing_time, plan.event_time)
        excess = jnp.where(listed, p.listed_excess, plan.vol_excess)
        return 1.0 + excess * decay(jnp.where(listed, p.listed_decay, plan.vol_decay), jnp.maximum(since, 0.0))

    boost = choose(listed | now.was_event, excited, lambda: jnp.float64(1.0))
    trading = p.session_variance * session + p.closed_variance * (dt - session)
    level = boost * jnp.where(listed, 1.0, level)
    variance = jnp.where(listed, jnp.square(p.listed_vol * boost) * trading, jnp.square(sigma * boost) * dt)
    drift = (p.drift - p.jump_rate * p.jump_compensator) * dt - 0.5 * variance
    return ValueStep(state.value + drift + jnp.sqrt(variance) * z + jump, vol, level)


def _volatility(params: PathParams, state: PathState, dt: Any, z: Any, p_own: Any, d: Draws) -> tuple[Any, Any, Any]:
    """(volatility per sqrt(second) for this step, next state, volatility over its calm level)."""
    p = params.value
    if params.volatility == "constant":
        return p.calm, state.vol, jnp.float64(1.0)
    if params.volatility == "heston":
        if d.z_variance is None:
            raise ValueError("a Heston model needs draws(..., volatility='heston')")
        variance = jnp.maximum(state.vol, 0.0)
        shock = p.rho * z + jnp.sqrt(1.0 - p.rho * p.rho) * d.z_variance
        mean = p.calm * p.calm
        moved = state.vol + p.kappa * (mean - variance) * dt + p.xi * jnp.sqrt(variance * dt) * shock
        sigma = jnp.sqrt(variance)
        return sigma, moved, sigma / p.calm
    stressed = state.vol > 0.5
    other = jnp.where(stressed, 1.0 - p.share_stressed, p.share_stressed)
    p_switch = other * (1.0 - decay(p.switch_rate, dt))
    # One uniform decides both: a jump below p_own, a switch in the interval above it (never both in one row).
    switch = (d.u_event >= p_own) & (d.u_event < p_own + p_switch)
    sigma = jnp.where(stressed, p.stressed, p.calm)
    return sigma, jnp.where(switch, 1.0 - state.vol, state.vol), sigma / p.calm
