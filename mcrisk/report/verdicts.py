"""The traffic lights: `mcrisk.risk.limits` judges, this file finds its inputs in the store and words the rules."""

from __future__ import annotations

import math
from collections.abc import Callable

from mcrisk.config.limits import Limits, UpperLimit
from mcrisk.report import format as fmt
from mcrisk.report.source import NAN, Run, VenueInfo
from mcrisk.risk import limits as judge_of
from mcrisk.risk.headline import Metric
from mcrisk.risk.intervals import Interval

TITLES = {
    "break_even_down": ("break-even fall", "signed_percent"),
    "break_even_up": ("break-even rise", "signed_percent"),
    "fund_over_required": ("fund over required", "ratio"),
    "p_fund_depleted": ("P(fund gone)", "percent"),
    "winners_haircut_es99": ("winners' haircut, ES 99 %", "percent"),
    "latent_deficit_p99": ("latent deficit over fund, 99 %", "ratio"),
    "cover_two": ("cover-two loss over fund", "ratio"),
    "unpaid_after_adl": ("unpaid after ADL, mean", "money"),
}
UNITS = {"unpaid_after_adl": "quote currency"}
Verdict = judge_of.Verdict


def limits_of(run: Run) -> Limits:
    """The limits of the run's config, defaults where it has none."""
    try:
        return Limits.model_validate(run.config.get("limits") or {})
    except ValueError:
        return Limits()


def judge(run: Run) -> list[dict[str, Verdict]]:
    """Per venue of the run: verdicts by limit. A fall is a negative jump, as people write it."""
    limits = limits_of(run)
    return [_venue(run, venue, limits) for venue in run.venues]


def _venue(run: Run, venue: VenueInfo, limits: Limits) -> dict[str, Verdict]:
    down, up = (break_even(run, venue, d) for d in ("down", "up"))
    found = judge_of.verdicts(
        metrics_of(run, venue), limits, venue.fund, cover_two(run, venue), break_even_down=down, break_even_up=up
    )
    by_limit = {v.limit: v for v in found}
    fall = by_limit["break_even_down"]
    if fall.interval is not None:
        e, low, high = fall.interval
        by_limit["break_even_down"] = Verdict(fall.limit, fall.colour, Interval(-e, -high, -low), fall.text)
    ratio = by_limit["fund_over_required"]
    need = run.metric(venue.index, run.headline, "required_fund_999")
    if ratio.interval is not None and need is not None and fmt.known(need.estimate):
        far = venue.fund / need.estimate if need.estimate > 0 else math.inf
        by_limit["fund_over_required"] = Verdict(
            ratio.limit, ratio.colour, ratio.interval, f"at 99.9{fmt.NARROW}%: {fmt.ratio(far)}"
        )
    return by_limit


def metrics_of(run: Run, venue: VenueInfo) -> list[Metric]:
    """The stored metrics of the headline scenario, as the judge takes them."""
    rows = [(name, run.metric(venue.index, run.headline, name)) for name in run.metric_names]
    return [
        Metric(n, "", b.estimate, b.lower, b.upper, Interval(b.estimate, b.lower, b.upper).resolved) for n, b in rows
    ]


def break_even(run: Run, venue: VenueInfo, direction: str) -> Interval | None:
    """Severity (> 0) of the smallest jump that empties the fund on half of the paths, if it was searched."""
    if not run.has("break_even"):
        return None
    data = run.group("break_even")
    if "direction" not in data.variables or direction not in [str(d) for d in data["direction"].values]:
        return None
    part = data.isel(venue=venue.index).sel(direction=direction)
    found = Interval(*(float(part[k]) if k in part else NAN for k in ("estimate", "lower", "upper")))
    if all(math.isnan(v) for v in found):
        return None
    if direction == "down" and not any(v > 0 for v in found):  # stored as a fall: −0.36
        return Interval(-found.estimate, -found.upper, -found.lower)
    return found


def cover_two(run: Run, venue: VenueInfo) -> float | None:
    """Loss of the two largest same-side accounts: a metric, or a variable per venue in a group of its own."""
    stored = run.metric(venue.index, run.headline, "cover_two", "cover_two_loss")
    if stored is not None:
        return stored.estimate if fmt.known(stored.estimate) else None
    for group in ("cover_two", "break_even"):
        if run.has(group):
            data = run.group(group)
            name = next(
                (n for n in ("loss", "cover_two", "estimate") if n in data and data[n].dims[:1] == ("venue",)), None
            )
            if name and data[name].ndim == 1:
                return float(data[name].values[venue.index])
    return None


def rules(limits: Limits) -> dict[str, str]:
    """What green, amber and red mean, per limit."""
    jump, fund = limits.break_even_jump, limits.fund_over_required

    def upper(limit: UpperLimit, show: Callable[[float], str]) -> str:
        return f"green up to {show(limit.green)}, amber up to {show(limit.amber)}, red above"

    return {
        "break_even_down": "smallest fall of the value that empties the fund (no fund: the vault; neither: brings the "
        "first loss) on half of the paths; needs no event probability; "
        f"amber when not beyond {fmt.signed_percent(jump.amber_down)}, red when not beyond "
        f"{fmt.signed_percent(jump.red_down)}",
        "break_even_up": f"the same for a rise; amber when not beyond {fmt.signed_percent(jump.amber_up)}, "
        f"red when not beyond {fmt.signed_percent(jump.red_up)}",
        "fund_over_required": f"the fund over what would have paid everything: green from 1× at "
        f"{fmt.plain_percent(fund.green_quantile)}, "
        f"amber from 1× at {fmt.plain_percent(fund.amber_quantile)} (the number shown), red below",
        "p_fund_depleted": "a loss met a fund that could not pay it; a venue without a fund is judged on its vault, or, with "
        "neither, on the first loss beyond collateral, and the cell says so; "
        + upper(limits.p_fund_depleted, fmt.plain_percent),
        "winners_haircut_es99": "share of their profit that winners lose to ADL and settlement cuts in the "
        "worst 1 % of paths; " + upper(limits.winners_haircut_es99, fmt.plain_percent),
        "latent_deficit_p99": "negative equity at executable prices of accounts not yet liquidated, over the fund; "
        + upper(limits.latent_deficit_p99, fmt.ratio),
        "cover_two": "loss beyond collateral of the two largest accounts of one side at the scenario's median "
        "jump, over the fund; " + upper(limits.cover_two, fmt.ratio),
        "unpaid_after_adl": "what nobody paid, in quote currency; " + upper(limits.unpaid_after_adl, fmt.money),
    }
