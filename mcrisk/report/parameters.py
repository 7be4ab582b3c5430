"""Parameter uncertainty as a table: how much of each number's uncertainty more paths would not remove."""

from __future__ import annotations

from mcrisk.report import names as names_of
from mcrisk.report.model import Column, Table, cell
from mcrisk.report.source import Run

SHOWN = ("p_fund_depleted", "fund_need_mean_of_oi", "p_adl", "winners_haircut_mean")
_EXTRA = {"fund_need_mean_of_oi": "fund needed, mean (of open interest)", "winners_haircut_mean": "winners' haircut, mean"}


def table(run: Run) -> Table:
    """One row per venue, scenario and number that varies; the group /parameters must be there."""
    data = run.group("parameters")
    value = data["value"].transpose("venue", "scenario", "metric", "part")
    shown = [name for name in SHOWN if name in value["metric"].values]
    out = Table(
        "parameters",
        "Parameter uncertainty",
        [Column("venue"), Column("scenario"), Column("number"), Column("over parameter sets", "percent"),
         Column("error from the number of paths", "percent"), Column("spread over parameters", "percent"),
         Column("share of the parameters", "percent"), Column("parameter sets", "count")],
        has_intervals=True,
        note="Paths take parameter sets that the data cannot tell apart. The share is that part of the number's variance "
        "which more paths do not remove; only what was fitted is in it, assumptions are not. Interval over parameter sets: "
        "95 %, from 20 sets on. Intervals elsewhere in this report are for the number of paths alone.",
    )  # fmt: skip
    for venue in run.venues:
        for s, scenario in enumerate(run.scenarios):
            for name in shown:
                found = value[venue.index, s].sel(metric=name)
                part = {str(p): float(found.sel(part=p)) for p in value["part"].values}
                if part["estimate"] != part["estimate"]:
                    continue
                out.add(
                    venue.name, scenario, _EXTRA.get(name) or names_of.label(name, venue.cushion),
                    cell(part["estimate"], "percent", part["lower"], part["upper"], with_range=True),
                    part["within"], part["between"],
                    cell(part["share"], "percent", part["share_lower"], part["share_upper"], with_range=True),
                    int(part["sets"]),
                )  # fmt: skip
    return out
