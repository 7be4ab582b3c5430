"""Which uniforms the plans of paths are made from, and the weights that undo the choice. NumPy, on the host.

A path's uniforms are a pure function of its number: Philox as in a plain run, or a scrambled Sobol net (Owen's linear
matrix scramble with a digital shift, scipy.stats.qmc). Replicates take turns, path i is point i // R of scrambling i % R,
so that a short run is the beginning of a longer one. Each uniform may then be exchanged for one of another density;
weight = Π 1/density. Only what a path uses is exchanged: another size where nothing happens would cost weight for nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from mcrisk.config.scenario import BRANCHES, Grid
from mcrisk.config.variance import Tilt, VarianceReduction
from mcrisk.paths import codes
from mcrisk.paths.grid import event_step
from mcrisk.paths.params import PathParams
from mcrisk.paths.philox import Purpose, philox_numpy, uniform
from mcrisk.paths.script import COMPANY, CORNERS, OVERLAY, Script

Array = np.ndarray
_BRANCH, _TIME, _SIZE, _LISTS, _PRINT = 0, 1, 3, 5, 8  # places among the company's uniforms (lifecycle._company)
_SQUEEZE, _ERROR = COMPANY + 0, COMPANY + 1  # … and the venue's (lifecycle._overlays)
_FIRST = (_BRANCH, _TIME, _SIZE, 4, _LISTS)  # the first coordinates of a net are its best
_EDGE = 2.0**-40  # uniforms stay this far from 0 and 1, where laws without bounds end


class Draw(NamedTuple):
    """Scripts of a lane group, and the weight of what was drawn up front [n]."""

    script: Script
    weight: Array


@dataclass
class Proposal:
    """How the paths of one cell are drawn.

    Args:
        wish: the run's `variance_reduction`.
        params: [M] on every leaf.
        company, venue: [M] uint64 stream keys. common: the scenario's key.
    """

    wish: VarianceReduction
    params: PathParams
    grid: Grid
    company: Array
    venue: Array
    common: int
    _nets: dict[int, Any] = field(default_factory=dict, repr=False)  # scrambling → engine, kept where it stands

    def draw(self, first: int, n: int) -> Draw:
        """Paths [first, first + n)."""
        number = np.uint64(first) + np.arange(n, dtype=np.uint64)
        base, raised, shocks = self._uniforms(number)
        weight = np.ones(n)
        for m in range(len(self.company)):
            weight *= self._exchange(base[m], m)
        jumps, lanes = self.wish.jumps, (lambda value: np.full(n, float(value)))
        corners = None
        if shocks is not None:
            corners = tuple(lanes(row) for row in corner_rows(self.grid))
        script = Script(
            tuple(base.reshape(-1, n)),
            None if jumps is None else raised < jumps.share,
            None if jumps is None else lanes(jumps.factor),
            None if jumps is None else lanes(jumps.stretch),
            None if jumps is None else lanes(jumps.stretched),
            corners,
            None if shocks is None else tuple(ndtri(shocks)),
        )
        return Draw(script, weight)

    def weights(self, drawn: Draw, ratio: Array | None) -> Array:
        """[n] weights of finished paths. `ratio`: `script.Steering.ratio` at the end."""
        if self.wish.jumps is None:
            return drawn.weight
        share = self.wish.jumps.share
        return drawn.weight / (share * np.asarray(ratio) + (1.0 - share))

    # ------------------------------------------------------------------ uniforms before any exchange
    def _uniforms(self, number: Array) -> tuple[Array, Array, Array | None]:
        """[M, COMPANY + OVERLAY, n], the one that chooses raised paths [n], and those of the bridge [CORNERS, n]."""
        low, high = number & np.uint64(0xFFFFFFFF), number >> np.uint64(32)
        raised = uniform(philox_numpy(np.uint64(self.common), low, high, 0, Purpose.PROPOSAL).w0)
        if self.wish.sampling == "sobol":
            net = self._net(number, 1 + CORNERS + COMPANY + OVERLAY)
            rest = [k for k in range(COMPANY) if k not in _FIRST]
            order = [*_FIRST, *rest, *range(COMPANY, COMPANY + OVERLAY)]
            base = np.empty((1, COMPANY + OVERLAY, len(number)))
            upfront = len(_FIRST)
            places = [*range(upfront), *range(upfront + 1 + CORNERS, net.shape[0])]
            base[0, order] = net[places]
            base[0, COMPANY:] = self._turned(base[0, COMPANY:], 0)
            return base, net[upfront], net[upfront + 1 : upfront + 1 + CORNERS]
        base = np.stack(
            [
                np.concatenate([_philox(c, low, high, Purpose.COMPANY, 5), _philox(v, low, high, Purpose.OVERLAY, 3)])
                for c, v in zip(self.company, self.venue)
            ]
        )
        if self.wish.sampling == "stratified":
            markets = len(base)
            net = self._net(number, 1 + 3 * markets)
            base[:, _BRANCH], raised = net[:markets], net[markets]
            for m in range(markets):
                base[m, [_SQUEEZE, _ERROR]] = self._turned(net[[markets + 1 + 2 * m, markets + 2 + 2 * m]], m)
        return base, raised, None

    def _net(self, number: Array, dimensions: int) -> Array:
        """[dimensions, n] in (0, 1) with 24 bits, as `philox.uniform` has them."""
        replicates = np.uint64(self.wish.replicates)
        out = np.empty((dimensions, len(number)))
        for k in range(min(int(replicates), len(number))):
            which, index = int(number[k] % replicates), int(number[k] // replicates)
            count = len(range(k, len(number), int(replicates)))
            out[:, k :: int(replicates)] = self._scrambled(which, dimensions, index, count).T
        return np.floor(out * 2.0**24) * 2.0**-24 + 2.0**-25

    def _scrambled(self, which: int, dimensions: int, index: int, count: int) -> Array:
        """Points [count, dimensions] from `index` on; costs as many steps as lie between this call and the last one."""
        if which not in self._nets:
            rng = np.random.default_rng([int(self.common), which])
            self._nets[which] = qmc.Sobol(dimensions, scramble=True, rng=rng)
        net = self._nets[which]
        if net.num_generated > index:
            net.reset()
        if index > net.num_generated:
            net.fast_forward(index - net.num_generated)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The balance properties of Sobol")
            return net.random(count)

    def _turned(self, points: Array, market: int) -> Array:
        """Points of the overlays, turned by the venue's own shift: the company's are common to all venues, these not."""
        words = philox_numpy(self.venue[market], 0, 0, 0, Purpose.PROPOSAL, np.arange(len(points)))
        moved = points + uniform(words.w0)[:, None]
        return np.floor((moved - np.floor(moved)) * 2.0**24) * 2.0**-24 + 2.0**-25

    # ------------------------------------------------------------------ exchanges
    def _exchange(self, u: Array, m: int) -> Array:
        """Replace uniforms [COMPANY + OVERLAY, n] of market m in place; returns 1/density [n]."""
        wish, plan = self.wish, self.params.plan
        true = np.diff(np.asarray(plan.branch)[m], prepend=0.0)
        weight = _cells(u, _BRANCH, true, branch_shares(true, wish))
        for place, share, chance in (
            (_SQUEEZE, wish.events.squeeze, plan.squeeze_probability[m]),
            (_ERROR, wish.events.feed_error, plan.error_probability[m]),
        ):
            p = float(chance)
            if share is not None and 0.0 < p < share:
                weight *= _cells(u, place, np.array([p, 1.0 - p]), np.array([share, 1.0 - share]))
        everywhere = np.ones(u.shape[1], bool)
        if wish.times is not None:
            weight *= _ends(u, _TIME, wish.times, wish.times.towards, everywhere)
        if wish.sizes is not None:
            branch = np.searchsorted(np.asarray(plan.branch)[m][:-1], u[_BRANCH], side="right")
            shocked = branch != codes.ORDERLY
            weight *= _ends(u, _SIZE, wish.sizes, "both", shocked)
            heavy = float(np.asarray(self.params.events.law)[m, codes.LISTING]) > 0.5  # Student t: all tails lie at u = 0
            printed = ~shocked & (u[_LISTS] < float(np.asarray(plan.lists)[m]))
            weight *= _ends(u, _PRINT, wish.sizes, "early" if heavy else "both", printed)
        return weight


def corner_rows(grid: Grid) -> tuple[int, ...]:
    """Rows between which the value is bridged: half way to the fine rows, event, half of the fine ones, their end, end."""
    event, fine = event_step(grid), sum(segment.steps for segment in grid.event)
    return max(grid.before // 2, 1), event, event + max(fine // 2, 1), event + fine, grid.steps


def branch_shares(true: Array, wish: VarianceReduction) -> Array:
    """Shares of the drawn paths by branch, in the order of BRANCHES; the true ones where nothing is asked for.

    A named branch gets its share if the scenario has it and has it less often. `share` raises the other events together.
    """
    shares, events = true.copy(), wish.events
    named = [BRANCHES.index(name) for name, share in events.branches.items() if 0.0 < true[BRANCHES.index(name)] < share]
    for k in named:
        shares[k] = events.branches[BRANCHES[k]]
    others = [k for k in range(1, len(true)) if k not in named]
    happening = shares[1:].sum()
    if events.share is not None and true[0] > 0.0 and happening < events.share and shares[others].sum() > 0.0:
        shares[others] *= 1.0 + (events.share - happening) / shares[others].sum()
    if true[0] > 0.0:
        left = 1.0 - shares[1:].sum()
        if left <= 0.0:  # named branches and the others' own probabilities exceed 1: the others give way
            shares[others] *= max(1.0 - shares[named].sum(), 0.0) / (shares[others].sum() + true[0])
            left = 1.0 - shares[1:].sum()
        shares[0] = left
    elif named:
        shares[others] *= (1.0 - shares[named].sum()) / shares[others].sum() if others else 1.0
    return shares


def _philox(key: Any, low: Array, high: Array, purpose: Purpose, blocks: int) -> Array:
    """[4·blocks, n] uniforms, in the order of `lifecycle._uniforms`."""
    words = philox_numpy(key, low, high, 0, purpose, np.arange(blocks)[:, None])
    return np.stack([uniform(word) for word in words], axis=1).reshape(4 * blocks, -1)


def _cells(u: Array, place: int, true: Array, drawn: Array) -> Array:
    """Piecewise constant density: cell k of the unit interval, `true[k]` long, is hit with probability `drawn[k]`."""
    if np.array_equal(true, drawn):
        return np.ones(u.shape[1])
    tops, ends = np.cumsum(drawn), np.cumsum(true)
    tops[-1] = ends[-1] = 1.0
    k = np.minimum(np.searchsorted(tops, u[place], side="right"), len(true) - 1)
    inside = (u[place] - (tops[k] - drawn[k])) / drawn[k]
    start = np.concatenate([[0.0], ends[:-1]])[k]
    u[place] = np.clip(start + inside * true[k], start, np.nextafter(ends[k], 0.0))
    return true[k] / drawn[k]


def _ends(u: Array, place: int, tilt: Tilt, towards: str, where: Array) -> Array:
    """Mixture of the uniform law and that of v^power (early), 1 − v^power (late), or half of each (both)."""
    a, power = tilt.share, tilt.power
    v = u[place]
    tail = np.clip((v - (1.0 - a)) / a, 2.0**-26, 1.0)
    if towards == "both":
        half = np.where(tail < 0.5, 2.0 * tail, 2.0 - 2.0 * tail)
        near = np.maximum(half, 2.0**-26) ** power
        bent = np.where(tail < 0.5, near, 1.0 - near)
    else:
        bent = tail**power if towards == "early" else 1.0 - tail**power
    moved = np.clip(np.where(v < 1.0 - a, v / (1.0 - a), bent), _EDGE, 1.0 - _EDGE)
    low, high = moved ** (1.0 / power - 1.0) / power, (1.0 - moved) ** (1.0 / power - 1.0) / power
    density = 1.0 - a + a * {"early": low, "late": high, "both": 0.5 * (low + high)}[towards]
    u[place] = np.where(where, moved, v)
    return np.where(where, 1.0 / density, 1.0)
