"""Volatility, jumps, regimes and mean reversion from log returns, for many series at once (the bootstrap's replicates).

Model     x = log value + u; d log value = σ_k dW + Kou jumps, k a two-state Markov chain; u Ornstein–Uhlenbeck (basis).
Formula   jumps: |r| > c·local bipower deviation (Lee & Mykland 2008); sizes beyond the threshold are exponential again, so
          mean = mean excess and rate = count·exp(threshold/mean)
          basis: Whittle likelihood of r with spectrum σ²dt + s²(1−φ²)(2−2cos ω)/(1+φ²−2φ cos ω), φ = exp(−dt·ln2/half-life)
          regimes: EM for a two-state hidden Markov chain of variances (Hamilton 1989), noise variance taken off
Units     time in years inside; volatility annual; jumps in log price; half-life and stay in seconds.
Source    Barndorff-Nielsen & Shephard 2004 (bipower variation); design.md 3.1 for the model that is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]
YEAR = 365.0 * 86400.0
THRESHOLD = 5.0  # local standard deviations: one false jump in 1.7 million normal returns
_WINDOW = 97  # returns over which the local deviation is taken
_REGIME_STEP = 3600.0
_ROUNDS = 60


@dataclass(frozen=True)
class Parameters:
    """One fit. Sides with fewer than `FEW_JUMPS` jumps have NaN means; the caller falls back on its prior there."""

    volatility: float
    calm: float
    stressed: float
    share_of_time_stressed: float
    mean_stay_stressed: float
    per_year: float
    p_up: float
    mean_up: float
    mean_down: float
    basis_sd: float
    basis_half_life: float

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]


FEW_JUMPS = 3


@dataclass(frozen=True)
class Jumps:
    """Jumps of one side: how many were seen, their mean size beyond the threshold, the mean threshold (log price)."""

    count: int
    mean: float
    threshold: float

    @property
    def rate(self) -> float:
        """Jumps including those too small to be seen (same unit as `count`)."""
        return self.count * float(np.exp(self.threshold / self.mean)) if self.count >= FEW_JUMPS else float(self.count)


def local_deviation(r: Array) -> Array:
    """Bipower standard deviation of the surrounding returns, current one and neighbours left out of their product [T]."""
    product = np.abs(r[1:]) * np.abs(r[:-1])
    padded = np.pad(product, _WINDOW // 2, mode="reflect") if len(product) > _WINDOW // 2 else product
    total = np.concatenate([[0.0], np.cumsum(padded)])
    width = min(_WINDOW, len(padded))
    mean = (total[width:] - total[:-width]) / width
    mean = np.interp(np.linspace(0, 1, len(r)), np.linspace(0, 1, len(mean)), mean)
    return np.sqrt(np.pi / 2 * mean)


def find_jumps(r: Array) -> tuple[NDArray[np.bool_], Jumps, Jumps]:
    """Which returns hold a jump [T], and the jumps up and down."""
    limit = np.maximum(THRESHOLD * local_deviation(r), 1e-12)
    hit = np.abs(r) > limit
    sides = []
    for sign in (1.0, -1.0):
        side = hit & (r * sign > 0)
        excess = np.abs(r[side]) - limit[side]
        mean = float(excess.mean()) if side.sum() >= FEW_JUMPS else float("nan")
        sides.append(Jumps(int(side.sum()), mean, float(limit[side].mean()) if side.any() else float(limit.mean())))
    return hit, sides[0], sides[1]


def jump_share(r: Array) -> float:
    """Share of realised variance that bipower variation does not explain, in [0, 1)."""
    realised = float((r**2).sum())
    bipower = float(np.pi / 2 * (np.abs(r[1:]) * np.abs(r[:-1])).sum()) * len(r) / max(len(r) - 1, 1)
    return max(0.0, 1.0 - bipower / realised) if realised > 0 else 0.0


def whittle(r: Array, dt: float, thorough: bool = True) -> tuple[float, float, float]:
    """(σ, basis sd, basis half-life in s) of returns without jumps [T], `dt` in seconds; `thorough`: two starts."""
    n = len(r)
    omega = 2 * np.pi * np.arange(1, (n - 1) // 2 + 1) / n
    power = np.abs(np.fft.rfft(r - r.mean())[1 : len(omega) + 1]) ** 2 / n
    cos, variance = np.cos(omega), float(r.var())

    def cost(theta: Array) -> float:
        walk, noise, phi = variance * np.exp(theta[0]), variance * np.exp(theta[1]), 1 / (1 + np.exp(-theta[2]))
        f = walk + noise * (1 - phi**2) * (2 - 2 * cos) / (1 + phi**2 - 2 * phi * cos)
        # weak pull towards moderate values: with no basis in the data, the other two parameters are not identified
        return float((np.log(f) + power / f).sum()) + 0.02 * float(theta @ theta)

    starts = [np.array([-0.3, -1.0, phi]) for phi in ((-1.0, 1.5) if thorough else (0.5,))]
    fits = [optimize.minimize(cost, s, method="L-BFGS-B", bounds=[(-6, 1), (-9, 4), (-4, 5)]) for s in starts]
    best = min(fits, key=lambda fit: fit.fun).x
    phi = 1 / (1 + np.exp(-best[2]))
    sigma = np.sqrt(variance * np.exp(best[0]) / dt * YEAR)
    return float(sigma), float(np.sqrt(variance * np.exp(best[1]))), float(-dt * np.log(2) / np.log(phi))


def regimes(r: Array, rounds: int = _ROUNDS) -> tuple[Array, Array, Array, Array]:
    """Two-state variances by EM for series [B, T]: variance calm, stressed [B], and the chances to leave each per step."""
    squares = r**2
    mean = squares.mean(axis=1)
    low, high = 0.5 * mean, 3.0 * mean
    leave_low, leave_high = np.full(len(r), 0.01), np.full(len(r), 0.04)
    for _ in range(rounds):
        stress, went_up, went_down = _smooth(squares, low, high, leave_low, leave_high)
        heavy, light = stress.sum(axis=1), (1 - stress).sum(axis=1)
        high = (stress * squares).sum(axis=1) / np.maximum(heavy, 1e-9)
        low = ((1 - stress) * squares).sum(axis=1) / np.maximum(light, 1e-9)
        leave_low = np.clip((went_up + 0.5) / (light + 50.0), 1e-5, 0.5)  # half a switch seen before the data
        leave_high = np.clip((went_down + 0.5) / (heavy + 12.5), 1e-5, 0.5)
        swapped = low > high
        low, high = np.where(swapped, high, low), np.where(swapped, low, high)
        leave_low, leave_high = np.where(swapped, leave_high, leave_low), np.where(swapped, leave_low, leave_high)
    return low, high, leave_low, leave_high


def _smooth(squares: Array, low: Array, high: Array, up: Array, down: Array) -> tuple[Array, Array, Array]:
    """P(stressed) [B, T] and expected switches up and down [B], by the forward-backward recursion."""
    count = squares.shape[1]
    gain = np.exp(
        np.clip(0.5 * np.log(low / high)[:, None] + 0.5 * squares * (1 / low - 1 / high)[:, None], -300, 300)
    ).T.copy()  # likelihood ratio stressed : calm, [T, B]
    forward, now = np.empty((count, len(low))), up / (up + down)
    for t in range(count):
        ahead = now * (1 - down) + (1 - now) * up if t else now
        weight = ahead * gain[t]
        now = weight / (weight + 1 - ahead)
        forward[t] = now
    stress, went_up, went_down = np.empty_like(forward), np.zeros(len(low)), np.zeros(len(low))
    later = stress[-1] = forward[-1]
    for t in range(count - 2, -1, -1):
        here = forward[t]
        ahead = here * (1 - down) + (1 - here) * up
        stays = here * (1 - down) / np.maximum(ahead, 1e-300) * later
        falls = here * down / np.maximum(1 - ahead, 1e-300) * (1 - later)
        went_up += np.maximum(later - stays, 0.0)
        went_down += falls
        later = stress[t] = np.clip(stays + falls, 0.0, 1.0)
    return stress.T, went_up, went_down


def estimate(r: Array, dt: float) -> list[Parameters]:
    """Fit every series of `r` [B, T] of returns that are `dt` seconds apart."""
    clean, found, noise = r.copy(), [], []
    for b, series in enumerate(r):
        hit, up, down = find_jumps(series)
        clean[b, hit] = 0.0
        found.append((up, down))
        noise.append(whittle(clean[b], dt, thorough=len(r) == 1))
    every = max(1, round(_REGIME_STEP / dt))
    step = every * dt
    hours = clean[:, : clean.shape[1] // every * every].reshape(len(r), -1, every).sum(axis=2)
    low, high, up_rate, down_rate = regimes(hours)
    years = r.shape[1] * dt / YEAR
    out = []
    for b, ((up, down), (sigma, sd, half_life)) in enumerate(zip(found, noise)):
        basis = 2 * sd**2 * (1 - 0.5 ** (step / half_life))
        calm, stressed = (float(np.sqrt(max(v - basis, 0.05 * v) / step * YEAR)) for v in (low[b], high[b]))
        rate = up.rate + down.rate
        out.append(Parameters(
            sigma, calm, stressed, float(up_rate[b] / (up_rate[b] + down_rate[b])), float(step / down_rate[b]),
            rate / years, up.rate / rate if rate else 0.5, up.mean, down.mean, sd, half_life,
        ))  # fmt: skip
    return out


def simulate(p: Parameters, count: int, steps: int, dt: float, seed: int) -> Array:
    """Returns [count, steps] of the fitted model, for the bootstrap and for tests; NaN jump means stand for no jumps."""
    rng = np.random.default_rng(seed)
    shape = (count, steps)
    down = dt / p.mean_stay_stressed
    up = down * p.share_of_time_stressed / (1 - p.share_of_time_stressed)
    state = rng.random(count) < p.share_of_time_stressed
    draws, sigma = rng.random(shape), np.empty(shape)
    for t in range(steps):
        sigma[:, t] = np.where(state, p.stressed, p.calm)
        state = np.where(state, draws[:, t] >= down, draws[:, t] < up)
    r = sigma * np.sqrt(dt / YEAR) * rng.standard_normal(shape)
    jump = rng.random(shape) < p.per_year * dt / YEAR
    up_side = rng.random(shape) < p.p_up
    size = np.where(up_side, np.nan_to_num(p.mean_up), -np.nan_to_num(p.mean_down))
    r += jump * size * rng.exponential(1.0, shape)
    phi = 0.5 ** (dt / p.basis_half_life)
    u = np.empty((count, steps + 1))
    u[:, 0] = p.basis_sd * rng.standard_normal(count)
    kicks = p.basis_sd * np.sqrt(1 - phi**2) * rng.standard_normal(shape)
    for t in range(steps):
        u[:, t + 1] = phi * u[:, t] + kicks[:, t]
    return r + np.diff(u, axis=1)
