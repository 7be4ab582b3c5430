"""The three worst paths and a median one, with what happened on them and how to read their ledgers."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from mcrisk.report import figures
from mcrisk.report import format as fmt
from mcrisk.report.model import Cell, Column, Table
from mcrisk.report.source import Run, VenueInfo

WORST = 3
FIELDS = ("bad_debt", "liquidated_notional", "adl_wealth", "unpaid", "event_time", "event_jump",
          "first_liquidation_time", "first_adl_time", "depletion_time")  # fmt: skip


def table(run: Run) -> Table:
    """One block of rows per venue, in the headline scenario."""
    columns = [
        Column("venue"), Column("which"), Column("path", "count"), Column("jump of value", "signed_percent"),
        Column("deficit", "percent", "% of OI"), Column("liquidated", "percent", "% of OI"),
        Column("taken by ADL", "percent", "% of OI"), Column("first liquidation", "seconds", "from the event"),
        Column("first ADL", "seconds", "from the event"),
        Column("fund gone", "seconds", "from the event; no fund: vault gone, or first loss"),
        Column("its ledger"),
    ]  # fmt: skip
    scenario = run.scenarios[run.headline]
    out = Table("drill", f"The three worst paths and a median one, {figures.label(scenario)}", columns)
    for venue in run.venues:
        values = run.cell(venue.index, run.headline, FIELDS)
        for which, path in chosen(values["bad_debt"]):
            out.add(*_row(run, venue, scenario, which, path, {k: float(v[path]) for k, v in values.items()}))
    out.note = (
        "The command in the last column walks the path again and writes its market, ledger and accounts as CSV; "
        "`mcrisk report --ledgers` does so for the venue that worries most and shows them in this page."
    )
    return out


def chosen(deficit: np.ndarray) -> list[tuple[str, int]]:
    """Path numbers: worst first (ties by number), and the one in the middle of the paths that lose anything."""
    loss = np.nan_to_num(deficit, nan=0.0)
    order = np.argsort(-loss, kind="stable")
    found = [
        (("worst", "second", "third")[k], int(order[k])) for k in range(min(WORST, order.size)) if loss[order[k]] > 0
    ]
    losing = order[: int((loss > 0).sum())]
    middle = losing[losing.size // 2] if losing.size else order[order.size // 2]
    return [*found, ("median of those with a loss" if losing.size else "any (none loses)", int(middle))]


def _row(run: Run, venue: VenueInfo, scenario: str, which: str, path: int, v: dict[str, float]) -> list:
    start = v["event_time"] if fmt.known(v["event_time"]) else 0.0
    jump = v["event_jump"]
    command = shlex.join(
        [
            "mcrisk",
            "explain",
            Path(run.path).as_posix(),
            "--venue",
            venue.name,
            "--scenario",
            scenario,
            "--path",
            str(path),
        ]
    )
    return [
        venue.name, which, path,
        Cell(None, "not stored") if not fmt.known(jump) else float(np.expm1(jump)),
        *(v[k] / venue.open_interest for k in ("bad_debt", "liquidated_notional", "adl_wealth")),
        *(v[k] - start for k in ("first_liquidation_time", "first_adl_time", "depletion_time")),
        command,
    ]  # fmt: skip
