"""Do results hang on the time step? `python benchmarks/halved_steps.py [--far] [--paths 2048] [--venues …] [--json FILE]`.

Runs every cell on the default grid and on grid `fine`, whose steps around the event are half as long (`--far`: on the
default grid with the steps far from the event half as long instead), and compares each headline number: moved when the two
estimates differ by more than the interval of their difference, √(h₁² + h₂²) of the two half-widths. The draws of the two
grids are independent given the event, so about 5 % of the numbers move by chance.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from datetime import date
from pathlib import Path

import numpy as np
from run import VENUES, environment

SCENARIOS = ("baseline", "ipo_delay", "valuation_reset", "cancellation", "feed_error", "squeeze", "combined")
GRIDS = ("default", "fine")   # `fine` stands for whatever is compared with the default


def finer(far: bool) -> list[str]:
    """Overrides of the finer grid."""
    if not far:
        return ["grid=fine"]
    from mcrisk.config.load import load_config

    grid = load_config("quickstart", []).grid
    return [f"grid.before={2 * grid.before}", f"grid.after={2 * grid.after}"]


def metrics(venue: str, scenario: str, grid: list[str], paths: int):
    """metric → (estimate, lower, upper) of one cell, and the seconds its blocks took."""
    import xarray as xr

    from mcrisk.config.load import load_config
    from mcrisk.engine import records, simulate
    from mcrisk.risk import headline
    from mcrisk.runs.bridge import open_interest

    config = load_config("quickstart", [*grid, "execution.backend=native"])
    block = simulate.run_block(simulate.prepare(config, venue, scenario), 0, paths)
    cell = xr.Dataset({field.name: (("path",), block.paths[field.name]) for field in records.PATH_FIELDS})
    profile = next(v for v in config.venues if v.name == venue)
    context = headline.Context(open_interest=open_interest(config, profile))
    found = {item.name: (item.estimate, item.lower, item.upper) for item in headline.metrics(cell, context)}
    return found, block.seconds


def compare(first: dict, second: dict) -> list[dict]:
    """One row per number that both grids resolve."""
    rows = []
    for name, one in first.items():
        two = second[name]
        if not np.all(np.isfinite(one + two)):
            continue
        half = [0.5 * (x[2] - x[1]) for x in (one, two)]
        allowed = math.hypot(*half)
        rows.append({"metric": name, "default": one, "fine": two, "moved": bool(abs(two[0] - one[0]) > allowed > 0.0)})
    return rows


def main() -> None:
    """The table, and JSON where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=2048)
    parser.add_argument("--venues", nargs="*", default=list(VENUES))
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS))
    parser.add_argument("--far", action="store_true", help="halve the steps far from the event, not those around it")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    environment()
    grids = [], finer(args.far)
    out, total, moved = [], 0, 0
    for venue in args.venues:
        for scenario in args.scenarios:
            (one, t1), (two, t2) = (metrics(venue, scenario, grid, args.paths) for grid in grids)
            rows = compare(one, two)
            far = [row for row in rows if row["moved"]]
            total, moved = total + len(rows), moved + len(far)
            print(f"{venue} {scenario}: {len(far)} of {len(rows)} moved; {t2 / t1:.2f} times the time", flush=True)
            for row in far:
                shown = (f"{grid} {row[grid][0]:.4g} [{row[grid][1]:.4g}, {row[grid][2]:.4g}]" for grid in GRIDS)
                print(f"    {row['metric']}: " + "  ".join(shown))
            out.append({"venue": venue, "scenario": scenario, "paths": args.paths, "numbers": rows})
    print(f"{moved} of {total} numbers moved ({moved / max(total, 1):.1%}; 5 % would by chance)")
    if args.json:
        machine = f"{os.cpu_count()} cores, {platform.machine()}"
        head = {"date": date.today().isoformat(), "machine": machine, "paths": args.paths, "finer": grids[1]}
        args.json.write_text(json.dumps(head | {"cells": out, "moved": moved, "of": total}, indent=1))


if __name__ == "__main__":
    main()
