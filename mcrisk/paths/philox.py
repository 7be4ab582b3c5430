"""Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC11), in jax.numpy and in NumPy.

    key     = 64-bit hash of (seed, scenario, market)              `stream_key`
    counter = (path low, path high, step, purpose << 16 | draw)    four 32-bit words in, four random words out
    uniform = (w >> 8) · 2^-24 + 2^-25                             in (0, 1), never 0 or 1

Nothing else enters: neither the block a path is computed in nor what else runs. The integers are the same on every
backend; the uniforms too (exact in float64). Normals differ in the last bits where log, sin or cos do.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

_ROUNDS = 10
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
TWO_PI = 6.283185307179586


class Purpose(IntEnum):
    """High half of the fourth counter word. Numbers are part of the results' identity: append, never renumber."""

    STEP = 1  # value, basis, jumps, regime: one block of words per step and market
    VARIANCE = 2  # variance shock of a Heston model
    COMMON = 3  # shocks shared by all markets of a path
    COMPANY = 4  # life cycle of the company: branch, times, jump sizes
    OVERLAY = 5  # feed errors, squeezes, halts of one venue's market
    BOOK = 6  # account heterogeneity
    PROPOSAL = 7  # choices of variance reduction
    BOOTSTRAP = 8  # resampling in estimators


class Words(NamedTuple):
    """Four independent 32-bit words, held in uint64."""

    w0: object
    w1: object
    w2: object
    w3: object


def stream_key(seed: int, scenario: str, market: str) -> np.uint64:
    """64-bit key of one stream: BLAKE2b of the three parts, length-prefixed so that joining makes no two alike."""
    parts = (str(int(seed)), scenario, market)
    text = b"".join(len(part.encode()).to_bytes(4, "little") + part.encode() for part in parts)
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))


class StreamKeys(NamedTuple):
    """Keys of one market of one venue under one scenario; uint64 scalars (or [M] arrays of them)."""

    company: object  # common to all venues: designs are compared on the same world
    venue: object  # overlays of this venue's market
    common: object  # common to all markets of the scenario


def stream_keys(seed: int, scenario: str, market: str, venue: str) -> StreamKeys:
    """The three keys of a market. '@' and '*' cannot occur in market names, so the streams never coincide."""
    return StreamKeys(
        stream_key(seed, scenario, market),
        stream_key(seed, scenario, f"{market}@{venue}"),
        stream_key(seed, scenario, "*"),
    )


def _rounds(u64, key, c0, c1, c2, c3) -> Words:
    """Ten rounds on 32-bit words kept in uint64 (one multiplication gives both halves); works for jnp and np."""
    mask, half = u64(_MASK), u64(32)
    k0, k1 = key & mask, key >> half
    for number in range(_ROUNDS):
        if number:
            k0, k1 = (k0 + u64(_W0)) & mask, (k1 + u64(_W1)) & mask
        p0, p1 = c0 * u64(_M0), c2 * u64(_M1)
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & mask, (p0 >> half) ^ c3 ^ k1, p0 & mask
    return Words(c0, c1, c2, c3)


def philox(key, path_lo, path_hi, step, purpose: int, draw=0) -> Words:
    """Random words of one counter, in JAX. `key` uint64; path_lo, path_hi, step, draw any non-negative integers."""
    u64 = jnp.uint64
    last = u64(int(purpose) << 16) | jnp.asarray(draw).astype(u64)
    words = (jnp.asarray(word).astype(u64) for word in (path_lo, path_hi, step))
    return _rounds(u64, jnp.asarray(key, u64), *words, last)


def philox_numpy(key, path_lo, path_hi, step, purpose: int, draw=0) -> Words:
    """NumPy twin of `philox`: the same integers; arguments broadcast."""
    words = (np.asarray(word, np.uint64) for word in (path_lo, path_hi, step))
    last = np.uint64(int(purpose) << 16) | np.asarray(draw, np.uint64)
    key, lo, hi, at, last = np.broadcast_arrays(np.asarray(key, np.uint64), *words, last)
    return _rounds(np.uint64, key, lo, hi, at, last)


def uniform(word):
    """(0, 1) in float64 from the upper 24 bits of a word held in uint64."""
    return (word >> word.dtype.type(8)).astype("float64") * 2.0**-24 + 2.0**-25


def fifth_uniform(words: Words):
    """One more uniform from the low bytes that `uniform` leaves unused in the first three words."""
    u64 = words.w0.dtype.type
    low = u64(0xFF)
    joined = ((words.w0 & low) << u64(16)) | ((words.w1 & low) << u64(8)) | (words.w2 & low)
    return joined.astype("float64") * 2.0**-24 + 2.0**-25


def normals(u0, u1):
    """Two independent standard normals from two uniforms (Box–Muller); |z| ≤ 5.9 with 24-bit uniforms."""
    radius = jnp.sqrt(-2.0 * jnp.log(u0))
    angle = TWO_PI * u1
    return radius * jnp.cos(angle), radius * jnp.sin(angle)


def normals_numpy(u0, u1):
    """NumPy twin of `normals`; last bits may differ."""
    radius, angle = np.sqrt(-2.0 * np.log(u0)), TWO_PI * u1
    return radius * np.cos(angle), radius * np.sin(angle)


def split_path(path: int) -> tuple[np.uint32, np.uint32]:
    """(low, high) counter words of a path number below 2^64."""
    return np.uint32(path & _MASK), np.uint32((path >> 32) & _MASK)
