"""Reverse stress: the mildest combination of shocks that breaks a limit, and the whole boundary around it.

Each input goes from harmless (share 0) to the worst that is plausible (share 1). Severity of a combination is the length of
the vector of shares over √inputs: 0 = nothing happens, 1 = everything at its worst. Along many directions from the harmless
corner each ray is scanned, and the first crossing refined by bisection, on the same draws everywhere. Losses of one payer
need not grow with every shock: what a thin book cannot close goes to ADL instead of the fund.

Source    reverse stress testing as asked for by EBA/GL/2018/04 and PFMI principle 4; the severity is this project's own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from mcrisk.calibrate.evaluate import Runner, known_metric
from mcrisk.calibrate.output import Picture, Table, shown
from mcrisk.calibrate.words import name_of, range_of, text_of, title_of, value_of
from mcrisk.calibrate.world import job_at
from mcrisk.config.run import RunConfig
from mcrisk.config.study import ReverseStress
from mcrisk.errors import InputError
from mcrisk.report.svg import Plot, linear
from mcrisk.risk.intervals import Interval

Array = NDArray[np.float64]
_MAPS = 3  # planes drawn


@dataclass(frozen=True)
class Ray:
    """One direction: the shares at which the limit first breaks (NaN = never), severity, the metric just beyond.

    holds_again: further out the limit is met once more (a thinner book, say, moves losses from the fund to ADL).
    """

    direction: tuple[float, ...]
    shares: tuple[float, ...]
    severity: float
    found: Interval
    holds_again: bool = False

    @property
    def breaks(self) -> bool:
        return math.isfinite(self.severity)


def directions(count: int, more: int) -> list[Array]:
    """Axes, three rays in the plane of every pair, the main diagonal, and `more` spread evenly; the largest share of each is 1."""
    unit = np.eye(count)
    pairs = list(itertools.combinations(unit, 2))
    found = [*unit, *(a + b for a, b in pairs), *(p for a, b in pairs for p in (a + 0.5 * b, 0.5 * a + b))]
    if count > 2:
        found.append(np.ones(count))
    if more and count > 1:
        spread = qmc.Halton(count, scramble=True, rng=0).random(more)
        found += [point / point.max() for point in spread]
    return found


def boundary(study: ReverseStress, run: RunConfig, compute: Runner) -> list[Ray]:
    """Every ray's first break, mildest first; all rays are bisected together, one batch per halving.

    Raises InputError: unknown metric, the limit is broken already at the harmless corner, or nowhere at all.
    """
    rays = directions(len(study.inputs), study.directions)
    steps = np.arange(1, study.scan + 1) / study.scan
    points = [0 * rays[0], *(step * ray for ray in rays for step in steps)]
    origin, *found = compute([job_at(run, study.inputs, point, study.paths) for point in points])
    known_metric(study.metric, origin.table, f"{study.name}: metric")
    start = origin.table[study.metric]
    if _broken(study, start):
        raise InputError(
            f"the limit is broken before any stress: {study.metric} = {shown(start.estimate)}", study.name,
            f"the limit is {study.value:g}", "start from milder inputs (low), or choose a higher limit",
        )  # fmt: skip
    scans = [[o.table[study.metric] for o in found[k * study.scan : (k + 1) * study.scan]] for k in range(len(rays))]
    first = [next((i for i, t in enumerate(scan) if _broken(study, t)), None) for scan in scans]
    if all(i is None for i in first):
        worst = max((t for scan in scans for t in scan), key=lambda t: t.estimate)
        raise InputError(
            f"no combination breaks the limit {study.metric} ≥ {study.value:g}", study.name,
            f"the worst tried reaches {shown(worst.estimate)}", "raise the worst plausible values (high), or lower the limit",
        )  # fmt: skip
    tables = [scan[-1 if i is None else i] for scan, i in zip(scans, first)]
    high = np.array([math.nan if i is None else steps[i] for i in first])
    low = high - 1.0 / study.scan
    again = [i is not None and not all(_broken(study, t) for t in scan[i:]) for scan, i in zip(scans, first)]
    while (open_ := np.flatnonzero(high - low > study.precision)).size:
        middle = 0.5 * (low[open_] + high[open_])
        found = compute([job_at(run, study.inputs, m * rays[k], study.paths) for k, m in zip(open_, middle)])
        for k, m, outcome in zip(open_, middle, found):
            table = outcome.table[study.metric]
            if _broken(study, table):
                high[k], tables[k] = m, table
            else:
                low[k] = m
    size = math.sqrt(len(study.inputs))
    out = [
        Ray(tuple(map(float, ray)), tuple(map(float, h * ray)), float(h * np.linalg.norm(ray) / size), table, back)
        for ray, h, table, back in zip(rays, high, tables, again)
    ]
    return sorted(out, key=lambda ray: (not ray.breaks, ray.severity))


def _broken(study: ReverseStress, found: Interval) -> bool:
    value = found.estimate if study.judged == "estimate" else found.lower
    return bool(value >= study.value)


def sentence(study: ReverseStress, rays: Sequence[Ray]) -> str:
    """What a board reads: the mildest combination, each input alone, and what does not break the limit by itself."""
    best = rays[0]
    parts = [
        f"{title_of(item)} of {value_of(item, item.at(share))}" for item, share in zip(study.inputs, best.shares) if share > 1e-9
    ]
    alone = {ray.direction.index(1.0): ray for ray in rays if sum(d > 0 for d in ray.direction) == 1}
    text, limit = name_of(study.metric), text_of(study.metric, study.value)
    lines = [
        f"The mildest combination found that brings the {text} to {limit} at {study.venue} is {_list(parts)} "
        f"(severity {best.severity:.2f}, where 1 is everything at its worst)."
    ]
    for k, ray in sorted(alone.items()):
        item = study.inputs[k]
        verdict = f"does not do it alone, even at {value_of(item, item.high)}"
        if ray.breaks:
            verdict = f"alone would have to reach {value_of(item, item.at(ray.shares[k]))}"
        lines.append(f"{title_of(item)[0].upper()}{title_of(item)[1:]} {verdict}.")
    lines.append(f"{sum(r.breaks for r in rays)} of {len(rays)} directions break the limit. Other inputs stay harmless.")
    return "\n".join(lines)


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def table(study: ReverseStress, rays: Sequence[Ray]) -> Table:
    """The boundary, mildest first; rays that never break come last with their value at the end."""
    rows = tuple(
        (ray.severity if ray.breaks else "never", *(value_of(item, item.at(share)) for item, share in zip(study.inputs, _end(ray))),
         range_of(study.metric, ray.found), _verdict(ray))
        for ray in rays
    )  # fmt: skip
    columns = ("severity", *map(title_of, study.inputs), name_of(study.metric), "limit")
    limit = f"{name_of(study.metric)} ≥ {text_of(study.metric, study.value)}"
    note = f"Just beyond the limit ({limit}), judged at the {study.judged}; 95 % intervals."
    return Table("Boundary", columns, rows, note)


def _verdict(ray: Ray) -> str:
    return "holds to the end" if not ray.breaks else "breaks, holds again further out" if ray.holds_again else "breaks"


def _end(ray: Ray) -> tuple[float, ...]:
    """Where the ray breaks, or its far end."""
    return ray.shares if ray.breaks else ray.direction


def figures(study: ReverseStress, rays: Sequence[Ray]) -> dict[str, Picture]:
    """Maps of the boundary by file stem: the planes of two inputs in which most rays break, three at most."""
    planes = {
        pair: [r for r in rays if r.breaks and not any(d for k, d in enumerate(r.direction) if k not in pair)]
        for pair in itertools.combinations(range(len(study.inputs)), 2)
    }
    best = sorted((p for p in planes if len(planes[p]) > 1), key=lambda p: -len(planes[p]))[:_MAPS]
    return {f"boundary-{study.inputs[a].name}-{study.inputs[b].name}": _map(study, (a, b), planes[a, b]) for a, b in best}


def _map(study: ReverseStress, pair: tuple[int, int], rays: Sequence[Ray]) -> Picture:
    """The boundary in one plane, what lies beyond shaded as far as rays went."""
    x, y = (study.inputs[k] for k in pair)
    points = sorted(((r.shares[pair[0]], r.shares[pair[1]]) for r in rays), key=lambda p: math.atan2(p[1], p[0]))
    ticks = lambda item: linear(0.0, 1.0, lambda s: str(value_of(item, item.at(s))))  # noqa: E731
    plot = Plot(ticks(x), ticks(y), title_of(x), title_of(y), f"{study.name}: where the limit breaks", 420, 320, left=76)
    edge = " ".join(f"{plot.px(a)},{plot.py(b)}" for a, b in (*points, *reversed(_far(points))))
    plot.shapes.append(f'<polygon class="b s5" points="{edge}"/>')
    plot.line([p[0] for p in points], [p[1] for p in points], "s5")
    for a, b in points:
        plot.shapes.append(f'<circle class="r bad" cx="{plot.px(a)}" cy="{plot.py(b)}" r="4"/>')
    plot.text(0.02, 0.02, "holds", dy=-4)
    plot.text(0.98, 0.95, "breaks", anchor="end")
    see = "Towards the lower left the limit holds, in the shaded area it breaks; all other inputs stay harmless."
    title = f"{title_of(x)} and {title_of(y)}"
    return Picture(str(plot.render()), f"Where the limit breaks: {title}", see, group="Where the limit breaks", panel=title)


def _far(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where the rays of the points end on the edge of the map, and its corner where they pass it; same order."""
    ends = [(a / max(a, b), b / max(a, b)) for a, b in points]
    corner = [(1.0, 1.0)] if ends[0][0] == 1.0 and ends[-1][1] == 1.0 and (1.0, 1.0) not in ends else []
    before = [e for e in ends if e[0] == 1.0]
    return [*before, *corner, *(e for e in ends if e[0] < 1.0)]
