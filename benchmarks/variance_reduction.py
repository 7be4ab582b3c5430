"""Which variance reduction pays: variance ratios against plain Monte Carlo per path, by method and target.

    python benchmarks/variance_reduction.py --json benchmarks/results/variance-reduction.json     # long: 32 replicates
    python benchmarks/variance_reduction.py --quick
    python benchmarks/variance_reduction.py --judge benchmarks/results/variance-reduction-rare-loss.json   # goals, from a file
    python benchmarks/variance_reduction.py --twins                                             # cheaper twins as control variates
    python benchmarks/variance_reduction.py --condensed --json benchmarks/results/condensed-twins-2026-11-20.json  # condensed books

A ratio of 10 means ten times fewer paths for the same interval. Ratios are of variances over replicates (for a net: over
its scramblings), at equal numbers of paths, so that the machine's load does not enter; 32 replicates know a ratio to about
± 50 % (both sides vary). Of a probability plain Monte Carlo's variance is known: p (1 − p)/n, with p from the best method.
`cost` is the processor time of a path over that of a plain path; figure of merit 1/(R²·T) relative to plain = ratio/cost.
`twin` measures what a control variate could give at most: the squared correlation with the same paths in a bottomless book
(no impact, hence no cascade), and the cost of a path without accounts, below which no twin can be.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

BRANCHED = "{share: 0.5}"
TILTED = "{factor: 2, share: 0.7, stretch: 4, stretched: 0.7}"


@dataclass(frozen=True)
class Workload:
    """A shipped configuration, one cell of it, and the methods to compare there."""

    config: str
    venue: str
    scenario: str
    overrides: tuple[str, ...]
    methods: dict[str, str]
    paths: int  # per method in the long mode, all replicates together
    tail: float  # of open interest: P(fund needed > this)


WORKLOADS = {
    "rare-loss": Workload(
        "configs/rare-loss.yaml", "kraken-preipo", "baseline", (), {
            "plain": "{}",
            "jumps ×3": "{jumps: {factor: 3}}",
            "jumps ×2, sizes ×4": f"{{jumps: {TILTED}}}",
            "jumps ×2, sizes ×4, net": f"{{sampling: sobol, jumps: {TILTED}}}",
        }, 4096, 0.3,
    ),
    "quickstart": Workload(
        "quickstart", "kraken-preipo", "combined", ("book.accounts=100",), {
            "plain": "{}",
            "events 50 %": f"{{events: {BRANCHED}}}",
            "events 50 %, jumps ×3": f"{{events: {BRANCHED}, jumps: {{factor: 3}}}}",
            "events 50 %, jumps ×2, sizes ×4": f"{{events: {BRANCHED}, jumps: {TILTED}}}",
            "stratified": "{sampling: stratified}",
            "net": "{sampling: sobol}",
            "net, events 50 %": f"{{sampling: sobol, events: {BRANCHED}}}",
        }, 2048, 0.3,
    ),
}  # fmt: skip


@dataclass
class Sample:
    """What a method left behind: per-path results, which replicate each path is of, processor seconds per path."""

    paths: dict[str, np.ndarray]
    replicate: np.ndarray
    seconds: float
    targets: dict[str, np.ndarray] = field(default_factory=dict)  # name → [replicates] estimates


def drawn(work: Workload, method: str, paths: int, replicates: int, more: tuple[str, ...] = ()) -> Sample:
    """Run a method's paths in this process."""
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate

    reduction = f"variance_reduction={method}"
    config = load_config(work.config, [*work.overrides, reduction, "execution.lane_paths=64", "execution.block_paths=64", *more])
    if config.variance_reduction.groups:
        config = config.model_copy(
            update={"variance_reduction": config.variance_reduction.model_copy(update={"replicates": replicates})}
        )
    sim = simulate.simulator(simulate.prepare(config, work.venue, work.scenario))
    sim.block(0, 64)  # compiles
    start = time.process_time()
    found = sim.block(0, paths)
    seconds = (time.process_time() - start) / paths
    number = np.arange(paths)
    of = number % replicates if config.variance_reduction.groups else number // (paths // replicates)
    results = {**found.paths, "open_interest": np.full(paths, _open_interest(config, work.venue))}
    return Sample(results, of, seconds)


