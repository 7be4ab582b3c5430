"""Parameters of a rule as JAX sees them: floats traced, choices static.

`traced(model)` keeps one declaration (the pydantic model) and lets a sweep change any float without recompiling.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


@jax.tree_util.register_pytree_node_class
class Traced:
    """Attribute access to a model's fields; float fields are pytree leaves, all others are part of the structure."""

    def __init__(self, leaves: dict[str, Any], static: tuple[tuple[str, Any], ...]) -> None:
        self._leaves = leaves
        self._static = static

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._leaves:
            return self._leaves[name]
        for key, value in self._static:
            if key == name:
                return value
        raise AttributeError(f"no parameter '{name}'")

    def tree_flatten(self):
        names = tuple(sorted(self._leaves))
        return tuple(self._leaves[n] for n in names), (names, self._static)

    @classmethod
    def tree_unflatten(cls, aux, leaves):
        names, static = aux
        return cls(dict(zip(names, leaves)), static)


def traced(model: Any) -> Traced:
    """Split a pydantic model into traced floats and static choices; nested models become nested `Traced`.

    Floats become float64 scalars; tuples and lists are left out (tables are built by their own room, e.g. tiers).
    """
    leaves: dict[str, Any] = {}
    static: list[tuple[str, Any]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
            static.append((name, value))
        elif isinstance(value, float):
            leaves[name] = jnp.asarray(value, jnp.float64)
        elif hasattr(type(value), "model_fields"):
            leaves[name] = traced(value)
    return Traced(leaves, tuple(static))
