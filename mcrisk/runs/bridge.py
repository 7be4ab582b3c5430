"""The one place where runs meet the engine and the risk room: axes of the results, further cells, risk numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import xarray as xr

from mcrisk.config import draws
from mcrisk.engine import backends, records, simulate
from mcrisk.risk import control, headline, means
from mcrisk.risk.cover_two import cover_two
from mcrisk.risk.parameters import components
from mcrisk.risk.weighted import sampling_facts
from mcrisk.runs import extras, twin
from mcrisk.runs.layout import BOUNDS, StoredField
from mcrisk.runs.plan import TWIN, Layout
from mcrisk.runs.session import Engine

BOOK_FIELDS = ("account_id", "quantity", "entry_price", "collateral", "margin_mode", "user_class", "depth_share")
PARTS = ("estimate", "lower", "upper", "within", "between", "share", "share_lower", "share_upper", "sets")
CONTROL_PARTS = ("squared_correlation", "coefficient", "fewer_paths", "used")
CATCH_ALL = 1e6  # the engine's way of writing "open end" of a histogram


def engine_for(config: Any) -> Engine:
    """The engine of the backend that `config` asks for."""
    return Engine(
        backend=backends.resolve(config.execution.backend),
        layout=layout_of,
        prepare=simulate.prepare,
        run_block=twin.run_block,
        variants=extras.variants,
        twin=twin.twin_of,
        prepare_twin=twin.prepare,
        summarise=summaries,
        identity=identity,
        metric_names=headline.metric_names(),
    )


def identity(config: Any) -> dict[str, Any]:
    """What decides results and does not stand in the config: books, which may come from files, and the executor's bits."""
    used = backends.environment(backends.resolve(config.execution.backend))
    books = {venue.name: _book_digest(simulate.book_of(config, venue.name)) for venue in config.venues}
    return {"books": books, "executor": used}


def layout_of(config: Any) -> Layout:
    """Axes of the results of a run: fields, accounts, clock and histogram edges."""
    names = [venue.name for venue in config.venues]
    books = {name: simulate.book_of(config, name) for name in names}
    facts = {venue.name: account_facts(books[venue.name], _prices(config, venue)) for venue in config.venues}
    edges = {band: _open_ends(records.band_edges(band)) for band in records.BAND_NAMES}
    markets, accounts = len(config.markets), max(len(book) for book in books.values())
    return Layout(
        fields=_fields(config),
        account_ids={name: tuple(map(str, book.account_id)) for name, book in books.items()},
        pnl_edges=dict.fromkeys(names, _open_ends(records.pnl_edges())),
        pnl_unit="initial collateral",
        band_times=np.asarray(simulate.band_times(config), dtype=np.float64),
        band_edges={band: dict.fromkeys(names, values) for band, values in edges.items()},
        band_units=dict(records.BAND_UNITS),
        weighted=config.variance_reduction.active,
        band_texts=dict(records.BAND_TEXTS),
        account_facts={fact: {name: facts[name][fact] for name in names} for fact in next(iter(facts.values()))},
        # state of a lane group, held about three times over by a step: [lanes, accounts, 3 per market + 4] float64
        working_bytes=3 * 8 * config.execution.lane_paths * accounts * (3 * markets + 4),
    )


def _fields(config: Any) -> tuple[Any, ...]:
    """The engine's fields; the weight says on how many scrambled nets the paths lie, which intervals must know."""
    nets = config.variance_reduction.groups
    return tuple(
        StoredField(*field, attributes={"nets": nets}) if field.name == "weight" and nets else field
        for field in records.PATH_FIELDS
    )


def account_facts(book: Any, prices: np.ndarray) -> dict[str, np.ndarray]:
    """What people want to see beside an account's risk, [accounts] each; notional and collateral in quote."""
    signed = book.quantity @ prices
    gross, equity = np.abs(book.quantity) @ prices, book.equity(prices)
    with np.errstate(divide="ignore", invalid="ignore"):
        leverage = np.where(equity > 0, gross / equity, np.nan)
    return {
        "user_class": np.asarray(book.user_class),
        "side": np.sign(signed),
        "notional": gross,
        "leverage": leverage,
        "collateral": np.asarray(book.collateral, dtype=np.float64),
    }


