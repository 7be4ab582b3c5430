"""Hypothesis strategies for whole replays: venue, prices, accounts, events, always 24 rows × 12 accounts.

The structure of a case (skeleton, kind of shock, depth, life-cycle story) is drawn by Hypothesis and shrinks; the
numbers come from one seed, because 24 × 9 single draws per case would cost more than the replay.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from mcrisk.config.venue import Venue

from .skeletons import SKELETONS

ROWS, ACCOUNTS = 24, 12

SHOCKS = ("calm", "crash", "squeeze", "slide", "whipsaw", "jumpy")
DEPTHS = ("unlimited", "deep", "thin", "none")
QUOTES = ("last_only", "both", "one_sided")
STORIES = ("none", "listed", "converted", "halted", "rebase", "cancelled", "expired", "everything")


@dataclass(frozen=True)
class Case:
    """One replay. `skeleton` names what an engine would compile."""

    skeleton: str
    venue: Venue
    prices: list[dict[str, Any]]
    accounts: list[dict[str, Any]]
    events: list[dict[str, Any]]
    recipe: tuple[Any, ...] = ()  # build(*recipe) makes it again

    def __repr__(self) -> str:
        return f"build{self.recipe}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis would print all 24 rows


@st.composite
def cases(draw: st.DrawFn, skeletons: tuple[str, ...] = tuple(SKELETONS)) -> Case:
    """Replays in which limits bind, tiers are crossed, funds run dry and winners are deleveraged."""
    return build(
        draw(st.sampled_from(skeletons)),
        draw(st.sampled_from(SHOCKS)),
        draw(st.sampled_from(DEPTHS)),
        draw(st.sampled_from(QUOTES)),
        draw(st.sampled_from(STORIES)),
        draw(st.integers(0, 2**32 - 1)),
    )


def random_cases(count: int, seed: int) -> list[Case]:
    """The same cases without Hypothesis, for counting what occurs and for long sweeps."""
    rng = random.Random(seed)
    return [
        build(
            *(rng.choice(options) for options in (tuple(SKELETONS), SHOCKS, DEPTHS, QUOTES, STORIES)),
            rng.getrandbits(32),
        )
        for _ in range(count)
    ]


def build(skeleton: str, shock: str, depth: str, quotes: str, story: str, seed: int) -> Case:
    """One case from its structure and seed."""
    rng = random.Random(seed)
    start = _log(rng, 2.0, 2000.0)
    scale = _log(rng, 1e3, 1e6)  # one-sided open interest in quote currency
    times = _times(rng)
    lasts = _path(rng, shock, start, times)
    pace = sorted(b - a for a, b in zip(times, times[1:]))[ROWS // 2]
    venue = _venue(rng, skeleton, start, scale, pace)
    events = _events(rng, story, venue, times, lasts)
    prices = _prices(rng, depth, quotes, times, _rebased(lasts, times, events), scale, needs_external=True)
    recipe = (skeleton, shock, depth, quotes, story, seed)
    return Case(skeleton, venue, prices, _accounts(rng, start, scale), events, recipe)


def _log(rng: random.Random, lo: float, hi: float) -> float:
    return math.exp(rng.uniform(math.log(lo), math.log(hi)))


# ---------------------------------------------------------------- venue
def _fill(rng: random.Random, value: Any, scale: float) -> Any:
    """Replace every (lowest, highest) by a number; 'size' is a notional some of the accounts exceed."""
    if isinstance(value, dict):
        return {key: _fill(rng, item, scale) for key, item in value.items()}
    if isinstance(value, tuple):
        lo, hi = value
        return _log(rng, lo, hi) if lo > 0.0 and hi > 5.0 * lo else rng.uniform(lo, hi)
    return scale * _log(rng, 0.02, 0.3) if value == "size" else value


def _venue(rng: random.Random, skeleton: str, start: float, scale: float, pace: float) -> Venue:
    data = _fill(rng, SKELETONS[skeleton], scale)
    contract_size = _log(rng, 0.01, 100.0) / start
    for phase in (data["pre"], data["post"]):
        phase["margin"] = {**phase["margin"], "tiers": _tiers(rng, phase["margin"]["by"], scale, start * contract_size)}
        funding = phase["funding"]
        if funding["kind"] != "none":  # some boundaries, but few per row: paying everything away is a corner of its own
            funding["interval"] = rng.choice(
                [interval for interval in (60.0, 600.0, 3600.0, 14400.0) if interval >= 2.0 * pace]
            )
    settlement = data.pop("settlement")
    return Venue.model_validate(
        {
            "name": skeleton,
            "title": skeleton,
            "operator": "generated",
            "index_type": "self_referential",
            "contract": {
                "initial_price": start,
                "tick": start * 1e-4,
                "contract_size": contract_size,
                "open_interest": scale,
            },
            "fund": {
                "initial": 0.0 if "backstop" in data else rng.choice([0.0, _log(rng, 1e-4, 0.1)]),  # one or the other
                "usable_share": rng.choice([1.0, 0.5]),
                "unwind_share_of_depth": rng.uniform(0.1, 1.0),
            },
            "settlement": {**settlement, "cancellation": [{"price": settlement["cancellation"]}]},
            "provenance": [
                {
                    "field": "",
                    "source": "generated",
                    "date": "2026-11-20",
                    "marker": "assumption",
                    "note": "random",
                    "assumption": True,
                }
            ],
            **data,
        }
    )


def _tiers(rng: random.Random, by: str, scale: float, contract_value: float) -> list[dict[str, Any]]:
    unit = scale if by == "notional" else scale / contract_value
    edge, rate, tiers = unit * _log(rng, 0.01, 0.1), rng.uniform(0.02, 0.1), []
    for last in (False, False, True):
        tiers.append({"up_to": None if last else edge, "initial": min(2.0 * rate, 1.0), "maintenance": rate})
        edge, rate = edge * rng.uniform(1.5, 4.0), rate * rng.uniform(1.1, 2.0)
    return tiers


# ---------------------------------------------------------------- prices
def _times(rng: random.Random) -> list[float]:
    """Whole seconds; sometimes a long gap, so that one row spans several funding boundaries."""
    base = rng.choice([1, 3, 20, 60, 240, 900])
    now = float(rng.choice([0, 1_789_000_000, 1_789_000_000 + rng.randrange(7200)]))
    times = [now]
    for _ in range(ROWS - 1):
        now += base * rng.choice([1, 1, 1, 2]) if rng.random() < 0.95 else base * rng.randrange(10, 40)
        times.append(now)
    return times


def _path(rng: random.Random, shock: str, start: float, times: list[float]) -> list[float]:
    at, size = rng.randrange(2, ROWS - 4), rng.uniform(0.1, 0.6)
    calm, price, path = rng.uniform(0.0005, 0.01), start * math.exp(rng.gauss(0.0, 0.01)), []
    for k in range(ROWS):
        move = rng.gauss(0.0, calm)
        if shock in ("crash", "squeeze") and k == at:
            move += -size if shock == "crash" else size
        elif shock == "slide":
            move += (1 if size > 0.35 else -1) * 0.03
        elif shock == "whipsaw" and k in (at, at + 3):
            move += (-size if k == at else 1.8 * size) * (1 if size > 0.35 else -1)
        elif shock == "jumpy" and rng.random() < 0.3:
            move += rng.gauss(0.0, 0.15)
        price *= math.exp(move)
        path.append(price)
    return path


def _rebased(lasts: list[float], times: list[float], events: list[dict[str, Any]]) -> list[float]:
    """Row prices are quoted in the units of their own row."""
    ratio, out = 1.0, []
    for time, last in zip(times, lasts):
        for event in events:
            if event["event"] == "rebase" and event.get("_row") == time:
                ratio *= event["ratio"]
        out.append(last / ratio)
    for event in events:
        event.pop("_row", None)
    return out


def _prices(
    rng: random.Random,
    depth: str,
    quotes: str,
    times: list[float],
    lasts: list[float],
    scale: float,
    needs_external: bool,
) -> list[dict[str, Any]]:
    half, impact, lag = rng.uniform(0.0, 0.01), rng.uniform(0.0, 0.02), rng.choice([0.0, 0.5, 0.9])
    per_row = {
        "unlimited": None,
        "deep": scale * _log(rng, 0.2, 2.0),
        "thin": scale * _log(rng, 0.005, 0.1),
        "none": 0.0,
    }[depth]
    external_column = needs_external or rng.random() < 0.5
    impact_columns, trade_column = rng.random() < 0.7, rng.random() < 0.7
    rows: list[dict[str, Any]] = []
    wedge = 0.0  # log(external / last): information comes late
    for k, (time, last) in enumerate(zip(times, lasts)):
        row: dict[str, Any] = {"time": time, "last": last}
        if quotes != "last_only":
            row["bid"], row["ask"] = last * (1.0 - half * rng.random()), last * (1.0 + half * rng.random())
            if quotes == "one_sided" and rng.random() < 0.3:
                row[rng.choice(["bid", "ask"])] = None
        if impact_columns:
            row["impact_bid"] = (
                None if rng.random() < 0.1 else last * (1.0 - impact * rng.random()) * math.exp(rng.gauss(0.0, 0.01))
            )
            row["impact_ask"] = (
                None if rng.random() < 0.1 else last * (1.0 + impact * rng.random()) * math.exp(rng.gauss(0.0, 0.01))
            )
        if external_column:
            wedge = lag * wedge + rng.gauss(0.0, 0.01)
            row["external"] = last * math.exp(wedge) if k == 0 or rng.random() < 0.8 else None
        if per_row is not None:
            row["depth"] = per_row * rng.random() if rng.random() < 0.9 else 0.0
        if trade_column:
            row["trades"] = rng.choice([0, 1, 3, 8, 30])
        rows.append(row)
    return rows


# ---------------------------------------------------------------- life cycle
def _events(
    rng: random.Random, story: str, venue: Venue, times: list[float], lasts: list[float]
) -> list[dict[str, Any]]:
    def at(lo: int, hi: int) -> float:
        """A row's time, or up to half a row before it: events act in the first row at or after them."""
        k = rng.randrange(lo, hi)
        return times[k] - rng.choice([0.0, 0.5]) * (times[k] - times[k - 1])

    events: list[dict[str, Any]] = []
    if story in ("listed", "everything") or (story in ("converted", "expired") and rng.random() < 0.5):
        events.append({"time": at(2, 8), "event": "listed"})
    if story in ("converted", "everything"):
        events.append({"time": at(8, 14), "event": "converted"})
    if story in ("halted", "everything"):
        events += [{"time": at(3, 12), "event": "halted"}, {"time": at(12, 18), "event": "resumed"}]
    if story in ("rebase", "everything"):
        k = rng.randrange(1, 18)
        events.append(
            {
                "time": times[k],
                "event": "rebase",
                "ratio": rng.choice([_log(rng, 0.2, 15.0), 10.0, 12.52]),
                "_row": times[k],
            }
        )
    if story in ("cancelled", "expired") or (story == "everything" and rng.random() < 0.5):
        kind = "cancelled" if story != "expired" else "expired"
        event = {"time": at(18, ROWS), "event": kind}
        if rng.random() < 0.3:
            event["price"] = lasts[-1] * _log(rng, 0.3, 3.0)
        events.append(event)
    events.sort(key=lambda event: event["time"])
    due = venue.settlement.expires_after_listing
    listed = next((event["time"] for event in events if event["event"] == "listed"), None)
    if (
        due is not None
        and listed is not None
        and not any(event["event"] in ("cancelled", "expired") for event in events)
    ):
        return [event for event in events if event["time"] <= listed + due]
    return events


# ---------------------------------------------------------------- book
def _accounts(rng: random.Random, start: float, scale: float) -> list[dict[str, Any]]:
    """Twelve accounts, heavy-tailed sizes, longs and shorts of the same total except in one book of ten."""
    sides = [1.0] * 6 + [-1.0] * 6
    rng.shuffle(sides)
    raw = [_log(rng, 0.01, 1.0) for _ in range(ACCOUNTS)]
    totals = {side: sum(size for size, mine in zip(raw, sides) if mine == side) for side in (1.0, -1.0)}
    top = rng.choice([3.0, 8.0, 20.0])
    accounts = []
    for i, (size, side) in enumerate(zip(raw, sides)):
        notional = scale * size / totals[side]
        entry = start * math.exp(rng.gauss(0.0, 0.04))
        quantity = side * notional / start
        if rng.random() < 0.03:
            quantity = 0.0
        collateral = notional / _log(rng, 1.0, top) + max(0.0, -quantity * (start - entry))
        accounts.append(
            {"account_id": f"a{i:02d}", "quantity": quantity, "entry_price": entry, "collateral": collateral}
        )
    return accounts
