"""Settlement: the price at which a market ends and who pays what the accounts cannot.

Formula   all positions close at S; deficits D = Σ max(0, −collateral); fund pays min(D, fund);
          the rest is cut pro rata from positive settlement PnL (fund_then_profit_cut) or stays unpaid (fund_then_venue).
          S: after conversion the delisting price where the profile has one, else
          tick | mean of index / mark / last over the last hour | mean of the mark since launch | last index | mark.
Symbols   S settlement price, D deficits beyond collateral.
Source    venue-rules.md 1.7, 2 (delisting), 3.1, 3.3, 4.1, 5.1; seed 003, 004; semantics.md 9 (cut: section 14 default).
Date      2026-11-20
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mcrisk.rules.desk import DUST, Desk, equity, means, note, note_fund, settle_positions
from mcrisk.rules.types import EXPIRED, POST, Market, Row

WAYS = ("tick", "last_hour_index", "last_hour_mark", "last_hour_last", "twap_from_launch", "last_index", "mark", "given")


class Outcomes(NamedTuple):
    """What a cancelled market may settle at, as numbers: profiles that differ here share one compiled program."""

    upto: Array  # [K] cumulative probabilities
    way: Array   # [K] int32, number in `WAYS`


def outcomes_of(ways: Sequence[str], probabilities: Sequence[float]) -> Outcomes:
    """Padded with the last one; at least as many as there are ways."""
    places = [min(k, len(ways) - 1) for k in range(max(len(ways), len(WAYS)))]
    upto = list(accumulate(probabilities))
    return Outcomes(jnp.asarray([upto[k] for k in places], jnp.float64),
                    jnp.asarray([WAYS.index(ways[k]) for k in places], jnp.int32))


def drawn(outcomes: Outcomes, draw: Array) -> Array:
    """Number in `WAYS` of the outcome that a uniform draw (any shape) stands for."""
    way = jnp.broadcast_to(outcomes.way[-1], jnp.shape(draw))
    for k in reversed(range(outcomes.way.shape[0] - 1)):
        way = jnp.where(draw < outcomes.upto[k], outcomes.way[k], way)
    return way


class Averages(NamedTuple):
    """Accumulators of one market: since launch, and since the final hour began (numerators and weights)."""

    mark_since_launch: Array
    seconds_since_launch: Array
    index_hour: Array
    mark_hour: Array
    last_hour: Array
    seconds_hour: Array


def start_averages(launch_age: Array, initial_price: Array) -> Averages:
    """A simulation may start long after launch: the past counts at the initial price."""
    zero = jnp.zeros_like(launch_age)
    return Averages(launch_age * initial_price, launch_age, zero, zero, zero, zero)


def update_averages(state: Averages, row: Row, index: Array, mark: Array) -> Averages:
    """Each row's value counts over the interval that ends with it."""
    weight = row.averaging
    return Averages(
        state.mark_since_launch + mark * row.dt, state.seconds_since_launch + row.dt,
        state.index_hour + index * weight, state.mark_hour + mark * weight, state.last_hour + row.last * weight,
        state.seconds_hour + weight,
    )


def rescale_averages(state: Averages, factor: Array) -> Averages:
    return state._replace(
        mark_since_launch=state.mark_since_launch * factor, index_hour=state.index_hour * factor,
        mark_hour=state.mark_hour * factor, last_hour=state.last_hour * factor,
    )


def price_by(how: str, state: Averages, tick: Array, index: Array, mark: Array, last: Array) -> Array:
    """Settlement price of one named way; an empty window gives the row's own value."""

    def mean(total: Array, weight: Array, otherwise: Array) -> Array:
        return jnp.where(weight > 0.0, total / jnp.where(weight > 0.0, weight, 1.0), otherwise)

    if how == "tick":
        return tick
    if how == "last_hour_index":
        return mean(state.index_hour, state.seconds_hour, index)
    if how == "last_hour_mark":
        return mean(state.mark_hour, state.seconds_hour, mark)
    if how == "last_hour_last":
        return mean(state.last_hour, state.seconds_hour, last)
    if how == "twap_from_launch":
        return mean(state.mark_since_launch, state.seconds_since_launch, mark)
    return index if how in ("last_index", "index") else mark


