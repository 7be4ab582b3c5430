"""Traffic lights: one verdict per risk limit, judged on the whole 95 % interval.

A light is green, amber or red only when the entire interval lies in that zone. An interval across a limit, or a bound
the sample cannot give, is grey = not resolved, and never green. Thresholds: `mcrisk.config.limits`, defaults.md
section 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcrisk.config.limits import Limits
from mcrisk.risk.headline import Metric, as_table
from mcrisk.risk.intervals import Interval

Colour = Literal["green", "amber", "red", "grey"]
UNSEEN = 0.001  # "nothing unpaid" counts as shown once its probability is known to be below this


@dataclass(frozen=True)
class Verdict:
    """How one cell stands against one limit; `interval` is None when the number was not computed."""

    limit: str
    colour: Colour
    interval: Interval | None
    text: str = ""


def colour_of(interval: Interval | None, green: float, amber: float) -> Colour:
    """Zone of a number that should be small: green up to `green`, amber up to `amber`, red above.

    A NaN bound is read as unbounded: an unknown upper end may still be red when the lower end is.
    """
    if interval is None or math.isnan(interval.estimate) and math.isnan(interval.lower):
        return "grey"
    lower = -math.inf if math.isnan(interval.lower) else interval.lower
    upper = math.inf if math.isnan(interval.upper) else interval.upper
    zones: list[Colour] = [_zone(lower, green, amber), _zone(upper, green, amber)]
    return zones[0] if zones[0] == zones[1] else "grey"


def _zone(value: float, green: float, amber: float) -> Colour:
    return "green" if value <= green else "amber" if value <= amber else "red"


def of_fund(interval: Interval | None, fund: float) -> Interval | None:
    """In units of the fund; without a fund any loss is infinitely many."""
    if interval is None or fund > 0:
        return interval and interval.over(fund)
    return Interval(*(math.inf if value > 0 else value for value in interval))


def fund_verdict(fund: float, need_amber: Interval | None, need_green: Interval | None) -> Verdict:
    """Fund over required fund: green when it surely covers the far quantile, red when it surely misses the near one."""
    if need_amber is None:
        return Verdict("fund_over_required", "grey", None)
    ratio = Interval(*(_ratio(fund, need) for need in (need_amber.estimate, need_amber.upper, need_amber.lower)))
    colour: Colour = "grey"
    if need_green is not None and need_green.upper <= fund:
        colour = "green"
    elif need_amber.lower > fund:
        colour = "red"
    elif need_amber.upper <= fund and need_green is not None and need_green.lower > fund:
        colour = "amber"
    far = "" if need_green is None else f"at the green quantile: {_ratio(fund, need_green.estimate):.2f}"
    return Verdict("fund_over_required", colour, ratio, far)


def _ratio(fund: float, need: float) -> float:
    return math.inf if need <= 0 else fund / need


def jump_verdict(limit: str, severity: Interval | None, amber: float, red: float) -> Verdict:
    """A break-even jump should be far: `amber` and `red` are the severities (> 0) inside which it is not.

    `severity` comes from `break_even.break_even`; a NaN upper bound there means "beyond the grid".
    """
    if severity is None:
        return Verdict(limit, "grey", None)
    upper = math.inf if math.isnan(severity.upper) else severity.upper
    mirrored = Interval(-severity.estimate, -upper, -severity.lower)
    below_amber = math.nextafter(-amber, -math.inf)  # exactly the median is still inside it
    below_red = math.nextafter(-red, -math.inf)
    text = "beyond the sizes tried" if math.isnan(severity.estimate) else ""
    return Verdict(limit, colour_of(mirrored, below_amber, below_red), severity, text)


def verdicts(
    found: Sequence[Metric],
    limits: Limits,
    fund: float,
    cover_two: float | None = None,
    break_even_down: Interval | None = None,
    break_even_up: Interval | None = None,
) -> list[Verdict]:
    """All lights of one venue, from the metrics of its headline scenario.

    Args:
        fund: usable insurance fund at the start, quote.
        cover_two: loss of `cover_two.cover_two`, quote.
        break_even_down, break_even_up: severities (> 0) of `break_even.break_even`.
    """
    get = as_table(found).get
    jump, fund_limit = limits.break_even_jump, limits.fund_over_required
    named = {0.99: "required_fund_99", 0.999: "required_fund_999"}
    needs = [get(named.get(q, "")) for q in (fund_limit.amber_quantile, fund_limit.green_quantile)]
    two = None if cover_two is None else Interval(cover_two, cover_two, cover_two)
    rows = (
        ("p_fund_depleted", get("p_fund_depleted"), limits.p_fund_depleted),
        ("winners_haircut_es99", get("winners_haircut_es99"), limits.winners_haircut_es99),
        ("latent_deficit_p99", of_fund(get("latent_deficit_99"), fund), limits.latent_deficit_p99),
        ("cover_two", of_fund(two, fund), limits.cover_two),
    )
    return [
        jump_verdict("break_even_down", break_even_down, -jump.amber_down, -jump.red_down),
        jump_verdict("break_even_up", break_even_up, jump.amber_up, jump.red_up),
        fund_verdict(fund, *needs),
        *(Verdict(name, colour_of(interval, limit.green, limit.amber), interval) for name, interval, limit in rows),
        _unpaid(get("p_unpaid"), get("unpaid_mean"), limits),
    ]


def _unpaid(probability: Interval | None, mean: Interval | None, limits: Limits) -> Verdict:
    """One unpaid path is proof; none is proof only once its probability is known to be below `UNSEEN`."""
    limit = limits.unpaid_after_adl
    if probability is None or mean is None:
        return Verdict("unpaid_after_adl", "grey", mean)
    if limit.green > 0 or limit.amber > 0:
        return Verdict("unpaid_after_adl", colour_of(mean, limit.green, limit.amber), mean)
    if probability.estimate > 0:
        return Verdict("unpaid_after_adl", "red", mean, f"on {probability.estimate:.2%} of paths")
    colour: Colour = "green" if probability.upper <= UNSEEN else "grey"
    return Verdict("unpaid_after_adl", colour, mean, f"none seen; probability below {probability.upper:.2%}")
