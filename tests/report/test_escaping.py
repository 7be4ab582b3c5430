"""Names made of HTML, terminal codes, Markdown and text-direction tricks stay text."""

from __future__ import annotations

import re

import pytest

from mcrisk.report import format as fmt


def test_html_holds_no_foreign_markup(nasty):
    assert "<script>alert" not in nasty.html and "&lt;script&gt;alert(1)&lt;/script&gt;" in nasty.html
    assert nasty.html.count("<script") == 1 and "<b>bold" not in nasty.html
    assert not re.search(r"<[^>]*\sonmouseover=", nasty.html)
    for text in (nasty.html, nasty.md, str(nasty.json)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_svg_text_is_escaped(nasty):
    pictures = re.findall(r"<svg.*?</svg>", nasty.html, flags=re.S)
    assert pictures and not any("<script" in p for p in pictures)


def test_markdown_keeps_its_tables(nasty):
    assert "<script" not in nasty.md and not re.search(r"(?<!\\)\]\(http", nasty.md)
    lines = [line for line in nasty.md.splitlines() if line.startswith("|")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    heads = [i for i, line in enumerate(lines) if set(line) <= set("|-: ")]
    for start, end in zip(heads, [h - 1 for h in heads[1:]] + [len(lines)]):
        assert len(set(bars[start - 1 : end])) == 1


@pytest.mark.parametrize(
    "raw, shown",
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07ok", "ok"),
        ("a\r\nb\tc", "a  b c"),
        ("\u202eabc\u200b", "abc"),
        ("\x9b31mx", "x"),
        ("\x1b", ""),
        ("plain ü 漢", "plain ü 漢"),
        (3, "3"),
    ],
)
def test_clean(raw, shown):
    assert fmt.clean(raw) == shown


@pytest.mark.parametrize(
    "show, value, text",
    [
        (fmt.percent, 0.034, "3.4 %"),
        (fmt.percent, 0.0, "0 %"),
        (fmt.percent, 0.5, "50 %"),
        (fmt.percent, 1.25, "125 %"),
        (fmt.percent, 1e-7, "< 0.001 %"),
        (fmt.percent, float("nan"), "not resolved"),
        (fmt.percent, None, "not resolved"),
        (fmt.money, 1_234_567, "1.23 M"),
        (fmt.money, 999.6, "1.00 k"),
        (fmt.money, -4321, "−4.32 k"),
        (fmt.money, 0, "0"),
        (fmt.money, float("inf"), "not resolved"),
        (fmt.signed_percent, 0.42, "+42 %"),
        (fmt.signed_percent, -0.36, "−36 %"),
        (fmt.points, 0.056, "+5.6 pp"),
        (fmt.ratio, 1.84, "1.8×"),
        (fmt.seconds, 90, "90 s"),
        (fmt.seconds, 600, "10 min"),
        (fmt.seconds, 7200, "2.0 h"),
        (fmt.seconds, 259200, "3.0 d"),
        (fmt.seconds, float("nan"), "never"),
        (fmt.count, 12345, "12 345"),
    ],
)
def test_numbers_for_people(show, value, text):
    assert show(value).replace(fmt.NARROW, " ") == text


@pytest.mark.parametrize(
    "low, high, kind, text",
    [
        (0.041, 0.052, "percent", "4.1–5.2 %"),
        (-0.36, -0.32, "signed_percent", "−36 to −32 %"),
        (0.01, float("nan"), "percent", "≥ 1.0 %, upper bound not resolved"),
        (float("nan"), float("nan"), "percent", "interval not resolved"),
        (1e3, 2e6, "money", "1.00 k–2.00 M"),
    ],
)
def test_intervals_for_people(low, high, kind, text):
    assert fmt.interval(low, high, kind).replace(fmt.NARROW, " ") == text
