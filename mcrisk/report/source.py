"""A finished results store as the report sees it: names cleaned, optional groups optional, arrays read cell by cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from mcrisk.config.variance import VarianceReduction
from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.risk.weighted import accepted

HEADLINE_SCENARIO = "combined"
SHOCK_SCENARIO = "valuation_reset"
NAN = float("nan")


@dataclass(frozen=True)
class Bound:
    """An estimate with its 95 % interval; NaN where the sample does not give it."""

    estimate: float
    lower: float = NAN
    upper: float = NAN

    def over(self, size: float) -> Bound:
        """The same in units of `size` (NaN for size zero)."""
        scale = 1.0 / size if size else NAN
        return Bound(self.estimate * scale, self.lower * scale, self.upper * scale)


@dataclass(frozen=True)
class VenueInfo:
    """One venue of the run, as configured."""

    index: int
    name: str
    title: str
    operator: str
    open_interest: float
    fund: float
    backstop: float
    self_referential: bool

    @property
    def cushion(self) -> str:
        """What stands between a loss and the winners: 'fund', 'vault' (a backstop without a fund) or 'none'."""
        if self.fund > 0 or self.fund != self.fund:
            return "fund"
        return "vault" if self.backstop > 0 else "none"


def _load_json(value: Any) -> Any:
    """Attributes arrive as JSON text or as plain values."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


