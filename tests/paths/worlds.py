"""Small worlds for the tests of paths: shipped or altered configs, simulated without a venue's rules."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mcrisk import paths
from mcrisk.config.load import load_model, load_venue
from mcrisk.config.scenario import Correlation, FeedModel, Grid, Liquidity, PriceModel, Scenario, Segment

DAY = 86400.0
SHORT = Grid(
    name="short",
    horizon=30 * DAY,
    before=6,
    approach=(Segment(duration=7200.0, steps=4),),
    event=(Segment(duration=7200.0, steps=6), Segment(duration=165600.0, steps=4)),
    after=6,
)


def config(model: type, kind: str, name: str, **changes: Any) -> Any:
    """A shipped config, top-level fields replaced."""
    shipped = load_model(model, kind, name)
    return type(shipped).model_validate(shipped.model_dump() | changes) if changes else shipped


price = functools.partial(config, PriceModel, "prices")
liquidity = functools.partial(config, Liquidity, "liquidity")
scenario = functools.partial(config, Scenario, "scenarios")
feed = functools.partial(config, FeedModel, "feeds")


def calm_scenario(**changes: Any) -> Scenario:
    """No event at all: nothing lists, nothing is revised."""
    quiet = dict(
        listing={"probability": {"near": 0.0, "far": 0.0, "token": 0.0}}, share_count_revision={"probability": 0.0}
    )
    return scenario("baseline", **(quiet | changes))


def params(prices=None, book=None, happening=None, index=None, venue="kraken-preipo", grid=SHORT, **more) -> Any:
    """PathParams as jax arrays; every part defaults to a shipped one."""
    tree = paths.params(
        prices or price("near"),
        book or liquidity("thin"),
        happening or scenario("combined"),
        index or feed("published"),
        load_venue(venue) if isinstance(venue, str) else venue,
        grid=grid,
        **more,
    )
    return jax.tree.map(jnp.asarray, tree)


class Run(NamedTuple):
    """[paths] on the plan, [paths, steps + 1] on states and rows; NumPy."""

    plan: Any
    state: Any
    row: Any


@functools.partial(jax.jit, static_argnames=("steps", "parts"))
def _simulate(p, keys, lo, forced, target, zoom, steps, parts):
    def one(lo, company, forced):
        plan = paths.draw_plan(p, company, keys.venue, lo, jnp.uint32(0), forced)
        hints = paths.Hints(target[0], target[1] > 0)

        def step(state, k):
            clock = paths.clock(p, jnp.where(zoom > 0, zoom, plan.event_time), k)
            draws = paths.draws(company, keys.common, lo, jnp.uint32(0), k, p.volatility)
            state, row = paths.advance(p, plan, state, clock, draws, hints)
            return state, (state, row) if parts == "all" else (state.time, state.value, state.vol)

        start = paths.start(p, plan, 100.0, 1e7)
        return plan, jax.lax.scan(step, start, jnp.arange(steps + 1, dtype=jnp.int32))[1]

    return jax.vmap(one, in_axes=(0, None, None if forced is None else 0))(lo, keys.company, forced)


def simulate(
    p: Any,
    count: int,
    first: int = 0,
    seed: int = 7,
    market: str = "SPCX",
    venue: str = "v",
    forced=None,
    target: float | None = None,
    parts: str = "all",
    zoom: float = 0.0,
) -> Run:
    """`count` paths from number `first`, without liquidations; `zoom` puts the fine steps elsewhere."""
    keys = paths.stream_keys(seed, "test", market, venue)
    keys = jax.tree.map(jnp.asarray, keys)
    lo = jnp.arange(first, first + count, dtype=jnp.uint32)
    hint = (jnp.float64(target or 1.0), jnp.float64(target is not None))
    steps = p.grid.slope.shape[-1] - 1
    plan, out = _simulate(p, keys, lo, forced, hint, jnp.float64(zoom), steps, parts)
    plan, out = jax.tree.map(np.asarray, (plan, out))
    if parts == "all":
        return Run(plan, *out)
    return Run(plan, dict(zip(("time", "value", "vol"), out)), None)


def still(**changes: float) -> paths.Draws:
    """Shocks that move nothing: no diffusion, no jump, no switch, no noise."""
    nothing = dict(
        z_value=0.0,
        z_basis=0.0,
        z_common=0.0,
        u_event=0.999999,
        u_size=0.5,
        u_extra=0.5,
        u_common=0.999999,
        u_common_size=0.5,
    )
    return paths.Draws(**{k: jnp.float64(v) for k, v in (nothing | changes).items()})


def clock(time: float, before: float, after: float | None = None, epoch: float = 0.0) -> paths.Clock:
    return paths.Clock(*(jnp.float64(x) for x in (time, time - before, epoch + time, after if after else time + 60.0)))


def mean_within(sample: np.ndarray, expected: float, z: float = 5.0) -> None:
    """The sample mean lies within z standard errors of `expected`; false alarm 6e-7 at z = 5 (normal)."""
    error = sample.std(ddof=1) / np.sqrt(sample.size)
    assert abs(sample.mean() - expected) <= z * error + 1e-12, (sample.mean(), expected, error)


__all__ = [
    "Correlation",
    "Run",
    "SHORT",
    "calm_scenario",
    "clock",
    "feed",
    "liquidity",
    "mean_within",
    "params",
    "price",
    "scenario",
    "simulate",
    "still",
]
