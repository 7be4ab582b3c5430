"""Margin calls: some traders add collateral once while they are short of it, before they are liquidated.

Formula   equity in [MM, CALL·MM): deposit up to RESTORE·MM, once until the book is struck again.
Symbols   MM maintenance margin of all the account's markets, CALL = 1.3, RESTORE = 1.5.
Source    defaults.md section 6 (`top_up_probability`, accounts between 100 and 130 % of maintenance); RESTORE is an
          assumption. Who does is drawn once per account, so a gap through the band finds them like everybody else.
Date      2026-11-20
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mcrisk.engine.state import Accounts, PathCarry
from mcrisk.rules.types import SETTLED, Market

CALL = 1.3
RESTORE = 1.5


def watched(tops_up: Array, accounts: Accounts) -> Array:
    """[A] maintenance is watched at this multiple: CALL for those who still may add, 1 for all others."""
    return jnp.where(tops_up & ~accounts.topped, CALL, 1.0)


def top_up(tops_up: Array, views: Market, halted: Array, margin: Array, carry: PathCarry, accounts: Accounts
           ) -> tuple[PathCarry, Accounts]:
    """Deposits of a row; `margin` [A] is the maintenance margin at this row's marks, `tops_up` [A] bool."""
    marks = views.mark[:, None]
    equity = accounts.collateral + jnp.sum(accounts.quantity * (marks - accounts.entry), axis=0)
    live = jnp.any((views.phase != SETTLED) & ~halted)
    called = tops_up & ~accounts.topped & live & (margin > 0.0) & (equity >= margin) & (equity < CALL * margin)
    deposit = jnp.where(called, RESTORE * margin - equity, 0.0)
    accounts = accounts._replace(collateral=accounts.collateral + deposit, deposits=accounts.deposits + deposit,
                                 topped=accounts.topped | called)
    pool = carry.pool._replace(outside_cash=carry.pool.outside_cash - jnp.sum(deposit))
    return carry._replace(pool=pool), accounts
