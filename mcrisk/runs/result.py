"""A run as Python sees it: the stored arrays, lazily, and the facts about how they were made."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mcrisk.errors import InputError
from mcrisk.runs.place import LocalPlace, place_of
from mcrisk.runs.store import read_attributes

if TYPE_CHECKING:
    from mcrisk.report.plots import Plots

_MANIFEST = (
    "name", "seed", "paths", "fingerprint", "identity", "complete", "backend", "versions", "git", "hardware", "created",
    "sessions", "timings", "memory", "block_paths", "precision",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class RunResult:
    """A stored run. Arrays are read from disk when they are used.

    `tree` holds everything (`result.tree["bands"]`); the common parts have their own names.
    """

    path: Path | str
    tree: xr.DataTree

    @property
    def complete(self) -> bool:
        """True when every block is there and the risk numbers were made from all of them."""
        return bool(self.tree.attrs.get("complete"))

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, as plain values; `mcrisk.load_config(result.config)` makes it a model again."""
        return self.tree.attrs["config"]

    @property
    def manifest(self) -> dict[str, Any]:
        """Seed, fingerprint, versions, git state, hardware, sessions, timings, memory."""
        return {key: self.tree.attrs[key] for key in _MANIFEST if key in self.tree.attrs}

    @property
    def missed_targets(self) -> list[dict[str, Any]]:
        """Precision targets that do not hold: wish, cells, cells_held, worst cell. Empty = none was set, or all hold."""
        return [facts for facts in self.tree.attrs.get("precision", []) if not facts["held"]]

    @cached_property
    def paths(self) -> xr.Dataset:
        """Per-path results, dims (venue, scenario, path). In an unfinished run: the paths that every cell has."""
        data = self.tree["paths"].to_dataset()
        return data if self.complete else data.isel(path=slice(0, self.paths_everywhere))

    @property
    def accounts(self) -> xr.Dataset:
        """Per-account results, dims (venue, scenario, account). Raises InputError while the run is unfinished."""
        return self._finished("accounts")

    @property
    def bands(self) -> xr.Dataset:
        """Quantiles around the event, dims (venue, scenario, time, quantile). Raises InputError while unfinished."""
        return self._finished("bands")

    @property
    def metrics(self) -> xr.Dataset:
        """Risk numbers, dims (venue, scenario, metric, bound). Raises InputError while the run is unfinished."""
        return self._finished("metrics")

    @cached_property
    def blocks_done(self) -> tuple[int, int]:
        """Finished blocks of the venue × scenario cells, and all of them."""
        done = self.tree["blocks"]["done"].values
        return int((done >= self._block_sizes).sum()), done.size

    @cached_property
    def paths_everywhere(self) -> int:
        """Number of leading paths that are finished in every cell."""
        done = self.tree["blocks"]["done"].values
        whole = (done >= self._block_sizes).all(axis=(0, 1))
        first_gap = len(whole) if whole.all() else int(np.argmin(whole))
        return int(self._block_sizes[:first_gap].sum())

    @property
    def _block_sizes(self) -> np.ndarray:
        """[block] paths of each block of a cell."""
        paths, size = int(self.tree.attrs["paths"]), int(self.tree.attrs["block_paths"])
        return np.minimum(size, paths - np.arange(0, paths, size))

    def _finished(self, group: str) -> xr.Dataset:
        if not self.complete:
            done, total = self.blocks_done
            raise InputError(
                f"the run is unfinished: {done} of {total} blocks", str(self.path),
                f"/{group} is made from all of them", "repeat the same `mcrisk run` command: it resumes",
            )  # fmt: skip
        return self.tree[group].to_dataset()

    def __repr__(self) -> str:
        attrs, sizes = self.tree.attrs, self.tree["paths"].sizes
        done, total = self.blocks_done
        state = "complete" if self.complete else f"unfinished, {done} of {total} blocks"
        return (
            f"<RunResult {attrs.get('name')!r}: {sizes['venue']} venues × {sizes['scenario']} scenarios × "
            f"{sizes['path']:,} paths, {state}, fingerprint {str(attrs.get('fingerprint'))[:12]}, {self.path}>"
        )

    @cached_property
    def plot(self) -> Plots:
        """Figures as matplotlib axes: `result.plot.exceedance("kraken-preipo")`, `.fan()`, `.clock()`, …

        Raises InputError while the run is unfinished.
        """
        from mcrisk.report.plots import Plots

        self._finished("metrics")
        return Plots.of(self.tree, self.path)

    def _repr_html_(self) -> str:
        """The facts and, when finished, the answer and the lights. Everything from outside is escaped."""
        facts = {
            "store": self.path,
            "seed": self.tree.attrs.get("seed"),
            "fingerprint": self.tree.attrs.get("fingerprint"),
        }
        lines = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
        return f"<div><p><b>{escape(repr(self).strip('<>'))}</b></p>{self._lights()}<table>{lines}</table></div>"

    def _lights(self) -> str:
        """The report's first screen in small; nothing when the run is unfinished or was not made by the real engine."""
        if not self.complete or "value" not in self.tree["metrics"].data_vars:
            return ""
        from mcrisk.report import notebook
        from mcrisk.report.source import Run

        try:
            return notebook.html(Run(self.tree, str(self.path)))
        except (KeyError, ValueError, InputError):  # a store with other fields; its numbers are still in `metrics`
            return ""


def open_run(path: str | Path) -> RunResult:
    """The run stored at `path`, nothing read yet but its metadata. Raises InputError if there is none."""
    place = place_of(path)
    if read_attributes(path) is None:
        raise InputError(
            "there is no run here" if place.is_free() else "this is not an mcrisk run", place.text,
            "results are the .zarr folders that `mcrisk run` wrote", "see `mcrisk list`",
        )  # fmt: skip
    try:
        with warnings.catch_warnings():  # a run at work may be between two states of its consolidated metadata
            warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated", append=False)
            tree = xr.open_datatree(place.text, engine="zarr", chunks=None)
        missing = {"paths", "blocks", "accounts", "bands"} - set(tree.children)
    except Exception as error:
        raise InputError(
            "the store cannot be read", place.text, str(error)[:300],
            "run `mcrisk check` on it, or make the run again",
        ) from error  # fmt: skip
    if missing:
        raise InputError(f"the store lacks its group /{sorted(missing)[0]}", place.text, None, "make the run again")
    return RunResult(Path(path) if isinstance(place, LocalPlace) else place.text, tree)


def list_runs(folder: str | Path = "runs") -> list[tuple[Path, dict[str, Any]]]:
    """Every run directly in `folder` with its attributes, by name; nothing but one small file of each is read."""
    found = []
    for path in sorted(Path(folder).glob("*.zarr")) if Path(folder).is_dir() else ():
        attributes = read_attributes(path)
        if attributes is not None:
            found.append((path, attributes))
    return found