class Run:
    """Read access to a store. `venues` and `scenarios` keep the order of the store."""

    def __init__(self, tree: xr.DataTree, path: str = ""):
        self.tree, self.path = tree, path
        if "paths" not in tree.children or "fund_loss" not in tree["paths"].data_vars:
            raise InputError(
                "this store holds no results per path",
                path,
                "a report needs the /paths group of a finished run",
                "repeat the same `mcrisk run` command: it resumes where it stopped",
            )
        self.attrs = {k: fmt.clean_tree(_load_json(v)) for k, v in tree.attrs.items()}
        config = self.attrs.get("config")
        self.config: dict = config if isinstance(config, dict) else {}
        self.paths = tree["paths"].to_dataset()
        self.raw_venues = [str(v) for v in self.paths["venue"].values]
        self.scenarios = [fmt.clean(s) for s in self.paths["scenario"].values]
        self.n_paths = int(self.paths.sizes["path"])

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a store on disk.

        Raises:
            InputError: the path does not exist or is no results store.
        """
        place = path if "://" in str(path) else Path(path)
        if isinstance(place, Path) and not place.exists():
            raise InputError(
                "there is no such run",
                str(place),
                "a report is made from the store of a finished run",
                "`mcrisk list` shows the runs that exist",
            )
        try:
            tree = xr.open_datatree(place, engine="zarr", chunks=None)
        except Exception as error:
            raise InputError(
                "not a readable results store",
                str(place),
                fmt.clean(error)[:300],
                "give the RUN.zarr folder that `mcrisk run` wrote",
            ) from error
        return cls(tree, fmt.clean(place))

    def has(self, group: str) -> bool:
        """Whether an optional group is there."""
        return group in self.tree.children and bool(self.tree[group].data_vars)

    def group(self, name: str) -> xr.Dataset:
        return self.tree[name].to_dataset()

    @cached_property
    def name(self) -> str:
        return fmt.clean(self.config.get("name") or Path(self.path).stem or "run")

    @cached_property
    def venues(self) -> list[VenueInfo]:
        return [self._venue(i, raw) for i, raw in enumerate(self.raw_venues)]

    def _venue(self, index: int, raw: str) -> VenueInfo:
        name = fmt.clean(raw)
        config = self._venue_config(index, name)
        fund_config = config.get("fund") or {}
        backstop = config.get("backstop") or {}
        table = self.attrs.get("open_interest", self.config.get("open_interest"))
        oi = table.get(name) if isinstance(table, dict) else None
        if not fmt.known(oi):
            oi = (config.get("contract") or {}).get("open_interest", NAN) * self._markets_multiple()
        fund = NAN
        if "fund_initial" in self.paths:
            fund = float(self.paths["fund_initial"].isel(venue=index, scenario=0, path=0))
        elif fmt.known(fund_config.get("initial")):
            fund = fund_config["initial"] * oi
        return VenueInfo(
            index=index,
            name=name,
            title=config.get("title") or name,
            operator=config.get("operator") or "",
            open_interest=float(oi),
            fund=fund,
            backstop=float(backstop.get("loss_capacity", 0.0)) * float(oi) if backstop.get("enabled") else 0.0,
            self_referential=config.get("index_type") == "self_referential",
        )

    def _markets_multiple(self) -> float:
        """Open interest of all markets of the run together, in units of the venue's contract."""
        markets = [m for m in self.config.get("markets") or () if isinstance(m, dict)]
        return float(sum(m.get("open_interest_multiple", 1.0) for m in markets)) or 1.0

    def _venue_config(self, index: int, name: str) -> dict:
        """The venue's profile inside the resolved configuration, whichever way it is nested."""
        listed = self.config.get("venues")
        if isinstance(listed, dict):
            found = listed.get(name)
            return found if isinstance(found, dict) else {}
        for entry in listed or ():
            profile = entry.get("profile", entry.get("venue", entry)) if isinstance(entry, dict) else {}
            if isinstance(profile, dict) and profile.get("name") == name:
                return profile
        if isinstance(listed, list) and len(listed) == len(self.raw_venues) and isinstance(listed[index], dict):
            return listed[index]
        return {}

    def scenario_index(self, *wanted: str) -> int:
        """Position of the first of these scenarios that was run, else of the last one."""
        for name in wanted:
            if name in self.scenarios:
                return self.scenarios.index(name)
        return len(self.scenarios) - 1

    @cached_property
    def headline(self) -> int:
        """The scenario that carries the event probabilities."""
        return self.scenario_index(HEADLINE_SCENARIO)

    @cached_property
    def shock(self) -> int:
        """The scenario shown around the event."""
        return self.scenario_index(SHOCK_SCENARIO)

    @cached_property
    def _metric_array(self) -> tuple[dict[str, int], np.ndarray]:
        if not self.has("metrics"):
            return {}, np.empty(0)
        data = self.group("metrics")
        name = "value" if "value" in data else next(iter(data.data_vars))
        array = data[name].transpose("venue", "scenario", "metric", "bound")
        return {str(m): i for i, m in enumerate(data["metric"].values)}, array.values

    @property
    def metric_names(self) -> list[str]:
        return list(self._metric_array[0])

    def metric(self, venue: int, scenario: int, *names: str) -> Bound | None:
        """The first of these metrics that the store has, or None."""
        index, values = self._metric_array
        for name in names:
            if name in index:
                return Bound(*(float(v) for v in values[venue, scenario, index[name]]))
        return None

    def cell(self, venue: int, scenario: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Per-path values of one cell; a variable the store lacks is all NaN."""
        part = self.paths.isel(venue=venue, scenario=scenario)
        missing = np.full(self.n_paths, NAN)
        return {n: np.asarray(part[n].values, dtype=float) if n in part else missing for n in names}

    @cached_property
    def weighted(self) -> bool:
        """Whether paths count by a weight: the run has variance reduction."""
        asked = self.config.get("variance_reduction")
        model = VarianceReduction.model_validate(asked) if isinstance(asked, dict) else VarianceReduction()
        return model.active

    def sample(self, venue: int, scenario: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """`cell` as a plain sample of the model: all paths, or of a weighted run those that `weighted.accepted` keeps."""
        values = self.cell(venue, scenario, names)
        if not self.weighted or "weight" not in self.paths:
            return values
        keep = accepted(self.paths[["weight"]].isel(venue=venue, scenario=scenario).load())
        return {name: column[keep] for name, column in values.items()}
