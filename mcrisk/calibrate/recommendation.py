"""A decision as a page for people who were not in the room, and as a rulebook that can be used.

Order of the page: the answer, what it rests on, what changes, the alternatives, where it was checked. Both intervals (tuned
and fresh draws) stand side by side; where they exclude each other, the search fitted its own draws and the text says so.
"""

from __future__ import annotations

import math
from typing import Any

from mcrisk.calibrate import optimise as search
from mcrisk.calibrate import survival
from mcrisk.calibrate.decision import Check, Decision
from mcrisk.calibrate.fields import differences, read
from mcrisk.calibrate.output import Picture, Range, Table, certain, shown
from mcrisk.calibrate.words import change_of, name_of, range_of, text_of
from mcrisk.config.study import Calibration, Variable
from mcrisk.config.venue import Note, Venue
from mcrisk.report import format as fmt
from mcrisk.report.svg import Plot, linear
from mcrisk.risk.intervals import Interval, paired_difference


# ------------------------------------------------------------------------------------------------ words
def metrics_of(study: Calibration) -> list[str]:
    """Objectives and constraints, each metric once."""
    return list(dict.fromkeys([*(o.metric for o in study.objectives), *(c.metric for c in study.constraints)]))


def keys_of(study: Calibration) -> list[str]:
    """The same with the scenarios of constraints, as the tables of candidates have them."""
    return list(dict.fromkeys([*(o.metric for o in study.objectives), *(c.key for c in study.constraints)]))


def question(study: Calibration) -> str:
    """What was asked."""
    wanted = [f"{'the least' if o.direction == 'minimize' else 'the most'} {name_of(o.metric)}" for o in study.objectives]
    limits = [f"{name_of(c.key)} ≤ {text_of(c.metric, c.at_most)}" for c in study.constraints]
    such = f", such that {' and '.join(limits)} at the upper end of its 95 % interval" if limits else ""
    return f"Asked for {study.venue}: {' and '.join(wanted)}{such}."


def value_of(variable: Variable, value: Any) -> Range | Any:
    """One decision as people read it."""
    if variable.percent:
        return certain(fmt.percent(value), value)
    return certain(f"× {shown(float(value))}", value) if variable.scale else value


def values_text(study: Calibration, trial: search.Trial, present: Venue | None = None) -> str:
    """The decisions of a candidate in words; with `present`, what is there now behind those that replace it."""
    parts = []
    for v in study.variables:
        now = f" (now {shown(value_of(v, read(present, v.fields[0])[0]))})" if present is not None and not v.scale else ""
        parts.append(f"{v.text or v.name} {shown(value_of(v, trial.values[v.name]))}{now}")
    return ", ".join(parts)


def summary(decision: Decision) -> str:
    """The recommendation in words: what to do and whether it held; what it costs, what it rests on."""
    study, fresh = decision.study, next(c for c in decision.checks if not c.tuned)
    lines = [f"Recommended for {study.venue}: {values_text(study, decision.best, decision.present)}. {survival.headline(decision)}"]
    lines += [f"{question(study)} Answer: candidate {decision.best.number} of {len(decision.trials)}."]
    for objective in study.objectives:
        a, b = (side.table[objective.metric] for side in (fresh.chosen, fresh.present))
        text = name_of(objective.metric)
        lines.append(f"{text[0].upper() + text[1:]}: {range_of(objective.metric, a)}, now {range_of(objective.metric, b)}.")
    lines += survival.limits(decision) + survival.fallback(decision, values_text(study, decision.fallback.trial)
                                                           if decision.fallback else "")  # fmt: skip
    lines += [decision.assumption] if decision.assumption else []
    lines.append(
        f"Tuned on {' and '.join(study.judged)}, {study.paths:,} paths per candidate on common draws; {_confirmation(decision)}"
        f"checked on {study.check_paths:,} paths of another seed, which draws other accounts, too."
    )
    lines += _at_the_edge(decision) + _fitted_to_draws(decision) + _separation(decision)
    return "\n".join(lines)


def _confirmation(decision: Decision) -> str:
    """What the confirmation did, as part of a sentence."""
    down = ", ".join(str(t.number) for t in decision.turned_down)
    if decision.confirmed is None:
        return ""
    if decision.confirmed:
        several = "s" if len(decision.turned_down) > 1 else ""
        before = f", where candidate{several} {down} had failed" if down else ""
        return f"confirmed on {decision.study.check_paths:,} paths of a second seed{before}; "
    count = len(decision.turned_down) + 1
    return f"none of the {count} best candidates could be confirmed on {decision.study.check_paths:,} paths of a second seed; "


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
    tuned, fresh = (next(c for c in decision.checks if c.tuned is word).chosen.table for word in (True, False))
    return [
        f"Over-fitted: {name_of(m)} was {range_of(m, tuned[m])} on the tuned draws, {range_of(m, fresh[m])} on fresh ones."
        for m in metrics_of(decision.study)
        if fresh[m].lower < fresh[m].upper and (fresh[m].lower > tuned[m].upper or fresh[m].upper < tuned[m].lower)
    ]