def _open_interest(config, venue: str) -> float:
    from mcrisk.runs.bridge import open_interest

    return open_interest(config, next(v for v in config.venues if v.name == venue))


def targets(work: Workload):
    """Target → estimate from per-path results and their weights; probabilities and numbers of the body and the tail."""
    from mcrisk.risk.weighted import Weighted

    def share(of):
        return lambda p: float(np.average(of(p), weights=p["weight"]))

    def quantile(name, q):
        return lambda p: Weighted(p["weight"])._var(p[name], q)

    def shortfall(name, q):
        def estimate(p):
            return float(Weighted(p["weight"]).shortfall_influence(p[name], q)[1])

        return estimate

    return {
        "P(fund lost)": share(lambda p: np.isfinite(p["depletion_time"])),
        f"P(need > {work.tail:.0%} of OI)": share(lambda p: p["fund_need"] > work.tail * p["open_interest"]),
        "mean bad debt": share(lambda p: p["bad_debt"]),
        "ES 99 bad debt": shortfall("bad_debt", 0.99),
        "median liquidated": quantile("liquidated_notional", 0.5),
        "90 % liquidated": quantile("liquidated_notional", 0.9),
        "99 % latent deficit": quantile("latent_deficit", 0.99),
    }


def estimates(sample: Sample, work: Workload) -> None:
    """Every target on every replicate."""
    for name, estimate in targets(work).items():
        rows = []
        for k in np.unique(sample.replicate):
            here = sample.replicate == k
            rows.append(estimate({field: column[here] for field, column in sample.paths.items()}))
        sample.targets[name] = np.array(rows)


def compare(samples: dict[str, Sample]) -> list[dict]:
    """One row per method and target."""
    from mcrisk.risk.weighted import effective

    rows, plain = [], samples["plain"]
    for target in plain.targets:
        means = {m: s.targets[target].mean() for m, s in samples.items()}
        spread = {m: s.targets[target].var(ddof=1) for m, s in samples.items()}
        best = min((m for m in samples if spread[m] > 0), key=lambda m: spread[m] / max(means[m], 1e-300) ** 2, default="plain")
        base, known = spread["plain"], target.startswith("P(")
        if known:  # plain Monte Carlo's variance over replicates of its size, exactly
            p, size = means[best], len(plain.replicate) / len(plain.targets[target])
            base = p * (1.0 - p) / size
        for method, sample in samples.items():
            each = len(sample.replicate) / len(sample.targets[target])
            scale = each / (len(plain.replicate) / len(plain.targets[target]))
            variance = base if method == "plain" and known else spread[method]
            ratio = base / (variance * scale) if variance > 0 else None
            weight = sample.paths["weight"]
            cost = sample.seconds / plain.seconds
            rows.append({
                "method": method, "target": target, "estimate": means[method], "variance_ratio": ratio, "cost": cost,
                "merit": None if ratio is None else ratio / cost, "replicates": len(sample.targets[target]),
                "paths": len(sample.replicate), "effective_paths": effective(weight), "largest_weight": float(weight.max()),
            })  # fmt: skip
    return rows


def twin(work: Workload, paths: int) -> dict:
    """What the same paths without impact explain, and what paths cost that have no accounts to look after."""
    full = drawn(work, "{}", paths, 1)
    deep = ("liquidity={base: made, depth_1pct: 1000000.0, total_depth: 1000000.0}",)
    other = drawn(work, "{}", paths, 1, deep)
    bare = drawn(work, "{}", paths, 1, ("book.accounts=12",))
    found = {"paths": paths, "cost_without_accounts": bare.seconds / full.seconds}
    for name, of in {"lost": lambda p: np.isfinite(p["depletion_time"]).astype(float), "bad debt": lambda p: p["bad_debt"],
                     "need": lambda p: p["fund_need"]}.items():  # fmt: skip
        x, y = of(full.paths), of(other.paths)
        squared = float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() > 0 and y.std() > 0 else 0.0
        cost = found["cost_without_accounts"]
        gain = 1.0 / (np.sqrt(1.0 - squared) + np.sqrt(cost * squared)) ** 2  # best split of the work (Peherstorfer & al. 2016)
        found[name] = {"squared_correlation": squared, "gain_at_best": float(gain)}
    return found


