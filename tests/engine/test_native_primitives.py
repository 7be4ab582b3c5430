"""Every primitive of the native emitter against JAX, for single elements, short arrays and vectors with a ragged end."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mcrisk.engine.native import primitives
from mcrisk.engine.native.graph import Unsupported
from mcrisk.engine.native.source import generate
from tests.engine.native_tools import agree, both

SHAPES = [(), (1,), (5,), (37,), (3, 20), (1, 40)]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 1e300, -1e-300]

ONE = {"neg": lambda x: -x, "abs": jnp.abs, "sign": jnp.sign, "floor": jnp.floor, "ceil": jnp.ceil, "square": jnp.square,
       "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "exp": jnp.exp, "exp2": jnp.exp2, "expm1": jnp.expm1, "log": jnp.log,
       "log1p": jnp.log1p, "cbrt": jnp.cbrt, "sin": jnp.sin, "cos": jnp.cos, "tan": jnp.tan, "tanh": jnp.tanh,
       "sinh": jnp.sinh, "cosh": jnp.cosh, "erf": lax.erf, "erfc": lax.erfc, "is_finite": jnp.isfinite,
       "logistic": lax.logistic, "integer_pow": lambda x: x**3 + 1.0 / x**2 + x**5}
TWO = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide, "max": jnp.maximum, "min": jnp.minimum,
       "pow": jnp.power, "rem": jnp.fmod, "atan2": jnp.arctan2, "lt": jnp.less, "le": jnp.less_equal, "gt": jnp.greater,
       "ge": jnp.greater_equal, "eq": jnp.equal, "ne": jnp.not_equal}
LOOSE = {"exp", "exp2", "expm1", "log", "log1p", "cbrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "erf", "erfc", "pow",
         "logistic", "atan2", "rsqrt", "erf_inv"}


def numbers(shape: tuple[int, ...], seed: int = 0) -> jnp.ndarray:
    """Ordinary numbers with special ones among them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, 3.0, shape)
    if np.size(values) > 1:
        places = rng.integers(0, values.size, max(values.size // 3, 1))
        values.reshape(-1)[places] = rng.choice(SPECIAL, len(places))
    return jnp.asarray(values)


@pytest.mark.parametrize("shape", [(), (37,)])
@pytest.mark.parametrize("name", sorted(ONE))
def test_of_one_number(name, shape):
    x = numbers(shape, 1)
    if name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "logistic"):
        x = jnp.where(jnp.abs(x) > 1e3, 3.7, x)
    agree(ONE[name], x, rtol=2e-14 if name in LOOSE else 1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_of_two_numbers(shape):
    def everything(x, y):
        return [f(x, y) for name, f in sorted(TWO.items()) if name not in LOOSE]

    agree(everything, numbers(shape, 2), numbers(shape, 3), rtol=1e-15)
    agree(lambda x, y: [jnp.power(jnp.abs(x), y), jnp.arctan2(x, y)], numbers(shape, 2), numbers(shape, 4), rtol=1e-14)


def test_extremes_hand_nan_on_from_either_side_and_with_constants():
    x, y = jnp.array([np.nan, 1.0, np.nan] * 5), jnp.array([2.0, np.nan, np.nan] * 5)
    agree(lambda x, y: [jnp.maximum(x, y), jnp.minimum(x, y), jnp.maximum(x, 1.5), jnp.minimum(0.5, x)], x, y)
    agree(lambda x, y: [jnp.max(x), jnp.min(y)], x, y)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize("shape", [(), (21,)])
def test_of_integers(dtype, shape):
    rng = np.random.default_rng(5)
    info = np.iinfo(dtype)
    x = jnp.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))
    y = jnp.asarray(rng.integers(0, 5, shape).astype(dtype))

    def everything(x, y):
        shifts = [f(x, y * 15) for f in (lax.shift_left, lax.shift_right_logical, lax.shift_right_arithmetic)]
        return [x + y, x - y, x * y, lax.div(x, y), lax.rem(x, y), x & y, x | y, x ^ y, ~x, jnp.maximum(x, y),
                jnp.minimum(x, y), x < y, x >= y, x == y, jnp.where(x > y, x, y), x.astype(jnp.float64),
                jnp.clip(x, jnp.asarray(3, dtype), jnp.asarray(900, dtype)), jnp.sum(x), jnp.max(x), jnp.min(x), *shifts]

    agree(everything, x, y)


def test_of_booleans_and_conversions():
    x, y = numbers((29,), 6), numbers((29,), 7)

    def everything(x, y):
        a, b = x > 0.0, y > 0.0
        return [a & b, a | b, a ^ b, ~a, jnp.where(a, b, ~b), a.astype(jnp.float64), a.astype(jnp.int32), a.astype(jnp.int64),
                jnp.any(a), jnp.all(b), jnp.sum(a), x.astype(jnp.int32), y.astype(jnp.int64), (x * 1e12).astype(jnp.int64),
                jnp.abs(x).astype(jnp.uint64), x.astype(bool), jnp.arange(29, dtype=jnp.int32) * 2]

    agree(everything, x, y)
    agree(lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int64) ^ 1, jnp.float64), x)
    agree(lambda x, y: [x.astype(jnp.float32), x.astype(jnp.float32) * y.astype(jnp.float32)], jnp.float64(1.1), jnp.float64(2.3))


def test_inverse_error_function():
    x = jnp.asarray(np.concatenate([np.linspace(-0.999999, 0.999999, 101), [1.0, -1.0, 0.0, 1 - 1e-12, 1e-300]]))
    agree(lax.erf_inv, x, rtol=1e-13)


@pytest.mark.parametrize("shape", [(5,), (8,), (64,), (65,), (1000,), (1003,), (3, 24), (2, 3, 11)])
def test_reductions(shape):
    rng = np.random.default_rng(8)
    x = jnp.asarray(rng.normal(size=shape))

    def everything(x):
        last = tuple(range(1, x.ndim))
        return [jnp.sum(x), jnp.max(x), jnp.min(x), jnp.any(x > 2.5), jnp.all(x < 9.0), jnp.sum(x * x, axis=0), jnp.max(x, axis=-1),
                jnp.sum(jnp.where(x > 0.0, x, 0.0), axis=last), jnp.prod(1.0 + 1e-3 * x)]

    agree(everything, x, rtol=1e-12)


def test_sums_have_one_order():
    x = jnp.asarray(np.random.default_rng(9).normal(size=1000) * 10.0 ** np.arange(1000).clip(0, 12))
    got, _ = both(jnp.sum, x)
    lanes = np.zeros((2, 4))
    for i in range(0, 1000, 8):
        lanes += np.asarray(x)[i:i + 8].reshape(2, 4)
    total = lanes[0] + lanes[1]
    assert got[0] == (total[0] + total[1]) + (total[2] + total[3])


def test_unknown_primitives_are_refused_by_name():
    with pytest.raises(Unsupported, match="'sort'"):
        generate(lambda x: jnp.sort(x[0]), (jax.ShapeDtypeStruct((8,), np.float64),), ())
    with pytest.raises(Unsupported, match="'cumsum'"):
        generate(lambda x: jnp.cumsum(x[0]), (jax.ShapeDtypeStruct((8,), np.float64),), ())


def test_the_tests_above_cover_the_table():
    covered = set(ONE) | set(TWO) | {"add_any", "and", "or", "xor", "not", "select_n", "clamp", "convert_element_type", "copy",
                                     "bitcast_convert_type", "erf_inv", "shift_left", "shift_right_logical",
                                     "shift_right_arithmetic"}
    assert set(primitives.SCALAR) == covered
