"""Venue designs side by side: the same company, the same accounts, different rulebooks, differences paired path by path.

Delay, reset and cancellation are drawn per company and scenario, prices per market name, so every design meets the same
world. Books follow the venue's leverage mix unless one mix is given for all (`same_mix`), which makes the traders the same,
too. Everything is a share of each venue's one-sided open interest, so designs of different size can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcrisk.calibrate.evaluate import Outcome, Runner, job
from mcrisk.calibrate.output import Table, Verdict
from mcrisk.calibrate.study import Overrides, answering, at, run_of, says, where_in
from mcrisk.calibrate.words import change_of, name_of, range_of, scenario_of, text_of
from mcrisk.config.load import load_model
from mcrisk.config.run import RunConfig
from mcrisk.config.study import DesignComparison
from mcrisk.errors import InputError
from mcrisk.risk.intervals import Interval, paired_difference

JUDGED = ("p_fund_depleted", "p_adl", "winners_haircut_mean", "bad_debt_mean_of_oi", "unpaid_mean_of_oi",
          "avoidable_liquidation", "liquidated_notional_mean_of_oi")  # fmt: skip
PRICES = ("initial_margin", "equity_posted")  # what safety costs traders: required, and really posted


@dataclass(frozen=True)
class Comparison:
    """Outcomes by (design, scenario); the first design is the one the others are held against."""

    designs: tuple[str, ...]
    scenarios: tuple[str, ...]
    found: dict[tuple[str, str], Outcome]

    def difference(self, design: str, scenario: str, metric: str) -> Interval:
        """Design − base, paired."""
        a, b = self.found[design, scenario], self.found[self.designs[0], scenario]
        return paired_difference(a.samples[metric], b.samples[metric])


@dataclass(frozen=True)
class Designs:
    """What is compared: a run of two venues or more, the design the others are held against, the assumption in words."""

    run: RunConfig
    base: str
    title: str = ""
    assumption: str = ""


def load_comparison(reference: str, overrides: Overrides = ()) -> Designs:
    """A comparison from its file. With one mix for all, the traders are those of the base and answer the others' margin.

    Raises InputError naming file and line.
    """
    kind = "comparisons"
    study = load_model(DesignComparison, kind, reference, overrides)
    run = run_of(kind, reference, study, study.venues, study.scenarios).model_copy(update={"paths": study.paths})
    base = next((v for v in run.venues if v.name == (study.against or run.venues[0].name)), None)
    if base is None:
        raise InputError(
            f"'{study.against}' is no name of a venue here", where_in(kind, reference, "against"),
            f"they are called {', '.join(v.name for v in run.venues)}", "use the name written in the venue's file",
        )  # fmt: skip
    if study.same_mix is None:
        return Designs(run, base.name, study.title)
    with at(kind, reference, "same_mix"):
        run = one_mix(run, study.same_mix, "")
    return Designs(answering(run, study, base.pre.margin), base.name, study.title, says(study, run))


def from_run(run: RunConfig, base: str, same_mix: str | None) -> Designs:
    """A comparison of the venues of a run. Raises InputError for fewer than two, or an unknown leverage mix."""
    if len(run.venues) < 2:
        raise InputError("one venue cannot be compared", run.name, None, "give a run with two venues or more")
    return Designs(one_mix(run, same_mix, "--same-mix") if same_mix is not None else run, base)


def compare(designs: Designs, compute: Runner) -> Comparison:
    """Every venue of the run under every scenario, on as many paths as the run has."""
    run = designs.run
    order = sorted(run.venues, key=lambda venue: venue.name != designs.base)
    cells = [(venue, scenario.name) for venue in order for scenario in run.scenarios]
    found = compute([job(run, venue, scenario, run.paths) for venue, scenario in cells])
    table = {(venue.name, scenario): outcome for (venue, scenario), outcome in zip(cells, found)}
    return Comparison(tuple(v.name for v in order), tuple(s.name for s in run.scenarios), table)


def one_mix(run: RunConfig, mix: str, where: str) -> RunConfig:
    """The run with one leverage mix in every generated book. Raises InputError when a book does not have it."""
    from mcrisk.config.catalog import suggest

    books = [run.book, *run.venue_books.values()]
    for book in books:
        if book.file is None and mix not in book.leverage_mixes:
            known = sorted(book.leverage_mixes)
            raise InputError(
                f"unknown leverage mix '{mix}'", where, f"the book has {', '.join(known)}", suggest(mix, known)
            )
    changed = {name: book.model_copy(update={"leverage_mix": mix}) for name, book in run.venue_books.items()}
    whole = run.book.model_copy(update={"leverage_mix": mix})
    return run.model_copy(update={"book": whole, "venue_books": changed})


def table(found: Comparison, scenario: str) -> Table:
    """Levels under one scenario: one row per number, one column per design."""
    rows = tuple(
        (name_of(m), *(range_of(m, found.found[design, scenario].table[m]) for design in found.designs))
        for m in (*PRICES, *JUDGED)
    )
    bare = [d for d in found.designs if not found.found[d, scenario].table["fund_size"].estimate > 0]
    note = f" {', '.join(bare)}: no fund, so the first loss counts as its exhaustion." if bare else ""
    return Table(f"Designs under {scenario_of(scenario)}", ("number", *found.designs), rows, f"95 % intervals.{note}")


def differences_table(found: Comparison) -> Table:
    """Every design against the base, paired: one row per design, scenario and metric."""
    rows = tuple(
        (design, scenario_of(scenario), name_of(metric), change_of(metric, gap), _word(gap))
        for design in found.designs[1:] for scenario in found.scenarios for metric in JUDGED
        for gap in [found.difference(design, scenario, metric)]
    )  # fmt: skip
    note = f"Design minus {found.designs[0]} on the same paths. All numbers are better when smaller; 95 % intervals."
    return Table("Paired differences", ("design", "scenario", "number", "difference", "verdict"), rows, note)


def verdicts_table(found: Comparison) -> Table:
    """What each design is surely better and worse at, at a glance: one row per design and number, one column per scenario."""
    rows = tuple(
        (design, name_of(metric), *(_word(found.difference(design, scenario, metric)) for scenario in found.scenarios))
        for design in found.designs[1:] for metric in JUDGED
    )  # fmt: skip
    note = f"Against {found.designs[0]}. Better, worse: the 95 % interval of the paired difference excludes zero."
    return Table("Better or worse", ("design", "number", *map(scenario_of, found.scenarios)), rows, note)


def _word(gap: Interval) -> Verdict:
    if gap.upper < 0:
        return Verdict("better", "green")
    if gap.lower > 0:
        return Verdict("worse", "red")
    return Verdict("equal" if gap.estimate == gap.lower == gap.upper == 0 else "not resolved")


def answer(found: Comparison) -> str:
    """A headline with counts and prices, then per design what it is surely better at, and worse at."""
    base, lines = found.designs[0], [_headline(found)]
    for design in found.designs[1:]:
        words: dict[str, list[str]] = {"better": [], "worse": []}
        for metric in JUDGED:
            by = {s: _word(found.difference(design, s, metric)) for s in found.scenarios}
            for word, names in words.items():
                places = [s for s, verdict in by.items() if verdict == word]
                if places:
                    names.append(f"{name_of(metric)} ({_where(places, found.scenarios)})")
        for word, names in words.items():
            lines += [f"{design} is {word} in {'; '.join(names)}."] if names else []
        if not any(words.values()):
            lines.append(f"{design}: no difference to {base} is resolved.")
        lines.append(f"{design} {' and '.join(_price(found, design, metric) for metric in PRICES)}.")
    return "\n".join(lines)


def _headline(found: Comparison) -> str:
    """How often each design is surely better and worse than the base, and the equity it costs traders."""
    parts, total = [], len(JUDGED) * len(found.scenarios)
    for design in found.designs[1:]:
        words = [_word(found.difference(design, s, m)) for s in found.scenarios for m in JUDGED]
        price = _price(found, design, "equity_posted").removeprefix("makes them post ")
        counts = f"better in {words.count('better')} and worse in {words.count('worse')} of {total} numbers"
        parts.append(f"{design} is {counts}, for {price}")
    return f"Against {found.designs[0]} on the same paths, {'; '.join(parts)}."


def _price(found: Comparison, design: str, metric: str) -> str:
    """What a design asks of traders beyond the base; the same under every scenario."""
    first, verb = found.scenarios[0], {"initial_margin": "requires", "equity_posted": "makes them post"}[metric]
    gap = found.found[design, first].table[metric].estimate - found.found[found.designs[0], first].table[metric].estimate
    what = {"initial_margin": "initial margin", "equity_posted": "equity"}[metric]
    return f"{verb} {text_of(metric, abs(gap))} of open interest {'more' if gap > 0 else 'less'} {what}"


def _where(places: Sequence[str], scenarios: Sequence[str]) -> str:
    return "everywhere" if len(places) == len(scenarios) else ", ".join(map(scenario_of, places))
