"""What a run will compute: blocks of paths in a fixed order, and what they need in memory and on disk.

A block is one cell (venue × scenario) and one range of paths; it is one task and one shard of every result array. Extra
cells (break-even jumps, assumption strip) are blocks of a `Variant` and differ only in the parameters they are given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from mcrisk.errors import InputError

PROCESS_BYTES = 1300 * 2**20  # peak of a worker that compiles a step, measured; stated, not enforced
TWIN = "twin"  # in place of a variant's name, and of its group in the store
ACCOUNT_SUMS = {"liquidated": "int64", "deleveraged": "int64", "pnl_sum": "float64"}
SQUARES = {"liquidated_squares": "int64", "deleveraged_squares": "int64"}  # of weights; weighted runs only


class PathField(Protocol):
    """One per-path number; `engine.records.Field` has this shape."""

    name: str
    dtype: str
    unit: str
    text: str


@dataclass(frozen=True)
class Layout:
    """Shapes and axes of the results, known before anything is computed.

    Args:
        fields: per-path numbers, in the order they are stored.
        account_ids: venue → ids of its accounts; venues may differ in number.
        pnl_edges: venue → [bins + 1] edges of the accounts' P&L histogram.
        pnl_unit: unit of `pnl_sum` and of those edges.
        band_times: [times] seconds on the common clock around the event.
        band_edges: band (last, index, …) → venue → [bins + 1] edges.
        band_units: band → unit. band_texts: band → what is counted, for people.
        account_facts: e.g. leverage, notional, side → venue → [accounts]; copied to /accounts for people.
        working_bytes: what the engine needs for one block beyond its results, for the memory statement.
        weighted: counts are sums of weights, in units of `engine.records.UNIT`.
    """

    fields: tuple[PathField, ...]
    account_ids: dict[str, tuple[str, ...]]
    pnl_edges: dict[str, np.ndarray]
    pnl_unit: str
    band_times: np.ndarray
    band_edges: dict[str, dict[str, np.ndarray]]
    band_units: dict[str, str] = field(default_factory=dict)
    band_texts: dict[str, str] = field(default_factory=dict)
    account_facts: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    working_bytes: int = 0
    weighted: bool = False

    @property
    def account_sums(self) -> dict[str, str]:
        """Sums per account and their types."""
        return {**ACCOUNT_SUMS, **SQUARES} if self.weighted else ACCOUNT_SUMS

    @property
    def count_type(self) -> str:
        """Type of the counts in histograms."""
        return "int64" if self.weighted else "int32"

    @property
    def accounts(self) -> int:
        """Size of the account axis: the largest book."""
        return max((len(ids) for ids in self.account_ids.values()), default=0)

    @property
    def pnl_bins(self) -> int:
        return max((len(edges) - 1 for edges in self.pnl_edges.values()), default=0)

    def band_bins(self, band: str) -> int:
        return max(len(edges) - 1 for edges in self.band_edges[band].values())


@dataclass(frozen=True)
class Variant:
    """A changed copy of some cells, on the same draws: one assumption moved, or one forced jump.

    Args:
        name: tag in the store, unique in a run.
        config: the changed run config, handed to `prepare`; None = the base config.
        forced: `engine` object handed to `run_block` (forced jumps), or None.
        text: what was changed, for people.
    """

    name: str
    venues: tuple[str, ...]
    scenarios: tuple[str, ...]
    paths: int
    config: Any = None
    forced: Any = None
    text: str = ""


@dataclass(frozen=True)
class Twin:
    """Control variate: every cell again with a condensed book, on the same paths and further ones (`runs.twin`).

    Args:
        accounts: of the condensed book.
        ratio: paths of the twin per path of the run.
        fields: per-path numbers that are kept, all as float64.
    """

    accounts: int
    ratio: float
    fields: tuple[str, ...]

    def paths(self, paths: int) -> int:
        """Paths of the twin of a run of so many; at least two more."""
        return max(math.ceil(self.ratio * paths), paths + 2)


@dataclass(frozen=True, order=True)
class Block:
    """Paths [first_path, first_path + n) of one cell; `index` is its place in the store's arrays."""

    venue: str
    scenario: str
    number: int
    first_path: int
    n: int
    index: tuple[int, ...] = ()
    variant: str = ""  # name of the variant, or `TWIN`

    @property
    def kind(self) -> str:
        """What the names of its arrays in /blocks begin with."""
        return "" if not self.variant else f"{TWIN}_" if self.variant == TWIN else "variant_"

    @property
    def label(self) -> str:
        tag = f" [{self.variant}]" if self.variant else ""
        return f"{self.venue} × {self.scenario}{tag}, paths {self.first_path}–{self.first_path + self.n - 1}"


