"""Random bits: published vectors, the two implementations, ranges, moments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcrisk.paths import philox as random
from mcrisk.paths.philox import Purpose, philox, philox_numpy, stream_key, stream_keys, uniform

# Random123, examples/kat_vectors, philox4x32 10 rounds: counter (4), key (2), result (4).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, expected", KNOWN)
def test_random123_vectors(counter, key, expected):
    joined = np.uint64(key[0]) | (np.uint64(key[1]) << np.uint64(32))
    purpose, draw = counter[3] >> 16, counter[3] & 0xFFFF
    for words in (philox(joined, *counter[:3], purpose, draw), philox_numpy(joined, *counter[:3], purpose, draw)):
        assert tuple(int(word) for word in words) == expected


def test_jax_and_numpy_give_the_same_integers_and_uniforms():
    rng = np.random.default_rng(3)
    key = rng.integers(0, 2**64, 512, dtype=np.uint64)
    lo, hi, step = rng.integers(0, 2**32, (3, 512), dtype=np.uint64)
    a = jax.jit(jax.vmap(lambda *c: philox(*c, Purpose.STEP, 9)))(key, lo, hi, step)
    b = philox_numpy(key, lo, hi, step, Purpose.STEP, 9)
    for x, y in zip(a, b):
        np.testing.assert_array_equal(np.asarray(x), y)
        np.testing.assert_array_equal(np.asarray(uniform(x)), uniform(y))
    np.testing.assert_array_equal(np.asarray(random.fifth_uniform(a)), random.fifth_uniform(b))


def test_uniforms_stay_inside_the_open_interval():
    ends = np.array([0, 2**32 - 1], np.uint64)
    low, high = uniform(ends)
    assert low == 2.0**-25 and high == 1.0 - 2.0**-25
    z0, z1 = random.normals(jnp.asarray(uniform(ends)), jnp.asarray(uniform(ends[::-1])))
    assert np.isfinite(np.asarray([z0, z1])).all() and np.abs(np.asarray([z0, z1])).max() < 6.0


def test_keys_are_stable_and_distinct():
    assert stream_key(20261120, "baseline", "SPCX") == np.uint64(8073146980179393938)
    keys = {int(stream_key(s, c, m)) for s in (1, 11) for c in ("a", "ab") for m in ("bc", "c", "SPCX")}
    assert len(keys) == 12
    one, other = stream_keys(1, "a", "SPCX", "kraken-preipo"), stream_keys(1, "a", "SPCX", "okx-premarket-perp")
    assert one.company == other.company and one.common == other.common and one.venue != other.venue


def test_moments_of_uniforms_and_normals_alarm_rate_1e_5():
    n = 200_000
    words = philox_numpy(stream_key(1, "m", "x"), np.arange(n), 0, 5, Purpose.STEP)
    columns = [uniform(word) for word in words] + [random.fifth_uniform(words)]
    for u in columns:  # five columns, three checks each at 5 standard errors: 15 · 6e-7
        assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / n)
        assert abs(u.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / n)
    correlation = np.corrcoef(columns)
    assert np.abs(correlation - np.eye(5)).max() < 5 / np.sqrt(n)
    for z in random.normals_numpy(columns[0], columns[1]):
        assert abs(z.mean()) < 5 / np.sqrt(n) and abs(z.var() - 1) < 5 * np.sqrt(2 / n)
        assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / n)


def test_purposes_and_draws_do_not_repeat():
    seen = {
        tuple(int(w) for w in philox_numpy(stream_key(1, "m", "x"), 4, 0, 2, purpose, draw))
        for purpose in Purpose
        for draw in range(8)
    }
    assert len(seen) == 8 * len(Purpose)
