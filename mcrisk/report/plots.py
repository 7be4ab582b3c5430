"""The report's figures for slides and notebooks: matplotlib axes, from the same summaries as the page.

`RunResult.plot.exceedance()` and friends; `save_figures` writes all of them as SVG and PNG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from mcrisk.errors import InputError
from mcrisk.report import account_map, clock, figures, names
from mcrisk.report.cells import BINS, GRID, PAYERS, summarise
from mcrisk.report.cells import USED as CELL_FIELDS
from mcrisk.report.convergence import SHOWN as HEADLINE
from mcrisk.report.convergence import _sizes as halves
from mcrisk.report.source import Run, VenueInfo
from mcrisk.risk.differences import MEASURES, VARIABLES, estimate
from mcrisk.risk.weighted import estimator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7f00", "#1b2025")  # Okabe and Ito
DASHES = ("-", "--", "-.", ":")
KINDS = ("svg", "png")


class Plots:
    """Figures of one run. Every method takes `ax` (default: a new one) and returns it.

    `venue` and `scenario` are names; defaults are the first venue and the scenario the report shows there. Raises
    InputError for an unknown name, or when the store lacks the data.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @classmethod
    def of(cls, tree: xr.DataTree, path: str | Path = "") -> Plots:
        """From an opened store."""
        return cls(Run(tree, str(path)))

    def __dir__(self) -> list[str]:
        return ["exceedance", "histogram", "who_pays", "fan", "clock", "account_map", "convergence"]

    def exceedance(self, venue: str | None = None, ax: Axes | None = None) -> Axes:
        """P(deficit > x % of open interest), a line per scenario with its 95 % band."""
        info, ax = self._venue(venue), _axes(ax)
        for k, scenario in enumerate(self.run.scenarios):
            values = self._cell(info, k).exceed
            shown = np.where(values > 0, values, np.nan)
            ax.plot(100 * GRID, shown[:, 0], **_style(k), label=figures.label(scenario))
            ax.fill_between(100 * GRID, shown[:, 1], shown[:, 2], color=COLOURS[k % 8], alpha=0.12, lw=0)
        for share, text in ((info.fund, "fund"), (info.fund + info.backstop, "fund + backstop")):
            if share > 0 and (text == "fund" or info.backstop > 0):
                ax.axvline(100 * share / info.open_interest, color="0.4", lw=1, ls=":")
                ax.text(100 * share / info.open_interest, 1.0, f" {text}", fontsize=7, va="bottom", color="0.3")
        ax.set(xscale="log", yscale="log", xlabel="deficit, % of one-sided open interest", ylabel="probability of more")
        ax.legend(fontsize=7)
        return _dress(ax, info.name)

    def histogram(self, venue: str | None = None, scenario: str | None = None, ax: Axes | None = None) -> Axes:
        """Share of paths per size of the deficit."""
        info, s, ax = self._venue(venue), self._scenario(scenario, self.run.headline), _axes(ax)
        shares = self._cell(info, s).histogram
        labels = ["none", *(f"≤{100 * edge:g}" for edge in BINS[1:]), f">{100 * BINS[-1]:g}"]
        ax.bar(labels, 100 * shares, color=COLOURS[0])
        ax.set(yscale="log", xlabel="deficit, % of one-sided open interest", ylabel="% of paths")
        return _dress(ax, self._title(info, s))

    def who_pays(self, venue: str | None = None, scenario: str | None = None, ax: Axes | None = None) -> Axes:
        """Mean payment of each layer on the worst 1 % of paths, % of open interest; the traders' own losses apart."""
        info, s, ax = self._venue(venue), self._scenario(scenario, self.run.headline), _axes(ax)
        tail = self._cell(info, s).payers_tail
        labels, sizes = zip(*((text, 100 * np.nan_to_num(tail[key])) for key, text in PAYERS if key != "traders_loss"))
        starts = np.r_[0.0, np.cumsum(sizes)[:-1]]
        ax.barh(labels, sizes, left=starts, color=COLOURS[: len(labels)])
        for y, (start, size) in enumerate(zip(starts, sizes)):
            ax.text(start + size, y, f" {size if size > 1e-6 else 0:.2g}", va="center", fontsize=7)
        ax.invert_yaxis()
        ax.set(xlabel="% of one-sided open interest, worst 1 % of paths")
        ax.set_xlim(right=max(1.1 * sum(sizes), 1e-6))  # room for the numbers
        return _dress(ax, self._title(info, s))

    def fan(self, venue: str | None = None, scenario: str | None = None, ax: Axes | None = None) -> Axes:
        """last, index and mark around the event: medians, and the outer quantiles as bands."""
        info, s, ax = self._venue(venue), self._scenario(scenario, self.run.shock), _axes(ax)
        self._need("bands", "bands around the event")
        data = self.run.group("bands")
        time, quantiles = data["time"].values.astype(float), data["quantile"].values
        low, middle, high = figures.quantile_positions(quantiles)
        series = figures.band_series(self.run, info, s)
        if not series:
            raise InputError(
                f"{self.run.scenarios[s]} has no event at {info.name}", None, None, "name another scenario"
            )
        for k, (key, values) in enumerate(series.items()):
            ax.plot(time, values[:, middle], **_style(k), label=key)
            ax.fill_between(time, values[:, low], values[:, high], color=COLOURS[k], alpha=0.15, lw=0)
        ax.axvline(0, color="0.4", lw=1, ls=":")
        ax.set_xscale("symlog", linthresh=60)
        ax.set(xlabel="time from the event", ylabel="price over the one just before")
        ax.legend(fontsize=7)
        return _dress(ax, self._title(info, s), clock=True)

    def clock(self, venue: str | None = None, scenario: str | None = None, ax: Axes | None = None) -> Axes:
        """Share of paths on which liquidation, ADL and the end of the fund have begun, by time from the event."""
        info, ax = self._venue(venue), _axes(ax)
        shares = clock._shares(self.run, info.index, [name for name, _, _ in clock.STEPS])
        if shares is None:
            raise InputError(f"no path of {self.run.scenarios[self.run.shock]} has an event at {info.name}", None)
        for k, (name, text, _) in enumerate(clock.STEPS):
            ax.plot(clock.GRID, 100 * shares[name][:, 0], **_style(k), label=text)
            ax.fill_between(clock.GRID, *(100 * shares[name][:, 1:].T), color=COLOURS[k], alpha=0.15, lw=0)
        ax.set_xscale("symlog", linthresh=60)
        ax.set(xlabel="time from the event", ylabel="% of paths so far")
        ax.legend(fontsize=7)
        return _dress(ax, self._title(info, self.run.shock), clock=True)

    def account_map(self, venue: str | None = None, what: str = "p_liquidated", ax: Axes | None = None) -> Axes:
        """Mean share of paths on which accounts of a leverage and size are liquidated, or `p_deleveraged`."""
        info, ax = self._venue(venue), _axes(ax)
        self._need("accounts", "results per account")
        part = self.run.group("accounts").isel(scenario=self.run.headline, venue=info.index)
        missing = {"leverage", "notional", what} - set(part.variables)
        if missing:
            raise InputError(f"the store has no {', '.join(sorted(missing))} per account", self.run.path)
        counts, (shares,) = account_map._binned(part.load(), [what])
        image = ax.imshow(np.where(counts > 0, 100 * shares, np.nan), origin="lower", aspect="auto", cmap="cividis",
                          vmin=0, vmax=100)  # fmt: skip
        ax.set_xticks(range(len(account_map.LEVERAGE_NAMES)), account_map.LEVERAGE_NAMES)
        ax.set_yticks(range(len(account_map.SIZE_NAMES)), account_map.SIZE_NAMES)
        ax.figure.colorbar(image, ax=ax, label="% of paths")
        ax.set(xlabel="leverage", ylabel="notional, quote")
        return _dress(ax, f"{info.name}: {what.removeprefix('p_')}")

    def convergence(self, venue: str | None = None, ax: Axes | None = None) -> Axes:
        """Headline numbers over the number of paths, with 95 % bands."""
        info, ax = self._venue(venue), _axes(ax)
        shown = [n for n in VARIABLES if n in self.run.paths]
        cell = self.run.paths[shown].isel(venue=info.index, scenario=self.run.headline).load()
        sizes, of = halves(self.run.n_paths) or [self.run.n_paths], estimator(cell)
        for k, measure in enumerate(m for m in MEASURES if m.name in HEADLINE):
            values = measure.of(cell) / (info.open_interest if measure.money else 1.0)
            found = 100 * np.array([estimate(measure, values[:n], of=of.first(n)) for n in sizes])
            ax.plot(sizes, found[:, 0], **_style(k), marker="o", ms=3, label=names.label(measure.name, info.cushion))
            ax.fill_between(sizes, found[:, 1], found[:, 2], color=COLOURS[k], alpha=0.15, lw=0)
        ax.set(xscale="log", xlabel="paths", ylabel="%, money as a share of open interest")
        ax.legend(fontsize=7)
        _dress(ax, self._title(info, self.run.headline))
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize=8)
        ax.set_xticks([], minor=True)
        return ax

    # ------------------------------------------------------------------ choosing
    def _venue(self, name: str | None) -> VenueInfo:
        found = next((v for v in self.run.venues if name in (None, v.name)), None)
        if found is None:
            raise InputError(f"the run has no venue '{name}'", self.run.path,
                             f"it has {', '.join(v.name for v in self.run.venues)}", None)  # fmt: skip
        return found

    def _scenario(self, name: str | None, default: int) -> int:
        if name is None:
            return default
        if name not in self.run.scenarios:
            raise InputError(
                f"the run has no scenario '{name}'", self.run.path, f"it has {', '.join(self.run.scenarios)}"
            )
        return self.run.scenarios.index(name)

    def _need(self, group: str, what: str) -> None:
        if not self.run.has(group):
            raise InputError(f"{what} were not stored", self.run.path, f"/{group} is missing", None)

    def _cell(self, info: VenueInfo, scenario: int) -> Any:
        return summarise(self.run.sample(info.index, scenario, CELL_FIELDS), info.open_interest)

    def _title(self, info: VenueInfo, scenario: int) -> str:
        return f"{info.name}, {figures.label(self.run.scenarios[scenario])}"


