"""Studies loaded and checked against their runs: fields that exist, values that are possible, traders who answer.

The models are `mcrisk.config.study`. Messages name file and line, whatever is found wrong and however late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mcrisk.calibrate.evaluate import known_metric, metric_names
from mcrisk.calibrate.fields import changed, places
from mcrisk.config.load import Override, load_config, load_model
from mcrisk.config.refs import load_tree
from mcrisk.config.run import RunConfig
from mcrisk.config.study import Calibration, Study, Variable, paths_for
from mcrisk.config.venue import Margin, Venue
from mcrisk.errors import InputError

Overrides = Iterable["str | Override"]


def where_in(kind: str, reference: str, *keys: Any) -> str:
    """`file:line, key a.b[0]` of a key of a study's file; the file alone when the key is not written there."""
    from mcrisk.config.explain import key_path

    node = load_tree(kind, reference)
    place = node.place
    for key in keys:
        try:
            place, node = node.places[key], node[key]
        except (AttributeError, IndexError, KeyError, TypeError):
            break
    return f"{place}, key {key_path(list(keys))}"


def run_of(kind: str, reference: str, study: Study, venues: Sequence[str], scenarios: Sequence[str]) -> RunConfig:
    """The run of a study with these venues and scenarios, and the study's own settings. Raises InputError."""
    names = {"venues": "venue" if hasattr(study, "venue") else "venues",
             "scenarios": "scenario" if hasattr(study, "scenario") else "scenarios"}  # fmt: skip
    given = [
        Override(key, f"[{', '.join(values)}]", where_in(kind, reference, names[key]))
        for key, values in (("venues", venues), ("scenarios", scenarios))
    ]
    for k, text in enumerate(study.set):
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"'{text}' sets nothing", where_in(kind, reference, "set", k), None, "write KEY=VALUE")
        given.append(Override(key.strip(), value, where_in(kind, reference, "set", k)))
    try:
        return load_config(study.run, given)
    except InputError as error:
        if error.where or error.what.find(study.run) < 0:
            raise
        raise InputError(error.what, where_in(kind, reference, "run"), error.why, error.remedy) from None


def answering(run: RunConfig, study: Study, observed_under: Margin, traders: str | None = None) -> RunConfig:
    """The run with books whose traders answer requirements other than `observed_under` as the study says.

    `traders` overrides the study's assumption. Books from files are what they are.
    """
    answer = {"traders": traders or study.traders, "elasticity": study.elasticity, "observed_under": observed_under}

    def change(book: Any) -> Any:
        return book if book.file is not None else book.model_copy(update={"response": book.response.model_copy(update=answer)})

    books = {name: change(book) for name, book in run.venue_books.items()}
    return run.model_copy(update={"book": change(run.book), "venue_books": books})


def says(study: Study, run: RunConfig) -> str:
    """The behavioural assumption in words. Accounts of a file are what they are."""
    if all(run.book_of(venue.name).file is not None for venue in run.venues):
        return "Assumption: accounts come from a file and post what they post, whatever is required."
    return {
        "fixed_leverage": "Assumption: traders post what they posted, whatever is required (traders: fixed_leverage).",
        "fixed_collateral": "Assumption: traders use the leverage they are admitted; the equity they post moves in "
        "proportion to required initial margin (traders: fixed_collateral).",
        "elastic": f"Assumption: a requirement 10 % lower makes traders post {100 * (1 - 0.9**study.elasticity):.1f} % less "
        f"equity for the same position (traders: elastic, elasticity {study.elasticity:g}).",
    }[study.traders]


def load_study(reference: str, overrides: Overrides = ()) -> tuple[Calibration, RunConfig, Venue]:
    """The calibration, its run with one venue and all scenarios needed, and the present rulebook.

    Raises InputError naming file and line, unknown fields with the nearest name, and sample sizes that can satisfy no
    constraint with the number of paths it would take.
    """
    kind = "calibrations"
    study = load_model(Calibration, kind, reference, overrides)
    run = run_of(kind, reference, study, (study.venue,), (*study.judged, *study.held_out))
    venue = run.venues[0]
    plain = venue.model_dump(mode="json")
    for k, variable in enumerate(study.variables):
        for j, path in enumerate(variable.fields):
            with at(kind, reference, "variables", k, "fields", j):
                for place in places(plain, path, ""):
                    _fits(plain, place, path, variable)
    for list_ in ("objectives", "constraints"):
        for k, item in enumerate(getattr(study, list_)):
            with at(kind, reference, list_, k, "metric"):
                known_metric(item.metric, metric_names(), "")
    for k, constraint in enumerate(study.constraints):
        need = paths_for(constraint.at_most)
        if constraint.metric.startswith("p_") and study.paths < need:
            raise InputError(
                f"{study.paths} paths cannot show that {constraint.metric} is at most {constraint.at_most:g}",
                where_in(kind, reference, "constraints", k),
                f"even without a single hit the upper bound needs {need:,} paths",
                f"set paths: {need} or more (--paths {need}), or relax the constraint",
            )  # fmt: skip
    return study, answering(run, study, venue.pre.margin), venue


@contextmanager
def at(kind: str, reference: str, *keys: Any) -> Iterator[None]:
    """Gives an InputError without a place that of a key; looked up only when something is wrong."""
    try:
        yield
    except InputError as error:
        if error.where:
            raise
        raise InputError(error.what, where_in(kind, reference, *keys), error.why, error.remedy) from None


def _fits(tree: Any, place: tuple[Any, ...], path: str, variable: Variable) -> None:
    for key in place:
        tree = tree[key]
    if isinstance(tree, (dict, list)):
        raise InputError(f"'{path}' is a group of fields", None, None, f"name one of its fields, e.g. {path}.*")
    number = isinstance(tree, (int, float)) and not isinstance(tree, bool)
    if (variable.scale or not variable.choices) and not number:
        raise InputError(f"'{path}' is no number but {tree!r}", None, None, "give choices instead of a range")


def candidate(venue: Venue, study: Calibration, values: dict[str, Any]) -> Venue:
    """The rulebook with the decision variables set. Raises InputError when it is not consistent."""
    table: dict[str, Any] = {}
    for variable in study.variables:
        value = values[variable.name]
        for path in variable.fields:
            table[path] = (lambda old, factor=value: float(f"{old * factor:.6g}")) if variable.scale else value
    return changed(venue, table, study.name)
