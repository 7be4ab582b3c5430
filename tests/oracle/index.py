"""The index (oracle) of a venue, rule by rule."""

from __future__ import annotations

import math
from typing import Any

from .averages import Ema, Window, clamp, travel
from .rows import Row


class IndexState:
    """What an index rule remembers besides the index it published last."""

    def __init__(self, rule: Any, start: float) -> None:
        self.rule = rule
        self.start = start  # initial price; cap of hyperps
        self.minutes = [start] * getattr(rule, "window_minutes", 0)  # newest first
        self.own_marks = Ema(rule.ema) if rule.kind == "blend" else None

    def rebase(self, ratio: float) -> None:
        self.start /= ratio
        self.minutes = [price / ratio for price in self.minutes]
        if self.own_marks:
            self.own_marks.rebase(ratio)


def follows_last(rule: Any, phase: str) -> bool:
    """Is the index the contract's own last trade right now?"""
    if rule.kind != "last_trade" or phase == "post":
        return False
    return phase == "pre" or rule.spot_from == "converted"


def update_index(
    state: IndexState, row: Row, phase: str, previous: float, previous_mark: float, held: float | None
) -> float:
    """The rule's value in this row. `held`: the last external value seen so far, this row's included."""
    rule = state.rule
    if rule.kind == "smoothed_feed":
        if row.dt == 0.0:
            return held
        target = previous + (1.0 - math.exp(-row.dt / rule.ema)) * (held - previous)
        return travel(target, previous, rule.max_move_per_minute, 60.0, row.dt)
    if rule.kind == "impact_ewma":
        return _impact_ewma(rule, row, previous)
    if rule.kind == "last_trade":
        return row.last if follows_last(rule, phase) else held
    if rule.kind == "external":
        if row.external is not None:
            return row.external
        return held if rule.fallback == "hold" else _impact_ewma(rule, row, previous)
    if rule.kind == "blend":
        state.own_marks.add(previous_mark, row.dt)
        return rule.external_weight * held + (1.0 - rule.external_weight) * state.own_marks.read(previous_mark)
    return _mark_ewma(state, row, previous_mark)


def _impact_ewma(rule: Any, row: Row, previous: float) -> float:
    up = 0.0 if row.impact_bid is None else max(row.impact_bid - previous, 0.0)
    down = 0.0 if row.impact_ask is None else max(previous - row.impact_ask, 0.0)
    beta = math.exp(-min(row.dt, rule.max_step_of_tau * rule.tau) / rule.tau)
    return beta * previous + (1.0 - beta) * (previous + up - down)


def _mark_ewma(state: IndexState, row: Row, previous_mark: float) -> float:
    rule = state.rule
    minutes = math.floor(row.utc / 60.0) - math.floor((row.utc - row.dt) / 60.0)
    for _ in range(min(minutes, rule.window_minutes)):
        state.minutes = [previous_mark, *state.minutes[:-1]]
    weights = [math.exp(-i / rule.decay_minutes) for i in range(rule.window_minutes)]
    mean = sum(w * price for w, price in zip(weights, state.minutes)) / sum(weights)
    return min(mean, rule.cap_multiple * state.start)


def speed_limited(value: float, previous: float, mark_rule: Any, dt: float) -> float:
    """The relayer's and the protocol's speed limits, on whatever is published (Hyperliquid family only)."""
    if mark_rule.kind != "median3":
        return value
    if mark_rule.relayer_step > 0.0:
        value = travel(value, previous, mark_rule.relayer_step, mark_rule.relayer_interval, dt)
    if mark_rule.protocol_step > 0.0:
        value = travel(value, previous, mark_rule.protocol_step, mark_rule.protocol_interval, dt)
    return value


class Limits:
    """Price limits or discovery bounds; may hold the oracle at the hard cap."""

    def __init__(self, rule: Any, start: float, since: float) -> None:
        self.rule, self.reference, self.since = rule, start, since
        self.up = self.down = 0
        self.mean = Window(rule.average) if rule.kind in ("okx_limits", "mid_band") else None

    def rebase(self, ratio: float) -> None:
        self.reference /= ratio
        if self.mean:
            self.mean.rebase(ratio)

    def update(self, index: float, limit_index: float, row: Row, held: float | None) -> tuple[float, float, float]:
        """Returns index (held at the cap where the rule says so), lower and upper limit.

        `limit_index`: the index the limits are drawn around, the previous row's while the index is the last trade.
        """
        rule = self.rule
        if rule.kind == "none":
            return index, 0.0, math.inf
        if rule.kind == "discovery_bounds":
            if rule.anchor == "external" and row.external is not None:  # an external session: no ratchet, no stop
                self.reference, self.up, self.down = row.external, 0, 0
                return index, row.external * (1.0 - rule.bound), row.external * (1.0 + rule.bound)
            return self._discovery(index)
        if rule.kind == "mid_band":
            mean = self.mean.add(row.mid, row.time, row.dt)
            centre, band = (limit_index, rule.final_band) if row.final_hour else (mean, rule.band)
            return index, centre * (1.0 - band), centre * (1.0 + band)
        low, high = self._okx(limit_index, row)
        if limit_index is not index:  # the limits follow the trades of a long row, recomputed again and again
            times = max(1.0, row.dt / rule.recompute)
            low = limit_index * (low / limit_index) ** times
            steps = times * math.log(high / limit_index)
            high = limit_index * (high / limit_index) ** times if steps < 700.0 else math.inf  # beyond any number
        return index, low, high

    def _okx(self, index: float, row: Row) -> tuple[float, float]:
        rule = self.rule
        premium = self.mean.add((row.mid if rule.premium_of == "mid" else row.last) - index, row.time, row.dt)
        if row.time - self.since < rule.opening:
            return index * (1.0 - rule.x), index * (1.0 + rule.x)
        high = min(max(index, index * (1.0 + rule.y) + premium), index * (1.0 + rule.z))
        low = max(min(index, index * (1.0 - rule.y) + premium), index * (1.0 - rule.z))
        return low, high

    def _discovery(self, index: float) -> tuple[float, float, float]:
        rule = self.rule
        while self.up < rule.max_resets and index >= self.reference * (1.0 + rule.bound * rule.trigger):
            self.reference *= 1.0 + rule.bound
            self.up += 1
            if not rule.repeat_within_row:
                break
        while self.down < rule.max_resets and index <= self.reference * (1.0 - rule.bound * rule.trigger):
            self.reference *= 1.0 - rule.bound
            self.down += 1
            if not rule.repeat_within_row:
                break
        lower, upper = self.reference * (1.0 - rule.bound), self.reference * (1.0 + rule.bound)
        if rule.oracle_stops_at_cap:
            index = clamp(
                index,
                lower if self.down >= rule.max_resets else -math.inf,
                upper if self.up >= rule.max_resets else math.inf,
            )
        return index, lower, upper
