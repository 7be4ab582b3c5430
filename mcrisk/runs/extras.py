"""Further cells of a run, all on the draws of the base: the break-even search and the assumption strip.

Source of the assumptions and their ends: shared/defaults.md section 8. Every end is a changed config with the same seed
and scenario names, hence the same world; differences are taken path by path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from mcrisk.config.load import load_model
from mcrisk.config.scenario import FeedModel
from mcrisk.config.venue import CancellationOutcome
from mcrisk.engine.simulate import ForcedJumps
from mcrisk.risk.break_even import break_even, signed
from mcrisk.risk.intervals import NAN, mean
from mcrisk.risk.weighted import Plain, Weighted, estimator, paired_mean
from mcrisk.runs.plan import Variant

HEADLINE, SHOCK = "combined", "valuation_reset"  # varied; jumps are forced in
DOWN = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.36, 0.42, 0.48, 0.54, 0.6, 0.68, 0.76, 0.84, 0.9, 0.95)  # falls
UP = (0.05, 0.1, 0.15, 0.2, 0.25, 0.31, 0.36, 0.42, 0.5, 0.6, 0.75, 1.0, 1.3, 1.7, 2.2, 3.0)
METRIC = "p_fund_depleted"


@dataclass(frozen=True)
class Assumption:
    """One assumption with a low and a high end, each a change of the config; None = the base is that end."""

    name: str
    low: Callable[[Any], Any] | None
    high: Callable[[Any], Any] | None
    text: str
    concerns: Callable[[Any], bool] = lambda venue: True  # the others need not be computed: nothing changes there


def variants(config: Any) -> tuple[Variant, ...]:
    """The further cells `config` asks for; changes that leave a config as it is are left out."""
    venues, names = tuple(v.name for v in config.venues), [s.name for s in config.scenarios]
    found: list[Variant] = []
    if config.break_even:
        where = (SHOCK if SHOCK in names else names[-1],)
        for direction, jumps in (("down", np.log1p(-np.array(DOWN))), ("up", np.log1p(UP))):
            forced = ForcedJumps(tuple(float(j) for j in jumps))
            paths = -(-config.strip_paths // len(jumps)) * len(jumps)  # every size equally often
            found.append(
                Variant(f"break-even {direction}", venues, where, paths, _plain(config), forced, f"forced jumps {direction}")
            )
    if config.assumption_strip:
        where = (HEADLINE if HEADLINE in names else names[-1],)
        paths = min(config.strip_paths, config.paths)
        for item in ASSUMPTIONS:
            for level, change in (("low", item.low), ("high", item.high)):
                changed = change(config) if change else config
                concerned = tuple(v.name for v in config.venues if item.concerns(v))
                if changed != config and concerned:
                    found.append(Variant(f"{item.name} {level}", concerned, where, paths, changed, None, item.text))
    return tuple(found)


def _plain(config: Any) -> Any:
    """The config without variance reduction, or None where it has none: what is forced is not rare."""
    off = type(config.variance_reduction)()
    return None if config.variance_reduction == off else config.model_copy(update={"variance_reduction": off})


def summaries(cells: xr.Dataset, paths: xr.Dataset, config: Any) -> dict[str, xr.Dataset]:
    """/break_even and /strip from the stored variants and, for paired differences, the base paths."""
    names = [str(n) for n in cells["variant"].values]
    groups = {}
    if "break-even down" in names:
        groups["break_even"] = _break_even_table(cells)
    if any(name.endswith((" low", " high")) for name in names):
        groups["strip"] = _strip_table(cells, paths, names)
    return groups


def _depleted(cells: xr.Dataset, variant: str, venue: int) -> np.ndarray | None:
    """Whether the fund was gone, per path of a variant [n]; None where the variant was not run."""
    times = _values(cells, variant, venue, "depletion_time")
    return None if times is None else np.isfinite(times)


def _values(cells: xr.Dataset, variant: str, venue: int, field: str) -> np.ndarray | None:
    """A number per path of a variant [n]; None where the variant was not run."""
    if variant not in cells["variant"].values:
        return None
    part = cells["value"].sel(variant=variant, field=field).isel(venue=venue)
    count = int(cells["paths"].sel(variant=variant))
    rows = part.transpose("scenario", "path").values[:, :count]
    ran = cells["ran"].values[list(cells["variant"].values).index(variant), venue]
    return rows[ran][0] if ran.any() else None


def _break_even_table(cells: xr.Dataset) -> xr.Dataset:
    """estimate, lower, upper (venue, direction): relative jumps, −0.36 = −36 %."""
    table = np.full((cells.sizes["venue"], 2, 3), NAN)
    for v in range(cells.sizes["venue"]):
        for d, (direction, sizes) in enumerate((("down", DOWN), ("up", UP))):
            gone = _depleted(cells, f"break-even {direction}", v)
            hits = [int(gone[k :: len(sizes)].sum()) for k in range(len(sizes))]
            trials = [len(gone[k :: len(sizes)]) for k in range(len(sizes))]
            table[v, d] = signed(break_even(sizes, hits, trials), direction == "down")
    dims = ("venue", "direction")
    return xr.Dataset(
        {name: (dims, table[:, :, k]) for k, name in enumerate(("estimate", "lower", "upper"))},
        {"venue": cells["venue"].values, "direction": ["down", "up"]},
        {"text": "smallest jump at which the fund is gone with probability one half or more"},
    )


def _strip_table(cells: xr.Dataset, paths: xr.Dataset, names: list[str]) -> xr.Dataset:
    """value, difference to the base on the same paths, and its interval (venue, assumption, level)."""
    shown = [a for a in ASSUMPTIONS if f"{a.name} low" in names or f"{a.name} high" in names]
    table = np.full((4, cells.sizes["venue"], len(shown), 2), NAN)
    scenarios = [str(s) for s in paths["scenario"].values]
    where = HEADLINE if HEADLINE in scenarios else scenarios[-1]
    whole = paths.isel(scenario=scenarios.index(where))
    for v in range(cells.sizes["venue"]):
        base = np.isfinite(whole["depletion_time"].isel(venue=v).values)
        of = estimator(whole[["weight"]].isel(venue=v).load()) if "weight" in whole else Plain()
        for k, item in enumerate(shown):
            for j, level in enumerate(("low", "high")):
                gone = _depleted(cells, f"{item.name} {level}", v)
                if gone is None:  # this end is the base, or does not concern the venue
                    table[:, v, k, j] = (of.mean(base.astype(float)).estimate, 0.0, 0.0, 0.0)
                elif isinstance(of, Plain):
                    change = mean(gone.astype(float) - base[: len(gone)])
                    table[:, v, k, j] = (gone.mean(), *change)
                else:
                    table[:, v, k, j] = _weighted_change(cells, f"{item.name} {level}", v, base, of)
    dims = ("venue", "assumption", "level")
    return xr.Dataset(
        {name: (dims, table[i]) for i, name in enumerate(("value", "difference", "lower", "upper"))},
        {"venue": cells["venue"].values, "assumption": [a.name for a in shown], "level": ["low", "high"]},
        {"metric": METRIC, "scenario": where},
    )


def _weighted_change(cells: xr.Dataset, variant: str, venue: int, base: np.ndarray, of: Weighted) -> tuple[float, ...]:
    """Value of a variant and its difference to the base with an interval, each side with its own weights."""
    gone, weight = (_values(cells, variant, venue, field) for field in ("depletion_time", "weight"))
    lost, of = np.isfinite(gone).astype(float), of.first(len(gone))
    changed = Weighted(weight, of.net, of.level)
    return changed.mean(lost).estimate, *paired_mean(lost, base[: len(gone)].astype(float), changed, of)


# ---------------------------------------------------------------------- changes of a config
def _set(model: Any, path: str, value: Any) -> Any:
    """A copy of a frozen model with one field, given by dotted path, changed."""
    head, _, rest = path.partition(".")
    return model.model_copy(update={head: _set(getattr(model, head), rest, value) if rest else value})


def _means(share: float, config: Any) -> Any:
    """Every venue's fund, or the loss its vault bears where it has a vault, set to a share of open interest."""
    changed = tuple(
        _set(v, "backstop.loss_capacity" if v.backstop.enabled else "fund.initial", share) for v in config.venues
    )
    return config.model_copy(update={"venues": changed})


