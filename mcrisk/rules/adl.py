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

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.desk import Desk, cover, equity, note, receive, settle_positions
from mcrisk.rules.queue import queue_fill

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


def close_price(p, desk: Desk, z: Array, previous_mark: Array, dt: Array) -> Array:
    """ADL price [A] of bankrupt accounts with zero-equity prices z [A]."""
    if p.price == "bankruptcy":
        return z
    if p.price == "mark":
        return jnp.broadcast_to(desk.mark, z.shape)
    low, high = jnp.minimum(previous_mark, desk.mark), jnp.maximum(previous_mark, desk.mark)
    return jnp.where(dt <= p.previous_mark_within, previous_mark, jnp.clip(z, low, high))


def deleverage_accounts(p, desk: Desk, contracts: Array, price: Array, worst: Array, margin: Array) -> Desk:
    """Close `contracts` [A] of bankrupt accounts at `price` [A] against the queue: long bankrupts first, then shorts."""
    for sign in (1.0, -1.0):
        due = jnp.where(desk.quantity * sign > 0.0, contracts, 0.0)
        desk = lax.cond(jnp.sum(due) > 0.0, lambda d, x: _one_side(p, d, x, price, worst, margin, sign),
                        lambda d, x: d, desk, due)
    return desk


def _one_side(p, desk: Desk, due: Array, price: Array, worst: Array, margin: Array, sign: float) -> Desk:
    total = jnp.sum(due)
    mean = jnp.sum(due * price) / total
    size = _eligible(desk, mean, sign)
    served = jnp.minimum(total, jnp.sum(size))
    due = lax.cond(served < total, lambda: queue_fill(worst, due, served), lambda: due)
    mean = jnp.where(served > 0.0, jnp.sum(due * price) / jnp.where(served > 0.0, served, 1.0), mean)
    desk = _counterparties(p, desk, size, served, mean, margin)
    before = desk.collateral
    desk = settle_positions(desk, due, price)
    desk = note(desk, adl_quantity=-sign * due, adl_value=-sign * due * price, adl_cash=desk.collateral - before)
    desk = desk._replace(liquidated=desk.liquidated | (due > 0.0),
                         traders_loss=desk.traders_loss + jnp.sum(jnp.maximum(before, 0.0) * (due > 0.0))
                         - jnp.sum(jnp.maximum(desk.collateral, 0.0) * (due > 0.0)))
    if p.difference_to == "unpaid":
        flat = (due > 0.0) & (desk.quantity == 0.0) & (desk.other_size == 0.0)
        return desk._replace(unpaid=desk.unpaid + jnp.sum(jnp.where(flat, jnp.maximum(-desk.collateral, 0.0), 0.0)))
    return cover(desk, due > 0.0)


def _eligible(desk: Desk, price: Array, sign: float) -> Array:
    """Contracts [A] that may be closed against bankrupts of side `sign` at `price`."""
    opposite = desk.quantity * sign < 0.0
    in_profit = desk.quantity * (desk.mark - desk.entry) > 0.0
    stays_solvent = desk.collateral + desk.elsewhere + desk.quantity * (price - desk.entry) >= 0.0
    return jnp.where(opposite & in_profit & stays_solvent, jnp.abs(desk.quantity), 0.0)


def _counterparties(p, desk: Desk, size: Array, served: Array, price: Array, margin: Array) -> Desk:
    ranked = score(p.rank, desk.quantity, desk.entry, desk.collateral, equity(desk), margin, desk.mark)
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


def deleverage_inventory(p, desk: Desk, margin: Array, initial_fund: Array) -> Desk:
    """Close taken-over inventory against the queue at the mark (at its average price when the fund is nearly empty)."""

    def close(sign: float, desk: Desk) -> Desk:
        amount = jnp.maximum(desk.inventory * sign, 0.0)
        average = desk.inventory_cost / jnp.where(desk.inventory != 0.0, desk.inventory, 1.0)
        value = desk.fund + desk.inventory * desk.mark - desk.inventory_cost
        price = jnp.where(value < p.bankruptcy_price_below * initial_fund, average, desk.mark)
        size = _eligible(desk, price, sign)
        served = jnp.minimum(amount, jnp.sum(size))
        desk = _counterparties(p, desk, size, served, price, margin)
        gain = sign * served * (price - average)
        left = jnp.where(served >= amount, 0.0, desk.inventory - sign * served)
        return receive(desk, gain)._replace(
            inventory=left,
            inventory_cost=jnp.where(left == 0.0, 0.0, average * left),
        )

    desk = lax.cond(desk.inventory > 0.0, lambda d: close(1.0, d), lambda d: d, desk)
    return lax.cond(desk.inventory < 0.0, lambda d: close(-1.0, d), lambda d: d, desk)
