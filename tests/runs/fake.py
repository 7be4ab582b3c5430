"""A stand-in for the engine: same shapes, results a pure function of (cell, path number), nothing heavy imported."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from mcrisk.config.target import Target
from mcrisk.runs import fingerprint
from mcrisk.runs.plan import Layout, Plan, Variant
from mcrisk.runs.progress import reporter
from mcrisk.runs.session import Engine, _finish, plan_of, run_with
from mcrisk.runs.store import RunStore, write_block

VENUES = ("kraken-preipo", "okx-preipo-perp")
SCENARIOS = ("baseline", "valuation_reset", "cancellation")
ACCOUNTS, BINS, TIMES, PRICE_BINS = 5, 8, 4, 16
BANDS = ("last", "index", "mark", "funding", "fund")


@dataclass(frozen=True)
class Field:
    name: str
    dtype: str
    unit: str
    text: str


FIELDS = (
    Field("fund_minimum", "float64", "quote", "smallest insurance fund"),
    Field("liquidated_accounts", "int32", "1", "accounts liquidated at least once"),
    Field("first_liquidation_time", "float64", "seconds", "NaN = none"),
    Field("branch", "int8", "", "which branch of a mixture"),
    Field("depleted", "bool", "", "the fund was empty once"),
)


@dataclass(frozen=True)
class Result:
    paths: dict[str, np.ndarray]
    accounts: dict[str, np.ndarray]
    bands: dict[str, np.ndarray]
    seconds: float


@dataclass(frozen=True)
class Task:
    venue: str
    scenario: str
    delay: float = 0.0
    trap: str = ""  # see `_spring`


def layout() -> Layout:
    edges = {band: {venue: np.linspace(-1.0, 1.0, PRICE_BINS + 1) for venue in VENUES} for band in BANDS}
    return Layout(
        fields=FIELDS,
        account_ids={venue: tuple(f"{venue[:2]}-{i}" for i in range(ACCOUNTS)) for venue in VENUES},
        pnl_edges={venue: np.linspace(-1.0, 1.0, BINS + 1) for venue in VENUES},
        pnl_unit="quote",
        band_times=np.linspace(-3600.0, 3600.0, TIMES),
        band_edges=edges,
    )


def plan(paths: int = 96, block: int = 32, variants: tuple[Variant, ...] = ()) -> Plan:
    return Plan(VENUES, SCENARIOS, paths, block, layout(), variants)


def tasks(delay: float = 0.0, trap: str = "", variants: tuple[Variant, ...] = ()) -> dict[tuple[str, str, str], Task]:
    cells = {("", v, s): Task(v, s, delay, trap) for v in VENUES for s in SCENARIOS}
    return cells | {(k.name, v, s): Task(v, s, delay, trap) for k in variants for v in k.venues for s in k.scenarios}


def run_block(task: Task, first_path: int, n: int, forced: float | None = None) -> Result:
    """`engine.simulate.run_block`, invented numbers."""
    if task.trap:
        _spring(Path(task.trap), task)
    time.sleep(task.delay)
    u = np.stack([_draws(task, path) for path in range(first_path, first_path + n)])  # [n, accounts]
    fund = 2 * u[:, 0] - 1 + (forced or 0.0)
    hit = u < 0.3
    paths = {
        "fund_minimum": fund,
        "liquidated_accounts": hit.sum(axis=1).astype(np.int32),
        "first_liquidation_time": np.where(hit.any(axis=1), u[:, 1] * 1e5, np.nan),
        "branch": (u[:, 2] * 3).astype(np.int8),
        "depleted": fund < 0,
    }
    pnl = 2 * u - 1
    bins = np.minimum((u * BINS).astype(int), BINS - 1)
    accounts = {
        "liquidated": hit.sum(axis=0).astype(np.int64),
        "deleveraged": (u > 0.9).sum(axis=0).astype(np.int64),
        "pnl_sum": pnl.sum(axis=0),
        "pnl_histogram": np.stack([np.bincount(b, minlength=BINS) for b in bins.T]).astype(np.int32),
    }
    rows = np.minimum((u[:, :TIMES] * PRICE_BINS).astype(int), PRICE_BINS - 1)
    counts = np.stack([np.bincount(r, minlength=PRICE_BINS) for r in rows.T]).astype(np.int32)
    return Result(paths, accounts, {band: counts for band in BANDS}, 0.01)


def _draws(task: Task, path: int) -> np.ndarray:
    seed = [path, *f"{task.venue}/{task.scenario}".encode()]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).random(ACCOUNTS)


def _spring(trap: Path, task: Task) -> None:
    """`FOLDER/kill-N`: the first N calls kill their worker. `FOLDER/full`: the disk is full. `FOLDER/fault`: a bug."""
    name, _, count = trap.name.partition("-")
    if name == "kill":
        for k in range(int(count)):
            try:
                os.close(os.open(trap.parent / f"sprung-{k}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
    elif name == "full":
        raise OSError(28, "No space left on device")
    elif name == "fault":
        raise ZeroDivisionError("a bug in the engine")


# ---------------------------------------------------------------------- a config and an engine around it
@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Execution:
    block_paths: int = 32
    workers: int | None = 1
    scheduler: str | None = None

    def model_copy(self, update: dict) -> Execution:
        return replace(self, **update)


@dataclass(frozen=True)
class Config:
    """What `session` reads of a RunConfig."""

    paths: int = 96
    seed: int = 7
    name: str = "fake"
    delay: float = 0.0
    trap: str = ""
    variants: tuple[Variant, ...] = ()
    execution: Execution = Execution()
    venues: tuple[Named, ...] = tuple(Named(v) for v in VENUES)
    scenarios: tuple[Named, ...] = tuple(Named(s) for s in SCENARIOS)

    target: tuple[Target, ...] = ()

    def model_copy(self, update: dict) -> Config:
        return replace(self, **update)

    def model_dump(self, mode: str = "json") -> dict:
        return {"name": self.name, "paths": self.paths, "seed": self.seed, "venues": list(VENUES)}


def engine(**changes) -> Engine:
    """Knows nothing of risk but the mean of one number."""
    parts = {
        "backend": "fake",
        "layout": lambda config: layout(),
        "prepare": lambda config, venue, scenario: Task(venue, scenario, config.delay, config.trap),
        "run_block": run_block,
        "variants": lambda config: config.variants,
        "summarise": _summarise,
        "identity": lambda config: {"source": "fake"},  # colleagues edit the real engine while these tests run
    }
    return Engine(**{**parts, **changes})


def _summarise(tree: xr.DataTree, config: Config) -> dict[str, xr.Dataset]:
    mean = tree["paths"]["fund_minimum"].mean("path").values
    value = np.stack([mean, mean - 1, mean + 1], axis=-1)[:, :, None, :]
    coords = {
        "venue": [v.name for v in config.venues],
        "scenario": [s.name for s in config.scenarios],
        "metric": ["mean_fund"],
        "bound": ["estimate", "lower", "upper"],
    }
    return {"metrics": xr.Dataset({"value": (("venue", "scenario", "metric", "bound"), value)}, coords)}


def run_here(config: Config, out: Path) -> None:
    """The run of a config without any cluster, block after block in this process: what all others must equal."""
    identity = fingerprint.identity(config.model_dump(), "fake", source="fake")
    with RunStore.open(out, plan_of(config, engine()), identity, {"name": config.name, "sessions": []}) as store:
        plan = store.plan
        for block in store.pending():
            result = run_block(Task(block.venue, block.scenario), block.first_path, block.n)
            write_block(str(store.path), f"here-{plan.paths}", store.plan, block, result)
        _finish(store, config, engine())
        store.note(complete=True)


def main(argv: list[str]) -> None:
    """`python -m tests.runs.fake OUT PATHS WORKERS DELAY TRAP`: a run in its own process, for tests that kill it."""
    out, paths, workers, delay, trap = argv
    scenarios = Config.scenarios[:1] if out.startswith("s3:") else Config.scenarios  # moto is slow
    config = Config(
        int(paths), delay=float(delay), trap=trap, execution=Execution(workers=int(workers)), scenarios=scenarios
    )
    print(run_with(engine(), config, out, reporter()), flush=True)


if __name__ == "__main__":
    import sys

    from tests.runs import fake  # so that workers know the functions by a name they can import

    fake.main(sys.argv[1:])
