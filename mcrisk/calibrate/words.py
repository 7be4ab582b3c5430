"""Metrics in words and numbers as people read them, the same on every page of a decision."""

from __future__ import annotations

import math

from mcrisk.calibrate.output import Range, certain, money_range, shown
from mcrisk.config.study import AT, Input
from mcrisk.report import format as fmt
from mcrisk.report.names import spoken
from mcrisk.risk.intervals import Interval

TEXTS = {
    "initial_margin": "initial margin required, of open interest",
    "equity_posted": "equity that accounts post (both sides), of open interest",
    "fund_size": "insurance fund, of open interest",
    "avoidable_liquidation": "liquidated notional on paths without reset or cancellation, of open interest",
    "winners_haircut_mean": "share of winners' profit taken by ADL and settlement cuts, mean",
    "fund_pnl_mean": "gain of the fund, of open interest",
    "p_fund_depleted": "probability that the fund is exhausted",
    "p_adl": "probability of ADL",
    "p_unpaid": "probability that losses stay unpaid",
    "bad_debt_mean_of_oi": "losses beyond collateral, of open interest",
    "unpaid_mean_of_oi": "losses nobody paid, of open interest",
    "liquidated_notional_mean_of_oi": "liquidated notional, of open interest",
    "fund_need_mean_of_oi": "mean fund needed, of open interest",
}
_SHARES = ("initial_margin", "equity_posted", "fund_size", "avoidable_liquidation", "winners_haircut_mean",
           "winners_haircut_es99", "fund_pnl_mean")  # fmt: skip


def name_of(metric: str) -> str:
    """A metric as people call it, with the scenario it is judged in where it has one."""
    metric, at, scenario = metric.partition(AT)
    if at:
        return f"{name_of(metric)} in {scenario}"
    return TEXTS.get(metric, metric.replace("_of_oi", ", of open interest").replace("_", " "))


def is_share(metric: str) -> bool:
    """Whether a metric is a fraction and is shown in percent."""
    metric = metric.partition(AT)[0]
    return metric in _SHARES or metric.startswith(("p_", "paid_by_", "mark_index_gap")) or metric.endswith("_of_oi")


def text_of(metric: str, value: float) -> str:
    """One number of a metric."""
    return fmt.percent(value) if is_share(metric) else shown(float(value))


def title_of(item: Input) -> str:
    """An input as people call it."""
    return item.text or item.name.replace("_", " ")


def scenario_of(name: str) -> str:
    """A scenario in a sentence: 'valuation reset', 'IPO delay'."""
    return spoken(name)


def value_of(item: Input, value: float) -> Range:
    """A value of an input as people read it."""
    if item.reads == "percent":
        return certain(fmt.percent(value), value)
    if item.reads == "log_change":
        return certain(fmt.signed_percent(math.expm1(value)), value)
    return certain(shown(float(value)), value)


def change_of(metric: str, found: Interval) -> Range:
    """A difference of a metric with its interval; shares in percentage points."""
    if not is_share(metric):
        return range_of(metric, found)
    low, high = (fmt.points(end) if end == end else fmt.NOT_RESOLVED for end in found[1:])
    exact = found.lower == found.upper == found.estimate
    return Range(fmt.points(found.estimate) + ("" if exact else f" [{low}, {high}]"), found)


def range_of(metric: str, found: Interval) -> Range:
    """`estimate [lower, upper]`; a number that is certain has no brackets."""
    if found.lower == found.upper == found.estimate:
        return certain(text_of(metric, found.estimate), found.estimate)
    if not is_share(metric):
        return money_range(*found)
    ends = [fmt.NOT_RESOLVED if math.isnan(end) else fmt.percent(end) for end in found[1:]]
    return Range(f"{fmt.percent(found.estimate)} [{', '.join(ends)}]", found)
