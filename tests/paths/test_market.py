"""Semantics of a row: what a jump, a fill, a listing, a cancellation, a rebase, a squeeze and a feed do to it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcrisk import paths
from mcrisk.config.load import load_model
from mcrisk.config.scenario import Grid
from mcrisk.paths import codes
from mcrisk.paths.liquidity import displacement
from mcrisk.rules.types import CANCELLED, EXPIRED, NO_SETTLE

from .worlds import calm_scenario, clock, feed, liquidity, params, price, scenario, simulate, still

COARSE = load_model(Grid, "grids", "coarse")
QUIET = dict(
    volatility={"kind": "constant", "sigma": 0.0},
    jumps={"law": "merton", "per_year": 0.0, "mean": 0.0, "sd": 0.0},
    basis={"sd": 0.0, "sd_before_listing": 0.0, "sd_after_listing": 0.0},
)
MIDNIGHT = 1_795_132_800.0  # Friday 2026-11-20, UTC
NO_HINT = paths.Hints(jnp.float64(1.0), jnp.bool_(False))
advance = jax.jit(paths.advance)
begin = jax.jit(paths.start)
consume = jax.jit(paths.consume)


def plain_book(**changes):
    """No stress, no seasons: depth is what the config says."""
    stress = dict(event_multiplier=1.0, flash={"multiplier": 1.0, "duration": 0.0}, weekend_night_multiplier=1.0)
    return liquidity("thin", **({"permanent_share": 0.0, "stress": stress} | changes))


def quiet(book=None, happening=None, **more):
    """A world in which nothing moves by itself."""
    return params(price("near", **QUIET), book or plain_book(), happening or calm_scenario(), **more)


def plan_of(p, **changes):
    plan = jax.jit(paths.draw_plan)(p, jnp.uint64(1), jnp.uint64(2), jnp.uint32(0), jnp.uint32(0))
    kinds = {name: getattr(plan, name).dtype for name in changes}
    return plan._replace(**{name: jnp.asarray(value, kinds[name]) for name, value in changes.items()})


def logs(row):
    """log best bid, log best ask, log mid (geometric)."""
    bid = jnp.log(row.bid.top) - displacement(row.bid.consumed, row.bid.depth, row.bid.power)
    ask = jnp.log(row.ask.top) + displacement(row.ask.consumed, row.ask.depth, row.ask.power)
    return float(bid), float(ask), float(0.5 * (bid + ask))


def walk(p, plan, state, times, draws=None, hints=NO_HINT, epoch=MIDNIGHT):
    """Rows at `times` (the first is the time of `state`)."""
    rows, states = [], []
    for k, time in enumerate(times[1:], 1):
        after = times[k + 1] if k + 1 < len(times) else time
        state, row = advance(p, plan, state, clock(time, times[k - 1], after, epoch), draws or still(), hints)
        rows.append(row), states.append(state)
    return states, rows


# ---------------------------------------------------------------- information
@pytest.mark.parametrize(
    "code, passing, half_life",
    [(codes.RESET_DOWN, 0.6, 7200.0), (codes.DELAY, 0.7, 3600.0), (codes.CANCELLATION, 0.9, 900.0)],
)
def test_a_jump_reaches_the_mid_by_its_share_and_then_by_its_half_life(code, passing, half_life):
    p = quiet(happening=scenario("baseline", share_count_revision={"probability": 0.0}))
    row = jax.tree.map(lambda x: x[code], p.events)
    plan = plan_of(
        p,
        code=code,
        event_time=100.0,
        jump=-0.4,
        happens=1.0,
        passing=row.passing,
        lag_decay=row.decay,
        listing_time=paths.NEVER,
        conversion_time=paths.NEVER,
        publish_time=paths.NEVER,
    )
    _, rows = walk(p, plan, begin(p, plan, 50.0, 1e6), [0.0, 99.0, 100.0, 100.0 + half_life, 100.0 + 60 * half_life])
    mids = [logs(row)[2] - np.log(50.0) for row in rows]
    assert mids == pytest.approx([0.0, -0.4 * passing, -0.4 * passing - 0.2 * (1 - passing), -0.4], abs=1e-12)


def test_the_lag_does_not_hang_on_the_steps():
    p = quiet(happening=scenario("valuation_reset"))
    plan = plan_of(p, code=codes.RESET_UP, event_time=100.0, jump=0.3, happens=1.0, revision_time=paths.NEVER)
    ends = [
        logs(walk(p, plan, begin(p, plan, 50.0, 1e6), list(np.linspace(0.0, 5000.0, n)))[1][-1])[2] for n in (51, 501)
    ]
    # With 100 s and 10 s steps the event falls on a node of both grids.
    assert ends[0] == pytest.approx(ends[1], abs=1e-12)


# ---------------------------------------------------------------- the book
def test_two_half_fills_equal_one_fill():
    p = quiet()
    plan = plan_of(p)
    start = begin(p, plan, 50.0, 1e6)
    one = consume(p, start, 100.0, 30.0, 0.1)
    two = consume(p, consume(p, start, 50.0, 15.0, 0.05), 50.0, 15.0, 0.05)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two)):
        assert float(a) == pytest.approx(float(b), rel=1e-15)


def test_displacement_is_the_inverse_of_cumulative_depth():
    p = quiet()
    plan = plan_of(p)
    start = begin(p, plan, 50.0, 1e6)
    interest = 1e6 / 50.0
    for share, percent in ((0.002, 1.0), (0.002 * 2**1.5, 2.0), (0.002 * 10**1.5, 10.0)):
        state = consume(p, start, share * interest, 0.0, 0.0)
        row = advance(p, plan, state, clock(1e-6, 0.0), still(), NO_HINT)[1]
        bid, ask, mid = logs(row)
        assert mid - np.log(50.0) == pytest.approx(-percent / 100, rel=1e-6)
        assert ask - bid == pytest.approx(0.006, rel=1e-9)  # both quotes move, the spread stays
    most = consume(p, start, 9e9, 0.0, 0.0)
    assert float(most.consumed_bid) == pytest.approx(0.20 * interest)


def test_the_book_refills_with_its_half_life():
    p = quiet()
    plan = plan_of(p)
    state = consume(p, begin(p, plan, 50.0, 1e6), 100.0, 0.0, 0.0)
    states, _ = walk(p, plan, state, [0.0, 600.0, 1800.0])
    assert [float(s.consumed_bid) for s in states] == pytest.approx([50.0, 12.5])


def test_the_permanent_share_of_a_displacement_stays_however_it_refills():
    p = quiet(plain_book(permanent_share=0.2))
    plan = plan_of(p)
    state = consume(p, begin(p, plan, 50.0, 1e6), 40.0, 0.0, 0.0)  # 1 % of displacement
    for times in ([0.0, 86400.0], list(np.linspace(0.0, 86400.0, 97))):
        _, rows = walk(p, plan, state, times)
        assert logs(rows[-1])[2] - np.log(50.0) == pytest.approx(-0.002, abs=1e-9)


def test_impact_prices_are_the_mean_of_the_probe():
    p = quiet()
    plan = plan_of(p)
    state = consume(p, begin(p, plan, 50.0, 1e6), 60.0, 0.0, 0.0)
    row = advance(p, plan, state, clock(1e-9, 0.0), still(), NO_HINT)[1]
    consumed, probe = float(row.bid.consumed), 0.0004 * 2e4
    q = consumed + (np.arange(20_000) + 0.5) / 20_000 * probe
    mean = np.mean(0.01 * (q / float(row.bid.depth)) ** float(row.bid.power))
    assert np.log(float(row.impact_bid) / float(row.bid.top)) == pytest.approx(-mean, rel=1e-7)
    assert bool(row.has_impact_bid) and float(row.impact_ask) > float(row.ask.top)
    empty = consume(p, state, 1e9, 0.0, 0.0)
    assert not bool(advance(p, plan, empty, clock(1e-9, 0.0), still(), NO_HINT)[1].has_impact_bid)


def test_depth_shrinks_with_makers_inventory_and_hours():
    stress = dict(event_multiplier=1.0, inventory={"limit": 0.1}, weekend_night_multiplier=0.5, floor=0.01)
    p = quiet(liquidity("made", stress=stress))
    plan, full = plan_of(p), 0.02 * 2e4
    noon, night = MIDNIGHT + 3600 * 17.33, MIDNIGHT + 3600 * 8
    start = begin(p, plan, 50.0, 1e6)

    def depths(state, at=noon):
        row = advance(p, plan, state, clock(1e-9, 0.0, epoch=at), still(), NO_HINT)[1]
        return float(row.bid.depth) / full, float(row.ask.depth) / full

    assert depths(start) == pytest.approx((1.0, 1.0)) and depths(start, night) == pytest.approx((0.5, 0.5))
    assert depths(start._replace(lost=jnp.float64(0.6))) == pytest.approx((0.4, 0.4))
    assert depths(start._replace(inventory=jnp.float64(0.05 * 2e4))) == pytest.approx((0.5, 1.0))
    assert depths(start._replace(inventory=jnp.float64(-0.08 * 2e4))) == pytest.approx((1.0, 0.2))


def test_restriking_scales_contracts_only():
    p = quiet()
    plan = plan_of(p)
    state = consume(p, begin(p, plan, 50.0, 1e6), 100.0, 7.0, 0.1)
    scaled = jax.jit(paths.rescale)(state, 2.0)
    before, after = (advance(p, plan, s, clock(60.0, 0.0), still(), NO_HINT)[1] for s in (state, scaled))
    assert logs(before) == pytest.approx(logs(after))
    assert float(after.bid.depth) == pytest.approx(2 * float(before.bid.depth))


# ---------------------------------------------------------------- squeeze
@functools.cache
def squeezed():
    squeeze = scenario("squeeze")
    squeeze = squeeze.model_copy(update={"squeeze": squeeze.squeeze.model_copy(update={"p_up": 1.0})})
    p = params(price("near", **QUIET), liquidity("thin", permanent_share=0.0), squeeze, grid=COARSE)
    return p, simulate(p, 64)


def test_a_squeeze_takes_its_size_holds_and_lets_go():
    p, run = squeezed()
    interest = 1e7 / 100.0
    step = paths.event_step(COARSE)
    consumed = run.state.consumed_ask[0] / interest
    at = run.row.time[0] - run.plan.event_time[0]
    assert consumed[step] == 0 and (run.state.consumed_bid == 0).all()
    assert consumed[np.searchsorted(at, 120.0)] == pytest.approx(0.10)
    assert consumed[np.searchsorted(at, 720.0 - 1e-6)] == pytest.approx(0.10)
    later = np.searchsorted(at, 2400.0)
    assert consumed[later] == pytest.approx(0.10 * 2 ** (-(at[later] - 720.0) / 1800.0), rel=1e-6)
    last = run.row.last[0]
    assert 1.7 < last[step + 3] / last[step] < 2.1  # 10 % of OI alone; x2.4 with the liquidations it sets off
    assert last[-1] == pytest.approx(100.0 * np.exp(-0.003 if run.row.last[0, -1] < 100 else 0.003), rel=1e-3)


# ---------------------------------------------------------------- listing, feed, settlement
def test_the_first_print_is_the_last_perp_price_times_the_jump():
    noisy = price("near", **(QUIET | {"basis": {"sd": 0.01}}))
    run = simulate(params(noisy, plain_book(), scenario("baseline"), grid=COARSE), 64)
    k = paths.event_step(COARSE)
    before = run.state.value[:, k - 1] + run.state.lag[:, k - 1] * 2 ** (-120 / 21600.0) + run.state.basis[:, k - 1]
    late = run.plan.revision_time < run.row.time[:, k - 1] - 86400 * 3  # lag of a revision: half-life 6 h, gone
    np.testing.assert_allclose(
        (run.state.value[:, k] - before)[late | (run.plan.revision_time > 1e17)],
        run.plan.listing_jump[late | (run.plan.revision_time > 1e17)],
        atol=1e-6,
    )
    assert run.row.listed[:, k].all() and run.row.listed.sum() == 64
    assert (run.state.basis[:, k] == 0).all()
    np.testing.assert_allclose(run.row.external[:, k], np.exp(run.state.value[:, k]))
    conversion = np.argmax(run.row.converted, axis=1)
    assert (run.row.converted.sum(axis=1) == 1).all()
    np.testing.assert_allclose(run.row.time[np.arange(64), conversion] - run.plan.listing_time, 3600.0, atol=300.0)


def test_spot_shows_in_its_session_only():
    run = simulate(params(happening=scenario("baseline"), grid=COARSE), 64)
    local = (run.row.utc - 5 * 3600) / 86400.0
    weekday, hour = (np.floor(local) + 3) % 7, (local % 1) * 24
    session = (weekday < 5) & (hour >= 9.5) & (hour < 16)
    listed = run.row.time >= run.plan.listing_time[:, None]
    assert (run.row.has_external == (session | ~listed)).all()
    stale = listed[:, 1:] & ~run.row.has_external[:, 1:]
    np.testing.assert_array_equal(run.row.external[:, 1:][stale], run.row.external[:, :-1][stale])
    fresh = listed & run.row.has_external
    np.testing.assert_allclose(run.row.external[fresh], np.exp(run.state.value[fresh]))


@pytest.mark.parametrize("recipe", ["published", "continuous", "stale"])
def test_feeds_before_listing(recipe):
    run = simulate(params(index=feed(recipe), happening=scenario("valuation_reset"), grid=COARSE), 64)
    error = np.log(run.row.external) - run.state.value
    if recipe == "continuous":
        np.testing.assert_allclose(error, 0.0, atol=1e-12)
        return
    time, event = run.row.time, run.plan.event_time[:, None]
    moved = np.diff(run.state.feed, axis=1) != 0
    assert 28 <= moved.sum(axis=1).mean() <= 33
    waiting = (time >= event) & (time < run.plan.publish_time[:, None])
    assert not moved[waiting[:, 1:]].any()
    k = paths.event_step(COARSE)
    stale_by = (run.plan.publish_time - run.plan.event_time) / 3600
    assert np.median(stale_by) == pytest.approx(0.5 if recipe == "published" else 12.0, rel=0.4)
    jumped = np.abs(error[:, k])
    assert (jumped > np.abs(run.plan.jump) - 0.25).all()
    # The answer comes with the first row after it, and is value within the noise (uniform, sd 1 %).
    row = np.array([np.searchsorted(t, at) for t, at in zip(time, run.plan.publish_time)])
    after = error[np.arange(64), row]
    assert np.abs(after).max() < 0.01 * np.sqrt(3) + 1e-9


def test_a_cancelled_market_heads_for_the_settlement_price():
    p = params(
        price("near", **QUIET),
        plain_book(),
        scenario("cancellation", share_count_revision={"probability": 0.0}),
        grid=COARSE,
        venue="okx-premarket-perp",
    )
    run = simulate(p, 64, target=20.0)
    k = paths.event_step(COARSE)
    mid = np.log(run.row.bid.top * run.row.ask.top) / 2
    np.testing.assert_allclose(mid[:, k - 1], np.log(100.0))
    np.testing.assert_allclose(mid[:, k], np.log(20.0) + 0.1 * np.log(5.0))
    at = np.argmax(run.row.settle == CANCELLED, axis=1)
    assert ((run.row.settle != NO_SETTLE).sum(axis=1) == 1).all()
    np.testing.assert_allclose(mid[np.arange(64), at], np.log(20.0), atol=1e-6)
    settled = run.row.time[np.arange(64), at]
    assert (settled >= run.plan.settle_time).all()
    assert (run.row.time[np.arange(64), at - 1] < run.plan.settle_time).all()
    assert run.row.averaging[np.arange(64), at].all() and not run.row.averaging[:, k].any()
    by_value = simulate(p, 64)
    mid = np.log(by_value.row.bid.top * by_value.row.ask.top) / 2
    np.testing.assert_allclose(mid[:, k] - np.log(100.0), 0.9 * by_value.plan.jump)


def test_an_expiry_has_a_final_hour():
    p = params(price("token"), happening=scenario("baseline"), grid=COARSE, venue="okx-prelaunch-futures")
    run = simulate(p, 64)
    at = np.argmax(run.row.settle == EXPIRED, axis=1)
    hour = run.row.averaging.sum(axis=1)
    np.testing.assert_allclose(hour, 3600.0)
    assert ((run.row.averaging > 0.0).sum(axis=1) == 12).all()  # steps of 5 min
    assert run.row.averaging[np.arange(64), at].all() and not run.row.averaging[np.arange(64), at + 1].any()
    assert (run.row.final_hour.sum(axis=1) == 13).all()


def test_a_rebase_changes_units_and_nothing_else():
    certain = scenario(
        "baseline",
        share_count_revision={
            "probability": 1.0,
            "log_ratio": {"law": "truncated_normal", "mean": 0.3, "sd": 0.1, "lo": 0.1, "hi": 0.5},
        },
    )
    still_price = price("near", **QUIET)
    base = params(still_price, plain_book(), certain, feed("continuous"), grid=COARSE, venue="okx-preipo-perp")
    run = simulate(base, 64, venue="okx-preipo-perp")
    at = np.argmax(run.row.rebase != 1.0, axis=1)
    rows = np.arange(64)
    assert ((run.row.rebase != 1.0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(run.row.rebase[rows, at], np.exp(run.plan.revision_log))
    for series in (run.row.bid.top, run.row.external, run.row.impact_bid):
        np.testing.assert_allclose(series[rows, at] * run.row.rebase[rows, at], series[rows, at - 1], rtol=1e-9)
    np.testing.assert_allclose(
        run.row.bid.depth[rows, at] * run.row.bid.top[rows, at],
        run.row.bid.depth[rows, at - 1] * run.row.bid.top[rows, at - 1],
        rtol=1e-9,
    )
    other = simulate(params(still_price, plain_book(), certain, grid=COARSE, venue="tradexyz-ipop"), 64)
    assert (other.row.rebase == 1.0).all()
    at = np.array([np.searchsorted(t, x) for t, x in zip(other.row.time, other.plan.revision_time)])
    mid = np.log(other.row.bid.top * other.row.ask.top) / 2
    np.testing.assert_allclose(other.state.value[rows, at] - np.log(100.0), -other.plan.revision_log, atol=1e-12)
    np.testing.assert_allclose(mid[rows, at] - np.log(100.0), -0.4 * other.plan.revision_log, atol=1e-12)


def test_feed_errors_multiply_the_index_input_while_they_last():
    run = simulate(params(happening=scenario("feed_error"), grid=COARSE), 64)
    time, plan = run.row.time, run.plan
    wrong = run.row.index_factor != 1.0
    before = np.concatenate([np.zeros((64, 1)), time[:, :-1]], axis=1)
    expected = (time >= plan.error_from[:, None]) & (before < plan.error_until[:, None])
    assert (wrong == expected).all() and wrong.any(axis=1).all()
    assert (run.row.index_factor[wrong] == np.broadcast_to(plan.error_factor[:, None], wrong.shape)[wrong]).all()


# ---------------------------------------------------------------- flags
def test_books_are_restruck_right_before_the_event_and_every_holding_time_from_it():
    run = simulate(params(happening=scenario("valuation_reset"), grid=COARSE), 64)
    k = paths.event_step(COARSE)
    struck, time = run.row.restrike, run.row.time
    assert struck[:, k - 1].all() and not struck[:, k : k + 173].any()  # 48 h after the event nothing is hidden
    for j in range(0, 64, 7):
        times = time[j][struck[j]]
        after = times[times > run.plan.event_time[j]] - run.plan.event_time[j]
        assert (np.floor(after / 518_400.0) == np.arange(1, after.size + 1)).all()
    never = simulate(
        params(happening=scenario("baseline"), grid=COARSE, restrike_every=0.0, restrike_at_event=False), 64
    )
    assert not never.row.restrike.any()


def test_every_event_fires_once_or_never():
    even = {"orderly": 0.2, "delay": 0.2, "reset_down": 0.2, "reset_up": 0.2, "cancel": 0.2}
    mixed = scenario("combined", branches={name: even for name in ("near", "far", "token")})
    run = simulate(params(grid=COARSE, happening=mixed), 64)
    horizon = COARSE.horizon
    for flag, at in (("listed", "listing_time"), ("converted", "conversion_time")):
        np.testing.assert_array_equal(getattr(run.row, flag).sum(axis=1), getattr(run.plan, at) <= horizon)
    np.testing.assert_array_equal((run.row.settle != NO_SETTLE).sum(axis=1), run.plan.settle_time <= horizon)
    assert not run.row.halted.any()
    for name in run.row._fields:
        for leaf in jax.tree.leaves(getattr(run.row, name)):
            assert np.isfinite(leaf.astype(float)).all(), name
    assert (run.row.bid.top < run.row.ask.top * np.exp(1.0)).all() and (run.row.trades >= 1).all()


def test_halts_are_planned():
    stopped = calm_scenario(halt={"probability": 1.0, "starts_after": 0.0, "duration": 1800.0})
    run = simulate(params(happening=stopped, grid=COARSE), 64)
    k = paths.event_step(COARSE)
    assert run.row.halted[:, k : k + 30].all() and run.row.halted.sum() == 64 * 30


def test_the_first_row_is_the_start():
    run = simulate(params(grid=COARSE), 64)
    assert (run.row.dt[:, 0] == 0).all() and (run.row.time[:, 0] == 0).all()
    mid = np.sqrt(run.row.bid.top[:, 0] * run.row.ask.top[:, 0])
    np.testing.assert_allclose(mid, 100.0, rtol=1e-12)
    np.testing.assert_allclose(run.row.external[:, 0], 100.0, rtol=1e-12)
