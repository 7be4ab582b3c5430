"""Are the intervals honest? Small runs of the installed build on cases with a known answer, and how often they cover it.

Shocks, volatility and jumps are those of the engine's price model (`paths.value`, `paths.state`, Philox streams); the
intervals are those of every report (`risk.intervals`). The answers are textbook formulas.

Sources: Broadie, Glasserman & Kou (1997) for the barrier seen only at the steps; Merton (1976) for the moments, with at
most one jump a step as the model has it; the rest is elementary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mcrisk.paths.params import NEVER, YEAR, ValueParams
from mcrisk.paths.philox import normals_numpy, philox_numpy, stream_key, uniform
from mcrisk.paths.state import draws
from mcrisk.paths.value import diffuse
from mcrisk.risk import intervals
from mcrisk.risk.intervals import Interval

Array = NDArray[np.float64]
BAND = (0.93, 0.97)  # where the coverage of 95 % intervals must lie
BGK = 0.5825971579390107  # −ζ(1/2)/√(2π): shift of a barrier seen at steps, in σ√dt
HORIZON, STEPS = 30.0 * 86400.0, 64  # s; rows of a path


@dataclass(frozen=True)
class Case:
    """One number with a known answer.

    Args:
        truth: the answer.
        paths: per run.
        sample: (seed, first path, count) → [count] numbers.
        interval: a run's numbers → its 95 % interval.
    """

    name: str
    truth: float
    paths: int
    sample: Callable[[int, int, int], Array]
    interval: Callable[[Array], Interval]


@dataclass(frozen=True)
class Coverage:
    """How often the intervals of `runs` runs held the truth."""

    name: str
    truth: float
    mean: float  # of the estimates
    runs: int
    paths: int
    share: float
    unresolved: int  # runs whose interval has no bound; they count as not covering

    def within(self, band: tuple[float, float] = BAND) -> bool:
        return band[0] <= self.share <= band[1]


def coverage(case: Case, runs: int = 1000, seed: int = 1) -> Coverage:
    """Repeat a small run `runs` times, each on paths of its own."""
    together = max(1, 262_144 // case.paths)  # runs simulated in one go
    covered, unresolved, total = 0, 0, 0.0
    for first in range(0, runs, together):
        count = min(together, runs - first)
        values = case.sample(seed, first * case.paths, together * case.paths).reshape(together, case.paths)[:count]
        for row in values:
            found = case.interval(row)
            covered += found.lower <= case.truth <= found.upper
            unresolved += not found.resolved
            total += found.estimate
    return Coverage(case.name, case.truth, total / runs, runs, case.paths, covered / runs, unresolved)


def cases() -> tuple[Case, ...]:
    """Every case, cheap ones last."""
    return (_barrier(), _merton_mean(), _merton_variance(), _poisson_any(), _poisson_mean(), *_lognormal())


# ---------------------------------------------------------------- paths of the price model
@partial(jax.jit, static_argnames="count")
def _walk(p: ValueParams, key: jax.Array, first: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Log value at the end and its smallest value at the steps, over `count` paths [count] each; starts at 0."""
    params = SimpleNamespace(value=p, jumps="merton", volatility="constant")
    plan = SimpleNamespace(listing_time=NEVER, event_time=NEVER, vol_excess=0.0, vol_decay=0.0)
    now = SimpleNamespace(was_listed=jnp.bool_(False), was_event=jnp.bool_(False))
    numbers = first + jnp.arange(count, dtype=jnp.uint64)
    low, high = (numbers & 0xFFFFFFFF).astype(jnp.uint32), (numbers >> 32).astype(jnp.uint32)
    dt = HORIZON / STEPS

    def row(carry, step):
        value, least = carry

        def one(value, low, high):
            state = SimpleNamespace(value=value, vol=0.0, time=step * dt)
            return diffuse(params, plan, state, now, (step + 1) * dt, dt, 0.0, draws(key, key, low, high, step)).value

        value = jax.vmap(one)(value, low, high)
        return (value, jnp.minimum(least, value)), None

    start = jnp.zeros(count)
    return jax.lax.scan(row, (start, start), jnp.arange(STEPS))[0]


def _model(sigma: float, per_year: float = 0.0, mean: float = 0.0, sd: float = 0.0, compensate: bool = True):
    """Constant volatility with normal jumps, a martingale; every field the model reads."""
    zero = dict.fromkeys(ValueParams._fields, 0.0)
    own = {
        "calm": sigma / math.sqrt(YEAR), "jump_rate": per_year / YEAR, "jump_up": mean, "jump_down": sd, "own": 1.0,
        "jump_compensator": math.exp(mean + 0.5 * sd * sd) - 1.0 if compensate else 0.0, "jump_common": 0.0,
    }  # fmt: skip
    return ValueParams(**{**zero, **own})


