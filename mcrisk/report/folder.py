"""What lies in a results folder: runs with their headline numbers, and slots whose runs are gone but remembered."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr

from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.report.source import HEADLINE_SCENARIO, NAN

SHOWN = ("p_fund_depleted", "required_fund_99_of_oi", "es_99_bad_debt_of_oi", "p_adl", "winners_haircut_es99")
DEPTH = 2  # RESULTS/run.zarr and RESULTS/schedule/slot.zarr


@dataclass
class Entry:
    """One run: `metrics` is venue → metric → (estimate, lower, upper) of the headline scenario."""

    series: str  # runs of one series make a trend
    name: str
    made: datetime
    state: str
    fingerprint: str = ""
    paths: int | None = None
    report: str = ""  # relative address of its report, "" when there is none
    store: str = ""
    metrics: dict[str, dict[str, tuple[float, float, float]]] = field(default_factory=dict)
    cushions: dict[str, str] = field(default_factory=dict)  # venue → what it has, where that is known


def entries(folder: Path) -> list[Entry]:
    """Every run and every remembered slot below `folder`, oldest first. What cannot be read is left out."""
    found = {}
    for place in sorted(_places(folder)):
        for entry in _slots(folder, place):
            found[entry.store] = entry
        for store in sorted(place.glob("*.zarr")):
            entry = _run(folder, store)
            if entry is not None:
                old = found.get(entry.store)
                entry.made = old.made if old else entry.made
                found[entry.store] = entry
    return sorted(found.values(), key=lambda e: (e.made, e.store))


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and path.suffix != ".zarr" and not path.name.startswith("."):
            yield path


def _slots(folder: Path, place: Path) -> Iterator[Entry]:
    """Records that `mcrisk schedule` left, also those whose store was pruned."""
    for file in sorted((place / "slots").glob("*.json")):
        try:
            data = json.loads(file.read_text())
            moment = datetime.strptime(data["slot"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            metrics = {
                fmt.clean(v): {str(k): tuple(NAN if x is None else float(x) for x in b) for k, b in row.items()}
                for v, row in (data.get("metrics") or {}).items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if data.get("status") == "skipped":
            continue
        state = "results pruned" if data.get("pruned") else fmt.clean(data.get("status", ""))
        where = place / f"{data['slot']}.zarr"
        yield Entry(_series(folder, place), data["slot"], moment, state, store=_relative(folder, where),
                    report=_report(folder, where), metrics=metrics)  # fmt: skip


def _run(folder: Path, store: Path) -> Entry | None:
    try:
        facts = json.loads((store / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    config = _parsed(facts.get("config"))
    series = _series(folder, store.parent)
    name = fmt.clean(config.get("name") or store.stem)
    if store.parent == folder:
        series = name
    made = _stated(facts.get("created")) or datetime.fromtimestamp(store.stat().st_mtime, UTC)
    entry = _entry(facts, config, series, store.stem if store.parent != folder else name, made, str(store))
    entry.report, entry.store = _report(folder, store), _relative(folder, store)
    return entry


def _entry(facts: dict, config: dict, series: str, name: str, made: datetime, store: str) -> Entry:
    """What the root attributes and the metrics of a store say."""
    complete = facts.get("complete") is not False
    return Entry(
        series, name, made, "complete" if complete else "unfinished", fmt.clean(facts.get("fingerprint", ""))[:12],
        config.get("paths") if isinstance(config.get("paths"), int) else None, store=store,
        metrics=_metrics(store) if complete else {}, cushions=_cushions(config),
    )  # fmt: skip


def remote_entries(url: str) -> list[Entry]:
    """Every run directly below a URL (`s3://…`, `memory://…`), oldest first. What cannot be read is left out.

    Raises InputError when the place itself cannot be listed.
    """
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url)
        stores = sorted(str(path) for path in files.ls(root, detail=False) if str(path).rstrip("/").endswith(".zarr"))
    except Exception as error:  # every file system has errors of its own
        raise InputError("the results cannot be listed", url, fmt.clean(error)[:300], "check the address and your access") from None
    found = []
    for path in stores:
        try:
            facts = json.loads(files.cat_file(f"{path.rstrip('/')}/zarr.json"))["attributes"]
            made = _stated(facts.get("created"))
        except Exception:  # not a store of ours, or damaged
            continue
        if made is None:
            continue
        config, stem = _parsed(facts.get("config")), path.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")
        series = fmt.clean(config.get("name") or stem)
        found.append(_entry(facts, config, series, fmt.clean(stem), made, files.unstrip_protocol(path)))
    return sorted(found, key=lambda e: (e.made, e.store))


def _cushions(config: dict) -> dict[str, str]:
    """What each venue of a resolved configuration has against losses, as `VenueInfo.cushion` names it."""
    found = {}
    for venue in config.get("venues") or ():
        if not isinstance(venue, dict):
            continue
        fund, backstop = venue.get("fund") or {}, venue.get("backstop") or {}
        held = fund.get("initial", 0.0) * fund.get("usable_share", 1.0)
        found[fmt.clean(venue.get("name", ""))] = "fund" if held > 0 else "vault" if backstop.get("enabled") else "none"
    return found


def _parsed(config: Any) -> dict:
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except ValueError:
            return {}
    return config if isinstance(config, dict) else {}


def _stated(created: Any) -> datetime | None:
    """When a store says it was made."""
    try:
        made = datetime.fromisoformat(str(created))
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _series(folder: Path, place: Path) -> str:
    return fmt.clean(place.name if place != folder else folder.name)


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _report(folder: Path, store: Path) -> str:
    file = store.with_suffix("") / "report.html"
    return _relative(folder, file) if file.is_file() else ""


def _metrics(store: str) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Headline numbers, reading nothing but the small /metrics group."""
    try:
        with xr.open_dataset(store, engine="zarr", group="metrics", chunks=None, consolidated=False) as data:
            names = [str(s) for s in data["scenario"].values]
            at = names.index(HEADLINE_SCENARIO) if HEADLINE_SCENARIO in names else len(names) - 1
            values = data["value"].isel(scenario=at).transpose("venue", "metric", "bound").values
            index = {str(m): i for i, m in enumerate(data["metric"].values)}
            return {
                fmt.clean(v): {k: tuple(float(x) for x in row[index[k]]) for k in SHOWN if k in index}
                for v, row in zip(data["venue"].values, values)
            }
    except Exception:  # an old or damaged store is listed without numbers
        return {}


def known(bounds: tuple[float, float, float]) -> bool:
    """Whether there is an estimate."""
    return math.isfinite(bounds[0])
