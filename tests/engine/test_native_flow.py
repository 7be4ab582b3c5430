"""Views, indexing, control flow and buffers of the native emitter against JAX, on small functions and generated ones."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.engine.native_tools import agree

RNG = np.random.default_rng(1)


def reals(*shape: int) -> jnp.ndarray:
    return jnp.asarray(RNG.normal(size=shape))


def test_views():
    def f(x, v):
        big = x[:, None, :] * v[None, :, None]
        return [x.T, x[1], x[:, 2:9], x[::2, ::3], x[:, ::-1], jnp.broadcast_to(v[:, None], (4, 6)), big[1, 2],
                x[:, :1] + v[:3, None],
                jnp.stack([v, 2.0 * v], axis=1), jnp.concatenate([x[:, 3:5], x], axis=1), jnp.squeeze(x[1:2]),
                jnp.split(x, 2, axis=1)[1] + 1.0, jnp.zeros((3, 7)), jnp.arange(12)[3], jnp.sum(jnp.arange(30) * 2)]

    agree(f, reals(3, 12), reals(4))


@pytest.mark.parametrize("at", [-3, 0, 2, 11, 40])
def test_positions_computed_at_run_time(at):
    def f(x, row, i):
        return [lax.dynamic_slice(row, (i,), (5,)), lax.dynamic_index_in_dim(x, i, 0), row[i], x[:, i],
                jnp.take(row, i, mode="clip"),
                row.at[i].set(7.0), row.at[i].add(1.0), x.at[i].set(row), lax.dynamic_update_slice(row, row[:3] * 2.0, (i,)),
                row.at[jnp.arange(3) * i].add(2.0), row[jnp.array([1, 3]) * i], jnp.where(i > 1, x[1], x[0])]

    agree(f, reals(3, 12), reals(12), jnp.int32(at))


def test_batched_positions():
    def f(x, i):
        read = jax.vmap(lambda r, k: r[k])(x, i)
        written = jax.vmap(lambda r, k, v: r.at[k].set(v))(x, i, read * 2.0)
        return read, written, jax.vmap(lambda r, k: jnp.take(r, k, mode="fill"))(x, i)

    agree(f, reals(3, 20), jnp.array([0, 19, 7], jnp.int32))
    agree(f, reals(1, 20), jnp.array([5], jnp.int32))


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_branches(flag, n):
    def f(p, x, y):
        a, b, s = lax.cond(p, lambda x, y: (x + y, y, jnp.sum(x)), lambda x, y: (x, jnp.zeros_like(y), 1.0), x, y)
        c, d = lax.cond(jnp.sum(a) > 0.0, lambda x, y: (y, x), lambda x, y: (x * 2.0, y), a, b)
        return a, b, c, d, s, x, lax.cond(p, lambda: x, lambda: x)

    agree(f, jnp.bool_(flag), reals(n), reals(n))


@pytest.mark.parametrize("n", [1, 5, 40])
def test_loops_with_exchanged_variables(n):
    def f(x, y):
        swap = lax.fori_loop(0, 5, lambda i, c: (c[1], c[0] + 1.0, c[2] + i), (x, y, 0))
        rotate = lax.fori_loop(0, 4, lambda i, c: (c[1], c[2], c[0]), (x, y, x * y))
        back = lax.while_loop(lambda c: (c[1] < 9) & (jnp.sum(c[0]) < 50.0), lambda c: (c[0] + jnp.abs(y), c[1] + 1, x), (x, 0, y))
        return swap, rotate, back

    agree(f, reals(n), reals(n))


def test_scan_collects_and_slices():
    def f(x, v):
        def body(c, row):
            c = c * 0.5 + row
            return c, (c, jnp.sum(c), c[:1], 3.0)

        return lax.scan(body, v, x)

    agree(f, reals(6, 11), reals(11))
    agree(f, reals(1, 11), reals(11))
    agree(lambda k: lax.scan(lambda c, i: (c + i, c * i), k, jnp.arange(9)), jnp.int64(2))


def test_nested_loops_and_outer_values():
    def f(x, a):
        def outer(i, c):
            inner = lax.fori_loop(0, 3, lambda j, s: s + jnp.sum(c * a) * 0.01 + x[j], 0.0)
            return lax.cond(inner > 0.0, lambda c: c.at[i].set(inner), lambda c: c - a, c)

        return lax.fori_loop(0, 6, outer, x), x + a

    agree(f, reals(24), reals(24), rtol=1e-12)


def test_operands_read_after_they_were_replaced_keep_their_values():
    def f(x, y):
        new = lax.fori_loop(0, 3, lambda i, c: c.at[i].add(jnp.sum(c) + x[i]), x)
        one = lax.cond(y[0] > 9.0, lambda c: c, lambda c: c.at[2].set(0.0), new)
        return new, one, x, one + x * new

    agree(f, reals(16), reals(16))


def test_markets_as_an_axis():
    def f(q, e, mark, c):
        worth = c + jnp.sum(q * (mark[:, None] - e), axis=0)
        size = jnp.abs(q) * mark[:, None]

        def market(m, state):
            q, worth = state
            hit = worth < jnp.sum(size) * 1e-3
            return q.at[m].set(jnp.where(hit, 0.0, q[m])), worth + jnp.where(hit, q[m], 0.0)

        q, worth = lax.fori_loop(0, 3, market, (q, worth))
        return q, worth, jnp.max(size, axis=1), jnp.sum(q), jnp.min(worth), jnp.any(size > 3.0, axis=0)

    agree(f, reals(3, 50), reals(3, 50), reals(3), reals(50), rtol=1e-12)


def random_program(seed: int):
    """A function of four operands with elementwise steps, reductions, branches, loops and stores in random order."""
    def f(x, y, s, t):
        rng = np.random.default_rng(seed)
        arrays, scalars = [x, y], [s, t]
        pick = lambda pool: pool[rng.integers(len(pool))]  # noqa: E731
        for _ in range(30):
            a, b, u, v, kind = pick(arrays), pick(arrays), pick(scalars), pick(scalars), rng.integers(9)
            if kind == 0:
                arrays.append(jnp.tanh(u) * a + b if rng.integers(2) else jnp.where(a > b, a, b * 0.5))
            elif kind == 1:
                scalars.append(jnp.tanh([jnp.sum, jnp.max, jnp.min][rng.integers(3)](a * b)))
            elif kind == 2:
                scalars.append(jnp.where(u > v, u - v, u * v))
            elif kind == 3:
                k = int(rng.integers(a.shape[-1]))
                arrays.append(a.at[..., k].set(u) if rng.integers(2) else b.at[..., k].add(v))
            elif kind == 4:
                arrays += lax.cond(u > v, lambda a, b: (a, b * 0.9), lambda a, b: (jnp.minimum(a, b), a), a, b)
            elif kind == 5:
                grown = lax.fori_loop(0, 3, lambda i, c: (c[1], 0.5 * c[0] + a, c[2] + jnp.max(c[0]) * 0.1), (a, b, u))
                arrays += grown[:2]
                scalars.append(jnp.tanh(grown[2]))
            elif kind == 6:
                out = lax.while_loop(lambda c: (jnp.sum(jnp.abs(c[0])) > 1.0) & (c[1] < 4),
                                     lambda c: (c[0] * 0.7 + 0.01 * b, c[1] + 1), (a, 0))
                arrays.append(out[0])
            elif kind == 7:
                arrays.append(jnp.clip(a, -2.0, 2.0) / (1.0 + jnp.abs(b)))
            else:
                scalars.append(jnp.tanh(a.ravel()[0] if a.ndim == 1 else a[0, 1]))
        return arrays[2:], scalars[2:]

    return f


@pytest.mark.parametrize("seed", range(12))
def test_generated_programs(seed):
    shape = [(9,), (40,), (3, 16), (101,)][seed % 4]
    agree(random_program(seed), reals(*shape), reals(*shape), jnp.float64(0.3), jnp.float64(-0.8), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 150))
def test_more_generated_programs(seed):
    shape = [(9,), (40,), (3, 16), (101,), (2, 5), (1, 33)][seed % 6]
    agree(random_program(seed), reals(*shape), reals(*shape), jnp.float64(0.3), jnp.float64(-0.8), rtol=1e-9)