TWINS = {"a tenth of the accounts": ("book.accounts=100",), "coarse grid": ("book.accounts=1000", "grid=coarse")}
CONTROLLED = (
    "p_fund_depleted", "p_bad_debt", "p_adl", "bad_debt_mean", "fund_loss_mean", "adl_wealth_mean", "liquidated_notional_mean",
)  # fmt: skip


def twins(paths: int) -> list[dict]:
    """Cheaper fidelities of a cell with 1,000 accounts on the same draws: what they explain, cost, and gain at best."""
    from mcrisk.risk.control import best_gain

    rows = []
    for venue in ("kraken-preipo", "okx-preipo-perp"):
        work = Workload("quickstart", venue, "combined", ("execution.backend=auto",), {}, paths, 0.3)
        full = drawn(work, "{}", paths, 1, ("book.accounts=1000",))
        for name, changes in TWINS.items():
            other = drawn(work, "{}", paths, 1, changes)
            cost = other.seconds / full.seconds
            for target, of in {"fund lost": lambda p: np.isfinite(p["depletion_time"]).astype(float),
                               "fund need": lambda p: p["fund_need"],
                               "liquidated": lambda p: p["liquidated_notional"]}.items():  # fmt: skip
                x, y = of(full.paths), of(other.paths)
                squared = float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() > 0 and y.std() > 0 else 0.0
                gain, ratio = best_gain(squared, cost)
                rows.append({"venue": venue, "twin": name, "target": target, "paths": paths, "cost": round(cost, 3),
                             "whole_ms_per_path": round(1e3 * full.seconds, 2), "squared_correlation": round(squared, 3),
                             "gain_at_best": round(gain, 2), "best_ratio": round(ratio, 1)})  # fmt: skip
                print(json.dumps(rows[-1]), flush=True)
    return rows


CELLS = tuple((venue, scenario) for scenario in ("combined", "valuation_reset")
              for venue in ("kraken-preipo", "okx-premarket-perp", "okx-preipo-perp"))  # fmt: skip
CONDENSED = (100, 300, 1000, 2000)
RATIO, REPLICATES = 8, 16


def condensed(accounts: int, paths: int, measured: int, cells: tuple[tuple[str, str], ...]) -> list[dict]:
    """Condensed books as control variates, one row per cell, size and target.

    gain_at_best: admitted by squared correlation and cost at the best number of twin paths. For the size where it is largest,
    `mcrisk.risk.control` with `RATIO` times as many: fewer_paths (from widths of intervals on all `measured` paths), gain (the
    same over the work, 1 + cost · RATIO) and replicate_ratio (of variances over `REPLICATES` disjoint replicates).
    """
    from mcrisk.risk import control

    rows = []
    for venue, scenario in cells:
        work = Workload("quickstart", venue, scenario, (f"book.accounts={accounts}", "execution.backend=auto"), {}, paths, 0.3)
        full, found = drawn(work, "{}", measured, 1), {}
        for size in CONDENSED:
            found[size] = drawn_twin(work, size, paths)
        for size, other in found.items():
            cost = other.seconds / full.seconds
            for name, x, y in values(full, other, paths):
                squared = float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() > 0 and y.std() > 0 else 0.0
                gain, ratio = control.best_gain(squared, cost)
                rows.append({"venue": venue, "scenario": scenario, "accounts": accounts, "condensed": size, "target": name,
                             "paths": paths, "mean": float(x.mean()), "whole_ms_per_path": round(1e3 * full.seconds, 2),
                             "cost": round(cost, 3), "squared_correlation": round(squared, 3), "gain_at_best": round(gain, 2),
                             "best_ratio": round(ratio, 1), "ratio": RATIO, "measured": measured,
                             "fewer_paths": None, "gain": None, "replicate_ratio": None})  # fmt: skip
        here = [row for row in rows if (row["venue"], row["scenario"]) == (venue, scenario)]
        best = max(CONDENSED, key=lambda size: np.mean([np.log(r["gain_at_best"]) for r in here if r["condensed"] == size]))
        measure(work, full, best, [row for row in here if row["condensed"] == best], measured)
        print("\n".join(map(json.dumps, here)), flush=True)
    return rows


