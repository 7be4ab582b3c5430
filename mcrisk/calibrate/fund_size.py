"""How large the insurance fund should be: the cheapest one, given what it costs to hold and what a shortfall costs.

Formula   min over IF of  r·IF + κ·E[(D − IF)⁺]   ⇒   IF* = quantile of D at 1 − r/κ
Symbols   D the fund that would have paid for everything on a path (risk.headline.fund_need), quote; r the cost of keeping
          one unit of fund over the run's horizon; κ the cost of one unit of loss the fund cannot pay.
Source    newsvendor argument; Chitra, arXiv 2512.01112 (IF* = VaR_(1 − r/κ)(D)), worked example W-CH-4.
Limits    D is measured with the rulebook's own fund in place. Where the fund triggers ADL, another fund would move D a
          little; run the chosen fund once more to see it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcrisk.calibrate.output import Picture, Range, Table, certain, money_range
from mcrisk.calibrate.words import range_of, scenario_of
from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.report.svg import Plot, linear
from mcrisk.risk.intervals import Interval, paths_needed
from mcrisk.risk.weighted import Estimator, Plain

Array = NDArray[np.float64]
_CURVE = 81  # funds on the cost curve


@dataclass(frozen=True)
class FundSize:
    """The cheapest fund for one sample of deficits. Money in quote currency, `level` two-sided.

    need: the quantile with its distribution-free interval (order statistics). cost: expected cost at the estimate.
    present: the fund the run had, NaN when not known, and what it costs.
    curve: columns fund, cost, lower, upper [n, 4].
    """

    name: str
    paths: int
    q: float
    need: Interval
    cost: Interval
    present: float
    present_cost: Interval
    shortfall_probability: float
    curve: Array
    note: str = ""


def quantile_level(cost_rate: float, penalty: float) -> float:
    """1 − r/κ. Raises InputError unless 0 < r and 0 < κ; 0 when holding costs as much as a shortfall, or more."""
    for label, value in (("--cost-rate", cost_rate), ("--penalty", penalty)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(
                f"{label.strip('-')} must be a positive number, not {value}", f"{label} {value}",
                "both are costs per unit of fund over the run's horizon", "e.g. --cost-rate 0.01 --penalty 10",
            )  # fmt: skip
    return max(0.0, 1.0 - cost_rate / penalty)


def size_fund(
    deficits: ArrayLike, cost_rate: float, penalty: float, *, name: str = "", present: float = math.nan,
    level: float = 0.95, of: Estimator | None = None,
) -> FundSize:  # fmt: skip
    """The cheapest fund for deficits D per path [n], quote ≥ 0; `of` says how paths count (`risk.weighted`), None = alike.

    An upper bound that the sample is too short for is NaN, and `note` says how many paths it takes.
    Raises InputError for costs that are not positive.
    """
    d, of = np.asarray(deficits, np.float64), of or Plain(level)
    q = quantile_level(cost_rate, penalty)
    if q == 0.0:
        need, note = Interval(0.0, 0.0, 0.0), "holding a fund costs as much as a shortfall: no fund is cheapest"
    else:
        need, wanted = of.quantile(d, q), paths_needed(q, level)
        short = isinstance(of, Plain) and d.size < wanted
        note = f"an upper bound at {_level(q)} takes {wanted:,} paths, there are {d.size:,}" if short else ""
    ends = [value for value in (need.estimate, need.upper, present) if math.isfinite(value)]
    top = 1.25 * max([*ends, float(np.quantile(d, 0.99))]) or 1.0
    funds = np.unique(np.concatenate([np.linspace(0.0, top, _CURVE), ends]))
    curve = np.array([(fund, *_cost(d, fund, cost_rate, penalty, of)) for fund in funds])
    known = Interval(math.nan, math.nan, math.nan)
    return FundSize(
        name, d.size, q, need, _cost(d, need.estimate, cost_rate, penalty, of), present,
        _cost(d, present, cost_rate, penalty, of) if math.isfinite(present) else known,
        of.probability(d > need.estimate).estimate, curve, note,
    )  # fmt: skip


def _cost(d: Array, fund: float, cost_rate: float, penalty: float, of: Estimator) -> Interval:
    """Expected cost of one fund. The shortfall's interval decides; the holding cost is certain."""
    shortfall = of.mean(np.maximum(d - fund, 0.0))
    return Interval(*(cost_rate * fund + penalty * value for value in shortfall))


def mixture(samples: Mapping[str, ArrayLike], weights: Mapping[str, float], seed: int = 0) -> Array:
    """An independent sample of the mixture, drawn from each scenario's paths without replacement.

    Labels are drawn by weight, then each scenario gives its first paths. So the result is a plain sample and the
    intervals of order statistics hold for it exactly; a weighted quantile would have none that is distribution-free.

    Raises InputError: unknown scenario, negative weights, weights that do not sum to one.
    """
    total = math.fsum(weights.values())
    for name, weight in weights.items():
        if name not in samples:
            raise InputError(
                f"the run has no scenario '{name}'", f"--mixture {name}={weight:g}", f"it has {', '.join(samples)}", None
            )
        if not weight >= 0:
            raise InputError("a weight is negative", f"--mixture {name}={weight:g}", None, "give probabilities")
    if abs(total - 1.0) > 1e-9:
        raise InputError(
            f"the weights sum to {total:g}, not 1", "--mixture", "they are probabilities of scenarios that exclude "
            "each other", "add what is missing, e.g. as weight of baseline",
        )  # fmt: skip
    used = {name: np.asarray(samples[name], np.float64) for name, weight in weights.items() if weight > 0}
    shares = np.array([weights[name] / total for name in used])
    sizes = np.array([len(values) for values in used.values()])
    rng = np.random.default_rng(seed)
    count = int(np.min(sizes / shares))
    while True:
        drawn = rng.multinomial(count, shares)
        if (drawn <= sizes).all():
            return np.concatenate([values[:n] for values, n in zip(used.values(), drawn)])
        count = int(count * 0.99) if count > 100 else count - 1


