"""What moved between runs, by how much, and whether by more than noise.

Runs whose cells share seed, scenario name and market names met the same worlds path by path; their differences are
taken path by path over the paths both have. All others are compared as independent samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.report import names
from mcrisk.report.source import Run, VenueInfo
from mcrisk.risk import differences
from mcrisk.risk.differences import MEASURES, VARIABLES, Measure
from mcrisk.risk.intervals import Interval
from mcrisk.risk.weighted import Estimator, estimator

LEVEL = 0.95
MOVED, PERHAPS, NOISE, SAME, OPEN = "moved", "perhaps", "within noise", "identical", "not resolved"


@dataclass(frozen=True)
class Change:
    """One number of one cell in two runs; money is a share of each run's own open interest where `unit` says so."""

    venue: str
    scenario: str
    metric: str
    unit: str
    old: Interval
    new: Interval
    difference: Interval  # new − old at 95 %
    verdict: str
    cushion: str = "fund"  # what the newer run's venue has, see VenueInfo.cushion

    @property
    def worse(self) -> bool:
        """Whether the number went up; every number here is better small."""
        return self.difference.estimate > 0


@dataclass
class Comparison:
    """One run against another."""

    old: Run
    new: Run
    paired: bool
    why: str  # why paired or not, for people
    paths: tuple[int, int]  # compared of each run
    changes: list[Change]
    alone: list[str]  # cells only one run has
    level_each: float  # level of one interval at which "moved" is called, so that all of them together hold 95 %

    def count(self, verdict: str) -> int:
        return sum(c.verdict == verdict for c in self.changes)

    @property
    def moved(self) -> list[Change]:
        """Changes beyond noise, largest first, the headline scenario before the others."""
        headline = self.new.scenarios[self.new.headline]
        found = [c for c in self.changes if c.verdict == MOVED]
        return sorted(found, key=lambda c: (c.scenario != headline, -abs(c.difference.estimate)))


def compare(old: Run | str | Path, new: Run | str | Path, measures: Sequence[Measure] = MEASURES) -> Comparison:
    """Every number that both runs can give, cell by cell.

    A number "moved" only if its interval excludes zero at a level raised for the number of comparisons (Bonferroni), so
    that a comparison of two equal runs cries wolf in 5 % of all comparisons, not in 5 % of all numbers. "perhaps" is
    what excludes zero at 95 % alone.

    Raises InputError when a store cannot be read or no cell is in both runs.
    """
    a, b = (run if isinstance(run, Run) else Run.open(run) for run in (old, new))
    paired, why = common_draws(a, b)
    n = (min(a.n_paths, b.n_paths),) * 2 if paired else (a.n_paths, b.n_paths)
    cells = [
        (x, y, s) for x in a.venues for y in b.venues if x.name == y.name for s in _common(a.scenarios, b.scenarios)
    ]
    if not cells:
        raise InputError(
            "the runs have no venue and scenario in common", f"{a.path}, {b.path}",
            f"venues {fmt.join([v.name for v in a.venues])} against {fmt.join([v.name for v in b.venues])}",
            "compare runs of the same venues and scenarios",
        )  # fmt: skip
    usable = [m for m in measures if _has(a, m) and _has(b, m)]
    level = 1 - (1 - LEVEL) / max(1, len(cells) * len(usable))
    changes = [change for x, y, scenario in cells for change in _cell(a, b, x, y, scenario, usable, n, paired, level)]
    return Comparison(a, b, paired, why, n, changes, _alone(a, b), level)


def common_draws(a: Run, b: Run) -> tuple[bool, str]:
    """Whether path k of both runs met the same draws, and why."""
    seeds = [run.attrs.get("seed", run.config.get("seed")) for run in (a, b)]
    if seeds[0] is None or seeds[0] != seeds[1]:
        return False, f"different seeds ({seeds[0]}, {seeds[1]}): independent samples, intervals are wider"
    worlds = [[str(m.get("name")) for m in run.config.get("markets") or () if isinstance(m, dict)] for run in (a, b)]
    if sorted(worlds[0]) != sorted(worlds[1]):
        return False, "different market names: other worlds, independent samples"
    return True, f"the same seed {seeds[0]}, scenario and market names: the same worlds, path by path"


