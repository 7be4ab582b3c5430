"""Whether a recommendation holds where it was not tuned, in words that somebody can act on."""

from __future__ import annotations

import math

import numpy as np

from mcrisk.calibrate import optimise as search
from mcrisk.calibrate.decision import Check, Decision
from mcrisk.calibrate.evaluate import Outcome
from mcrisk.calibrate.words import name_of, range_of, text_of
from mcrisk.config.study import Calibration, Constraint, paths_for
from mcrisk.risk import intervals
from mcrisk.risk.intervals import Interval

DEPLETED, NEED = "p_fund_depleted", "fund_need_mean_of_oi"


def headline(decision: Decision) -> str:
    """One sentence: the limits hold everywhere, or where they do not."""
    if not decision.study.constraints:
        return "No limit was asked for."
    where = [check for check in decision.checks if not check.tuned]
    broken = [c.place for c in where if _broken(decision.study, c)]
    open_ = [c.place for c in where if c.failed(decision.study) and c.place not in broken]
    if not broken and not open_:
        return f"Every limit holds in all {len(where)} places where it was not tuned."
    parts = [f"it breaks a limit in {_list(broken)}"] if broken else []
    parts += [f"the paths do not show that the limits hold in {_list(open_)}"] if open_ else []
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]}; elsewhere the limits hold."


def _broken(study: Calibration, check: Check) -> bool:
    return any(not check.chosen.table[c.metric].estimate <= c.at_most for c in study.limits_in(check.scenario))


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def limits(decision: Decision) -> list[str]:
    """One sentence per constraint: where it holds; where not, how far, or how many paths would show it."""
    return [line for constraint in decision.study.constraints for line in _verdict(decision, constraint)]


def _verdict(decision: Decision, constraint: Constraint) -> list[str]:
    metric, study = constraint.metric, decision.study
    where = [c for c in decision.checks if not c.tuned and constraint in study.limits_in(c.scenario)]
    if not where:
        return []
    text = name_of(constraint.key)
    text = f"{text[0].upper() + text[1:]} ≤ {text_of(metric, constraint.at_most)}"
    failed = [c for c in where if search.short_of(constraint, c.chosen.table[metric]) > 0]
    now = range_of(metric, where[0].present.table[metric])
    if not failed:
        found = range_of(metric, where[0].chosen.table[metric])
        return [f"{text}: shown on fresh draws and wherever else it was checked ({where[0].place}: {found}, now {now})."]
    return [f"{text}: not shown for {'; '.join(_shortfall(study, constraint, c) for c in failed)}. Now {now}."]


def _shortfall(study: Calibration, constraint: Constraint, check: Check) -> str:
    found = check.chosen.table[constraint.metric]
    if not found.estimate < constraint.at_most:
        return f"{check.place} ({range_of(constraint.metric, found)}: broken)"
    need = paths_to_show(found, constraint, study.check_paths)
    return f"{check.place} ({range_of(constraint.metric, found)}: about {need:,} paths would show it, if the estimate is right)"


def paths_to_show(found: Interval, constraint: Constraint, paths: int) -> int:
    """How many paths bring the upper end below the limit, if the estimate (below it) stays: half-widths fall as 1/√n."""
    if found.estimate == 0 and constraint.metric.startswith("p_"):
        return paths_for(constraint.at_most)
    ratio = (found.upper - found.estimate) / (constraint.at_most - found.estimate)
    return math.ceil(paths * ratio**2) if math.isfinite(ratio) else 4 * paths


# ------------------------------------------------------------------------------------------------ what to do instead
def fallback(decision: Decision, values: str) -> list[str]:
    """Where the recommendation fails: whether anything that was judged survives, and the fund that would.

    `values`: the decisions of the safest candidate in words.
    """
    if decision.fallback is None:
        return []
    study, safest, lines = decision.study, decision.fallback.trial, []
    saved, lost = [], []
    for check, outcome in decision.fallback.found:
        met = all(search.short_of(c, outcome.table[c.metric]) <= 0 for c in study.limits_in(check.scenario))
        (saved if met else lost).append((check, outcome))
    if saved:
        price = _price(study, safest, decision.best)
        lines.append(
            f"The safest candidate (number {safest.number}: {values}) keeps the limits in {_list([c.place for c, _ in saved])}, "
            f"too; {price}."
        )
    if lost:
        found = "; ".join(f"{check.place}: {_numbers(study, check, outcome)}" for check, outcome in lost)
        lines.append(
            f"No candidate that was judged is shown to keep the limits everywhere: the safest (number {safest.number}: {values}) "
            f"does not in {found}. Widen the bounds, use more paths, or give that scenario a constraint of its own."
        )
    return lines + [line for check, _ in decision.fallback.found for line in _fund(study, check)]


def _numbers(study: Calibration, check: Check, outcome: Outcome) -> str:
    return ", ".join(f"{name_of(c.metric)} {range_of(c.metric, outcome.table[c.metric])}" for c in study.limits_in(check.scenario))


def _price(study: Calibration, safest: search.Trial, best: search.Trial) -> str:
    """What it takes beyond the recommended one, by objective."""
    parts = []
    for o in study.objectives:
        gap = safest.table[o.metric].estimate - best.table[o.metric].estimate
        parts.append(f"{name_of(o.metric)} {text_of(o.metric, abs(gap))} {'higher' if gap >= 0 else 'lower'}")
    return " and ".join(parts)


def _fund(study: Calibration, check: Check) -> list[str]:
    """The fund that keeps the limit of exhaustion under the recommended rules, from the losses it met there."""
    limit = next((c for c in study.limits_in(check.scenario) if c.metric == DEPLETED and 0 < c.at_most < 1), None)
    need = check.chosen.samples.get(NEED)
    if limit is None or need is None or not check.chosen.table["fund_size"].estimate > 0:
        return []
    found = intervals.quantile(np.asarray(need), 1.0 - limit.at_most)
    return [
        f"With the recommended rules a fund of {range_of(NEED, found)} of open interest would have paid everything on "
        f"{text_of(DEPLETED, 1.0 - limit.at_most)} of the paths in {check.place}."
    ]
