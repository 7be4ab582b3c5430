"""The search: Optuna proposes batches of candidates, the engine judges them on common draws, constraints at the upper end.

The file of trials (an Optuna journal) is the state: the same command goes on where the last one stopped, and proposes what
an uninterrupted one would have, because every batch has its own sampler seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcrisk.calibrate.evaluate import Outcome, known_metric
from mcrisk.config.study import Calibration, Constraint, Objective, Variable
from mcrisk.errors import InputError
from mcrisk.risk.intervals import Interval

Judge = Callable[[Sequence[dict[str, Any]]], list[Outcome | None]]  # None = the values are not allowed together
FAR = 1e9  # violation of a constraint whose bound the sample does not give


@dataclass(frozen=True)
class Trial:
    """One candidate: values by variable, intervals by metric, by how much each constraint is missed (≤ 0 = met)."""

    number: int
    values: dict[str, Any]
    table: dict[str, Interval]
    missed: tuple[float, ...]

    @property
    def feasible(self) -> bool:
        return all(amount <= 0 for amount in self.missed)


def optimise(
    study: Calibration, judge: Judge, journal: Path | None, fingerprint: str = "", tell: Callable[[int, int], None] | None = None
) -> list[Trial]:  # fmt: skip
    """All trials of a study, old ones from `journal` included; `tell(done, all)` after each batch.

    Raises InputError: the journal belongs to another study, or a metric does not exist.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if journal is not None:
        from optuna.storages.journal import JournalFileBackend

        journal.parent.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    else:
        storage = None
    search = optuna.create_study(
        storage=storage, study_name=study.name, load_if_exists=True, directions=[o.direction for o in study.objectives]
    )
    known = search.user_attrs.get("fingerprint")
    if known not in (None, fingerprint):
        raise InputError(
            "these trials belong to another study", str(journal), "variables, objectives, run or paths have changed",
            "choose another folder with --out, or delete the journal",
        )  # fmt: skip
    search.set_user_attr("fingerprint", fingerprint)
    _drop_unfinished(search)
    while (done := _count(search)) < study.trials:
        search.sampler = _sampler(study, done)
        asked = [search.ask() for _ in range(min(study.batch, study.trials - done))]
        values = [{v.name: _suggest(trial, v) for v in study.variables} for trial in asked]
        for trial, outcome in zip(asked, judge(values)):
            _tell(search, trial, outcome, study)
        if tell is not None:
            tell(_count(search), study.trials)
    return [_read(t) for t in search.get_trials(deepcopy=False) if "table" in t.user_attrs]


def _count(search: Any) -> int:
    return sum(t.state.is_finished() and "dropped" not in t.user_attrs for t in search.get_trials(deepcopy=False))


def _drop_unfinished(search: Any) -> None:
    """Trials that were being computed when a run was interrupted are asked again."""
    import optuna

    for trial in search.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            search._storage.set_trial_user_attr(trial._trial_id, "dropped", True)
            search.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _sampler(study: Calibration, done: int) -> Any:
    import warnings

    import optuna

    seed = study.seed + done
    constraints = (lambda trial: trial.user_attrs.get("missed", [FAR] * len(study.constraints))) if study.constraints else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints and joint sampling are marked experimental
        if study.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if study.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, constraints_func=constraints)
        startup = max(8, 2 * len(study.variables))
        return optuna.samplers.TPESampler(
            seed=seed, constraints_func=constraints, multivariate=True, constant_liar=True, n_startup_trials=startup
        )


def _suggest(trial: Any, variable: Variable) -> Any:
    """A proposed value; numbers are rounded to four digits first, so that what is written is what was judged."""
    if variable.choices:
        return trial.suggest_categorical(variable.name, list(variable.choices))
    value = trial.suggest_float(variable.name, variable.low, variable.high, log=variable.log)
    return min(max(float(f"{value:.4g}"), variable.low), variable.high)


def _tell(search: Any, trial: Any, outcome: Outcome | None, study: Calibration) -> None:
    import optuna

    if outcome is None:
        search.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    for k, item in enumerate((*study.objectives, *study.constraints)):
        kind = "objectives" if isinstance(item, Objective) else "constraints"
        known_metric(item.metric, outcome.table, f"{study.name}: {kind}, number {k + 1}")
    kept = {*(o.metric for o in study.objectives), *(c.key for c in study.constraints)}
    trial.set_user_attr("values", {v.name: _value(trial, v) for v in study.variables})
    trial.set_user_attr("table", {name: list(outcome.table[name]) for name in sorted(kept)})
    trial.set_user_attr("missed", [missed(c, outcome.table) for c in study.constraints])
    search.tell(trial, [outcome.table[o.metric].estimate for o in study.objectives])


