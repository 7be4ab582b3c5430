"""The page over a results folder: runs with links, headline numbers over time with their intervals. Static files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from mcrisk.errors import InputError
from mcrisk.report import charts, charts_more, names, render
from mcrisk.report import format as fmt
from mcrisk.report.folder import SHOWN, Entry, entries, known, remote_entries
from mcrisk.report.model import Cell, Column, Figure, Panel, Section, Table, cell

MOST = 200  # runs of a series in a trend, newest kept


def index(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write `index.html` into a results folder (of a URL: into `out`, default the working folder) and return it.

    Raises InputError when the folder does not exist, cannot be read or written, or holds no run.
    """
    if "://" in str(folder):
        found = remote_entries(str(folder))
        if not found:
            raise InputError("no run was found", str(folder), "runs are .zarr folders", "see `mcrisk run --out`")
        target = Path(out if out is not None else ".")
        target.mkdir(parents=True, exist_ok=True)
        return _write(target, to_html(str(folder), found))
    place = Path(folder)
    if not place.is_dir():
        raise InputError("there is no such folder", str(place), "results are folders of .zarr stores", None)
    found = entries(place)
    if not found:
        raise InputError("no run was found", str(place), "runs are .zarr folders", "see `mcrisk run --out`")
    return _write(place, to_html(place.resolve().name, found))


def _write(place: Path, text: str) -> Path:
    try:
        return render.write(place / "index.html", text)
    except OSError as error:
        raise InputError("the index cannot be written", str(place), error.strerror, None) from error


def to_html(name: str, found: list[Entry]) -> str:
    """The finished page over the runs of a place called `name`."""
    by_series: dict[str, list[Entry]] = {}
    for entry in found:
        by_series.setdefault(entry.series, []).append(entry)
    sections = [_runs(found)]
    for k, (series, some) in enumerate(by_series.items()):
        if len([e for e in some if e.metrics]) > 1:
            sections.append(_trend(series, some[-MOST:], k))
    latest = found[-1]
    lead = f"{len(found)} run{'s' * (len(found) > 1)}, the latest of {latest.made:%Y-%m-%d %H:%M} UTC ({latest.name})."
    venue = _worst(latest)
    chance = latest.metrics.get(venue, {}).get(SHOWN[0])
    if chance is not None and known(chance):
        number = names.label(SHOWN[0], latest.cushions.get(venue, "fund"))
        lead += f" Most at risk there: {venue}, {number} {fmt.percent(chance[0])}."
    title = f"Results in {fmt.clean(name)}"
    return render.html("leaf.html.j2", page=render.Leaf("mcrisk results", title, lead, sections))


def _runs(found: list[Entry]) -> Section:
    """One line per run, newest first; the worst venue's numbers."""
    columns = [Column(t) for t in ("made (UTC)", "series", "run", "state", "worst venue")]
    columns += [Column(names.label(m), "percent") for m in SHOWN]
    table = Table("runs", "Runs", [*columns, Column("paths", "count"), Column("fingerprint")], has_intervals=True)
    for entry in reversed(found):
        venue = _worst(entry)
        numbers = entry.metrics.get(venue, {})
        run = Cell(entry.name, entry.name, link=quote(entry.report)) if entry.report else Cell(entry.name, entry.name)
        table.add(
            _when(entry), entry.series, run, entry.state, venue,
            *(_number(numbers.get(m), m, entry.cushions.get(venue, "fund")) for m in SHOWN),
            entry.paths if entry.paths is not None else Cell(None, ""), entry.fingerprint,
        )  # fmt: skip
    table.note = "Numbers of the headline scenario at the venue whose fund goes most often; a name leads to its report."
    return Section("runs", "Runs", blocks=[table])


def _when(entry: Entry) -> Cell:
    """When a run was made, on one line."""
    text = f"{entry.made:%Y-%m-%d %H:%M}"
    return Cell(text, text.replace("-", "\u2011").replace(" ", "\u00a0"))


def _worst(entry: Entry) -> str:
    def size(venue: str) -> float:
        value = entry.metrics[venue].get("p_fund_depleted", (-1.0,) * 3)[0]
        return value if value == value else -1.0

    return max(entry.metrics, key=size, default="")


def _number(bounds: tuple[float, float, float] | None, metric: str, cushion: str) -> Cell:
    if bounds is None:
        return Cell(None, "")
    return cell(bounds[0], "percent", bounds[1], bounds[2], with_range=True, meaning=names.meaning(metric, cushion))


def _trend(series: str, some: list[Entry], k: int) -> Section:
    """Headline numbers over time: a panel per number, a line with its band per venue."""
    venues = list(dict.fromkeys(v for e in some for v in e.metrics))
    cushions = {v: c for e in some for v, c in e.cushions.items()}  # a pruned slot has none of its own
    styles = {v: charts.STYLES[i % len(charts.STYLES)] for i, v in enumerate(venues)}
    panels, moved = [], []
    for metric in SHOWN:
        lines = []
        for venue in venues:
            points = [
                (e.made.timestamp(), *e.metrics[venue][metric])
                for e in some
                if metric in e.metrics.get(venue, {}) and known(e.metrics[venue][metric])
            ]
            if len(points) > 1:
                lines.append((styles[venue], points))
                if points[0][3] < points[-1][2] or points[0][2] > points[-1][3]:
                    moved.append(f"{names.label(metric, cushions.get(venue, 'fund'))} at {venue}")
        if lines:
            panels.append(Panel(names.label(metric), charts_more.trend(f"{series}: {names.label(metric)}", lines)))
    table = Table(f"trend-{k}", "Headline numbers over time",
                  [Column("made (UTC)"), Column("venue"), *(Column(names.label(m), "percent") for m in SHOWN)],
                  has_intervals=True)  # fmt: skip
    for entry in reversed(some):
        for venue, numbers in entry.metrics.items():
            shown = (_number(numbers.get(m), m, cushions.get(venue, "fund")) for m in SHOWN)
            table.add(_when(entry), venue, *shown)
    see = "Lines are estimates, bands their 95 % intervals. "
    see += (
        f"From the first run to the last, the intervals of {fmt.join(moved[:4])} have come apart."
        if moved
        else "No interval of the last run lies clear of the first run's."
    )
    apart = {v: names.meaning(SHOWN[0], cushions.get(v, "fund")) for v in venues}
    legend = [(styles[v], f"{v} ({apart[v]})" if apart[v] else v) for v in venues]
    figure = Figure(f"trend-{k}", f"{series}: headline numbers over time", see, panels, legend, table)
    return Section(f"series-{k}", series, blocks=[figure])
