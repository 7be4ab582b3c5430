"""The liquidation desk: one market's accounts of one path while a row is being worked off, and every way money moves.

Every function returns a new desk and keeps two sums exactly: Σ positions over all holders (accounts, inventory, outside)
and Σ cash, where an account's cash is collateral − q·entry. `outside` are the book, the assignees and whoever trades in.

Symbols   x ≥ 0 contracts closed, side ±1, z zero-equity (bankruptcy) price, φ the fraction somebody can pay for.
Source    design.md 2 (steps 6–8) and its conservation contract; semantics.md 6–8.
Date      2026-11-20
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.fills import capacity, mean_price
from mcrisk.rules.queue import queue_fill
from mcrisk.rules.types import BookSide

DUST = 1e-11  # of a position's notional: what float64 leaves when a balance should be zero
CRUMB = 1e-9  # of an order: less is what rounding leaves of a side that is used up, and fills nobody
WHOLE = 1.0 - 1e-12  # closing this share of a position is closing it
_HALVINGS = 32  # of a batch at most, to find its clearing quantity


class Desk(NamedTuple):
    """Working state of one market m of one path; [A] rows and scalars, quote currency and contracts."""

    quantity: Array       # [A] signed
    entry: Array          # [A]
    collateral: Array     # [A]
    elsewhere: Array      # [A] unrealised PnL of the account's other markets (zeros when isolated)
    other_size: Array     # [A] Σ|q| elsewhere: an account is flat only when this is 0 too
    bid: BookSide
    ask: BookSide
    lower: Array          # order limits
    upper: Array
    mark: Array
    fund: Array           # cash of the fund, or of the backstop vault where the venue has one
    fund_floor: Array     # 0 for a fund; −inf for a vault, whose loss is its owner's
    inventory: Array      # [2] contracts taken over by fund or vault: long ≥ 0, short ≤ 0; sides are never netted
    inventory_cost: Array  # [2] Σ q·price of them
    outside: Array        # signed contracts
    outside_cash: Array
    fees: Array
    venue: Array          # cash the owner had to put in (≤ 0)
    assigned: Array       # notional given to assignees so far
    by_adl: Array         # [A] bool: bankrupts closed by ADL in this row
    liquidated: Array     # [A] bool, set here
    deleveraged: Array    # [A] bool
    liquidated_notional: Array
    traders_loss: Array   # collateral that liquidated accounts lost
    deficit: Array        # losses beyond collateral that came up
    unpaid: Array
    adl_notional: Array
    adl_wealth: Array
    settlement_cut: Array
    info: Any             # dict of [A] arrays for a ledger, or None


def note(desk: Desk, **arrays: Array) -> Desk:
    """Add arrays to the ledger information, where a ledger is kept (replay); nothing is traced otherwise."""
    if desk.info is None:
        return desk
    info = dict(desk.info)
    for name, value in arrays.items():
        info[name] = info[name] + value
    return desk._replace(info=info)


def note_fund(desk: Desk, what: str, side: int, quantity: Array, price: Array, cash: Array) -> Desk:
    """Ledger information about the fund's own inventory: stored in the first two places (long, short) of [A] arrays."""
    if desk.info is None:
        return desk
    place = jnp.arange(desk.collateral.shape[0]) == side
    return note(desk, **{f"{what}_quantity": jnp.where(place, quantity, 0.0),
                         f"{what}_value": jnp.where(place, quantity * price, 0.0), f"{what}_fund": jnp.where(place, cash, 0.0)})


def equity(desk: Desk) -> Array:
    """Account equity [A] at this row's mark, other markets included."""
    return desk.collateral + desk.elsewhere + desk.quantity * (desk.mark - desk.entry)


def zero_equity_price(desk: Desk) -> Array:
    """z [A]: the price of this market at which the account's equity is zero; the mark where there is no position."""
    safe = jnp.where(desk.quantity != 0.0, desk.quantity, 1.0)
    price = desk.entry - (desk.collateral + desk.elsewhere) / safe
    return jnp.where(desk.quantity != 0.0, jnp.maximum(price, 0.0), desk.mark)


def insolvent(desk: Desk) -> Array:
    """[A] bool: a position whose equity at the mark is below zero by more than rounding.

    Equity of exactly zero is common, not a coincidence: a payer of funding pays until nothing is left.
    """
    size = jnp.abs(desk.quantity)
    return (size > 0.0) & (equity(desk) < -DUST * size * desk.mark)


def badness(worth: Array, margin: Array) -> Array:
    """[A] equity over maintenance, the order of the queue: worst first. Zero equity is zero, so that it ties by file order."""
    ratio = worth / jnp.where(margin > 0.0, margin, 1.0)
    return jnp.where(jnp.abs(ratio) < 1e-9, 0.0, ratio)


