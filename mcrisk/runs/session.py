"""One invocation of a run, whatever computes its blocks: store → blocks → sums → risk numbers → manifest."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from mcrisk.config.target import Target
from mcrisk.errors import RunFailed
from mcrisk.runs import fingerprint, manifest, precision
from mcrisk.runs.damage import find_missing
from mcrisk.runs.execute import Crew, Execution, execute
from mcrisk.runs.layout import put, zarr_settings
from mcrisk.runs.merge import merge
from mcrisk.runs.plan import TWIN, Layout, Plan, Twin, Variant
from mcrisk.runs.progress import Progress, Silent, clock
from mcrisk.runs.result import RunResult, open_run
from mcrisk.runs.store import RunStore, failing_clearly


def _no_variants(config: Any) -> tuple[Variant, ...]:
    return ()


def _no_twin(config: Any) -> Twin | None:
    return None


def _no_more(config: Any) -> dict[str, Any]:
    return {}


def _no_summaries(tree: xr.DataTree, config: Any) -> dict[str, xr.Dataset]:
    return {}


@dataclass(frozen=True)
class Engine:
    """What a run needs from the rooms below; tests pass a stand-in.

    Args:
        backend: its name, part of the fingerprint.
        layout: config → axes and fields of the results.
        prepare: (config, venue name, scenario name) → parameters of a cell, picklable and small.
        run_block: (parameters, first_path, n, forced) → BlockResult; importable in a worker.
        variants: config → further cells.
        twin: config → the control variate it asks for. prepare_twin: as `prepare`, of the twin's cells.
        summarise: (tree of the store, config) → group name → dataset (metrics, break_even, strip).
        identity: config → further facts that decide bits (content of files, compiler).
        metric_names: what `summarise` will call its metrics, for targets; () = not known.
    """

    backend: str
    layout: Callable[[Any], Layout]
    prepare: Callable[[Any, str, str], Any]
    run_block: Callable[..., Any]
    variants: Callable[[Any], tuple[Variant, ...]] = _no_variants
    twin: Callable[[Any], Twin | None] = _no_twin
    prepare_twin: Callable[[Any, str, str], Any] | None = None
    summarise: Callable[[xr.DataTree, Any], dict[str, xr.Dataset]] = _no_summaries
    identity: Callable[[Any], dict[str, Any]] = _no_more
    metric_names: tuple[str, ...] = ()


def plan_of(config: Any, engine: Engine, paths: int | None = None) -> Plan:
    """The blocks a config asks for, or would if it asked for `paths`. Raises InputError when it cannot be planned."""
    if paths is not None and paths != config.paths:
        config = config.model_copy(update={"paths": paths})  # further cells may depend on it
    return Plan(
        venues=tuple(v.name for v in config.venues),
        scenarios=tuple(s.name for s in config.scenarios),
        paths=config.paths,
        block_paths=config.execution.block_paths,
        layout=engine.layout(config),
        variants=engine.variants(config),
        twin=engine.twin(config),
    )


def run_with(engine: Engine, config: Any, out: str | Path, progress: Progress | None = None) -> RunResult:
    """Compute, continue or extend the run of `config` in the store `out`.

    Raises: InputError, RunFailed, Interrupted, as `execute` and `RunStore.open` say; finished blocks are always kept.
    """
    progress, targets = progress or Silent(), tuple(getattr(config, "target", ()))
    precision.refuse_unknown(targets, engine.metric_names)
    plan = plan_of(config, engine)
    resolved = config.model_dump(mode="json")
    identity = fingerprint.identity(resolved, engine.backend, **engine.identity(config))
    # one process plans a device's memory: one worker per GPU with dask-cuda, else one worker (docs/scaling.md)
    devices = engine.backend == "cupy" and config.execution.workers is None
    workers = config.execution.workers or (1 if devices else None)
    with (
        RunStore.open(out, plan, identity, _attributes(config, resolved, engine)) as store,
        Crew(workers, config.execution.scheduler, store.place.text.startswith("memory:"), devices) as crew,
    ):
        _greet(store, config, workers, progress)
        if not store.created:
            store.forget([damage.block for damage in find_missing(store)])
        _compute(store, crew, config, engine, progress)
        while targets and (paths := _more(store, targets, progress)):
            store.extend(plan_of(config, engine, paths))
            _compute(store, crew, config, engine, progress)
    return open_run(out)


def _compute(store: RunStore, crew: Crew, config: Any, engine: Engine, progress: Progress) -> None:
    """Everything the store's plan lacks: blocks, sums, risk numbers, manifest."""
    started, clock_start = manifest.now(), time.perf_counter()
    fresh = bool(store.pending())
    if fresh or not store.attributes.get("complete"):
        # A resumed store describes the command that resumes it; what decides results is the same by fingerprint.
        resolved = {**config.model_dump(mode="json"), "paths": store.plan.paths}
        store.note(config=resolved, complete=False)
    done = Execution()
    if fresh:
        done = execute(store, engine.run_block, _tasks(config, engine, store), crew=crew, progress=progress)
    if not store.attributes.get("complete"):
        _finish(store, config, engine)
        store.note(complete=True, **_history(store, done, started, time.perf_counter() - clock_start))
        progress.say(f"done in {clock(time.perf_counter() - clock_start)}")


