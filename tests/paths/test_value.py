"""Laws of the fundamental value against closed forms. z-tests at 5 standard errors: false alarm 6e-7 each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mcrisk import paths
from mcrisk.paths.state import due
from mcrisk.paths.value import diffuse, jump_size

from .worlds import SHORT, Correlation, calm_scenario, mean_within, params, price, simulate

YEARS = 30.0 / 365.0
NO_JUMPS = {"law": "merton", "per_year": 0.0, "mean": 0.0, "sd": 0.0}


def terminal(prices, count=20_000, **more) -> np.ndarray:
    """Log return over the horizon."""
    run = simulate(params(prices, happening=calm_scenario()), count, parts="value", **more)
    return run.state["value"][:, -1] - np.log(100.0)


def constant(sigma: float, jumps: dict, **more):
    return price("near", volatility={"kind": "constant", "sigma": sigma}, jumps=jumps, **more)


def test_constant_volatility_is_exact():
    x = terminal(constant(0.8, NO_JUMPS, drift=0.3))
    variance = 0.64 * YEARS
    mean_within(x, 0.3 * YEARS - 0.5 * variance)
    mean_within((x - x.mean()) ** 2, variance)
    mean_within(np.exp(x), np.exp(0.3 * YEARS))
    assert stats.kstest(x, "norm", (0.3 * YEARS - 0.5 * variance, np.sqrt(variance))).pvalue > 1e-5


@pytest.mark.parametrize(
    "jumps, first, second, exponential",
    [
        ({"law": "merton", "per_year": 30.0, "mean": -0.1, "sd": 0.2}, -0.1, 0.05, np.exp(-0.1 + 0.02)),
        (
            {"law": "kou", "per_year": 30.0, "p_up": 0.4, "mean_up": 0.1, "mean_down": 0.15},
            0.4 * 0.1 - 0.6 * 0.15,
            2 * (0.4 * 0.01 + 0.6 * 0.0225),
            0.4 / 0.9 + 0.6 / 1.15,
        ),
    ],
)
def test_jump_diffusion_moments(jumps, first, second, exponential):
    """Cumulants of a compound Poisson: mean λT E[J], variance λT E[J²]; and E[exp] = 1 through the compensator."""
    x, rate = terminal(constant(0.4, jumps), count=20_000), 30.0 * YEARS
    mean_within(x, -0.5 * 0.16 * YEARS - rate * (exponential - 1.0) + rate * first)
    # One jump a step at most: the count is a sum of Bernoullis, its variance short of λT by Σ (λ dt)².
    run = simulate(params(constant(0.4, jumps), happening=calm_scenario()), 64, parts="value")
    missing = (np.diff(run.state["time"], axis=1) ** 2).sum(axis=1).mean() * (30.0 / 365 / 86400) ** 2
    mean_within((x - x.mean()) ** 2, 0.16 * YEARS + rate * second - missing * first**2)
    mean_within(np.exp(x), 1.0)


def test_jump_counts_are_poisson_in_mean_and_almost_in_variance():
    jumps = {"law": "merton", "per_year": 24.0, "mean": 1.0, "sd": 0.0}
    run = simulate(params(constant(0.0, jumps), happening=calm_scenario()), 20_000, parts="value")
    dt = np.diff(run.state["time"], axis=1)
    drift = -24.0 / 365 / 86400 * (np.e - 1.0) * dt
    counts = np.rint(np.diff(run.state["value"], axis=1) - drift).sum(axis=1)
    mean_within(counts, 24.0 * YEARS)
    mean_within(
        (counts - counts.mean()) ** 2, (24.0 * YEARS - (24.0 / 365 / 86400 * dt) ** 2 @ np.ones(dt.shape[1])).mean()
    )


@pytest.mark.parametrize(
    "jumps, law",
    [
        ({"law": "merton", "per_year": 1.0, "mean": -0.1, "sd": 0.2}, stats.norm(-0.1, 0.2).cdf),
        (
            {"law": "kou", "per_year": 1.0, "p_up": 0.4, "mean_up": 0.1, "mean_down": 0.15},
            lambda x: np.where(x < 0, 0.6 * np.exp(np.minimum(x, 0) / 0.15), 1 - 0.4 * np.exp(-np.maximum(x, 0) / 0.1)),
        ),
    ],
)
def test_jump_sizes_follow_their_law_alarm_rate_1e_5(jumps, law):
    p = params(constant(0.4, jumps))
    u = np.random.default_rng(5).uniform(size=(2, 20_000))
    sizes = np.asarray(jump_size(p.value, p.jumps, jnp.asarray(u[0]), jnp.asarray(u[1])))
    assert stats.kstest(sizes, law).pvalue > 1e-5


def test_regimes_keep_their_share_and_stay():
    """Starts stationary, stays stationary; the chain over a step is the exact two-state chain."""
    run = simulate(params(price("near"), happening=calm_scenario()), 20_000, parts="value")
    stressed, time = run.state["vol"], run.state["time"]
    for k in (0, 6, 12, stressed.shape[1] - 1):
        mean_within(stressed[:, k], 0.2)
    rate = 1 / (2 * 86400 * 0.8)
    dt = np.diff(time, axis=1)[:, 2]
    leaves = (stressed[:, 2] == 1) & (stressed[:, 3] == 0)
    mean_within(leaves - (stressed[:, 2] == 1) * 0.8 * (1 - np.exp(-rate * dt)), 0.0)


def test_heston_mean_and_variance():
    heston = {"kind": "heston", "sigma0": 1.2, "long_run": 0.8, "kappa": 6.0, "xi": 1.0, "rho": -0.6}
    fine = SHORT.model_copy(update={"before": 60, "after": 60})
    p = params(price("near", volatility=heston, jumps=NO_JUMPS), happening=calm_scenario(), grid=fine)
    run = simulate(p, 20_000, parts="value")
    x = run.state["value"][:, -1] - np.log(100.0)
    mean_within(np.exp(x), 1.0)
    expected = 0.64 * YEARS + (1.44 - 0.64) * (1 - np.exp(-6 * YEARS)) / 6
    assert abs(-2 * x.mean() / expected - 1) < 0.03  # −½ E∫v; Euler bias of the mean reversion at 12 h steps included


def test_drift_and_moments_do_not_hang_on_the_step_alarm_rate_1e_5():
    fine = SHORT.model_copy(
        update={
            "before": 2 * SHORT.before,
            "after": 2 * SHORT.after,
            "approach": tuple(s.model_copy(update={"steps": 2 * s.steps}) for s in SHORT.approach),
            "event": tuple(s.model_copy(update={"steps": 2 * s.steps}) for s in SHORT.event),
        }
    )
    samples = []
    for grid, first in ((SHORT, 0), (fine, 50_000)):
        run = simulate(params(price("near"), grid=grid, happening=calm_scenario()), 20_000, first=first, parts="value")
        samples.append(run.state["value"][:, -1])
    assert stats.ks_2samp(*samples).pvalue > 1e-5


def test_markets_share_diffusion_and_jumps_as_asked():
    together = Correlation(diffusion=0.5, common_jump_share=0.3)
    diffusing = params(constant(0.8, NO_JUMPS), happening=calm_scenario(), correlation=together)
    a, b = (simulate(diffusing, 20_000, market=m, parts="value", zoom=1e6).state["value"] for m in ("SPCX", "CBRS"))
    a, b = (np.diff(x, axis=1) / x.std(axis=0)[-1] for x in (a, b))
    mean_within((a * b).sum(axis=1), 0.5 * (a * a).mean() * a.shape[1])
    jumping = params(
        constant(0.0, {"law": "merton", "per_year": 24.0, "mean": 1.0, "sd": 0.0}),
        happening=calm_scenario(),
        correlation=together,
    )
    a, b = (simulate(jumping, 20_000, market=m, parts="value", zoom=1e6).state for m in ("SPCX", "CBRS"))
    both = ((np.diff(a["value"], axis=1) > 0.5) & (np.diff(b["value"], axis=1) > 0.5)).sum(axis=1)
    jump = 24.0 / 365 / 86400 * np.diff(a["time"][0])
    common = 0.3 * jump
    own = (jump - common) / (1 - common)
    mean_within(both, (common + (1 - common) * own**2).sum())


def test_listed_volatility_runs_on_trading_time():
    """A weekday's variance is σ²/252: 65 % of it in the session, the rest over the closed hours."""
    p = params(constant(0.8, NO_JUMPS))
    plan = jax.jit(paths.draw_plan)(p, jnp.uint64(1), jnp.uint64(2), jnp.uint32(0), jnp.uint32(0))
    plan = plan._replace(listing_time=jnp.float64(0.0), code=jnp.int32(1), event_time=jnp.float64(0.0))
    state = paths.start(p, plan, 100.0, 1e7)._replace(time=jnp.float64(400 * 86400.0))
    shock = paths.Draws(*(jnp.float64(x) for x in (1.0, 0.0, 1.0, 0.9, 0.5, 0.5, 0.9, 0.5)))
    time = state.time + 86400.0
    move = jax.jit(lambda: diffuse(p, plan, state, due(plan, state, time), time, 86400.0, 23400.0, shock))
    step = move()
    z = float(p.value.factor + p.value.own)
    off = 86400 * 365 / 252 - 23400
    expected = 0.64 / 252 * (0.65 + 0.35 * (86400 - 23400) / off)
    moved = float(step.value - state.value) + 0.5 * expected
    assert moved == pytest.approx(z * np.sqrt(expected), rel=1e-6)


def test_gradients_exist():
    """Value is differentiable in its parameters (fits use it)."""
    p = params(constant(0.5, NO_JUMPS), happening=calm_scenario())
    keys = paths.stream_keys(1, "g", "x", "v")

    def last(calm):
        q = jax.tree_util.tree_map(lambda x: x, p)
        object.__setattr__(q, "value", q.value._replace(calm=calm))
        plan = paths.draw_plan(q, keys.company, keys.venue, jnp.uint32(0), jnp.uint32(0))
        state = paths.start(q, plan, 100.0, 1e7)
        clock = paths.Clock(*(jnp.float64(x) for x in (60.0, 60.0, 0.0, 120.0)))
        shock = paths.draws(keys.company, keys.common, jnp.uint32(0), jnp.uint32(0), jnp.int32(1))
        return paths.advance(q, plan, state, clock, shock, paths.Hints(jnp.float64(1.0), jnp.bool_(False)))[0].value

    assert np.isfinite(jax.jit(jax.grad(last))(p.value.calm))