def _common(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return [name for name in first if name in second]


def _has(run: Run, measure: Measure) -> bool:
    """Whether the store has what the measure reads."""
    try:
        measure.of(run.paths.isel(venue=0, scenario=0, path=slice(0, 1)))
    except Exception:  # a missing variable; KeyError or RunFailed, as the measure has it
        return False
    return True


def _cell(
    a: Run, b: Run, x: VenueInfo, y: VenueInfo, scenario: str, measures: Sequence[Measure], n: tuple[int, int],
    paired: bool, level: float,
) -> list[Change]:  # fmt: skip
    """All changes of one (venue, scenario)."""
    old, new = (_read(run, v, scenario, k) for run, v, k in ((a, x, n[0]), (b, y, n[1])))
    sizes = (x.open_interest, y.open_interest)
    as_share = all(fmt.known(size) and size > 0 for size in sizes)
    found = []
    for measure in measures:
        before, after = measure.of(old), measure.of(new)
        unit = "quote" if measure.money else ""
        if measure.money and as_share:
            before, after, unit = before / sizes[0], after / sizes[1], "share of open interest"
        at = [differences.estimate(measure, values, of=of) for values, of in zip((before, after), _counted(old, new))]
        plain, strict = (
            differences.difference(measure, after, before, paired=paired, level=one, of=_counted(new, old, one))
            for one in (LEVEL, level)
        )
        found.append(Change(x.name, scenario, measure.name, unit, *at, plain, judge(plain, strict), y.cushion))
    return found


def _counted(one: xr.Dataset, other: xr.Dataset, level: float = LEVEL) -> tuple[Estimator, Estimator]:
    """How the paths of two cells count."""
    return estimator(one, level), estimator(other, level)


def _read(run: Run, venue: VenueInfo, scenario: str, paths: int) -> xr.Dataset:
    at = {"venue": venue.index, "scenario": run.scenarios.index(scenario), "path": slice(0, paths)}
    return run.paths[[n for n in VARIABLES if n in run.paths]].isel(at).load()


def judge(plain: Interval, strict: Interval) -> str:
    """Word for a difference, from its 95 % interval and from the one that holds for all numbers at once."""
    if plain == (0.0, 0.0, 0.0):
        return SAME
    if any(math.isnan(v) for v in plain):
        return OPEN
    if _off_zero(strict):
        return MOVED
    return PERHAPS if _off_zero(plain) else NOISE


def _off_zero(found: Interval) -> bool:
    return bool(found.lower > 0 or found.upper < 0)


def _alone(a: Run, b: Run) -> list[str]:
    """What only one of the runs has."""
    lines = []
    for run, other in ((a, b), (b, a)):
        venues = [v.name for v in run.venues if v.name not in [w.name for w in other.venues]]
        scenarios = [s for s in run.scenarios if s not in other.scenarios]
        if venues or scenarios:
            lines.append(f"only in {run.path or run.name}: {fmt.join(venues + scenarios)}")
    return lines


def sentence(found: Comparison) -> str:
    """The comparison in one or two sentences."""
    n, total = found.count(MOVED), len(found.changes)
    if found.count(SAME) == total:
        return "Nothing moved: every path of both runs ended the same."
    perhaps = found.count(PERHAPS)
    maybe = f"; {perhaps} more may have" if perhaps else ""
    if not n:
        return f"None of {total} numbers moved by more than noise{maybe}."
    top = found.moved[0]
    return f"{n} of {total} numbers moved by more than noise{maybe}. Most: {spelled(top)}."


def spelled(change: Change) -> str:
    """'kraken-preipo, combined: P(fund gone) +2.1 pp (1.2 to 3.0 pp), from 10 % to 12 %'."""
    show = printed(change)
    name = names.label(change.metric, change.cushion)
    return (
        f"{change.venue}, {change.scenario.replace('_', ' ')}: {name} {show(change.difference.estimate, True)} "
        f"({show(change.difference.lower, True)} to {show(change.difference.upper, True)}), "
        f"from {show(change.old.estimate, False)} to {show(change.new.estimate, False)}"
        + (" of open interest" if change.unit.startswith("share") else "")
    )


def printed(change: Change):
    """How a value (or, with True, a difference) of this change is written."""

    def show(value: float, is_difference: bool) -> str:
        if change.unit == "quote":
            return ("+" if is_difference and value > 0 else "") + fmt.money(value)
        return fmt.points(value) if is_difference else fmt.percent(value)

    return show
