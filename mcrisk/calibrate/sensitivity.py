"""What a number depends on: one input at a time, all together (Sobol), two at once (map), always on the same draws.

Formula   tornado: metric(low) − metric(base) and metric(high) − metric(base), paired path by path
          Sobol indices by Saltelli's scheme (SALib): S1 = Var E[Y|x_i]/Var Y, ST = share that vanishes if x_i is fixed
Source    Saltelli et al. 2010; SALib. Common draws make Y a deterministic function of the inputs, so no index pays for noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcrisk.calibrate.evaluate import Job, Outcome, Runner, known_metric
from mcrisk.calibrate.output import Picture, Range, Table, shown
from mcrisk.calibrate.words import change_of, is_share, name_of, range_of, scenario_of, text_of, title_of, value_of
from mcrisk.calibrate.world import job_at
from mcrisk.config.run import RunConfig
from mcrisk.config.study import Sensitivity
from mcrisk.report import format as fmt
from mcrisk.report.format import NOT_RESOLVED
from mcrisk.report.svg import Plot, Scale, linear, text_at
from mcrisk.risk.intervals import NAN, Interval, paired_difference

Array = NDArray[np.float64]
_LETTER, _LONGEST = 7.0, 56  # width of a letter in a wide figure, generously; letters of the longest title drawn


@dataclass(frozen=True)
class Bar:
    """One input of the tornado: values and paired differences at both ends."""

    name: str
    low: float
    high: float
    at_low: Interval
    at_high: Interval

    @property
    def reach(self) -> float:
        return max(abs(self.at_low.estimate), abs(self.at_high.estimate))


def tornado(study: Sensitivity, run: RunConfig, compute: Runner) -> tuple[Interval, list[Bar]]:
    """The metric at the base and the effect of each input, largest first. Raises InputError for an unknown metric."""
    jobs = [Job(run, study.paths)] + [job_at(run, [i], [s], study.paths) for i in study.inputs for s in (0.0, 1.0)]
    base, *ends = compute(jobs)
    known_metric(study.metric, base.table, f"{study.name}: metric")
    bars = [
        Bar(item.name, item.low, item.high, *(_change(end, base, study.metric) for end in ends[2 * k : 2 * k + 2]))
        for k, item in enumerate(study.inputs)
    ]
    return base.table[study.metric], sorted(bars, key=lambda bar: -bar.reach)


def _change(end: Outcome, base: Outcome, metric: str) -> Interval:
    """Paired where the metric is a mean over paths; quantiles get the difference alone."""
    if metric in base.samples:
        return paired_difference(end.samples[metric], base.samples[metric])
    return Interval(end.table[metric].estimate - base.table[metric].estimate, NAN, NAN)


def sobol(study: Sensitivity, run: RunConfig, compute: Runner, seed: int = 0) -> Table:
    """First-order and total indices with 95 % intervals."""
    from SALib.analyze import sobol as analysis
    from SALib.sample import sobol as sample

    names = [title_of(item) for item in study.inputs]
    problem = {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}
    points = sample.sample(problem, study.sobol, calc_second_order=False, seed=seed)
    found = compute([job_at(run, study.inputs, point, study.paths) for point in points])
    y = np.array([outcome.table[study.metric].estimate for outcome in found])
    if not np.ptp(y) > 0:
        rows = tuple((name, _index(0.0, NAN), _index(0.0, NAN)) for name in names)
    else:
        s = analysis.analyze(problem, y, calc_second_order=False, seed=seed)
        rows = tuple(
            (name, _index(s["S1"][k], s["S1_conf"][k]), _index(s["ST"][k], s["ST_conf"][k]))
            for k, name in enumerate(names)
        )
    note = (f"Share of the variation of the {name_of(study.metric)}, {len(points):,} evaluations. First order: alone. Total: with "
            "everything it interacts with. 95 % intervals; ends below 0 or above 1 are noise.")  # fmt: skip
    ordered = tuple(sorted(rows, key=lambda row: -row[2].interval[0]))
    return Table("Sobol indices", ("input", "first order", "total"), ordered, note)


def _index(value: float, half: float) -> Range:
    """An index as people read it: two decimals."""
    ends = [NOT_RESOLVED if math.isnan(half) else f"{end:.2f}" for end in (value - half, value + half)]
    text = f"{value:.2f} [{ends[0]}, {ends[1]}]".replace("-", "−")
    return Range(text, (value, value - half, value + half))


def heat_map(study: Sensitivity, run: RunConfig, compute: Runner) -> tuple[Table, Picture]:
    """The metric over two inputs: a table and a chart."""
    known = {item.name: item for item in study.inputs}
    pair, shares = [known[name] for name in study.map], np.linspace(0.0, 1.0, study.map_steps)
    points = [(a, b) for a in shares for b in shares]
    found = compute([job_at(run, pair, point, study.paths) for point in points])
    rows = tuple(
        (*(value_of(item, item.at(share)) for item, share in zip(pair, point)), range_of(study.metric, outcome.table[study.metric]))
        for point, outcome in zip(points, found)
    )  # fmt: skip
    table = Table("Map of two inputs", (*map(title_of, pair), name_of(study.metric)), rows, "95 % intervals.")
    values = np.array([outcome.table[study.metric].estimate for outcome in found]).reshape(len(shares), len(shares))
    return table, draw_map(values, pair[0], pair[1], study.metric)


def draw_map(values: Array, x: object, y: object, title: str) -> Picture:
    """Cells [x, y] shaded by value, with the number in each."""
    n, low, span = len(values), float(np.nanmin(values)), float(np.ptp(values)) or 1.0
    steps = np.linspace(0.0, 1.0, n)
    scales = [Scale(0, n, [(k + 0.5, str(value_of(item, item.at(s)))) for k, s in enumerate(steps)]) for item in (x, y)]
    height = max(90 + 40 * n, 30 + round(_LETTER * len(title_of(y))))  # its title stands upright beside it
    plot = Plot(*scales, title_of(x), title_of(y), f"map of {name_of(title)}", 80 + 64 * n, height, left=76)
    for i in range(n):
        for j in range(n):
            depth = 0.06 + 0.8 * (values[i, j] - low) / span
            plot.shapes.append(
                f'<rect fill="#b23a08" fill-opacity="{depth:.3f}" x="{plot.px(i)}" y="{plot.py(j + 1)}" '
                f'width="{plot.px(i + 1) - plot.px(i):.1f}" height="{plot.py(j) - plot.py(j + 1):.1f}"/>'
            )
            plot.text(i + 0.5, j + 0.5, text_of(title, float(values[i, j])), "value", "middle", dy=4)
    return Picture(str(plot.render()), f"{title_of(x)} against {title_of(y)}", f"The darker a cell, the larger: {name_of(title)}.")


def tornado_table(study: Sensitivity, base: Interval, bars: Sequence[Bar]) -> Table:
    """One row per input, largest effect first."""
    metric, items = study.metric, {item.name: item for item in study.inputs}
    rows = tuple(
        (title_of(item), value_of(item, b.low), value_of(item, b.high), change_of(metric, b.at_low), change_of(metric, b.at_high))
        for b in bars
        for item in [items[b.name]]
    )
    columns = ("input", "low", "high", "change at low", "change at high")
    note = f"{name_of(metric)}: {range_of(metric, base)} at the base. Changes are paired on common draws, 95 % intervals."
    return Table("One input at a time", columns, rows, note[0].upper() + note[1:])


def sentence(study: Sensitivity, base: Interval, bars: Sequence[Bar], indices: Table | None) -> str:
    """What the number is, what moves it most, and what explains most of its variation."""
    metric, top = study.metric, bars[0]
    item = next(i for i in study.inputs if i.name == top.name)
    ends = ((top.low, top.at_low), (top.high, top.at_high))
    moves = " and ".join(f"{change_of(metric, gap)} at {value_of(item, value)}" for value, gap in ends)
    name = name_of(metric)
    where = f"at {study.venue} under {scenario_of(study.scenario)}"
    lines = [f"The {name}, {where} depends most on {title_of(item)}: {moves}."]
    lines.append(f"At the base it is {range_of(metric, base)}.")
    if indices is not None:
        first, total = indices.rows[0][0], indices.rows[0][2].interval
        lines.append(
            f"Over the whole ranges, {fmt.percent(min(total[0], 1.0))} of its variation goes away when {first} is known (total "
            f"Sobol index, 95 %: {total[1]:.2f} to {total[2]:.2f})."
            if total[1] > 0 else f"The Sobol indices are not resolved: use a larger sample than sobol: {study.sobol}."
        )
    return "\n".join(lines)


def tornado_figure(study: Sensitivity, bars: Sequence[Bar]) -> Picture:
    """Two bars per input under its title, its low end above its high end, with whiskers for the intervals."""
    ends = [abs(v) for bar in bars for v in (*bar.at_low, *bar.at_high) if v == v]
    reach = max(ends, default=0.0) * 1.05 or 1.0
    count, titles = len(bars), {item.name: _short(title_of(item)) for item in study.inputs}
    plot = Plot(
        linear(-reach, reach, fmt.points if is_share(study.metric) else (lambda v: shown(float(v)))), Scale(0, count, []),
        f"change of {name_of(study.metric)}", "", f"{study.name}: tornado", 420, 50 * count + 70, left=14,
    )  # fmt: skip
    for k, bar in enumerate(bars):
        y = count - k - 0.5
        for effect, style, shift in ((bar.at_low, "s0", 0.0), (bar.at_high, "s1", -0.24)):
            plot.bar(0.0, effect.estimate, y + shift - 0.1, y + shift + 0.1, style)
            if effect.resolved:
                plot.line([effect.lower, effect.upper], [y + shift, y + shift], "w")
        plot.front.append(text_at(plot.left, plot.py(y + 0.25), titles[bar.name], "tick"))
        plot.line([0.0, 0.0], [y + 0.14, y - 0.38], "w")
    see = "What the number depends on most stands on top; thin lines are 95 % intervals."
    legend = (("bar s0", "input at its low end"), ("bar s1", "input at its high end"))
    return Picture(str(plot.render()), "One input at a time", see, legend)


def _short(title: str) -> str:
    """A title that leaves room for the bars."""
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1]}…"
