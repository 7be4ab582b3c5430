"""Any study by its kind, checked as its command would check it."""

from __future__ import annotations

from mcrisk.calibrate.designs import load_comparison
from mcrisk.calibrate.study import Overrides, load_study
from mcrisk.calibrate.world import load_world
from mcrisk.config.study import ReverseStress, Sensitivity


def check(kind: str, reference: str, overrides: Overrides = ()) -> None:
    """Raises InputError for whatever the study's command would refuse before it computes anything."""
    if kind == "calibrations":
        load_study(reference, overrides)
    elif kind == "comparisons":
        load_comparison(reference, overrides)
    else:
        load_world({"reverse-stress": ReverseStress, "sensitivities": Sensitivity}[kind], reference, overrides)
