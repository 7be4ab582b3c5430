"""From a study to a recommendation: search, choose, check on fresh seeds and held-out scenarios, write the rulebook.

The check is not the search again: other draws, more paths, and scenarios the search never saw. Both intervals stand side
by side; where the tuned one lies below the fresh one, the search fitted its own draws and the text says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mcrisk.calibrate import optimise as search
from mcrisk.calibrate.evaluate import TEXTS, Outcome, Runner, job
from mcrisk.calibrate.fields import differences
from mcrisk.calibrate.output import Table, money_range, shown
from mcrisk.calibrate.study import answering, candidate, says
from mcrisk.config.book import Traders
from mcrisk.config.run import RunConfig
from mcrisk.config.study import Calibration
from mcrisk.config.venue import Note, Venue
from mcrisk.errors import InputError
from mcrisk.report.svg import Plot, linear, text_at
from mcrisk.risk.intervals import Interval, paired_difference


@dataclass(frozen=True)
class Check:
    """One place where chosen and present rulebook were judged on the same draws."""

    place: str
    chosen: Outcome
    present: Outcome


@dataclass(frozen=True)
class Decision:
    """The outcome of a study. `venue` is the chosen rulebook, ready to be used."""

    study: Calibration
    trials: list[search.Trial]
    best: search.Trial
    front: list[search.Trial]
    venue: Venue
    present: Venue
    checks: list[Check]
    runner_up: Outcome | None


def judge_with(study: Calibration, run: RunConfig, venue: Venue, compute: Runner) -> search.Judge:
    """Candidates → outcomes on the study's draws; values that are not allowed together, or not with the book, give None."""
    from mcrisk.engine.simulate import book_of

    def judge(batch: Sequence[dict[str, Any]]) -> list[Outcome | None]:
        rulebooks: list[Venue | None] = []
        for values in batch:
            try:
                rulebook = candidate(venue, study, values)
                book_of(job(run, rulebook, study.scenario, study.paths).config, rulebook.name)
                rulebooks.append(rulebook)
            except InputError:
                rulebooks.append(None)
        jobs = [job(run, v, study.scenario, study.paths) for v in rulebooks if v is not None]
        found = iter(compute(jobs))
        return [None if v is None else next(found) for v in rulebooks]

    return judge


def decide(
    study: Calibration, run: RunConfig, venue: Venue, compute: Runner, journal: Path | None,
    tell: Callable[[int, int], None] | None = None,
) -> Decision:  # fmt: skip
    """Search and check. Raises InputError when no candidate meets the constraints (the trials are kept)."""
    mark = search.fingerprint(study, run, venue)
    trials = search.optimise(study, judge_with(study, run, venue, compute), journal, mark, tell)
    best, front = search.choose(trials, study)
    chosen = candidate(venue, study, best.values)
    places = _places(study, run, venue, chosen)
    jobs = [job(world, v, scenario, n, seed) for _, world, scenario, seed, n in places for v in (chosen, venue)]
    others = [t for t in trials if t.feasible and t.values != best.values]
    second = min(others, key=lambda t: search.costs(t, study.objectives)) if others else None
    if second is not None:
        jobs.append(job(run, candidate(venue, study, second.values), study.scenario, study.check_paths, study.check_seed))
    found = compute(jobs)
    checks = [
        Check(f"{label}: {scenario}", found[2 * i], found[2 * i + 1]) for i, (label, _, scenario, *_) in enumerate(places)
    ]
    return Decision(study, trials, best, front, chosen, venue, checks, found[-1] if second is not None else None)


def _places(study: Calibration, run: RunConfig, venue: Venue, chosen: Venue) -> list[tuple[str, RunConfig, str, int, int]]:
    """Where the answer is judged: (label, run, scenario, seed, paths). First on the tuned draws, then where it was not tuned.

    Where the answer moves margin, the other assumptions about traders are among them: none of them can be observed.
    """
    places = [("tuned on", run, study.scenario, run.seed, study.paths)]
    fresh = [("fresh seed", run, study.scenario)] + [("held out", run, name) for name in study.held_out]
    if chosen.pre.margin != venue.pre.margin:
        fresh += [
            (f"traders {traders}", answering(run, study, venue.pre.margin, traders), study.scenario)
            for traders in get_args(Traders) if traders != study.traders
        ]  # fmt: skip
    return places + [(*place, study.check_seed, study.check_paths) for place in fresh]