def lacking(desk: Desk, z: Array, price: Array) -> Array:
    """[A] quote per contract that closing at `price` costs beyond the zero-equity price `z`; rounding is no cost."""
    cost = jnp.sign(desk.quantity) * (z - price)
    return jnp.where(cost > DUST * desk.mark, cost, 0.0)


def means(desk: Desk) -> Array:
    """What can be drawn to cover other people's deficits: the fund's cash; a vault covers nobody."""
    return jnp.where(desk.fund_floor < 0.0, 0.0, jnp.maximum(desk.fund, 0.0))


def receive(desk: Desk, gain: Array) -> Desk:
    """Fund or vault books the PnL of its inventory; below the floor the owner of the venue pays, which is unpaid risk."""
    cash = desk.fund + gain
    short = jnp.maximum(desk.fund_floor - cash, 0.0)
    return desk._replace(
        fund=cash + short, venue=desk.venue - short, unpaid=desk.unpaid + short,
        deficit=desk.deficit + jnp.maximum(-gain, 0.0),
    )


def settle_positions(desk: Desk, closed: Array, price: Array) -> Desk:
    """Close `closed` [A] contracts at `price` (scalar or [A]); collateral takes the PnL. The taker is booked elsewhere."""
    side = jnp.sign(desk.quantity)
    size = jnp.abs(desk.quantity)
    quantity = jnp.where(closed >= WHOLE * size, 0.0, side * (size - closed))
    collateral = desk.collateral + side * closed * (price - desk.entry)
    return desk._replace(quantity=quantity, collateral=collateral)


def to_outside(desk: Desk, signed: Array, price: Array) -> Desk:
    """The outside takes Σ `signed` contracts at `price` [A] or scalar."""
    return desk._replace(
        outside=desk.outside + jnp.sum(signed), outside_cash=desk.outside_cash - jnp.sum(signed * price)
    )


def fill(desk: Desk, want: Array, worst: Array, floor: Array | None, fee_rate: Array, fee_to_fund: bool = False,
         lower: Array | None = None, upper: Array | None = None) -> tuple[Desk, Array]:
    """Send orders of `want` [A] contracts to the book, both sides; returns the filled contracts [A].

    Each side trades at its batch's mean price; `floor` [A] drops accounts whose zero-equity price is not met;
    `worst` [A] (ascending) decides who is filled when the side is too small.
    """
    lower = desk.lower if lower is None else lower
    upper = desk.upper if upper is None else upper
    is_long = desk.quantity > 0.0
    sold, bid_price = batch(desk.bid, jnp.where(is_long, want, 0.0), worst, floor, lower, 1.0)
    bought, ask_price = batch(desk.ask, jnp.where(is_long, 0.0, want), worst, floor, upper, -1.0)
    filled = sold + bought
    price = jnp.where(is_long, bid_price, ask_price)
    side = jnp.sign(desk.quantity)
    before = desk.collateral
    desk = to_outside(settle_positions(desk, filled, price), side * filled, price)
    left_equity = jnp.maximum(equity(desk), 0.0)
    fee = jnp.where(filled > 0.0, jnp.minimum(fee_rate * filled * price, left_equity), 0.0)
    paid = jnp.sum(fee)
    desk = desk._replace(
        collateral=desk.collateral - fee,
        fees=desk.fees + (0.0 if fee_to_fund else paid),
        fund=desk.fund + (paid if fee_to_fund else 0.0),
        bid=desk.bid._replace(consumed=desk.bid.consumed + jnp.sum(sold)),
        ask=desk.ask._replace(consumed=desk.ask.consumed + jnp.sum(bought)),
        liquidated=desk.liquidated | (filled > 0.0),
        liquidated_notional=desk.liquidated_notional + jnp.sum(filled * price),
        traders_loss=desk.traders_loss + jnp.sum(jnp.maximum(before - jnp.maximum(desk.collateral - fee, 0.0), 0.0)
                                                 * (filled > 0.0)),
    )
    desk = note(desk, fill_quantity=-side * filled, fill_value=side * filled * price * -1.0,
                fill_cash=side * filled * (price - desk.entry) - fee, fill_fee=fee,
                fill_fund=fee if fee_to_fund else jnp.zeros_like(fee))
    return desk, filled


def batch(side: BookSide, want: Array, worst: Array, floor: Array | None, limit: Array, sign: float):
    """What of the orders `want` [A] one side of the book would fill, and at which mean price."""
    room = capacity(side, limit, sign)
    price = mean_price(side, jnp.minimum(jnp.sum(want), room), sign)
    if floor is not None:
        wait = (want > 0.0) & (sign * (price - floor) < -DUST * price)
        want, room = lax.cond(jnp.any(wait), lambda: _clear(side, want, floor, room, sign), lambda: (want, room))
        price = mean_price(side, jnp.minimum(jnp.sum(want), room), sign)
    return _served(want, worst, room), price


