"""First-screen tables: traffic lights per venue, and the headline numbers of every venue and scenario."""

from __future__ import annotations

from mcrisk.report import format as fmt
from mcrisk.report import names, verdicts
from mcrisk.report.model import VERDICT_WORDS, Cell, Column, Table, cell
from mcrisk.report.source import Bound, Run, VenueInfo

# (key, column title, printed as, unit, divide by): money goes by one-sided open interest
HEADLINE = (
    ("p_depleted", "P(fund gone)", "percent", "", ""),
    ("required_fund_99", "required fund 99 %", "percent", "% of OI", "open_interest"),
    ("required_fund_999", "required fund 99.9 %", "percent", "% of OI", "open_interest"),
    ("es_99", "deficit ES 99 %", "percent", "% of OI", "open_interest"),
    ("liquidated_notional_mean", "liquidated, mean", "percent", "% of OI", "open_interest"),
    ("p_adl", "P(ADL)", "percent", "", ""),
    ("adl_wealth_mean", "taken by ADL, mean", "percent", "% of OI", "open_interest"),
    ("winners_haircut_es99", "winners' haircut ES 99 %", "percent", "", ""),
    ("latent_deficit_99", "latent deficit 99 %", "percent", "% of OI", "open_interest"),
    ("mark_index_gap_99", "mark–index gap 99 %", "percent", "", ""),
    ("unpaid_mean", "unpaid, mean", "percent", "% of OI", "open_interest"),
)
# limits that mean nothing without a fund
OVER_FUND = ("fund_over_required", "latent_deficit_p99", "cover_two")
EXACT = ("cover_two",)  # computed from the book, not sampled: no interval


def verdict_table(run: Run, judged: list[dict[str, verdicts.Verdict]]) -> Table:
    """Venue × limit with the number, its interval and a word beside the colour."""
    columns = [Column("venue")]
    columns += [Column(t, kind, verdicts.UNITS.get(key, ""), note=key) for key, (t, kind) in verdicts.TITLES.items()]
    table = Table("limits", "Venues against the limits", columns, has_intervals=True)
    for venue, row in zip(run.venues, judged):
        table.add(venue.name, *(_verdict_cell(row[key], kind, venue) for key, (_, kind) in verdicts.TITLES.items()))
    table.note = (
        f"Scenario {run.scenarios[run.headline]}, {fmt.count(run.n_paths)} paths. A light is judged at the end of "
        "the 95 % interval that hurts; an interval across a limit is grey, never green."
    )
    return table


def _verdict_cell(found: verdicts.Verdict, kind: str, venue: VenueInfo) -> Cell:
    if found.interval is None:
        return Cell(None, "not computed", verdict="grey")
    b = found.interval
    if found.limit in OVER_FUND and not venue.fund > 0:
        return Cell(b.estimate, "no fund", verdict=found.colour)
    means = _means(found.limit, venue)
    item = cell(b.estimate, kind, b.lower, b.upper, with_range=found.limit not in EXACT, verdict=found.colour,
                meaning=means)  # fmt: skip
    if not found.text:
        return item
    text = "far" if found.text.startswith("beyond") else item.text
    told = fmt.clean(found.text).replace("%", f"{fmt.NARROW}%") if found.limit == "unpaid_after_adl" else fmt.clean(found.text)
    # one unpaid path decides the last light, not the interval of a mean that is mostly zero
    parts = (told,) if found.limit == "unpaid_after_adl" else (item.range_text, told)
    return Cell(
        item.value,
        text,
        item.lower,
        item.upper,
        "; ".join(t for t in parts if t),
        item.verdict,
        meaning=means,
    )


def _means(limit: str, venue: VenueInfo) -> str:
    """A venue without a fund is judged on what it has; its cells say on what."""
    if limit in ("break_even_down", "break_even_up") and venue.cushion != "fund":
        return "no fund: vault gone" if venue.cushion == "vault" else "no fund: first loss"
    return names.meaning(limit, venue.cushion)


def limit_rules(run: Run) -> Table:
    """What each light means."""
    table = Table("limit-rules", "What the lights mean", [Column("limit"), Column("rule")])
    for key, text in verdicts.rules(verdicts.limits_of(run)).items():
        table.add(verdicts.TITLES[key][0], text)
    return table


def verdict_counts(judged: list[dict[str, verdicts.Verdict]]) -> dict[str, int]:
    """How many lights of each colour, over all venues."""
    colours = [v.colour for row in judged for v in row.values()]
    return {key: colours.count(key) for key in VERDICT_WORDS}


def scaled(run: Run, venue: VenueInfo, scenario: int, key: str, by: str) -> Bound | None:
    """A metric as the headline prints it: money over one-sided open interest."""
    found = run.metric(venue.index, scenario, *names.ALIASES[key])
    return found.over(venue.open_interest) if found is not None and by else found


def headline_table(run: Run) -> Table:
    """Venue × scenario with intervals; columns the store lacks are left out."""
    present = [h for h in HEADLINE if any(n in run.metric_names for n in names.ALIASES[h[0]])]
    columns = [Column("venue"), Column("scenario")] + [Column(t, kind, unit) for _, t, kind, unit, _ in present]
    table = Table("headline", "Every venue, every scenario", columns, has_intervals=True)
    for venue in run.venues:
        for s, scenario in enumerate(run.scenarios):
            row = []
            for key, _, kind, _, by in present:
                b = scaled(run, venue, s, key, by)
                means = names.meaning(names.ALIASES[key][0], venue.cushion)
                row.append(cell(b.estimate, kind, b.lower, b.upper, with_range=True, meaning=means))
            table.add(venue.name, Cell(scenario, names.spoken(scenario)), *row)
    return table


def metrics_table(run: Run) -> Table:
    """All stored metrics in their own units, as they are in /metrics."""
    columns = [
        Column("venue"),
        Column("scenario"),
        Column("metric"),
        *(Column(b, "number") for b in ("estimate", "lower", "upper")),
        Column("meaning", note="where the metric's name would mislead"),
    ]
    table = Table("metrics", "All stored metrics (quote currency, probabilities, shares)", columns)
    for venue in run.venues:
        for s, scenario in enumerate(run.scenarios):
            for name in run.metric_names:
                b = run.metric(venue.index, s, name)
                means = names.meaning(name, venue.cushion)
                table.add(venue.name, scenario, name, b.estimate, b.lower, b.upper, means)
    return table
