"""Averages over time: numerator/denominator EMA and bucketed moving windows.

Formula   EMA: num ← num·e^(−dt/τ) + sample·dt, den ← den·e^(−dt/τ) + dt, value = num/den, starting empty.
          Window: n equal buckets over `window`; bucket = floor(time/(window/n)); mean = Σ sample·dt / Σ dt over the
          n buckets that end with the row's. While there is no weight the average is the sample itself.
Symbols   dt, time, τ, window in seconds; sample in any unit.
Source    EMA: Hyperliquid docs, robust price indices; trade.xyz docs (2026-09-18). Window bucketing:
          docs/semantics.md of this repository (2026-11-20); venues name moving averages without their bucketing.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.branch import selected

BUCKETS = 24   # per moving window, the same in replay, simulation and oracle


class Ema(NamedTuple):
    num: Array
    den: Array


def ema_init() -> Ema:
    """An average that has seen nothing."""
    return Ema(jnp.zeros((), jnp.float64), jnp.zeros((), jnp.float64))


def ema_value(state: Ema, otherwise: Array) -> Array:
    """Present value; `otherwise` while the average is empty."""
    filled = state.den > 0.0
    return jnp.where(filled, state.num / jnp.where(filled, state.den, 1.0), otherwise)


def ema_update(state: Ema, sample: Array, dt: Array, tau: Array) -> tuple[Ema, Array]:
    """Take in `sample`, which held for `dt` seconds; returns the state and the average."""
    decay = jnp.exp(-dt / tau)
    state = Ema(state.num * decay + sample * dt, state.den * decay + dt)
    return state, ema_value(state, sample)


def ema_rescale(state: Ema, factor: Array) -> Ema:
    return Ema(state.num * factor, state.den)


class Window(NamedTuple):
    total: Array    # [n] Σ sample·dt of each bucket
    weight: Array   # [n] Σ dt of each bucket, seconds
    bucket: Array   # int32: number of the newest bucket; −1 = empty


def window_init(buckets: int = BUCKETS) -> Window:
    """A window that has seen nothing."""
    zeros = jnp.zeros((buckets,), jnp.float64)
    return Window(zeros, zeros, jnp.asarray(-1, jnp.int32))


def window_update(state: Window, sample: Array, dt: Array, time: Array, window: Array) -> tuple[Window, Array]:
    """Take in `sample`, which held for `dt` seconds up to `time`; returns the state and the mean.

    A row at least as long as the window clears every bucket, so that only its own sample counts.
    """
    n = state.total.shape[0]
    bucket = jnp.floor(time / (window / n)).astype(jnp.int32)
    here, passed = lax.rem(bucket, jnp.int32(n)), bucket - state.bucket

    def slide(total: Array, weight: Array):
        slot, at = lax.iota(jnp.int64, n), here.astype(jnp.int64)
        age = jnp.where(slot <= at, at - slot, at - slot + n)   # buckets back from the row's
        keep = age >= passed                                    # written since the last row = no longer in the window
        own = age == 0
        total = jnp.where(keep, total, 0.0) + jnp.where(own, sample * dt, 0.0)
        weight = jnp.where(keep, weight, 0.0) + jnp.where(own, dt, 0.0)
        return total, weight, jnp.sum(total), jnp.sum(weight)

    def start(total: Array, weight: Array):
        del total, weight
        own = lax.iota(jnp.int64, n) == here
        return jnp.where(own, sample * dt, 0.0), jnp.where(own, dt, 0.0), sample * dt, dt

    if selected():   # a selection of rings would cost more than what it saves
        total, weight, moment, mass = slide(state.total, state.weight)
    else:
        total, weight, moment, mass = lax.cond(passed >= n, start, slide, state.total, state.weight)
    mean = jnp.where(mass > 0.0, moment / jnp.where(mass > 0.0, mass, 1.0), sample)
    return Window(total, weight, bucket), mean


def window_rescale(state: Window, factor: Array) -> Window:
    return Window(state.total * factor, state.weight, state.bucket)
