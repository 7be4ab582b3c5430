"""One rulebook under one scenario → its risk numbers, on draws that all candidates share.

Blocks come straight from `engine.simulate`, in this process or on dask workers. Which paths are drawn depends on
(seed, scenario name, market name, path) only, so candidates of one seed see the same world (common random numbers), and
changing numbers of a rulebook compiles nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mcrisk.config.catalog import suggest
from mcrisk.config.run import RunConfig
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError, RunFailed
from mcrisk.risk import headline, intervals, means
from mcrisk.risk.headline import Context, metrics
from mcrisk.risk.intervals import Interval

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """One evaluation: a run with one venue and one scenario, `paths` paths from the first on."""

    config: RunConfig
    paths: int


@dataclass(frozen=True)
class Outcome:
    """What a job found: intervals by metric and the per-path values [n] behind those that are means over paths."""

    table: dict[str, Interval]
    samples: dict[str, Array]


Runner = Callable[[Sequence[Job]], list[Outcome]]


def job(base: RunConfig, venue: Venue, scenario: str, paths: int, seed: int | None = None, **changes: Any) -> Job:
    """A job of `base`'s world. `changes` replace whole fields of the run, e.g. scenarios or liquidity."""
    chosen = tuple(s for s in changes.pop("scenarios", base.scenarios) if s.name == scenario)
    update: dict[str, Any] = {"venues": (venue,), "scenarios": chosen, **changes}
    if seed is not None:
        update["seed"] = seed
    return Job(base.model_copy(update=update), paths)


def evaluate(task: Job) -> Outcome:
    """Simulate one job in this process."""
    from mcrisk.engine.simulate import book_of, prepare, run_block

    config = task.config
    if config.variance_reduction.asked:
        weighted = config.variance_reduction.active
        raise InputError(
            "this run draws weighted paths" if weighted else "this run has a control variate", "variance_reduction",
            "decisions compare candidates path by path on common draws, whose paths must count alike",
            "leave variance_reduction out of the run that is studied",
        )  # fmt: skip
    venue, scenario = config.venues[0], config.scenarios[0]
    values = run_block(prepare(config, venue.name, scenario.name), 0, task.paths).paths
    book = book_of(config, venue.name)
    paths = xr.Dataset({name: ("path", column) for name, column in values.items()})
    interest = venue.contract.open_interest * sum(m.open_interest_multiple for m in config.markets)
    prices = np.array([m.initial_price or venue.contract.initial_price for m in config.markets])
    posted = float(book.equity(prices).sum())
    return measure(paths, interest, tied_up(config, venue, book) / interest, posted / interest)


def tied_up(config: RunConfig, venue: Venue, book: Any) -> float:
    """Initial margin that the book's positions need at the start, quote."""
    from mcrisk.book.tiers import initial_margin, tier_arrays

    total, margin = 0.0, venue.pre.margin
    tiers = tier_arrays(margin)
    for m, market in enumerate(config.markets):
        price = market.initial_price or venue.contract.initial_price
        needed = initial_margin(margin, tiers, book.quantity[:, m], price, venue.contract.contract_size)
        total += float(needed.sum())
    return total


def measure(paths: xr.Dataset, open_interest: float, margin: float, posted: float) -> Outcome:
    """All metrics of `risk.headline` and those that a decision trades them against.

    Args:
        margin: initial margin tied up over one-sided open interest, known without simulation; posted: equity of all
            accounts at the start, likewise.
    """
    table = {m.name: m.interval for m in metrics(paths, Context(open_interest))}
    samples = means.samples(paths, open_interest)
    for name, values in samples.items():
        table.setdefault(name, intervals.mean(values))
    fund = float(paths["fund_initial"][0]) / open_interest
    certain = {"initial_margin": margin, "equity_posted": posted, "fund_size": fund}
    table |= {name: Interval(value, value, value) for name, value in certain.items()}
    return Outcome(table, samples)


@cache
def metric_names() -> tuple[str, ...]:
    """Every metric a study may name."""
    return tuple(dict.fromkeys((*headline.metric_names(), *means.NAMES, *_CERTAIN)))


def known_metric(name: str, table: Collection[str], where: str) -> None:
    """Raises InputError with the nearest name unless the metric exists."""
    if name not in table:
        raise InputError(
            f"unknown metric '{name}'", where or None, "metrics are those of a run, and " + ", ".join(sorted(OWN)),
            suggest(name, table) or "see /metrics of any run",
        )  # fmt: skip


_CERTAIN = ("initial_margin", "equity_posted", "fund_size")
OWN = (*_CERTAIN, "winners_haircut_mean", "avoidable_liquidation", "fund_pnl_mean")


@contextmanager
def runner(workers: int, scheduler: str | None = None, heard: Callable[[], None] = lambda: None) -> Iterator[Runner]:
    """How jobs are computed: here, on `workers` dask processes, or on the cluster at the address `scheduler`.

    `heard` is called after every job, on a cluster from another thread.

    Results do not depend on it: the backend is the one found here, wherever a job runs.
    Raises InputError when the cluster cannot be reached, RunFailed when it loses a job.
    """
    if workers <= 1 and scheduler is None:
        yield lambda jobs: [_heard(evaluate(task), heard) for task in jobs]
        return
    from mcrisk.runs.execute import Crew

    with Crew(workers, scheduler) as crew:
        yield lambda jobs: _on_cluster(crew, workers, jobs, heard)


def _heard(outcome: Outcome, heard: Callable[[], None]) -> Outcome:
    heard()
    return outcome


def _on_cluster(crew: Any, workers: int, jobs: Sequence[Job], heard: Callable[[], None]) -> list[Outcome]:
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    client, _ = crew.ready(workers)
    try:
        futures = client.map(evaluate, [_pinned(task) for task in jobs], pure=False, retries=1)
        for future in futures:
            future.add_done_callback(lambda _: heard())
        return client.gather(futures)
    except (KilledWorker, FutureCancelledError, OSError) as error:
        raise RunFailed(
            f"the cluster lost an evaluation: {type(error).__name__}", None, str(error)[:200],
            "repeat the same command: a calibration continues where it stopped",
        ) from None  # fmt: skip


def _pinned(task: Job) -> Job:
    """The job with its backend decided here, so that a worker without a compiler is an error and not other bits."""
    from mcrisk.engine.backends import resolve

    execution = task.config.execution
    pinned = execution.model_copy(update={"backend": resolve(execution.backend)})
    return Job(task.config.model_copy(update={"execution": pinned}), task.paths)
