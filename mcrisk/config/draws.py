"""Parameter uncertainty as data: a model may carry `draws`, parameter sets that its data cannot tell apart.

`draws` is a table, field → values; the k-th value of every field belongs to the k-th set. `mcrisk fit` writes it. In a run
with `parameters: bootstrap`, paths [g·n, (g + 1)·n) with n = `paths_per_draw` take set g (modulo the number of sets) of
every model that has draws: which set a path takes is a pure function of its number. Models drawn from different data have
independent rows, so equal rows of two tables are a draw of both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from mcrisk.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mcrisk.config.run import RunConfig

Table = dict[str, tuple[float, ...]]
M = TypeVar("M", bound=BaseModel)
FEWEST = 2


def checked_draws(model: M) -> M:
    """The model itself. Raises ValueError unless its draws are a table over its number fields."""
    table: Table = model.draws
    sizes = {len(values) for values in table.values()}
    if table and (len(sizes) > 1 or min(sizes) < FEWEST):
        raise ValueError(f"draws need {FEWEST} or more values per field, equally many; there are {sorted(sizes)}")
    for path in table:
        node: Any = model
        for step in path.split("."):
            node = node.get(step) if isinstance(node, dict) else getattr(node, step, None)
        if isinstance(node, bool) or not isinstance(node, (int, float)):
            raise ValueError(f"draws: '{path}' is no number of this model")
    return model


def count(model: BaseModel) -> int:
    """How many parameter sets a model has, 0 = it is known."""
    return len(next(iter(model.draws.values()), ()))


def drawn(model: Any, k: int) -> Any:
    """The model with its k-th parameter set (modulo their number) in place, without draws. Raises InputError."""
    if not model.draws:
        return model
    tree = model.model_dump(mode="python", exclude={"draws"})
    for path, values in model.draws.items():
        *steps, last = path.split(".")
        node = tree
        for step in steps:
            node = node[step]
        node[last] = values[k % len(values)]
    try:
        return type(model).model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"parameter set {k % count(model)} of '{model.name}' is not possible: {first['msg']}",
            f"{model.name}: draws", ".".join(map(str, first["loc"])) or None, "fit again, or drop that set",
        ) from None  # fmt: skip


def models_of(config: RunConfig) -> list[Any]:
    """The models of a run that may carry draws: price models by market, then scenarios."""
    return [*(market.prices for market in config.markets), *config.scenarios]


def in_use(config: RunConfig) -> bool:
    """Whether the paths of a run differ in parameters."""
    return config.parameters == "bootstrap"


def with_set(config: RunConfig, group: int, scenario: str | None = None) -> RunConfig:
    """The run as the paths of `group` see it: one parameter set in every model, parameters fixed.

    `scenario`: only this one is needed; the others stay as they are.
    """
    markets = tuple(m.model_copy(update={"prices": drawn(m.prices, group)}) for m in config.markets)
    scenarios = tuple(drawn(s, group) if scenario in (None, s.name) else s for s in config.scenarios)
    return config.model_copy(update={"markets": markets, "scenarios": scenarios, "parameters": "fixed"})


def group_of(config: RunConfig, path: int) -> int:
    """Number of the parameter set of a path, before it is taken modulo the size of each table."""
    return path // config.paths_per_draw


def period(config: RunConfig, scenario: str | None = None) -> int:
    """After how many groups the parameter sets repeat: the least common multiple of the tables' sizes.

    `scenario` counts the tables that matter there; None counts all.
    """
    models = [m.prices for m in config.markets] + [s for s in config.scenarios if scenario in (None, s.name)]
    return math.lcm(*(count(model) for model in models if model.draws)) if any(m.draws for m in models) else 1


def clusters(config: RunConfig, paths: int, scenario: str | None = None) -> NDArray[np.int64]:
    """[paths] which parameter set each path took; equal numbers mean equal parameters."""
    import numpy as np

    return np.arange(paths, dtype=np.int64) // config.paths_per_draw % period(config, scenario)


def validate(config: RunConfig) -> None:
    """Raises ValueError when there is nothing to draw, a set is impossible, or the run's layout does not fit."""
    lanes, size = config.execution.lane_paths, config.paths_per_draw
    if lanes % size and size % lanes:
        raise ValueError(
            f"paths_per_draw {size} neither divides execution.lane_paths {lanes} nor is a multiple of it: a lane group has "
            "one parameter set"
        )
    if getattr(config, "variance_reduction", None) is not None and config.variance_reduction.asked:
        raise ValueError(
            "parameters: bootstrap needs plain Monte Carlo: strata and weights of variance_reduction are made for one "
            "parameter set; leave variance_reduction out"
        )
    models = models_of(config)
    if not any(model.draws for model in models):
        names = ", ".join(dict.fromkeys(f"'{model.name}'" for model in models))
        raise ValueError(f"parameters: bootstrap, but none of {names} has draws; `mcrisk fit` writes models with draws")
    try:
        for model in models:
            for k in range(count(model)):
                drawn(model, k)
    except InputError as error:
        raise ValueError(f"{error.what} ({error.why})" if error.why else error.what) from None
