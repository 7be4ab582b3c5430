"""Which model a kind of configuration file holds, and how to tell kinds apart."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from mcrisk.config import catalog


def models() -> dict[str, type[BaseModel]]:
    """Folder of `configs/` → model of its files."""
    from mcrisk.config.book import BookSpec
    from mcrisk.config.run import RunConfig
    from mcrisk.config.scenario import FeedModel, Grid, Liquidity, PriceModel, Scenario
    from mcrisk.config.schedule import Schedule
    from mcrisk.config.study import Calibration, DesignComparison, ReverseStress, Sensitivity
    from mcrisk.config.venue import Venue

    return {
        "runs": RunConfig,
        "venues": Venue,
        "scenarios": Scenario,
        "prices": PriceModel,
        "liquidity": Liquidity,
        "feeds": FeedModel,
        "grids": Grid,
        "books": BookSpec,
        "schedules": Schedule,
        "calibrations": Calibration,
        "reverse-stress": ReverseStress,
        "sensitivities": Sensitivity,
        "comparisons": DesignComparison,
    }


def title(kind: str) -> str:
    """What one file of a kind is called."""
    return f"{catalog.KINDS[kind]} configuration"


def guess(reference: str) -> str:
    """The kind a name or path most likely means: by name among the shipped, by folder, by telling keys, else a run."""
    if catalog.is_name(reference):
        return next((kind for kind in catalog.KINDS if reference in catalog.names(kind)), "runs")
    folder = Path(reference).absolute().parent.name
    if folder in catalog.KINDS:
        return folder
    try:
        from mcrisk.config.source import read_yaml

        keys = set(read_yaml(reference))
    except Exception:  # loading it as a run will say what is wrong, with a better message
        return "runs"
    if {"when", "run"} <= keys:
        return "schedules"
    if {"variables", "objectives"} & keys:
        return "calibrations"
    if "inputs" in keys:
        return "reverse-stress" if {"value", "directions", "judged", "scan"} & keys else "sensitivities"
    if {"same_mix", "traders"} & keys:
        return "comparisons"
    return "venues" if {"pre", "post"} & keys and "venues" not in keys else "runs"


def summary(model: BaseModel) -> str:
    """One line about a validated model."""
    if hasattr(model, "scenarios") and hasattr(model, "book"):
        cells = f"{len(model.venues)} venues × {len(model.scenarios)} scenarios × {model.paths:,} paths"
        markets = f", {len(model.markets)} markets" if len(model.markets) > 1 else ""
        return f"{cells}, {model.book.accounts:,} accounts{markets}"
    if hasattr(model, "inputs"):
        return f"{len(model.inputs)} inputs, {model.metric} at {model.venue} under {model.scenario}"
    if hasattr(model, "variables"):
        return f"{len(model.variables)} variables, {model.trials} candidates of {model.venue} under {model.scenario}"
    return str(getattr(model, "title", "") or getattr(model, "name", type(model).__name__))
