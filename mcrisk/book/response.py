"""How traders answer margin requirements other than those their leverage was observed under.

Formula   L = min(L0·(IM0/IM)^e, N/IM) per account, e = `config.book.Response.exponent`
Symbols   N notional, L leverage = N/equity; IM required initial margin here, L0 and IM0 leverage and requirement where the
          book was observed. So equity posted = (N/L0)·(IM/IM0)^e: it follows the requirement with elasticity e.
Limits    an assumption, not an estimate: no venue publishes leverage before and after a change of its tiers. Positions and
          open interest do not move, neither do makers and hedgers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcrisk.book import tiers
from mcrisk.config.book import BookSpec
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError

Array = NDArray[np.float64]


def observed(spec: BookSpec, venues: Sequence[Venue]) -> tuple[Venue, ...]:
    """The profiles [M] under which positions and leverage are drawn: the venues', with the margin they were observed under."""
    margin = spec.response.observed_under
    if margin is None:
        return tuple(venues)
    return tuple(v.model_copy(update={"pre": v.pre.model_copy(update={"margin": margin})}) for v in venues)


def required(venues: Sequence[Venue], notional: Array) -> Array:
    """Initial margin [A] that positions `notional` [A, M] need at the venues' initial prices, quote."""
    total = np.zeros(len(notional))
    for m, venue in enumerate(venues):
        price, size, margin = venue.contract.initial_price, venue.contract.contract_size, venue.pre.margin
        total += tiers.initial_margin(margin, tiers.tier_arrays(margin), notional[:, m] / price, price, size)
    return total


def largest_leverage(venues: Sequence[Venue], notional: Array) -> Array:
    """Notional over initial margin, per account [A]: the most the venues' tiers admit."""
    needed = required(venues, notional)
    # a hair inside, so that rounding of entries and collateral leaves nobody below initial margin
    return notional.sum(1) / np.maximum(needed, np.finfo(float).tiny) * (1 - 1e-9)


def answer(
    spec: BookSpec, venues: Sequence[Venue], notional: Array, leverage: Array, chooses: NDArray[np.bool_]
) -> Array:
    """Leverage [A] under the requirements of `venues`.

    Args:
        notional: [A, M] positions; leverage: [A] observed; chooses: [A] traders, who answer. The others keep their
            leverage as far as it is admitted.

    Raises InputError when a position exceeds what the venue admits to one account.
    """
    if spec.response.observed_under is None:
        return leverage
    for m, venue in enumerate(venues):
        limit = tiers.largest_notional(venue.pre.margin, venue.contract.initial_price, venue.contract.contract_size)
        traders = notional[chooses, m]
        if traders.size and traders.max() > limit * (1 + 1e-9):
            raise InputError(
                f"the book has a position of {traders.max():,.0f}, but one account may hold {limit:,.0f}", venue.name,
                "positions were observed under other tiers (book.response.observed_under)",
                "keep the last tier and the position limit as large as they are, or give a book that fits",
            )  # fmt: skip
    there, here = required(observed(spec, venues), notional), required(venues, notional)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(here > 0, there / here, 1.0)
    wanted = np.where(chooses, leverage * ratio**spec.response.exponent, leverage)
    return np.minimum(wanted, largest_leverage(venues, notional))
