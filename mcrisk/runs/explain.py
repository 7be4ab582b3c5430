"""`mcrisk.explain(run, venue, scenario, path)`: from a number in a store down to the ledger behind it.

A path is a number: it is walked again with the run's own config, lane size and place in its lane group, and what comes
out is compared with the row of /paths before anything is told. Backend jax must agree bit for bit; a run of another
backend is walked with jax and must agree within the contract between backends (same counts, money to 1e-6 of Σ initial
collateral).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mcrisk.errors import InputError, RunFailed
from mcrisk.replay.result import ReplayResult
from mcrisk.runs import fingerprint
from mcrisk.runs.result import RunResult, open_run

PARTED = "walks it differently"  # in an agreement that is none
EFFORT = ("account_stages",)  # how often a backend looked at accounts: its own business, not what happened
MONEY = 1e-6  # of Σ initial collateral: how far backends may differ


@dataclass(frozen=True)
class Explanation:
    """A path told: the replay tables, the story as lines of text, and how it compares with the stored row."""

    venue: str
    scenario: str
    path: int
    account: str | None
    result: ReplayResult
    story: tuple[str, ...]
    figure: str  # SVG
    agreement: str  # "bit for bit", or "within the contract between backends"
    numbers: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str | Path) -> list[Path]:
        """market.csv, ledger.csv, accounts.csv, summary.json, story.txt and figure.svg. Raises InputError."""
        from mcrisk.replay.write import write_replay

        files = write_replay(self.result, folder)
        story, figure = Path(folder) / "story.txt", Path(folder) / "figure.svg"
        story.write_text("\n".join(self.story) + "\n", encoding="utf-8")
        figure.write_text(self.figure, encoding="utf-8")
        return [*files, story, figure]


def explain(run: RunResult | str | Path, venue: str, scenario: str, path: int, account: str | None = None, *,
            market: str | None = None, out: str | Path | None = None, allow_difference: bool = False) -> Explanation:
    """Walk a stored path again and tell what happened.

    Args:
        run: a store, or an opened run.
        venue, scenario, path: the cell and the path's number in /paths.
        account: an account_id of the venue's book; its life is told, too.
        market: name of the market shown where the run has several; default the first.
        out: folder for the files; None writes nothing.
        allow_difference: tell the path although jax walks it differently than the backend that computed the run, provided
            that this backend, asked again, confirms the stored row bit for bit; `agreement` then says what differs.

    Raises:
        InputError: no such run, venue, scenario, path, account or market.
        RunFailed: the path does not come out as it is stored (another version of mcrisk, jax or processor; or a path on
            which rounding decides between accounts, where backends part).
    """
    prepare_jax()
    from mcrisk.config import draws
    from mcrisk.config.load import load_config
    from mcrisk.engine.parameter_sets import simulator_of
    from mcrisk.engine.simulate import prepare, simulator

    stored = run if isinstance(run, RunResult) else open_run(run)
    row = _stored_row(stored, venue, scenario, path)
    config = load_config(stored.config)
    task = prepare(config, venue, scenario)
    sim = simulator_of(task, path) if draws.in_use(config) else simulator(task)
    names = [m.name for m in config.markets]
    m = _one_of(names, market, "market") if market is not None else 0
    ids = tuple(map(str, sim.book.account_id))
    number = _one_of(ids, account, "account") if account is not None else None
    from mcrisk.replay.trace import walk

    trace = walk(sim, path, m, exact=_made_by(stored) == "jax")
    agreement = _compare(stored, sim, row, trace.numbers, path, allow_difference)
    return _told(config, stored, sim, trace, agreement, (venue, scenario, path), m, number, ids, out)


def _told(config: Any, stored: RunResult, sim: Any, trace: Any, agreement: str, cell: tuple[str, str, int], market: int,
          number: int | None, ids: tuple[str, ...], out: str | Path | None) -> Explanation:
    from mcrisk.replay import figure, retell, story

    venue, scenario, path = cell
    profile = next(v for v in config.venues if v.name == venue)
    account = ids[number] if number is not None else None
    result = retell.retell(trace, profile, ids, market)
    facts = {"run": str(stored.path), "venue": venue, "scenario": scenario, "path": path, "agreement": agreement,
             "market": config.markets[market].name, "notes": list(NOTES)}
    result = ReplayResult(result.market, result.ledger, result.accounts, facts | result.summary)
    title = f"{profile.title}: {scenario}, path {path}" + (f", account {account}" if account else "")
    lines = [title, f"walked again from its number; the row of /paths agrees {agreement}", "",
             *story.path_story(trace, result, market)]
    if number is not None:
        lines += ["", *story.account_story(trace, result, profile, number, account, market)]
    drawing = figure.draw(trace, result, profile, title, number, account or "", market)
    told = Explanation(venue, scenario, path, account, result, tuple(lines), drawing, agreement, dict(trace.numbers))
    if out is not None:
        told.write(out)
    return told


NOTES = (
    "funding of rows in which no account needed a look is settled later: one funding entry may cover several payments",
    "restrike: the book drawn anew in units of the mark; deposit: a margin call answered; both count in realized_pnl",
)


def prepare_jax() -> None:
    """The settings of a worker, where jax is not loaded yet; compiled steps are kept in the same folder."""
    import sys

    from mcrisk.runs.worker import environment

    if "jax" not in sys.modules:
        for name, value in environment().items():
            os.environ.setdefault(name, value)
    import jax

    folder = environment().get("JAX_COMPILATION_CACHE_DIR")
    if folder and jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    jax.config.update("jax_enable_x64", True)


def _made_by(stored: RunResult) -> str:
    """The backend that computed a run."""
    return str(dict(stored.tree.attrs.get("identity", {})).get("backend", "jax"))


def _one_of(names: Any, wanted: str, what: str) -> int:
    from mcrisk.config.catalog import suggest

    names = list(names)
    if wanted in names:
        return names.index(wanted)
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    raise InputError(f"unknown {what} '{wanted}'", f"--{what} {wanted}", f"there are: {shown}",
                     suggest(wanted, names[:5000]))


def _stored_row(stored: RunResult, venue: str, scenario: str, path: int) -> dict[str, Any]:
    """The path's numbers in the store. Raises InputError when there is no such cell or the path is not computed yet."""
    data = stored.tree["paths"].to_dataset()
    v = _one_of(map(str, data["venue"].values), venue, "venue")
    s = _one_of(map(str, data["scenario"].values), scenario, "scenario")
    size = int(stored.tree.attrs["block_paths"])
    if not 0 <= path < data.sizes["path"]:
        raise InputError(f"there is no path {path}", f"--path {path}",
                         f"the run has paths 0 to {data.sizes['path'] - 1}", "give one of these")
    if not int(stored.tree["blocks"]["done"].values[v, s, path // size]):
        raise InputError(f"path {path} is not computed yet", f"--path {path}", "the run is unfinished",
                         "repeat the same `mcrisk run` command first")
    cell = data.isel(venue=v, scenario=s, path=path)
    return {str(name): cell[name].values[()] for name in cell.data_vars}


def _compare(stored: RunResult, sim: Any, row: dict[str, Any], numbers: dict[str, Any], path: int, lenient: bool) -> str:
    """How the walked path agrees with the stored row. Raises RunFailed where it does not.

    Across backends a lenient caller gets a path on which they part, if the run's own backend confirms the stored row.
    """
    made_by = _made_by(stored)
    if made_by == "jax":
        _refuse(stored, path, _differences(row, numbers, None), made_by)
        return "bit for bit"
    scale = float(np.sum(np.abs(np.asarray(sim.cell.ref.collateral))))
    wrong = _differences(row, numbers, scale)
    can_ask = getattr(sim, "backend", "jax") == made_by
    if not (lenient and can_ask):
        _refuse(stored, path, wrong, made_by)
    told = f"within the contract between {made_by} and jax, which tells the story"
    if wrong:
        told = f"jax, which tells the story, {PARTED}: {'; '.join(wrong[:4])}"
    if not can_ask:
        return told
    again = {name: values[0] for name, values in sim.block(path, 1).paths.items()}  # the run's own executable, this path alone
    _refuse(stored, path, _differences(row, again, None), made_by)
    return f"bit for bit when {made_by} computes it again, and {told}"


def _differences(row: dict[str, Any], numbers: dict[str, Any], scale: float | None) -> list[str]:
    """One text per number that is not what is stored; `scale` None: every bit counts."""
    wrong = []
    for name, was in row.items():
        if name in EFFORT and scale is not None:
            continue
        now = np.asarray(numbers[name]).astype(was.dtype)[()] if name in numbers else None
        if now is None:
            wrong.append(f"{name}: not computed any more")
        elif not _same(was, now, scale):
            wrong.append(f"{name}: stored {was:.9g}, walked {now:.9g}")
    return wrong


def _refuse(stored: RunResult, path: int, wrong: list[str], backend: str) -> None:
    if not wrong:
        return
    now = fingerprint.identity({}, backend)
    there = dict(stored.tree.attrs.get("identity", {}))
    changes = fingerprint.differences({k: there.get(k) for k in now if k != "config"},
                                      {k: v for k, v in now.items() if k != "config"})
    raise RunFailed(
        f"path {path} does not come out as it is stored", str(stored.path), "; ".join(wrong[:4]),
        f"use what made the run: {'; '.join(changes)}" if changes else
        "backends may part where rounding decides between accounts: --allow-difference tells jax's version beside the stored "
        "numbers" if backend != "jax" else "this is a fault of mcrisk; please report it",
    )  # fmt: skip


def _same(was: Any, now: Any, scale: float | None) -> bool:
    if scale is None or was.dtype.kind != "f":
        return bool(np.array_equal(was, now, equal_nan=True))
    if np.isnan(was) or np.isnan(now):
        return bool(np.isnan(was) == np.isnan(now))
    return bool(abs(was - now) <= MONEY * max(scale, abs(was)))