def _venues(path: str, value: Any, config: Any) -> Any:
    return config.model_copy(update={"venues": tuple(_set(v, path, value) for v in config.venues)})


def _scenarios(path: str, value: Any, config: Any) -> Any:
    return config.model_copy(update={"scenarios": tuple(_set(s, path, value) for s in config.scenarios)})


def _books(path: str, value: Any, config: Any) -> Any:
    """Generated books only: one read from a file is what it is."""
    change = lambda book: book if book.file is not None else _set(book, path, value)  # noqa: E731
    tables = {name: change(book) for name, book in config.venue_books.items()}
    return config.model_copy(update={"book": change(config.book), "venue_books": tables})


def _depth(factor: float, config: Any) -> Any:
    """Depth within 1 %, total depth with it as far as a book can be total."""

    def change(model: Any) -> Any:
        total = max(model.total_depth, min(model.depth_1pct * factor, 1.0))
        return model.model_copy(update={"depth_1pct": model.depth_1pct * factor, "total_depth": total})

    tables = {name: change(model) for name, model in config.venue_liquidity.items()}
    whole = change(config.liquidity) if config.liquidity is not None else None
    return config.model_copy(update={"liquidity": whole, "venue_liquidity": tables})


def _feed(name: str, config: Any) -> Any:
    return config.model_copy(update={"feed": load_model(FeedModel, "feeds", name)})


