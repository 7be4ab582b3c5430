"""`report`: read a finished store once, decide what it says, write it as HTML, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcrisk.errors import InputError
from mcrisk.report import accounts, designs, figures, headline, render, sections, verdicts
from mcrisk.report import format as fmt
from mcrisk.report.answer import Answer, find_answer
from mcrisk.report.cells import summarise_run
from mcrisk.report.model import Section, Table
from mcrisk.report.source import Run

FORMATS = ("html", "md", "json")
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


def report(run_path: str | Path, out_dir: str | Path, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write the report of a finished run and return the files, in the order of `formats`.

    Args:
        run_path: the Zarr store of the run.
        out_dir: folder for report.html, report.md and report.json; created when missing, files are replaced whole.
        formats: any of 'html', 'md', 'json'.

    Raises:
        InputError: no such run, not a results store, an unfinished run, an unknown format, or a folder that
            cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    unknown = [f for f in wanted if f not in FORMATS]
    if unknown or not wanted:
        raise InputError(
            f"unknown report format '{unknown[0]}'" if unknown else "no report format given",
            "--format",
            f"allowed are {', '.join(FORMATS)}",
            "for example --format html,md",
        )
    run = Run.open(run_path)
    if run.attrs.get("complete") is False:
        raise InputError(
            "the run is unfinished",
            run.path,
            "a report is made from all of its blocks",
            "repeat the same `mcrisk run` command: it goes on where it stopped",
        )
    page = build(run)
    make = {"html": to_html, "md": to_markdown, "json": to_json}
    folder = Path(out_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [render.write(folder / f"report.{name}", make[name](page)) for name in wanted]
    except OSError as error:
        raise InputError(
            "the report cannot be written",
            str(folder),
            str(error.strerror or error),
            "choose another folder with --out, or free some space",
        ) from error


def build(run: Run) -> Page:
    """Decide everything the report says; no format yet."""
    judged = verdicts.judge(run)
    cells = summarise_run(run)
    people = run.config.get("report") or {}
    who = [(title, fmt.clean(people.get(key) or "not stated")) for key, title in PEOPLE]
    facts = [
        ("venues", fmt.count(len(run.venues))),
        ("scenarios", fmt.count(len(run.scenarios))),
        ("paths per cell", fmt.count(run.n_paths)),
    ]
    chapters = [
        _holes(run, cells),
        designs.section(run, cells),
        _headline(run),
        _around(run),
        _money(run, cells),
        accounts.section(run),
        sections.strip_section(run),
        sections.reproduce_section(run, cells),
    ]
    return Page(
        run,
        fmt.clean(run.config.get("title") or run.name),
        find_answer(run, judged),
        who,
        facts,
        headline.verdict_table(run, judged),
        headline.limit_rules(run),
        headline.verdict_counts(judged),
        chapters,
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
