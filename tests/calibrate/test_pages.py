"""Pages of decisions: one offline file that says the answer first, and JSON with the numbers behind it."""

import json
import math
from functools import partial

import pytest

from mcrisk.calibrate.output import Findings, Picture, Table, Verdict, money_range, slug, write_page
from mcrisk.calibrate.pages import to_html
from mcrisk.cli.app import execute
from mcrisk.report.svg import Plot, linear
from tests.report.browser import Browser, chromium

EVIL = "<script>alert(1)</script>\x1b[31mred\u202e <img src=x onerror=alert(2)> |`a`"


def findings():
    plot = Plot(linear(0, 1, str), linear(0, 1, str), EVIL, EVIL, EVIL)
    plot.line([0, 1], [0, 1], "s0")
    tables = [
        Table("Numbers", ("name", "count", EVIL), ((EVIL, 1200, money_range(2.0, 1.0, math.nan)), ("b", 3, money_range(1, 1, 1)))),
        Table("All of them", ("a", "b", *(f"column {k}" for k in range(12))), ((1.5, True, *("long text " * 3,) * 12),)),
    ]
    picture = Picture(str(plot.render()), EVIL, "What to see.")
    return Findings("toy", EVIL, f"The answer is {EVIL}.\nFirst reason.\nSecond reason.", tables, {"line": picture}, 1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    files = write_page(folder, findings())
    assert [f.name for f in files] == ["toy.html", "toy.md", "toy-numbers.csv", "toy-all-of-them.csv", "toy-line.svg"]
    return files


def test_same_findings_same_bytes(page, tmp_path):
    assert write_page(tmp_path, findings())[0].read_bytes() == page[0].read_bytes()


def test_nothing_of_a_name_becomes_markup(page):
    html, markdown = (page[k].read_text() for k in (0, 1))
    assert html.count("<script>") == 1 and "<img" not in html and "\x1b" not in html + markdown and "\u202e" not in html + markdown


def test_numbers_keep_their_values(page):
    html = page[0].read_text()
    assert 'data-v="2.0" data-lo="1.0" data-hi="nan"' in html and "not resolved" in html
    rows = json.loads(json.dumps(findings().as_data()["tables"][0]["rows"]))
    assert list(rows[0].values())[2]["estimate"] == 2.0


def test_pictures_of_a_group_share_a_figure_and_a_chapter_stands_behind_the_tables():
    plot = Plot(linear(0, 1, str), linear(0, 1, str), "x", "y", "name")
    picture = partial(Picture, str(plot.render()), "title", "What to see.")
    figures = {f"{group}{k}": picture(group=group, panel=f"panel {k}", chapter="Curves") for group in "AB" for k in range(3)}
    verdicts = Table("Verdicts", ("what", "word"), (("a", Verdict("worse", "red")), ("b", Verdict("better", "green"))))
    html = to_html(Findings("toy", "t", "Answer.", [verdicts], figures | {"own": picture(legend=(("bar s0", "low"),))}))
    assert html.count("<figure>") == 7 and html.count('class="figure"') == 3 and html.count("What to see.") == 3
    assert html.index('id="figure-toy-own"') < html.index('id="verdicts"') < html.index('id="curves"') < html.index("panel 0")
    assert '<td class="tone red" data-v="worse">worse</td>' in html and ">low</li>" in html


def test_no_empty_chapter_and_no_word_of_simulation_where_data_were_given():
    tables = [Table("Tests", ("test", "p"), (("coverage", 0.5),))]
    made, measured = (to_html(Findings(command, "t", "4 losses.", tables)) for command in ("designs", "backtest"))
    assert "The answer" not in made + measured and "4 losses." in made and "4 losses." in measured
    assert "simulated" in made and "simulated" not in measured and "estimated from the data" in measured


@pytest.mark.skipif(chromium() is None, reason="no Chromium installed")
def test_the_page_in_a_browser(page):
    with Browser() as browser:
        for width in (390, 1280):
            browser.open(page[0], width)
            browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert browser.complaints() == [] and browser.requests() == [page[0].resolve().as_uri()]
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("document.querySelector('h1').textContent").startswith("The answer is")
        click = "document.querySelectorAll('table[data-name=numbers-table] thead th')[1].querySelector('button').click()"
        browser.evaluate(click)
        take = "[...document.querySelectorAll('table[data-name=numbers-table] tbody tr')].map(r => r.cells[1].textContent)"
        assert browser.evaluate(take) == ["1,200", "3"]


@pytest.mark.parametrize("options", [["--json"], ["--quiet"]])
def test_commands_answer_as_json_or_not_at_all(options, tmp_path, capsys):
    assert execute(["adl-lab", "--policies", "okx", "--fund", "2000", "--out", str(tmp_path), *options]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    if options == ["--quiet"]:
        assert said.out == ""
        return
    data = json.loads(said.out)
    assert data["command"] == "adl-lab" and data["tables"][0]["rows"][0]["policy"] == "OKX"
    assert data["files"][0] == str(tmp_path / "adl-lab.html") and slug("Who pays") == "who-pays"


@pytest.mark.skipif(chromium() is None, reason="no Chromium installed")
def test_long_tables_stay_out_of_print(page):
    with Browser() as browser:
        browser.open(page[0], 1050, media="print")
        shown = "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().height > 0).map(t => t.dataset.name)"
        assert browser.evaluate(shown) == ["numbers-table"]
        assert browser.evaluate("getComputedStyle(document.querySelector('#more')).display") == "none"
