"""The answer on top of the report: two sentences, which venue worries and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from mcrisk.report import format as fmt
from mcrisk.report import names
from mcrisk.report.source import Bound, Run, VenueInfo
from mcrisk.report.verdicts import TITLES, Verdict

REACHABLE_BY_FUND = 3.0  # a fund this many times larger is still called a fund question
REACHABLE_SHARE = 0.05  # … as long as it stays below this share of open interest


@dataclass(frozen=True)
class Answer:
    """`worry` and `action` are one sentence each; `lever` is fund, leverage, caps, rules, none or paths."""

    worry: str
    action: str
    venue: str
    scenario: str
    lever: str


def find_answer(run: Run, judged: list[dict[str, Verdict]]) -> Answer:
    """Picks the venue with the most breached limits (ties: the likelier depletion) and says what would help."""
    venue = min(run.venues, key=lambda v: _rank(run, v, judged[v.index]))
    colours = [v.colour for v in judged[venue.index].values()]
    scenario = _worst_scenario(run, venue)
    if "red" not in colours and "amber" not in colours:
        return _calm(run, venue, "grey" in colours, scenario)
    lever, action = _lever(run, venue)
    return Answer(_worry(run, venue, scenario, judged[venue.index]), action, venue.name, run.scenarios[scenario], lever)


def _rank(run: Run, venue: VenueInfo, row: dict[str, Verdict]) -> tuple:
    colours = [v.colour for v in row.values()]
    p = _get(run, venue, run.headline, "p_depleted")
    es = _get(run, venue, run.headline, "es_99")
    size = es.estimate / venue.open_interest if es and es.estimate == es.estimate else 0.0
    return (-colours.count("red"), -colours.count("amber"), -(p.estimate if p else 0.0), -size)


def _get(run: Run, venue: VenueInfo, scenario: int, key: str) -> Bound | None:
    return run.metric(venue.index, scenario, *names.ALIASES[key])


def _worst_scenario(run: Run, venue: VenueInfo) -> int:
    """The scenario, the mixture aside, in which this venue's fund goes most often; ties by the deficit's tail.

    Without a fund or vault how often is how often anybody loses anything: there the tail decides.
    """
    keys = ("es_99", "p_depleted") if venue.cushion == "none" else ("p_depleted", "es_99")

    def size(s: int) -> tuple[float, float]:
        found = [_get(run, venue, s, key) for key in keys]
        return tuple(b.estimate if b and b.estimate == b.estimate else -1.0 for b in found)

    pure = [s for s in range(len(run.scenarios)) if s != run.headline] or [run.headline]
    return max(pure, key=size)


def _stands_out(run: Run, venue: VenueInfo, scenario: int) -> bool:
    """Is the worst scenario's tail above every other's by more than its interval? The mixture aside."""
    worst = _get(run, venue, scenario, "es_99")
    others = [_get(run, venue, s, "es_99") for s in range(len(run.scenarios)) if s not in (scenario, run.headline)]
    known = [b.estimate for b in others if b and fmt.known(b.estimate)]
    return bool(worst and fmt.known(worst.lower)) and all(estimate < worst.lower for estimate in known)


def _worry(run: Run, venue: VenueInfo, scenario: int, row: dict[str, Verdict]) -> str:
    """Which venue, how likely, in which scenario."""
    es = _get(run, venue, scenario, "es_99")
    tail = ""
    if es and fmt.known(es.estimate):
        tail = (
            f", where the worst 1{fmt.NARROW}% of paths lose "
            f"{fmt.percent(es.estimate / venue.open_interest)} of open interest beyond collateral"
        )
    name = names.spoken(run.scenarios[scenario])
    if not venue.fund > 0:
        adl = _get(run, venue, run.headline, "p_adl")
        often = f" (on {fmt.percent(adl.estimate)} of paths)" if adl and fmt.known(adl.estimate) else ""
        only = (
            f", only a backstop of {fmt.percent(venue.backstop / venue.open_interest)} of open interest"
            if venue.backstop > 0
            else ""
        )
        hardest = f"{name} hits it hardest{tail}"
        if not _stands_out(run, venue, scenario):
            hardest = "its scenarios hardly differ" + (f": under {name}{tail.removeprefix(', where')}" if tail else "")
        return f"{venue.name} worries most: it has no insurance fund{only}, so losses go to the winners by ADL{often}; {hardest}."
    p, p_worst = (_get(run, venue, s, "p_depleted") for s in (run.headline, scenario))
    if p is None or not fmt.known(p.estimate):
        return f"{venue.name} worries most, above all under {name}{tail}."
    if p.estimate == 0 and not (p_worst and p_worst.estimate > 0):
        over = [TITLES[key][0] for key, found in row.items() if found.colour in ("red", "amber")]
        return (
            f"{venue.name} worries most: {fmt.join(over[:3])} {'is' if len(over) == 1 else 'are'} beyond the limit, although "
            f"its fund runs dry on none of {fmt.count(run.n_paths)} paths{tail}."
        )
    told = scenario != run.headline and p_worst and fmt.known(p_worst.estimate)
    worst = f" and {fmt.percent(p_worst.estimate)} under {name}" if told else ""
    return (
        f"{venue.name} worries most: its insurance fund runs dry with probability {fmt.percent(p.estimate)} "
        f"in {horizon(run)}{worst}{tail}."
    )


def horizon(run: Run) -> str:
    """The simulated time as people say it."""
    horizon = run.config.get("horizon") or (run.config.get("grid") or {}).get("horizon")
    return f"{horizon / 86400:.0f} days" if fmt.known(horizon) and horizon >= 86400 else "the horizon"


def _lever(run: Run, venue: VenueInfo) -> tuple[str, str]:
    """Fund or leverage: a fund is the lever only while the required one is near what exists."""
    need = _get(run, venue, run.headline, "required_fund_99")
    shock = _get(run, venue, run.shock, "required_fund_99")
    biggest = max((b.estimate for b in (need, shock) if b and fmt.known(b.estimate)), default=float("nan"))
    if not fmt.known(biggest):
        return "paths", "The required fund is not resolved on this sample: run more paths before sizing anything."
    share, have = biggest / venue.open_interest, venue.fund
    which = run.shock if shock and fmt.known(shock.estimate) and shock.estimate == biggest else run.headline
    where = names.spoken(run.scenarios[which])
    size = f"{fmt.percent(share)} of open interest at 99{fmt.NARROW}% ({where})"
    if have <= 0 or biggest > REACHABLE_BY_FUND * have or share > REACHABLE_SHARE:
        return _beyond_a_fund(run, venue, size)
    if biggest <= have:
        return "rules", (
            f"The fund covers {size}, so what is left to change is who waits: mark band, index delay and ADL "
            f"order, not the fund."
        )
    return (
        "fund",
        f"Raise the fund from {fmt.money(have)} to {fmt.money(biggest)}, {size}; that is within reach of fees, "
        f"so do it before touching leverage.",
    )


def _beyond_a_fund(run: Run, venue: VenueInfo, size: str) -> tuple[str, str]:
    """No fund of a bearable size carries this; the run's own test of low leverage says whether leverage does."""
    against = (
        f"against {fmt.percent(venue.fund / venue.open_interest)} held"
        if venue.fund > 0
        else "on top of its backstop"
        if venue.backstop > 0
        else "where none is held"
    )
    begin = f"A fund would have to be {size} {against}, so the lever is"
    change = low_leverage(run, venue)
    name = names.label("p_fund_depleted", venue.cushion)
    if change is None:
        return "leverage", f"{begin} leverage and open-interest caps, not the fund."
    if change.upper < 0:
        # the difference, not the levels: the test runs on fewer paths than the table beside the sentence
        points = fmt.percent(-change.estimate).rstrip("%").strip()
        return "leverage", (
            f"{begin} leverage and open-interest caps, not the fund: a low-leverage book alone lowers {name} by {points} "
            f"percentage points."
        )
    return "caps", (
        f"{begin} open-interest and position caps, not the fund; a low-leverage book alone does not lower {name} by more "
        f"than noise."
    )


def low_leverage(run: Run, venue: VenueInfo) -> Bound | None:
    """What the low-leverage book changes in P(fund gone), on common paths; None where it was not tested."""
    if not run.has("strip"):
        return None
    data = run.group("strip")
    if "leverage" not in [str(a) for a in data["assumption"].values] or data.attrs.get("metric") != "p_fund_depleted":
        return None
    at = data.isel(venue=venue.index).sel(assumption="leverage", level="low")
    change = Bound(*(float(at[k]) if k in at else float("nan") for k in ("difference", "lower", "upper")))
    return change if fmt.known(change.estimate) and fmt.known(change.upper) else None


def _calm(run: Run, venue: VenueInfo, unresolved: bool, scenario: int) -> Answer:
    if unresolved:
        return Answer(
            f"No limit is breached, but not every limit is resolved on {fmt.count(run.n_paths)} paths; "
            f"{venue.name} comes closest.",
            "Run more paths before relying on the grey lights.",
            venue.name,
            run.scenarios[scenario],
            "paths",
        )
    return Answer(
        f"Every venue stays within its limits; {venue.name} comes closest.",
        "Nothing needs to change now; the assumptions below say what would change that.",
        venue.name,
        run.scenarios[scenario],
        "none",
    )
