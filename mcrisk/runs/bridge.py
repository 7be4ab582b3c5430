"""The one place where runs meet the engine and the risk room; nothing else here imports them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import xarray as xr

from mcrisk.runs.plan import Layout, Variant
from mcrisk.runs.session import Engine


def engine_for(config: Any) -> Engine:
    """The engine of the backend that `config` asks for. Imports jax."""
    simulate = import_module("mcrisk.engine.simulate")
    return Engine(
        backend="jax" if config.execution.backend == "auto" else config.execution.backend,
        layout=layout_of,
        prepare=simulate.prepare,
        run_block=simulate.run_block,
        variants=variants_of,
        summarise=summaries,
    )


def layout_of(config: Any) -> Layout:
    raise NotImplementedError


def variants_of(config: Any) -> tuple[Variant, ...]:
    return ()


def summaries(tree: xr.DataTree, config: Any) -> dict[str, xr.Dataset]:
    return {}
