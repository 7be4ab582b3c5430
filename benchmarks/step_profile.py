"""Cost of a quiet path-step by venue and by part: `python -m benchmarks.step_profile [--json FILE] [--venues …]`.

A quiet row is one in which no account can need work: scalars of one path only (`engine/trip.py`). The guard is opened wide
after the first account stage, so that every later row is quiet unless an event falls into it; accounts are left out.

Parts are differences between programs that stop earlier: random numbers; prices (paths room); rules (`market_stage`); guard
(fund, inventory, quiet test); rest (records, feedback into the book, what bands keep). Process time of one core, the least of
several rounds in which all programs take turns, so that a busy machine slows them alike.
`operations` counts equations of the row's jaxpr by kind: those always evaluated, and those inside branches.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks.run import VENUES, environment, hardware

PARTS = ("random numbers", "prices", "rules", "guard", "rest")
KINDS = {"transcendental": ("exp", "log", "expm1", "log1p", "sin", "cos", "pow", "exp2", "tanh", "erf_inv"),
         "division, root": ("div", "sqrt", "rem", "rsqrt"), "selection": ("select_n",),
         "comparison": ("lt", "le", "gt", "ge", "eq", "ne"),
         "indexed": ("gather", "scatter", "scatter-add", "dynamic_slice", "dynamic_update_slice"),
         "reduction": ("reduce_sum", "reduce_max", "reduce_min", "reduce_or", "reduce_and", "argmax"), "floor": ("floor",)}


def cell_of(venue: str, scenario: str, accounts: int) -> Any:
    """The traced inputs of a cell of the quickstart run."""
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate

    config = load_config("quickstart", [f"book.accounts={accounts}"])
    return simulate.simulator(simulate.prepare(config, venue, scenario)).cell


# ---------------------------------------------------------------------- programs that stop after a part
def _open_wide(carry: Any) -> Any:
    """What an account stage leaves behind when nobody can ever need another one."""
    guard = carry.guard
    wide = guard._replace(lo=jnp.zeros_like(guard.lo), hi=jnp.full_like(guard.hi, jnp.inf), hot=jnp.bool_(False),
                          slack=jnp.full_like(guard.slack, jnp.inf), latent_bid=jnp.full_like(guard.lo, -1.0),
                          latent_ask=jnp.full_like(guard.lo, jnp.inf))
    return carry._replace(guard=wide, tally=carry.tally._replace(account_stages=carry.tally.account_stages + 1))


def _random(cell: Any, trip: Any, k: Array, shocks: Any) -> tuple[Any, Any]:
    return trip, sum(jnp.sum(x) for x in jax.tree.leaves(shocks))


def _prices(cell: Any, trip: Any, k: Array, shocks: Any) -> tuple[Any, Any]:
    from mcrisk.engine.trip import _rows

    prices, rows, clock, steering = _rows(cell, trip, k, trip.carry.market.phase, shocks)
    return trip._replace(prices=prices, steering=steering), (rows, clock)


def _rules(cell: Any, trip: Any, k: Array, shocks: Any) -> tuple[Any, Any]:
    from mcrisk.engine.market import market_stage
    from mcrisk.engine.markets import over_markets

    trip, (rows, _) = _prices(cell, trip, k, shocks)
    market, views, paid = over_markets(market_stage, (None, 0, 0, 0, 0))(
        cell.rules, trip.carry.market, rows, cell.markets.initial_price, cell.markets.launch_age)
    return trip._replace(carry=trip.carry._replace(market=market)), (rows, views, paid)


def _guard(cell: Any, trip: Any, k: Array, shocks: Any) -> tuple[Any, Any]:
    from mcrisk.engine.trip import price_row

    trip, priced = price_row(cell, trip, k, shocks)
    carry = lax.cond(priced.work, _open_wide, lambda carry: carry, trip.carry)
    return trip._replace(carry=carry), priced


def _whole(cell: Any, trip: Any, k: Array, shocks: Any) -> tuple[Any, Any]:
    from mcrisk.engine.trip import close_row, no_flows

    trip, priced = _guard(cell, trip, k, shocks)
    return close_row(cell, trip, priced, no_flows(priced.stage))


ROWS = dict(zip(PARTS, (_random, _prices, _rules, _guard, _whole)))


def journey(cell: Any, lo: Array, hi: Array, row: Any) -> tuple[Array, Array, Any]:
    """All rows of path (lo, hi): (sum of everything a row hands on, account stages, what bands keep)."""
    from mcrisk import paths as model
    from mcrisk.engine.ahead import no_shocks, shocks_of
    from mcrisk.engine.trip import open_path

    trip = open_path(cell, lo, hi, model.Forced(jnp.bool_(False), jnp.float64(0.0)))

    def step(state: tuple, k: Array):
        trip, store, total = state
        store, shocks = shocks_of(cell, trip, store, k)
        trip, seen = row(cell, trip, k, shocks)
        if row is _whole:
            return (trip, store, total), seen
        return (trip, store, total + sum(jnp.sum(x.astype(jnp.float64)) for x in jax.tree.leaves(seen))), ()

    steps = cell.params.grid.slope.shape[-1]
    (trip, _, total), seen = lax.scan(step, (trip, no_shocks(cell), jnp.float64(0.0)), jnp.arange(steps, dtype=jnp.int32))
    kept = [jnp.sum(leaf.astype(jnp.float64)) for leaf in jax.tree.leaves((trip.carry, trip.prices))]
    return total + sum(kept), trip.carry.tally.account_stages, seen


class Measured:
    """One program, compiled; calling it gives process seconds and account stages per path. Inputs are laid out once."""

    def __init__(self, cell: Any, row: Any, paths: int) -> None:
        from mcrisk.engine.native.run import Program, shapes
        from mcrisk.engine.native.slots import slot_arrays
        from mcrisk.engine.native.source import generate

        word = jax.ShapeDtypeStruct((), np.uint64)
        source, _ = generate(lambda cell, lo, hi: journey(cell, lo, hi, row), shapes(cell), (word, word))
        number = np.arange(1000, 1000 + paths, dtype=np.uint64)
        self.paths, self.run = paths, Program(source, None).library.mcrisk_run
        self.inputs = slot_arrays(source, jax.tree.leaves(cell), [number & np.uint64(0xFFFFFFFF), number >> np.uint64(32)])
        self.outs = [np.empty((paths, spec.slots)) for spec in source.outs]   # words of 8 bytes, whatever they hold
        self.arena = np.zeros(source.arena + 16, np.float64)

    def __call__(self) -> tuple[float, float]:
        aligned = self.arena.ctypes.data + -self.arena.ctypes.data % 64
        pointers = [(ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays]) for arrays in (self.inputs, self.outs)]
        start = time.process_time()
        self.run(*pointers, ctypes.c_int64(self.paths), ctypes.c_void_p(aligned))
        return time.process_time() - start, float(np.mean(self.outs[1].view(np.int64)))


# ---------------------------------------------------------------------- what a row consists of
def operations(cell: Any) -> dict[str, dict[str, int]]:
    """Equations of a row by kind: {"always": …, "in branches": …}; a market axis of one market counts once."""
    from mcrisk import paths as model
    from mcrisk.engine.trip import open_path

    never = model.Forced(jnp.bool_(False), jnp.float64(0.0))
    trip = jax.eval_shape(lambda cell: open_path(cell, jnp.uint64(0), jnp.uint64(0), never), cell)
    counts = {"always": Counter(), "in branches": Counter()}
    row = jax.make_jaxpr(lambda cell, trip: _whole(cell, trip, jnp.int32(1), None))(cell, trip)
    _count(row.jaxpr, counts, "always")
    return {where: dict(found.most_common()) for where, found in counts.items()}


def _count(jaxpr: Any, counts: dict[str, Counter], where: str) -> None:
    for eqn in jaxpr.eqns:
        inner = [x for value in eqn.params.values() for x in (value if isinstance(value, (tuple, list)) else [value])
                 if hasattr(x, "eqns") or hasattr(x, "jaxpr")]
        name = eqn.primitive.name
        if not inner:
            counts[where][name] += 1
        for one in inner:
            _count(getattr(one, "jaxpr", one), counts, "in branches" if name in ("cond", "while") else where)


def by_kind(found: dict[str, int]) -> dict[str, int]:
    """Totals of the kinds that cost something."""
    totals = {kind: sum(found.get(name, 0) for name in names) for kind, names in KINDS.items()}
    return totals | {"all": sum(found.values())}


# ---------------------------------------------------------------------- the table
def profile(venue: str, args: argparse.Namespace) -> dict:
    """One row of the table."""
    cell = cell_of(venue, args.scenario, args.accounts)
    programs = {name: Measured(cell, row, args.paths) for name, row in ROWS.items()}
    best = dict.fromkeys(programs, float("inf"))
    stages = 0.0
    for _ in range(args.rounds):
        for name, program in programs.items():
            seconds, stages = program()
            best[name] = min(best[name], seconds)
    steps = cell.params.grid.slope.shape[-1]
    upto = [best[name] / (args.paths * steps) * 1e9 for name in PARTS]
    ops = operations(cell)
    return {"venue": venue, "steps": steps, "ns_per_step": upto[-1],
            "parts": dict(zip(PARTS, np.diff([0.0, *upto]).tolist())), "account_stages_per_path": stages,
            "operations": ops, "kinds": {where: by_kind(found) for where, found in ops.items()}}


def table(rows: list[dict]) -> str:
    """For people: nanoseconds, then counts as always + in branches."""
    lines = [f"{'venue':24}{'ns/step':>9}" + "".join(f"{name:>16}" for name in PARTS)]
    lines += [f"{r['venue']:24}{r['ns_per_step']:9.0f}" + "".join(f"{r['parts'][name]:16.0f}" for name in PARTS) for r in rows]
    lines += ["", f"{'operations of a row':24}" + "".join(f"{kind:>16}" for kind in [*KINDS, "all"])]
    for r in rows:
        cells = [f"{r['kinds']['always'][k]} + {r['kinds']['in branches'][k]}" for k in [*KINDS, "all"]]
        lines.append(f"{r['venue']:24}" + "".join(f"{text:>16}" for text in cells))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write rows and hardware here")
    parser.add_argument("--paths", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--scenario", default="baseline")
    parser.add_argument("--venues", nargs="+", default=list(VENUES))
    args = parser.parse_args(argv)
    environment()
    jax.config.update("jax_enable_x64", True)
    rows = [profile(venue, args) for venue in args.venues]
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "hardware": hardware()}, indent=1))


if __name__ == "__main__":
    main()