def parse_mixture(text: str) -> dict[str, float]:
    """`baseline=0.9,valuation_reset=0.1` as weights. Raises InputError on anything else."""
    found: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(
                f"'{part}' is no weight", f"--mixture {text}", None, "write SCENARIO=PROBABILITY, separated by commas"
            )
    return found


def answer(found: Mapping[str, list[FundSize]], cost_rate: float, penalty: float) -> str:
    """Per venue the scenario that asks for the largest fund; then what is meant by it."""
    most = {venue: max(sizes, key=lambda s: s.need.estimate) for venue, sizes in found.items()}
    head = "The cheapest fund, in the scenario that asks for most: "
    head += "; ".join(_told(venue, size) for venue, size in most.items()) + "."
    if len(most) > 2:
        short = [venue for venue, size in most.items() if size.present < size.need.estimate]
        far = max(short or most, key=lambda venue: most[venue].need.estimate - most[venue].present)
        head = (f"{len(short)} of {len(most)} venues hold less than the cheapest fund of the scenario that asks for most; "
                f"furthest from it in money is {_told(far, most[far])}.")  # fmt: skip
    return (
        f"{head}\n"
        f"The cheapest fund covers the deficit on {_level(quantile_level(cost_rate, penalty))} of paths (1 − {cost_rate:g}/"
        f"{penalty:g}). Deficit: the fund that would have paid everything on a path, so that nobody was auto-deleveraged, cut or "
        "left unpaid. Judge by the upper end of the interval. The deficit was measured with the present fund in place."
    )


def _told(venue: str, size: FundSize) -> str:
    now = f", now {fmt.money(size.present)}" if math.isfinite(size.present) else ""
    return f"{venue} {fmt.money(size.need.estimate)} quote (under {scenario_of(size.name)}{now})"


def _level(q: float) -> str:
    return f"{100 * q:.6g} %"


def overview(found: Mapping[str, list[FundSize]], open_interest: Mapping[str, float]) -> Table:
    """One row per venue: the scenario that asks for most, its cheapest fund in quote and of open interest, the fund now."""
    rows = []
    for venue, sizes in found.items():
        most, interest = max(sizes, key=lambda s: s.need.estimate), open_interest[venue]
        share = Range(range_of("fund_size", Interval(*(end / interest for end in most.need))), [e / interest for e in most.need])
        now = certain(fmt.percent(most.present / interest), most.present / interest)
        rows.append((venue, scenario_of(most.name), money_range(*most.need), share, float(most.present), now))
    columns = ("venue", "scenario that asks for most", "cheapest fund, quote [95 %]", "of open interest [95 %]", "fund now, quote",
               "of open interest")  # fmt: skip
    return Table("Cheapest fund by venue", columns, tuple(rows), "Judge by the upper end of the interval.")


def table(sizes: list[FundSize], venue: str) -> Table:
    """One row per scenario or mixture of one venue."""
    rows = tuple(
        (s.name, s.paths, money_range(*s.need), money_range(*s.cost), float(s.present),
         money_range(*s.present_cost), certain(fmt.percent(s.shortfall_probability), s.shortfall_probability), s.note)
        for s in sizes
    )  # fmt: skip
    columns = ("scenario", "paths", "cheapest fund [95 %]", "its cost [95 %]", "fund now", "cost now [95 %]",
               "P(deficit > cheapest)", "note")  # fmt: skip
    return Table(f"Cheapest fund, {venue}", columns, rows, "Quote currency; costs over the run's horizon.")


def curve_table(sizes: list[FundSize], venue: str) -> Table:
    """The cost curves as numbers, one row per scenario and fund."""
    rows = tuple((s.name, *(float(v) for v in point)) for s in sizes for point in s.curve)
    return Table(f"Cost curve, {venue}", ("scenario", "fund", "cost", "lower", "upper"), rows)


def figure(size: FundSize, venue: str) -> Picture:
    """The cost curve with its 95 % band, the cheapest fund and the present one."""
    fund, cost, low, high = size.curve.T
    tops = [v for v in (*cost, *high) if math.isfinite(v)]
    plot = Plot(
        linear(0.0, float(fund[-1]), fmt.money), linear(0.0, max(*tops, 1e-9), fmt.money), "fund, quote",
        "expected cost, quote", f"{venue}, {size.name}: cost of a fund", width=400, left=72,
    )  # fmt: skip
    plot.band(fund, low, high, "s0")
    plot.line(fund, cost, "s0")
    plot.vertical(size.need.estimate, "cheapest", "s2")
    if math.isfinite(size.present):
        plot.vertical(size.present, "now", "s1", row=1)
    see = ("The lowest point of the curve is the cheapest fund; to its left losses cost more, to its right capital does. "
           "The band ends where the sample is too short for an upper bound.")  # fmt: skip
    name, chapter = scenario_of(size.name), "What a fund costs"
    return Picture(str(plot.render()), f"{venue}, {name}: cost of a fund", see, group=venue, panel=name, chapter=chapter)
