"""Every risk number of a (venue, scenario) cell from its per-path results, each with an interval.

Money is in quote currency and, as `NAME_of_oi`, a share of one-sided open interest. Probabilities and shares are
fractions, times seconds. Names are those stored in `/metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from mcrisk.engine.records import PATH_FIELDS
from mcrisk.errors import RunFailed
from mcrisk.risk import intervals
from mcrisk.risk.intervals import NAN, Interval
from mcrisk.risk.weighted import Estimator, Plain, estimator

Array = NDArray[np.float64]

QUOTE, PROBABILITY, SHARE, COUNT, SECONDS, OF_OI = (
    "quote",
    "probability",
    "share",
    "accounts",
    "s",
    "share of open interest",
)
# who pays for losses, in the order a venue's ladder usually reaches them
PAYERS = ("traders_loss", "fund_loss", "backstop_loss", "adl_wealth", "settlement_cut", "unpaid")
DUST = 1e-10  # of one-sided open interest (half a cent on 50 million): what adding up money leaves is no loss
MAY_BE_NAN = ("depletion_time", "first_adl_time", "first_liquidation_time", "event_time", "deficit_48h")


@dataclass(frozen=True)
class Context:
    """What the per-path results do not say: one-sided open interest at the start (quote), level of the intervals."""

    open_interest: float
    level: float = 0.95

    @property
    def dust(self) -> float:
        """Amounts below this are rounding, quote."""
        return DUST * self.open_interest


@dataclass(frozen=True)
class Metric:
    """One number of a report. `resolved` is false when a bound is NaN: the sample cannot give it."""

    name: str
    unit: str
    estimate: float
    lower: float
    upper: float
    resolved: bool
    note: str = ""

    @property
    def interval(self) -> Interval:
        return Interval(self.estimate, self.lower, self.upper)


def metric(name: str, unit: str, interval: Interval, note: str = "") -> Metric:
    """A `Metric` from an interval."""
    return Metric(name, unit, *interval, interval.resolved, note)


def fund_need(paths: xr.Dataset) -> Array:
    """Per path [n], quote: the fund that would have paid everything, its drawdown plus what others paid in its place.

    Others: winners by ADL (wealth, not notional) and by settlement cuts, and whoever was left unpaid. A backstop
    keeps its own capital and counts as there.
    """
    get = Reader(paths)
    drawdown = np.maximum(get("fund_initial") - get("fund_min"), 0.0)
    return drawdown + get("unpaid") + get("adl_wealth") + get("settlement_cut")


def winners_haircut(paths: xr.Dataset) -> Array:
    """Per path, wealth taken from winners by ADL and settlement cuts over their profit before it, in [0, 1] [n]."""
    get = Reader(paths)
    taken, profit = get("adl_wealth") + get("settlement_cut"), get("winners_profit")
    return np.clip(np.divide(taken, profit, out=np.where(taken > 0, 1.0, 0.0), where=profit > 0), 0.0, 1.0)


def metrics(paths: xr.Dataset, context: Context) -> list[Metric]:
    """All risk numbers of one cell, in report order.

    Args:
        paths: variables over dim `path`, as in `/paths` of a run.

    Raises:
        RunFailed: a variable is missing, has another shape, or is NaN where it must not be.
    """
    if not context.open_interest > 0:
        raise ValueError("open interest must be positive")
    get, of = Reader(paths, dust=context.dust), estimator(paths, context.level)
    found: list[Metric] = []
    for group in (_fund, _bad_debt, _adl, _liquidations, _who_paid, _hidden, _times, _after_event):
        for item in group(get, paths, of):
            found.append(item)
            if item.unit == QUOTE:
                found.append(metric(f"{item.name}_of_oi", OF_OI, item.interval.over(context.open_interest), item.note))
    return found


def metric_names() -> tuple[str, ...]:
    """Names of all metrics, in report order."""
    nothing = xr.Dataset({field.name: ("path", np.zeros(2)) for field in PATH_FIELDS if field.name != "weight"})
    return tuple(item.name for item in metrics(nothing, Context(open_interest=1.0)))


def as_table(found: Sequence[Metric]) -> dict[str, Interval]:
    """Intervals by metric name."""
    return {item.name: item.interval for item in found}


class Reader:
    """Checked access to per-path variables as float64 [n]; amounts nobody pays below `dust` (quote) count as zero."""

    def __init__(self, paths: xr.Dataset, dust: float = 0.0) -> None:
        self.paths, self.dust = paths, dust

    def __call__(self, name: str) -> Array:
        if name not in self.paths:
            raise RunFailed(f"the results have no variable '{name}'", where="/paths")
        values = np.asarray(self.paths[name].values, np.float64)
        if values.ndim != 1 or values.size == 0:
            raise RunFailed(f"'{name}' has shape {values.shape}, not one number per path", where="/paths")
        if name not in MAY_BE_NAN and np.isnan(values).any():
            first = int(np.flatnonzero(np.isnan(values))[0])
            raise RunFailed(
                f"'{name}' is NaN on {int(np.isnan(values).sum())} paths, first {first}",
                where="/paths",
                why="a missing number is never taken as 0",
            )
        if name in ("unpaid", "bad_debt") and self.dust:
            values = np.where(np.abs(values) < self.dust, 0.0, values)
        return values


def _probability(name: str, hit: NDArray[np.bool_], of: Estimator, note: str = "") -> Metric:
    return metric(name, PROBABILITY, of.probability(hit), note)


def _tail(name: str, values: Array, of: Estimator, unit: str = QUOTE) -> Iterator[Metric]:
    """VaR at 99 and 99.9 %, ES at 99 %, for losses."""
    for q, label in ((0.99, "99"), (0.999, "999")):
        yield metric(f"var_{label}_{name}", unit, of.quantile(values, q), _short(values.size, q, of))
    yield metric(f"es_99_{name}", unit, of.shortfall(values, 0.99))


def _short(paths: int, q: float, of: Estimator) -> str:
    """Why a bound is missing; of weighted paths it is not their number that counts."""
    if not isinstance(of, Plain):
        return ""
    needed = intervals.paths_needed(q, of.level)
    return "" if paths >= needed else f"not resolved: an upper bound at {q:.1%} needs {needed:,} paths"


Group = Callable[[Reader, xr.Dataset, Estimator], Iterator[Metric]]


def _fund(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    yield _probability(
        "p_fund_depleted",
        np.isfinite(get("depletion_time")),
        of,
        "a loss met a fund that could not pay it; with no fund: any loss beyond collateral",
    )
    need = fund_need(paths)
    for q, label in ((0.99, "99"), (0.999, "999")):
        yield metric(f"required_fund_{label}", QUOTE, of.quantile(need, q), _short(need.size, q, of))
    yield from _tail("fund_loss", get("fund_loss"), of)


def _bad_debt(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    debt = get("bad_debt")
    yield _probability("p_bad_debt", debt > 0, of)
    yield metric("bad_debt_mean", QUOTE, of.mean(debt))
    yield from _tail("bad_debt", debt, of)


def _adl(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    accounts, notional = get("adl_accounts"), get("adl_notional")
    yield _probability("p_adl", accounts > 0, of)
    yield metric("adl_accounts_mean", COUNT, of.mean(accounts))
    yield metric("adl_notional_mean", QUOTE, of.mean(notional), "contracts closed at the ADL price")
    yield metric(
        "adl_notional_99", QUOTE, of.quantile(notional, 0.99), _short(notional.size, 0.99, of)
    )
    wealth = get("adl_wealth")
    yield metric("adl_wealth_99", QUOTE, of.quantile(wealth, 0.99), _short(wealth.size, 0.99, of))


def _liquidations(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    accounts, notional = get("liquidated_accounts"), get("liquidated_notional")
    yield _probability("p_liquidation", accounts > 0, of)
    yield metric("liquidated_accounts_mean", COUNT, of.mean(accounts))
    yield metric(
        "liquidated_accounts_99", COUNT, of.quantile(accounts, 0.99), _short(accounts.size, 0.99, of)
    )
    yield metric("liquidated_notional_mean", QUOTE, of.mean(notional))
    yield metric(
        "liquidated_notional_99", QUOTE, of.quantile(notional, 0.99), _short(notional.size, 0.99, of)
    )


def _who_paid(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    amounts = {name: get(name) for name in PAYERS}
    for name, values in amounts.items():
        yield metric(f"{name}_mean", QUOTE, of.mean(values))
    yield _probability("p_unpaid", amounts["unpaid"] > 0, of)
    # a fund that gained on a path paid nothing there; its gains are in fund_loss_mean
    paid = {name: np.maximum(values, 0.0) for name, values in amounts.items()}
    whole = np.sum(list(paid.values()), axis=0)
    for name, values in paid.items():
        yield metric(
            f"paid_by_{name}", SHARE, of.ratio(values, whole), "of all losses of all paths"
        )


def _hidden(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    latent, gap, haircut = get("latent_deficit"), get("mark_index_gap"), winners_haircut(paths)
    yield metric("latent_deficit_99", QUOTE, of.quantile(latent, 0.99), _short(latent.size, 0.99, of))
    yield metric(
        "winners_haircut_es99",
        SHARE,
        of.shortfall(haircut, 0.99, ceiling=1.0),
        "wealth taken by ADL and settlement cuts over winners' profit",
    )
    yield metric("mark_index_gap_50", SHARE, of.quantile(gap, 0.5))
    yield metric("mark_index_gap_99", SHARE, of.quantile(gap, 0.99), _short(gap.size, 0.99, of))
    largest = float(gap.max())
    yield metric(
        "mark_index_gap_max", SHARE, Interval(largest, largest, NAN), "largest seen; a maximum has no upper bound"
    )


def _times(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    adl, liquidation, event = get("first_adl_time"), get("first_liquidation_time"), get("event_time")
    yield _median("time_to_first_adl_median", adl, of, "from the start")
    yield _median("first_adl_after_event_median", adl - event, of, "from the event; negative: before it")
    yield _median("first_adl_after_liquidation_median", adl - liquidation, of, "from the first liquidation")


def _median(name: str, times: Array, of: Estimator, note: str) -> Metric:
    """Median over the paths that have the time at all."""
    has = np.isfinite(times)
    known, of = times[has], of.where(has)
    note = f"{note}; over {known.size} of {times.size} paths"
    return metric(name, SECONDS, of.quantile(known, 0.5) if known.size else Interval(NAN, NAN, NAN), note)


def _after_event(get: Reader, paths: xr.Dataset, of: Estimator) -> Iterator[Metric]:
    """Deficit within 48 hours of the event, over the paths that had one."""
    happened = np.isfinite(get("event_time"))
    deficit = get("deficit_48h")[happened]
    if deficit.size and np.isnan(deficit).any():
        raise RunFailed("'deficit_48h' is NaN on a path with an event", where="/paths")
    note = f"over {deficit.size} of {happened.size} paths with an event"
    if not deficit.size:
        for name in ("deficit_48h_mean", "var_99_deficit_48h", "var_999_deficit_48h", "es_99_deficit_48h"):
            yield metric(name, QUOTE, Interval(NAN, NAN, NAN), note)
        return
    of = of.where(happened)
    yield metric("deficit_48h_mean", QUOTE, of.mean(deficit), note)
    yield from _tail("deficit_48h", deficit, of)
