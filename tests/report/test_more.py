"""Clock, account map, convergence, single paths, what changed, CSV, PDF, figures, notebooks."""

import csv
import io
import json

import numpy as np
import pytest

from mcrisk.errors import InputError
from mcrisk.report import cascade, clock, convergence, drill, export, headline, names, notebook, report
from mcrisk.report.model import Cell, Column, Table
from mcrisk.report.plots import Plots, save_figures
from mcrisk.report.source import Run
from tests.report.browser import chromium
from tests.report.conftest import NASTY
from tests.report.synthetic import write_store


@pytest.fixture(scope="module")
def run(made):
    return Run.open(made.store)


def test_the_clock_counts_from_the_event_and_only_rises(run):
    shares = clock._shares(run, 0, ["first_liquidation_time", "depletion_time"])
    for values in shares.values():
        assert (np.diff(values[:, 0]) >= 0).all() and (values[:, 1] <= values[:, 0] + 1e-12).all()
    times = run.cell(0, run.shock, ("first_liquidation_time", "event_time"))
    wait = times["first_liquidation_time"] - times["event_time"]
    assert shares["first_liquidation_time"][-1, 0] == pytest.approx(np.mean(wait <= clock.GRID[-1]))


def test_what_the_store_lacks_is_said(bare, made):
    assert "by minute is not stored" in bare.html and "by minute is not stored" not in made.html
    assert "Leverage and size" not in made.html
    assert "so no account can be named" in bare.html and "no map" not in bare.html


def test_the_cascade_is_told_by_the_minute_from_the_stored_bands(run, made):
    stored = run.group("bands")["liquidated"].isel(venue=0, scenario=run.shock)
    rows = {r[2].text: r for r in cascade.notional(run).table.rows if r[0].text == run.venues[0].name and r[1].text == "liquidated"}
    assert rows["95 %"][-1].value == pytest.approx(float(stored.sel(quantile=0.95, time=86400.0, method="nearest")))
    figure = cascade.fund(run)
    assert {p.note for p in figure.panels if not p.svg} == {"no fund and no vault"}
    assert "tradexyz-ipop" not in {r[0].text for r in figure.table.rows}
    assert "by minute from the event" in made.md and cascade.funding(run) is not None


def test_without_a_fund_no_number_is_called_fund_gone(made, run):
    """tradexyz-ipop has neither fund nor vault, hyperliquid a vault: every place that shows the number says what it is."""
    meant = {"tradexyz-ipop": "no fund: P(first loss)", "hyperliquid-hyperp": "no fund: P(vault gone)"}
    tables = made.json["tables"]
    for row in tables["headline"]["rows"]:
        assert row["P(fund gone)"].get("meaning") == meant.get(row["venue"])
    for row in tables["limits"]["rows"]:
        assert row["P(fund gone)"].get("meaning") == meant.get(row["venue"])
        assert ("meaning" in row["break-even fall"]) == (row["venue"] in meant)
    for row in tables["metrics"]["rows"]:
        assert row["meaning"] == (meant.get(row["venue"], "") if row["metric"] == "p_fund_depleted" else "")
    steps = {(r["venue"], r["step"]) for r in tables["clock"]["rows"]}
    numbers = {(r["venue"], r["number"]) for r in tables["convergence"]["rows"]}
    for venue, text in meant.items():
        assert (venue, text) in steps and (venue, "fund gone") not in steps
        assert (venue, text.split(": ")[1]) in numbers and (venue, "P(fund gone)") not in numbers
        assert f"{text}" in made.html and text.replace("(", "(") in made.md
    text = export.csv_text(headline.headline_table(run))
    assert "P(fund gone) meaning" in text.splitlines()[0] and text.count("no fund: P(first loss)") == len(run.scenarios)


def test_the_model_risk_add_on_leaves_out_where_the_number_is_another_one(run, made):
    """The low end of “fund” has none, the high end of a venue without one has some: both count something else."""
    data = run.group("strip")["difference"]
    names = [str(a) for a in data["assumption"].values]
    rows = {r["venue"]: r for r in made.json["tables"]["model-risk"]["rows"]}
    for venue in run.venues:
        d = data.isel(venue=venue.index).values.copy()
        d[names.index("fund"), 1 if venue.name == "tradexyz-ipop" else 0] = np.nan
        assert rows[venue.name]["add-on"] == pytest.approx(max(0.0, np.nanmax(d)))
    strip = {(r["venue"], r["assumption"], r["level"]): r["value"] for r in made.json["tables"]["strip"]["rows"]}
    assert strip["kraken-preipo", "fund", "low"]["meaning"] == "no fund: P(first loss)"
    for venue in ("kraken-preipo", "tradexyz-ipop"):
        assert "meaning" not in str(strip[venue, "fund", "high"])