def _cancelled_at(price: str, config: Any) -> Any:
    return _venues("settlement.cancellation", (CancellationOutcome(price=price),), config)


def _median_fall(median: float, config: Any) -> Any:
    """Median of the reset's downward jump, −0.26 = −26 %, for laws that have a mean; others stay."""

    def change(scenario: Any) -> Any:
        law = scenario.reset.down
        return _set(scenario, "reset.down.mean", float(np.log1p(median))) if hasattr(law, "mean") else scenario

    return config.model_copy(update={"scenarios": tuple(map(change, config.scenarios))})


ASSUMPTIONS = (
    Assumption(
        "index recipe", partial(_feed, "continuous"), partial(_feed, "stale"), "continuous / stale valuation feed",
        lambda venue: venue.index_type == "feed_based",
    ),
    Assumption(
        "pass-through", partial(_scenarios, "information.reset.pass_through", 0.0),
        partial(_scenarios, "information.reset.pass_through", 1.0), "0 / 1 of a reset reaches the book at once",
    ),
    Assumption("jump size", partial(_median_fall, -0.26), partial(_median_fall, -0.45), "median fall −26 % / −45 %"),
    Assumption(
        "leverage", partial(_books, "variant", "low"), partial(_books, "variant", "high"), "low / high leverage mix"
    ),
    Assumption("depth", partial(_depth, 0.25), partial(_depth, 4.0), "depth within 1 % ÷ 4 / × 4"),
    Assumption(
        "fund", partial(_means, 0.0), partial(_means, 0.04), "no fund (or vault capacity) / 4 % of OI"
    ),
    Assumption(
        "settlement price", partial(_cancelled_at, "tick"), partial(_cancelled_at, "last_hour_index"),
        "cancellation at the tick / at the last hour's index",
    ),
    Assumption(
        "restrike", partial(_books, "restrike.at_event", False), partial(_books, "restrike.at_event", True),
        "positions stay / are drawn anew at the event",
    ),
)  # fmt: skip
