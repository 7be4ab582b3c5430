"""The mark price of a venue, rule by rule."""

from __future__ import annotations

import math
from typing import Any

from .averages import Ema, Window, clamp, median, travel
from .index import speed_limited
from .rows import Row


class MarkState:
    """Averages and trades a mark rule looks back on."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule
        average = getattr(rule, "average", 0.0)
        self.mid = Window(average) if rule.kind in ("mid_average", "mid_to_index") else None
        self.basis = Window(average) if rule.kind in ("mid_to_index", "index_basis", "median_premium") else None
        self.basis_ema = (
            Ema(average if rule.kind == "index_basis" else rule.ema)
            if rule.kind in ("index_basis", "median3")
            else None
        )
        self.marks = Ema(rule.mark_ema) if rule.kind == "median3" else None
        self.books = Ema(rule.book_ema) if rule.kind == "median3" else None
        self.trades: list[list[float]] = []  # [time, price, count], oldest first

    def rebase(self, ratio: float) -> None:
        for average in (self.mid, self.basis, self.basis_ema, self.marks, self.books):
            if average:
                average.rebase(ratio)
        for trade in self.trades:
            trade[1] /= ratio

    def update(
        self,
        row: Row,
        index: float,
        previous: float,
        limits: tuple[float, float],
        since_listing: float | None,
        funding_hint: float,
    ) -> float:
        """`since_listing`: seconds, None before. `funding_hint`: last rate · time left / interval."""
        rule = self.rule
        if rule.kind == "index_band":
            return clamp(row.mid, index * (1.0 - rule.band), index * (1.0 + rule.band))
        if rule.kind == "median3":
            return self._median3(row, index, previous, limits)
        if rule.kind == "mid_average":
            return clamp(self.mid.add(row.mid, row.time, row.dt), *limits)
        if rule.kind == "mid_to_index":
            return clamp(self._mid_to_index(row, index, since_listing), *limits)
        if rule.kind == "index_basis":
            return self._index_basis(row, index)
        if rule.kind == "trade_mean":
            return travel(self._trade_mean(row), previous, rule.max_change_per_second, 1.0, row.dt)
        return self._median_premium(row, index, previous, funding_hint)

    def _median3(self, row: Row, index: float, previous: float, limits: tuple[float, float]) -> float:
        rule = self.rule
        self.basis_ema.add(row.mid - index, row.dt)
        book = row.last if row.bid is None or row.ask is None else median(row.bid, row.ask, row.last)
        self.books.add(book, row.dt)
        third = index if rule.third == "oracle" else self.books.read(book)
        mark = median(third, index + self.basis_ema.read(row.mid - index), book)
        cap = rule.cap_over_mark_ema * self.marks.read(math.inf) if rule.cap_over_mark_ema > 0.0 else math.inf
        if rule.bound_first:
            mark = speed_limited(clamp(min(mark, cap), *limits), previous, rule, row.dt)
        else:
            mark = clamp(min(speed_limited(mark, previous, rule, row.dt), cap), *limits)
        self.marks.add(mark, row.dt)
        return mark

    def _mid_to_index(self, row: Row, index: float, since_listing: float | None) -> float:
        mid = self.mid.add(row.mid, row.time, row.dt)
        basis = self.basis.add(row.mid - index, row.time, row.dt)
        if since_listing is None:
            return mid
        share = min(1.0, since_listing / self.rule.transition) if self.rule.transition > 0.0 else 1.0
        return share * (index + basis) + (1.0 - share) * mid

    def _index_basis(self, row: Row, index: float) -> float:
        rule = self.rule
        sample = (row.mid if rule.of == "mid" else row.impact_mid) - index
        if rule.form == "window":
            basis = self.basis.add(sample, row.time, row.dt)
        else:
            self.basis_ema.add(sample, row.dt)
            basis = self.basis_ema.read(sample)
        mark = index + basis
        return clamp(mark, index * (1.0 - rule.band), index * (1.0 + rule.band)) if rule.band > 0.0 else mark

    def _trade_mean(self, row: Row) -> float:
        rule = self.rule
        if row.trades > 0:
            self.trades.append([row.time, row.last, row.trades])
        recent = [trade for trade in self.trades if trade[0] > row.time - rule.window]
        count = sum(trade[2] for trade in recent)
        if count >= rule.sparse_below:
            return sum(trade[1] * trade[2] for trade in recent) / count
        left, total = rule.sparse_last, 0.0
        for trade in reversed(self.trades):
            taken = min(left, trade[2])
            total += taken * trade[1]
            left -= taken
        taken = rule.sparse_last - left
        return total / taken if taken > 0 else row.last

    def _median_premium(self, row: Row, index: float, previous: float, funding_hint: float) -> float:
        rule = self.rule
        basis = self.basis.add(row.mid - index, row.time, row.dt)
        mark = median(index * (1.0 + funding_hint), index + basis, row.last)
        if rule.band > 0.0:
            mark = clamp(mark, index * (1.0 - rule.band), index * (1.0 + rule.band))
        return (
            travel(mark, previous, rule.max_change_per_second, 1.0, row.dt)
            if rule.max_change_per_second > 0.0
            else mark
        )
