"""The twin of a run with a control variate: the same paths, and further ones, of a condensed book under the same rules.

Path i of the twin has the draws of path i of the run, because draws do not depend on the book; so what the two leave
behind is correlated as far as the condensed book behaves like the whole one. Blocks of the twin are block tasks like any
other and leave every bit of /paths as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mcrisk.book.condense import Condensed, condense, refuse
from mcrisk.engine import simulate
from mcrisk.risk.control import FIELDS
from mcrisk.runs.plan import Twin


@dataclass(frozen=True)
class TwinTask:
    """A cell of a run, with a book of so many accounts in place of its own."""

    cell: simulate.CellTask
    accounts: int


def twin_of(config: Any) -> Twin | None:
    """The twin a run asks for. Raises InputError where a venue's book cannot be condensed so far."""
    wish = config.variance_reduction.control_variate
    if wish is None:
        return None
    for venue in config.venues:
        refuse(simulate.book_of(config, venue.name), wish.accounts)
    return Twin(wish.accounts, wish.ratio, FIELDS)


def prepare(config: Any, venue: str, scenario: str) -> TwinTask:
    """The task of one cell of the twin."""
    return TwinTask(simulate.prepare(config, venue, scenario), config.variance_reduction.control_variate.accounts)


def run_block(task: simulate.CellTask | TwinTask, first_path: int, n: int, forced: Any = None) -> simulate.BlockResult:
    """Paths [first_path, first_path + n) of a cell of the run or of its twin."""
    if isinstance(task, TwinTask):
        _compile(task)
        return simulator(task).block(first_path, n, forced)
    if task.config.variance_reduction.control_variate is not None and forced is None:
        _compile(task)
    return simulate.run_block(task, first_path, n, forced)


@lru_cache(maxsize=128)
def _compile(task: simulate.CellTask | TwinTask) -> None:
    """One path, once per process: whether the twin paid is judged by the time of blocks, which compiling must not enter."""
    (simulator(task) if isinstance(task, TwinTask) else simulate.simulator(task)).block(0, 1)


@lru_cache(maxsize=32)
def simulator(task: TwinTask) -> simulate.Simulator:
    """The twin's simulator of a cell, kept per process."""
    import jax.numpy as jnp

    from mcrisk.engine.sparse.orders import static_orders

    found = condensed(task)
    sim = simulate.Simulator(task.cell, found.book)
    # who answers a margin call is drawn by place in the book; a condensed book has its own places
    ref = sim.cell.ref._replace(tops_up=jnp.asarray(found.tops_up))
    sim.cell = sim.cell._replace(ref=ref, orders=static_orders(sim.cell.rules, sim.cell.markets, ref))
    return sim


def condensed(task: TwinTask) -> Condensed:
    """The condensed book of a cell: of those who answer margin calls in the whole book, and of the others."""
    from mcrisk.engine.build import _tops_up

    config = task.cell.config
    venue = next(v for v in config.venues if v.name == task.cell.venue)
    book = simulate.book_of(config, venue.name)
    tops_up = _tops_up(config, config.book_of(venue.name), len(book))
    return condense(book, tops_up, simulate.market_venues(config, venue)[0], task.accounts)
