"""Rows made by hand, and path-level rules driven over them one compiled step at a time."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from mcrisk.rules import funding, index, mark, price_limits
from mcrisk.rules.params import traced
from mcrisk.rules.types import PRE, BookSide, Row

INF = float("inf")


def _f(x):
    return jnp.asarray(x, jnp.float64)


def side(price: float, present: bool = True) -> BookSide:
    """An undisplaced side of the book."""
    return BookSide(_f(price), _f(0.0), _f(INF), _f(2 / 3), _f(INF), _f(INF), _f(1.0), jnp.asarray(present))


def row(time=0.0, dt=0.0, last=100.0, bid=None, ask=None, impact_bid=None, impact_ask=None, external=None, fresh=None,
        trades=1.0, utc=None, factor=1.0, has_bid=True, has_ask=True, has_impact_bid=True, has_impact_ask=True,
        listed=False, final_hour=False) -> Row:
    """A row in which everything not said is `last`, fresh and present."""
    bid, ask = last if bid is None else bid, last if ask is None else ask
    external = last if external is None else external
    yes, no = jnp.asarray(True), jnp.asarray(False)
    return Row(
        time=_f(time), utc=_f(time if utc is None else utc), dt=_f(dt), last=_f(last), bid=side(bid, has_bid),
        ask=side(ask, has_ask), impact_bid=_f(bid if impact_bid is None else impact_bid),
        impact_ask=_f(ask if impact_ask is None else impact_ask), has_impact_bid=jnp.asarray(has_impact_bid),
        has_impact_ask=jnp.asarray(has_impact_ask), external=_f(external),
        has_external=yes if fresh is None else jnp.asarray(fresh), trades=_f(trades), index_factor=_f(factor),
        listed=jnp.asarray(listed), converted=no, settle=jnp.int32(0), settle_price=_f(0.0), has_settle_price=no,
        settle_draw=_f(0.0), final_hour=jnp.asarray(final_hour), rebase=_f(1.0), halted=no, restrike=no,
    )


@cache
def _compiled(slot, kind: str):
    return jax.jit(slot.KINDS[kind].update)


class Index:
    """An index rule from its initial price on; the mark of the previous row is given by the test."""

    def __init__(self, model, first: Row, initial: float) -> None:
        self.p, self.kind, self.initial = traced(model), model.kind, _f(initial)
        self.state = index.KINDS[model.kind].init(self.p, first, self.initial)
        self.value = self.initial

    def step(self, r: Row, previous_mark: float = 0.0, phase: int = PRE) -> float:
        update = _compiled(index, self.kind)
        self.state, self.value = update(
            self.p, self.state, r, self.value, _f(previous_mark), jnp.int32(phase), self.initial
        )
        return float(self.value)


class Limits:
    """A price-limit rule around a reference."""

    def __init__(self, model, reference: float) -> None:
        self.p, self.kind = traced(model), model.kind
        self.state = price_limits.KINDS[model.kind].init(self.p, _f(reference))

    def step(self, r: Row, index_: float, previous=None, mid=None, age=1e9) -> tuple[float, float, float]:
        """(index, lower, upper)"""
        previous = index_ if previous is None else previous
        mid = float(r.last) if mid is None else mid
        self.state, *out = _compiled(price_limits, self.kind)(
            self.p, self.state, r, _f(index_), _f(previous), _f(mid), _f(age)
        )
        return tuple(float(x) for x in out)


class Mark:
    """A mark rule; remembers its own previous mark."""

    def __init__(self, model, first: Row, initial: float) -> None:
        self.p, self.kind = traced(model), model.kind
        self.state = mark.KINDS[model.kind].init(self.p, first, _f(initial))
        self.value = _f(initial)

    def step(self, r: Row, index_: float, mid=None, lower=0.0, upper=INF, since=-1.0, clock=(0.0, 1.0, 1.0)) -> float:
        mid = 0.5 * (float(r.bid.top) + float(r.ask.top)) if mid is None else mid
        self.state, self.value = _compiled(mark, self.kind)(
            self.p, self.state, r, _f(index_), _f(mid), self.value, _f(lower), _f(upper), _f(since),
            tuple(_f(x) for x in clock),
        )
        return float(self.value)


class Funding:
    """A funding rule."""

    def __init__(self, model) -> None:
        self.p, self.kind = traced(model), model.kind
        self.state = funding.KINDS[model.kind].init(self.p)

    def step(self, r: Row, index_: float, mark_=None, mid=None) -> funding.Funding:
        mark_ = index_ if mark_ is None else mark_
        mid = mark_ if mid is None else mid
        self.state, paid = _compiled(funding, self.kind)(self.p, self.state, r, _f(index_), _f(mark_), _f(mid))
        return funding.Funding(*(float(x) for x in paid))


def close(actual, expected, rel: float = 1e-9) -> None:
    """Relative agreement, and a message that shows both."""
    np.testing.assert_allclose(actual, expected, rtol=rel, atol=1e-12)
