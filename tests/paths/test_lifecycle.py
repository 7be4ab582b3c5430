"""Laws of the plan: branches, times, jumps, overlays. z-tests at 5 standard errors (false alarm 6e-7), KS at 1e-5."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mcrisk import paths
from mcrisk.config.load import load_model, load_venue
from mcrisk.config.scenario import Grid
from mcrisk.paths import codes
from mcrisk.rules.types import CANCELLED, EXPIRED, NO_SETTLE

from .worlds import calm_scenario, liquidity, mean_within, params, price, scenario

COARSE = load_model(Grid, "grids", "coarse")
NEVER = 0.5 * paths.NEVER
COUNT = 50_000


@functools.partial(jax.jit, static_argnames="count")
def _draw(p, keys, forced, count):
    lo = jnp.arange(count, dtype=jnp.uint32)
    return jax.vmap(lambda x: paths.draw_plan(p, keys.company, keys.venue, x, jnp.uint32(0), forced))(lo)


def plans(p, count=COUNT, market="SPCX", venue="v", seed=3, forced=None):
    keys = jax.tree.map(jnp.asarray, paths.stream_keys(seed, "life", market, venue))
    return jax.tree.map(np.asarray, _draw(p, keys, forced, count))


def world(name="combined", venue="kraken-preipo", book="thin", company="near", **more):
    return params(price(company), liquidity(book), scenario(name), venue=venue, grid=COARSE, **more)


@pytest.mark.parametrize(
    "company, shares",
    [
        ("near", (0.67, 0.20, 0.06, 0.06, 0.01)),
        ("far", (0.75, 0.10, 0.08, 0.06, 0.01)),
        ("token", (0.65, 0.15, 0.10, 0.08, 0.02)),
    ],
)
def test_branches_come_with_their_probability(company, shares):
    plan = plans(world(company=company))
    for branch, share in enumerate(shares):
        mean_within(plan.branch == branch, share)


def test_probabilities_follow_the_horizon():
    """A constant hazard: the chance that nothing happens in 15 days is the root of that in 30."""
    half = COARSE.model_copy(update={"horizon": 15 * 86400.0})
    p = params(happening=scenario("combined"), grid=half).plan
    quiet = np.sqrt(0.67)
    np.testing.assert_allclose(np.diff(p.branch), np.array([0.20, 0.06, 0.06, 0.01]) / 0.33 * (1 - quiet), rtol=1e-9)
    assert float(p.squeeze_probability) == pytest.approx(1 - np.sqrt(0.97))
    certain = params(happening=scenario("ipo_delay"), grid=half).plan
    assert np.diff(certain.branch)[0] == pytest.approx(1.0)


def test_event_times_are_uniform_in_the_window():
    plan = plans(world("valuation_reset"))
    share = (plan.event_time - 1.5 * 86400) / (25 * 86400.0)
    assert share.min() >= 0 and share.max() <= 1
    assert stats.kstest(share, "uniform").pvalue > 1e-5


def test_event_times_with_a_hazard_are_a_cut_exponential():
    reset = scenario("valuation_reset", event_time={"lead": 129600.0, "tail": 302400.0, "mean": 864000.0})
    plan = plans(params(happening=reset, grid=COARSE))
    x, rate = (plan.event_time - 129600.0) / (25 * 86400.0), 2.5
    assert stats.kstest(x, lambda t: (1 - np.exp(-rate * t)) / (1 - np.exp(-rate))).pvalue > 1e-5


def test_listings_fall_on_trading_days_at_crossing_time():
    plan = plans(world("baseline"))
    local = (plan.event_time + 1_795_132_800.0 - 5 * 3600) / 86400.0  # 2026-11-20 UTC in New York winter time
    weekday, hour = (np.floor(local) + 3) % 7, (local % 1) * 24
    assert (plan.code == codes.LISTING).all() and (plan.listing_time == plan.event_time).all()
    assert (weekday < 5).all() and hour.min() >= 11 - 1e-6 and hour.max() <= 13.5 + 1e-6
    assert plan.event_time.min() >= COARSE.pre_window
    assert plan.event_time.max() <= COARSE.horizon - COARSE.post_window
    np.testing.assert_allclose(plan.conversion_time - plan.listing_time, 3600.0)


def test_reset_jumps_follow_the_truncated_normals():
    plan = plans(world("valuation_reset"))
    down, up = plan.jump[plan.code == codes.RESET_DOWN], plan.jump[plan.code == codes.RESET_UP]
    mean_within(plan.code == codes.RESET_UP, 0.5)
    for sample, mean, sd, lo, hi, median in ((down, -0.45, 0.25, -1.6, -0.1, -0.36), (up, 0.35, 0.2, 0.05, 1.1, 0.42)):
        law = stats.truncnorm((lo - mean) / sd, (hi - mean) / sd, mean, sd)
        assert sample.min() >= lo and sample.max() <= hi and stats.kstest(sample, law.cdf).pvalue > 1e-5
        assert np.expm1(np.median(sample)) == pytest.approx(median, abs=0.025)  # stated medians are of the uncut law


def test_listing_jumps_are_student_t():
    plan = plans(world("baseline"))
    assert stats.kstest(plan.listing_jump, stats.t(4, -0.03, 0.05).cdf).pvalue > 1e-5
    assert (plan.jump == 0).all()


def test_delays_move_the_listing_by_a_lognormal():
    plan = plans(world("ipo_delay"))
    days = plan.delay / 86400
    assert stats.kstest(np.log(days), "norm", (np.log(140), 1.0)).pvalue > 1e-5
    np.testing.assert_allclose(plan.listing_time, plan.event_time + plan.delay)
    far = plans(world("ipo_delay", company="far"))
    assert (far.listing_time > NEVER).all() and (far.code == codes.DELAY).all()


def test_cancellation_has_three_moments():
    plan = plans(world("cancellation", venue="okx-premarket-perp"))
    notice = load_venue("okx-premarket-perp").settlement.notice
    assert (plan.announced_time == plan.event_time).all() and (plan.settle_code == CANCELLED).all()
    np.testing.assert_allclose(plan.settle_time - plan.announced_time, notice)
    assert (plan.listing_time > NEVER).all() and (plan.conversion_time > NEVER).all()
    assert stats.kstest(plan.settle_draw, "uniform").pvalue > 1e-5


def test_a_venue_clock_ends_a_delayed_market():
    late = scenario("ipo_delay")
    late = late.model_copy(update={"delay": late.delay.model_copy(update={"clock_at_start": 170 * 86400.0})})
    plan = plans(params(happening=late, venue="okx-premarket-perp", grid=COARSE))
    notice = load_venue("okx-premarket-perp").settlement.notice
    ended = plan.settle_code == CANCELLED
    assert 0.9 < ended.mean() < 1
    expected = np.maximum(plan.event_time + notice, 10 * 86400.0)
    np.testing.assert_allclose(plan.settle_time[ended], expected[ended])
    assert (plan.listing_time[ended] > NEVER).all()
    assert (plan.listing_time[~ended] <= expected[~ended]).all() and (plan.settle_code[~ended] == NO_SETTLE).all()


def test_futures_expire_instead_of_converting():
    venue = load_venue("okx-prelaunch-futures")
    plan = plans(world("baseline", venue="okx-prelaunch-futures", company="token"))
    assert (plan.settle_code == EXPIRED).all() and (plan.conversion_time > NEVER).all()
    np.testing.assert_allclose(plan.settle_time - plan.listing_time, venue.settlement.expires_after_listing)


def test_forced_resets_take_the_given_jump_and_leave_the_rest_alone():
    p = world("valuation_reset")
    free = plans(p, 4096)
    jumps = jnp.linspace(-1.0, 1.0, 4096)
    keys = jax.tree.map(jnp.asarray, paths.stream_keys(3, "life", "SPCX", "v"))
    lo = jnp.arange(4096, dtype=jnp.uint32)
    forced = jax.jit(
        jax.vmap(
            lambda x, j: paths.draw_plan(
                p, keys.company, keys.venue, x, jnp.uint32(0), paths.Forced(jnp.bool_(True), j)
            )
        )
    )(lo, jumps)
    np.testing.assert_array_equal(forced.jump, jumps)
    assert (np.asarray(forced.code) == np.where(np.asarray(jumps) < 0, codes.RESET_DOWN, codes.RESET_UP)).all()
    np.testing.assert_array_equal(forced.event_time, free.event_time)
    np.testing.assert_array_equal(forced.settle_draw, free.settle_draw)


def test_company_is_common_to_venues_and_overlays_are_not():
    a, b = (plans(world("combined", venue=v), 4096, venue=v) for v in ("kraken-preipo", "binance-preipo"))
    for name in (
        "branch",
        "code",
        "event_time",
        "jump",
        "listing_time",
        "listing_jump",
        "delay",
        "revision_time",
        "publish_time",
        "stressed",
        "settle_draw",
    ):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.squeeze_from != b.squeeze_from).any() and (a.error_from != b.error_from).any()


def test_overlays_have_their_probability_by_venue_and_book():
    plan = plans(world("combined"))
    mean_within(plan.error_from < NEVER, 0.04)
    mean_within(plan.squeeze_from < NEVER, 0.03)
    other = plans(world("combined", venue="okx-premarket-perp", book="made"))
    mean_within(other.error_from < NEVER, 0.004)
    mean_within(other.squeeze_from < NEVER, 0.005)
    mean_within(plans(world("squeeze"), 20_000).squeeze_up, 0.8)


def test_feed_errors_draw_factor_and_length():
    plan = plans(world("feed_error"))
    assert (plan.error_from == plan.event_time).all()  # nothing else happens: the zoom is theirs
    for factor, share in ((0.2, 0.5), (0.1, 0.1), (5.0, 0.1), (0.909, 0.3)):
        mean_within(plan.error_factor == factor, share)
    length = np.log((plan.error_until - plan.error_from) / 1800.0)
    assert stats.kstest(length, "norm", (0.0, 0.7)).pvalue > 1e-5


def test_overlays_stand_where_steps_are_fine():
    plan = plans(world("combined"))
    drawn = plan.squeeze_from < NEVER
    gap = (plan.squeeze_from - plan.event_time)[drawn]
    code = plan.code[drawn]
    listing = gap[code == codes.LISTING]
    assert listing.max() <= 0 and listing.min() >= -COARSE.pre_window
    shocks = gap[code >= codes.DELAY]
    assert shocks.min() >= 0 and shocks.max() <= 6 * 3600.0
    np.testing.assert_allclose((plan.squeeze_release - plan.squeeze_from)[drawn], 720.0)


def test_share_count_revisions():
    plan = plans(world("baseline"))
    drawn = plan.revision_time < NEVER
    mean_within(drawn, 0.3)
    assert (plan.revision_time < plan.event_time)[drawn].all()
    assert stats.kstest(plan.revision_log, "norm", (0.08, 0.06)).pvalue > 1e-5


def test_markets_of_a_path_share_one_zoom():
    p = world("combined")
    columns = [plans(p, 2048, market=m) for m in ("SPCX", "CBRS", "SKHY")]
    stacked = jax.tree.map(lambda *x: jnp.stack(x, axis=1), *columns)
    shared = jax.tree.map(np.asarray, jax.vmap(paths.share_zoom)(stacked))
    zoom = np.asarray(jax.vmap(paths.zoom_time)(jax.tree.map(jnp.asarray, shared)))
    stacked = jax.tree.map(np.asarray, stacked)
    quiet, shock = stacked.code == codes.NONE, stacked.code >= codes.DELAY
    assert (shared.event_time[quiet] == np.broadcast_to(zoom[:, None], quiet.shape)[quiet]).all()
    assert (shared.event_time[~quiet] == stacked.event_time[~quiet]).all()
    first = np.where(shock, stacked.event_time, np.inf).min(axis=1)
    any_shock = shock.any(axis=1)
    np.testing.assert_array_equal(zoom[any_shock], first[any_shock])
    alone = jax.vmap(paths.share_zoom)(jax.tree.map(lambda x: jnp.asarray(x[:, :1]), stacked))
    for before, after in zip(jax.tree.leaves(jax.tree.map(lambda x: x[:, :1], stacked)), jax.tree.leaves(alone)):
        np.testing.assert_array_equal(before, after)


def test_nothing_happens_when_nothing_is_asked_for():
    plan = plans(params(happening=calm_scenario(), grid=COARSE), 4096)
    for name in (
        "listing_time",
        "conversion_time",
        "announced_time",
        "settle_time",
        "revision_time",
        "error_from",
        "squeeze_from",
        "halt_from",
        "publish_time",
    ):
        assert (getattr(plan, name) > NEVER).all(), name
    assert (plan.jump == 0).all() and (plan.happens == 0).all() and (plan.depth == 1).all()
