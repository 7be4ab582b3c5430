"""A run as data: which venues, scenarios, markets and books, how many paths, how it is executed, what is judged.

Field names are the YAML keys, the `--set` paths, the Python arguments and the JSON schema. Units: seconds (durations
may be written `30d`), fractions (0.01 = 1 %), quote currency. Shipped: `configs/quickstart.yaml`, `configs/full.yaml`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mcrisk.config.base import Model, Positive
from mcrisk.config.book import BookSpec
from mcrisk.config.limits import Limits
from mcrisk.config.refs import Ref, as_map, compose, load_tree
from mcrisk.config.scenario import Correlation, Grid, Liquidity, PriceModel, Scenario
from mcrisk.config.source import Map, Place
from mcrisk.config.venue import Venue

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]

VenueRef = Annotated[Venue, Ref("venues")]
ScenarioRef = Annotated[Scenario, Ref("scenarios")]
LiquidityRef = Annotated[Liquidity, Ref("liquidity")]
BookRef = Annotated[BookSpec, Ref("books")]


class Market(Model):
    """One underlying. Its name is part of the random key: markets of one name see the same world on every venue."""

    name: Name
    prices: Annotated[PriceModel, Ref("prices", default="near")]
    initial_price: Positive | None = None  # quote currency; null = the venue's contract.initial_price
    open_interest_multiple: Positive = 1.0  # × the venue's one-sided open interest


class Execution(Model):
    """How the work is done. Never changes results; only `backend` may move last bits (and is fingerprinted)."""

    backend: Literal["auto", "jax", "native", "cupy"] = "auto"
    workers: int | None = Field(None, ge=1, le=4096)  # processes; null = one per core
    scheduler: str | None = None  # address of an existing dask cluster
    block_paths: int = Field(1024, ge=32, le=1_048_576)  # one block = one task = one shard of the store
    lane_paths: int = Field(256, ge=32, le=4096)  # paths that run through the kernel together

    @model_validator(mode="after")
    def _whole_lanes(self) -> Execution:
        if self.block_paths % self.lane_paths:
            raise ValueError(f"block_paths {self.block_paths} is not a multiple of lane_paths {self.lane_paths}")
        return self


class ReportInfo(Model):
    """Who answers for the report; printed on its first page."""

    owner: str = "not stated"
    purpose: str = "not stated"
    data_date: date | None = None
    approver: str = "not stated"


class RunConfig(Model):
    """One run: every venue × every scenario × `paths` paths × every account of the book."""

    name: Name
    title: str = ""
    seed: int = Field(20261120, ge=0, lt=2**64)
    paths: int = Field(gt=0, le=10**12)  # per venue and scenario
    start: datetime = datetime(2026, 11, 20, tzinfo=UTC)  # of time 0; funding boundaries and sessions follow it
    venues: tuple[VenueRef, ...] = Field(min_length=1)
    scenarios: tuple[ScenarioRef, ...] = Field(min_length=1)
    markets: tuple[Market, ...] = Field(min_length=1, max_length=8)
    correlation: Correlation = Correlation()
    grid: Annotated[Grid, Ref("grids", default="default")]
    book: Annotated[BookSpec, Ref("books", default="default")]
    venue_books: dict[str, BookRef] = Field(default_factory=dict)  # per venue name, instead of `book`
    liquidity: LiquidityRef | None = None  # for all venues; null = the one each venue names
    venue_liquidity: dict[str, LiquidityRef] = Field(default_factory=dict)  # per venue name; the others are filled in
    execution: Execution = Execution()
    limits: Limits = Limits()
    report: ReportInfo = ReportInfo()
    assumption_strip: bool = True  # run the assumptions of defaults.md section 8 low and high
    break_even: bool = True  # search the smallest jump that empties the fund
    strip_paths: int = Field(256, gt=0)  # per venue and setting of the strip and of the break-even search

    @staticmethod
    def complete_tree(tree: Map) -> tuple[str, ...]:
        """Puts the liquidity model that each venue names into `venue_liquidity`: a run holds all it depends on.

        An entry made here follows its venue when an override changes the name there. Returns the fields to compose.
        """
        given, venues = tree.get("venue_liquidity"), tree.get("venues")
        if not isinstance(venues, (list, tuple)) or not (given is None or isinstance(given, dict)):
            return ()  # wrong types; validation will say so
        filled, place = as_map(given or {}), tree.places["venues"]
        for venue in venues:
            entry = as_map(dict(venue)) if isinstance(venue, (dict, Venue)) else Map(place)
            name, model = entry.get("name"), entry.get("liquidity", Venue.model_fields["liquidity"].default)
            old = filled.places.get(name)
            if isinstance(name, str) and isinstance(model, str) and (old is None or old.implied not in ("", model)):
                at = venue.places.get("liquidity", place) if isinstance(venue, Map) else place
                filled.put(name, load_tree("liquidity", model, at), Place(at.file, at.line, implied=model))
        tree.put("venue_liquidity", filled, tree.places.get("venue_liquidity", place))
        return ("venue_liquidity",)

    @model_validator(mode="before")
    @classmethod
    def _references(cls, data: Any) -> Any:
        return compose(data, cls) if isinstance(data, dict) else data

    @field_validator("start")
    @classmethod
    def _in_utc(cls, start: datetime) -> datetime:
        return start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)

    @model_validator(mode="after")
    def _names_are_unique(self) -> RunConfig:
        for kind in ("venues", "scenarios", "markets"):
            names = [item.name for item in getattr(self, kind)]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind}: the name '{twice[0]}' occurs twice; give one of them another `name`")
        known = [venue.name for venue in self.venues]
        for table in ("venue_books", "venue_liquidity"):
            stray = sorted(set(getattr(self, table)) - set(known))
            if stray:
                raise ValueError(f"{table} names '{stray[0]}'; the venues of this run are {', '.join(known)}")
        return self

    def liquidity_of(self, venue: str) -> Liquidity:
        """The liquidity model of a venue of this run (`venue` is its name)."""
        return self.liquidity or self.venue_liquidity[venue]

    def book_of(self, venue: str) -> BookSpec:
        """The book of a venue of this run (`venue` is its name)."""
        return self.venue_books.get(venue, self.book)