def values(full: Sample, other: Sample, paths: int | None = None):
    """Each controlled target's name and its values on the whole book's paths and on the condensed one's."""
    import xarray as xr

    from mcrisk.risk import control
    from mcrisk.risk.headline import Context, Reader

    dust = Context(float(full.paths["open_interest"][0])).dust
    ours, theirs = (Reader(xr.Dataset({k: ("path", v[:paths]) for k, v in one.paths.items()}), dust) for one in (full, other))
    for target in control.TARGETS:
        if target.name in CONTROLLED:
            yield target.name, target.of(ours), target.of(theirs)


def drawn_twin(work: Workload, accounts: int, paths: int) -> Sample:
    """`drawn` with the book condensed to so many accounts."""
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate
    from mcrisk.runs import twin as runs_twin

    config = load_config(work.config, [*work.overrides, "execution.lane_paths=64", "execution.block_paths=64"])
    sim = runs_twin.simulator(runs_twin.TwinTask(simulate.prepare(config, work.venue, work.scenario), accounts))
    sim.block(0, 64)  # compiles
    start = time.process_time()
    return Sample(sim.block(0, paths).paths, np.zeros(paths, int), (time.process_time() - start) / paths)


def measure(work: Workload, full: Sample, size: int, rows: list[dict], measured: int) -> None:
    """Fill in what the estimator reached, over disjoint replicates."""
    from mcrisk.risk import control

    targets = {target.name: target for target in control.TARGETS}
    other, each = drawn_twin(work, size, RATIO * measured), measured // REPLICATES
    for row, (_, y, c) in zip(rows, values(full, other), strict=True):
        plain, better = [], []
        for k in range(REPLICATES):
            at, far = k * each, measured + k * each * (RATIO - 1)
            mine = y[at : at + each]
            twin_of_it = np.concatenate([c[at : at + each], c[far : far + each * (RATIO - 1)]])
            plain.append(mine.mean())
            better.append(control.of_target(targets[row["target"]], mine, twin_of_it))
        whole = control.of_target(targets[row["target"]], y, c)
        if whole.used:
            row["fewer_paths"] = round(whole.fewer_paths, 2)
            if all(found.used for found in better):  # replicates too short for the estimator say nothing about it
                row["replicate_ratio"] = round(float(np.var(plain) / np.var([f.interval.estimate for f in better])), 2)
            row["gain"] = round(control.gain(whole.fewer_paths, 1, RATIO, row["cost"]), 2)


GOAL = {"P(fund lost)": 30.0, "median liquidated": 0.5, "90 % liquidated": 0.5}  # variance ratio to plain Monte Carlo, at least


def judge(rows: list[dict], method: str) -> list[str]:
    """Each goal and how a method stands to it; those that are missed begin with MISSED."""
    at = {(row["method"], row["target"]): row["variance_ratio"] for row in rows}
    found = {target: at.get((method, target)) for target in GOAL}
    return [f"{'met' if value is not None and value >= GOAL[target] else 'MISSED'}: {method}, {target}: "
            f"{'no figure' if value is None else f'{value:.3g}'} times fewer paths, at least {GOAL[target]:g}"
            for target, value in found.items()]  # fmt: skip


def shipped(work: dict) -> str:
    """The method that the workload's configuration file asks for."""
    from mcrisk.config.load import load_config

    wanted = load_config(work["config"]).variance_reduction
    read = {name: type(wanted).model_validate(yaml.safe_load(text)) for name, text in work["methods"].items()}
    return next(name for name, found in read.items() if found == wanted)