def _separation(decision: Decision) -> list[str]:
    """Whether the best candidate can be told from the next one, and how many paths that would take."""
    metric = decision.study.objectives[0].metric
    if decision.runner_up is None or metric not in decision.runner_up.samples:
        return []
    fresh = next(c for c in decision.checks if not c.tuned)
    gap = paired_difference(fresh.chosen.samples[metric], decision.runner_up.samples[metric])
    if gap.lower > 0 or gap.upper < 0 or gap.estimate == 0:
        return []
    if math.isnan(gap.upper):
        return [f"Best and next best differ on fewer than ten paths in {name_of(metric)}: use more paths to tell them apart."]
    need = decision.study.check_paths * ((gap.upper - gap.estimate) / abs(gap.estimate)) ** 2
    return [f"The budget does not separate best and next best in {name_of(metric)}; about {need:,.0f} paths would."]


# ------------------------------------------------------------------------------------------------ tables, rulebook, figure
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
    study, names = decision.study, [v.text or v.name for v in decision.study.variables]
    keys, down = keys_of(study), {t.number for t in decision.turned_down}
    shown_ = decision.front if decision.best in decision.front else [*decision.front, decision.best]
    rows = tuple(
        (f"{t.number}{' ← chosen' if t is decision.best else ' (not confirmed)' if t.number in down else ''}",
         *(value_of(v, t.values[v.name]) for v in study.variables), *(range_of(key, t.table[key]) for key in keys))
        for t in shown_
    )  # fmt: skip
    note = "Candidates that meet every constraint and that no other beats in every objective, as the search saw them"
    note += ", and the chosen one" if len(shown_) > len(decision.front) else ""
    return Table("Pareto front", ("candidate", *names, *map(name_of, keys)), rows, f"{note}. 95 % intervals.")


def trials_table(decision: Decision) -> Table:
    """Every candidate that was judged, metrics under their own names."""
    names, metrics = [v.name for v in decision.study.variables], keys_of(decision.study)
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
        for metric in metrics_of(decision.study):
            a, b = check.chosen.table[metric], check.present.table[metric]
            pair = [check.chosen.samples.get(metric), check.present.samples.get(metric)]
            gap = paired_difference(*pair) if pair[0] is not None else Interval(*[a.estimate - b.estimate] * 3)
            row = (range_of(metric, a), range_of(metric, b), change_of(metric, gap), _verdict(decision, check, metric))
            rows.append((check.place, name_of(metric), *row))
    note = "95 % intervals; the difference is paired on common draws. Constraints are judged at the upper end."
    columns = ("where", "number", "recommended", "now", "difference", "limit")
    return Table("Does it hold elsewhere", columns, tuple(rows), note)


def _verdict(decision: Decision, check: Check, metric: str) -> str:
    limit = next((c for c in decision.study.limits_in(check.scenario) if c.metric == metric), None)
    if limit is None:
        return ""
    found = check.chosen.table[metric]
    word = "met" if search.short_of(limit, found) <= 0 else "broken" if found.estimate > limit.at_most else "not shown"
    return f"≤ {text_of(metric, limit.at_most)}: {word}"


def figure(decision: Decision) -> Picture | None:
    """Candidates in the plane of two objectives (or of objective and first constraint); None with fewer."""
    study = decision.study
    names = keys_of(study)[:2]
    points = [(t, *(t.table[name].estimate for name in names)) for t in decision.trials]
    points = [point for point in points if len(point) == 3 and all(map(math.isfinite, point[1:]))]
    if len(names) < 2 or not points:
        return None
    axes = []
    for values, name in zip(([x for _, x, _ in points], [y for _, _, y in points]), names):
        pad = 0.04 * (max(values) - min(values) or abs(max(values)) or 1.0)
        axes.append(linear(min(values) - pad, max(values) + pad, lambda v, name=name: text_of(name, v)))
    plot = Plot(*axes, *map(name_of, names), f"{study.name}: candidates", 520, 340)
    for trial, x, y in points:
        if not trial.feasible:
            a, b = plot.px(x), plot.py(y)
            plot.shapes.append(f'<path class="l s5" d="M{a - 3:.1f},{b - 3:.1f} l6,6 m0,-6 l-6,6"/>')
            continue
        style, radius = ("s2", 6) if trial is decision.best else ("s0", 4) if trial in decision.front else ("s1", 2.5)
        plot.shapes.append(f'<circle class="r {style}" cx="{plot.px(x)}" cy="{plot.py(y)}" r="{radius}"/>')
    plot.text(*(decision.best.table[name].estimate for name in names), "chosen", dx=8, dy=-6)
    see = "Large dot: chosen. Middle: the front, which no other candidate beats. Small: allowed. Cross: a constraint is missed."
    return Picture(str(plot.render()), "Every candidate", see)
