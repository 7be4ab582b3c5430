"""A venue's rulebook as one JAX pytree: floats traced, kinds and choices static.

Two rulebooks with the same kinds share a compiled engine; every number may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mcrisk.config.venue import Margin, Phase, Venue
from mcrisk.errors import InputError
from mcrisk.rules.margin import Tiers
from mcrisk.rules.params import Traced, traced
from mcrisk.rules.settlement import Outcomes, outcomes_of


@partial(jax.tree_util.register_dataclass, data_fields=["index", "limits", "mark", "funding", "tiers"], meta_fields=["mode"])
@dataclass(frozen=True)
class PhaseRules:
    """Parameters of one phase; `mode` is the tier mode (whole | marginal)."""

    index: Traced
    limits: Traced
    mark: Traced
    funding: Traced
    tiers: Tiers
    mode: str


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["pre", "post", "liquidation", "fund", "adl", "settlement", "outcomes", "vault_capacity", "latent_from"],
    meta_fields=["has_vault", "rebases", "fund_shared"],
)
@dataclass(frozen=True)
class Rulebook:
    """Everything a step needs to know about a venue, markets apart."""

    pre: PhaseRules
    post: PhaseRules
    liquidation: Traced
    fund: Traced
    adl: Traced
    settlement: Traced
    outcomes: Outcomes      # of a cancellation
    vault_capacity: Array   # fraction of open interest
    latent_from: Array      # fraction of the mark below which negative equities can first appear
    has_vault: bool
    rebases: bool
    fund_shared: bool


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Markets:
    """The listed markets of a run on one venue; all [M]."""

    initial_price: Array
    tick: Array
    open_interest: Array     # contracts, one side, at time 0
    launch_age: Array        # seconds traded before time 0
    fund: Array              # initial usable fund, quote


def tier_table(margin: Margin, contract_size: float, count: int) -> Tiers:
    """Tier table padded to `count` tiers; deductions by the continuity recursion for marginal tables."""
    from mcrisk.book.tiers import tier_arrays

    arrays = tier_arrays(margin, count)
    return Tiers(
        jnp.asarray(arrays.lower_edge * (1.0 + 1e-9)), jnp.asarray(arrays.lower_edge),
        jnp.asarray(arrays.maintenance), jnp.asarray(arrays.initial), jnp.asarray(arrays.deduction),
        jnp.asarray(margin.by == "contracts"), jnp.asarray(contract_size, jnp.float64),
    )


def _phase(phase: Phase, contract_size: float, count: int) -> PhaseRules:
    return PhaseRules(
        traced(phase.index), traced(phase.limits), traced(phase.mark), traced(phase.funding),
        tier_table(phase.margin, contract_size, count), phase.margin.mode,
    )


def build_rulebook(venue: Venue) -> Rulebook:
    """The rulebook of a venue profile.

    Raises InputError where a profile asks for a combination that the engine does not have.
    """
    if venue.pre.margin.mode != venue.post.margin.mode:
        raise InputError(
            what=f"venue '{venue.name}' uses {venue.pre.margin.mode} tiers before and {venue.post.margin.mode} after conversion",
            why="one compiled step knows one way to read a tier table",
            remedy="write the table of one phase in the other phase's mode (a marginal table with one tier is a whole table)",
        )
    for phase in (venue.pre, venue.post):
        if phase.margin.mode == "marginal" and phase.margin.by == "contracts":
            raise InputError(
                what=f"venue '{venue.name}' has marginal tiers counted in contracts",
                why="no venue publishes deductions in contracts; their value would move with the price",
                remedy="write the bounds as notional, or use mode: whole",
            )
    if venue.backstop.enabled and venue.fund.initial > 0.0:
        raise InputError(
            what=f"venue '{venue.name}' has an insurance fund and a backstop vault",
            why="the inventory of a row belongs to one of the two",
            remedy="set fund.initial to 0 or backstop.enabled to false",
        )
    count = max(len(venue.pre.margin.tiers), len(venue.post.margin.tiers))
    size = venue.contract.contract_size
    cancellation = venue.settlement.cancellation
    initial = min(t.initial for t in venue.pre.margin.tiers + venue.post.margin.tiers)
    return Rulebook(
        pre=_phase(venue.pre, size, count), post=_phase(venue.post, size, count),
        liquidation=traced(venue.liquidation), fund=traced(venue.fund), adl=traced(venue.adl),
        settlement=traced(venue.settlement),
        outcomes=outcomes_of([o.price for o in cancellation], [o.probability for o in cancellation]),
        vault_capacity=jnp.asarray(venue.backstop.loss_capacity, jnp.float64),
        latent_from=jnp.asarray(0.5 * initial, jnp.float64),
        has_vault=venue.backstop.enabled,
        rebases=venue.settlement.share_count_revision == "rebase",
        fund_shared=venue.fund.scope in ("shared_by_category", "shared_discretionary"),
    )


def build_markets(venues: list[Venue]) -> Markets:
    """Market parameters from one profile per market (same rulebook, own contract)."""

    def column(values: list[float]) -> Array:
        return jnp.asarray(np.asarray(values, np.float64))

    return Markets(
        initial_price=column([v.contract.initial_price for v in venues]),
        tick=column([v.contract.tick for v in venues]),
        open_interest=column([v.contract.open_interest / v.contract.initial_price for v in venues]),
        launch_age=column([v.contract.launch_age for v in venues]),
        fund=column([v.fund.initial * v.fund.usable_share * v.contract.open_interest for v in venues]),
    )
