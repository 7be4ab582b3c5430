"""Make a cell ready to run: configs and book to arrays, path numbers to lanes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mcrisk import paths as model
from mcrisk.book.draws import uniforms
from mcrisk.config.run import RunConfig
from mcrisk.engine.accounts import Reference
from mcrisk.engine.chosen import chosen_lanes, weighed
from mcrisk.engine.lanes import LaneResult, simulate_lanes
from mcrisk.engine.rulebook import build_markets, build_rulebook
from mcrisk.engine.sparse.orders import static_orders
from mcrisk.engine.trip import Cell, Streams


def build_cell(config: RunConfig, venue_name: str, scenario_name: str, book: Any) -> Cell:
    """All traced inputs of a cell (venue × scenario) of a run."""
    from mcrisk.engine.simulate import market_venues

    venue = next(v for v in config.venues if v.name == venue_name)
    scenario = next(s for s in config.scenarios if s.name == scenario_name)
    profiles = market_venues(config, venue)
    spec = config.book_of(venue_name)
    liquidity = config.liquidity_of(venue_name)
    every = 0.0 if spec.file is not None else spec.holding_time
    params = [
        model.params(
            market.prices, liquidity, scenario, config.feed_of(scenario_name), profile, grid=config.grid,
            correlation=config.correlation, start=config.start, restrike_every=every if spec.restrike.every else 0.0,
            restrike_at_event=spec.restrike.at_event and spec.file is None,
        )
        for market, profile in zip(config.markets, profiles)
    ]
    keys = [model.stream_keys(config.seed, scenario_name, market.name, venue_name) for market in config.markets]
    streams = Streams(
        jnp.asarray(np.array([k.company for k in keys], np.uint64)), jnp.asarray(np.array([k.venue for k in keys], np.uint64)),
        jnp.asarray(np.uint64(keys[0].common)),
    )
    ref = Reference(
        jnp.asarray(np.ascontiguousarray(book.quantity.T)), jnp.asarray(np.ascontiguousarray(book.entry_price.T)),
        jnp.asarray(book.collateral), jnp.asarray(book.depth_share),
        jnp.asarray(_tops_up(config, spec, len(book))),
    )
    rules, markets = build_rulebook(venue), build_markets(profiles)
    return Cell(rules, markets, ref, jax.tree.map(jnp.asarray, model.stack(params)), streams,
                static_orders(rules, markets, ref))


def _tops_up(config: RunConfig, spec: Any, count: int) -> np.ndarray:
    """[A] bool: who answers a margin call; the same people on every venue."""
    return uniforms(config.seed, spec.seed_purpose, "top up", count, 1)[:, 0] < spec.top_up_probability


def lane_groups(out: LaneResult, count: int, width: int) -> Iterator[tuple[LaneResult, int]]:
    """The first `count` paths of a result in groups of `width`, each with its number of paths."""
    if count <= width:
        yield out, count
        return
    for first in range(0, count, width):
        here = slice(first, min(first + width, count))
        part = jax.tree.map(lambda x: x[here], out._replace(snapshots=None))
        yield part._replace(snapshots=jax.tree.map(lambda x: x[:, here], out.snapshots)), here.stop - first


_lanes = jax.jit(simulate_lanes, static_argnames=("dense",))


def run_lanes(cell: Cell, first_path: int, lanes: int, forced: Any, dense: bool = False, backend: str = "jax",
              proposal: model.Proposal | None = None) -> LaneResult:
    """One lane group: paths [first_path, first_path + lanes). `forced` may name jumps, see `simulate.ForcedJumps`."""
    drawn = None if proposal is None else proposal.draw(first_path, lanes)
    chosen = chosen_lanes(first_path, lanes, forced, drawn)
    if backend == "native":
        from mcrisk.engine.native.run import run_lanes as run_native

        return weighed(run_native(cell, first_path, lanes, chosen, dense), proposal, drawn)
    if backend == "cupy":
        from mcrisk.engine.cuda.kernel import run_cuda

        return weighed(run_cuda(cell, first_path, lanes, chosen, dense), proposal, drawn)
    number = np.uint64(first_path) + np.arange(lanes, dtype=np.uint64)
    low, high = number & np.uint64(0xFFFFFFFF), number >> np.uint64(32)
    out = _lanes(cell, jnp.asarray(low), jnp.asarray(high), jax.tree.map(jnp.asarray, chosen), dense=dense)
    return weighed(out, proposal, drawn)
