"""Own elementary functions of the native source: errors in units in the last place against mpmath, edges against C99."""

from __future__ import annotations

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax

from tests.engine.native_tools import compiled

BOUND = {"exp": 1.1, "expm1": 2.4, "log": 0.9, "log1p": 1.1, "sin": 1.6, "cos": 1.6, "pow": 1.3}   # as elementary.h says
EDGES = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 709.78, 709.79, -745.2, 2.0, 3.0, 0.5, -2.0, -3.0,
                  -0.5, 2.5, 1e-300, 5e-324])


def grid(name: str) -> np.ndarray:
    """Arguments on every scale a path can meet, dense where reductions switch."""
    rng = np.random.default_rng(11)
    near = rng.uniform(-1.0, 1.0, 700)
    parts = {"exp": [near, rng.uniform(-700.0, 709.0, 700), near * 1e-6],
             "expm1": [near, rng.uniform(-60.0, 700.0, 700), near * 1e-6],
             "log": [rng.uniform(0.0, 1.0, 700) + 2.0**-25, rng.uniform(0.7, 1.42, 700), np.exp(rng.uniform(-744.0, 709.0, 700))],
             "log1p": [near * 0.99, near * 1e-7, rng.uniform(0.0, 1e10, 700)],
             "sin": [rng.uniform(0.0, 6.2832, 700), rng.uniform(-1.9e6, 1.9e6, 700), near * 1e-4]}
    values = np.concatenate(parts["sin" if name == "cos" else name])
    return values[: values.size // 20 * 20]


def ulps(name: str, got: np.ndarray, *args: np.ndarray) -> np.ndarray:
    """Distance from the exact value, in units in its last place; values below the smallest normal number are left out."""
    with mpmath.workdps(40):
        exact = {"log1p": lambda x: mpmath.log(1 + x), "pow": mpmath.power}.get(name) or getattr(mpmath, name)
        out = []
        for value, *numbers in zip(got, *args):
            want = exact(*(mpmath.mpf(float(x)) for x in numbers))
            if abs(want) > 2.3e-308:
                out.append(float(abs(mpmath.mpf(float(value)) - want) / mpmath.mpf(float(np.spacing(abs(float(want)))))))
    return np.array(out)


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sin", "cos"])
def test_error_and_the_same_bits_one_by_one_and_four_at_once(name):
    x, function = grid(name), getattr(jnp, name)
    rows = x.reshape(-1, 5)   # too short for vectors
    four, one = compiled(lambda a, b: (function(a), function(b)), jnp.asarray(x), jnp.asarray(rows))(x, rows)
    assert np.array_equal(four, one.ravel())
    assert ulps(name, four, x).max() < BOUND[name]


def test_powers():
    rng = np.random.default_rng(12)
    x = np.exp(np.concatenate([rng.uniform(-a, a, 400) for a in (5.0, 30.0, 700.0, 1e-3)]))
    y = np.concatenate([rng.uniform(-a, a, 400) for a in (10.0, 2.0, 1.0, 1e5)])
    got = compiled(jnp.power, jnp.asarray(x), jnp.asarray(y))(x, y)[0]
    assert ulps("pow", got, x, y).max() < BOUND["pow"]


def test_edges():
    """What C99 says of zeros, infinities and NaN; results too small for a normal number are 0, huge angles NaN."""
    names = ("exp", "expm1", "log", "log1p")
    got = compiled(lambda x: [getattr(jnp, name)(x) for name in names], jnp.asarray(EDGES))(EDGES)
    with np.errstate(all="ignore"):
        for name, values in zip(names, got, strict=True):
            want = getattr(np, name)(EDGES)
            want = np.where(np.abs(want) < 2.3e-308, 0.0 if name == "exp" else want, want)
            np.testing.assert_allclose(values, want, rtol=5e-16, atol=0.0, err_msg=name)
        x, y = (a.ravel() for a in np.meshgrid(EDGES, EDGES))
        powers = compiled(jnp.power, jnp.asarray(x), jnp.asarray(y))(x, y)[0]
        want = np.power(x, y)
        want = np.where(np.abs(want) < 2.3e-308, np.copysign(0.0, want), want)
        np.testing.assert_allclose(powers, want, rtol=5e-16, atol=0.0)
        assert np.array_equal(np.signbit(powers[~np.isnan(want)]), np.signbit(want[~np.isnan(want)]))
    sine, cosine = compiled(lambda x: [jnp.sin(x), jnp.cos(x)], jnp.asarray(EDGES))(EDGES)
    large = ~(np.abs(EDGES) < 2e6)
    assert np.isnan(sine[large]).all() and np.isnan(cosine[large]).all()
    assert np.signbit(sine[1]) and sine[0] == 0.0 and (cosine[:2] == 1.0).all()


def test_words_become_reals_exactly_and_shift_like_xla():
    words = np.random.default_rng(13).integers(0, 2**64, 64, np.uint64)
    words[:5] = [0, 1, 2**53 + 1, 2**63, 2**64 - 1]

    def everything(x):
        return [x.astype(jnp.float64), x >> jnp.uint64(8), x << jnp.uint64(16), x * jnp.uint64(0xD2511F53),
                x * jnp.uint64(2**40 + 3), lax.shift_right_logical(x, jnp.uint64(63))]

    got = compiled(everything, jnp.asarray(words))(words)
    for a, b in zip(got, everything(jnp.asarray(words)), strict=True):
        assert np.array_equal(a, np.asarray(b))
