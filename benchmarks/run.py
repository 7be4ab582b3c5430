"""Cost of a path-step by venue, book size and cores: `make bench BENCH_ARGS="--quick --json FILE"`.

Every figure is process time (one core) or wall time (several) of whole blocks through `engine.simulate`, after one block
that compiles. The table is for people; the JSON has one row per measurement:
{venue, scenario, backend, accounts, paths, steps, cores, seconds, ns_per_path_step}.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

VENUES = (
    "kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures",
    "okx-premarket-perp", "okx-preipo-perp", "binance-premarket", "binance-preipo",
)


@dataclass(frozen=True)
class Workload:
    """One measurement: `paths` paths of one cell on `cores` processes of one core each."""

    venue: str
    accounts: int
    paths: int
    cores: int = 1
    scenario: str = "combined"
    backend: str = "auto"
    lanes: int = 32


def simulator(work: Workload):
    """The cell made ready, and the name of the backend that runs it."""
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate

    config = load_config("quickstart", [
        f"book.accounts={work.accounts}", f"execution.lane_paths={work.lanes}", f"execution.block_paths={work.lanes}",
        f"execution.backend={work.backend}",
    ])
    return simulate.simulator(simulate.prepare(config, work.venue, work.scenario))


def run_share(args: tuple[Workload, int, int, int]) -> float:
    """Seconds for `count` paths from `first` on core `core`, compilation and warm-up apart."""
    work, core, first, count = args
    os.sched_setaffinity(0, {core})
    cell = simulator(work)
    cell.block(0, work.lanes)
    start = time.perf_counter()
    cell.block(first, count)
    return time.perf_counter() - start


def environment() -> None:
    """One thread per process, before jax is imported."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def measure(work: Workload) -> dict:
    """One row. Several cores run equal shares at the same time; the slowest counts."""
    cores = sorted(os.sched_getaffinity(0))[: work.cores]
    if len(cores) < work.cores:
        raise SystemExit(f"{work.cores} cores asked for, {len(cores)} there")
    share = work.paths // work.cores
    jobs = [(work, core, 1000 + i * share, share) for i, core in enumerate(cores)]
    with multiprocessing.get_context("spawn").Pool(work.cores) as pool:
        seconds = max(pool.map(run_share, jobs))
    from mcrisk.config.load import load_config
    from mcrisk.engine.backends import resolve

    steps = load_config("quickstart").grid.steps + 1
    row = asdict(work) | {"steps": steps, "seconds": seconds, "backend": resolve(work.backend)}
    row["ns_per_path_step"] = seconds / (share * work.cores * steps) * 1e9
    return row


def workloads(args: argparse.Namespace) -> list[Workload]:
    """What `--quick` needs for the shipped checks, or the whole grid."""
    sizes = {100: 256, 10_000: 64, 100_000: 32} if args.quick else {100: 1024, 1_000: 512, 10_000: 256, 100_000: 64}
    scenarios = ("combined",) if args.quick else ("baseline", "valuation_reset", "combined")
    out = []
    for venue in args.venues:
        for scenario in scenarios:
            for accounts, paths in sizes.items():
                out.append(Workload(venue, accounts, paths, 1, scenario, args.backend))
        out.append(Workload(venue, 10_000, 128 if args.quick else 512, 2, "combined", args.backend))
    return out


def table(rows: list[dict]) -> str:
    lines = [f"{'venue':24}{'scenario':18}{'backend':9}{'accounts':>9}{'paths':>7}{'cores':>6}{'ns/path-step':>14}"]
    lines += [
        f"{r['venue']:24}{r['scenario']:18}{r['backend']:9}{r['accounts']:9d}{r['paths']:7d}{r['cores']:6d}"
        f"{r['ns_per_path_step']:14.0f}" for r in rows
    ]
    return "\n".join(lines)


def hardware() -> dict:
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(),
            "date": datetime.now(UTC).isoformat(timespec="seconds")}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the sizes the shipped checks use")
    parser.add_argument("--json", type=Path, help="write rows and hardware here")
    parser.add_argument("--backend", default="auto", choices=("auto", "jax", "native"))
    parser.add_argument("--venues", nargs="+", default=list(VENUES))
    args = parser.parse_args(argv)
    environment()
    rows = []
    for work in workloads(args):
        rows.append(measure(work))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "hardware": hardware()}, indent=1))


if __name__ == "__main__":
    main()
