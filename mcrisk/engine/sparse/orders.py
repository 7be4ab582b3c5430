"""Static orders of a cell: in which order a falling or rising mark reaches the accounts of a book just struck.

Everything is in units of the initial price: a re-strike at a mark of u initial prices has quantities q/u and entries e·u,
so a trigger price is u times the reference's. That is exact for tiers by notional; tables that count contracts are read as
if every position were `CONTRACTS` times as large. Orders are on the safe side: they may name accounts too early, never too
late; the rules decide.

Funding f paid per contract since a trigger price was computed moves it: of a long by f/(1 − r), of a short by f/(1 + r),
r the rate of the tier there. Where tiers do not change with the price, or maintenance is the largest of several lines
(`linear`), bounds of these moves are good for any f. A table that reads the whole position at its tier's rate may have
further triggers at tier edges; its triggers are computed for all funding within a window, the orders for windows of
`SLACKS[level]` of the mark.

Zero-equity prices z, sorted, with Σq and Σq·z up to each place give Σ max(q(z − y), 0) of the whole book at any price y.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mcrisk.engine.topup import CALL
from mcrisk.rules.liquidation import fee_rate
from mcrisk.rules.margin import trigger_prices

SLACKS = (0.003, 0.03, 0.3)   # funding since the re-strike, as a part of the mark then; beyond the last everybody is looked at
CONTRACTS = 4.0               # a mark of a quarter of the initial price still counts contracts on the safe side
FIELDS = 8                    # of a row: one cache line
QUANTITY, ENTRY, COLLATERAL, DEPTH, TOPS_UP = range(5)   # of `table`


class Orders(NamedTuple):
    """Static orders; A accounts, two phases (before and after conversion), L levels of `SLACKS`."""

    table: Array      # [A + 1, FIELDS] the book; the last row is nobody
    sided: Array      # [A + 1] accounts: shorts, longs, then those without a position
    ends: Array       # [3] where in `sided` the shorts start, the longs start, the longs end
    fall: Array       # [2, L, A + 1] trigger prices a falling mark meets, descending; −inf at the end
    fall_id: Array    # [2, L, A + 1] whose
    rise: Array       # [2, L, A + 1] ascending; inf at the end
    rise_id: Array
    long_zero: Array  # [A + 1] zero-equity prices of longs, descending; −inf for others
    long_size: Array  # [A + 1] Σ q of those before
    long_value: Array  # [A + 1] Σ q·z
    short_zero: Array  # [A + 1] of shorts, ascending; inf for others
    short_size: Array  # [A + 1] Σ |q|
    short_value: Array
    total: Array      # [] Σ q
    by_contracts: Array  # [2] bool: the phase counts contracts
    linear: Array     # [2] bool: see above
    long_most: Array  # [2] largest 1/(1 − r)
    short_least: Array  # [2] smallest 1/(1 + r)


def static_orders(rules: Any, markets: Any, ref: Any) -> Any:
    """Orders of a cell with one market; () where there are several."""
    if ref.quantity.shape[0] != 1:
        return ()
    quantity, entry = np.asarray(ref.quantity[0]), np.asarray(ref.entry[0])
    collateral, tops_up = np.asarray(ref.collateral), np.asarray(ref.tops_up)
    count = len(quantity)
    table = np.zeros((count + 1, FIELDS))
    for field, column in ((QUANTITY, quantity), (ENTRY, entry), (COLLATERAL, collateral),
                          (DEPTH, np.asarray(ref.depth_share)), (TOPS_UP, tops_up)):
        table[:-1, field] = column
    mark = float(markets.initial_price[0])
    shape = (2, len(SLACKS), count + 1)
    fall, rise = np.full(shape, -np.inf), np.full(shape, np.inf)
    fall_id, rise_id = np.full(shape, count), np.full(shape, count)
    linear, most, least = np.zeros(2, bool), np.ones(2), np.ones(2)
    for p, phase in enumerate((rules.pre, rules.post)):
        tiers = phase.tiers._replace(contract_size=phase.tiers.contract_size / CONTRACTS)
        steepest = CALL * float(jnp.max(phase.tiers.maintenance) + fee_rate(rules.liquidation))
        linear[p] = (rules.pre.mode == "marginal" or bool(phase.tiers.by_contracts)) and steepest < 0.9
        most[p], least[p] = 1.0 / (1.0 - min(steepest, 0.9)), 1.0 / (1.0 + steepest)
        for level, slack in enumerate((0.0,) * len(SLACKS) if linear[p] else SLACKS):
            low, high = (np.asarray(x) for x in _triggers(
                tiers, quantity, entry, collateral - slack * mark * np.abs(quantity), jnp.float64(mark), rules.pre.mode,
                fee_rate(rules.liquidation), np.where(tops_up, CALL, 1.0)))
            first, last = np.argsort(-low, kind="stable"), np.argsort(high, kind="stable")
            fall[p, level, :-1], fall_id[p, level, :-1] = low[first], first
            rise[p, level, :-1], rise_id[p, level, :-1] = high[last], last
    sums = (*_zeros(quantity, entry, collateral, 1.0), *_zeros(quantity, entry, collateral, -1.0))
    sided = np.append(np.argsort(np.select([quantity < 0.0, quantity > 0.0], [0, 1], 2), kind="stable"), count)
    shorts, longs = np.count_nonzero(quantity < 0.0), np.count_nonzero(quantity > 0.0)
    return jax.tree.map(jnp.asarray, Orders(
        table, sided, np.array([0, shorts, shorts + longs]), fall, fall_id, rise, rise_id, *sums, np.sum(quantity),
        np.array([bool(rules.pre.tiers.by_contracts), bool(rules.post.tiers.by_contracts)]),
        linear, most, least))


_triggers = jax.jit(trigger_prices, static_argnames=("mode",))


def _zeros(quantity: np.ndarray, entry: np.ndarray, collateral: np.ndarray, side: float) -> tuple:
    """Zero-equity prices of a side in the order a mark moving against it meets them, and Σ|q|, Σ|q|·z before each."""
    chosen = np.flatnonzero(quantity * side > 0.0)
    zero = entry[chosen] - collateral[chosen] / quantity[chosen]
    order = chosen[np.argsort(-side * zero, kind="stable")]
    count = len(quantity)
    zeros, sizes, values = np.full(count + 1, -side * np.inf), np.zeros(count + 1), np.zeros(count + 1)
    size = np.abs(quantity[order])
    zeros[: len(order)] = entry[order] - collateral[order] / quantity[order]
    sizes[1: len(order) + 1], values[1: len(order) + 1] = np.cumsum(size), np.cumsum(size * zeros[: len(order)])
    return zeros, sizes, values


__all__ = ["CONTRACTS", "FIELDS", "SLACKS", "Orders", "static_orders"]
