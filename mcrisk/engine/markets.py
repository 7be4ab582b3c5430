"""The market axis of a step: absent where there is one market, so that branches of the rules stay branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from mcrisk.rules.branch import MARKETS, selected


def over_markets(function: Callable[..., Any], in_axes: tuple[int | None, ...]) -> Callable[..., Any]:
    """`jax.vmap` over markets; on one path with one market the function itself, its results given the axis [1] back.

    `vmap` turns every `lax.cond` into a selection that pays for both sides. Lanes do that anyway; the generated source,
    which runs one path, must not.
    """

    def call(*args: Any) -> Any:
        mapped = [jax.tree.leaves(arg) for arg, axis in zip(args, in_axes, strict=True) if axis is not None]
        if selected() or next(leaf.shape[0] for leaves in mapped for leaf in leaves) > 1:
            return jax.vmap(function, in_axes, axis_name=MARKETS)(*args)
        alone = [arg if axis is None else jax.tree.map(_without, arg) for arg, axis in zip(args, in_axes, strict=True)]
        return jax.tree.map(lambda leaf: leaf[None], function(*alone))

    return call


def _without(leaf: Array) -> Array:
    return leaf.reshape(leaf.shape[1:])