def settlement_price(p, outcomes: Outcomes, state: Averages, row: Row, tick: Array, view: Market) -> Array:
    """The price a market settles at in this row; `view` is how the rules see the row."""
    index, mark = view.index, view.mark
    way, chosen = drawn(outcomes, row.settle_draw), mark
    for number, name in enumerate(WAYS):
        chosen = jnp.where(way == number, price_by(name, state, tick, index, mark, row.last), chosen)
    if p.delisting is not None:
        chosen = jnp.where(view.phase == POST, price_by(p.delisting, state, tick, index, mark, row.last), chosen)
    expired = price_by(p.expiry_price, state, tick, index, mark, row.last)
    price = jnp.where(row.settle == EXPIRED, expired, chosen)
    return jnp.where(row.has_settle_price, row.settle_price, price)


def settle(p, desk: Desk, price: Array) -> Desk:
    """Close every position of the market at `price` and share out what is missing.

    Accounts that cannot pay and an inventory loss beyond the fund are deficits alike; whoever pays, pays all of them in
    the same proportion.
    """
    open_before = desk.quantity != 0.0
    before, signed = desk.collateral, desk.quantity
    size = jnp.abs(signed)
    worth_before = jnp.maximum(equity(desk), 0.0)
    desk = settle_positions(desk, size, price)
    fee = jnp.where(open_before, jnp.minimum(p.fee * size * price, jnp.maximum(desk.collateral, 0.0)), 0.0)
    collateral = desk.collateral - fee
    flat = open_before & (desk.other_size == 0.0)
    need = jnp.where(flat & (-collateral > DUST * size * desk.mark), -collateral, 0.0)
    desk, short = _inventory_out(desk, price)
    total = jnp.sum(need) + short
    whole = jnp.where(total > 0.0, total, 1.0)
    from_fund = jnp.minimum(means(desk), total)
    rest = total - from_fund
    can_give = jnp.minimum(jnp.maximum(signed * (price - desk.entry), 0.0), jnp.maximum(collateral, 0.0))
    givers = jnp.sum(can_give)
    cut = jnp.minimum(rest, givers) if p.deficits == "fund_then_profit_cut" else jnp.zeros_like(rest)
    cut_each = can_give * cut / jnp.where(givers > 0.0, givers, 1.0)
    covered = need * (from_fund + cut) / whole
    desk = note(desk, settle_quantity=-signed, settle_value=-signed * price, settle_cash=collateral - before,
                settle_fee=fee, settle_cut=cut_each, settle_cover=covered, settle_fund=need * from_fund / whole)
    inventory_paid = short * (from_fund + cut) / whole
    return desk._replace(
        collateral=collateral - cut_each + covered,
        fees=desk.fees + jnp.sum(fee),
        fund=desk.fund - from_fund,
        venue=desk.venue - short + inventory_paid,
        deficit=desk.deficit + total,
        unpaid=desk.unpaid + rest - cut,
        settlement_cut=desk.settlement_cut + cut,
        traders_loss=desk.traders_loss + jnp.sum(jnp.where(need > 0.0, worth_before, 0.0)),
        outside_cash=desk.outside_cash + desk.outside * price,
        outside=jnp.zeros_like(desk.outside),
    )


def _inventory_out(desk: Desk, price: Array) -> tuple[Desk, Array]:
    """The inventory of fund or vault settles too; returns its loss beyond the fund (a vault bears its own)."""
    gain = jnp.sum(desk.inventory) * price - jnp.sum(desk.inventory_cost)
    cash = desk.fund + gain
    short = jnp.maximum(desk.fund_floor - cash, 0.0)
    zero = jnp.zeros_like(desk.inventory)
    for side in (0, 1):
        desk = note_fund(desk, "own_settle", side, -desk.inventory[side], price, (gain + short) * (side == 0))
    deficit = desk.deficit + jnp.maximum(-gain, 0.0) - short
    return desk._replace(fund=cash + short, inventory=zero, inventory_cost=zero, deficit=deficit), short
