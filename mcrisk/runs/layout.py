"""The store on disk: which arrays exist, with which axes, chunks and checksums (Zarr v3).

/paths     (venue, scenario, path)            one chunk = one block of one variable
/accounts  (venue, scenario, account)         written when all blocks are there
/bands     (venue, scenario, time, quantile)  likewise
/metrics   (venue, scenario, metric, bound)   likewise
/twin      (venue, scenario, field, path)     control variate; all fields of a block in one chunk
/variants  (variant, venue, scenario, field, path)  all fields of a block in one chunk
/blocks    (venue, scenario, block, …)        partial sums, digests, and `done`: paths stored, 0 = none

Every chunk ends in a CRC-32C, so a torn or flipped one raises when read. Chunks of zeros are written like any other: a
missing chunk of a finished block is damage, not a fill value.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from mcrisk.runs.plan import TWIN, Layout, Plan, Twin, Variant

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BOUNDS = ("estimate", "lower", "upper")
CELL = ("venue", "scenario")
MARKS = {"done": "int32", "digest": "uint64", "seconds": "float64"}  # per block
ACCOUNT_RESULTS = {
    "p_liquidated": ("1", "share of paths on which the account is liquidated at least once"),
    "p_liquidated_lower": ("1", "its 95 % Wilson interval, lower end"),
    "p_liquidated_upper": ("1", "its 95 % Wilson interval, upper end"),
    "p_deleveraged": ("1", "share of paths on which the account is auto-deleveraged at least once"),
    "p_deleveraged_lower": ("1", "its 95 % Wilson interval, lower end"),
    "p_deleveraged_upper": ("1", "its 95 % Wilson interval, upper end"),
    "pnl_mean": (None, "mean profit and loss"),
    "pnl_p01": (None, "1 % quantile of profit and loss, interpolated in its histogram"),
    "pnl_p05": (None, "5 % quantile, likewise"),
    "pnl_es05": (None, "mean of the worst 5 %, from histogram midpoints"),
    "expected_loss": (None, "mean of max(-profit, 0), from histogram midpoints"),
}


@contextmanager
def zarr_settings() -> Iterator[None]:
    """Our settings while the store is touched: every chunk is written, and two warnings without consequence are silent.

    Few threads, because several workers share the machine.
    """
    settings = {"array.write_empty_chunks": True, "async.concurrency": 4, "threading.max_workers": 4}
    with zarr.config.set(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr hierarchy.*")
        yield


def lay_out(root: zarr.Group, plan: Plan) -> None:
    """Create every group, coordinate and result array of `plan`, empty."""
    _lay_paths(root.create_group("paths"), plan)
    _lay_accounts(root.create_group("accounts"), plan)
    _lay_bands(root.create_group("bands"), plan)
    root.create_group("metrics")
    _lay_blocks(root.create_group("blocks"), plan)
    if plan.twin:
        _lay_twin(root, plan)
    if plan.variants:
        lay_variants(root, plan)


def resize(root: zarr.Group, plan: Plan) -> None:
    """Make room for `plan.paths` paths; chunks that exist stay as they are. May be killed at any point and repeated."""
    _grow_axis(root["paths/path"], plan.paths)
    for field in plan.layout.fields:
        array = root[f"paths/{field.name}"]
        array.resize((*array.shape[:2], plan.paths))
    _grow_axis(root["blocks/block"], plan.blocks_per_cell)
    for name in (*block_arrays(plan), "done", "digest", "seconds"):
        array = root[f"blocks/{name}"]
        array.resize((*array.shape[:2], plan.blocks_per_cell, *array.shape[3:]))
    if plan.twin:
        _grow_axis(root[f"{TWIN}/path"], plan.twin_paths)
        value, count = root[f"{TWIN}/value"], -(-plan.twin_paths // plan.block_paths)
        value.resize((*value.shape[:3], plan.twin_paths))
        for name in MARKS:
            array = root[f"blocks/{TWIN}_{name}"]
            array.resize((*array.shape[:2], count))


def mend(root: zarr.Group, plan: Plan) -> None:
    """Write unreadable axes, names and edges anew: they follow from the plan, and a flipped bit there must not cost the run."""
    of_blocks = {*(field.name for field in plan.layout.fields), *block_arrays(plan), "done", "digest", "seconds"}
    later = {*of_blocks, *ACCOUNT_RESULTS, *plan.layout.band_edges}  # repaired by computing again, or by merging
    spare = None
    for group in ("paths", "accounts", "bands", "blocks", *((TWIN,) if plan.twin else ())):
        for name, array in root[group].arrays():
            if name in later or name.startswith(("variant_", f"{TWIN}_")) or (group, name) == (TWIN, "value"):
                continue
            try:
                array[...]
            except Exception:  # noqa: BLE001 - decoders raise whatever a damaged chunk makes them raise
                if spare is None:
                    spare = zarr.create_group(zarr.storage.MemoryStore(), zarr_format=3)
                    lay_out(spare, plan)
                array[...] = spare[f"{group}/{name}"][...]


def _grow_axis(array: zarr.Array, size: int) -> None:
    """A coordinate that counts from zero, at its new length."""
    array.resize((size,))
    array[...] = np.arange(size, dtype=array.dtype)


def block_arrays(plan: Plan) -> dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]:
    """Partial sums of a block: name → (dtype, shape, dims) of its part of the array."""
    layout = plan.layout
    arrays = {name: (dtype, (layout.accounts,), ("account",)) for name, dtype in layout.account_sums.items()}
    arrays["pnl_histogram"] = (layout.count_type, (layout.accounts, layout.pnl_bins), ("account", "pnl_bin"))
    for band in layout.band_edges:
        shape = (len(layout.band_times), layout.band_bins(band))
        arrays[f"band_{band}"] = (layout.count_type, shape, ("time", f"{band}_bin"))
    return arrays


def put(group: zarr.Group, name: str, values: Any, dims: tuple[str, ...], **attributes: Any) -> None:
    """Write a small whole array, replacing one of that name."""
    values = np.asarray(values)
    array = _create(group, name, values.dtype, values.shape, values.shape, dims, overwrite=True, **attributes)
    if values.size:
        array[...] = values


def _create(
    group: zarr.Group,
    name: str,
    dtype: Any,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dims: tuple[str, ...],
    *,
    overwrite: bool = False,
    **attributes: Any,
) -> zarr.Array:
    kind = np.dtype(dtype)
    return group.create_array(
        name,
        shape=shape,
        dtype=kind,
        chunks=tuple(max(1, c) for c in chunks),
        dimension_names=dims,
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        fill_value=np.nan if kind.kind == "f" else None,
        attributes={key: value for key, value in attributes.items() if value not in (None, "")},
        overwrite=overwrite,
    )


def _coordinates(group: zarr.Group, plan: Plan) -> None:
    put(group, "venue", np.array(plan.venues), ("venue",))
    put(group, "scenario", np.array(plan.scenarios), ("scenario",))


def _units(unit: str | None) -> str | None:
    """xarray turns variables in "seconds" into timedelta64; "s" stays a number."""
    return {"seconds": "s", "minutes": "min", "hours": "h", "days": "d"}.get(unit, unit) if unit else None


def _lay_paths(group: zarr.Group, plan: Plan) -> None:
    _coordinates(group, plan)
    put(group, "path", np.arange(plan.paths, dtype=np.int64), ("path",), long_name="path number; replayable")
    group.attrs["fields"] = [field.name for field in plan.layout.fields]  # their order is that of the digests
    shape = (len(plan.venues), len(plan.scenarios), plan.paths)
    for field in plan.layout.fields:
        extra = dict(getattr(field, "attributes", None) or {})
        _create(
            group, field.name, field.dtype, shape, (1, 1, plan.block_paths), (*CELL, "path"),
            units=_units(field.unit), long_name=field.text, **extra,
        )  # fmt: skip


def _lay_accounts(group: zarr.Group, plan: Plan) -> None:
    _coordinates(group, plan)
    layout = plan.layout
    put(
        group,
        "account",
        np.arange(layout.accounts, dtype=np.int64),
        ("account",),
        long_name="place in the venue's book",
    )
    ids = [layout.account_ids[venue] for venue in plan.venues]
    padded = [[*row, *[""] * (layout.accounts - len(row))] for row in ids]
    put(group, "account_id", np.array(padded, dtype=np.str_), ("venue", "account"), long_name="account id")
    group.attrs["coordinates"] = "account_id"  # tells xarray that it is a coordinate
    for name, by_venue in layout.account_facts.items():
        put(group, name, _account_table(plan, by_venue), ("venue", "account"))
    shape = (len(plan.venues), len(plan.scenarios), layout.accounts)
    for name, (unit, text) in ACCOUNT_RESULTS.items():
        unit = layout.pnl_unit if unit is None else unit
        _create(group, name, "float64", shape, (1, *shape[1:]), (*CELL, "account"), units=_units(unit), long_name=text)


def _account_table(plan: Plan, by_venue: dict[str, np.ndarray]) -> np.ndarray:
    """[venue, account] of numbers (NaN beyond a smaller book) or texts ("")."""
    rows = [np.asarray(by_venue[venue]) for venue in plan.venues]
    text = rows[0].dtype.kind in "US"
    table = np.full((len(rows), plan.layout.accounts), "", max(r.dtype for r in rows)) if text else np.full(
        (len(rows), plan.layout.accounts), np.nan
    )  # fmt: skip
    for line, row in zip(table, rows):
        line[: len(row)] = row
    return table


def _lay_bands(group: zarr.Group, plan: Plan) -> None:
    _coordinates(group, plan)
    layout = plan.layout
    times = np.asarray(layout.band_times, dtype=np.float64)
    put(group, "time", times, ("time",), units="s", long_name="time after the event")
    put(group, "quantile", np.array(QUANTILES), ("quantile",))
    shape = (len(plan.venues), len(plan.scenarios), len(times), len(QUANTILES))
    for band in layout.band_edges:
        units = _units(layout.band_units.get(band))
        _create(group, band, "float64", shape, (1, *shape[1:]), (*CELL, "time", "quantile"), units=units,
                long_name=layout.band_texts.get(band))


def _lay_blocks(group: zarr.Group, plan: Plan) -> None:
    _coordinates(group, plan)
    layout, count = plan.layout, plan.blocks_per_cell
    put(group, "block", np.arange(count, dtype=np.int64), ("block",))
    cell = (len(plan.venues), len(plan.scenarios), count)
    for name, (dtype, shape, dims) in block_arrays(plan).items():
        _create(group, name, dtype, (*cell, *shape), (1, 1, 1, *shape), (*CELL, "block", *dims))
    text = {"done": "paths stored of this block; 0 = none", "digest": "hash of the block's per-path results"}
    for name, dtype in MARKS.items():
        _create(
            group, name, dtype, cell, (1, 1, 1), (*CELL, "block"), long_name=text.get(name, "wall time of the block, s")
        )
    put(
        group,
        "pnl_edges",
        _padded(plan, layout.pnl_edges, layout.pnl_bins),
        ("venue", "pnl_edge"),
        units=_units(layout.pnl_unit),
    )
    for band, edges in layout.band_edges.items():
        put(group, f"band_{band}_edges", _padded(plan, edges, layout.band_bins(band)), ("venue", f"{band}_edge"))


def _padded(plan: Plan, edges: dict[str, np.ndarray], bins: int) -> np.ndarray:
    """[venue, bins + 1]; rows with fewer bins end in NaN."""
    table = np.full((len(plan.venues), bins + 1), np.nan)
    for row, venue in zip(table, plan.venues):
        row[: len(edges[venue])] = edges[venue]
    return table


def _lay_twin(root: zarr.Group, plan: Plan) -> None:
    group, fields, paths = root.create_group(TWIN), plan.twin.fields, plan.twin_paths
    _coordinates(group, plan)
    put(group, "field", np.array(fields), ("field",))
    put(group, "path", np.arange(paths, dtype=np.int64), ("path",), long_name="path number; those of /paths come first")
    group.attrs.update({"accounts": plan.twin.accounts, "ratio": plan.twin.ratio})
    cell = (len(plan.venues), len(plan.scenarios))
    chunk = (1, 1, len(fields), plan.block_paths)
    _create(group, "value", "float64", (*cell, len(fields), paths), chunk, (*CELL, "field", "path"))
    count = -(-paths // plan.block_paths)
    for name, dtype in MARKS.items():
        _create(root["blocks"], f"{TWIN}_{name}", dtype, (*cell, count), (1, 1, 1), (*CELL, f"{TWIN}_block"))


def lay_variants(root: zarr.Group, plan: Plan) -> None:
    group = root.create_group("variants")
    _coordinates(group, plan)
    names, fields = [v.name for v in plan.variants], plan.variant_fields
    put(group, "variant", np.array(names), ("variant",))
    put(group, "field", np.array(fields), ("field",))
    put(group, "path", np.arange(plan.variant_paths, dtype=np.int64), ("path",))
    put(
        group,
        "paths",
        np.array([v.paths for v in plan.variants], dtype=np.int64),
        ("variant",),
        long_name="paths of the variant",
    )
    put(group, "text", np.array([v.text for v in plan.variants], dtype=np.str_), ("variant",))
    cell = (len(names), len(plan.venues), len(plan.scenarios))
    ran = [[[v in k.venues and s in k.scenarios for s in plan.scenarios] for v in plan.venues] for k in plan.variants]
    put(group, "ran", np.array(ran), ("variant", *CELL), long_name="whether the variant was asked for in the cell")
    shape, chunk = (*cell, len(fields), plan.variant_paths), (1, 1, 1, len(fields), plan.variant_block)
    _create(group, "value", "float64", shape, chunk, ("variant", *CELL, "field", "path"))
    count = -(-plan.variant_paths // plan.variant_block)
    for name, dtype in MARKS.items():
        _create(
            root["blocks"], f"variant_{name}", dtype, (*cell, count), (1, 1, 1, 1), ("variant", *CELL, "variant_block")
        )  # fmt: skip


# ---------------------------------------------------------------------- back from the store
@dataclass(frozen=True)
class StoredField:
    """A per-path number as the store describes it."""

    name: str
    dtype: str
    unit: str
    text: str
    attributes: Any = None


def stored_plan(root: zarr.Group) -> Plan:
    """The plan a store was laid out for, from the store alone."""
    venues, scenarios = (tuple(map(str, root[f"paths/{axis}"][...])) for axis in CELL)
    rows = {name: root[f"paths/{name}"] for name in root["paths"].attrs["fields"]}
    fields = tuple(
        StoredField(name, str(a.dtype), str(a.attrs.get("units", "")), str(a.attrs.get("long_name", "")))
        for name, a in rows.items()
    )
    ids = root["accounts/account_id"][...]
    bands = [name[5:-6] for name in root["blocks"].array_keys() if name.startswith("band_") and name.endswith("_edges")]
    layout = Layout(
        fields=fields,
        account_ids={venue: tuple(str(i) for i in row if i) for venue, row in zip(venues, ids)},
        pnl_edges=_unpadded(venues, root["blocks/pnl_edges"][...]),
        pnl_unit=str(root["accounts/pnl_mean"].attrs.get("units", "")),
        band_times=root["bands/time"][...],
        band_edges={band: _unpadded(venues, root[f"blocks/band_{band}_edges"][...]) for band in sorted(bands)},
        weighted="liquidated_squares" in root["blocks"],
    )
    facts = root.attrs
    variants: tuple[Variant, ...] = ()
    if "variants" in root:
        group = root["variants"]
        variants = tuple(
            Variant(
                str(name),
                tuple(v for v, any_ in zip(venues, ran.any(axis=1)) if any_),
                tuple(s for s, any_ in zip(scenarios, ran.any(axis=0)) if any_),
                int(paths),
                text=str(text),
            )
            for name, paths, text, ran in zip(*(group[n][...] for n in ("variant", "paths", "text", "ran")))
        )
    chosen = tuple(map(str, root["variants/field"][...])) if variants else ()
    return Plan(
        venues,
        scenarios,
        int(facts["paths"]),
        int(facts["block_paths"]),
        layout,
        variants,
        chosen,
        int(facts["variant_block"]),
        _stored_twin(root),
    )


def _stored_twin(root: zarr.Group) -> Twin | None:
    if TWIN not in root:
        return None
    facts = root[TWIN].attrs
    return Twin(int(facts["accounts"]), float(facts["ratio"]), tuple(map(str, root[f"{TWIN}/field"][...])))


def _unpadded(venues: tuple[str, ...], table: np.ndarray) -> dict[str, np.ndarray]:
    return {venue: row[~np.isnan(row)] for venue, row in zip(venues, table)}