def summaries(tree: xr.DataTree, config: Any) -> dict[str, xr.Dataset]:
    """/metrics, and /break_even and /strip where those cells were run."""
    paths = tree["paths"].to_dataset()
    beside = tree[TWIN].to_dataset() if TWIN in tree.children else None
    groups = {"metrics": metric_table(paths, config, beside), "cover_two": cover_two_table(config)}
    if beside is not None:
        groups["control"] = control_table(paths, beside, config)
    if draws.in_use(config):
        groups["parameters"] = parameter_table(paths, config)
    if "variants" in tree.children:
        groups |= extras.summaries(tree["variants"].to_dataset(), paths, config)
    return groups


def metric_table(paths: xr.Dataset, config: Any, beside: xr.Dataset | None = None) -> xr.Dataset:
    """`value` (venue, scenario, metric, bound), with unit per metric and note per number. `beside`: /twin, if there is one."""
    rows, notes, units, sampling = [], [], {}, []
    for v, venue in enumerate(config.venues):
        context = headline.Context(open_interest=open_interest(config, venue))
        for s in range(paths.sizes["scenario"]):
            cell = paths.isel(venue=v, scenario=s).load()
            found = headline.metrics(cell, context)
            if beside is not None:
                found = control.replace(found, control.estimates(cell, _twin_cell(beside, v, s), context), context)
            sampling.append(sampling_facts(cell))
            units |= {item.name: item.unit for item in found}
            rows.append({item.name: (item.estimate, item.lower, item.upper) for item in found})
            notes.append({item.name: item.note for item in found})
    shape = (paths.sizes["venue"], paths.sizes["scenario"], len(units))
    blank = (np.nan, np.nan, np.nan)
    value = np.array([[row.get(name, blank) for name in units] for row in rows]).reshape(*shape, 3)
    text = np.array([[note.get(name, "") for name in units] for note in notes], dtype=np.str_).reshape(shape)
    return xr.Dataset(
        {
            "value": (("venue", "scenario", "metric", "bound"), value),
            "unit": (("metric",), np.array(list(units.values()), dtype=np.str_)),
            "note": (("venue", "scenario", "metric"), text),
            **{k: (("venue", "scenario"), np.array([f[k] for f in sampling]).reshape(shape[:2])) for k in sampling[0]},
        },
        {
            "venue": paths["venue"].values, "scenario": paths["scenario"].values, "metric": list(units),
            "bound": list(BOUNDS),
        },
    )  # fmt: skip


def control_table(paths: xr.Dataset, beside: xr.Dataset, config: Any) -> xr.Dataset:
    """`value` (venue, scenario, metric, part): how far the twin explains each controlled number (`risk.control.Controlled`)."""
    names = [target.name for target in control.TARGETS]
    value = np.full((paths.sizes["venue"], paths.sizes["scenario"], len(names), len(CONTROL_PARTS)), np.nan)
    for v, venue in enumerate(config.venues):
        context = headline.Context(open_interest=open_interest(config, venue))
        for s in range(paths.sizes["scenario"]):
            found = control.estimates(paths.isel(venue=v, scenario=s).load(), _twin_cell(beside, v, s), context)
            for name, item in found.items():
                value[v, s, names.index(name)] = (item.squared_correlation, item.coefficient, item.fewer_paths, item.used)
    return xr.Dataset(
        {"value": (("venue", "scenario", "metric", "part"), value)},
        {"venue": paths["venue"].values, "scenario": paths["scenario"].values, "metric": names, "part": list(CONTROL_PARTS)},
        {"paths": int(paths.sizes["path"]), "twin_paths": int(beside.sizes["path"]), "twin_accounts": int(beside.attrs["accounts"]),
         "text": "squared correlation of run and twin; coefficient of the control; how many times more plain paths would give as "
         "short an interval; used: 1 where /metrics holds the controlled number"},
    )  # fmt: skip


