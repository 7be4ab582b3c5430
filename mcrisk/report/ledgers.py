"""The drill-down: three worst paths and a median one, walked again by somebody else and shown down to their ledgers.

The report cannot walk paths; `mcrisk report` does and hands in one `Told` per path. Everything here is bounded: a page
must open on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mcrisk.report import drill
from mcrisk.report import format as fmt
from mcrisk.report.answer import find_answer
from mcrisk.report.figures import label
from mcrisk.report.model import Column, Figure, Fold, Panel, Section, Table
from mcrisk.report.source import Run, VenueInfo
from mcrisk.report.svg import Plot, linear
from mcrisk.report.verdicts import judge

LOSERS, TAKEN = 5, 3  # accounts shown: those that lose most, and those of whom ADL closes most
ENTRIES = 120  # ledger rows shown per path
LINES = 60  # of the story
POINTS = 300  # of the chart
QUIET = ("funding", "rebase", "restrike")  # entries that are summed, not listed
NOBODY = ("fund", "backstop", "book", "venue")


@dataclass(frozen=True)
class Wanted:
    """A path to be walked again."""

    venue: str
    scenario: str
    which: str  # 'worst', 'second', …
    path: int


@dataclass
class Told:
    """A path walked again, or `failure`: why that did not work.

    ledger rows: time (epoch s), account, event, quantity, price, cash, fee, fund; `entries` says how many there are.
    accounts rows: account, quantity, entry price, collateral, realized P&L, funding paid, fees paid, status.
    totals rows: event, entries, accounts, notional, cash of accounts, change of fund.
    market: time (s from the event), mark, index.
    """

    wanted: Wanted
    failure: str = ""
    agreement: str = ""
    story: Sequence[str] = ()
    ledger: list[tuple] = field(default_factory=list)
    accounts: list[tuple] = field(default_factory=list)
    totals: list[tuple] = field(default_factory=list)
    entries: int = 0
    market: dict[str, np.ndarray] = field(default_factory=dict)


def wanted(run: Run) -> list[Wanted]:
    """The paths of the drill-down: at the venue that worries most, in the headline scenario."""
    name = find_answer(run, judge(run)).venue
    venue = next(v for v in run.venues if v.name == name)
    deficit = run.cell(venue.index, run.headline, ("bad_debt",))["bad_debt"]
    return [Wanted(run.raw_venues[venue.index], run.scenarios[run.headline], which, path)
            for which, path in drill.chosen(deficit)]  # fmt: skip


def condense(one: Wanted, result: Any, story: Sequence[str], agreement: str, event_time: float) -> Told:
    """What a page keeps of a walked path.

    Args:
        result: tables `market`, `ledger`, `accounts` (pandas), as a replay leaves them.
        story: the lines after its title and its agreement, which stand in the page anyway.
        event_time: seconds from the start to the path's main event.
    """
    ledger, accounts, market = result.ledger, result.accounts, result.market
    people = ledger[~ledger["account_id"].isin(NOBODY)]
    losers = accounts.nsmallest(LOSERS, "realized_pnl")["account_id"]
    hit = people[people["event"] == "adl"]
    taken = (hit["quantity"] * hit["price"]).abs().groupby(hit["account_id"]).sum().nlargest(TAKEN + LOSERS).index
    shown = [*losers, *[a for a in taken if a not in set(losers)][:TAKEN]]
    rows = ledger[ledger["account_id"].isin(shown) & ~ledger["event"].isin(QUIET)]
    if len(rows) > ENTRIES:
        rows = rows.loc[(rows["cash"].abs() + rows["fund"].abs()).nlargest(ENTRIES).index.sort_values()]
    start = float(market["time"].iloc[0])
    return Told(
        one, agreement=agreement, story=tuple(map(str, story))[:LINES], entries=len(ledger),
        ledger=[tuple(r) for r in rows[["time", "account_id", "event", "quantity", "price", "cash", "fee", "fund"]].values],
        accounts=[tuple(r) for r in accounts.set_index("account_id", drop=False).loc[shown].values],
        totals=_totals(ledger),
        market={"time": market["time"].to_numpy(float) - start - event_time,
                "mark": market["mark"].to_numpy(float), "index": market["index"].to_numpy(float)},
    )  # fmt: skip


def _totals(ledger: Any) -> list[tuple]:
    """One row per kind of entry: the whole ledger, added up."""
    out = []
    for event, part in ledger.groupby("event", sort=False):
        own = part[~part["account_id"].isin(NOBODY)]
        notional = float((own["quantity"] * own["price"]).abs().sum())
        out.append((str(event), len(part), int(own["account_id"].nunique()), notional, float(own["cash"].sum()),
                    float(part["fund"].sum())))  # fmt: skip
    return out


def section(run: Run, told: Sequence[Told]) -> Section:
    """The chapter: one fold per path."""
    where = told[0].wanted
    title = f"Down to the ledger: {fmt.clean(where.venue)}, {label(where.scenario)}"
    out = Section("ledgers", title)
    out.lead = (
        "Each of these paths was walked again from its number when this page was made and compared with what the run "
        f"stored. Shown are the {LOSERS} accounts that lose most and the {TAKEN} of whom ADL closes most, at most {ENTRIES} "
        "entries each, without funding; totals are of the whole ledger."
    )
    venue = next(v for v in run.venues if run.raw_venues[v.index] == where.venue)
    deficit = run.cell(venue.index, run.headline, ("bad_debt",))["bad_debt"]
    lost = [one for one in told if one.failure]
    if lost:
        out.missing.append(
            f"{len(lost)} of {len(told)} paths could not be walked again to the stored numbers; their ledgers are not shown."
        )
    for k, one in enumerate(told):
        out.blocks.append(_fold(venue, k, one, float(deficit[one.wanted.path])))
    return out


def _fold(venue: VenueInfo, k: int, one: Told, deficit: float) -> Fold:
    share = fmt.percent(deficit / venue.open_interest)
    title = f"{one.wanted.which}: path {fmt.count(one.wanted.path)}, deficit {share} of open interest"
    if one.failure:
        return Fold(f"ledger-{k}", f"{title} (not shown)", [f"Could not be walked again: {fmt.clean(one.failure)}"])
    note = f"{fmt.count(one.entries)} ledger entries; agrees with the stored row {fmt.clean(one.agreement)}."
    blocks = [_chart(k, one), _totals_table(k, one), _accounts_table(k, one), _ledger_table(k, one)]
    return Fold(f"ledger-{k}", title, [note], blocks, [fmt.clean(line) for line in one.story])


def _chart(k: int, one: Told) -> Figure:
    time = one.market["time"] / 3600.0
    near = np.flatnonzero((time >= -24.0) & (time <= 48.0))
    near = near if near.size > 2 else np.arange(time.size)
    kept = near[np.unique(np.linspace(0, near.size - 1, min(POINTS, near.size)).astype(int))]
    values = np.concatenate([one.market[name][kept] for name in ("mark", "index")])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(0.05 * (high - low), 0.02 * abs(high))  # a market that stands still: the line in the middle
    plot = Plot(linear(float(time[kept[0]]), float(time[kept[-1]]), lambda v: f"{v:g}".replace("-", "−")),
                linear(low - margin, high + margin, lambda v: f"{v:g}"),
                "hours from the event", "price", f"Path {one.wanted.path}: mark and index")  # fmt: skip
    plot.vertical(0.0, "event", "q")
    for name, style in (("index", "s0 index"), ("mark", "s5 mark")):
        plot.line(time[kept], one.market[name][kept], style)
    at = kept[np.unique(np.linspace(0, kept.size - 1, 9).astype(int))]
    table = Table(f"ledger-{k}-prices", f"Mark and index, path {one.wanted.path}",
                  [Column("series"), *(Column(fmt.seconds(float(3600.0 * time[i])), "number") for i in at)])  # fmt: skip
    for name in ("mark", "index"):
        table.add(name, *(float(one.market[name][i]) for i in at))
    legend = [("s0 index", "index"), ("s5 mark", "mark")]
    before, after = (float(one.market["mark"][i]) for i in (kept[0], kept[-1]))
    still = np.ptp(one.market["mark"][kept]) == 0.0
    see = (f"The mark stands still at {fmt.number(after)} in the time shown." if still
           else f"The mark goes from {fmt.number(before)} to {fmt.number(after)} in the time shown.")  # fmt: skip
    return Figure(f"ledger-{k}-prices", "Prices around the event", see, [Panel("", plot.render())], legend, table)


def _totals_table(k: int, one: Told) -> Table:
    columns = [Column("entries of kind"), Column("entries", "count"), Column("accounts", "count"),
               *(Column(t, "money", "quote") for t in ("notional", "cash of accounts", "change of fund"))]  # fmt: skip
    table = Table(f"ledger-{k}-totals", "The whole ledger, added up", columns)
    for row in one.totals:
        table.add(*row)
    return table


def _accounts_table(k: int, one: Told) -> Table:
    columns = [Column("account"), Column("contracts at the end", "number"), Column("entry price", "number"),
               *(Column(t, "money", "quote") for t in ("collateral", "realized P&L", "funding paid", "fees paid")),
               Column("status")]  # fmt: skip
    table = Table(f"ledger-{k}-accounts", "The accounts hit hardest, at the end", columns)
    for row in one.accounts:
        table.add(fmt.clean(row[0]), *(float(v) for v in row[1:7]), fmt.clean(row[7]))
    return table


def _ledger_table(k: int, one: Told) -> Table:
    columns = [Column("time (UTC)"), Column("account"), Column("event"), Column("contracts", "number"), Column("price", "number"),
               *(Column(t, "money", "quote") for t in ("cash", "fee", "fund"))]  # fmt: skip
    table = Table(f"ledger-{k}-entries", "Their ledger", columns)
    for time, account, event, *numbers in one.ledger:
        moment = datetime.fromtimestamp(float(time), UTC)
        table.add(f"{moment:%Y-%m-%d %H:%M:%S}", fmt.clean(account), fmt.clean(event), *map(float, numbers))
    return table
