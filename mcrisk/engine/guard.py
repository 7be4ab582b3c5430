"""The quiet test: O(1) per path and step. It skips work whose result is known and never decides anything else.

After an account stage the guard holds, per market, the mark prices between which nobody can fall below maintenance while
cumulative funding stays within `slack`. Isolated positions give exact trigger prices; a cross-margined account gives a
safe distance: a relative move of all marks that leaves it above maintenance whatever the markets do within it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax import Array

from mcrisk.engine.markets import over_markets
from mcrisk.engine.rulebook import Rulebook
from mcrisk.engine.state import Accounts, Guard, PathCarry
from mcrisk.rules.fills import best_price
from mcrisk.rules.liquidation import fee_rate
from mcrisk.rules.margin import Tiers, maintenance_margin, quiet_band
from mcrisk.rules.types import NO_SETTLE, POST, SETTLED

if TYPE_CHECKING:
    from mcrisk.engine.accounts import Flows, Stage

FUNDING_SLACK = 2e-3   # of the mark; performance.md 5.2 found the optimum flat around it
LATENT_STEP = 0.995    # the latent deficit is looked at whenever the executable price makes a new extreme by 0.5 %
MOVES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)  # moves tried for cross-margined accounts
_ROUNDING = 1e-12


def start_guard(mark: Array, latent_from: Array) -> Guard:
    """Empty bands: the first row always looks at the accounts. `mark` [M]."""
    return Guard(
        lo=jnp.full_like(mark, jnp.inf), hi=jnp.full_like(mark, -jnp.inf), funding=jnp.zeros_like(mark),
        slack=jnp.zeros_like(mark), hot=jnp.bool_(True),
        latent_bid=mark * (1.0 - latent_from), latent_ask=mark * (1.0 + latent_from),
    )


def is_quiet(rules: Rulebook, guard: Guard, stage: Stage, funding_total: Array, settled: Array) -> Array:
    """True when no account of the path can need attention in this row."""
    rows, views = stage.rows, stage.views
    inside = (views.mark > guard.lo * (1.0 + _ROUNDING)) & (views.mark < guard.hi * (1.0 - _ROUNDING))
    inside = inside & (jnp.abs(funding_total - guard.funding) < guard.slack)
    event = rows.restrike | (rows.settle != NO_SETTLE) | rows.converted | (stage.fund_short > 0.0)
    if rules.rebases:
        event = event | (rows.rebase != 1.0)
    live = ~settled
    hot = guard.hot & ~jnp.all(rows.halted)
    return ~jnp.any(live & (~inside | event | stage.latent_due)) & ~(hot & jnp.any(live))


def phase_tiers(rules: Rulebook, phase: Array, units: Array) -> Tiers:
    """The tier table in force; bounds counted in contracts follow the rebases so far (`units`)."""
    tiers = jax.tree.map(lambda a, b: jnp.where(phase == POST, b, a), rules.pre.tiers, rules.post.tiers)
    return tiers._replace(contract_size=tiers.contract_size * units)


def set_guard(rules: Rulebook, stage: Stage, carry: PathCarry, accounts: Accounts, margins: Array,
              watch: Array) -> Guard:
    """Bands for the rows to come, from the accounts as they are now.

    `margins` [M, A] is maintenance at this row's marks; `watch` [A] the multiple of it at which an account wants a look.
    """
    mark, phase = stage.views.mark, stage.views.phase
    slack = FUNDING_SLACK * mark
    size = jnp.abs(accounts.quantity)
    pnl = accounts.quantity * (mark[:, None] - accounts.entry)
    equity = accounts.collateral + jnp.sum(pnl, axis=0)
    held = jnp.sum(size, axis=0) > 0.0
    below = held & (equity < jnp.sum(margins, axis=0))
    drift = jnp.sum(size * slack[:, None], axis=0)
    count = accounts.quantity.shape[0]
    several = jnp.sum(size > 0.0, axis=0) > 1

    def band(m_quantity: Array, m_entry: Array, m_phase: Array, m_mark: Array, units: Array) -> tuple[Array, Array]:
        tiers = phase_tiers(rules, m_phase, units)
        alone = jnp.where(several, 0.0, m_quantity) if count > 1 else m_quantity
        return quiet_band(tiers, alone, m_entry, accounts.collateral - drift, m_mark, rules.pre.mode,
                          fee_rate(rules.liquidation), watch)

    lo, hi = jax.vmap(band)(accounts.quantity, accounts.entry, phase, mark, stage.units)
    if count > 1:
        safe = _safe_distance(rules, phase, stage.units, size, mark, equity - drift, watch, several)
        lo, hi = jnp.maximum(lo, mark * (1.0 - safe)), jnp.minimum(hi, mark * (1.0 + safe))
    return Guard(lo, hi, carry.market.funding_total, slack, jnp.any(below), carry.guard.latent_bid, carry.guard.latent_ask)


def _safe_distance(rules: Rulebook, phase: Array, units: Array, size: Array, mark: Array, equity: Array, watch: Array,
                   several: Array) -> Array:
    """Largest of a few relative moves of all marks that no cross-margined account can notice, 0 if none.

    A move of x costs an account at most x of its gross notional; maintenance never falls with notional, so its value at
    (1 + x) times today's marks bounds it over the whole move, whichever tiers it passes.
    """

    def unnoticed(x: Array) -> Array:
        def maintenance(phase: Array, units: Array, size: Array, mark: Array) -> Array:
            tiers = phase_tiers(rules, phase, units)
            return maintenance_margin(tiers, size, mark * (1.0 + x), rules.pre.mode, fee_rate(rules.liquidation))

        needed = jnp.sum(jax.vmap(maintenance)(phase, units, size, mark), axis=0)
        worst = equity - x * jnp.sum(size * mark[:, None], axis=0)
        return jnp.all(~several | (worst > watch * needed))

    moves = jnp.asarray(MOVES)
    return jnp.max(jnp.where(jax.vmap(unnoticed)(moves), moves, 0.0))


def latent_due(guard: Guard, stage_rows, live: Array) -> Array:
    """[M] bool: has the executable price made a new extreme at which the latent deficit should be measured?"""
    best = over_markets(best_price, (0, None))
    bid, ask = best(stage_rows.bid, 1.0), best(stage_rows.ask, -1.0)
    low = stage_rows.bid.present & (bid < guard.latent_bid)
    high = stage_rows.ask.present & (ask > guard.latent_ask)
    return live & (low | high)


def look_again(stage: Stage, carry: PathCarry, accounts: Accounts, flows: Flows) -> PathCarry:
    """Where due, measure the latent deficit: Σ negative equities at the executable price of accounts still open."""
    bid, ask, due = executable(stage, carry.guard, flows)
    price = jnp.where(accounts.quantity > 0.0, bid[:, None], ask[:, None])
    worth = accounts.collateral + jnp.sum(accounts.quantity * (price - accounts.entry), axis=0)
    held = jnp.any(accounts.quantity != 0.0, axis=0)
    return note_latent(carry, bid, ask, due, jnp.sum(jnp.where(held, jnp.maximum(-worth, 0.0), 0.0)))


def executable(stage: Stage, guard: Guard, flows: Flows) -> tuple[Array, Array, Array]:
    """Best bid and ask [M] (the mark where a side is missing), and whether the latent deficit is to be measured there.

    The price is the one the row leaves behind, its own fills included: the next row's would depend on how far off it is.
    """
    bids = stage.rows.bid._replace(consumed=stage.rows.bid.consumed + flows.sold)
    asks = stage.rows.ask._replace(consumed=stage.rows.ask.consumed + flows.bought)
    bid = jnp.where(bids.present, best_price(bids, 1.0), stage.views.mark)
    ask = jnp.where(asks.present, best_price(asks, -1.0), stage.views.mark)
    live = stage.views.phase != SETTLED
    return bid, ask, stage.latent_due | live & (bids.present & (bid < guard.latent_bid) | asks.present & (ask > guard.latent_ask))


def note_latent(carry: PathCarry, bid: Array, ask: Array, due: Array, deficit: Array) -> PathCarry:
    """Where due, count a measured latent deficit and set the prices at which it is measured next."""
    latent = jnp.where(jnp.any(due), jnp.maximum(carry.tally.latent_deficit, deficit), carry.tally.latent_deficit)
    guard = carry.guard._replace(
        latent_bid=jnp.where(due, jnp.minimum(carry.guard.latent_bid, bid * LATENT_STEP), carry.guard.latent_bid),
        latent_ask=jnp.where(due, jnp.maximum(carry.guard.latent_ask, ask / LATENT_STEP), carry.guard.latent_ask),
    )
    return carry._replace(guard=guard, tally=carry.tally._replace(latent_deficit=latent))


def rearm_latent(guard: Guard, due: Array, mark: Array, latent_from: Array) -> Guard:
    """A re-struck book starts to look again from the new mark."""
    return guard._replace(
        latent_bid=jnp.where(due, mark * (1.0 - latent_from), guard.latent_bid),
        latent_ask=jnp.where(due, mark * (1.0 + latent_from), guard.latent_ask),
    )