def table(rows: list[dict]) -> str:
    """Variance ratios, targets as columns."""
    names, methods = list(dict.fromkeys(r["target"] for r in rows)), list(dict.fromkeys(r["method"] for r in rows))
    at = {(r["method"], r["target"]): r for r in rows}
    shown = lambda v: "–" if v is None else f"{v:.2g}"  # noqa: E731
    lines = ["| method | " + " | ".join(names) + " | cost | ESS | largest weight |", "|" + "---|" * (len(names) + 4)]
    for m in methods:
        first = at[m, names[0]]
        cells = [shown(at[m, n]["variance_ratio"]) for n in names]
        ess = first["effective_paths"] / first["paths"]
        lines.append(f"| {m} | " + " | ".join(cells) + f" | {first['cost']:.2f} | {ess:.0%} | {first['largest_weight']:.2f} |")
    best = {n: max((r for r in rows if r["target"] == n and r["variance_ratio"]), key=lambda r: r["variance_ratio"]) for n in names}
    lines.append("| estimate (best) | " + " | ".join(f"{best[n]['estimate']:.3g}" for n in names) + " | | | |")
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="8 replicates, a quarter of the paths")
    arguments.add_argument("--only", choices=WORKLOADS, help="one workload")
    arguments.add_argument("--scale", type=float, default=1.0, help="times as many paths")
    arguments.add_argument("--json", type=Path, help="where to write the figures")
    arguments.add_argument("--judge", type=Path, metavar="FILE", help="say whether stored figures reach the goals, nothing else")
    arguments.add_argument("--twins", action="store_true", help="measure cheaper twins, nothing else")
    arguments.add_argument("--condensed", action="store_true", help="measure condensed books as control variates, nothing else")
    arguments.add_argument("--cell", nargs=2, action="append", metavar=("VENUE", "SCENARIO"),
                           help="with --condensed: these cells, whose rows in --json are replaced")  # fmt: skip
    asked = arguments.parse_args()
    if asked.judge:
        work = json.loads(asked.judge.read_text())["workloads"]["rare-loss"]
        told = judge(work["rows"], shipped(work))
        print("\n".join(told))
        sys.exit(any(line.startswith("MISSED") for line in told))
    if asked.twins or asked.condensed:
        cells = tuple(map(tuple, asked.cell or CELLS))
        there = json.loads(asked.json.read_text()) if asked.cell and asked.json and asked.json.exists() else {}
        others = [row for row in there.get("condensed", []) if (row["venue"], row["scenario"]) not in cells]
        rows = twins(256) if asked.twins else others + condensed(10_000, 1024, 1024 if asked.quick else 4096, cells)
        out = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "load": os.getloadavg()[0],
               "twins" if asked.twins else "condensed": rows}  # fmt: skip
        if asked.json:
            asked.json.write_text(json.dumps(out, indent=1) + "\n")
        return
    replicates = 8 if asked.quick else 32
    out = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.processor() or platform.machine(),
           "load": os.getloadavg()[0], "replicates": replicates, "workloads": {}}  # fmt: skip
    for name, work in WORKLOADS.items():
        if asked.only not in (None, name):
            continue
        paths = int(work.paths * asked.scale * (0.25 if asked.quick else 1.0)) // (64 * replicates) * 64 * replicates
        samples = {}
        for method, reduction in work.methods.items():
            samples[method] = drawn(work, reduction, max(paths, 64 * replicates), replicates)
            estimates(samples[method], work)
            print(f"{name}: {method} done", file=sys.stderr, flush=True)
        rows = compare(samples)
        out["workloads"][name] = {"config": work.config, "venue": work.venue, "scenario": work.scenario,
                                  "methods": work.methods, "rows": rows}  # fmt: skip
        print(f"\n{name}: {work.venue} × {work.scenario}\n{table(rows)}", flush=True)
        if name == "quickstart":
            out["workloads"][name]["twin"] = found = twin(work, max(paths // 2, 256))
            print(f"\ntwin without impact: {json.dumps(found)}", flush=True)
        if asked.json:
            asked.json.parent.mkdir(parents=True, exist_ok=True)
            asked.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