# ------------------------------------------------------------------------------------------------ what is written
def rulebook(decision: Decision) -> Venue:
    """The chosen rulebook under a name of its own, with a note for every field that was decided."""
    study = decision.study
    notes = tuple(
        Note(field=path, source=f"mcrisk calibrate {study.name}", date="computed", marker="derived",
             note=f"was {before}; tuned on {study.scenario}, {study.paths:,} paths, candidate {decision.best.number}")
        for path, before, _ in differences(decision.present, decision.venue)
    )  # fmt: skip
    name = f"{decision.present.name}-{study.name}".replace("_", "-")[:64]
    provenance = (*decision.venue.provenance, *notes)
    return decision.venue.model_copy(update={"name": name, "provenance": provenance})


def diff_table(decision: Decision) -> Table:
    """Every field that changes, before and after."""
    rows = tuple((path, before, after) for path, before, after in differences(decision.present, decision.venue))
    return Table("What changes in the rulebook", ("field", "now", "recommended"), rows)


def front_table(decision: Decision) -> Table:
    """The Pareto front: values, objectives and constraints with intervals."""
    study, names = decision.study, [v.name for v in decision.study.variables]
    metrics = _metrics(study)
    rows = tuple(
        (f"{t.number}{' ← chosen' if t is decision.best else ''}", *(t.values[n] for n in names),
         *(money_range(*t.table[m]) for m in metrics))
        for t in decision.front
    )  # fmt: skip
    note = "Candidates that meet every constraint and that no other beats in every objective. 95 % intervals."
    return Table("Pareto front", ("candidate", *names, *metrics), rows, note)


def trials_table(decision: Decision) -> Table:
    """Every candidate that was judged."""
    names, metrics = [v.name for v in decision.study.variables], _metrics(decision.study)
    columns = ("candidate", *names, *(f"{m} {end}" for m in metrics for end in ("estimate", "lower", "upper")), "feasible")
    rows = tuple(
        (t.number, *(t.values[n] for n in names), *(x for m in metrics for x in t.table[m]), t.feasible)
        for t in decision.trials
    )
    return Table("Trials", columns, rows)


def checks_table(decision: Decision) -> Table:
    """Chosen and present rulebook on tuned draws, fresh draws and held-out scenarios, with the paired difference."""
    rows = []
    for check in decision.checks:
        for metric in _metrics(decision.study):
            a, b = check.chosen.table[metric], check.present.table[metric]
            pair = [check.chosen.samples.get(metric), check.present.samples.get(metric)]
            gap = money_range(*paired_difference(*pair)) if pair[0] is not None else shown(a.estimate - b.estimate)
            rows.append((check.place, metric, money_range(*a), money_range(*b), gap, _verdict(decision, metric, a)))
    note = "95 % intervals; the difference is paired on common draws. Constraints are judged at the upper end."
    columns = ("where", "metric", "recommended", "now", "difference", "constraint")
    return Table("Does it hold elsewhere", columns, tuple(rows), note)


def _verdict(decision: Decision, metric: str, found: Interval) -> str:
    limits = [c for c in decision.study.constraints if c.metric == metric]
    if not limits:
        return ""
    return f"≤ {limits[0].at_most:g}: " + ("met" if search.missed(limits[0], {metric: found}) <= 0 else "not shown")


def _metrics(study: Calibration) -> list[str]:
    return list(dict.fromkeys([*(o.metric for o in study.objectives), *(c.metric for c in study.constraints)]))


