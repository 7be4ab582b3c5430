"""Incidents as data: what was reported, and a scenario, book and rulebook that retell it (`configs/incidents/`).

Prices are generated row by row from the knots in the file (log-linear between them), the book by the generator of
simulated runs, the rules are a venue profile with the changes the file names. Every number is in the file: reported facts
with source and marker, what was chosen to meet which fact, and what nobody has published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BeforeValidator, Field, ValidationError

from mcrisk.config import catalog
from mcrisk.config.base import Fraction, Model, Positive, Seconds
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError
from mcrisk.replay.result import ReplayResult

Curve = tuple[tuple[Seconds, Positive], ...]  # (time since the start, value)


class Prices(Model):
    """How the price rows are made. `depth` is quote notional per row and side; `external` holds between its knots."""

    step: Seconds = 3.0
    length: Seconds
    last: Curve = Field(min_length=1)
    half_spread: Fraction = 2e-4
    impact: Fraction = 2e-4  # beyond best bid and ask
    depth: Curve = Field(min_length=1)
    external: Curve = ()
    external_on: Literal["hold", "line"] = "hold"  # between knots: the last value, or a line


def _number(value: Any) -> Any:
    """YAML 1.1 reads 57.4e6 as text; a fact that is a number is one."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class Reported(Model):
    """A fact: `metric` names the simulated number it is compared with (null: nothing in a replay answers it)."""

    what: str
    value: Annotated[float | str, BeforeValidator(_number)]
    unit: str = ""
    source: str
    marker: Literal["found", "third-party", "derived", "memory", "seed"]
    metric: str | None = None


class Choice(Model):
    """A number nobody published: what it is, what it was chosen to meet (empty: a plain assumption), why."""

    field: str
    meets: str = ""
    why: str


class Entered(Model):
    """Where longs and shorts came in, as multiples of the generated entry prices; their equity at the start stays."""

    long: Positive = 1.0
    short: Positive = 1.0


class Incident(Model):
    """`configs/incidents/NAME.yaml`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: str
    what_happened: str
    start: str  # of row 0, ISO-8601, UTC
    venue: dict[str, Any]  # a profile as `{base: NAME, changes…}`
    prices: Prices
    events: tuple[dict[str, Any], ...] = ()  # `at`: seconds since the start
    book: dict[str, Any] = Field(default_factory=dict)  # changes of configs/books/default.yaml
    entered: Entered = Entered()
    seed: int = 1
    reported: tuple[Reported, ...] = Field(min_length=1)
    chosen: tuple[Choice, ...] = Field(min_length=1)
    not_public: tuple[str, ...] = Field(min_length=1)
    reading: str  # what the comparison shows


@dataclass(frozen=True)
class Retold:
    """An incident replayed: the tables and the comparison (what, reported, simulated, unit, source, marker, metric)."""

    incident: Incident
    venue: Venue
    result: ReplayResult
    prices: pd.DataFrame
    comparison: pd.DataFrame


def folder() -> Path:
    """Where the shipped incidents lie."""
    return catalog.root() / "incidents"


def names() -> list[str]:
    """Names of the shipped incidents."""
    return sorted(file.stem for file in folder().glob("*.yaml"))


def load_incident(reference: str | Path) -> Incident:
    """A shipped incident by name, or one from a YAML file. Raises InputError."""
    path = Path(reference)
    if catalog.is_name(str(reference)):
        path = folder() / f"{reference}.yaml"
        if not path.is_file():
            raise InputError(f"unknown incident '{reference}'", f"--incident {reference}", f"known: {', '.join(names())}",
                             catalog.suggest(reference, names()))
    try:
        return Incident.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("the incident cannot be read", str(path), str(error).splitlines()[0], "check file and path") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"'{key}' is not as it must be", str(path), first["msg"], "compare a shipped incident") from None


def price_rows(incident: Incident) -> pd.DataFrame:
    """The price file of an incident: a pure function of its knots."""
    p = incident.prices
    at = np.arange(0.0, p.length + 0.5 * p.step, p.step)
    last = _line(p.last, at)
    start = pd.Timestamp(incident.start).timestamp()
    bid, ask = last * (1.0 - p.half_spread), last * (1.0 + p.half_spread)
    rows = {"time": start + at, "last": last, "bid": bid, "ask": ask, "impact_bid": bid * (1.0 - p.impact),
            "impact_ask": ask * (1.0 + p.impact), "depth": _line(p.depth, at)}
    if p.external:
        first = p.external[0][0]
        values = _line(p.external, at) if p.external_on == "line" else _held(p.external, at)
        rows["external"] = np.where(at >= first, values, np.nan)
    return pd.DataFrame(rows)


def _line(curve: Curve, at: np.ndarray) -> np.ndarray:
    times, values = zip(*curve)
    return np.exp(np.interp(at, times, np.log(values)))


def _held(curve: Curve, at: np.ndarray) -> np.ndarray:
    times, values = (np.array(x) for x in zip(*curve))
    return values[np.clip(np.searchsorted(times, at, side="right") - 1, 0, None)]


def account_rows(incident: Incident, venue: Venue) -> pd.DataFrame:
    """The book of an incident: generated as for simulated runs, from the incident's own seed."""
    from mcrisk.book.generate import generate
    from mcrisk.config.book import BookSpec
    from mcrisk.config.load import load_model

    spec = load_model(BookSpec, "books", {"base": "default", **incident.book})
    book = generate(spec, venue, ["market"], incident.seed)
    quantity, generated = book.quantity[:, 0], book.entry_price[:, 0]
    entry = generated * np.where(quantity > 0.0, incident.entered.long, incident.entered.short)
    collateral = book.collateral + quantity * (entry - generated)
    if (collateral < 0.0).any():
        raise InputError("an account would have put in less than nothing", f"incident {incident.name}, 'entered'",
                         "its profit since then exceeds its equity at the start", "bring 'entered' nearer to 1")
    return pd.DataFrame({"account_id": book.account_id, "quantity": quantity, "entry_price": entry, "collateral": collateral,
                         "user_class": book.user_class})


def replay_incident(reference: str | Path | Incident) -> Retold:
    """Replay an incident and compare it with what was reported. Raises InputError."""
    from mcrisk.config.load import load_venue
    from mcrisk.replay.api import replay
    from mcrisk.replay.facts import compare

    incident = reference if isinstance(reference, Incident) else load_incident(reference)
    venue = load_venue(incident.venue)
    prices, accounts = price_rows(incident), account_rows(incident, venue)
    start = pd.Timestamp(incident.start).timestamp()
    events = [{"time": start + float(event["at"]), **{k: v for k, v in event.items() if k != "at"}} for event in incident.events]
    result = replay(venue, prices, accounts, events or None)
    return Retold(incident, venue, result, prices, compare(incident, result, prices, accounts))
