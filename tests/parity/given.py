"""Shipped profiles on generated paths: the same prices, books and life cycles as the skeletons get."""

from __future__ import annotations

import random
from functools import lru_cache

from hypothesis import strategies as st

from mcrisk.config.load import load_venue
from mcrisk.config.venue import Venue
from tests.oracle import strategies
from tests.oracle.strategies import DEPTHS, QUOTES, SHOCKS, STORIES, Case

VENUES = (
    "binance-preipo", "binance-premarket", "hyperliquid-hyperp", "kraken-preipo", "okx-preipo-perp", "okx-prelaunch-futures",
    "okx-premarket-perp", "tradexyz-ipop",
)


@lru_cache
def profile(name: str) -> Venue:
    return load_venue(name)


def build(name: str, shock: str, depth: str, quotes: str, story: str, seed: int) -> Case:
    """One replay of a shipped profile."""
    rng, venue = random.Random(seed), profile(name)
    start, scale = venue.contract.initial_price, venue.contract.open_interest
    times = strategies._times(rng)
    lasts = strategies._path(rng, shock, start, times)
    events = strategies._events(rng, story, venue, times, lasts)
    if venue.settlement.cancellation[0].price == "given":  # such a venue announces its price
        for event in events:
            if event["event"] == "cancelled":
                event.setdefault("price", lasts[-1])
    prices = strategies._prices(rng, depth, quotes, times, strategies._rebased(lasts, times, events), scale, True)
    return Case(name, venue, prices, strategies._accounts(rng, start, scale), events, (name, shock, depth, quotes, story, seed))


@st.composite
def shipped(draw: st.DrawFn, name: str) -> Case:
    """Replays of one shipped profile."""
    picks = (draw(st.sampled_from(options)) for options in (SHOCKS, DEPTHS, QUOTES, STORIES))
    return build(name, *picks, draw(st.integers(0, 2**32 - 1)))
