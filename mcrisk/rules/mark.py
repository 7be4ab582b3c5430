"""Mark price rules.

Formula   index_band      clamp(mid, O·(1 ± band))
          median3         median(T, O + EMA(mid − O), B), price limits, then speed limits; B = median(bid, ask, last),
                          T = O (trade.xyz) or EMA(B) (Hyperliquid, while no other exchange has a perpetual)
          mid_average     clamp(MA(mid), lower limit, upper limit)
          mid_to_index    β·(O + MA(mid − O)) + (1 − β)·MA(mid), β = min(1, time since listing/transition), limits
          index_basis     O + MA or EMA of (mid − O), then a band around O
          trade_mean      mean of the trades of the last seconds (of the last n trades when sparse), speed limit
          median_premium  median(O·(1 + last rate·time left/interval), O + MA(mid − O), last), band, speed limit
Symbols   O = index; mid, bid, ask, last in quote; MA = moving window, EMA = numerator/denominator average.
Source    Kraken seed 002; trade.xyz docs (2026-09-18); Hyperliquid docs (2026-08-22); OKX seeds 003 (2024-09-24) and
          004 (2025-08-20), mark price help page; Binance pre-market notices (SXT May 2025, XPL Aug 2025) and mark price
          page. Facts: venue-rules.md sections 1–5 and 14; order of the clamps: docs/semantics.md section 3.

Signatures: init(p, row, initial_price) -> state; update(p, state, row, index, mid, previous_mark, lower, upper,
since_listed, funding) -> (state, mark); rescale(state, factor). since_listed: seconds, −1 before listing;
funding = (last_rate, seconds_to_next_boundary, interval).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mcrisk.rules.params import Traced
from mcrisk.rules.quotes import book_median, impact_mid, median3, travel
from mcrisk.rules.rule import Empty, Rule, unchanged
from mcrisk.rules.types import Row
from mcrisk.rules.windows import (
    Ema,
    Window,
    ema_init,
    ema_rescale,
    ema_update,
    ema_value,
    window_init,
    window_rescale,
    window_update,
)

SECOND = 1.0


def _band(value: Array, index: Array, band: Array) -> Array:
    """`value` within index·(1 ± band); band 0 = no band."""
    held = jnp.clip(value, index * (1.0 - band), index * (1.0 + band))
    return jnp.where(band > 0.0, held, value)


def _window_init(p: Traced, row: Row, initial_price: Array) -> Window:
    del p, row, initial_price
    return window_init()


# ---------------------------------------------------------------- Kraken pre-IPO
def _nothing(p: Traced, row: Row, initial_price: Array) -> Empty:
    del p, row, initial_price
    return Empty()


def index_band(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """The mid, never further from the index than the band (also when the band is 0)."""
    del row, previous_mark, lower, upper, since_listed, funding
    return state, jnp.clip(mid, index * (1.0 - p.band), index * (1.0 + p.band))


# ---------------------------------------------------------------- Hyperliquid, trade.xyz
class Median3(NamedTuple):
    basis: Ema          # of mid − oracle, quote
    own: Ema            # of the mark, quote; for the hyperp cap
    book: Ema | Empty   # of median(bid, ask, last), quote; where it is the third component


def median3_init(p: Traced, row: Row, initial_price: Array) -> Median3:
    del row, initial_price
    return Median3(ema_init(), ema_init(), ema_init() if p.third == "book_ema" else Empty())


def publish(p: Traced, previous: Array, value: Array, dt: Array) -> Array:
    """What can be published: the relayer's step from the last value, then the protocol's; oracle and mark alike."""
    relayed = travel(previous, value, dt, p.relayer_step, p.relayer_interval)
    return travel(previous, relayed, dt, p.protocol_step, p.protocol_interval)


def median3_mark(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """Median of three, held by price limits and the cap over its own average, then by the speed limits."""
    del since_listed, funding
    basis, mean = ema_update(state.basis, mid - index, row.dt, p.ema)
    book, book_now, third = state.book, book_median(row), index
    if p.third == "book_ema":
        book, third = ema_update(book, book_now, row.dt, p.book_ema)
    mark = median3(third, index + mean, book_now)
    capped = (p.cap_over_mark_ema > 0.0) & (state.own.den > 0.0)
    cap = jnp.where(capped, p.cap_over_mark_ema * ema_value(state.own, mark), jnp.inf)
    if p.bound_first:
        mark = publish(p, previous_mark, jnp.clip(jnp.minimum(mark, cap), lower, upper), row.dt)
    else:
        mark = jnp.clip(jnp.minimum(publish(p, previous_mark, mark, row.dt), cap), lower, upper)
    own, _ = ema_update(state.own, mark, row.dt, p.mark_ema)
    return Median3(basis, own, book), mark


def median3_rescale(state: Median3, factor: Array) -> Median3:
    book = ema_rescale(state.book, factor) if isinstance(state.book, Ema) else state.book
    return Median3(ema_rescale(state.basis, factor), ema_rescale(state.own, factor), book)


# ---------------------------------------------------------------- OKX
def mid_average(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """Moving average of the mid inside the price limits."""
    del index, previous_mark, since_listed, funding
    state, mean = window_update(state, mid, row.dt, row.time, p.average)
    return state, jnp.clip(mean, lower, upper)


class MidToIndex(NamedTuple):
    mid: Window     # quote
    basis: Window   # of mid − index, quote


def mid_to_index_init(p: Traced, row: Row, initial_price: Array) -> MidToIndex:
    del p, row, initial_price
    return MidToIndex(window_init(), window_init())


def mid_to_index(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """Mean mid before listing, index plus mean basis after the transition, a moving blend between them."""
    del previous_mark, funding
    mids, mean = window_update(state.mid, mid, row.dt, row.time, p.average)
    bases, basis = window_update(state.basis, mid - index, row.dt, row.time, p.average)
    ramp = jnp.where(since_listed < p.transition, since_listed / jnp.maximum(p.transition, 1e-9), 1.0)
    share = jnp.where(since_listed < 0.0, 0.0, ramp)
    mark = share * (index + basis) + (1.0 - share) * mean
    return MidToIndex(mids, bases), jnp.clip(mark, lower, upper)


def mid_to_index_rescale(state: MidToIndex, factor: Array) -> MidToIndex:
    return MidToIndex(window_rescale(state.mid, factor), window_rescale(state.basis, factor))


# ---------------------------------------------------------------- OKX and Kraken standard perpetuals
def index_basis_init(p: Traced, row: Row, initial_price: Array) -> Window | Ema:
    del row, initial_price
    return ema_init() if p.form == "ema" else window_init()


def index_basis(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """Index plus the average basis of the mid (or of the impact mid), inside a band."""
    del previous_mark, lower, upper, since_listed, funding
    basis = (impact_mid(row, mid) if p.of == "impact_mid" else mid) - index
    if p.form == "ema":
        state, mean = ema_update(state, basis, row.dt, p.average)
    else:
        state, mean = window_update(state, basis, row.dt, row.time, p.average)
    return state, _band(index + mean, index, p.band)


def index_basis_rescale(state: Window | Ema, factor: Array) -> Window | Ema:
    return ema_rescale(state, factor) if isinstance(state, Ema) else window_rescale(state, factor)


# ---------------------------------------------------------------- Binance before listing
class TradeTape(NamedTuple):
    """The newest rows that had trades, newest first. A window with more such rows than places uses the newest ones."""

    price: Array   # [k + 1]
    end: Array     # [k + 1] number of trades up to and including the row; the last place only closes the one before
    time: Array    # [k + 1] seconds


def trade_mean_init(p: Traced, row: Row, initial_price: Array) -> TradeTape:
    del row, initial_price
    k = max(p.sparse_last, p.tape)   # every trade may sit in a row of its own
    zeros = jnp.zeros((k + 1,), jnp.float64)
    return TradeTape(zeros, zeros, zeros - jnp.inf)


def trade_mean(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """Mean of the trades in (t − window, t]; of the last `sparse_last` ones when there are too few."""
    del index, mid, lower, upper, since_listed, funding
    total = state.end[0] + row.trades

    def push(new, ring):
        return jnp.where(row.trades > 0.0, jnp.concatenate([new[None], ring[:-1]]), ring)

    tape = TradeTape(push(row.last, state.price), push(total, state.end), push(row.time, state.time))
    price, end, before = tape.price[:-1], tape.end[:-1], tape.end[1:]
    recent = jnp.where(tape.time[:-1] > row.time - p.window, end - before, 0.0)
    last_ones = jnp.maximum(end - jnp.maximum(before, total - p.sparse_last), 0.0)
    weight = jnp.where(jnp.sum(recent) < p.sparse_below, last_ones, recent)
    mass = jnp.sum(weight)
    mean = jnp.where(mass > 0.0, jnp.sum(weight * price) / jnp.where(mass > 0.0, mass, 1.0), row.last)
    return tape, travel(previous_mark, mean, row.dt, p.max_change_per_second, SECOND)


def trade_mean_rescale(state: TradeTape, factor: Array) -> TradeTape:
    return TradeTape(state.price * factor, state.end, state.time)


# ---------------------------------------------------------------- Binance standard
def median_premium(p, state, row, index, mid, previous_mark, lower, upper, since_listed, funding):
    """Median of funding-adjusted index, index plus mean basis and last trade; band; speed limit where there is one."""
    del lower, upper, since_listed
    last_rate, left, interval = funding
    state, basis = window_update(state, mid - index, row.dt, row.time, p.average)
    mark = _band(median3(index * (1.0 + last_rate * left / interval), index + basis, row.last), index, p.band)
    return state, travel(previous_mark, mark, row.dt, p.max_change_per_second, SECOND)


KINDS: dict[str, Rule] = {
    "index_band": Rule(_nothing, index_band, unchanged),
    "median3": Rule(median3_init, median3_mark, median3_rescale),
    "mid_average": Rule(_window_init, mid_average, window_rescale),
    "mid_to_index": Rule(mid_to_index_init, mid_to_index, mid_to_index_rescale),
    "index_basis": Rule(index_basis_init, index_basis, index_basis_rescale),
    "trade_mean": Rule(trade_mean_init, trade_mean, trade_mean_rescale),
    "median_premium": Rule(_window_init, median_premium, window_rescale),
}
