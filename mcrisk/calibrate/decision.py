"""From a study to a decision: search, choose, check on fresh seeds, held-out scenarios and other assumptions about traders.

The check is not the search again: other draws, more paths, and scenarios the search never saw. `recommendation.py` says
what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mcrisk.calibrate import optimise as search
from mcrisk.calibrate.evaluate import Outcome, Runner, job
from mcrisk.calibrate.study import answering, candidate, says
from mcrisk.config.book import Traders
from mcrisk.config.run import RunConfig
from mcrisk.config.study import Calibration, Variable
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError


@dataclass(frozen=True)
class Check:
    """One place where chosen and present rulebook were judged on the same draws."""

    place: str
    chosen: Outcome
    present: Outcome


@dataclass(frozen=True)
class Decision:
    """The outcome of a study. `venue` is the chosen rulebook, ready to be used; `assumption` is that about traders, in
    words, where a decision touches margin."""

    study: Calibration
    trials: list[search.Trial]
    best: search.Trial
    front: list[search.Trial]
    venue: Venue
    present: Venue
    checks: list[Check]
    runner_up: Outcome | None
    assumption: str = ""


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
    assumption = says(study, run) if any(_touches_margin(variable) for variable in study.variables) else ""
    return Decision(study, trials, best, front, chosen, venue, checks, found[-1] if second is not None else None, assumption)


def _touches_margin(variable: Variable) -> bool:
    return any(path.startswith("pre.margin") for path in variable.fields)


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
