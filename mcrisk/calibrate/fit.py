"""`mcrisk fit`: a price model, with the uncertainty of its parameters, from candles; a liquidity model from order books.

Intervals: parametric bootstrap of the whole procedure for volatility, regimes and basis (log scale, mirrored, so that a
biased estimator's interval moves the other way); exact Poisson, gamma and binomial laws for the jumps that were seen.
Files: the columns ccxt produces (timestamp in ms, open, high, low, close, volume), CSV or Parquet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mcrisk.calibrate import estimate as est
from mcrisk.calibrate.history import numbers, read_frame
from mcrisk.calibrate.output import Table
from mcrisk.config.prices import PriceModel
from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.risk.intervals import NAN, Interval

Array = NDArray[np.float64]
MEAN_UP_MOST = 0.95  # a double-exponential law with mean 1 or more has no expected price
FEWEST, MOST = 300, 6_000  # returns; longer series are sampled more coarsely


@dataclass(frozen=True)
class Candles:
    """Closing prices on an even clock. `gaps`: candles missing inside the span; spread: half spread, fraction."""

    close: Array
    dt: float
    gaps: int
    spread: float


@dataclass(frozen=True)
class Fit:
    """Estimates with 95 % intervals by name, the bootstrap's replicates [B] by name, and facts about the data."""

    candles: Candles
    dt: float
    values: dict[str, Interval]
    replicates: dict[str, Array]
    jumps: tuple[est.Jumps, est.Jumps]
    jump_share: float


def read_candles(file: Path) -> Candles:
    """Raises InputError naming file, line and column; prices must be positive, times even and increasing."""
    frame = read_frame(file, "the candle file")
    time, close = _times(frame, file), numbers(frame, "close", file, positive=True)
    high, low = (numbers(frame, c, file, positive=True) if c in frame.columns else close for c in ("high", "low"))
    wrong = np.flatnonzero((high < low) | (close > high * (1 + 1e-9)) | (close < low * (1 - 1e-9)))
    if wrong.size:
        raise InputError(
            f"{wrong.size} candle(s) whose close lies outside low and high", f"{file}:{wrong[0] + 2}", None,
            "check the columns; ccxt's order is timestamp, open, high, low, close, volume",
        )  # fmt: skip
    step = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    if len(time) < FEWEST + 1:
        raise InputError(
            f"{len(time)} candles are too few to fit volatility, jumps and regimes", str(file),
            f"at least {FEWEST + 1} are needed; the model has ten parameters", "give a longer history or finer candles",
        )  # fmt: skip
    places = np.rint((time - time[0]) / step).astype(np.int64)
    if (np.diff(places) < 1).any():
        row = int(np.flatnonzero(np.diff(places) < 1)[0]) + 1
        raise InputError(
            "candles are closer together than the usual distance", f"{file}:{row + 2}", f"usual: {step:g} s",
            "give one file per timeframe",
        )  # fmt: skip
    gaps = int(places[-1] + 1 - len(time))
    if gaps > 0.2 * len(time):
        raise InputError(
            f"{gaps} of {places[-1] + 1} candles are missing", str(file), "gaps look like jumps", "give a gapless stretch"
        )
    even = close[np.searchsorted(places, np.arange(places[-1] + 1), side="right") - 1]  # a gap holds the last price
    if not np.ptp(np.log(even)) > 0:
        raise InputError("the price never moves", str(file), None, "give a market that trades")
    return Candles(even, step, gaps, _half_spread(close, high, low))


def _times(frame: Any, file: Path) -> Array:
    """Seconds; ccxt writes milliseconds, other exports ISO texts or seconds."""
    import pandas as pd

    name = next((n for n in ("timestamp", "time", "date", "datetime") if n in frame.columns), "timestamp")
    if name in frame.columns and not pd.api.types.is_numeric_dtype(frame[name]):
        parsed = pd.to_datetime(frame[name], utc=True, errors="coerce", format="ISO8601")
        time = parsed.astype("int64").to_numpy(np.float64) / {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}[parsed.dt.unit]
        time[parsed.isna().to_numpy()] = math.nan
    else:
        time = numbers(frame, name, file)
        time = time / 1000.0 if np.median(time) > 1e11 else time
    bad = np.flatnonzero(np.isnan(time) | np.concatenate([[False], ~(time[1:] > time[:-1])]))
    if bad.size:
        raise InputError(
            f"'{frame[name].iloc[bad[0]]}' is no time after the one before it", f"{file}:{bad[0] + 2}",
            "milliseconds since 1970, or ISO-8601, strictly increasing", "sort the file and drop double candles",
        )  # fmt: skip
    return time


def _half_spread(close: Array, high: Array, low: Array) -> float:
    """Half spread from closes and mid-ranges (Abdi & Ranaldo 2017), fraction of price; 0 when not visible."""
    c, middle = np.log(close), 0.5 * (np.log(high) + np.log(low))
    squared = 4.0 * float(np.mean((c[:-1] - middle[:-1]) * (c[:-1] - middle[1:])))
    return 0.5 * math.sqrt(max(squared, 0.0))


