"""What makes rows of a path need accounts: `python benchmarks/stage_profile.py [--venues …] [--accounts 100 1000 10000]`.

Walks paths of a cell row by row through the engine's own functions and counts, per path: rows, account stages, rows with
nobody below maintenance, candidates per stage (below maintenance or answering a margin call), accounts changed, ADL
rows and the accounts they closed, re-strikes, settlements, looks at the latent deficit, and rows in which receivers bear
a funding shortfall. `--time` adds nanoseconds per path-step of the native backend (user time, one core).
"""

from __future__ import annotations

import argparse
import json
import resource
from collections import Counter
from pathlib import Path

from run import VENUES, environment

COLUMNS = ("rows", "stages", "idle", "candidates", "most", "changed", "adl_rows", "adl_accounts", "strikes", "settles", "latent",
           "latent_only", "short")


def simulator(venue: str, scenario: str, accounts: int, backend: str):
    """The cell made ready."""
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate

    config = load_config("quickstart", [f"book.accounts={accounts}", f"execution.backend={backend}"])
    return simulate.simulator(simulate.prepare(config, venue, scenario))


class Walk:
    """One cell, its stages compiled apart."""

    def __init__(self, cell):
        import jax

        from mcrisk.engine import trip as t
        from mcrisk.engine.accounts import account_stage

        self.cell = cell
        self.open = jax.jit(t.open_path)
        self.price = jax.jit(t.price_row)
        self.work = jax.jit(lambda cell, stage, carry, accounts: account_stage(
            cell.rules, cell.markets, cell.ref, stage, carry, accounts)[:3])
        self.close = jax.jit(t.close_row)
        self.look = jax.jit(look)

    def path(self, number: int, count: Counter) -> None:
        """All rows of a path."""
        import jax.numpy as jnp
        import numpy as np

        from mcrisk import paths as model
        from mcrisk.engine.step import start_accounts
        from mcrisk.engine.trip import no_flows

        cell = self.cell
        trip = self.open(cell, jnp.uint64(number), jnp.uint64(0), model.Forced(jnp.bool_(False), jnp.float64(0.0)))
        accounts = start_accounts(cell.ref)
        for k in range(cell.params.grid.slope.shape[-1]):
            trip, priced = self.price(cell, trip, jnp.int32(k))
            count["rows"] += 1
            flows = no_flows(priced.stage)
            if priced.work:
                below, called, short = (np.asarray(x) for x in self.look(cell, priced.stage, trip.carry, accounts))
                carry, new, flows = self.work(cell, priced.stage, trip.carry, accounts)
                self._count(count, priced, below | called, short, accounts, new, trip.carry.tally, carry.tally)
                trip, accounts = trip._replace(carry=carry), new
            trip, _ = self.close(cell, trip, priced, flows)

    @staticmethod
    def _count(count: Counter, priced, candidates, short, old, new, before, after) -> None:
        import numpy as np

        found = int(candidates.sum())
        latent, struck = bool(np.any(priced.stage.latent_due)), bool(np.any(priced.struck))
        settles = bool(np.any(priced.stage.rows.settle != 0))
        count["stages"] += 1
        count["idle"] += found == 0
        count["candidates"] += found
        count["most"] = max(count["most"], found)
        if not struck:
            count["changed"] += int(np.any(np.asarray(old.quantity) != np.asarray(new.quantity), axis=0).sum())
        adl = float(after.adl_notional) > float(before.adl_notional)
        count["adl_rows"] += adl
        if adl and not settles:
            gone = np.any(np.asarray(old.quantity) != np.asarray(new.quantity), axis=0) & ~candidates
            count["adl_accounts"] += int(gone.sum()) if not struck else 0
        count["strikes"] += struck
        count["settles"] += settles
        count["latent"] += latent
        count["latent_only"] += latent and found == 0 and not struck and not settles
        count["short"] += bool(short)


def look(cell, stage, carry, accounts):
    """(below [A], called [A], receivers bear a shortfall) as the stage is about to find them."""
    import jax.numpy as jnp

    from mcrisk.engine.accounts import _pay_funding, all_margins
    from mcrisk.engine.topup import top_up

    after, pool, tally, _ = _pay_funding(cell.rules, stage, carry, accounts, carry.guard.funding[:, None], None)
    margins = jnp.sum(all_margins(cell.rules, after, stage.views, stage.units), axis=0)
    carry = carry._replace(pool=pool)
    _, topped = top_up(cell.ref.tops_up, stage.views, stage.rows.halted, margins, carry, after)
    worth = topped.collateral + jnp.sum(topped.quantity * (stage.views.mark[:, None] - topped.entry), axis=0)
    held = jnp.any(topped.quantity != 0.0, axis=0)
    return held & (worth < margins), topped.topped & ~after.topped, tally.adl_wealth > carry.tally.adl_wealth


def profile(venue: str, scenario: str, accounts: int, paths: int) -> dict:
    """Means per path."""
    cell = simulator(venue, scenario, accounts, "jax").cell
    walk, count = Walk(cell), Counter()
    for number in range(1000, 1000 + paths):
        walk.path(number, count)
    row = {name: count[name] / paths for name in COLUMNS} | {"most": count["most"]}
    row["candidates"] = count["candidates"] / max(count["stages"], 1)
    return {"venue": venue, "scenario": scenario, "accounts": accounts} | row


def nanoseconds(venue: str, scenario: str, accounts: int, paths: int) -> float:
    """User time per path-step of whole blocks, native backend."""
    from mcrisk.engine import build

    sim = simulator(venue, scenario, accounts, "native")
    steps = build.run_lanes(sim.cell, 0, 2, None, False, "native").snapshots.last.shape[0]
    used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime  # noqa: E731
    start = used()
    build.run_lanes(sim.cell, 1000, paths, None, False, "native")
    return (used() - start) / paths / steps * 1e9


def line(row: dict) -> str:
    text = f"{row['venue']:24}{row['accounts']:8d}" + "".join(f"{row[name]:13.1f}" for name in COLUMNS)
    return text + (f"{row['ns']:10.0f}" if "ns" in row else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venues", nargs="+", default=list(VENUES))
    parser.add_argument("--scenario", default="combined")
    parser.add_argument("--accounts", nargs="+", type=int, default=[100, 1_000, 10_000])
    parser.add_argument("--paths", type=int, default=8)
    parser.add_argument("--time", action="store_true", help="time the native backend, too")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    environment()
    print(f"{'venue':24}{'accounts':>8}" + "".join(f"{name:>13}" for name in COLUMNS) + ("     ns/ps" if args.time else ""))
    rows = []
    for venue in args.venues:
        for accounts in args.accounts:
            row = profile(venue, args.scenario, accounts, args.paths)
            if args.time:
                row["ns"] = nanoseconds(venue, args.scenario, accounts, 4 * args.paths)
            rows.append(row)
            print(line(row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
