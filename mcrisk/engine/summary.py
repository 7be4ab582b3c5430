"""From a finished lane group to numbers per path, sums per account and histograms per time (numpy, on the host)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from mcrisk.engine import records


def _nan_for_never(times: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(times), times, np.nan)


def path_numbers(sim: Any, out: Any, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """All fields of `records.PATH_FIELDS` for `count` lanes, and the accounts' P&L [count, A]."""
    carry = jax.tree.map(lambda x: np.asarray(x)[:count], out.carry)
    acc = jax.tree.map(lambda x: np.asarray(x)[:count], out.accounts)
    plan = jax.tree.map(lambda x: np.asarray(x)[:count, 0], out.plan)
    tally, pool = carry.tally, carry.pool
    mark = carry.market.mark
    owed = carry.market.funding_total - carry.guard.funding
    collateral = acc.collateral - np.sum(acc.quantity * owed[:, :, None], axis=1)
    equity = collateral + np.sum(acc.quantity * (mark[:, :, None] - acc.entry), axis=1)
    start = np.asarray(sim.cell.ref.collateral)
    first_mark = np.asarray(sim.cell.markets.initial_price)
    start_worth = start + np.sum(np.asarray(sim.cell.ref.quantity) * (first_mark[:, None] - np.asarray(sim.cell.ref.entry)), axis=0)
    pnl = equity - start_worth - acc.deposits
    value = np.sum(pool.fund + np.sum(pool.inventory, axis=2) * mark - np.sum(pool.inventory_cost, axis=2), axis=1)
    fund0 = float(np.sum(np.asarray(sim.cell.markets.fund)))
    vault = sim.cell.rules.has_vault
    held = np.any(acc.quantity != 0.0, axis=1)
    loss = np.maximum(fund0 - tally.fund_min, 0.0)
    others = tally.unpaid + tally.adl_wealth + tally.settlement_cut
    zero = np.zeros_like(loss)
    numbers = {
        "fund_initial": zero + (0.0 if vault else fund0), "fund_min": zero if vault else tally.fund_min,
        "fund_end": zero if vault else value, "fund_loss": zero if vault else loss,
        "fund_need": others + (zero if vault else loss), "bad_debt": tally.bad_debt, "deficit_48h": tally.deficit_48h,
        "unpaid": tally.unpaid, "backstop_loss": np.maximum(-tally.fund_min, 0.0) if vault else zero,
        "traders_loss": tally.traders_loss, "liquidated_notional": tally.liquidated_notional,
        "liquidated_48h": tally.liquidated_48h,
        "liquidated_accounts": np.sum(acc.liquidated, axis=1), "adl_notional": tally.adl_notional,
        "adl_wealth": tally.adl_wealth, "adl_accounts": np.sum(acc.deleveraged, axis=1),
        "settlement_cut": tally.settlement_cut,
        "winners_profit": np.sum(np.maximum(pnl, 0.0), axis=1) + tally.adl_wealth + tally.settlement_cut,
        "latent_deficit": tally.latent_deficit,
        "open_deficit": np.sum(np.where(held, np.maximum(-equity, 0.0), 0.0), axis=1),
        "mark_index_gap": tally.mark_index_gap,
        "first_liquidation_time": _nan_for_never(tally.first_liquidation_time),
        "first_adl_time": _nan_for_never(tally.first_adl_time), "depletion_time": _nan_for_never(tally.depletion_time),
        "event_time": plan.event_time, "event_label": plan.branch, "event_jump": plan.jump, "terminal_mark": mark[:, 0],
        "terminal_phase": carry.market.phase[:, 0], "fees": pool.fees, "account_stages": tally.account_stages,
        "conservation_residual": _residual(sim, carry, acc, start),
        "weight": weights_of(out, count),
    }
    return numbers, pnl


def weights_of(out: Any, count: int) -> np.ndarray:
    """[count] weights of the paths; 1 in a plain run."""
    return np.ones(count) if out.weight is None else np.asarray(out.weight, np.float64)[:count]


