"""What users call: `mcrisk.run(config)`, `mcrisk.runs.check(path)` and `mcrisk.runs.repair(path)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mcrisk.config.load import load_config
from mcrisk.config.run import RunConfig
from mcrisk.errors import InputError
from mcrisk.runs.bridge import engine_for
from mcrisk.runs.damage import Damage, find_damage
from mcrisk.runs.progress import reporter
from mcrisk.runs.result import RunResult
from mcrisk.runs.session import run_with
from mcrisk.runs.store import RunStore, read_attributes


def run(
    config: RunConfig | str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    paths: int | None = None,
    backend: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overrides: Iterable[str] = (),
    quiet: bool = False,
) -> RunResult:
    """Compute a run, or continue it: the same call again goes on where the last one stopped.

    Args:
        config: a `RunConfig`, the path of a YAML file, the name of a shipped run, or a mapping.
        out: the Zarr store, a path or a URL (file, s3, memory); default `runs/NAME.zarr`.
        paths: paths per venue and scenario. More than the store has adds blocks; the paths that are there stay.
        backend: auto, jax, native or cupy.
        workers: processes on this machine; default one per core.
        scheduler: address of a dask cluster instead, e.g. ``tcp://10.0.0.1:8786``; it must see `out` under that path.
        overrides: ``"a.b=c"``, as `--set` on the command line.
        quiet: no progress on stderr.

    Raises:
        InputError: config, store, cluster or disk are not as they must be; nothing is lost.
        RunFailed: a block failed. Interrupted: Ctrl-C. In both cases finished blocks are kept.
    """
    given = {
        "paths": paths,
        "execution.backend": backend,
        "execution.workers": workers,
        "execution.scheduler": scheduler,
    }
    changes = [*overrides, *(f"{key}={value}" for key, value in given.items() if value is not None)]
    asked = config if isinstance(config, RunConfig) and not changes else load_config(config, changes)
    target = out if out is not None else Path("runs") / f"{asked.name}.zarr"
    if workers is not None and scheduler is not None:
        raise InputError(
            "workers and scheduler are both given", None, "a cluster has its own workers", "give one of them"
        )
    return run_with(engine_for(asked), asked, target, reporter(quiet))


def check(path: str | Path, *, repair: bool = True) -> list[Damage]:
    """Read every finished block of a store and compare it with its digest.

    Args:
        repair: mark damaged blocks as not done, so that the same `mcrisk run` command computes just those again.

    Returns: what is damaged; empty = sound. Raises InputError if there is no run or it is in use.
    """
    with RunStore.existing(path) as store:
        damaged = find_damage(store)
        if damaged and repair:
            store.forget([damage.block for damage in damaged if damage.block])
            store.note(complete=False)
        return damaged


def repair(
    path: str | Path, *, workers: int | None = None, scheduler: str | None = None, quiet: bool = False
) -> list[Damage]:
    """`check`, then compute what is damaged again, from the configuration in the store; nothing else is computed.

    Returns: what was damaged. An unfinished run is only checked: its own `mcrisk run` command computes the damaged blocks
    with the rest. Raises what `run` raises, and InputError when this mcrisk is not the one that made the run.
    """
    facts = read_attributes(path) or {}  # as it was before `check` marks what it finds
    damaged = check(path)
    if damaged and facts.get("complete"):
        config = load_config(facts.get("config"))
        execution = config.execution.model_copy(update={"workers": workers, "scheduler": scheduler})
        config = config.model_copy(update={"execution": execution, "target": ()})  # not one path more than it had
        run_with(engine_for(config), config, path, reporter(quiet))
    return damaged