def _paths(p: ValueParams, name: str, seed: int, first: int, count: int) -> tuple[Array, Array]:
    key = jnp.uint64(stream_key(seed, "validate", name))
    end, least = _walk(p, key, jnp.uint64(first), count)
    return np.asarray(end), np.asarray(least)


# ---------------------------------------------------------------- cases
def _barrier(leverage: float = 5.0, maintenance: float = 0.05, sigma: float = 0.9) -> Case:
    """A long account at `leverage`: liquidated when the mark has lost what stands above maintenance, at some step."""
    level = math.log((1.0 - 1.0 / leverage) / (1.0 - maintenance))
    years = HORIZON / YEAR
    seen = level - BGK * sigma * math.sqrt(years / STEPS)
    drift, spread = -0.5 * sigma * sigma, sigma * math.sqrt(years)
    norm = stats.norm.cdf
    truth = norm((seen - drift * years) / spread) + math.exp(2 * drift * seen / sigma**2) * norm(
        (seen + drift * years) / spread
    )
    p = _model(sigma)
    return Case(
        "P(one account is liquidated), GBM", float(truth), 256,
        lambda seed, first, n: (_paths(p, "barrier", seed, first, n)[1] <= level).astype(float),
        lambda hit: intervals.wilson(int(hit.sum()), hit.size),
    )  # fmt: skip


_MERTON = {"per_year": 30.0, "mean": -0.05, "sd": 0.08}


def _merton_facts(sigma: float = 0.6) -> tuple[ValueParams, float, float]:
    """Parameters, mean and variance of the log return; a step has a jump with probability λ·dt, or none."""
    p, years, dt = _model(sigma, **_MERTON), HORIZON / YEAR, HORIZON / YEAR / STEPS
    rate, m, s = _MERTON["per_year"], _MERTON["mean"], _MERTON["sd"]
    mean = (-rate * (math.exp(m + 0.5 * s * s) - 1.0) - 0.5 * sigma**2 + rate * m) * years
    chance = rate * dt
    return p, mean, sigma**2 * years + STEPS * (chance * (m * m + s * s) - (chance * m) ** 2)


def _merton_mean() -> Case:
    p, mean, _ = _merton_facts()
    sample = lambda seed, first, n: _paths(p, "merton", seed, first, n)[0]  # noqa: E731
    return Case("mean log return, Merton", mean, 256, sample, intervals.mean)


def _merton_variance() -> Case:
    p, mean, variance = _merton_facts()
    sample = lambda seed, first, n: np.square(_paths(p, "merton", seed, first, n)[0] - mean)  # noqa: E731
    return Case("variance of log return, Merton", variance, 512, sample, intervals.mean)


def _counts(seed: int, first: int, n: int, per_year: float = 20.0) -> Array:
    """Jumps of a path: all of size 1, without diffusion, so that the log value counts them."""
    return np.round(_paths(_model(0.0, per_year, 1.0, 0.0, compensate=False), "poisson", seed, first, n)[0])


def _poisson_any(per_year: float = 20.0) -> Case:
    truth = 1.0 - (1.0 - per_year * HORIZON / YEAR / STEPS) ** STEPS
    interval = lambda hit: intervals.wilson(int(hit.sum()), hit.size)  # noqa: E731
    return Case("P(an event happens)", truth, 256, lambda *a: (_counts(*a) > 0).astype(float), interval)


def _poisson_mean(per_year: float = 20.0) -> Case:
    return Case("mean number of events", per_year * HORIZON / YEAR, 256, _counts, intervals.mean)


def _normals(seed: int, first: int, n: int) -> Array:
    words = philox_numpy(stream_key(seed, "validate", "lognormal"), np.arange(first, first + n), 0, 0, 0)
    return normals_numpy(uniform(words.w0), uniform(words.w1))[0]


def _lognormal(sigma: float = 0.4, paths: int = 16_384) -> tuple[Case, Case]:
    z = stats.norm.ppf(0.99)
    shortfall = math.exp(0.5 * sigma * sigma) * stats.norm.cdf(sigma - z) / 0.01

    def sample(seed: int, first: int, n: int) -> Array:
        return np.exp(sigma * _normals(seed, first, n))

    return (
        Case("ES 99 % of a lognormal", float(shortfall), paths, sample, lambda x: intervals.expected_shortfall(x, 0.99)),
        Case("VaR 99 % of a lognormal", math.exp(sigma * z), paths, sample, lambda x: intervals.quantile(x, 0.99)),
    )