def _residual(sim: Any, carry: Any, acc: Any, start: np.ndarray) -> np.ndarray:
    """Cash of everybody now against cash of everybody at the start; a position's cash is −q·entry.

    Funding that quiet rows left unsettled is owed by accounts and already booked by everybody else, hence `owed`.
    """
    ref, pool = sim.cell.ref, carry.pool
    owed = carry.market.funding_total - carry.guard.funding
    accounts = np.sum(acc.collateral - np.sum(acc.quantity * (acc.entry + owed[:, :, None]), axis=1), axis=1)
    pooled = np.sum(pool.fund - np.sum(pool.inventory_cost, axis=2), axis=1) + pool.outside_cash + pool.fees + pool.venue
    fund0 = float(np.sum(np.asarray(sim.cell.markets.fund)))
    before = float(np.sum(start) - np.sum(np.asarray(ref.quantity) * np.asarray(ref.entry))) + fund0
    scale = float(np.sum(np.abs(start))) + fund0
    return np.abs(accounts + pooled - before) / scale


def account_sums(sim: Any, out: Any, pnl: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Counts and P&L of every account over `count` paths; P&L in multiples of initial collateral.

    In a weighted run counts are sums of weights in `records.UNIT`s, and sums of squared weights stand beside them.
    """
    unit = np.maximum(np.asarray(sim.cell.ref.collateral), 1e-12)
    relative = pnl / unit
    total = np.zeros(relative.shape[1])
    weight = None if out.weight is None else weights_of(out, count)
    for k, row in enumerate(relative):  # path order, whatever the block
        total = total + (row if weight is None else weight[k] * row)
    edges = records.pnl_edges()
    if weight is not None:
        return _weighted_sums(out, total, records.histogram(relative.T, edges, records.in_units(weight)), weight)
    return {
        "liquidated": np.sum(np.asarray(out.accounts.liquidated)[:count], axis=0).astype(np.int64),
        "deleveraged": np.sum(np.asarray(out.accounts.deleveraged)[:count], axis=0).astype(np.int64),
        "pnl_sum": total,
        "pnl_histogram": records.histogram(relative.T, edges),
    }


def _weighted_sums(out: Any, pnl: np.ndarray, histogram: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """`account_sums` of a weighted run: whole numbers, so that no grouping of paths moves a bit of them."""
    sums: dict[str, np.ndarray] = {"pnl_sum": pnl, "pnl_histogram": histogram}
    for name in ("liquidated", "deleveraged"):
        hit = np.asarray(getattr(out.accounts, name))[: weight.size].astype(np.int64)
        sums[name] = records.in_units(weight) @ hit
        sums[f"{name}_squares"] = records.in_units(weight * weight) @ hit
    return sums


def band_histograms(sim: Any, out: Any, count: int) -> dict[str, np.ndarray]:
    """Integer histograms [times, bins] on the common clock around the event; `records.BAND_TEXTS` says of what."""
    from mcrisk.engine.simulate import band_steps
    from mcrisk.paths.grid import event_step

    steps = band_steps(sim.task.config)
    at, start = event_step(sim.task.config.grid), max(int(steps[0]) - 1, 0)
    seen = {name: np.asarray(rows)[:, :count] for name, rows in out.snapshots._asdict().items()}
    base = seen["mark"][at - 1]
    fund0 = float(np.sum(np.asarray(sim.cell.markets.fund)))
    open_interest = float(np.sum(np.asarray(sim.cell.markets.open_interest * sim.cell.markets.initial_price)))
    values = {name: seen[name][steps] / base for name in ("last", "index", "mark")}
    paid = np.cumsum(seen["rate"], axis=0)  # single payments would be a comb: most rows pay nothing
    values |= {"funding": paid[steps] - paid[start], "fund": seen["fund"][steps] / (fund0 if fund0 > 0.0 else open_interest)}
    values |= {name: (seen[name][steps] - seen[name][start]) / open_interest for name in ("liquidated", "adl")}
    units = None if out.weight is None else records.in_units(weights_of(out, count))
    return {name: records.histogram(values[name], records.band_edges(name), units) for name in records.BAND_NAMES}