def fit(candles: Candles, resamples: int = 60, seed: int = 0) -> Fit:
    """Fit the model and its uncertainty. Raises InputError for fewer than 20 resamples."""
    if resamples < 20:
        raise InputError(f"{resamples} resamples give no 95 % interval", "--resamples", None, "20 or more, 60 is usual")
    every = max(1, -(-(len(candles.close) - 1) // MOST))
    dt, r = every * candles.dt, np.diff(np.log(candles.close[::every]))
    point = est.estimate(r[None, :], dt)[0]
    _, up, down = est.find_jumps(r)
    copies = est.estimate(est.simulate(point, resamples, len(r), dt, seed), dt)
    replicates = {n: np.array([getattr(c, n) for c in copies]) for n in est.Parameters.names()}
    values = {n: _mirrored(getattr(point, n), replicates[n], n) for n in replicates}
    years = len(r) * dt / est.YEAR
    values |= _jump_intervals(up, down, years)
    return Fit(candles, dt, values, replicates, (up, down), est.jump_share(r))


def _mirrored(value: float, copies: Array, name: str) -> Interval:
    """Basic bootstrap on a scale without ends: logarithm, or logit for the share of time."""
    known = copies[np.isfinite(copies)]
    if not math.isfinite(value) or value <= 0 or known.size < 20:
        return Interval(value, NAN, NAN)
    forward, back = _scale(name)
    low, high = np.quantile(forward(np.maximum(known, 1e-12)), (0.025, 0.975))
    centre = forward(value)
    return Interval(value, float(back(2 * centre - high)), float(back(2 * centre - low)))


def _scale(name: str) -> tuple[Any, Any]:
    """A scale without ends and the way back: logit for a share, else logarithm."""
    return (_logit, lambda z: 1 / (1 + np.exp(-z))) if name.startswith("share") else (np.log, np.exp)


def _logit(p: Any) -> Any:
    return np.log(p / (1 - p))


def _jump_intervals(up: est.Jumps, down: est.Jumps, years: float) -> dict[str, Interval]:
    """Rates by the Poisson law of those seen, means by the gamma law of their excess, p_up by Jeffreys."""
    seen, rate = up.count + down.count, up.rate + down.rate
    growth = rate / seen if seen else 1.0  # jumps too small to be seen
    ends = stats.chi2.ppf((0.025, 0.975), (2 * max(seen, 1e-9), 2 * seen + 2)) / 2
    found = {"per_year": Interval(rate / years, float(ends[0]) * growth / years, float(ends[1]) * growth / years)}
    share = stats.beta.ppf((0.025, 0.975), up.count + 0.5, down.count + 0.5)
    found["p_up"] = Interval(up.rate / rate if rate else NAN, float(share[0]), float(share[1]))
    for name, side in (("mean_up", up), ("mean_down", down)):
        if side.count < est.FEW_JUMPS:
            found[name] = Interval(NAN, NAN, NAN)
            continue
        low, high = stats.chi2.ppf((0.975, 0.025), 2 * side.count)
        found[name] = Interval(side.mean, 2 * side.count * side.mean / low, 2 * side.count * side.mean / high)
    return found


_FIELDS = {
    "calm": "volatility.calm", "stressed": "volatility.stressed", "share_of_time_stressed": "volatility.share_of_time_stressed",
    "mean_stay_stressed": "volatility.mean_stay_stressed", "per_year": "jumps.per_year", "p_up": "jumps.p_up",
    "mean_up": "jumps.mean_up", "mean_down": "jumps.mean_down", "basis_sd": "basis.sd", "basis_half_life": "basis.half_life",
}  # fmt: skip


def draws(found: Fit, seed: int = 0) -> dict[str, Array]:
    """Parameter sets as likely as the fit, [B] per parameter of the price model; the same index belongs together.

    Volatility, regimes and basis: the replicates, mirrored as the intervals are, and kept inside them (a replicate that
    found no basis at all says nothing about its half-life). Jumps: posterior of the counts and excesses that were seen,
    Gamma(n + ½) for the count of a side, inverse Gamma for its mean, Jeffreys priors; too small jumps are added anew for
    each mean. Sides that are not resolved keep their mean, parameters without an interval their value.
    """
    rng, count = np.random.default_rng([seed, 1]), len(next(iter(found.replicates.values())))
    out: dict[str, Array] = {}
    for name in ("calm", "stressed", "share_of_time_stressed", "mean_stay_stressed", "basis_sd", "basis_half_life"):
        interval, copies = found.values[name], found.replicates[name]
        if interval.resolved:
            forward, back = _scale(name)
            mirrored = back(2 * forward(interval.estimate) - forward(np.maximum(copies, 1e-12)))
            out[name] = np.clip(np.where(np.isfinite(mirrored), mirrored, interval.estimate), *interval[1:])
    years, rates = (len(found.candles.close) - 1) * found.candles.dt / est.YEAR, []
    for name, side in zip(("mean_up", "mean_down"), found.jumps):
        rate, growth = rng.gamma(side.count + 0.5, 1.0, count), 1.0
        if found.values[name].resolved:
            mean = side.count * side.mean / rng.gamma(side.count, 1.0, count)
            out[name] = np.clip(mean, *found.values[name][1:])
            growth = np.exp(side.threshold / out[name])
        rates.append(rate * growth)
    out["mean_up"] = np.minimum(out["mean_up"], MEAN_UP_MOST) if "mean_up" in out else np.array([])
    total = rates[0] + rates[1]
    out |= {"per_year": total / years, "p_up": rates[0] / total}
    return {name: out[name] for name in _FIELDS if name in out and len(out[name])}


def price_model(found: Fit, base: PriceModel, name: str, source: str) -> PriceModel:
    """The fitted model with its draws; what the candles cannot give stays as in `base`, marked as an assumption there."""
    value = {key: interval.estimate for key, interval in found.values.items()}
    kept = {key: value[key] for key in ("mean_up", "mean_down", "p_up") if math.isfinite(value[key])}
    kept = {key: min(v, MEAN_UP_MOST) if key == "mean_up" else v for key, v in kept.items()}
    old = base.jumps.model_dump() if base.jumps.law == "kou" else {}
    jumps = {"p_up": 0.5, "mean_up": 0.1, "mean_down": 0.1} | old | kept
    jumps |= {"law": "kou", "per_year": value["per_year"]}
    volatility = {"kind": "two_regime"} | {
        key: value[key] for key in ("calm", "stressed", "share_of_time_stressed", "mean_stay_stressed")
    }
    basis = base.basis.model_dump() | {"sd": value["basis_sd"], "half_life": value["basis_half_life"]}
    used = {*volatility, "per_year", *kept, "basis_sd", "basis_half_life"}
    fitted = {field: key for key, field in _FIELDS.items() if key in used}
    sets = {_FIELDS[key]: tuple(float(f"{x:.6g}") for x in values) for key, values in draws(found).items()}
    notes = [
        {"field": field, "source": source, "marker": "calibrated", "note": "mcrisk fit; 95 % interval as range"}
        | ({"range": list(found.values[key][1:])} if found.values[key].resolved else {})
        for field, key in fitted.items()
    ]
    notes += [n.model_dump() for n in base.provenance if n.field not in fitted and n.field != "volatility"]
    tree = base.model_dump() | {"name": name, "volatility": volatility, "jumps": jumps, "basis": basis, "draws": sets}
    return PriceModel.model_validate(tree | {"provenance": notes})


def headline(found: Fit) -> str:
    """What the candles say, with 95 % intervals."""
    (vol, low, high), jumps = (tuple(map(fmt.percent, found.values["volatility"])), found.values["per_year"])
    seen = sum(side.count for side in found.jumps)
    often = f"about {fmt.number(jumps.estimate)} jumps a year [{fmt.number(jumps.lower)}, {fmt.number(jumps.upper)}]"
    days = len(found.candles.close) * found.candles.dt / 86400.0
    swings = f"a volatility of {vol} a year [{low}, {high}]"
    return f"{fmt.number(days)} days of candles give {swings} and {often}, of which {seen} were seen."


def tables(found: Fit) -> list[Table]:
    """Parameters with intervals, and what the data say about themselves."""
    units = {"mean_stay_stressed": "s", "basis_half_life": "s", "per_year": "1/year", "p_up": "1",
             "share_of_time_stressed": "1", "volatility": "per year", "calm": "per year", "stressed": "per year"}  # fmt: skip
    rows = tuple((name, *interval, units.get(name, "log price")) for name, interval in found.values.items())
    data = (
        ("candles", float(len(found.candles.close))), ("days", len(found.candles.close) * found.candles.dt / 86400.0),
        ("seconds between returns used", found.dt), ("missing candles, last price held", float(found.candles.gaps)),
        ("jumps up / down seen", f"{found.jumps[0].count} / {found.jumps[1].count}"),
        ("share of variance from jumps (bipower)", found.jump_share),
        ("half spread, fraction (Abdi-Ranaldo)", found.candles.spread),
    )  # fmt: skip
    return [
        Table("Parameters", ("parameter", "estimate", "lower", "upper", "unit"), rows,
              "95 % intervals. Not resolved: fewer than three jumps on that side; the base model's number is kept."),
        Table("Data", ("what", "value"), data),
    ]  # fmt: skip


def draws_table(found: Fit) -> Table:
    """Parameter sets as likely as the fit, one per row: those of `parameters: bootstrap`."""
    sets = draws(found)
    return Table("Draws", tuple(sets), tuple(zip(*(map(float, values) for values in sets.values()))))
