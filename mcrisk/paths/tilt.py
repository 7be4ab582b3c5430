"""Drawing rare branches more often, with the weights that undo it.

Branches and overlays are decided by one uniform each, so another set of probabilities changes nothing else on a path:
same times, same sizes, same shocks. weight = Π p / q over what was decided; its mean is 1; E_q[weight · X] = E_p[X].
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from mcrisk.paths.lifecycle import Plan
from mcrisk.paths.params import NEVER, PathParams


def tilted(
    params: PathParams, branches: Any = None, squeeze: float | None = None, feed_error: float | None = None
) -> PathParams:
    """Parameters that draw with other probabilities; None leaves a probability as it is.

    Args:
        branches: proposal shares in the order of config.scenario.BRANCHES, summing to 1; each must be positive where
            the true share is, or the weight would miss that branch.
    """
    changes: dict[str, Any] = {}
    if branches is not None:
        shares = np.asarray(branches, np.float64)
        true = np.diff(np.asarray(params.plan.branch), prepend=0.0, axis=-1)
        if shares.shape != (5,) or abs(shares.sum() - 1.0) > 1e-9 or ((shares <= 0) & (true > 0)).any():
            raise ValueError("a proposal needs five shares that sum to 1 and are positive wherever the true ones are")
        cumulative = np.cumsum(shares)
        cumulative[-1] = 1.0
        changes["branch"] = np.broadcast_to(cumulative, np.shape(params.plan.branch)).copy()
    for name, value in (("squeeze_probability", squeeze), ("error_probability", feed_error)):
        if value is not None:
            changes[name] = np.full(np.shape(getattr(params.plan, name)), value, np.float64)
    return dataclasses.replace(params, plan=params.plan._replace(**changes))


def weight(true: PathParams, proposal: PathParams, plan: Plan) -> Any:
    """Likelihood ratio of one market's plan drawn under `proposal`; multiply over the markets of a path."""

    def share(params: PathParams) -> Any:
        upto = jnp.asarray(params.plan.branch)
        return upto[plan.branch] - jnp.where(plan.branch > 0, upto[jnp.maximum(plan.branch - 1, 0)], 0.0)

    def coin(p: Any, q: Any, drawn: Any) -> Any:
        return jnp.where(drawn, p / jnp.maximum(q, 1e-300), (1.0 - p) / jnp.maximum(1.0 - q, 1e-300))

    p, q = true.plan, proposal.plan
    squeezed, wrong = plan.squeeze_from < 0.5 * NEVER, plan.error_from < 0.5 * NEVER
    ratio = share(true) / share(proposal)
    return (
        ratio
        * coin(p.squeeze_probability, q.squeeze_probability, squeezed)
        * coin(p.error_probability, q.error_probability, wrong)
    )
