"""A run as data: which venues, scenarios, markets and books, how many paths, how it is executed, what is judged.

Field names are the YAML keys, the `--set` paths, the Python arguments and the JSON schema. Units: seconds (durations
may be written `30d`), fractions (0.01 = 1 %), quote currency. Shipped: `configs/quickstart.yaml`, `configs/full.yaml`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from mcrisk.config import draws
from mcrisk.config.base import Model, Positive
from mcrisk.config.book import BookSpec
from mcrisk.config.limits import Limits
from mcrisk.config.refs import Ref, as_map, compose, load_tree
from mcrisk.config.scenario import Correlation, FeedModel, Grid, Liquidity, PriceModel, Scenario
from mcrisk.config.source import Map
from mcrisk.config.target import Targets
from mcrisk.config.variance import VarianceReduction
from mcrisk.config.venue import Venue

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]

VenueRef = Annotated[Venue, Ref("venues")]
ScenarioRef = Annotated[Scenario, Ref("scenarios")]
LiquidityRef = Annotated[Liquidity, Ref("liquidity")]
BookRef = Annotated[BookSpec, Ref("books")]
FeedRef = Annotated[FeedModel, Ref("feeds")]


def _no_truth_value(value: Any) -> Any:
    """`paths: true` would count as 1."""
    if isinstance(value, bool):
        raise ValueError("a whole number is needed, not true or false")
    return value


Count = Annotated[int, BeforeValidator(_no_truth_value), Field(gt=0, le=10**12)]


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
    paths: Count  # per venue and scenario
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
    feed: FeedRef | None = None  # for all scenarios; null = the one each scenario names
    scenario_feeds: dict[str, FeedRef] = Field(default_factory=dict)  # per scenario name; the others are filled in
    variance_reduction: VarianceReduction = VarianceReduction()  # how paths are drawn and weighted; nothing = plain Monte Carlo
    execution: Execution = Execution()
    paths_per_draw: int = Field(32, ge=32, le=1_048_576)  # consecutive paths that share a parameter set
    parameters: Literal["fixed", "bootstrap"] = "fixed"  # bootstrap: paths take the parameter sets of models with draws
    limits: Limits = Limits()
    target: Targets = ()  # one or several; more paths are computed until all hold. `paths` is then the first batch
    report: ReportInfo = ReportInfo()
    assumption_strip: bool = True  # run the assumptions of defaults.md section 8 low and high
    break_even: bool = True  # search the smallest jump that empties the fund
    strip_paths: Count = 256  # per venue and setting of the strip and of the break-even search

    @staticmethod
    def complete_tree(tree: Map) -> tuple[str, ...]:
        """Puts the liquidity model each venue names, and the feed each scenario names, into the run's own tables.

        So a run holds everything it depends on. Returns the fields to compose.
        """
        return tuple(named.table for named in _NAMED if _fill(tree, named))

    @model_validator(mode="before")
    @classmethod
    def _references(cls, data: Any) -> Any:
        return compose(data, cls) if isinstance(data, dict) else data

    @field_validator("start")
    @classmethod
    def _in_utc(cls, start: datetime) -> datetime:
        return start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)

    @field_validator("parameters")
    @classmethod
    def _can_be_bootstrapped(cls, parameters: str, info: ValidationInfo) -> str:
        if parameters == "bootstrap" and {"markets", "scenarios", "execution", "paths_per_draw"} <= set(info.data):
            draws.validate(SimpleNamespace(**info.data))
        return parameters

    @field_validator("venues", "scenarios", "markets")
    @classmethod
    def _names_are_unique(cls, items: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [item.name for item in items]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the name '{twice}' occurs twice; give one of them another `name`")
        return items

    @field_validator("venue_books", "venue_liquidity", "scenario_feeds")
    @classmethod
    def _owners_exist(cls, table: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        owners = "scenarios" if info.field_name == "scenario_feeds" else "venues"
        known = [owner.name for owner in info.data.get(owners, ())]
        stray = next((name for name in table if name not in known), None)
        if stray is not None and known:
            raise ValueError(f"'{stray}' is not among the {owners} of this run, which are {', '.join(known)}")
        return table

    @model_validator(mode="after")
    def _targets_fit(self) -> RunConfig:
        known = {"venues": [v.name for v in self.venues], "scenarios": [s.name for s in self.scenarios]}
        for target in self.target:
            if target.max_paths < self.paths:
                raise ValueError(f"target.max_paths {target.max_paths} is below `paths` {self.paths}, the first batch")
            for what, names in known.items():
                stray = next((name for name in getattr(target, what) if name not in names), None)
                if stray is not None:
                    raise ValueError(f"target.{what}: '{stray}' is not in this run, which has {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _variance_reduction_fits(self) -> RunConfig:
        if self.variance_reduction.sampling == "sobol" and len(self.markets) > 1:
            raise ValueError(
                f"variance_reduction.sampling: sobol draws one market, this run has {len(self.markets)}: their correlated "
                "shocks have no common bridge; use stratified"
            )
        jumps, laws = self.variance_reduction.jumps, {market.prices.jumps.law for market in self.markets}
        if jumps is not None and jumps.stretch > 1.0 and laws != {"kou"}:
            raise ValueError("variance_reduction.jumps.stretch needs Kou jumps on every market; leave it at 1")
        self._can_be_condensed()
        if self.variance_reduction.asked and self.parameters == "bootstrap":
            raise ValueError(
                "variance_reduction and parameters: bootstrap exclude each other: the share of the parameters in a number's "
                "uncertainty is estimated from paths that count alike"
            )
        return self

    def _can_be_condensed(self) -> None:
        """Raise ValueError where the control variate asks for what no book of this run can give; files are judged when read."""
        if (wish := self.variance_reduction.control_variate) is None:
            return
        if len(self.markets) > 1:
            raise ValueError(
                f"variance_reduction.control_variate condenses the book of one market, this run has {len(self.markets)}: "
                "accounts margined over several cannot be merged; leave it out"
            )
        for venue in self.venues:
            spec = self.book_of(venue.name)
            if spec.file is None and spec.accounts <= wish.accounts:
                raise ValueError(
                    f"variance_reduction.control_variate.accounts: {wish.accounts} accounts cannot stand for the {spec.accounts} "
                    f"of {venue.name}'s book; ask for a tenth to a fifth of the book, or leave control_variate out"
                )

    def liquidity_of(self, venue: str) -> Liquidity:
        """The liquidity model of a venue of this run (`venue` is its name)."""
        return self.liquidity or self.venue_liquidity[venue]

    def feed_of(self, scenario: str) -> FeedModel:
        """The valuation feed under a scenario of this run (`scenario` is its name)."""
        return self.feed or self.scenario_feeds[scenario]

    def book_of(self, venue: str) -> BookSpec:
        """The book of a venue of this run (`venue` is its name)."""
        return self.venue_books.get(venue, self.book)


class _Named(NamedTuple):
    """Models that the members of a list name: `owners[i].field` is a name of `kind`, resolved into `table`."""

    table: str
    owners: str
    field: str
    kind: str
    model: type[Model]


_NAMED = (
    _Named("venue_liquidity", "venues", "liquidity", "liquidity", Venue),
    _Named("scenario_feeds", "scenarios", "feed", "feeds", Scenario),
)


def _fill(tree: Map, named: _Named) -> bool:
    """Fill one table. An entry made here follows its owner when an override changes the name there."""
    given, owners = tree.get(named.table), tree.get(named.owners)
    if not isinstance(owners, (list, tuple)) or not (given is None or isinstance(given, dict)):
        return False  # wrong types; validation will say so
    filled, place = as_map(given or {}), tree.places[named.owners]
    names = {owner.get("name") if isinstance(owner, dict) else getattr(owner, "name", None) for owner in owners}
    for name in [name for name in filled if filled.places[name].implied and name not in names]:
        del filled[name]  # made here for an owner that an override took out
    for owner in owners:
        entry = as_map(dict(owner)) if isinstance(owner, (dict, named.model)) else Map(place)
        name, model = entry.get("name"), entry.get(named.field, named.model.model_fields[named.field].default)
        old = filled.places.get(name)
        if isinstance(name, str) and isinstance(model, str) and (old is None or old.implied not in ("", model)):
            at = owner.places.get(named.field, place) if isinstance(owner, Map) else place
            filled.put(name, load_tree(named.kind, model, at), replace(at, implied=model))
    tree.put(named.table, filled, tree.places.get(named.table, place))
    return True
