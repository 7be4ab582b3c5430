"""The four liquidation ladders. Each takes the desk of one market and returns it with the quantity left for ADL.

Formula   an account is below maintenance when equity < MM (OKX: MM + fee·N).
          book_then_backstop   order 20 % of the position above 100k (then 30 s of full-size orders), else all of it;
                               after the book, equity < ⅔·MM goes to the vault at z, while its loss capacity lasts
          tier_step_down       from tier 3 up cut to the bound two tiers down, again and again; below: fund takes all at z
          ioc_then_fund        all of it, never beyond z; what is below maintenance even then goes to the fund at z, up to a
                               multiple of the fund
          band_then_assignment ½·MM ≤ equity < MM: cut 10 %; below: all, never beyond z; the rest to assignees at
                               clip(z, 75–250 bp from the mark), then the book up to 5 % from best, the fund paying beyond z
Symbols   z zero-equity price, N notional, φ payable fraction.
Source    venue-rules.md 1.6 and 2 (Hyperliquid, trade.xyz), 3.4 (OKX), 5 (Binance), 4.4 (Kraken); semantics.md 6.
Date      2026-11-20
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mcrisk.rules.desk import (
    Desk,
    badness,
    batch,
    equity,
    fill,
    insolvent,
    inventory_value,
    lacking,
    means,
    note,
    payable,
    settle_positions,
    take_over,
    to_outside,
    zero_equity_price,
)
from mcrisk.rules.fills import best_price, capacity
from mcrisk.rules.margin import Tiers, maintenance_margin, measure_of, tier_number
from mcrisk.rules.queue import queue_fill

_PASSES = 8  # tier tables have at most 12 steps, two are climbed down at a time, and one pass confirms


class Ladder(NamedTuple):
    """What a ladder needs to know besides its own parameters."""

    tiers: Tiers
    mode: str               # whole | marginal
    margin_elsewhere: Array  # [A] maintenance margin of the account's other markets
    time: Array
    last_partial: Array     # [A] time of the last partial order
    initial_fund: Array
    open_interest: Array    # quote, one side, initial
    backstop_capacity: Array  # quote


class Left(NamedTuple):
    """What the ladder could not place: contracts [A] and their zero-equity price [A], plus ladder clocks."""

    contracts: Array
    price: Array
    last_partial: Array


def fee_rate(p) -> Array:
    """The rate that counts in the maintenance test (OKX adds its taker fee), else zero."""
    return p.fee if p.kind == "tier_step_down" else jnp.float64(0.0)


def below_maintenance(p, desk: Desk, ctx: Ladder) -> tuple[Array, Array, Array]:
    """(below [A] bool, equity [A], MM [A])."""
    size = jnp.abs(desk.quantity)
    margin = maintenance_margin(ctx.tiers, size, desk.mark, ctx.mode, fee_rate(p)) + ctx.margin_elsewhere
    worth = equity(desk)
    return (size > 0.0) & (worth < margin), worth, margin


def book_then_backstop(p, desk: Desk, ctx: Ladder) -> tuple[Desk, Left]:
    below, worth, margin = below_maintenance(p, desk, ctx)
    size = jnp.abs(desk.quantity)
    partial = below & (size * desk.mark > p.partial_above) & (ctx.time - ctx.last_partial > p.cooldown)
    want = jnp.where(below, jnp.where(partial, p.partial_share * size, size), 0.0)
    floor = zero_equity_price(desk) if p.floor == "zero_equity" else None
    desk, _ = fill(desk, want, badness(worth, margin), floor, p.fee)
    z = zero_equity_price(desk)
    if ctx.backstop_capacity is not None:
        desk = _to_vault(p, desk, ctx, below, z)
        z = zero_equity_price(desk)
    left = jnp.where(insolvent(desk), jnp.abs(desk.quantity), 0.0)
    return desk, Left(left, z, jnp.where(partial, ctx.time, ctx.last_partial))


def _to_vault(p, desk: Desk, ctx: Ladder, below: Array, z: Array) -> Desk:
    _, worth, margin = below_maintenance(p, desk, ctx)
    size = jnp.abs(desk.quantity)
    due = below & (size > 0.0) & (worth < p.backstop_below * margin)
    loss = jnp.where(due, lacking(desk, z, desk.mark) * size, 0.0)
    lost = jnp.maximum(-(desk.fund + inventory_value(desk)), 0.0)
    share = payable(loss, ctx.backstop_capacity - lost)
    return take_over(desk, jnp.where(due, size * jnp.where(loss > 0.0, share, 1.0), 0.0), z)


def tier_step_down(p, desk: Desk, ctx: Ladder) -> tuple[Desk, Left]:
    def orders(desk: Desk):
        below, worth, margin = below_maintenance(p, desk, ctx)
        size = jnp.abs(desk.quantity)
        measure = measure_of(ctx.tiers, size, desk.mark)
        tier = tier_number(ctx.tiers, measure)
        target = jnp.maximum(tier - p.tiers_per_step, 1)  # 1-based; its bound is the edge where the next tier starts
        bound = jnp.zeros_like(size)
        for k in range(1, ctx.tiers.edge.shape[0]):
            bound = jnp.where(target == k, ctx.tiers.bound[k], bound)
        share = jnp.clip(1.0 - bound / jnp.where(measure > 0.0, measure, 1.0), 0.0, 1.0)
        stepping = below & (share > 0.0) & (tier >= p.partial_from_tier) & (worth > ctx.tiers.maintenance[0] * size * desk.mark)
        return below, stepping, jnp.where(stepping, share * size, 0.0), badness(worth, margin)

    def one_pass(carry):
        index, _, desk = carry
        _, _, want, worst = orders(desk)
        desk, filled = fill(desk, want, worst, zero_equity_price(desk), p.fee)
        return index + 1, jnp.any(filled > 0.0), desk

    if p.repeat_within_row:
        _, _, desk = lax.while_loop(lambda c: c[1] & (c[0] < _PASSES), one_pass, (jnp.int32(0), jnp.bool_(True), desk))
        below, stepping, _, _ = orders(desk)
    else:  # one action per account: who has been cut is not taken over in the same row
        below, stepping, want, worst = orders(desk)
        desk, _ = fill(desk, want, worst, zero_equity_price(desk), p.fee)
    taken = jnp.where(below & ~stepping, jnp.abs(desk.quantity), 0.0)
    desk = take_over(desk, taken, zero_equity_price(desk))
    return desk, Left(jnp.zeros_like(taken), zero_equity_price(desk), ctx.last_partial)


def ioc_then_fund(p, desk: Desk, ctx: Ladder) -> tuple[Desk, Left]:
    below, worth, margin = below_maintenance(p, desk, ctx)
    want = jnp.where(below, jnp.abs(desk.quantity), 0.0)
    desk, _ = fill(desk, want, badness(worth, margin), zero_equity_price(desk), p.clearance_fee, fee_to_fund=True)
    z = zero_equity_price(desk)
    if p.stops_when_compliant:
        below, _, _ = below_maintenance(p, desk, ctx)
    rest = jnp.where(below, jnp.abs(desk.quantity), 0.0)
    room = p.fund_takes_up_to * jnp.maximum(desk.fund + inventory_value(desk), 0.0)
    room = room - jnp.sum(jnp.abs(desk.inventory)) * desk.mark
    desk = take_over(desk, rest * payable(rest * desk.mark, room), z)
    return desk, Left(jnp.where(below, jnp.abs(desk.quantity), 0.0), z, ctx.last_partial)


def band_then_assignment(p, desk: Desk, ctx: Ladder) -> tuple[Desk, Left]:
    below, worth, margin = below_maintenance(p, desk, ctx)
    size = jnp.abs(desk.quantity)
    ready = ctx.time - ctx.last_partial > p.cooldown
    partial = below & (worth >= p.band_floor * margin)
    want = jnp.where(partial, jnp.where(ready, p.cut * size, 0.0), jnp.where(below, size, 0.0))
    desk, _ = fill(desk, want, badness(worth, margin), zero_equity_price(desk), jnp.float64(0.0))
    full = below & ~partial
    desk = _assign(p, desk, ctx, full, badness(worth, margin))
    desk = _covered(p, desk, full, badness(worth, margin))
    left = jnp.where(full, jnp.abs(desk.quantity), 0.0)
    return desk, Left(left, zero_equity_price(desk), jnp.where(partial & ready, ctx.time, ctx.last_partial))


def _assign(p, desk: Desk, ctx: Ladder, full: Array, worst: Array) -> Desk:
    z = zero_equity_price(desk)
    side = jnp.sign(desk.quantity)
    size = jnp.where(full, jnp.abs(desk.quantity), 0.0)
    near, far = desk.mark * (1.0 - side * p.assignment_min_edge), desk.mark * (1.0 - side * p.assignment_max_edge)
    price = jnp.clip(z, jnp.minimum(near, far), jnp.maximum(near, far))
    # capacity is counted in notional at the mark, used up for good
    room = jnp.maximum(p.assignment_capacity * ctx.open_interest - desk.assigned, 0.0) / desk.mark
    size = lax.cond(jnp.sum(size) <= room, lambda: size, lambda: queue_fill(worst, size, room))
    loss = lacking(desk, z, price) * size
    size = size * jnp.where(loss > 0.0, payable(loss, means(desk)), 1.0)
    desk = _close_with_help(desk, size, price, z)
    return desk._replace(assigned=desk.assigned + jnp.sum(size) * desk.mark)


def _covered(p, desk: Desk, full: Array, worst: Array) -> Desk:
    """Sell what is left; no order goes further than a fixed distance from the best price; the fund pays beyond z.

    The distance bounds each account's own order, not the batch: orders of a row are sent one after the other, each from
    the best price it finds. Bounding the batch would let a coarse row sell less than two fine ones.
    """
    z = zero_equity_price(desk)
    is_long = desk.quantity > 0.0
    reach_bid = capacity(desk.bid, best_price(desk.bid, 1.0) * (1.0 - p.covered_max_edge), 1.0)
    reach_ask = capacity(desk.ask, best_price(desk.ask, -1.0) * (1.0 + p.covered_max_edge), -1.0)
    size = jnp.where(full, jnp.minimum(jnp.abs(desk.quantity), jnp.where(is_long, reach_bid, reach_ask)), 0.0)
    sold, bid = batch(desk.bid, jnp.where(is_long, size, 0.0), worst, None, desk.lower, 1.0)
    bought, ask = batch(desk.ask, jnp.where(is_long, 0.0, size), worst, None, desk.upper, -1.0)
    size = sold + bought
    # what selling all that fits would cost beyond z; selling a part of it costs less per contract, never more
    loss = lacking(desk, z, jnp.where(is_long, bid, ask)) * size
    want = size * jnp.where(loss > 0.0, payable(loss, means(desk)), 1.0)
    before = desk
    desk, filled = fill(desk, want, worst, None, jnp.float64(0.0))
    # the sold part must not eat into what the unsold part is worth: bring the account back to zero equity at z
    side = jnp.sign(before.quantity)
    price = (desk.collateral - before.collateral) / jnp.where(filled > 0.0, side * filled, 1.0) + before.entry
    help_ = jnp.where(filled > 0.0, jnp.maximum(side * (z - price), 0.0) * filled, 0.0)
    return _fund_helps(note(desk, fill_cash=help_, fill_fund=-help_), help_)


def _close_with_help(desk: Desk, size: Array, price: Array, z: Array) -> Desk:
    """Close `size` [A] at `price` with the outside; the fund pays the distance to z where price is worse than z."""
    side = jnp.sign(desk.quantity)
    before = desk.collateral
    help_ = jnp.maximum(side * (z - price), 0.0) * size
    desk = to_outside(settle_positions(desk, size, price), side * size, price)
    desk = note(desk, assign_quantity=-side * size, assign_value=-side * size * price,
                assign_cash=desk.collateral - before + help_, assign_fund=-help_)
    desk = desk._replace(
        liquidated=desk.liquidated | (size > 0.0),
        liquidated_notional=desk.liquidated_notional + jnp.sum(size * price),
        traders_loss=desk.traders_loss
        + jnp.sum(jnp.maximum(before - jnp.maximum(desk.collateral, 0.0), 0.0) * (size > 0.0)),
    )
    return _fund_helps(desk, help_)


def _fund_helps(desk: Desk, help_: Array) -> Desk:
    total = jnp.sum(help_)
    # φ leaves the fund at zero up to rounding; it is never shown below
    return desk._replace(collateral=desk.collateral + help_, fund=jnp.maximum(desk.fund - total, 0.0), deficit=desk.deficit + total)


KINDS = {
    "book_then_backstop": book_then_backstop,
    "tier_step_down": tier_step_down,
    "ioc_then_fund": ioc_then_fund,
    "band_then_assignment": band_then_assignment,
}
