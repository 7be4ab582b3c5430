"""A path's numbers depend on its number only: not on the group it is computed in, nor on how many others there are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mcrisk import paths

from .worlds import params, simulate


def test_grouping_and_prefix_do_not_move_a_bit():
    p = params()
    whole = jax.tree.leaves(simulate(p, 256))
    for size in (32, 128):
        parts = [jax.tree.leaves(simulate(p, size, first=first)) for first in range(0, 256, size)]
        for k, leaf in enumerate(whole):
            np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), leaf)
    for short, long in zip(jax.tree.leaves(simulate(p, 32)), whole):
        np.testing.assert_array_equal(short, long[:32])


def test_high_path_numbers_have_their_own_bits():
    p = params()
    keys = jax.tree.map(jnp.asarray, paths.stream_keys(1, "x", "SPCX", "v"))
    draw = jax.jit(lambda lo, hi: paths.draw_plan(p, keys.company, keys.venue, lo, hi).event_time)
    lo, hi = paths.split_path(2**32 + 5)
    assert (lo, hi) == (5, 1)
    assert float(draw(lo, hi)) != float(draw(*paths.split_path(5)))


def test_markets_do_not_disturb_each_other():
    """The same market alone and beside another one: the same numbers (another program, so the last bit may differ)."""
    p = params()
    keys = [jax.tree.map(jnp.asarray, paths.stream_keys(1, "x", name, "v")) for name in ("SPCX", "CBRS")]
    stacked = paths.stack([jax.tree.map(np.asarray, p)] * 2)
    company = jnp.stack([k.company for k in keys])
    venue = jnp.stack([k.venue for k in keys])
    lo = jnp.arange(64, dtype=jnp.uint32)

    def rows(p, company, venue, lo):
        plan = paths.draw_plan(p, company, venue, lo, jnp.uint32(0))
        state = paths.start(p, plan, 100.0, 1e7)

        def step(state, k):
            shocks = paths.draws(company, keys[0].common, lo, jnp.uint32(0), k)
            state, row = paths.advance(
                p,
                plan,
                state,
                paths.clock(p, plan.event_time, k),
                shocks,
                paths.Hints(jnp.float64(1.0), jnp.bool_(False)),
            )
            return state, (row.last, row.bid.depth, row.external)

        return jax.lax.scan(step, state, jnp.arange(p.grid.slope.shape[-1]))[1]

    both = jax.jit(jax.vmap(lambda lo: jax.vmap(rows, in_axes=(0, 0, 0, None))(stacked, company, venue, lo)))(lo)
    for j in range(2):
        alone = jax.jit(jax.vmap(lambda lo: rows(p, company[j], venue[j], lo)))(lo)
        for x, y in zip(both, alone):
            np.testing.assert_allclose(np.asarray(x)[:, j], np.asarray(y), rtol=1e-11)


def test_parameters_are_traced():
    """Scenario, book, feed and price numbers share one compiled program; only the kinds decide what is compiled."""
    from .worlds import _simulate, feed, liquidity, price, scenario

    simulate(params(), 32)
    before = _simulate._cache_size()
    for name in ("baseline", "cancellation", "squeeze", "feed_error"):
        simulate(params(happening=scenario(name)), 32)
    simulate(params(price("far"), liquidity("made"), index=feed("continuous"), venue="okx-prelaunch-futures"), 32)
    assert _simulate._cache_size() == before
