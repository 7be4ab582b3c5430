"""`report`: read a finished store once, decide what it says, write it as HTML, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcrisk.errors import InputError
from mcrisk.report import (
    accounts,
    cascade,
    clock,
    compare_page,
    convergence,
    designs,
    drill,
    export,
    figures,
    headline,
    ledgers,
    render,
    sections,
    verdicts,
)
from mcrisk.report import format as fmt
from mcrisk.report.answer import Answer, find_answer
from mcrisk.report.cells import summarise_run
from mcrisk.report.compare import Comparison, compare, sentence
from mcrisk.report.ledgers import Told
from mcrisk.report.model import Figure, Section, Table
from mcrisk.report.source import Run

FORMATS = ("html", "md", "json")
ALL_FORMATS = (*FORMATS, "csv", "pdf")
PEOPLE = (("owner", "Owner"), ("purpose", "Purpose"), ("data_date", "Data date"), ("approver", "Approver"))


@dataclass
class Page:
    """The whole report before it takes a format."""

    run: Run
    title: str
    answer: Answer
    people: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    limits: Table
    rules: Table
    counts: dict[str, int]
    sections: list[Section]
    first: Figure  # the chart of the first screen
    since: str = ""  # what changed since an earlier run, one sentence


def report(
    run_path: str | Path,
    out_dir: str | Path,
    formats: Iterable[str] = FORMATS,
    previous: str | Path | None = None,
    figures_dir: str | Path | None = None,
    told: Sequence[Told] = (),
) -> list[Path]:
    """Write the report of a finished run and return the files, in the order of `formats`, figures last.

    Args:
        run_path: the Zarr store of the run.
        out_dir: folder for report.html, report.md, report.json, report.pdf and tables/*.csv; created when missing,
            files are replaced whole.
        formats: any of 'html', 'md', 'json', 'csv', 'pdf'. A PDF needs an installed Chromium.
        previous: store of an earlier run; the report then says what changed since.
        figures_dir: folder for every figure as SVG and PNG.
        told: paths walked again (`ledgers.wanted` names them); the report then goes down to their ledgers.

    Raises:
        InputError: no such run, not a results store, an unfinished run, an unknown format, no browser for a PDF, or a
            folder that cannot be written.
        RunFailed: the browser did not print the PDF.
    """
    wanted = list(dict.fromkeys(formats))
    unknown = [f for f in wanted if f not in ALL_FORMATS]
    if unknown or not wanted:
        raise InputError(
            f"unknown report format '{unknown[0]}'" if unknown else "no report format given",
            "--format",
            f"allowed are {', '.join(ALL_FORMATS)}",
            "for example --format html,md",
        )
    if "pdf" in wanted:
        export.need_browser()
    run = _finished(run_path)
    page = build(run, compare(_finished(previous), run) if previous is not None else None, told)
    folder = Path(out_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [file for name in wanted for file in _written(page, name, folder)]
        if figures_dir is not None:
            from mcrisk.report.plots import save_figures

            files += save_figures(run, figures_dir)
        return files
    except OSError as error:
        raise InputError(
            "the report cannot be written",
            str(folder),
            str(error.strerror or error),
            "choose another folder with --out, or free some space",
        ) from error


def _finished(path: str | Path) -> Run:
    """A complete run."""
    run = Run.open(path)
    if run.attrs.get("complete") is False:
        raise InputError(
            "the run is unfinished",
            run.path,
            "a report is made from all of its blocks",
            "repeat the same `mcrisk run` command: it goes on where it stopped",
        )
    return run


def _written(page: Page, name: str, folder: Path) -> list[Path]:
    """The files of one format."""
    if name == "csv":
        tables = [page.limits, *(t for s in page.sections for t in s.tables), headline.metrics_table(page.run)]
        return export.write_csv(tables, folder / "tables")
    if name == "pdf":
        return [export.write_pdf(to_html(page), folder / "report.pdf")]
    make = {"html": to_html, "md": to_markdown, "json": to_json}[name]
    return [render.write(folder / f"report.{name}", make(page))]


def build(run: Run, since: Comparison | None = None, told: Sequence[Told] = ()) -> Page:
    """Decide everything the report says; no format yet. `since` is the comparison with an earlier run."""
    judged = verdicts.judge(run)
    cells = summarise_run(run)
    people = run.config.get("report") or {}
    who = [(title, fmt.clean(people.get(key) or "not stated")) for key, title in PEOPLE]
    facts = [
        ("venues", fmt.count(len(run.venues))),
        ("scenarios", fmt.count(len(run.scenarios))),
        ("paths per cell", fmt.count(run.n_paths)),
        ("compared with", f"{since.old.name}, see below" if since is not None else "no earlier run (--previous)"),
    ]
    pair = designs.section(run, cells)
    chapters = [
        *([compare_page.section(since)] if since is not None else []),
        _holes(run, cells),
        *([pair] if pair.blocks else []),
        _headline(run),
        _around(run),
        clock.section(run),
        _money(run, cells),
        accounts.section(run),
        _paths(run),
        *([ledgers.section(run, told)] if told else []),
        sections.strip_section(run),
        *([] if pair.blocks else [pair]),  # nothing to see: only that it was not computed
        sections.reproduce_section(run, cells),
    ]
    answer = find_answer(run, judged)
    return Page(
        run,
        fmt.clean(run.config.get("title") or run.name),
        answer,
        who,
        facts,
        headline.verdict_table(run, judged),
        headline.limit_rules(run),
        headline.verdict_counts(judged),
        chapters,
        figures.first_screen(run, cells, answer.venue),
        f"Since {since.old.name} ({since.old.path}): {sentence(since)}" if since is not None else "",
    )


def _holes(run: Run, cells: figures.Cells) -> Section:
    return Section("deficit", "How large is the hole", blocks=[figures.exceedance_figure(run, cells)])


def _headline(run: Run) -> Section:
    out = Section("numbers", "Every venue, every scenario")
    if not run.metric_names:
        out.missing.append("Metrics with intervals were not stored; only what can be read off the paths is shown.")
        return out
    out.lead = (
        f"95{fmt.NARROW}% intervals below each number; a bound that this sample cannot give reads “{fmt.NOT_RESOLVED}”."
    )
    out.blocks.append(headline.headline_table(run))
    return out


def _around(run: Run) -> Section:
    out = Section("event", "Around the event")
    fan = figures.fan_figure(run)
    if fan is None:
        out.missing.append("Bands around the event were not stored, so there is no fan chart.")
    else:
        out.blocks.append(fan)
    paid = cascade.funding(run)
    if paid is not None:
        out.blocks.append(paid)
    return out


def _paths(run: Run) -> Section:
    out = Section("paths", "Single paths, and how far to trust the sample")
    out.blocks.append(drill.table(run))
    settled = convergence.figure(run)
    if settled is None:
        out.missing.append("The sample is too short to show how the numbers settle.")
    else:
        out.blocks.append(settled)
    return out


def _money(run: Run, cells: figures.Cells) -> Section:
    return Section(
        "money",
        "Losses, and who pays",
        blocks=[figures.histogram_figure(run, cells), figures.waterfall_figure(run, cells)],
    )


# ---------------------------------------------------------------------- formats
def to_html(page: Page) -> str:
    """One offline file: styles, script and charts inline; a policy that forbids every request."""
    return render.html("report.html.j2", page=page)


def to_markdown(page: Page) -> str:
    """The same text and tables without charts."""
    return render.markdown("report.md.j2", page=page)


def to_json(page: Page) -> str:
    """Raw numbers for machines: the answer, every table, all metrics."""
    run, answer = page.run, page.answer
    tables = {t.key: t.as_json() for s in page.sections for t in s.tables}
    tables[page.limits.key], tables[page.rules.key] = page.limits.as_json(), page.rules.as_json()
    tables["metrics"] = headline.metrics_table(run).as_json()
    data = {
        "format": 1,
        "title": page.title,
        "answer": {
            "worry": answer.worry,
            "action": answer.action,
            "venue": answer.venue,
            "scenario": answer.scenario,
            "lever": answer.lever,
        },
        "people": {title: text for title, text in page.people},
        "run": {
            "name": run.name,
            "paths": run.n_paths,
            "venues": [v.name for v in run.venues],
            "scenarios": run.scenarios,
            "headline_scenario": run.scenarios[run.headline],
        },
        "verdict_counts": page.counts,
        "attributes": {k: v for k, v in run.attrs.items() if k != "config"},
        "tables": tables,
        "missing": [m for s in page.sections for m in s.missing],
    }
    return json.dumps(fmt.jsonable(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