def _value(trial: Any, variable: Variable) -> Any:
    value = trial.params[variable.name]
    return value if variable.choices else min(max(float(f"{value:.4g}"), variable.low), variable.high)


def missed(constraint: Constraint, table: dict[str, Interval]) -> float:
    """By how much the upper end of the interval exceeds the limit; `FAR` when the sample gives no upper end."""
    return short_of(constraint, table[constraint.key])


def short_of(constraint: Constraint, found: Interval) -> float:
    """The same for one number, wherever it was judged."""
    upper = found.upper
    return FAR if math.isnan(upper) else upper - constraint.at_most


def _read(trial: Any) -> Trial:
    attrs = trial.user_attrs
    table = {name: Interval(*(math.nan if v is None else v for v in ends)) for name, ends in attrs["table"].items()}
    return Trial(trial.number, attrs["values"], table, tuple(attrs["missed"]))


# ------------------------------------------------------------------------------------------------ choosing
def costs(trial: Trial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Objective estimates, all to be small."""
    return tuple(
        trial.table[o.metric].estimate * (1.0 if o.direction == "minimize" else -1.0) for o in objectives
    )  # fmt: skip


def pareto(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Trials that no other is better than in everything, in order of the first objective; equal ones once."""
    table = {t.number: costs(t, objectives) for t in trials}
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (table[t.number], t.number)):
        mine = table[trial.number]
        if not any(all(a <= b for a, b in zip(table[other.number], mine)) for other in front):
            front.append(trial)
    return front


def choose(trials: Sequence[Trial], study: Calibration) -> tuple[Trial, list[Trial]]:
    """The recommended trial and the Pareto front of those that meet every constraint.

    With several objectives: the point of the front nearest to the ideal one, each objective scaled to its range there.
    Raises InputError when no trial meets the constraints, saying which constraint and how far the nearest trial is.
    """
    possible = [t for t in trials if t.feasible]
    if not possible:
        raise InputError(
            f"none of {len(trials)} candidates meets the constraints", study.name, _nearest(trials, study),
            "relax that constraint, widen the bounds, or use more paths if its interval is wide",
        )  # fmt: skip
    front = pareto(possible, study.objectives)
    return ranked(possible, front, study)[0], front


def ranked(trials: Sequence[Trial], front: Sequence[Trial], study: Calibration) -> list[Trial]:
    """Trials by preference: the nearest to the ideal point of `front` first."""
    columns = list(zip(*(costs(t, study.objectives) for t in front)))
    low, span = [min(c) for c in columns], [max(c) - min(c) or 1.0 for c in columns]

    def distance(trial: Trial) -> float:
        return math.hypot(*((c - a) / s for c, a, s in zip(costs(trial, study.objectives), low, span)))

    return sorted(trials, key=lambda t: (distance(t), t.number))


def safest(trials: Sequence[Trial], study: Calibration) -> Trial:
    """The trial whose constraints are met by most, each in terms of its limit."""

    def worst(trial: Trial) -> float:
        return max(m / max(abs(c.at_most), 1e-12) for m, c in zip(trial.missed, study.constraints))

    return min(trials, key=lambda t: (worst(t), t.number))


def _nearest(trials: Sequence[Trial], study: Calibration) -> str:
    if not trials:
        return "no candidate was consistent in itself; narrow the bounds"

    def scaled(trial: Trial) -> float:
        return sum(max(0.0, m) / max(abs(c.at_most), 1e-12) for m, c in zip(trial.missed, study.constraints))

    best = min(trials, key=scaled)
    parts = []
    for amount, c in zip(best.missed, study.constraints):
        if amount > 0:
            found = best.table[c.key]
            how = "the sample gives no upper bound" if amount >= FAR else f"upper bound {found.upper:.4g}, {amount:.4g} too much"
            parts.append(f"{c.key} ≤ {c.at_most:g}: estimate {found.estimate:.4g}, {how}")
    return f"nearest is candidate {best.number}; " + "; ".join(parts)


def fingerprint(study: Calibration, *models: Any) -> str:
    """Of everything a trial depends on; more trials continue the same study."""
    free = {"trials", "title", "held_out", "check_paths", "check_seed", "confirm"}
    words = {"variables": {"__all__": {"text", "percent"}}}
    plain = study.model_dump_json(exclude=dict.fromkeys(free, True) | words)
    text = plain + "".join(model.model_dump_json(exclude={"scenarios"}) for model in models)
    return hashlib.sha256(text.encode()).hexdigest()
