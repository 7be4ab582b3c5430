"""What must hold on every path: bounds, speed limits, averages between their samples, calculator against rule."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrisk.config.pricing import DiscoveryBounds, MarkEwmaIndex, Median3Mark, OkxLimits, TradeMeanMark
from mcrisk.rules import calculator as calc
from mcrisk.rules import index, mark, price_limits
from mcrisk.rules.params import traced
from mcrisk.rules.windows import ema_init, ema_update, window_init, window_update
from tests.rules.harness import Limits, Mark, close, row

FEW = settings(max_examples=25, deadline=None)
STEPS = 24
moves = st.lists(st.floats(-0.5, 0.5), min_size=STEPS, max_size=STEPS)
gaps = st.lists(st.floats(0.5, 4000.0), min_size=STEPS, max_size=STEPS)


def _f(x):
    return jnp.asarray(x, jnp.float64)


def _prices(log_moves):
    return 100.0 * np.exp(np.cumsum(log_moves))


BOUNDS = traced(DiscoveryBounds(kind="discovery_bounds", bound=0.2, max_resets=3))
MARK = traced(Median3Mark(kind="median3", relayer_step=0.005, protocol_step=0.01))


@jax.jit
def _tradexyz(last, dt):
    """Oracle = last, published, bounded; mark on top. Returns oracle, mark, reference, limits per row."""

    def step(carry, x):
        limits, state, oracle, previous, time = carry
        price, gap = x
        r = row(0.0, 0.0)._replace(last=price, dt=gap, time=time + gap)
        r = r._replace(bid=r.bid._replace(top=price * 0.999), ask=r.ask._replace(top=price * 1.001))
        value = mark.publish(MARK, oracle, price, gap)
        limits, value, low, high = price_limits.discovery_bounds(BOUNDS, limits, r, value, oracle, price, time)
        state, m = mark.median3_mark(MARK, state, r, value, price, previous, low, high, _f(-1.0), (0.0, 1.0, 1.0))
        return (limits, state, value, m, time + gap), (value, m, limits.reference, low, high)

    start = (price_limits.KINDS["discovery_bounds"].init(BOUNDS, _f(100.0)),
             mark.KINDS["median3"].init(MARK, row(), _f(100.0)), _f(100.0), _f(100.0), _f(0.0))
    return jax.lax.scan(step, start, (last, dt))[1]


@FEW
@given(moves, gaps)
def test_discovery_bounds_and_speed_limits_hold(log_moves, dt):
    dt = np.asarray(dt)
    oracle, m, reference, low, high = map(np.asarray, _tradexyz(_f(_prices(log_moves)), _f(dt)))
    lowest, highest = calc.discovery_extremes(100.0, 0.2, 3)
    assert np.all(oracle <= highest * (1 + 1e-12)) and np.all(oracle >= lowest * (1 - 1e-12))
    reachable = {round(100.0 * 1.2**i * 0.8**j, 6) for i in range(4) for j in range(4)}
    assert {round(float(x), 6) for x in reference} <= reachable
    before = np.concatenate([[100.0], m[:-1]])
    assert np.all(m <= before * 1.005 ** (dt / 3.0) * (1 + 1e-12))
    assert np.all(m >= before * 0.995 ** (dt / 3.0) * (1 - 1e-12))
    # outside the bounds only where the speed limit, which acts last, holds the mark back
    held = np.isclose(m, before * 1.005 ** (dt / 3.0)) | np.isclose(m, before * 0.995 ** (dt / 3.0))
    assert np.all(held | ((m <= high * (1 + 1e-12)) & (m >= low * (1 - 1e-12))))


@FEW
@given(st.floats(10.0, 1e4), st.floats(0.0, 0.1), st.floats(0.1, 0.3), st.floats(-0.5, 0.5))
def test_okx_limits_enclose_the_index_and_match_the_calculator(price, y, z, premium):
    model = OkxLimits(kind="okx_limits", y=y, z=z)
    _, low, high = Limits(model, price).step(row(), price, mid=price * (1 + premium))
    assert low <= price * (1 + 1e-12) and high >= price * (1 - 1e-12)
    assert low >= price * (1 - z) * (1 - 1e-12) and high <= price * (1 + z) * (1 + 1e-12)
    close((high, low), calc.okx_price_limits(price, y, z, price * (1 + premium) - price), rel=1e-6)


@jax.jit
def _averages(samples, dt):
    def step(carry, x):
        ema, window, time = carry
        ema, a = ema_update(ema, x[0], x[1], _f(150.0))
        window, b = window_update(window, x[0], x[1], time + x[1], _f(60.0))
        return (ema, window, time + x[1]), (a, b)

    return jax.lax.scan(step, (ema_init(), window_init(), _f(0.0)), (samples, dt))[1]


@FEW
@given(moves, gaps)
def test_averages_match_plain_sums_and_stay_between_their_samples(log_moves, dt):
    samples = _prices(log_moves)
    ema, window = map(np.asarray, _averages(_f(samples), _f(dt)))
    num = den = 0.0
    for k, (s, t) in enumerate(zip(samples, dt)):
        num, den = num * math.exp(-t / 150.0) + s * t, den * math.exp(-t / 150.0) + t
        close(ema[k], num / den)
        seen = samples[: k + 1]
        for value in (ema[k], window[k]):
            assert seen.min() * (1 - 1e-12) <= value <= seen.max() * (1 + 1e-12)


RING = traced(MarkEwmaIndex(kind="mark_ewma", window_minutes=120, decay_minutes=40.0))


@jax.jit
def _hyperp(marks, dt):
    def step(carry, x):
        state, time = carry
        r = row()._replace(time=time + x[1], utc=time + x[1], dt=x[1])
        state, value = index.KINDS["mark_ewma"].update(RING, state, r, _f(0.0), x[0], jnp.int32(0), _f(100.0))
        return (state, time + x[1]), value

    start = index.KINDS["mark_ewma"].init(RING, row(), _f(100.0))
    return jax.lax.scan(step, (start, _f(0.0)), (marks, dt))[1]


@FEW
@given(moves, gaps)
def test_hyperp_index_matches_a_list_of_minutes(log_moves, dt):
    marks = np.clip(_prices(log_moves), 30.0, 300.0)
    values = np.asarray(_hyperp(_f(marks), _f(dt)))
    weights = np.exp(-np.arange(120) / 40.0)
    ring, time = [100.0] * 120, np.float64(0.0)
    for k, gap in enumerate(dt):
        minutes = int((time + gap) // 60.0) - int(time // 60.0)
        time = time + gap
        ring = ([float(marks[k])] * minutes + ring)[:120]
        close(values[k], np.dot(weights, ring) / weights.sum())


@FEW
@given(st.lists(st.tuples(st.floats(50.0, 150.0), st.integers(0, 30), st.sampled_from([0.5, 1.0, 3.0, 20.0])),
                min_size=STEPS, max_size=STEPS))
def test_trade_mean_matches_a_list_of_trades(rows):
    model = TradeMeanMark(kind="trade_mean", max_change_per_second=1e3)
    rule, tape, time = Mark(model, row(), 100.0), [], 0.0
    for k, (price, trades, gap) in enumerate(rows):
        time += gap
        tape += [(time, price)] * trades
        got = rule.step(row(time=time, dt=gap, last=price, trades=float(trades)), 0.0)
        recent = [p for t, p in tape if t > time - 10.0]
        chosen = recent if len(recent) >= 21 else [p for _, p in tape[-20:]]
        close(got, sum(chosen) / len(chosen) if chosen else price)


TABLE = [calc.Step(1e4, 0.05, 0.1), calc.Step(1e5, 0.1, 0.2), calc.Step(math.inf, 0.25, 0.5)]


@FEW
@given(st.sampled_from([1, -1]), st.floats(1.0, 1e4), st.floats(0.3, 0.9))
def test_liquidation_comes_before_bankruptcy(side, size, share):
    entry, collateral = 100.0, share * 100.0 * size
    liquidation = calc.liquidation_price_tiered(side, size, entry, collateral, TABLE)
    close(collateral + side * size * (liquidation - entry), calc.maintenance_margin(size * liquidation, TABLE))
    assert side * (liquidation - calc.bankruptcy_price(side, size, entry, collateral)) > 0


@pytest.mark.parametrize("kind", sorted({*index.KINDS, *price_limits.KINDS, *mark.KINDS}))
def test_every_kind_of_the_schema_has_a_rule(kind):
    from mcrisk.config import pricing

    declared = {m.model_fields["kind"].annotation.__args__[0] for m in vars(pricing).values()
                if isinstance(m, type) and "kind" in getattr(m, "model_fields", {})}
    assert kind in declared