def _more(store: RunStore, targets: tuple[Target, ...], progress: Progress) -> int | None:
    """Judge the targets on the finished batch, note how they stand, and say how many paths come next; None = stop."""
    with xr.open_dataset(store.place.text, group="metrics", engine="zarr", chunks=None) as metrics:
        found = precision.standings(targets, metrics)
    paths = precision.next_batch(store.plan.paths, store.plan.block_paths, found)
    facts = [standing.facts() for standing in found]
    if facts != store.attributes.get("precision"):
        store.note(precision=facts)
    for standing in found:
        progress.say(f"{store.plan.paths:,} paths: {standing}")
    if paths is not None:
        progress.say(f"going on to {paths:,} paths per cell")
    elif missed := [standing for standing in found if not standing.held]:
        progress.say(f"PRECISION NOT REACHED: {len(missed)} of {len(found)} targets after {store.plan.paths:,} paths")
    return paths


def _tasks(config: Any, engine: Engine, store: RunStore) -> dict[tuple[str, str, str], Any]:
    """Parameters of the cells that still have blocks to compute."""
    changed = {variant.name: variant.config for variant in store.plan.variants}
    wanted = dict.fromkeys((block.variant, block.venue, block.scenario) for block in store.pending())
    prepare = lambda variant: engine.prepare_twin if variant == TWIN else engine.prepare  # noqa: E731
    return {
        (variant, venue, scenario): prepare(variant)(changed.get(variant) or config, venue, scenario)
        for variant, venue, scenario in wanted
    }


def _greet(store: RunStore, config: Any, workers: int | None, progress: Progress) -> None:
    """Say what will be done before it is done."""
    for line in store.plan.statement(workers or manifest.usable_cores()):
        progress.say(line)
    if store.plan.paths > config.paths:
        progress.say(f"the store already has {store.plan.paths:,} paths per cell; it keeps them")
    if store.plan.block_paths != config.execution.block_paths:
        progress.say(f"the store was laid out in blocks of {store.plan.block_paths:,} paths; they stay")


def _finish(store: RunStore, config: Any, engine: Engine) -> None:
    """Sums, then the risk numbers from the stored paths."""
    missing = find_missing(store)
    if missing:
        store.forget([damage.block for damage in missing])
        raise RunFailed(
            f"{len(missing)} finished blocks vanished", str(store.path), str(missing[0]),
            "repeat the same command: they are computed again",
        )  # fmt: skip
    merge(store)
    store.note()  # the tree below is opened through the consolidated metadata
    with xr.open_datatree(store.place.text, engine="zarr", chunks=None) as tree:
        groups = engine.summarise(tree, config)
    for name, dataset in groups.items():
        write_dataset(store, name, dataset)


def write_dataset(store: RunStore, group: str, dataset: xr.Dataset) -> None:
    """Write a small dataset as a group of the store, in place of what the group held."""
    with zarr_settings(), failing_clearly(store.path):
        target: zarr.Group = store.root.create_group(group, overwrite=True)
        target.attrs.update({key: value for key, value in dataset.attrs.items() if _plain(value)})
        for name, variable in dataset.variables.items():
            values = variable.values.astype(str) if variable.dtype.kind == "O" else variable.values
            attributes = {key: value for key, value in variable.attrs.items() if _plain(value)}
            put(target, str(name), values, tuple(map(str, variable.dims)), **attributes)


def _plain(value: Any) -> bool:
    """Values JSON can hold as they are."""
    if isinstance(value, (list, tuple)):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))


def _attributes(config: Any, resolved: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """Root attributes of a new store."""
    git = manifest.git_state()
    return {
        "title": "mcrisk run",
        "name": config.name,
        "config": resolved,
        "seed": config.seed,
        "backend": engine.backend,
        "versions": manifest.versions(),
        "git": git,
        "git_commit": git.get("commit", ""),
        "hardware": manifest.hardware(),
        "created": manifest.now(),
        "sessions": [],
    }


def _history(store: RunStore, done: Execution, started: str, wall: float) -> dict[str, Any]:
    """Timings: one entry per invocation that finished the run, and totals over all blocks ever computed."""
    sessions = list(store.attributes.get("sessions", []))
    sessions.append(
        {
            "started": started, "finished": manifest.now(), "host": manifest.hardware()["host"],
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:500], "workers": done.workers,
            "blocks": done.blocks, "paths": done.paths, "wall_seconds": round(wall, 3),
            "startup_seconds": round(done.startup, 3), "retried_blocks": done.retried,
        }
    )  # fmt: skip
    seconds = sum(float(np.nansum(store.root[f"blocks/{kind}seconds"][...])) for kind in store.plan.kinds)
    peak = max(done.peak_bytes, int(store.attributes.get("memory", {}).get("worker_peak_bytes", 0)))
    return {
        "sessions": sessions,
        "timings": {
            "wall_seconds": round(sum(s["wall_seconds"] for s in sessions), 3),
            "block_seconds": round(seconds, 3),
        },
        "memory": {"worker_peak_bytes": peak, "client_peak_bytes": manifest.peak_bytes()},
    }
