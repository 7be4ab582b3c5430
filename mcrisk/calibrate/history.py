"""A history of margin and results as a file, checked, and its whole backtest as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mcrisk.calibrate import backtest as tests
from mcrisk.calibrate.output import Table, certain
from mcrisk.config.catalog import suggest
from mcrisk.errors import InputError
from mcrisk.report import format as fmt

_MARGIN_NAMES = ("margin", "var")
_REJECT = 0.05


@dataclass(frozen=True)
class History:
    """Days in order. margin (or VaR) and es are positive amounts of loss, pnl is signed, all in one currency [T]."""

    date: NDArray[np.datetime64]
    margin: NDArray[np.float64]
    pnl: NDArray[np.float64]
    es: NDArray[np.float64] | None = None


def read_frame(file: Path, what: str) -> pd.DataFrame:
    """A CSV or Parquet file with lower-case column names. Raises InputError when it cannot be read or is empty."""
    if not file.is_file():
        raise InputError(f"{what} is no file", str(file), None, "give a CSV or Parquet file")
    try:
        frame = pd.read_parquet(file) if file.suffix in (".parquet", ".pq") else pd.read_csv(file)
    except Exception as error:  # pandas and pyarrow raise a dozen types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{what} cannot be read", str(file), reason[:200], "give a CSV or Parquet file") from None
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    twice = next((name for name in frame.columns if list(frame.columns).count(name) > 1), None)
    if twice is not None:
        raise InputError(f"the column '{twice}' occurs twice", str(file), None, "drop one of them")
    if frame.empty:
        raise InputError(f"{what} has no rows", str(file), None, None)
    return frame


def numbers(frame: pd.DataFrame, column: str, file: Path, *, positive: bool = False) -> NDArray[np.float64]:
    """A column as finite floats. Raises InputError naming the column (with the nearest one) or the first bad line."""
    if column not in frame.columns:
        raise InputError(
            f"the column '{column}' is missing", str(file), f"there are: {', '.join(frame.columns)}",
            suggest(column, frame.columns) or f"add a column named {column}",
        )  # fmt: skip
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(values) | (values <= 0 if positive else False)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"'{column}' is no {'positive ' if positive else ''}number in {int(bad.sum())} row(s), first "
            f"'{frame[column].iloc[row]}'", f"{file}:{row + 2}", "a missing number is never taken as 0",
            "correct or drop those rows",
        )  # fmt: skip
    return values


def read_history(file: Path) -> History:
    """Columns date, margin (or var), pnl and optionally es. Raises InputError naming file, line and column."""
    frame = read_frame(file, "the history")
    name = next((n for n in _MARGIN_NAMES if n in frame.columns), None)
    if name is None or "date" not in frame.columns:
        missing = "date" if "date" not in frame.columns else "margin"
        raise InputError(
            f"the column '{missing}' is missing", str(file), f"there are: {', '.join(frame.columns)}",
            "a history has the columns date, margin (or var), pnl and optionally es",
        )  # fmt: skip
    dates = pd.to_datetime(frame["date"], errors="coerce", utc=True, format="ISO8601").dt.tz_localize(None).to_numpy()
    late = np.flatnonzero(np.isnat(dates) | np.concatenate([[False], ~(dates[1:] > dates[:-1])]))
    if late.size:
        raise InputError(
            f"'{frame['date'].iloc[late[0]]}' is no date after the one before it", f"{file}:{late[0] + 2}",
            "days are ISO dates, strictly increasing", "sort the file and drop double days",
        )  # fmt: skip
    es = numbers(frame, "es", file, positive=True) if "es" in frame.columns else None
    history = History(dates, numbers(frame, name, file, positive=True), numbers(frame, "pnl", file), es)
    if es is not None and (es < history.margin).any():
        row = int(np.flatnonzero(es < history.margin)[0])
        raise InputError(
            f"es is smaller than {name}", f"{file}:{row + 2}", "the mean loss beyond a VaR cannot be below it",
            "check the columns; both are positive amounts of loss",
        )  # fmt: skip
    if len(dates) < 20:
        raise InputError(
            f"{len(dates)} days are too few to test anything", str(file), "even 250 days rarely tell 99 % from 98 %",
            "give at least 20 days",
        )  # fmt: skip
    return history


def backtest(history: History, level: float) -> tuple[list[Table], str]:
    """All tests of a history at `level` (0.99 = exceptions on 1 % of days): tables and one sentence.

    Raises InputError when the level is not between 0.5 and 1.
    """
    if not 0.5 < level < 1:
        raise InputError(f"the level {level:g} is not between 0.5 and 1", "--level", None, "e.g. --level 0.99")
    p, hits = 1.0 - level, history.pnl < -history.margin
    days, exceptions = len(hits), int(hits.sum())
    coverage = tests.kupiec(days, exceptions, p)
    apart = tests.christoffersen(tests.transitions(hits))
    both = tests.conditional_coverage(coverage, apart)
    light = tests.traffic_light(days, exceptions, p)
    rows = [
        (name, result.statistic, result.p_value, "rejected" if result.p_value < _REJECT else "not rejected")
        for name, result in (("coverage (Kupiec)", coverage), ("independence (Christoffersen)", apart),
                             ("conditional coverage", both))
    ]  # fmt: skip
    if history.es is not None:
        es = tests.acerbi_szekely(history.pnl, history.margin, history.es, p)
        worst = max(es.p_exponential, es.p_heavy)
        verdict = "rejected" if worst < _REJECT else "not rejected"
        rows.append(("expected shortfall (Acerbi–Szekely Z2)", es.z2, worst, verdict))
    measured = Table(
        f"Tests at {100 * level:.5g} %", ("test", "statistic", "p-value", "at 5 %"), tuple(rows),
        "p-values of likelihood ratios are asymptotic. Z2: the larger of the p-values under an exponential and a heavy "
        "tail with the stated VaR and ES; only too large losses count against the model.",
    )  # fmt: skip
    zone = Table(
        "Traffic light", ("zone", "exceptions", "expected", "P(at most as many)", "green up to", "yellow up to",
                          "Basel multiplier"),
        ((light.zone, exceptions, days * p, light.cumulative, light.green_up_to, light.yellow_up_to,
          light.multiplier if light.multiplier is not None else "only for 250 days at 99 %"),),
    )  # fmt: skip
    text = (
        f"{exceptions} losses beyond margin in {days} days, {days * p:.3g} expected: {light.zone} zone, coverage "
        f"{rows[0][-1]}.\n"
        f"Power is limited: with {days} days a true exception rate of {fmt.percent(2 * p)} instead of {fmt.percent(p)} is "
        f"detected by the coverage test with probability {fmt.percent(_power(days, p, 2 * p))}."
    )
    return [measured, zone, _swings(history)], text


def _power(days: int, p: float, true: float) -> float:
    """Probability that Kupiec's test at 5 % rejects `p` when the exception rate is `true`."""
    counts = np.arange(days + 1)
    from scipy import stats

    mass = stats.binom.pmf(counts, days, min(true, 1.0))
    seen = counts[mass > 1e-12]
    return float(sum(mass[x] for x in seen if tests.kupiec(days, int(x), p).p_value < _REJECT))


def _swings(history: History) -> Table:
    swing = tests.procyclicality(history.margin)
    rows = [("largest over smallest margin", swing.peak_to_trough), ("largest over mean margin", swing.peak_over_mean)]
    rows += [
        (f"largest rise within {n} day{'s' if n > 1 else ''}", certain(fmt.percent(rise), rise)) for n, rise in swing.rises.items()
    ]
    rows.append(("standard deviation of daily log changes", swing.volatility))
    note = "Through the cycle and short horizon; comparable between models only on the same constant portfolio."
    return Table("Procyclicality of margin", ("measure", "value"), tuple(rows), note)