def _twin_cell(beside: xr.Dataset, venue: int, scenario: int) -> xr.Dataset:
    """The twin's numbers of one cell as variables over `path`."""
    return beside["value"].isel(venue=venue, scenario=scenario).load().to_dataset(dim="field")


def parameter_table(paths: xr.Dataset, config: Any) -> xr.Dataset:
    """`value` (venue, scenario, metric, part): how much of a number's uncertainty the parameters are (`risk.parameters`)."""
    names, parts = means.NAMES, PARTS
    value = np.full((paths.sizes["venue"], paths.sizes["scenario"], len(names), len(parts)), np.nan)
    for v, venue in enumerate(config.venues):
        for s, scenario in enumerate(config.scenarios):
            cell = paths.isel(venue=v, scenario=s).load()
            sets = draws.clusters(config, cell.sizes["path"], scenario.name)
            if sets.max() == 0:
                continue  # every path took the same set
            for name, found in components(means.samples(cell, open_interest(config, venue)), sets).items():
                row = (*found.parameters, found.within, found.between, *found.share, found.sets)
                value[v, s, names.index(name)] = row
    return xr.Dataset(
        {"value": (("venue", "scenario", "metric", "part"), value)},
        {"venue": paths["venue"].values, "scenario": paths["scenario"].values, "metric": list(names), "part": list(parts)},
        {"paths_per_draw": int(config.paths_per_draw), "text": "estimate, lower, upper: the number over parameter sets, 95 %; "
         "within: standard error from the number of paths; between: standard deviation over parameter sets; share: of the "
         "variance of the number that is the parameters'"},
    )  # fmt: skip


def cover_two_table(config: Any) -> xr.Dataset:
    """`loss` (venue): beyond collateral of the two largest accounts of the side that the worse median reset hurts.

    The jump is the median of the reset laws of the first scenario that has one; a market with several is summed.
    """
    scenario = next((s for s in config.scenarios if s.name == extras.SHOCK), config.scenarios[0])
    jumps = [law.mean for law in (scenario.reset.down, scenario.reset.up) if hasattr(law, "mean")]
    names, rows = [venue.name for venue in config.venues], []
    for venue in config.venues:
        book, prices = simulate.book_of(config, venue.name), _prices(config, venue)
        liquidity = config.liquidity_of(venue.name)
        found = [
            [cover_two(book, float(price), jump, liquidity, market=m) for m, price in enumerate(prices)] for jump in jumps
        ]
        losses = [sum(part.loss for part in parts) for parts in found]
        worst = int(np.argmax(losses)) if losses else 0
        rows.append((losses[worst], float(np.expm1(jumps[worst]))) if losses else (np.nan, np.nan))
    return xr.Dataset(
        {"loss": (("venue",), np.array([row[0] for row in rows])), "jump": (("venue",), np.array([row[1] for row in rows]))},
        {"venue": names},
        {"text": "loss beyond collateral of the two largest accounts of one side at the median reset, own impact included"},
    )


def open_interest(config: Any, venue: Any) -> float:
    """One-sided open interest of a venue over all its markets, quote."""
    return float(sum(profile.contract.open_interest for profile in simulate.market_venues(config, venue)))


def _prices(config: Any, venue: Any) -> np.ndarray:
    """[markets] prices at the start."""
    return np.array([profile.contract.initial_price for profile in simulate.market_venues(config, venue)])


def _open_ends(edges: np.ndarray) -> np.ndarray:
    """Histogram edges with infinity where the engine writes a huge number."""
    edges = np.array(edges, dtype=np.float64)
    edges[0] = -np.inf if edges[0] <= -CATCH_ALL else edges[0]
    edges[-1] = np.inf if edges[-1] >= CATCH_ALL else edges[-1]
    return edges


def _book_digest(book: Any) -> str:
    digest = hashlib.sha256(repr(book.markets).encode())
    for name in BOOK_FIELDS:
        values = np.ascontiguousarray(getattr(book, name))
        digest.update(f"{name}{values.dtype}{values.shape}".encode() + values.tobytes())
    return digest.hexdigest()[:16]
