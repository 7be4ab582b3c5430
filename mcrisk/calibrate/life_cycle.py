"""Life-cycle priors from a table of counts with sources: how often filings are withdrawn or delayed, for how long, at what jump.

Formula   withdrawn w ~ Beta(½ + x, ½ + n − x) per filing over y years; per 30 days 1 − (1 − w)^(f·30 d/y), f ~ Gamma: factor
          of very large companies
          delayed ~ Beta(½ + x, ½ + n − x) per 30 days; feed errors per year ~ Gamma(½ + x, rate y), Jeffreys priors
          delay length log-normal: σ⁻² ~ Gamma((n − 1)/2, rate Σ(ln d − m)²/2), log median | σ ~ N(m, σ²/n), reference prior
          conversion jump Student t, 4 degrees of freedom: s⁻² ~ Gamma from the range of `conversion_scale`, updated with
          variance 2s² per jump; location | s ~ N(mean, 2s²/n), flat prior
Symbols   x of n seen, y years of exposure. Rows with a range instead of data (marker assumption) are laws with that mean and
          a 95 % interval as wide as the range.
Source    `configs/life-cycle/ipo.csv`, row by row; priors as in Gelman et al., Bayesian Data Analysis, ch. 2-3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from mcrisk.calibrate.history import read_frame
from mcrisk.calibrate.output import Table
from mcrisk.config import catalog
from mcrisk.config.scenario import Scenario
from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.risk.intervals import Interval

Array = NDArray[np.float64]
MONTH, YEAR_DAYS = 30.0, 365.0
COUNTS = ("withdrawn", "delayed", "feed_error")
LISTS = {"delay_days": 3, "conversion_jump": 1}  # fewest rows
RANGES = ("large_company_factor", "conversion_scale", "reset_down", "reset_up")
SELF_REFERENTIAL = 0.1  # of the rate of feed-based venues: assumption of configs/scenarios/combined.yaml
SETS = 200
_FIELDS = {
    "delay": "branches.near.delay", "cancel": "branches.near.cancel", "reset_down": "branches.near.reset_down",
    "reset_up": "branches.near.reset_up", "orderly": "branches.near.orderly", "length_median": "delay.length.median",
    "length_sigma": "delay.length.sigma_log", "jump_location": "listing.jump.location", "jump_scale": "listing.jump.scale",
    "feed_based": "feed_error.probability.feed_based", "self_referential": "feed_error.probability.self_referential",
}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """The rows of a table, checked. `rows[quantity]` are its rows in file order."""

    file: Path
    rows: dict[str, pd.DataFrame]

    def one(self, quantity: str) -> Any:
        return self.rows[quantity].iloc[0]

    def values(self, quantity: str) -> Array:
        return self.rows[quantity]["value"].to_numpy(np.float64)


@dataclass(frozen=True)
class Posterior:
    """Independent draws [n] of every parameter, with how each came about."""

    evidence: Evidence
    draws: dict[str, Array]

    def interval(self, name: str) -> Interval:
        """Posterior mean (median of a length) and central 95 % interval."""
        values = self.draws[name]
        centre = float(np.median(values)) if name.startswith("length") else float(values.mean())
        return Interval(centre, *(float(q) for q in np.quantile(values, (0.025, 0.975))))


def find(reference: str) -> Path:
    """A path, or the name of a shipped table. Raises InputError with the nearest name."""
    if not catalog.is_name(reference):
        return Path(reference)
    folder = catalog.root() / "life-cycle"
    known = sorted(file.stem for file in folder.glob("*.csv"))
    if reference not in known:
        raise InputError(
            f"unknown life-cycle table '{reference}'", "--life-cycle", f"known: {', '.join(known)}",
            catalog.suggest(reference, known) or "use one of these names, or a path ending in .csv",
        )  # fmt: skip
    return folder / f"{reference}.csv"


def read_evidence(file: Path) -> Evidence:
    """Raises InputError naming file, line and column: unknown or missing quantities, impossible counts, no source."""
    frame = read_frame(file, "the life-cycle table")
    known = (*COUNTS, *LISTS, *RANGES)
    for column in ("quantity", "value", "source", "marker"):
        if column not in frame.columns:
            raise InputError(
                f"the column '{column}' is missing", str(file), f"there are: {', '.join(frame.columns)}",
                "columns: quantity, value, of, unit, years, low, high, marker, source, note",
            )  # fmt: skip
    for column in ("of", "years", "low", "high"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce") if column in frame.columns else np.nan
    frame["value"] = pd.to_numeric(frame["value"], errors="coerce")
    for row in frame.itertuples():
        _check(row, f"{file}:{row.Index + 2}", known)
    counted = frame["quantity"].value_counts()
    for quantity in known:
        fewest = LISTS.get(quantity, 1)
        if counted.get(quantity, 0) < fewest or (quantity not in LISTS and counted[quantity] > 1):
            raise InputError(
                f"'{quantity}' has {counted.get(quantity, 0)} row(s)", str(file),
                f"it needs {fewest}{' or more' if quantity in LISTS else ', and no second one'}", "see configs/life-cycle/ipo.csv",
            )  # fmt: skip
    return Evidence(file, {q: frame[frame["quantity"] == q] for q in known})


def _check(row: Any, where: str, known: tuple[str, ...]) -> None:
    if row.quantity not in known:
        raise InputError(
            f"unknown quantity '{row.quantity}'", where, f"known: {', '.join(known)}", catalog.suggest(row.quantity, known)
        )
    if not math.isfinite(row.value):
        raise InputError(f"'{row.quantity}' has no value", where, "a missing number is never taken as 0", "fill it in")
    if not isinstance(row.source, str) or not row.source.strip():
        raise InputError(f"'{row.quantity}' has no source", where, None, "say where the number comes from, or 'none found'")
    if row.quantity in ("withdrawn", "delayed") and not 0 <= row.value <= row.of:
        raise InputError(f"{row.value:g} of {row.of:g} is no count", where, None, "value of: 0 <= value <= of")
    if row.quantity in ("withdrawn", "feed_error") and not row.years > 0:
        raise InputError(f"'{row.quantity}' needs years of exposure", where, "column years, a positive number", "fill it in")
    if row.quantity == "delay_days" and not row.value > 0:
        raise InputError("a delay must be a positive number of days", where, None, "correct it")
    if row.quantity in RANGES and not 0 < row.low < row.value < row.high:
        raise InputError(
            f"'{row.quantity}' needs a range around its value", where, "0 < low < value < high", "fill in low and high"
        )


# ------------------------------------------------------------------------------------------------ posteriors
@lru_cache
def ranged_beta(mean: float, low: float, high: float) -> Any:
    """Beta law with this mean whose central 95 % interval is as wide as [low, high]."""
    law = lambda n: stats.beta(mean * n, (1 - mean) * n)  # noqa: E731
    return law(_concentration(lambda n: law(n).ppf(0.975) - law(n).ppf(0.025) - (high - low)))


@lru_cache
def ranged_gamma(mean: float, low: float, high: float) -> Any:
    """Gamma law with this mean whose central 95 % interval is as wide as [low, high]."""
    law = lambda n: stats.gamma(n, scale=mean / n)  # noqa: E731
    return law(_concentration(lambda n: law(n).ppf(0.975) - law(n).ppf(0.025) - (high - low)))


@lru_cache
def precision_gamma(low: float, high: float) -> tuple[float, float]:
    """(shape, rate) of the Gamma law of s⁻² under which s lies in [low, high] with 95 %."""
    ratio = (high / low) ** 2
    shape = _concentration(lambda a: stats.gamma(a).ppf(0.975) / stats.gamma(a).ppf(0.025) - ratio)
    return shape, float(stats.gamma(shape).ppf(0.975)) * low**2


def _concentration(excess: Any) -> float:
    """Where a width that falls with concentration meets what is asked. Raises ValueError when it never does."""
    grid = np.geomspace(0.6, 1e5, 60)
    wide = [k for k, n in enumerate(grid) if excess(n) > 0]
    if not wide or wide[-1] == len(grid) - 1:
        raise ValueError("no law of this family is that wide or that narrow")
    return float(optimize.brentq(excess, grid[wide[-1]], grid[wide[-1] + 1]))


def posterior(evidence: Evidence, count: int = SETS, seed: int = 0) -> Posterior:
    """`count` independent draws of everything. Draws whose branch probabilities exceed 1 are made again.

    Raises InputError when a range belongs to no law of its family.
    """
    kept = {name: np.empty(0) for name in _FIELDS}
    rng = np.random.default_rng([seed, 2])
    for _ in range(100):
        batch = _batch(evidence, count, rng)
        possible = batch["orderly"] > 0
        kept = {name: np.concatenate([kept[name], batch[name][possible]]) for name in _FIELDS}
        if len(kept["orderly"]) >= count:
            return Posterior(evidence, {name: values[:count] for name, values in kept.items()})
    raise InputError(
        "the branch probabilities exceed 1 almost always", str(evidence.file), None, "check delayed, withdrawn and the ranges"
    )


def _batch(evidence: Evidence, count: int, rng: np.random.Generator) -> dict[str, Array]:
    draw = lambda law: law.rvs(count, random_state=rng)  # noqa: E731
    filings, late, errors = (evidence.one(name) for name in COUNTS)
    factor = draw(_law(evidence, "large_company_factor", ranged_gamma))
    withdrawn = draw(stats.beta(0.5 + filings.value, 0.5 + filings.of - filings.value))
    out = {
        "cancel": 1 - (1 - withdrawn) ** (factor * MONTH / (YEAR_DAYS * filings.years)),
        "delay": draw(stats.beta(0.5 + late.value, 0.5 + late.of - late.value)),
        "reset_down": draw(_law(evidence, "reset_down", ranged_beta)),
        "reset_up": draw(_law(evidence, "reset_up", ranged_beta)),
    }
    out["orderly"] = 1 - sum(out.values())
    rate = draw(stats.gamma(0.5 + errors.value, scale=1 / errors.years))
    out["feed_based"] = 1 - np.exp(-rate * MONTH / YEAR_DAYS)
    out["self_referential"] = 1 - np.exp(-SELF_REFERENTIAL * rate * MONTH / YEAR_DAYS)
    length = np.log(evidence.values("delay_days"))
    n, spread = len(length), float(((length - length.mean()) ** 2).sum())
    sigma = 1 / np.sqrt(draw(stats.gamma((n - 1) / 2, scale=2 / max(spread, 1e-12))))
    out["length_median"] = 86400.0 * np.exp(length.mean() + sigma / math.sqrt(n) * rng.standard_normal(count))
    out["length_sigma"] = sigma
    jumps, scale = evidence.values("conversion_jump"), evidence.one("conversion_scale")
    shape, prior = precision_gamma(scale.low, scale.high)
    n, spread = len(jumps), float(((jumps - jumps.mean()) ** 2).sum())
    s = 1 / np.sqrt(draw(stats.gamma(shape + (n - 1) / 2, scale=1 / (prior + spread / 4))))
    out["jump_scale"] = s
    out["jump_location"] = jumps.mean() + s * math.sqrt(2 / n) * rng.standard_normal(count)
    return out


def _law(evidence: Evidence, quantity: str, family: Any) -> Any:
    row = evidence.one(quantity)
    try:
        return family(row.value, row.low, row.high)
    except ValueError as error:
        raise InputError(
            f"'{quantity}' has an impossible range", str(evidence.file),
            f"[{row.low:g}, {row.high:g}] around {row.value:g}: {error}",
            "narrow it, or move the value to its middle",
        ) from None  # fmt: skip


# ------------------------------------------------------------------------------------------------ what is written
_FROM = {
    "delay": ("delayed",), "cancel": ("withdrawn", "large_company_factor"), "reset_down": ("reset_down",),
    "reset_up": ("reset_up",), "orderly": ("withdrawn", "large_company_factor", "delayed", "reset_down", "reset_up"),
    "length_median": ("delay_days",), "length_sigma": ("delay_days",), "jump_location": ("conversion_jump", "conversion_scale"),
    "jump_scale": ("conversion_scale", "conversion_jump"), "feed_based": ("feed_error",), "self_referential": ("feed_error",),
}  # fmt: skip


def assumed(found: Posterior, name: str) -> bool:
    """Whether an assumption, and not data alone, is behind a parameter."""
    rows = [row for quantity in _FROM[name] for row in found.evidence.rows[quantity].itertuples()]
    return name == "self_referential" or any(row.marker in ("assumption", "memory") for row in rows)


def sources(found: Posterior, name: str) -> str:
    """The rows behind a parameter, in words."""
    texts = [str(row.source) for quantity in _FROM[name] for row in found.evidence.rows[quantity].itertuples()]
    return "; ".join(dict.fromkeys(texts))


def override(found: Posterior, name: str, base: str = "combined") -> dict[str, Any]:
    """The scenario as what changes on `base`, with its parameter sets; a file of it is a scenario."""
    tree: dict[str, Any] = {"base": base, "name": name, "label": f"{name}: life cycle from {found.evidence.file.name}"}
    centre = {key: found.interval(key).estimate for key in _FIELDS}
    centre["orderly"] = 1 - sum(centre[key] for key in ("delay", "cancel", "reset_down", "reset_up"))
    for key, field in _FIELDS.items():
        *steps, last = field.split(".")
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
        node[last] = float(f"{centre[key]:.6g}") if key != "orderly" else centre[key]
    branches = tree["branches"]["near"]
    branches["orderly"] = 1 - sum(value for key, value in branches.items() if key != "orderly")
    tree["draws"] = {field: [float(x) for x in found.draws[key]] for key, field in _FIELDS.items()}
    tree["provenance+"] = [_note(found, key, field) for key, field in _FIELDS.items()]
    return tree


def _note(found: Posterior, key: str, field: str) -> dict[str, Any]:
    assumption = assumed(found, key)
    note = "mcrisk fit --life-cycle: posterior, 95 % as range" + ("; assumptions are behind it" if assumption else "")
    ends = [float(f"{x:.6g}") for x in found.interval(key)[1:]]
    return {"field": field, "source": sources(found, key), "marker": "calibrated", "assumption": assumption, "range": ends,
            "note": note}  # fmt: skip


def headline(found: Posterior) -> str:
    """The two chances that matter most, with their 95 % intervals."""
    parts = []
    for key, what in (("delay", "a delay"), ("cancel", "a cancellation")):
        chance, low, high = (fmt.percent(end) for end in found.interval(key))
        parts.append(f"{what} with probability {chance} [{low}, {high}]")
    return f"Within 30 days {' and '.join(parts)}."


def table(found: Posterior, prior: Scenario) -> Table:
    """Every parameter: posterior with interval, what the base scenario has, data or assumption, sources."""
    rows = []
    for key, field in _FIELDS.items():
        node: Any = prior
        for step in field.split("."):
            node = node[step] if isinstance(node, dict) else getattr(node, step, math.nan)
        rows.append((field, *found.interval(key), float(node), "yes" if assumed(found, key) else "no", sources(found, key)))
    columns = ("field", "estimate", "lower", "upper", f"in {prior.name}", "assumption behind it", "sources")
    note = "Posterior mean (length: median) and central 95 % interval; probabilities per 30 days, lengths in seconds."
    return Table("Life cycle", columns, tuple(rows), note)
