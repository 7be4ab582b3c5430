"""The ADL laboratory: one book, one loss, every policy side by side.

Measures  overshoot = wealth taken − budget needed, (deficit − fund)⁺; haircut h_i = wealth given up / profit before;
          Gini and top-10 share of the amounts over all winners; accounts hit; largest and 99th percentile leverage left;
          expected deficit of the survivors over the next hour under a Student-t shock.
Source    Chitra, arXiv 2512.01112; anchors of 10 October 2025 in venue-rules.md 8 and defaults.md 6 and 8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mcrisk.calibrate.adl_policies import POLICIES, WEALTH_POLICIES, Allocation, Book, allocate, split_saving
from mcrisk.calibrate.output import Picture, Range, Table, certain, shown
from mcrisk.config.catalog import suggest
from mcrisk.errors import InputError
from mcrisk.report import format as fmt
from mcrisk.report.svg import Plot, Scale, linear, text_at

Array = NDArray[np.float64]
OCTOBER_DEFICIT = 0.0073  # of one-sided open interest: 100.1M of 13.8B
_SHOCKS = 2001  # points of the shock's quantile grid
NAMES = {
    "hyperliquid": "Hyperliquid, side-aware", "hyperliquid_literal": "Hyperliquid, literal", "okx": "OKX", "binance": "Binance",
    "contract_pro_rata": "contracts pro rata", "leverage_water_filling": "leverage levelled down",
    "wealth_pro_rata": "wealth pro rata", "capped_wealth_pro_rata": "wealth pro rata, capped",
}  # fmt: skip
_SPLIT = 5   # accounts that try to split
_TAIL = 3.0  # degrees of freedom of the shock


def gini(amounts: ArrayLike) -> float:
    """Gini coefficient of amounts ≥ 0 [A]; 0 when nothing was taken."""
    x = np.sort(np.asarray(amounts, np.float64))
    total = x.sum()
    if total <= 0:
        return 0.0
    rank = np.arange(1, len(x) + 1)
    return float((2 * rank - len(x) - 1) @ x / (len(x) * total))


def top_share(amounts: ArrayLike, count: int = 10) -> float:
    """Share of the total that the `count` largest amounts make up."""
    x = np.sort(np.asarray(amounts, np.float64))
    return float(x[-count:].sum() / x.sum()) if x.sum() > 0 else 0.0


@dataclass(frozen=True)
class Outcome:
    """One policy's result; money in quote currency.

    share_hit, gini, top10: over winners, i.e. accounts with profit and positive equity. closed: notional at the mark.
    split_saving: the most that one of the hardest-hit winners saves of what it gives by splitting its account in two.
    leverage, next_hour: of the solvent accounts opposite the bankrupt ones, which are those a policy changes.
    """

    allocation: Allocation
    budget: float
    taken: float
    overshoot: float
    share_hit: float
    gini: float
    top10: float
    largest_haircut: float
    unpaid: float
    closed: float
    leverage_99: float
    leverage_max: float
    next_hour: float
    split_saving: float = math.nan


def overshoot(taken: float, budget: float) -> float:
    """Wealth taken beyond what was needed, quote (W-CH-5)."""
    return taken - budget


def judge(allocation: Allocation, book: Book, budget: float, volatility: float) -> Outcome:
    """Measure one allocation. `volatility` is annual, for the shock of the next hour."""
    winners = (book.profit > 0) & (book.equity > 0)
    given, size = allocation.wealth, float(allocation.wealth.sum())
    cut = np.divide(given, book.profit, out=np.zeros_like(given), where=winners)
    after = _counterparties(allocation, book)
    open_ = after.quantity != 0
    levers = after.leverage[open_] if open_.any() else np.zeros(1)
    beyond, crumb = overshoot(size, budget), 1e-9 * book.deficit()
    return Outcome(
        allocation, budget, size, 0.0 if abs(beyond) < crumb else beyond,
        float((given[winners] > 0).mean()) if winners.any() else 0.0, gini(given[winners]), top_share(given[winners]),
        float(cut.max(initial=0.0)), allocation.unpaid if allocation.unpaid > crumb else 0.0,
        float(allocation.contracts.sum()) * book.mark, float(np.quantile(levers, 0.99)), float(levers.max()),
        next_hour_deficit(after, volatility),
    )  # fmt: skip


def _counterparties(allocation: Allocation, book: Book) -> Book:
    """Solvent accounts opposite the bankrupt ones after the event, with what is left to them, valued at the mark.

    Under wealth policies the bankrupt contracts find no counterparty here; they are taken to be sold at the mark.
    """
    sides = np.sign(book.quantity[book.equity < 0])
    facing = (book.equity > 0) & np.isin(-np.sign(book.quantity), sides)
    left = np.sign(book.quantity) * np.maximum(np.abs(book.quantity) - allocation.contracts, 0.0)
    left = np.where(np.abs(left) > 1e-9 * np.abs(book.quantity), left, 0.0)
    wealth = np.where(facing, book.equity - allocation.wealth, 0.0)
    return Book(np.where(facing, left, 0.0), np.full_like(left, book.mark), wealth, book.mark, book.maintenance)


def next_hour_deficit(book: Book, volatility: float) -> float:
    """Expected sum of negative equities one hour later if nobody is liquidated, quote; Student-t(3) log move.

    An index of how fragile the book is, not a forecast: it puts policies in order.
    """
    step = volatility * math.sqrt(1 / 8760.0)
    shock = stats.t.ppf((np.arange(_SHOCKS) + 0.5) / _SHOCKS, _TAIL) / math.sqrt(_TAIL / (_TAIL - 2.0))
    moves = np.exp(step * shock)
    return float(np.mean([book.moved(book.mark * move).deficit() for move in moves]))


def compare(
    book: Book, fund: float, policies: tuple[str, ...] = POLICIES, *, lot: float = 0.0, cap: float = 0.5,
    volatility: float = 3.0,
) -> list[Outcome]:  # fmt: skip
    """Every policy on the same book and loss.

    Raises InputError: unknown policy, or nothing to allocate because no account has negative equity.
    """
    for policy in policies:
        if policy not in POLICIES:
            raise InputError(
                f"unknown ADL policy '{policy}'", "--policies", f"allowed: {', '.join(POLICIES)}",
                suggest(policy, POLICIES),
            )  # fmt: skip
    deficit = book.deficit()
    if deficit == 0:
        raise InputError(
            f"no account has negative equity at the mark {book.mark:g}", "--mark", "there is no loss to allocate",
            "give a mark at which somebody is bankrupt",
        )  # fmt: skip
    budget = max(0.0, deficit - fund)
    judged = [judge(allocate(p, book, budget, lot, cap), book, budget, volatility) for p in policies]
    return [replace(o, split_saving=_most_saved(o, book, lot, cap)) for o in judged]


def _most_saved(outcome: Outcome, book: Book, lot: float, cap: float) -> float:
    """Sybil test on the winners that give up most and on the marginal one of a queue: the largest saving, at least 0."""
    allocation = outcome.allocation
    hit = np.flatnonzero(allocation.wealth > 0.0)
    order = hit[np.argsort(-allocation.wealth[hit], kind="stable")][:_SPLIT]
    partly = hit[(allocation.contracts[hit] < np.abs(book.quantity[hit])) & (allocation.contracts[hit] > 0.0)][:_SPLIT]
    saved = [split_saving(allocation.policy, book, int(k), outcome.budget, lot, cap) for k in {*order.tolist(), *partly.tolist()}]
    most = max(saved, default=math.nan)
    return 0.0 if abs(most) < 1e-9 else most


def tables(outcomes: list[Outcome]) -> list[Table]:
    """Who pays, and what is left; one row per policy."""
    paying = ("policy", "acts on", "wealth taken, quote", "overshoot, quote", "unpaid, quote", "winners hit", "Gini",
              "top-10 share", "largest haircut", "saved by splitting")  # fmt: skip
    who = tuple(
        (name_of(o), "profit" if o.allocation.policy in WEALTH_POLICIES else "contracts", o.taken, o.overshoot,
         o.unpaid, _percent(o.share_hit), o.gini, _percent(o.top10), _percent(o.largest_haircut), _percent(o.split_saving))
        for o in outcomes
    )  # fmt: skip
    leaving = ("policy", "notional closed, quote", "contracts unmatched", "leverage, 99 %", "leverage, largest",
               "next hour's deficit, quote")  # fmt: skip
    left = tuple(
        (name_of(o), o.closed, o.allocation.unmatched, o.leverage_99, o.leverage_max, o.next_hour)
        for o in outcomes
    )
    return [
        Table("Who pays", paying, who, "Wealth is measured against the mark. Contract "
              "policies always take the whole deficit, so what the fund could have paid is overshoot. Saved by splitting: "
              "the most that a hard-hit winner saves of what it gives by holding its position in two accounts."),
        Table("What is left", leaving, left, "Of the solvent accounts opposite the bankrupt ones. Next hour: expected "
              "negative equity if nobody is liquidated; an index of fragility, not a forecast."),
    ]  # fmt: skip


def name_of(outcome: Outcome) -> str:
    """A policy as people call it."""
    policy = outcome.allocation.policy
    return NAMES.get(policy, policy.replace("_", " "))


def _percent(share: float) -> Range:
    return certain(fmt.percent(share), share)


def answer(outcomes: list[Outcome]) -> str:
    """Which policy is best at what, and who takes more than is missing: two sentences or three."""
    mild = min(outcomes, key=lambda o: o.largest_haircut)
    few = min(outcomes, key=lambda o: o.share_hit)
    calm = min(outcomes, key=lambda o: (o.next_hour, o.leverage_max))
    lines = [
        f"Winners must give {shown(outcomes[0].budget)} quote. The winner hit hardest loses least under {name_of(mild)} "
        f"({fmt.percent(mild.largest_haircut)} of its profit), fewest winners are hit under {name_of(few)} "
        f"({fmt.percent(few.share_hit)}), and the safest book is left by {name_of(calm)} (largest leverage "
        f"{calm.leverage_max:.1f})."
    ]
    for what, text in (("overshoot", "more than was missing"), ("unpaid", "less than was missing")):
        by = [(name_of(o), getattr(o, what)) for o in outcomes if getattr(o, what) > 0]
        if by:
            most = max(amount for _, amount in by)
            lines.append(f"{len(by)} of {len(outcomes)} policies take {text}, up to {shown(most)}: {', '.join(n for n, _ in by)}.")
    return "\n".join(lines)


def facts(book: Book, fund: float) -> str:
    """What the laboratory works on, in two sentences."""
    deficit, bankrupt = book.deficit(), book.equity < 0
    interest = float(np.maximum(book.quantity, 0.0).sum()) * book.mark
    return (
        f"{len(book.quantity):,} accounts, one-sided open interest {shown(interest)}; at a mark of {shown(float(book.mark))} "
        f"the {int(bankrupt.sum()):,} bankrupt ones miss {shown(deficit)} ({fmt.percent(deficit / interest)} of open "
        f"interest). Fund {shown(float(fund))}, so winners must give {shown(max(0.0, deficit - fund))}."
    )


def figure(outcomes: list[Outcome]) -> Picture:
    """Wealth taken against the budget needed, one bar per policy."""
    top = max(max(o.taken for o in outcomes), outcomes[0].budget, 1e-9)
    count = len(outcomes)
    plot = Plot(
        linear(0.0, 1.05 * top, lambda v: shown(float(v))), Scale(0.0, count, []), "wealth taken from winners, quote",
        "", "ADL policies: wealth taken", width=520, height=26 * count + 70, left=160,
    )  # fmt: skip
    for k, outcome in enumerate(outcomes):
        y = count - k - 0.5
        plot.bar(0.0, min(outcome.taken, outcome.budget), y - 0.3, y + 0.3, "s0")
        plot.bar(outcome.budget, max(outcome.taken, outcome.budget), y - 0.3, y + 0.3, "bad")
        plot.front.append(text_at(152, plot.py(y) + 4, name_of(outcome), "tick", "end"))
    plot.vertical(outcomes[0].budget, "needed", "s2")
    see = "Blue is what winners had to give; orange is what a policy takes beyond it (the fund could have paid that)."
    return Picture(str(plot.render()), "Wealth taken from winners", see)


# ------------------------------------------------------------------------------------------------ books
def read_lab_book(file: Path, mark: float, maintenance: float) -> Book:
    """Columns quantity, entry_price, collateral of one market. Raises InputError naming file, line and column."""
    from mcrisk.calibrate.history import numbers, read_frame

    if not (math.isfinite(mark) and mark > 0):
        raise InputError(f"the mark must be a positive price, not {mark}", f"--mark {mark}", None, "give the mark now")
    frame = read_frame(file, "the account table")
    if "market" in frame.columns and frame["market"].nunique() > 1:
        names = ", ".join(map(str, sorted(frame["market"].unique())[:5]))
        raise InputError("the table holds several markets", str(file), names, "give the accounts of one market")
    quantity = numbers(frame, "quantity", file)
    entry = numbers(frame, "entry_price", file, positive=True)
    return Book(quantity, entry, numbers(frame, "collateral", file), mark, maintenance)


def october_book(accounts: int = 20_000, seed: int = 20251010) -> Book:
    """A made-up book in the style of 10 October 2025: sizes and leverage as published, fallen until 0.73 % is missing.

    Lognormal sizes (sigma 3.3: top 10 of 19,337 hold 43 %), 70 % of accounts long, leverage 0.3–50 on the equity before
    the fall. The fall is solved so that the deficit is the observed share of open interest. Nobody was liquidated on
    the way: who was, is the engine's business, and this laboratory only divides a loss.
    """
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0.0, 3.3, accounts)
    long = rng.random(accounts) < 0.7
    for side in (long, ~long):  # no account above a tenth of its side, and both sides equal
        for _ in range(30):
            size[side] = np.minimum(size[side], 0.1 * size[side].sum())
        size[side] *= 1e6 / size[side].sum()
    leverage = np.exp(rng.uniform(np.log(0.3), np.log(50.0), accounts)) * np.where(size > 1e3, 0.3, 1.0)
    quantity = np.where(long, size, -size) / 100.0
    entry = 100.0 * np.exp(np.where(long, -1, 1) * -0.02 * rng.standard_normal(accounts))
    equity = size / leverage
    collateral = np.maximum(equity - quantity * (100.0 - entry), 0.02 * equity)

    def missing(mark: float) -> float:
        book = Book(quantity, entry, collateral, mark)
        return book.deficit() - OCTOBER_DEFICIT * float(np.maximum(quantity, 0.0).sum()) * mark

    low, high = 1.0, 99.999
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if missing(middle) > 0 else (low, middle)
    return Book(quantity, entry, collateral, high)
