"""The traffic lights: one verdict per venue and limit, judged at the end of the 95 % interval that hurts."""

from __future__ import annotations

from dataclasses import dataclass

from mcrisk.config.limits import Limits
from mcrisk.report import format as fmt
from mcrisk.report import names
from mcrisk.report.source import NAN, Bound, Run, VenueInfo

ORDER = {"red": 0, "grey": 1, "amber": 2, "green": 3}
TITLES = {
    "break_even_down": ("break-even jump down", "signed_percent"),
    "break_even_up": ("break-even jump up", "signed_percent"),
    "fund_over_required": ("fund over required", "ratio"),
    "p_fund_depleted": ("P(fund gone)", "percent"),
    "winners_haircut_es99": ("winners' haircut, ES 99 %", "percent"),
    "latent_deficit_p99": ("latent deficit over fund, 99 %", "ratio"),
    "cover_two": ("cover-two loss over fund", "ratio"),
    "unpaid_after_adl": ("unpaid after ADL", "money"),
}


@dataclass(frozen=True)
class Verdict:
    """How one venue stands against one limit; `bound` is None when the run did not compute it."""

    key: str
    colour: str
    bound: Bound | None
    text: str = ""


def limits_of(run: Run) -> Limits:
    """The limits of the run's config, defaults where it has none."""
    given = run.config.get("limits")
    try:
        return Limits.model_validate(given or {})
    except ValueError:
        return Limits()


def rules(limits: Limits) -> dict[str, str]:
    """What green, amber and red mean, per limit."""
    jump, fund = limits.break_even_jump, limits.fund_over_required
    upper = lambda u, show: f"green up to {show(u.green)}, amber up to {show(u.amber)}, red above"
    return {
        "break_even_down": f"smallest fall that empties the fund with probability one half; amber inside {fmt.signed_percent(jump.amber_down)}, red inside {fmt.signed_percent(jump.red_down)}",
        "break_even_up": f"the same for a rise; amber inside {fmt.signed_percent(jump.amber_up)}, red inside {fmt.signed_percent(jump.red_up)}",
        "fund_over_required": f"green from 1× at {fmt.percent(fund.green_quantile)}, amber from 1× at {fmt.percent(fund.amber_quantile)}, red below",
        "p_fund_depleted": upper(limits.p_fund_depleted, fmt.percent),
        "winners_haircut_es99": upper(limits.winners_haircut_es99, fmt.percent),
        "latent_deficit_p99": upper(limits.latent_deficit_p99, fmt.ratio),
        "cover_two": upper(limits.cover_two, fmt.ratio),
        "unpaid_after_adl": upper(limits.unpaid_after_adl, fmt.money),
    }


def judge(run: Run) -> list[dict[str, Verdict]]:
    """Per venue of the run: verdicts by limit, in the order of `TITLES`."""
    limits = limits_of(run)
    return [_venue(run, venue, limits) for venue in run.venues]


def _venue(run: Run, venue: VenueInfo, limits: Limits) -> dict[str, Verdict]:
    jump = limits.break_even_jump
    down, up = break_even(run, venue, "down"), break_even(run, venue, "up")
    get = lambda key: run.metric(venue.index, run.headline, *names.ALIASES[key])
    found = {
        "break_even_down": (down and _negated(down), -jump.amber_down, -jump.red_down),
        "break_even_up": (up, jump.amber_up, jump.red_up),
    }
    out = {key: Verdict(key, _far_enough(bound, amber, red), down if key.endswith("down") else up)
           for key, (bound, amber, red) in found.items()}
    out["fund_over_required"] = _fund(venue, get("required_fund_99"), get("required_fund_999"))
    for key, bound, limit in (
        ("p_fund_depleted", get("p_depleted"), limits.p_fund_depleted),
        ("winners_haircut_es99", get("winners_haircut_es99"), limits.winners_haircut_es99),
        ("latent_deficit_p99", _of_fund(get("latent_deficit_99"), venue.fund), limits.latent_deficit_p99),
        ("cover_two", _of_fund(get("cover_two"), venue.fund), limits.cover_two),
        ("unpaid_after_adl", get("unpaid_mean"), limits.unpaid_after_adl),
    ):
        out[key] = Verdict(key, colour(bound, limit.green, limit.amber), bound)
    return out


def colour(bound: Bound | None, green: float, amber: float) -> str:
    """For a number that should be small: the zone that holds the whole interval, else grey."""
    if bound is None or bound.estimate != bound.estimate:
        return "grey"
    if bound.lower > amber:
        return "red"
    if bound.upper <= green:
        return "green"
    return "amber" if bound.lower > green and bound.upper <= amber else "grey"


def _far_enough(bound: Bound | None, amber: float, red: float) -> str:
    """For a jump that should be large: red when surely inside the near threshold."""
    return "grey" if bound is None else colour(_negated(bound), -amber, -red)


def _negated(bound: Bound) -> Bound:
    return Bound(-bound.estimate, -bound.upper, -bound.lower)


def _of_fund(bound: Bound | None, fund: float) -> Bound | None:
    """In units of the fund; where there is none, any loss is infinitely many funds."""
    if bound is None or fund > 0:
        return bound and bound.over(fund)
    return Bound(*(float("inf") if v > 0 else v for v in (bound.estimate, bound.lower, bound.upper)))


def _fund(venue: VenueInfo, need99: Bound | None, need999: Bound | None) -> Verdict:
    """Fund over required fund: the cell shows 99 %, the colour looks at 99.9 % first."""
    if need99 is None:
        return Verdict("fund_over_required", "grey", None)
    over = lambda need: float("inf") if need <= 0 else venue.fund / need if need == need else NAN
    bound = Bound(over(need99.estimate), over(need99.upper), over(need99.lower))
    text = ""
    if need999 is not None:
        text = f"99.9 %: {fmt.ratio(over(need999.estimate))}"
        if over(need999.upper) >= 1:
            return Verdict("fund_over_required", "green", bound, text)
    judged = "amber" if bound.lower >= 1 else "red" if bound.upper < 1 else "grey"
    if judged == "amber" and need999 is not None and not need999.lower > venue.fund:
        judged = "grey"
    return Verdict("fund_over_required", judged, bound, text)


def break_even(run: Run, venue: VenueInfo, direction: str) -> Bound | None:
    """The smallest jump in a direction that empties the fund with probability one half, if it was searched."""
    if not run.has("break_even"):
        return None
    data = run.group("break_even")
    if direction not in [str(d) for d in data["direction"].values]:
        return None
    part = data.isel(venue=venue.index).sel(direction=direction)
    return Bound(*(float(part[k]) if k in part else NAN for k in ("estimate", "lower", "upper")))
