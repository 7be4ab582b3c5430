"""The page in a real browser: silent, offline, no sideways scrolling, sorting and CSV that work, print."""

from __future__ import annotations

import pytest

from tests.report.browser import Browser, chromium

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


def test_prints(browser, made, tmp_path):
    browser.open(made.files[0])
    assert browser.pdf(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    browser.open(made.files[0], media="print")
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
