"""Other shapes of a report: tables as CSV files, the page as PDF through an installed Chromium."""

from __future__ import annotations

import csv
import io
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from mcrisk.errors import InputError, RunFailed
from mcrisk.report import render
from mcrisk.report.model import Table

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--no-pdf-header-footer",
)  # fmt: skip
WAIT = 120  # seconds


def csv_text(table: Table) -> str:
    """A table as CSV: raw values, interval ends in columns of their own, texts that no spreadsheet runs as a formula."""
    judged = [any(row[k].verdict for row in table.rows) for k in range(len(table.columns))]
    ranged = [any(row[k].range_text for row in table.rows) for k in range(len(table.columns))]
    meant = [any(row[k].meaning for row in table.rows) for k in range(len(table.columns))]
    head: list[str] = []
    for column, interval, verdict, means in zip(table.columns, ranged, judged, meant):
        title = f"{column.title} ({column.unit})" if column.unit else column.title
        head += [title, *([f"{title} lower", f"{title} upper"] if interval else []), *([f"{title} verdict"] * verdict),
                 *([f"{title} meaning"] * means)]  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_field(h) for h in head])
    for row in table.rows:
        fields: list[Any] = []
        for item, interval, verdict, means in zip(row, ranged, judged, meant):
            fields += [item.value, *([item.lower, item.upper] if interval else []), *([item.verdict] * verdict),
                       *([item.meaning] * means)]  # fmt: skip
        writer.writerow([_field(f) for f in fields])
    return out.getvalue()


def _field(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    if isinstance(value, float) and not math.isfinite(value):
        return "inf" if value == math.inf else ""
    return "" if value is None else value


def write_csv(tables: list[Table], folder: Path) -> list[Path]:
    """One `KEY.csv` per table; the folder is created."""
    folder.mkdir(parents=True, exist_ok=True)
    return [render.write(folder / f"{table.key}.csv", csv_text(table)) for table in tables]


def browser() -> str | None:
    """Path of an installed Chromium or relative, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def need_browser() -> str:
    """The browser. Raises InputError that says what to install."""
    found = browser()
    if found is None:
        raise InputError(
            "a PDF needs Chromium, which is not installed", "--format pdf", f"looked for {', '.join(BROWSERS)}",
            "install chromium, or print report.html from any browser: its print layout is the same",
        )  # fmt: skip
    return found


def write_pdf(html: str, target: Path) -> Path:
    """Print a page to PDF. Raises InputError without a browser, RunFailed when it does not print."""
    program = need_browser()
    with tempfile.TemporaryDirectory(prefix="mcrisk-pdf-") as home:
        source, made = Path(home) / "page.html", Path(home) / "page.pdf"
        source.write_text(html, encoding="utf-8")
        command = [program, *FLAGS, f"--user-data-dir={home}/profile", f"--print-to-pdf={made}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunFailed("the browser did not print the report", program, str(error)[:200], None) from error
        if not made.is_file():
            why = done.stderr.strip().splitlines()[-1][:300] if done.stderr.strip() else f"exit code {done.returncode}"
            raise RunFailed("the browser did not print the report", program, why, "print report.html by hand")
        aside = target.with_name(f".{target.name}.part")
        shutil.copyfile(made, aside)
        aside.replace(target)
    return target