def _axes(ax: Axes | None) -> Axes:
    """The given axes, or new ones: pyplot's, so that a notebook shows them."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, made = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    return made


def _dress(ax: Axes, title: str, clock: bool = False) -> Axes:
    """Plain numbers on log axes, spoken times on a clock, a title in which `$` is a character."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ax.set_title(title, parse_math=False)
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    if clock:
        low, high = ax.get_xlim()
        ticks = {-86400: "−1 d", -3600: "−1 h", 0: "0", 600: "10 min", 3600: "1 h", 21600: "6 h", 86400: "1 d",
                 604800: "7 d"}  # fmt: skip
        shown = {t: text for t, text in ticks.items() if low <= t <= high}
        ax.set_xticks(list(shown), list(shown.values()), fontsize=8)
        ax.set_xticks([], minor=True)
    return ax


def _style(k: int) -> dict[str, Any]:
    return {"color": COLOURS[k % 8], "ls": DASHES[k // 2 % 4], "lw": 1.6}


def save_figures(run: Run, folder: str | Path, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Every figure of every venue as `NAME-VENUE.svg` and `.png`; those the store has no data for are left out."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return [file for venue in run.venues for file in _of_venue(Plots(run), venue.index, venue.name, place, kinds)]


def _of_venue(plots: Plots, index: int, name: str, place: Path, kinds: Sequence[str]) -> Iterator[Path]:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)[:60]
    for method in dir(plots):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        # a fixed salt: the same store gives the same bytes
        with matplotlib.rc_context({"svg.hashsalt": "mcrisk", "svg.fonttype": "none"}):
            try:
                getattr(plots, method)(venue=name, ax=figure.add_subplot())
            except InputError:
                continue
            for kind in kinds:
                file = place / f"{method.replace('_', '-')}-{index + 1}-{safe}.{kind}"
                figure.savefig(file, dpi=160, metadata={"Date": None} if kind == "svg" else None)
                yield file