def summary(decision: Decision) -> str:
    """The recommendation in words: what it costs, whether it held, whether it can be told from the next best."""
    study, fresh = decision.study, decision.checks[1]
    lines = [f"Recommended: candidate {decision.best.number} of {len(decision.trials)}, tuned on {study.scenario}."]
    lines.append(says(study))
    for objective in study.objectives:
        a, b = fresh.chosen.table[objective.metric], fresh.present.table[objective.metric]
        text = TEXTS.get(objective.metric, objective.metric)
        lines.append(f"{text[0].upper() + text[1:]}: {money_range(*a)}, now {money_range(*b)} (fresh draws).")
    for constraint in study.constraints:
        places = [c.place for c in decision.checks[1:] if search.missed(constraint, c.chosen.table) > 0]
        shown_ = "holds on fresh draws and wherever it was checked" if not places else f"is not shown for {', '.join(places)}"
        lines.append(f"{constraint.metric} ≤ {constraint.at_most:g} {shown_}.")
    lines += _at_the_edge(decision) + _fitted_to_draws(decision) + _separation(decision)
    return "\n".join(lines)


def _at_the_edge(decision: Decision) -> list[str]:
    """Decisions within 2 % of an end of their range: the true optimum may lie beyond it."""
    found = []
    for v in decision.study.variables:
        if v.choices:
            continue
        scale = (lambda x: math.log(x)) if v.log else float
        share = (scale(decision.best.values[v.name]) - scale(v.low)) / (scale(v.high) - scale(v.low))
        if not 0.02 < share < 0.98:
            found.append(f"{v.name} lies at the {'lower' if share < 0.5 else 'upper'} end of its range: the best may lie beyond.")
    return found


def _fitted_to_draws(decision: Decision) -> list[str]:
    """Estimates that do not survive other draws; what is certain (margin of a given book) only moves with the book."""
    tuned, fresh = decision.checks[0].chosen.table, decision.checks[1].chosen.table
    return [
        f"Over-fitted: {m} was {money_range(*tuned[m])} on the tuned draws, {money_range(*fresh[m])} on fresh ones."
        for m in _metrics(decision.study)
        if fresh[m].lower < fresh[m].upper and (fresh[m].lower > tuned[m].upper or fresh[m].upper < tuned[m].lower)
    ]


def _separation(decision: Decision) -> list[str]:
    """Whether the best candidate can be told from the next one, and how many paths that would take."""
    metric = decision.study.objectives[0].metric
    if decision.runner_up is None or metric not in decision.runner_up.samples:
        return []
    gap = paired_difference(decision.checks[1].chosen.samples[metric], decision.runner_up.samples[metric])
    if gap.lower > 0 or gap.upper < 0 or gap.estimate == 0:
        return []
    if math.isnan(gap.upper):
        return [f"Best and next best differ on fewer than ten paths in {metric}: use more paths to tell them apart."]
    need = decision.study.check_paths * ((gap.upper - gap.estimate) / abs(gap.estimate)) ** 2
    return [f"{metric} does not separate best and next best; about {need:,.0f} paths would."]


def figure(decision: Decision) -> str | None:
    """Candidates in the plane of two objectives (or of objective and first constraint), as SVG; None with fewer."""
    study = decision.study
    names = [o.metric for o in study.objectives] + [c.metric for c in study.constraints]
    if len(names) < 2:
        return None
    points = [(t, t.table[names[0]].estimate, t.table[names[1]].estimate) for t in decision.trials]
    points = [(t, x, y) for t, x, y in points if math.isfinite(x) and math.isfinite(y)]
    xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
    label = lambda v: shown(float(v))  # noqa: E731
    pad = lambda v: (min(v) - 0.04 * (max(v) - min(v)), max(v) + 0.04 * (max(v) - min(v)))  # noqa: E731
    plot = Plot(linear(*pad(xs), label), linear(*pad(ys), label), names[0], names[1], f"{study.name}: candidates", 520, 340)
    for trial, x, y in points:
        style = "s2" if trial is decision.best else "s0" if trial in decision.front else "s1" if trial.feasible else "bad"
        radius = 6 if trial is decision.best else 4
        plot.shapes.append(f'<circle class="r {style}" cx="{plot.px(x)}" cy="{plot.py(y)}" r="{radius}"/>')
    plot.text(decision.best.table[names[0]].estimate, decision.best.table[names[1]].estimate, "chosen", dx=8, dy=-6)
    plot.front.append(text_at(plot.left, 14, "green: chosen · blue: front · amber: allowed · red: constraint missed", "note"))
    return str(plot.render())
