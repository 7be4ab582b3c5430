"""Clamps and averages with the definitions of docs/semantics.md, section Conventions."""

from __future__ import annotations

import math


def clamp(x: float, lo: float, hi: float) -> float:
    return min(max(x, lo), hi)


def median(a: float, b: float, c: float) -> float:
    return sorted((a, b, c))[1]


def travel(value: float, previous: float, share: float, tick: float, dt: float) -> float:
    """What a limit of `share` per `tick` seconds lets a price reach within dt; row 0 (dt = 0) is free."""
    if dt == 0.0:
        return value
    try:
        highest = previous * (1.0 + share) ** (dt / tick)
    except OverflowError:
        highest = math.inf  # a row so long that the limit is none
    return clamp(value, previous * (1.0 - share) ** (dt / tick), highest)


class Ema:
    """Exponential average as numerator over denominator, starting empty: the sample itself until it has weight."""

    def __init__(self, tau: float) -> None:
        self.tau, self.num, self.den = tau, 0.0, 0.0

    def add(self, sample: float, dt: float) -> None:
        decay = math.exp(-dt / self.tau)
        self.num = self.num * decay + sample * dt
        self.den = self.den * decay + dt

    def read(self, otherwise: float) -> float:
        return self.num / self.den if self.den > 0.0 else otherwise

    def rebase(self, ratio: float) -> None:
        self.num /= ratio


class Window:
    """Mean over the last `length` seconds in equal time buckets, each row weighted with its dt."""

    def __init__(self, length: float, buckets: int = 24) -> None:
        self.length, self.buckets = length, buckets
        self.sums: dict[int, list[float]] = {}

    def add(self, sample: float, time: float, dt: float) -> float:
        """Take the row's sample in and return the mean that includes it."""
        now = math.floor(time / (self.length / self.buckets))
        bucket = self.sums.setdefault(now, [0.0, 0.0])
        bucket[0] += sample * dt
        bucket[1] += dt
        self.sums = {b: pair for b, pair in self.sums.items() if b > now - self.buckets}
        weight = sum(pair[1] for pair in self.sums.values())
        return sum(pair[0] for pair in self.sums.values()) / weight if weight > 0.0 else sample

    def rebase(self, ratio: float) -> None:
        for pair in self.sums.values():
            pair[0] /= ratio


class Peak:
    """Largest value of the last `length` seconds, in 96 time buckets."""

    def __init__(self, length: float, buckets: int = 96) -> None:
        self.length, self.buckets = length, buckets
        self.tops: dict[int, float] = {}

    def add(self, value: float, time: float) -> float:
        now = math.floor(time / (self.length / self.buckets))
        self.tops[now] = max(value, self.tops.get(now, -math.inf))
        self.tops = {b: top for b, top in self.tops.items() if b > now - self.buckets}
        return max(self.tops.values())
