"""The account engine whose cost follows the accounts concerned: equal to looking at everybody in every row, account by
account; nothing proportional to the book is copied in a row; static orders are on the safe side."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from mcrisk.engine import build, simulate
from mcrisk.engine.native import compile as compiler
from mcrisk.engine.native import run
from mcrisk.engine.sparse.memory import peek, poke, spanned
from mcrisk.engine.sparse.orders import CONTRACTS, SLACKS
from mcrisk.engine.sparse.work import axes
from mcrisk.rules.liquidation import fee_rate
from mcrisk.rules.margin import maintenance_margin
from tests.engine.native_tools import agree
from tests.engine.test_native_cells import VENUES, simulator

SCENARIOS = ("baseline", "ipo_delay", "valuation_reset", "cancellation", "feed_error", "squeeze", "combined")
EXACT = ("liquidated_accounts", "adl_accounts", "event_label", "terminal_phase")
needs_compiler = pytest.mark.skipif(compiler.find_compiler() is None, reason="no C compiler")


def assert_equal_to_everybody(sim: simulate.Simulator, first: int, paths: int) -> None:
    """Events of every path and account are the same; money differs by rounding: lazy funding is paid in one sum."""
    some = build.run_lanes(sim.cell, first, paths, None, False, "native")
    everybody = build.run_lanes(sim.cell, first, paths, None, True, "native")
    one, two = (simulate.summarize(sim, out, paths)[0] for out in (some, everybody))
    money = float(np.sum(np.asarray(sim.cell.ref.collateral)))
    for name in set(one) - {"account_stages"}:
        if name in EXACT:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
        else:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-9, atol=1e-9 * money, err_msg=name)
    for name, a, b in zip(some.accounts._fields, some.accounts, everybody.accounts):
        if a.dtype == bool or name == "last_partial":
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * money, err_msg=name)
    assert one["conservation_residual"].max() < 1e-12


@needs_compiler
@settings(max_examples=12, deadline=None)
@given(scenario=st.sampled_from(SCENARIOS), seed=st.integers(0, 2**31), first=st.integers(0, 2**40),
       top_up=st.floats(0.0, 1.0), holding=st.sampled_from(["2d", "6d", "30d"]), fund=st.floats(0.0, 0.05))
def test_looking_at_some_equals_looking_at_everybody(scenario, seed, first, top_up, holding, fund):
    sim = simulator("kraken-preipo", scenario, f"seed={seed}", f"book.top_up_probability={top_up}",
                    f"book.holding_time={holding}", f"venues.0.fund.initial={fund}")
    assert_equal_to_everybody(sim, first, 6)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_and_scenario_equals_looking_at_everybody(venue):
    for scenario in SCENARIOS:
        for accounts in (60, 700):
            assert_equal_to_everybody(simulator(venue, scenario, f"book.accounts={accounts}"), 0, 48)


@needs_compiler
def test_no_row_copies_the_book():
    cell = simulator("kraken-preipo", "combined").cell
    text = run.program_of(cell).source.text
    slot, listed = axes(cell)
    rows = cell.orders.table.size
    copied = {int(n) for n in re.findall(r"copy_slots\(\w+, \w+, (\d+)\)", text)}
    assert f"f->span{slot}" in text and f"f->span{listed}" in text
    assert not [n for n in copied if n >= min(slot, listed, rows)]
    assert f"copy_slots({listed}" not in re.sub(r"copy_slots\(\w+, \w+, f->span", "copy_slots(", text)


@pytest.mark.parametrize("venue", ["kraken-preipo", "tradexyz-ipop", "okx-preipo-perp"])
def test_static_orders_are_on_the_safe_side(venue):
    """Before the mark reaches an account's place in an order the account is at maintenance or above, whatever the unit."""
    cell = simulator(venue, "baseline").cell
    rules, ref, orders = cell.rules, cell.ref, cell.orders
    start = float(cell.markets.initial_price[0])
    for phase, tables in enumerate((rules.pre.tiers, rules.post.tiers)):
        low, high = np.full(ref.collateral.shape, np.nan), np.full(ref.collateral.shape, np.nan)
        low[np.asarray(orders.fall_id[phase, 0, :-1])] = orders.fall[phase, 0, :-1]
        high[np.asarray(orders.rise_id[phase, 0, :-1])] = orders.rise[phase, 0, :-1]
        down, up = np.asarray(orders.fall[phase, 0]), np.asarray(orders.rise[phase, 0])
        assert np.all(down[1:] <= down[:-1]) and np.all(up[1:] >= up[:-1])
        for unit in (1.5 / CONTRACTS, 1.0, 3.0):
            for mark in np.geomspace(0.5, 2.0, 41) * start * unit:
                size = jnp.abs(ref.quantity[0]) / unit
                worth = ref.collateral + ref.quantity[0] / unit * (mark - ref.entry[0] * unit)
                needed = maintenance_margin(tables, size, jnp.float64(mark), rules.pre.mode, fee_rate(rules.liquidation))
                below = np.asarray((worth < needed) & (size > 0.0))
                reached = (low * unit * (1.0 + 1e-9) >= mark) | (high * unit * (1.0 - 1e-9) <= mark)
                outside = (mark < start * unit) == (np.asarray(ref.quantity[0]) > 0.0)   # the side that can hurt first
                assert not np.any(below & ~reached & outside)
    assert len(SLACKS) == orders.fall.shape[1]


def test_elements_and_spans():
    def f(x, rows, n, i):
        rows = poke(rows, peek(x, i) * 2.0, i, 3)
        x = poke(x, peek(rows, i, 3) + 1.0, n)

        def used(x):
            filled = lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, poke(s[1], peek(x, s[0]) * 2.0, s[0])),
                                    (jnp.int64(0), lax.empty((40,), jnp.float64)))[1]
            return jnp.sum(jnp.where(jnp.arange(40) < n, filled, 0.0)), jnp.max(jnp.where(jnp.arange(40) < n, filled, -9.0))

        return x, rows, spanned(n, 40, used, lambda x: (jnp.float64(-1.0), jnp.float64(-2.0)), x)

    x = jnp.arange(24.0)
    for n, i in ((0, 2), (5, 1), (23, 0)):
        agree(f, x, jnp.ones((3, 8)), jnp.int64(n), jnp.int64(i))


def test_several_markets_have_no_static_orders():
    two = simulator("kraken-preipo", "baseline", "markets=[{name: one, prices: near}, {name: two, prices: near}]").cell
    assert jax.tree.leaves(two.orders) == []
