"""From a study to a decision: search, confirm on other draws, check on fresh seeds, held-out scenarios and other assumptions.

The best of many estimates is too good, so the search's favourites are judged again on other draws until one meets the
constraints there, too. The check is neither: a third seed, more paths, and scenarios nobody chose by. `recommendation.py`
says what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

from mcrisk.calibrate import optimise as search
from mcrisk.calibrate.evaluate import Outcome, Runner, job
from mcrisk.calibrate.study import answering, candidate, says
from mcrisk.config.book import Traders
from mcrisk.config.run import RunConfig
from mcrisk.config.study import AT, Calibration, Variable
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError


class Place(NamedTuple):
    """Where a rulebook is judged."""

    label: str
    run: RunConfig
    scenario: str
    seed: int
    paths: int


@dataclass(frozen=True)
class Check:
    """One place where chosen and present rulebook were judged on the same draws. `tuned`: the search chose by these draws."""

    place: str
    scenario: str
    chosen: Outcome
    present: Outcome
    tuned: bool = False

    def failed(self, study: Calibration) -> bool:
        """Whether a limit of this scenario is not shown to hold."""
        limits = study.limits_in(self.scenario)
        return any(search.short_of(c, self.chosen.table[c.metric]) > 0 for c in limits)


@dataclass(frozen=True)
class Fallback:
    """The safest candidate that was judged, in the places where the recommended one fails."""

    trial: search.Trial
    found: tuple[tuple[Check, Outcome], ...]


@dataclass(frozen=True)
class Decision:
    """The outcome of a study. `venue` is the chosen rulebook, ready to be used; `assumption` is that about traders, in
    words, where a decision touches margin. confirmed: whether the chosen one met the constraints on the draws of the
    confirmation, and `turned_down` the candidates before it that did not; None = nothing was confirmed."""

    study: Calibration
    trials: list[search.Trial]
    best: search.Trial
    front: list[search.Trial]
    venue: Venue
    present: Venue
    checks: list[Check]
    runner_up: Outcome | None
    assumption: str = ""
    confirmed: bool | None = None
    turned_down: tuple[search.Trial, ...] = ()
    fallback: Fallback | None = None


def judge_with(study: Calibration, run: RunConfig, venue: Venue, compute: Runner) -> search.Judge:
    """Candidates → outcomes on the study's draws; values that are not allowed together, or not with the book, give None.

    Numbers of further scenarios with constraints stand in the table as `METRIC @ SCENARIO`.
    """
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
        jobs = [job(run, v, s, study.paths) for v in rulebooks if v is not None for s in study.judged]
        found = iter(compute(jobs))
        return [None if v is None else _merged(study, [next(found) for _ in study.judged]) for v in rulebooks]

    return judge


def _merged(study: Calibration, outcomes: Sequence[Outcome]) -> Outcome:
    """One table of all scenarios that are judged; samples and plain names are those of the first."""
    table = dict(outcomes[0].table)
    for scenario, outcome in zip(study.judged, outcomes):
        table |= {f"{name}{AT}{scenario}": found for name, found in outcome.table.items()}
    return replace(outcomes[0], table=table)


def decide(
    study: Calibration, run: RunConfig, venue: Venue, compute: Runner, journal: Path | None,
    tell: Callable[[int, int], None] | None = None,
) -> Decision:  # fmt: skip
    """Search, confirm and check. Raises InputError when no candidate meets the constraints (the trials are kept)."""
    mark = search.fingerprint(study, run, venue)
    trials = search.optimise(study, judge_with(study, run, venue, compute), journal, mark, tell)
    best, front = search.choose(trials, study)
    best, confirmed, down = _confirm(study, run, venue, compute, search.ranked([t for t in trials if t.feasible], front, study))
    chosen = candidate(venue, study, best.values)
    places = _places(study, run, venue, chosen)
    jobs = [job(at.run, v, at.scenario, at.paths, at.seed) for at in places for v in (chosen, venue)]
    others = [t for t in trials if t.feasible and t.values != best.values and t not in down]
    second = min(others, key=lambda t: search.costs(t, study.objectives)) if others else None
    if second is not None:
        jobs.append(job(run, candidate(venue, study, second.values), study.scenario, study.check_paths, study.check_seed))
    found = compute(jobs)
    checks = [
        Check(f"{at.label}: {at.scenario}", at.scenario, found[2 * i], found[2 * i + 1], at.label == TUNED)
        for i, at in enumerate(places)
    ]
    assumption = says(study, run) if any(_touches_margin(variable) for variable in study.variables) else ""
    fallback = _fall_back(study, venue, compute, trials, list(zip(places, checks)), best)
    return Decision(study, trials, best, front, chosen, venue, checks, found[-1] if second is not None else None,
                    assumption, confirmed, down, fallback)  # fmt: skip


def _confirm(
    study: Calibration, run: RunConfig, venue: Venue, compute: Runner, liked: Sequence[search.Trial]
) -> tuple[search.Trial, bool | None, tuple[search.Trial, ...]]:
    """The first of `liked` that meets the constraints on other draws, too; if none of the first few does, the first."""
    tried = list(liked[: study.confirm]) if study.constraints else []
    for k, trial in enumerate(tried):
        rulebook = candidate(venue, study, trial.values)
        jobs = [job(run, rulebook, s, study.check_paths, study.confirm_seed) for s in study.judged]
        table = _merged(study, compute(jobs)).table
        if all(search.missed(c, table) <= 0 for c in study.constraints):
            return trial, True, tuple(tried[:k])
    return liked[0], False if tried else None, tuple(tried[1:])


def _fall_back(
    study: Calibration, venue: Venue, compute: Runner, trials: Sequence[search.Trial],
    judged: Sequence[tuple[Place, Check]], best: search.Trial,
) -> Fallback | None:  # fmt: skip
    """The safest candidate where the chosen one fails; None when it fails nowhere."""
    failed = [(at, check) for at, check in judged if not check.tuned and check.failed(study)]
    if not failed:
        return None
    safest = search.safest(trials, study)
    if safest.values == best.values:
        return Fallback(safest, tuple((check, check.chosen) for _, check in failed))
    rulebook = candidate(venue, study, safest.values)
    found = compute([job(at.run, rulebook, at.scenario, at.paths, at.seed) for at, _ in failed])
    return Fallback(safest, tuple((check, outcome) for (_, check), outcome in zip(failed, found)))


def _touches_margin(variable: Variable) -> bool:
    return any(path.startswith("pre.margin") for path in variable.fields)


TUNED = "tuned on"


def _places(study: Calibration, run: RunConfig, venue: Venue, chosen: Venue) -> list[Place]:
    """Where the answer is judged. First on the tuned draws, then where it was not tuned.

    Where the answer moves margin, the other assumptions about traders are among them: none of them can be observed.
    """
    first, *more = study.judged
    fresh = [("fresh seed", run, first)] + [("held out", run, name) for name in study.held_out]
    if chosen.pre.margin != venue.pre.margin:
        fresh += [
            (f"traders {traders}", answering(run, study, venue.pre.margin, traders), study.scenario)
            for traders in get_args(Traders) if traders != study.traders
        ]  # fmt: skip
    fresh[1:1] = [("fresh seed", run, name) for name in more]
    tuned = [Place(TUNED, run, name, run.seed, study.paths) for name in study.judged]
    return tuned + [Place(*place, study.check_seed, study.check_paths) for place in fresh]
