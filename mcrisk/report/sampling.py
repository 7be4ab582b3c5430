"""How a run with variance reduction drew its paths, and what its weights leave: a small table, or nothing for a plain run."""

from __future__ import annotations

from mcrisk.report.model import Column, Table
from mcrisk.report.source import Run

NOTE = (
    "Rare paths were drawn more often, or paths more evenly, than by chance; every number of this run counts them by their "
    "weight. Effective paths: how many plain ones carry as much (Kish); of the paths that lost the fund this is what its "
    "probability rests on. Intervals follow from the weights, not from the number of paths. Figures of single paths show a "
    "plain sample: each path kept with probability weight over largest weight. The mean weight is 1 up to noise."
)


def table(run: Run) -> Table | None:
    """Effective number of paths and weights by venue and scenario; None where all paths count alike."""
    metrics = run.group("metrics") if run.has("metrics") else None
    if not run.weighted or metrics is None or "effective_paths" not in metrics:
        return None
    columns = [
        Column("venue"), Column("scenario"), Column("paths", "count"), Column("effective paths", "count"),
        Column("effective paths that lost the fund", "count"), Column("largest weight"),
        Column("mean weight"),
    ]  # fmt: skip
    out = Table("sampling", "How paths were drawn", columns, note=NOTE)
    names = ("effective_paths", "effective_paths_depleted", "largest_weight", "mean_weight")
    values = {name: metrics[name].transpose("venue", "scenario").values for name in names}
    for venue in run.venues:
        for s, scenario in enumerate(run.scenarios):
            found = [float(values[name][venue.index, s]) for name in names]
            counts, weights = found[:2], [f"{value:.3g}" for value in found[2:]]
            out.add(venue.name, scenario, run.n_paths, *(round(count) for count in counts), *weights)
    return out