def _clear(side: BookSide, want: Array, floor: Array, room: Array, sign: float) -> tuple[Array, Array]:
    """The call auction of a batch: orders willing at its clearing price [A], and how much of them fits at that price.

    The cleared quantity is the largest whose mean price still finds as many willing contracts. Dropping at once everybody
    whose floor the price of *all* orders misses would leave a coarse row with fewer fills than two fine ones.
    """
    willing = lambda price: jnp.where(sign * (price - floor) >= -DUST * price, want, 0.0)  # noqa: E731
    found = lambda quantity: jnp.sum(willing(mean_price(side, quantity, sign)))  # noqa: E731

    def halve(state):
        n, low, high, at_low, at_high = state
        middle = 0.5 * (low + high)
        there = found(middle)
        enough = there >= middle
        return (n + 1, jnp.where(enough, middle, low), jnp.where(enough, high, middle),
                jnp.where(enough, there, at_low), jnp.where(enough, at_high, there))

    most = jnp.minimum(jnp.sum(want), room)
    none = jnp.zeros_like(most)
    start = (jnp.int32(0), none, most, found(none), found(most))
    # once the same orders are willing at both ends, it is their sum, or an end
    _, low, high, there, beyond = lax.while_loop(lambda s: (s[0] < _HALVINGS) & (s[3] != s[4]), halve, start)
    cleared = jnp.where(there == beyond, jnp.clip(there, low, high), low)
    orders = willing(mean_price(side, cleared, sign))
    together = mean_price(side, jnp.minimum(jnp.sum(orders), room), sign)
    content = jnp.all((orders == 0.0) | (sign * (together - floor) >= -DUST * together))  # then nobody has to be filled in part
    return orders, jnp.where(content, room, jnp.minimum(cleared, room))


def _served(want: Array, worst: Array, room: Array) -> Array:
    """All of it when it fits; otherwise the queue decides. The queue is only computed when it is needed."""
    served = lax.cond(jnp.sum(want) <= room, lambda: want, lambda: queue_fill(worst, want, room))
    return jnp.where(served > CRUMB * want, served, 0.0)


def inventory_value(desk: Desk) -> Array:
    """Unrealised PnL of the inventory at the mark."""
    return jnp.sum(desk.inventory) * desk.mark - jnp.sum(desk.inventory_cost)


def cover(desk: Desk, closed: Array, size: Array, from_fund: bool = True) -> Desk:
    """Accounts of the mask `closed` [A] without any position and with a negative balance: the fund pays all of them in the
    same proportion, the rest is unpaid and stays on the accounts.

    `size` [A] is what they held: balances within rounding of it are zero, nobody's debt.
    """
    flat = closed & (desk.quantity == 0.0) & (desk.other_size == 0.0)
    owes = flat & (-desk.collateral > DUST * size * desk.mark)
    need = jnp.where(owes, -desk.collateral, 0.0)
    total = jnp.sum(need)
    purse = means(desk) if from_fund else jnp.zeros_like(total)
    spent = jnp.minimum(purse, total)
    paid = need * spent / jnp.where(total > 0.0, total, 1.0)
    desk = note(desk, cover_cash=paid)
    return desk._replace(
        collateral=desk.collateral + paid,
        fund=desk.fund - spent,
        deficit=desk.deficit + total,
        unpaid=desk.unpaid + total - spent,
    )


def take_over(desk: Desk, taken: Array, price: Array) -> Desk:
    """Fund or vault takes `taken` [A] contracts at `price` [A] into its inventory."""
    side = jnp.sign(desk.quantity)
    before = desk.collateral
    desk = settle_positions(desk, taken, price)
    return note(desk, take_quantity=-side * taken, take_value=-side * taken * price,
                take_cash=desk.collateral - before)._replace(
        inventory=desk.inventory + _by_side(side, taken),
        inventory_cost=desk.inventory_cost + _by_side(side, taken * price),
        liquidated=desk.liquidated | (taken > 0.0),
        liquidated_notional=desk.liquidated_notional + jnp.sum(taken * price),
        traders_loss=desk.traders_loss + jnp.sum(jnp.maximum(before - jnp.maximum(desk.collateral, 0.0), 0.0)
                                                 * (taken > 0.0)),
    )


def _by_side(side: Array, amount: Array) -> Array:
    """[2]: Σ of the longs' amounts, and minus Σ of the shorts'."""
    return jnp.stack([jnp.sum(jnp.where(side > 0.0, amount, 0.0)), -jnp.sum(jnp.where(side < 0.0, amount, 0.0))])


def payable(loss: Array, means: Array) -> Array:
    """φ: the fraction of Σ `loss` [A] that `means` can pay for."""
    total = jnp.sum(loss)
    return jnp.where(total > means, jnp.maximum(means, 0.0) / jnp.where(total > 0.0, total, 1.0), 1.0)
