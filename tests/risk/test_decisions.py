"""Break-even jumps, cover-two losses and traffic lights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mcrisk.book.table import HOUSE, ISOLATED, TRADER, Book
from mcrisk.config.limits import Limits
from mcrisk.config.scenario import Liquidity
from mcrisk.risk.break_even import break_even, signed
from mcrisk.risk.cover_two import cover_two, impact
from mcrisk.risk.headline import Context, metrics
from mcrisk.risk.intervals import Interval
from mcrisk.risk.limits import colour_of, fund_verdict, jump_verdict, of_fund, verdicts

from .cells import cell

NAN, INF = math.nan, math.inf
GRID = np.linspace(0.05, 0.80, 16)


# ---------------------------------------------------------------- break-even
def test_break_even_interpolates_between_grid_points():
    found = break_even([0.1, 0.2, 0.3, 0.4], [0, 100, 400, 500], [500] * 4)
    assert found.estimate == pytest.approx(0.2 + 0.1 * (0.5 - 0.2) / 0.6) and (found.lower, found.upper) == (0.2, 0.3)
    assert signed(found, down=True) == (-found.estimate, -0.3, -0.2) and signed(found, down=False) == found


def test_break_even_at_the_ends():
    never = break_even([0.1, 0.5], [0, 3], [256, 256])
    assert math.isnan(never.estimate) and never.lower == 0.5 and math.isnan(never.upper)
    always = break_even([0.1, 0.5], [256, 256], [256, 256])
    assert always == (0.1, 0.0, 0.1)
    perhaps = break_even([0.1, 0.5], [0, 130], [256, 256])
    assert perhaps.lower == 0.1 and math.isnan(perhaps.upper)
    assert signed(never, down=True).upper == -0.5
    with pytest.raises(ValueError, match="increasing"):
        break_even([0.2, 0.1], [1, 1], [2, 2])


@given(st.lists(st.integers(0, 64), min_size=1, max_size=12))
def test_break_even_estimate_lies_in_its_interval(hits):
    found = break_even(np.arange(1, len(hits) + 1) * 0.05, hits, [64] * len(hits))
    if not math.isnan(found.estimate):
        assert found.lower <= found.estimate * (1 + 1e-12)
    if not math.isnan(found.upper):
        assert found.estimate <= found.upper * (1 + 1e-12)


def test_break_even_coverage():
    """400 repetitions of a logistic curve: the interval of grid points is conservative, ≤ 5 % + 4 s.e. miss."""
    true, rng, missed = 0.33, np.random.default_rng(5), 0
    p = 1 / (1 + np.exp(-(GRID - true) / 0.06))
    for _ in range(400):
        found = break_even(GRID, rng.binomial(128, p), [128] * len(GRID))
        missed += not (found.lower <= true <= found.upper)
    assert missed <= 400 * 0.05 + 4 * math.sqrt(400 * 0.05 * 0.95)


# ---------------------------------------------------------------- cover two
def liquidity(depth=0.02, shape=1.0, total=10.0, multiplier=1.0) -> Liquidity:
    return Liquidity.model_validate(
        {
            "name": "test",
            "half_spread": {"calm": 0.0, "event_multiplier": 1.0},
            "depth_1pct": depth,
            "shape": shape,
            "total_depth": total,
            "refill_half_life": 600,
            "permanent_share": 0.1,
            "stress": {"event_multiplier": multiplier},
        }
    )


def small_book() -> Book:
    quantity = np.array([[40.0], [30.0], [20.0], [10.0], [-100.0]])
    collateral = np.array([1000.0, 900.0, 500.0, 10.0, 1e6])
    classes = np.array([TRADER] * 4 + [HOUSE])
    return Book(
        np.array(["a", "b", "c", "d", "h"]),
        quantity,
        np.full((5, 1), 100.0),
        collateral,
        np.full(5, ISOLATED, np.int8),
        classes,
        np.zeros(5),
        ("X",),
    )


def test_cover_two_without_impact():
    found = cover_two(small_book(), 100.0, math.log(0.5), liquidity(depth=1e12, total=1e12))
    assert found.accounts == ("a", "b") and found.price == pytest.approx(50)
    assert found.loss == pytest.approx((40 * 50 - 1000) + (30 * 50 - 900)) and found.filled_share == 1


def test_cover_two_with_linear_impact():
    # depth 2 % of 100 contracts displaces 1 %: 70 contracts end 35 % lower, mean 17.5 %
    found = cover_two(small_book(), 100.0, math.log(0.9), liquidity())
    assert found.price == pytest.approx(90 * math.exp(-0.175))
    assert found.loss == pytest.approx(max(0, 40 * (100 - found.price) - 1000) + max(0, 30 * (100 - found.price) - 900))
    thinner = cover_two(small_book(), 100.0, math.log(0.9), liquidity(multiplier=0.25))
    assert thinner.loss > found.loss
    assert thinner.price == cover_two(small_book(), 100.0, math.log(0.9), liquidity(), depth_multiplier=0.25).price


def test_cover_two_upwards_skips_the_house():
    assert cover_two(small_book(), 100.0, 0.3, liquidity()) == cover_two(small_book(), 100.0, 0.3, liquidity())
    assert cover_two(small_book(), 100.0, 0.3, liquidity()).accounts == ()


def test_impact_beyond_the_book():
    assert impact(4.0, 2.0, 1.0, 100.0) == pytest.approx(0.01)  # last 2 %, mean half of it
    assert impact(8.0, 2.0, 1.0, 4.0) == pytest.approx((4 * 0.01 + 4 * 0.02) / 8)  # the unfilled half at the last price
    assert impact(8.0, 1.0, 1.5, 100.0) == pytest.approx(0.01 * 8 ** (2 / 3) * 0.6)


# ---------------------------------------------------------------- lights
@pytest.mark.parametrize(
    ("interval", "colour"),
    [
        (Interval(0, 0, 0.0009), "green"),
        (Interval(0.005, 0.002, 0.009), "amber"),
        (Interval(0.2, 0.1, 0.3), "red"),
        (Interval(0.0005, 0.0001, 0.002), "grey"),
        (Interval(0.009, 0.005, 0.02), "grey"),
        (Interval(0, 0, NAN), "grey"),
        (Interval(0.2, 0.1, NAN), "red"),
        (Interval(NAN, NAN, NAN), "grey"),
        (None, "grey"),
        (Interval(0.001, 0, 0.001), "green"),
    ],
)
def test_colours(interval, colour):
    assert colour_of(interval, 0.001, 0.01) == colour


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_green_never_across_a_limit(a, b, c):
    low, mid, high = sorted((a, b, c))
    colour = colour_of(Interval(mid, low, high), 0.3, 0.6)
    assert (colour == "green") == (high <= 0.3) and (colour == "red") == (low > 0.6)


def test_fund_verdict():
    near, far = Interval(50, 40, 60), Interval(90, 80, 100)
    assert [fund_verdict(f, near, far).colour for f in (100, 95, 70, 50, 30)] == [
        "green",
        "grey",
        "amber",
        "grey",
        "red",
    ]
    assert fund_verdict(100, near, Interval(90, 80, NAN)).colour == "grey"
    assert fund_verdict(0, Interval(0, 0, 0), Interval(0, 0, 0)).colour == "green"
    assert fund_verdict(0, Interval(1, 0.5, 2), None).colour == "red"
    assert fund_verdict(100, near, far).interval == (2, 100 / 60, 2.5)


def test_jump_verdict():
    def judge(*bounds):
        return jump_verdict("x", Interval(*bounds), 0.36, 0.27).colour

    assert judge(0.5, 0.4, 0.6) == "green" and judge(0.3, 0.28, 0.35) == "amber" and judge(0.1, 0, 0.2) == "red"
    assert judge(0.36, 0.3, 0.4) == "grey" and judge(NAN, 0.8, NAN) == "green" and judge(NAN, 0.3, NAN) == "grey"
    assert judge(0.36, 0.36, 0.36) == "amber" and judge(0.27, 0.27, 0.27) == "red"


def test_without_a_fund_any_loss_is_too_much():
    assert of_fund(Interval(0, 0, 0), 0.0) == (0, 0, 0) and of_fund(Interval(2, 0, 3), 0.0) == (INF, 0, INF)
    assert of_fund(Interval(2, 1, 3), 10.0) == (0.2, 0.1, 0.3) and of_fund(None, 1.0) is None


def test_all_lights_of_a_cell():
    found = metrics(cell(), Context(1e4))
    lights = {
        v.limit: v for v in verdicts(found, Limits(), 100.0, cover_two=60.0, break_even_down=Interval(0.5, 0.4, 0.6))
    }
    assert set(lights) == {
        "break_even_down",
        "break_even_up",
        "fund_over_required",
        "p_fund_depleted",
        "winners_haircut_es99",
        "latent_deficit_p99",
        "cover_two",
        "unpaid_after_adl",
    }
    assert lights["cover_two"].colour == "amber" and lights["break_even_up"].colour == "grey"
    assert lights["unpaid_after_adl"].colour == "red" and lights["break_even_down"].colour == "green"
    calm = {v.limit: v.colour for v in verdicts(metrics(cell(hit=0), Context(1e4)), Limits(), 100.0)}
    assert calm["p_fund_depleted"] == "green" == calm["unpaid_after_adl"] == calm["fund_over_required"]
    short = {v.limit: v.colour for v in verdicts(metrics(cell(n=1024, hit=0), Context(1e4)), Limits(), 100.0)}
    assert short["p_fund_depleted"] == "grey" == short["unpaid_after_adl"] == short["fund_over_required"]


def test_wilson_agrees_with_scipy_on_the_lights_threshold():
    assert stats.binomtest(0, 4096).proportion_ci(method="wilson").high < 0.001
