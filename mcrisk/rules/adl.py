"""Auto-deleveraging: who is closed first, at which price, and who bears the difference.

Formula   hyperliquid          (mark/entry)^side · N/equity          (side-aware; the prose ranks by profit and leverage)
          hyperliquid_literal  mark/entry · N/equity                 (as printed; ranks less profitable shorts first)
          okx, pnl_leverage    PnL% · N/equity, PnL% = side·(mark/entry − 1)
          binance              max(0, UPnL)/max(1, collateral) · MM/equity
          eligible: opposite side, in profit at the mark, equity ≥ 0 after a close at the ADL price
Symbols   N notional at mark, side ±1, UPnL unrealised profit.
Source    venue-rules.md 2 (trap on shorts), 3.4, 5.3; semantics.md 7–8. Kraken's percentile queue: assumption pnl_leverage.
Date      2026-11-20
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.desk import (
    DUST,
    WHOLE,
    Desk,
    badness,
    equity,
    inventory_value,
    note,
    note_fund,
    receive,
    settle_positions,
    zero_equity_price,
)
from mcrisk.rules.queue import queue_fill

Margin = Callable[[Desk, bool], Array]  # maintenance margin [A] as positions stand, with or without fees
SIDES = (1.0, -1.0)  # of those who are closed out; their counterparties hold the other side


class Demand(NamedTuple):
    """ADL that long and short positions wait for."""

    contracts: Array  # [2]
    price: Array      # [2] mean price at which counterparties would be closed


def score(rank: str, quantity: Array, entry: Array, collateral: Array, equity: Array, margin: Array, mark: Array) -> Array:
    """ADL score [A], higher is closed first. `equity` and `collateral` in quote, `margin` the maintenance margin."""
    safe_entry = jnp.where(entry > 0.0, entry, mark)
    safe_equity = jnp.maximum(equity, 1e-12)
    leverage = jnp.abs(quantity) * mark / safe_equity
    ratio = mark / safe_entry
    profit = quantity * (mark - entry)
    if rank == "hyperliquid":
        return jnp.where(quantity > 0.0, ratio, 1.0 / ratio) * leverage
    if rank == "hyperliquid_literal":
        return ratio * leverage
    if rank == "binance":
        return jnp.maximum(profit, 0.0) / jnp.maximum(collateral, 1.0) * margin / safe_equity
    return jnp.where(quantity > 0.0, ratio - 1.0, 1.0 - ratio) * leverage


def close_price(p, desk: Desk, z: Array, previous_mark: Array, dt: Array, initial_fund: Array) -> Array:
    """ADL price [A] of bankrupt accounts with zero-equity prices z [A]."""
    if p.price == "bankruptcy":
        return z
    if p.price == "mark":
        empty = desk.fund + inventory_value(desk) < p.bankruptcy_price_below * initial_fund
        return jnp.where(empty, z, desk.mark)
    low, high = jnp.minimum(previous_mark, desk.mark), jnp.maximum(previous_mark, desk.mark)
    return jnp.where(dt <= p.previous_mark_within, previous_mark, jnp.clip(z, low, high))


def demand_of_accounts(desk: Desk, contracts: Array, price: Array) -> Demand:
    """What `contracts` [A] of bankrupt accounts at `price` [A] ask of the queues."""
    due = [jnp.where(desk.quantity * sign > 0.0, contracts, 0.0) for sign in SIDES]
    total = jnp.stack([jnp.sum(x) for x in due])
    value = jnp.stack([jnp.sum(x * price) for x in due])
    return Demand(total, value / jnp.where(total > 0.0, total, 1.0))


def deleverage_accounts(p, desk: Desk, contracts: Array, price: Array, margin: Margin) -> tuple[Desk, Array]:
    """Close `contracts` [A] of bankrupt accounts at `price` [A] against the queue: long bankrupts first, then shorts.

    Says last whether a queue was too short.
    """
    free, lacking = contracts <= 0.0, jnp.bool_(False)
    for sign in SIDES:
        due = jnp.where(desk.quantity * sign > 0.0, contracts, 0.0)
        desk, short = lax.cond(jnp.sum(due) > 0.0, lambda d, x: _one_side(p, d, x, price, free, margin, sign),
                               lambda d, x: (d, jnp.bool_(False)), desk, due)
        lacking = lacking | short
    return desk, lacking


def _one_side(p, desk: Desk, due: Array, price: Array, free: Array, margin: Margin, sign: float) -> tuple[Desk, Array]:
    total = jnp.sum(due)
    z = zero_equity_price(desk)
    mean = jnp.sum(due * price) / total
    size = jnp.where(free, _eligible(desk, mean, sign), 0.0)  # a bankrupt is no counterparty, on either side
    served = jnp.minimum(total, jnp.sum(size))
    short = served < total
    due = lax.cond(short, lambda: queue_fill(_worst(desk, margin), due, served), lambda: due)
    mean = jnp.where(served > 0.0, jnp.sum(due * price) / jnp.where(served > 0.0, served, 1.0), mean)
    desk = _counterparties(p, desk, size, served, mean, margin)
    before = desk.collateral
    desk = settle_positions(desk, due, price)
    desk = note(desk, adl_quantity=-sign * due, adl_value=-sign * due * price, adl_cash=desk.collateral - before,
                adl_own=jnp.where(due > 0.0, 1.0, 0.0))
    desk = desk._replace(liquidated=desk.liquidated | (due > 0.0), by_adl=desk.by_adl | (due > 0.0),
                         traders_loss=desk.traders_loss + jnp.sum(jnp.maximum(before, 0.0) * (due > 0.0))
                         - jnp.sum(jnp.maximum(desk.collateral, 0.0) * (due > 0.0)))
    if p.difference_to == "fund":
        surplus = jnp.maximum(sign * due * (price - z), 0.0)
        desk = note(desk, adl_cash=-surplus, adl_fund=surplus)
        desk = desk._replace(collateral=desk.collateral - surplus, fund=desk.fund + jnp.sum(surplus))
    return desk, short


def _worst(desk: Desk, margin: Margin) -> Array:
    return badness(equity(desk), margin(desk, True))


def _eligible(desk: Desk, price: Array, sign: float) -> Array:
    """Contracts [A] that may be closed against bankrupts of side `sign` at `price`."""
    return counterparty_size(desk.quantity, desk.entry, desk.collateral + desk.elsewhere, desk.mark, price, sign)


def counterparty_size(quantity: Array, entry: Array, cash: Array, mark: Array, price: Array, sign: Array | float) -> Array:
    """Contracts, of the shape of `quantity`, that may be closed at `price` against positions of side `sign`.

    cash: collateral and the profit of other markets. Opposite side, in profit at the mark, solvent before and after.
    """
    opposite = quantity * sign < 0.0
    in_profit = quantity * (mark - entry) > 0.0
    dust = DUST * jnp.abs(quantity) * mark
    stays_solvent = cash + quantity * (price - entry) >= -dust
    solvent = cash + quantity * (mark - entry) > dust
    return jnp.where(opposite & in_profit & stays_solvent & solvent, jnp.abs(quantity), 0.0)


def _counterparties(p, desk: Desk, size: Array, served: Array, price: Array, margin: Margin) -> Desk:
    needed = margin(desk, False) if p.rank == "binance" else desk.mark
    ranked = score(p.rank, desk.quantity, desk.entry, desk.collateral, equity(desk), needed, desk.mark)
    taken = queue_fill(-ranked, size, served)
    side = jnp.sign(desk.quantity)
    wealth = jnp.maximum(jnp.sum(taken * side * (desk.mark - price)), 0.0)
    before = desk.collateral
    desk = settle_positions(desk, taken, price)
    desk = note(desk, adl_quantity=-side * taken, adl_value=-side * taken * price, adl_cash=desk.collateral - before)
    return desk._replace(
        deleveraged=desk.deleveraged | (taken > 0.0),
        adl_notional=desk.adl_notional + jnp.sum(taken) * price,
        adl_wealth=desk.adl_wealth + wealth,
        deficit=desk.deficit + wealth,
    )


def _inventory_price(p, desk: Desk, side: int, previous_mark: Array, dt: Array, initial_fund: Array) -> tuple[Array, Array]:
    """(ADL price, average take-over price) of a side of the inventory."""
    held = desk.inventory[side]
    average = desk.inventory_cost[side] / jnp.where(held != 0.0, held, 1.0)
    return close_price(p, desk, average, previous_mark, dt, initial_fund), average


def demand_of_inventory(p, desk: Desk, previous_mark: Array, dt: Array, initial_fund: Array) -> Demand:
    """What taken-over inventory asks of the queues."""
    prices = [_inventory_price(p, desk, side, previous_mark, dt, initial_fund)[0] for side in range(len(SIDES))]
    return Demand(jnp.abs(desk.inventory), jnp.stack(prices))


def deleverage_inventory(p, desk: Desk, margin: Margin, previous_mark: Array, dt: Array, initial_fund: Array
                         ) -> tuple[Desk, Array]:
    """Close taken-over inventory against the queue; its average take-over price is its zero-equity price.

    Says last whether a queue was too short.
    """

    def close(side: int, sign: float, desk: Desk) -> tuple[Desk, Array]:
        held = desk.inventory[side]
        amount = jnp.abs(held)
        price, average = _inventory_price(p, desk, side, previous_mark, dt, initial_fund)
        size = _eligible(desk, price, sign)
        served = jnp.minimum(amount, jnp.sum(size))
        desk = _counterparties(p, desk, size, served, price, margin)
        left = jnp.where(served >= WHOLE * amount, 0.0, held - sign * served)
        before = desk.fund
        desk = receive(desk, sign * served * (price - average))
        desk = note_fund(desk, "own_adl", side, -sign * served, price, desk.fund - before)
        return desk._replace(
            inventory=desk.inventory.at[side].set(left),
            inventory_cost=desk.inventory_cost.at[side].set(jnp.where(left == 0.0, 0.0, average * left)),
        ), served < amount

    lacking = jnp.bool_(False)
    for side, sign in enumerate(SIDES):
        desk, short = lax.cond(desk.inventory[side] != 0.0, lambda d, a=side, b=sign: close(a, b, d),
                               lambda d: (d, jnp.bool_(False)), desk)
        lacking = lacking | short
    return desk, lacking
