"""Worked examples of section B (Hyperliquid); numbers in shared/worked-examples.md."""

import math

import jax.numpy as jnp
import pytest

from mcrisk.config.pricing import ClampedPremiumFunding, MarkEwmaIndex
from mcrisk.rules import calculator as calc
from mcrisk.rules.adl import score
from mcrisk.rules.windows import ema_init, ema_update
from tests.rules.harness import Funding, Index, close, row


def test_w_hl_1_funding():
    premium = calc.impact_premium(10_000.0, 10_100.0, 10_101.0)
    rate = calc.funding_rate(premium, cap=0.04)
    close((premium, rate * 8, rate), (0.01, 0.0095, 0.0011875))
    close(calc.funding_payment(1, 10.0, 10_000.0, rate), 118.75)
    rule = Funding(ClampedPremiumFunding(kind="clamped_premium"))
    for k in range(1, 61):
        quotes = dict(last=10_000.0, impact_bid=10_100.0, impact_ask=10_101.0)
        paid = rule.step(row(time=60.0 * k, dt=60.0, utc=7200.0 + 60.0 * k, **quotes), 10_000.0, mark_=10_050.0)
    close(10.0 * paid.paid_per_contract, 118.75)


@pytest.mark.parametrize("premium, expected", [(0.0, 1e-4 / 8), (0.0003, 1e-4 / 8), (-0.01, -0.0095 / 8), (0.5, 0.04)])
def test_w_hl_2_clamp(premium, expected):
    close(calc.funding_rate(premium, cap=0.04), expected)
    rule = Funding(ClampedPremiumFunding(kind="clamped_premium", premium="mid"))
    close(rule.step(row(time=3600.0, dt=3600.0), 100.0, mid=100.0 * (1 + premium)).rate_paid, expected)


POSITIONS = """ETH,50,2458.5,1,0.015,36.864593,0.86915825
SOL,20,146.82,1,0.16,23.482979,0.05269872
ETH,50,2459.5,1,0.0199,24.454895,1243.0411908
DOGE,20,0.11586,1,437.0,25.29769,0.05945697
SOL,20,155.89,-1,0.32,24.924941,228.07847866
BTC,50,68595.0,-1,0.00069,23.64871,101849.99354283
SOL,20,173.06,1,0.6,20.735658,142.05186667
BTC,50,67400.0,-1,0.00031,20.887308,133443.97317151
BTC,50,66930.0,1,0.0015,20.043862,54108.51043771
ETH,50,2521.9,1,0.0237,19.902091,1699.14071943
SOL,20,178.29,-1,0.11,19.605036,347.82205322
SOL,20,173.08,-1,0.33,19.01881,225.08561715
ETH,50,2518.4,-1,0.007,17.62263,4986.05799151
DOGE,20,0.13284,1,360.0,15.943218,0.09082388
BTC,50,67141.0,1,0.00067,14.979079,45236.52992613
XYZ-GOOGL,10,190.0,-1,0.5,9.5,199.04761904761904"""


@pytest.mark.parametrize("line", POSITIONS.splitlines())
def test_w_hl_3_liquidation_price(line):
    _, leverage, entry, side, size, collateral, expected = line.split(",")
    rate = calc.maintenance_rate(float(leverage))
    price = calc.liquidation_price(int(side), float(size), float(entry), float(collateral), rate)
    close(price, float(expected), rel=1e-6)


def test_w_hl_4_deduction():
    btc = [calc.Step(150e6, 0.0125), calc.Step(math.inf, 0.025)]
    close(calc.deductions(btc)[1], 1_875_000.0)
    close(calc.maintenance_margin(200e6, btc), 3_125_000.0)
    close(calc.maintenance_margin(150e6, btc), 1_875_000.0)
    eth = [calc.Step(100e6, 0.02), calc.Step(math.inf, 1 / 30)]
    close(calc.deductions(eth)[1], 4e6 / 3)
    close(calc.maintenance_margin(120e6, eth), 8e6 / 3)


def test_w_hl_5_ema():
    state, seen = ema_init(), []
    for sample, dt in ((1.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0, 144.0)):
        state, value = ema_update(state, jnp.float64(sample), jnp.float64(dt), jnp.float64(150.0))
        seen.append(float(value))
    close(seen, [1.0, 1.50499983, 1.67331067, 1.99251153], rel=1e-8)


def test_w_hl_8_adl_direction():
    for literal, best in ((True, "B"), (False, "A")):
        scores = {
            name: calc.adl_hyperliquid(-1, 100.0, entry, 1.0, 1.0, literal)
            for name, entry in (("A", 300.0), ("B", 200.0))
        }
        assert max(scores, key=scores.get) == best
    close(calc.adl_hyperliquid(-1, 100.0, 300.0, 1.0, 1.0), 3.0)
    close(calc.adl_hyperliquid(-1, 100.0, 300.0, 1.0, 1.0, literal=True), 1 / 3)


def test_w_hl_8_rule_and_calculator_agree():
    quantity, entry = jnp.asarray([-1.0, -2.0, 3.0]), jnp.asarray([300.0, 200.0, 80.0])
    equity, mark = jnp.asarray([150.0, 90.0, 100.0]), jnp.float64(100.0)
    for rank, literal in (("hyperliquid", False), ("hyperliquid_literal", True)):
        got = score(rank, quantity, entry, equity, equity, equity, mark)
        want = [
            calc.adl_hyperliquid(1 if q > 0 else -1, 100.0, e, abs(q) * 100.0, v, literal)
            for q, e, v in zip(quantity.tolist(), entry.tolist(), equity.tolist())
        ]
        close(got, want)


def _slow_ring(marks_by_minute, n, decay):
    """Plain sum over the last n minutely marks, newest first."""
    newest = list(reversed(marks_by_minute))[:n]
    weights = [math.exp(-i / decay) for i in range(n)]
    return sum(w * px for w, px in zip(weights, newest)) / sum(weights)


@pytest.mark.parametrize("steps", [
    [60.0] * 200, [7.0, 45.5, 61.0, 3600.0, 20.0] * 8, [60.0 * 99, 60.0 * 100, 60.0 * 500, 1.0],
])
def test_hyperp_index_is_the_weighted_mean_of_minutely_marks(steps):
    model = MarkEwmaIndex(kind="mark_ewma", window_minutes=100, decay_minutes=33.0)
    oracle, marks, time, mark = Index(model, row(), 100.0), [100.0] * 100, 0.0, 100.0
    close(oracle.step(row(), mark), 100.0)
    for k, dt in enumerate(steps):
        minutes = int((time + dt) // 60) - int(time // 60)
        time += dt
        marks += [mark] * minutes
        close(oracle.step(row(time=time, dt=dt), mark), _slow_ring(marks, 100, 33.0))
        mark = 100.0 * (1.0 + 0.3 * math.sin(k))


def test_hyperp_index_cap():
    oracle = Index(MarkEwmaIndex(kind="mark_ewma"), row(), 100.0)
    assert oracle.step(row(time=1e6, dt=1e6), 1000.0) == 400.0
