"""The page in a real browser: silent, offline, no sideways scrolling, sorting and CSV that work, print."""

from __future__ import annotations

import pytest

from mcrisk.report import ledgers, report
from mcrisk.report.source import Run
from tests.report.browser import Browser, chromium
from tests.report.test_ledgers import EVIL, walked

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium installed")


@pytest.fixture(scope="module")
def browser():
    with Browser() as page:
        yield page


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_silent_offline_and_fitting(browser, made, width, dark):
    browser.open(made.files[0], width, dark=dark)
    assert browser.complaints() == []
    assert browser.requests() == [made.files[0].resolve().as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_nasty_names_run_nothing(browser, nasty):
    browser.open(nasty.files[0])
    assert browser.complaints() == [] and browser.evaluate("document.querySelectorAll('script').length") == 1


def test_sorting(browser, made):
    browser.open(made.files[0])
    take = "[...document.querySelectorAll('table[data-name=headline] tbody tr')].map(r => Number(r.cells[2].dataset.v))"
    before = browser.evaluate(take)
    click = "document.querySelectorAll('table[data-name=headline] thead th')[2].querySelector('button').click()"
    browser.evaluate(click)
    assert browser.evaluate(take) == sorted(before, reverse=True)
    browser.evaluate(click)
    assert browser.evaluate(take) == sorted(before)


def test_filter(browser, made):
    browser.open(made.files[0])
    browser.evaluate(
        "{const b = document.querySelector('#numbers input'); b.value = 'okx squeeze';"
        " b.dispatchEvent(new Event('input'))}"
    )
    assert browser.evaluate("[...document.querySelectorAll('#numbers tbody tr')].filter(r => !r.hidden).length") == 3


def test_csv(browser, nasty):
    browser.open(nasty.files[0])
    text = browser.evaluate("csvOf(document.querySelector('table[data-name=headline]'))")
    lines = text.strip().split("\r\n")
    assert len(lines) == 1 + 4 * 7 and "P(fund gone) lower" in lines[0]
    assert lines[1].startswith("<script>alert(1)</script>,baseline,0.")
    assert browser.evaluate("[csvField('=1+1'), csvField('-0.5'), csvField('a,b')]") == ["'=1+1", "-0.5", '"a,b"']


def test_accessible_names(browser, made):
    browser.open(made.files[0])
    assert (
        browser.evaluate("""[...document.querySelectorAll('button, input, svg[role=img], [role=region]')]
        .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).length""")
        == 0
    )
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1


def test_the_keyboard_goes_through_the_page_in_reading_order(browser, made):
    browser.open(made.files[0])
    assert browser.evaluate("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"])').length") == 0
    stops = []
    for _ in range(20):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        stops.append(browser.evaluate("[document.activeElement.textContent.trim() || document.activeElement.ariaLabel,"
                                      " document.activeElement.getBoundingClientRect().top + scrollY]"))  # fmt: skip
    assert stops[0][0] == "Skip to the content" and "CSV" in [text for text, _ in stops]
    places = [place for text, place in stops[1:]]
    assert all(later >= earlier - 40 for earlier, later in zip(places, places[1:]))  # within a line it may go up a little


def test_the_first_screen_holds_answer_chart_and_lights(browser, made):
    """On a laptop: both sentences, the chart and the first venues' lights without scrolling."""
    browser.open(made.files[0], 1280, 900)
    bottoms = browser.evaluate("""['h1', '.action', '#figure-first svg', 'table.lights tbody tr']
        .map(s => document.querySelector(s).getBoundingClientRect().bottom)""")
    assert max(bottoms) < 900


def test_a_drill_down_with_nasty_names_stays_silent(browser, made, tmp_path):
    run = Run.open(made.store)
    told = [ledgers.condense(one, walked(), [EVIL], "bit for bit", 43200.0) for one in ledgers.wanted(run)]
    page = report(made.store, tmp_path, ("html",), told=told)[0]
    for width in (390, 1280):
        browser.open(page, width)
        browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.complaints() == [] and browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("document.querySelectorAll('img').length") == 0


def test_prints(browser, made, tmp_path):
    browser.open(made.files[0])
    assert browser.pdf(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    browser.open(made.files[0], media="print")
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_print_repeats_heads_keeps_sentences_with_figures_and_opens_what_is_folded(browser, made, tmp_path):
    """Chromium leaves out a button's text when it repeats a table's head on the next page, and breaks a grid anywhere."""
    run = Run.open(made.store)
    told = [ledgers.condense(one, walked(), ["what happened"], "bit for bit", 43200.0) for one in ledgers.wanted(run)]
    page = report(made.store, tmp_path, ("html",), told=told)[0]
    browser.open(page, 1050, media="print")  # A4 landscape, 10 mm margins
    assert browser.evaluate("getComputedStyle(document.querySelector('thead th button')).display") == "contents"
    assert browser.evaluate("getComputedStyle(document.querySelector('.panels')).display") == "block"
    assert browser.evaluate("document.querySelector('.fold pre').getBoundingClientRect().height") > 0
    assert browser.evaluate("getComputedStyle(document.querySelector('details.numbers')).display") == "none"
    assert browser.evaluate("getComputedStyle(document.querySelector('footer .print')).display") == "block"
    # a whole table is on the paper: nothing scrolls away to the right, here or within
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert browser.evaluate(cut) == 0 and browser.evaluate("document.documentElement.scrollWidth") <= 1050
