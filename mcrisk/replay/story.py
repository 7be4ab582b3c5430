"""A walked path as text: what happened to the market, and what happened to one account and why."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from mcrisk.config.venue import Venue
from mcrisk.engine.records import EVENT_LABELS
from mcrisk.replay import biography as bio
from mcrisk.replay.result import PHASES, ReplayResult
from mcrisk.replay.trace import Trace
from mcrisk.rules.types import CANCELLED

_BUSIEST = 12  # rows of liquidations and ADL shown in a timeline
_AROUND = 6  # rows shown before an account's end
_CLOSES = ("liquidation", "takeover", "assignment", "backstop", "adl", "settlement")


def money(value: float) -> str:
    """Quote currency with as many digits as matter."""
    return f"{value:,.2f}" if abs(value) < 1e5 else f"{value:,.0f}"


def when(seconds: float) -> str:
    """Epoch seconds as a date in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def path_story(trace: Trace, result: ReplayResult, market: int = 0) -> list[str]:
    """The market's timeline: events of its life, busiest rows, and the bill."""
    times, n = trace.columns["utc"], trace.numbers
    label = EVENT_LABELS[int(n["event_label"])]
    start = times[0]
    jump = f", jump of value {np.expm1(n['event_jump']):+.1%}" if n["event_jump"] else ""
    out = [f"{when(start)}  start; mark {trace.columns['mark'][0]:,.4g}; branch of the company: {label}",
           f"{when(start + n['event_time'])}  main event of the path{jump}"]
    out += _life(trace) + _busiest(trace, result, market)
    out = sorted(out, key=lambda line: line[:19])
    phase = result.market["phase"].iloc[-1]
    out.append(f"{when(times[-1])}  end; {phase}; mark {n['terminal_mark']:,.4g}")
    return out + ["", *_bill(trace)]


def _life(trace: Trace) -> list[str]:
    c, out = trace.columns, []
    texts = {"listed": "first external print", "converted": "converted: rules of the listed phase from here on"}
    for name, text in texts.items():
        out += [f"{when(c['utc'][k])}  {text}; mark {c['mark'][k]:,.4g}" for k in np.flatnonzero(c[name])]
    halts = np.flatnonzero(np.diff(np.concatenate([[False], c["halted"]]).astype(int)))
    out += [f"{when(c['utc'][k])}  {'halted: nothing trades' if c['halted'][k] else 'trading resumes'}" for k in halts]
    out += [f"{when(c['utc'][k])}  rebase: {c['rebase'][k]:.6g} new contracts for each"
            for k in np.flatnonzero(c["rebase"] != 1.0)]
    out += [f"{when(c['utc'][k])}  settled ({'cancelled' if c['settle'][k] == CANCELLED else 'expired'})"
            for k in np.flatnonzero(c["settle"] != 0)]
    struck = np.flatnonzero(c["struck"])
    if len(struck):
        out.append(f"{when(c['utc'][struck[0]])}  book re-struck at the mark, {len(struck)} times on this path from here on")
    depleted = trace.numbers["depletion_time"]
    if np.isfinite(depleted):
        what = "fund exhausted" if trace.numbers["fund_initial"] > 0.0 else "vault exhausted, or, without one, the first loss"
        out.append(f"{when(c['utc'][0] + depleted)}  {what}")
    return out


def _busiest(trace: Trace, result: ReplayResult, market: int) -> list[str]:
    """Rows with liquidations or ADL, the largest ones, in order of time."""
    ledger = result.ledger
    ledger = ledger[ledger["event"].isin(_CLOSES[:-1]) & (ledger["quantity"] != 0.0) & (ledger["account_id"] != "fund")]
    if not len(ledger):
        return []
    ledger = ledger.assign(notional=(ledger["quantity"] * ledger["price"]).abs(), adl=ledger["event"] == "adl")
    rows = ledger.groupby("time")
    chosen = rows["notional"].sum().nlargest(_BUSIEST).index
    out = []
    for time in sorted(set(chosen) | {ledger["time"].iloc[0]}):
        part = rows.get_group(time)
        k = int(np.searchsorted(trace.columns["utc"], time))
        own = part["account_id"].isin(_bankrupt(trace, result, k, market)) if part["adl"].any() else part["adl"]
        closes, adl = part[~part["adl"] | own], part[part["adl"] & ~own]
        words = []
        if len(closes):
            words.append(f"{closes['account_id'].nunique()} accounts liquidated, {money(closes['notional'].sum())} notional")
        if len(adl):
            words.append(f"ADL on {adl['account_id'].nunique()} accounts, {money(adl['notional'].sum())} notional")
        out.append(f"{when(time)}  mark {trace.columns['mark'][k]:,.4g} ({PHASES[int(trace.columns['phase'][k])]}): "
                   + "; ".join(words))
    return out


def _bill(trace: Trace) -> list[str]:
    n = trace.numbers
    names = ("liquidated_accounts", "liquidated_notional", "traders_loss", "bad_debt", "fund_initial", "fund_min",
             "adl_accounts", "adl_notional", "adl_wealth", "settlement_cut", "backstop_loss", "unpaid")
    return [f"{name.replace('_', ' '):24}{money(float(n[name])):>18}" for name in names]