def test_worst_paths_come_with_the_command_that_explains_them(run, made):
    table = drill.table(run)
    rows = [r for r in table.rows if r[0].text == run.venues[0].name]
    deficit = run.cell(0, run.headline, ("bad_debt",))["bad_debt"]
    assert [r[2].value for r in rows[:3]] == list(np.argsort(-deficit, kind="stable")[:3])
    assert f"--path {rows[0][2].value}" in rows[0][-1].text and "mcrisk explain" in made.md
    assert len(rows) == 4


def test_numbers_settle_towards_the_whole_sample(run):
    figure = convergence.figure(run)
    last = {r[0].text: r[-1].value for r in figure.table.rows if r[1].text in names.DEPLETED.values()}
    for venue in run.venues:
        stored = run.metric(venue.index, run.headline, "p_fund_depleted").estimate
        assert last[venue.name] == pytest.approx(stored)


def test_a_report_says_what_changed_since_another_run(tmp_path, made):
    other = write_store(tmp_path / "other.zarr", paths=300, accounts=12, seed=9)
    files = report(made.store, tmp_path / "out", ("html", "md", "json"), previous=other)
    html, md = files[0].read_text(), files[1].read_text()
    assert "Since quickstart" in html and 'id="changes"' in html and "Since quickstart" in md
    assert "changes" in json.loads(files[2].read_text())["tables"]


def test_csv_has_every_table_and_runs_no_formula(tmp_path, made):
    files = report(made.store, tmp_path, ("csv",))
    names = {f.stem for f in files}
    assert {"limits", "headline", "metrics", "clock", "drill", "account-map"} <= names
    rows = list(csv.reader(io.StringIO((tmp_path / "tables" / "headline.csv").read_text())))
    assert "P(fund gone) lower" in rows[0] and len(rows) == 57
    nasty = Table("t", "t", [Column("a"), Column("b", "number")])
    nasty.add('=cmd|"x"!A1', -1.5)
    nasty.add(Cell("@x", "@x"), float("nan"))
    assert export.csv_text(nasty) == 'a,b\r\n"\'=cmd|""x""!A1",-1.5\r\n\'@x,\r\n'


def test_without_a_browser_the_pdf_says_what_to_install(tmp_path, made, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs Chromium") as error:
        report(made.store, tmp_path / "out", ("html", "pdf"))
    assert "install chromium" in str(error.value) and not (tmp_path / "out").exists()


@pytest.mark.skipif(chromium() is None, reason="no Chromium")
def test_pdf(tmp_path):
    made = export.write_pdf("<title>x</title><p>hello", tmp_path / "report.pdf")
    assert made.read_bytes().startswith(b"%PDF-") and len(list(tmp_path.iterdir())) == 1


def test_every_figure_is_saved_and_odd_names_do_no_harm(tmp_path):
    store = write_store(
        tmp_path / "n.zarr", paths=64, accounts=6, rename={**NASTY, "kraken-preipo": "../$x_{y$/<b>"},
        venues=("kraken-preipo",), scenarios=("valuation_reset", "combined"),
    )  # fmt: skip
    files = save_figures(Run.open(store), tmp_path / "figures", kinds=("svg",))
    assert len(files) == 7 and all(f.parent == tmp_path / "figures" for f in files)
    assert all("<b>" not in f.read_text() for f in files)


def test_plots_return_axes_and_explain_wrong_names(run):
    import matplotlib

    matplotlib.use("agg")
    plots = Plots(run)
    ax = plots.exceedance()
    assert ax.get_xlabel() and ax.get_title() == run.venues[0].name
    assert plots.who_pays("okx-preipo-perp", "combined", ax=ax) is ax
    assert max(text.get_position()[0] for text in ax.texts) < 0.95 * ax.get_xlim()[1]  # the last number is inside
    with pytest.raises(InputError, match="no venue 'x'"):
        plots.fan("x")
    with pytest.raises(InputError, match="no scenario 'x'"):
        plots.histogram(scenario="x")


def test_a_notebook_cell_shows_answer_and_lights_and_escapes(run, nasty):
    html = notebook.html(run)
    assert "worries most" in html and html.count("<tr>") == 9 and "breached" in html
    assert html.count("no fund: P(first loss)") == 1 and html.count("no fund: P(vault gone)") == 1
    html = notebook.html(Run.open(nasty.store))
    assert "<script>" not in html and "\x1b" not in html
