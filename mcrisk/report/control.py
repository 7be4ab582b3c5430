"""What a control variate gained, by venue and scenario: a small table, or nothing for a run without one."""

from __future__ import annotations

import numpy as np

from mcrisk.report import format as fmt
from mcrisk.report.model import Column, Table
from mcrisk.report.source import Run
from mcrisk.risk.control import best_gain, gain

SHOWN = {
    "p_fund_depleted": "P(fund depleted)", "p_adl": "P(ADL)", "bad_debt_mean": "mean bad debt",
    "fund_loss_mean": "mean fund loss", "liquidated_notional_mean": "mean liquidated notional",
}  # fmt: skip
PAID, UNPAID, LEFT = "paid", "did NOT pay: plain paths are cheaper", "plain number stands: too few losses or differences"
NOTE = (
    "Probabilities and means are corrected by a condensed book of {accounts:,} accounts on {twin:,} paths, {ratio:.3g} times the "
    "run's; quantiles, expected shortfalls, ratios, times, accounts and bands are those of the run's own paths. ρ²: squared "
    "correlation of the two books path by path. Fewer paths: how many times more plain paths would give the same interval. Gain: "
    "the same for processor time, from the median time of the blocks; below 1 the control variate did not pay. At best: with the "
    "best number of twin paths per path, which follows from ρ² and the cost."
)


def table(run: Run) -> Table | None:
    """Correlation, cost and gain of the numbers in `SHOWN`; None in a run without a control variate."""
    if not run.has("control"):
        return None
    found = run.group("control")
    paths, twin = int(found.attrs["paths"]), int(found.attrs["twin_paths"])
    columns = [
        Column("venue"), Column("scenario"), Column("number"), Column("ρ²"), Column("fewer paths"), Column("cost of a twin path"),
        Column("gain"), Column("at best"), Column("control variate"),
    ]  # fmt: skip
    note = NOTE.format(accounts=int(found.attrs["twin_accounts"]), twin=twin, ratio=twin / paths)
    out = Table("control-variate", "What the control variate gained", columns, note=note)
    value, names = found["value"].transpose("venue", "scenario", "metric", "part").values, [str(m) for m in found["metric"].values]
    cost = path_cost(run)
    for venue in run.venues:
        for s, scenario in enumerate(run.scenarios):
            for name, title in SHOWN.items():
                squared, _, fewer, used = value[venue.index, s, names.index(name)]
                out.add(venue.name, scenario, title, *_row(squared, fewer, bool(used), float(cost[venue.index, s]), paths, twin))
    return out


def _row(squared: float, fewer: float, used: bool, cost: float, paths: int, twin: int) -> tuple[str, ...]:
    best, ratio = best_gain(squared, cost) if np.isfinite(cost) else (np.nan, np.nan)
    reached = gain(fewer, paths, twin, cost) if used else np.nan
    verdict = LEFT if not used else "" if not np.isfinite(reached) else PAID if reached >= 1.0 else UNPAID
    at_best = fmt.DASH if not np.isfinite(best) else "no gain" if ratio == 0.0 else f"{best:.2g} at {ratio:.2g} per path"
    shown = lambda v: f"{v:.2g}" if np.isfinite(v) else fmt.DASH  # noqa: E731
    return f"{squared:.2f}", shown(fewer), shown(cost), shown(reached), at_best, verdict


def path_cost(run: Run) -> np.ndarray:
    """[venue, scenario] time of a path of the twin over one of the run: medians over blocks."""
    blocks = run.group("blocks")

    def each(kind: str) -> np.ndarray:
        done = blocks[f"{kind}done"].values
        with np.errstate(invalid="ignore", divide="ignore"):
            seconds = np.where(done > 0, blocks[f"{kind}seconds"].values / done, np.nan)
        return np.nanmedian(seconds, axis=2)

    return each("twin_") / each("")