# ---------------------------------------------------------------- one account
def account_story(trace: Trace, result: ReplayResult, venue: Venue, account: int, account_id: str, market: int = 0
                  ) -> list[str]:
    """Entry, thresholds, margin around its end, what closed it at which price, and who paid."""
    life = bio.biography(trace, venue, account, market)
    times, mark, phase = (trace.columns[name] for name in ("utc", "mark", "phase"))
    end = bio.last_row(result.ledger, account_id, times)
    first = _last_restrike(trace, end)
    out = [_position(trace, venue, life, account_id, first)]
    units = np.cumprod(trace.columns["rebase"])
    out += ["", "time                          mark        quantity          equity     maintenance   ratio   liquidation price"]
    for k in range(max(first, end - _AROUND), min(end + 2, len(times))):
        ratio = life.equity[k] / life.maintenance[k] if life.maintenance[k] > 0 else np.nan
        price = bio.liquidation_price(venue, int(phase[k]), life.quantity[k], life.entry[k], life.collateral[k], mark[k],
                                      units[k])
        shown = (f"{ratio:6.2f}", f"{price:12,.6g}") if life.quantity[k] else (f"{'–':>6}", f"{'–':>12}")
        out.append(f"{when(times[k])}  {mark[k]:12,.6g}  {life.quantity[k]:14,.6g}  {money(life.equity[k]):>14}  "
                   f"{money(life.maintenance[k]):>14}  {'  '.join(shown)}")
    out.append("(each line after the row's liquidations)")
    return out + ["", *_ending(trace, result, account_id, market)]


def _last_restrike(trace: Trace, end: int) -> int:
    """The row in which the account's present position began: a re-strike gives everybody a new one."""
    struck = np.flatnonzero(trace.columns["struck"][: end + 1])
    struck = struck[struck < end]
    return int(struck[-1]) if len(struck) else 0


def _position(trace: Trace, venue: Venue, life: bio.Biography, account_id: str, k: int) -> str:
    q, units = life.quantity[k], float(np.prod(trace.columns["rebase"][: k + 1]))
    if q == 0.0:
        return f"account {account_id}: no position in this market after {when(trace.columns['utc'][k])}"
    mark, phase = trace.columns["mark"][k], int(trace.columns["phase"][k])
    price = bio.liquidation_price(venue, phase, q, life.entry[k], life.collateral[k], mark, units)
    zero = bio.zero_equity_price(q, life.entry[k], life.collateral[k])
    lever = abs(q) * mark / life.equity[k] if life.equity[k] > 0 else np.inf
    return (f"account {account_id}: {'long' if q > 0 else 'short'} {abs(q):,.6g} from {life.entry[k]:,.6g}, collateral "
            f"{money(life.collateral[k])} ({lever:.2f}x at the mark of {when(trace.columns['utc'][k])}); "
            f"liquidated at a mark of {price:,.6g}, worth nothing at {zero:,.6g}")


def _ending(trace: Trace, result: ReplayResult, account_id: str, market: int) -> list[str]:
    ledger = result.ledger
    mine = ledger[(ledger["account_id"] == account_id) & ~ledger["event"].isin(("funding", "rebase"))]
    status = result.accounts.set_index("account_id").loc[account_id]
    out = [f"what happened to it ({len(mine)} entries; the last ones):"]
    for entry in mine.tail(8).itertuples():
        out.append(f"{when(entry.time)}  {entry.event:12} quantity {entry.quantity:+,.6g} at {entry.price:,.6g}, cash "
                   f"{entry.cash:+,.2f}, fee {entry.fee:,.2f}, fund {entry.fund:+,.2f}")
    funding = ledger[(ledger["account_id"] == account_id) & (ledger["event"] == "funding")]["cash"].sum()
    out += [f"funding received (+) or paid (-) over the path: {funding:+,.2f}",
            f"end: {status['status']}, collateral {money(status['collateral'])}"]
    closes = mine[mine["event"].isin(_CLOSES) & (mine["quantity"] != 0.0)]
    return out + (_who_paid(trace, result, closes["time"].iloc[-1], market) if len(closes) else [])


def _who_paid(trace: Trace, result: ReplayResult, time: float, market: int) -> list[str]:
    """The bill of the row that closed it, which all accounts of that row share."""
    row = result.ledger[result.ledger["time"] == time]
    k = int(np.searchsorted(trace.columns["utc"], time))
    fund = row.loc[row["event"] != "funding", "fund"].sum()
    adl = row[(row["event"] == "adl") & (row["quantity"] != 0.0) & ~row["account_id"].isin(_bankrupt(trace, result, k, market))]
    against_mark = float((adl["quantity"] * (trace.columns["mark"][k] - adl["price"])).sum())
    cut = -row.loc[(row["event"] == "adl") & (row["quantity"] == 0.0), "cash"].sum()
    out = [f"who paid in that row (all accounts together): fund {fund:+,.2f}"]
    if len(adl):
        out.append(f"ADL closed {adl['account_id'].nunique()} accounts on the winning side, {against_mark:+,.2f} against the mark")
    if cut > 0.0:
        out.append(f"profit cut at settlement: {money(cut)}")
    return out


def _bankrupt(trace: Trace, result: ReplayResult, row: int, market: int) -> set[str]:
    """Accounts that ADL closed because they were bankrupt themselves, and the fund."""
    step = next((step for step in trace.steps if step.row == row), None)
    own = np.zeros(0, bool) if step is None else step.info["adl_own"][market] > 0.0
    return set(result.accounts["account_id"].to_numpy()[: len(own)][own]) | {"fund"}