@dataclass(frozen=True)
class Plan:
    """All blocks of a run. The order of `blocks()` is the order in which sums are made, whoever computed them when."""

    venues: tuple[str, ...]
    scenarios: tuple[str, ...]
    paths: int
    block_paths: int
    layout: Layout
    variants: tuple[Variant, ...] = ()
    variant_fields: tuple[str, ...] = ()  # () = all
    variant_block: int = 0  # 0 = block_paths, or fewer when no variant needs as many
    twin: Twin | None = None

    def __post_init__(self) -> None:
        _check(self)
        if not self.variant_block:
            most = max((v.paths for v in self.variants), default=self.block_paths)
            object.__setattr__(self, "variant_block", max(1, min(self.block_paths, most)))
        if not self.variant_fields:
            object.__setattr__(self, "variant_fields", tuple(f.name for f in self.layout.fields))

    @property
    def blocks_per_cell(self) -> int:
        return -(-self.paths // self.block_paths)

    @property
    def variant_paths(self) -> int:
        """Size of the path axis of /variants: the longest variant."""
        return max((v.paths for v in self.variants), default=0)

    @property
    def twin_paths(self) -> int:
        """Paths of the twin per cell; 0 without one."""
        return self.twin.paths(self.paths) if self.twin else 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of its blocks, see `Block.kind`."""
        return ("", *(("variant_",) if self.variants else ()), *((f"{TWIN}_",) if self.twin else ()))

    def blocks(self) -> Iterator[Block]:
        """Base cells by venue, scenario, range; then the twin's likewise; then the variants in the order given."""
        for v, venue in enumerate(self.venues):
            for s, scenario in enumerate(self.scenarios):
                for b, first, n in _ranges(self.paths, self.block_paths):
                    yield Block(venue, scenario, b, first, n, (v, s, b))
        for v, venue in enumerate(self.venues):
            for s, scenario in enumerate(self.scenarios):
                for b, first, n in _ranges(self.twin_paths, self.block_paths):
                    yield Block(venue, scenario, b, first, n, (v, s, b), TWIN)
        for k, variant in enumerate(self.variants):
            for venue in variant.venues:
                for scenario in variant.scenarios:
                    v, s = self.venues.index(venue), self.scenarios.index(scenario)
                    for b, first, n in _ranges(variant.paths, self.variant_block):
                        yield Block(venue, scenario, b, first, n, (k, v, s, b), variant.name)

    @property
    def total_paths(self) -> int:
        """Paths of all cells, variants included: the unit of progress."""
        base = len(self.venues) * len(self.scenarios) * (self.paths + self.twin_paths)
        return base + sum(len(v.venues) * len(v.scenarios) * v.paths for v in self.variants)

    def with_paths(self, paths: int) -> Plan:
        return replace(self, paths=paths)

    # ------------------------------------------------------------------ what it takes
    def block_bytes(self) -> int:
        """Results of one block before compression, bytes."""
        layout = self.layout
        per_path = sum(np.dtype(f.dtype).itemsize for f in layout.fields)
        size = np.dtype(layout.count_type).itemsize
        account = sum(np.dtype(t).itemsize for t in layout.account_sums.values()) + size * layout.pnl_bins
        bands = sum(size * len(layout.band_times) * layout.band_bins(b) for b in layout.band_edges)
        return self.block_paths * per_path + layout.accounts * account + bands

    def store_bytes(self) -> int:
        """Disk space to expect: per-path floats hardly compress, histograms to a third; a file wastes 2 KiB."""
        per_path = sum(np.dtype(f.dtype).itemsize for f in self.layout.fields)
        cells = len(self.venues) * len(self.scenarios)
        rows = cells * self.paths * per_path
        files = len(self.layout.fields) + len(self.layout.account_sums) + len(self.layout.band_edges) + 4
        sums = (self.block_bytes() - self.block_paths * per_path) // 3 + 2048 * files
        extra = sum(len(v.venues) * len(v.scenarios) * v.paths for v in self.variants) * 8 * len(self.variant_fields)
        twin = cells * self.twin_paths * 8 * len(self.twin.fields) if self.twin else 0
        return rows + cells * self.blocks_per_cell * sums + extra + twin + 2**20

    def worker_bytes(self) -> int:
        """Memory of one worker: the process, the engine's working set, and the block's results with one copy."""
        return PROCESS_BYTES + self.layout.working_bytes + 2 * self.block_bytes()

    def statement(self, workers: int | None = None) -> list[str]:
        """The plan in words, printed before a run and by `mcrisk validate`."""
        cells = len(self.venues) * len(self.scenarios)
        count = cells * self.blocks_per_cell
        lines = [
            f"{len(self.venues)} venues × {len(self.scenarios)} scenarios × {self.paths:,} paths: "
            f"{count:,} blocks of up to {self.block_paths:,} paths, {self.layout.accounts:,} accounts each"
        ]
        if self.variants:
            extra = sum(1 for block in self.blocks() if block.variant not in ("", TWIN))
            lines.append(f"{len(self.variants)} variants (break-even, assumptions): {extra:,} further blocks")
        if self.twin:
            lines.append(
                f"control variate: {cells} × {self.twin_paths:,} paths of a book condensed to {self.twin.accounts:,} accounts"
            )
        memory = f"about {self.worker_bytes() / 2**20:,.0f} MiB of memory per worker"
        if workers:
            memory += f", {workers * self.worker_bytes() / 2**30:.1f} GiB for {workers}"
        lines.append(f"{memory}; about {self.store_bytes() / 2**20:,.0f} MiB on disk")
        return lines


def _ranges(paths: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(number, first path, count); only the last range may be cut."""
    for number, first in enumerate(range(0, paths, size)):
        yield number, first, min(size, paths - first)


def _check(plan: Plan) -> None:
    """Refuse what cannot be laid out. Raises InputError."""
    if plan.paths < 1:
        raise InputError(
            f"{plan.paths} paths asked for",
            "paths",
            "a run needs at least one path per cell",
            "give --paths 1024 or more",
        )
    if plan.block_paths < 1:
        raise InputError(
            f"a block of {plan.block_paths} paths",
            "execution.block_paths",
            "must be positive",
            "leave it at its default",
        )
    for what, names in (("venue", plan.venues), ("scenario", plan.scenarios)):
        if not names:
            raise InputError(f"no {what} asked for", f"{what}s", None, f"name at least one {what}")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"the {what} '{twice[0]}' is listed twice", f"{what}s", None, "keep one of them")
    tags = [v.name for v in plan.variants]
    if len(set(tags)) != len(tags) or {"", TWIN} & set(tags):
        raise ValueError(f"variant names must be unique and not empty: {tags}")
