"""A finished run in a notebook cell: the answer, the lights, the facts. Inline styles only; every text escaped."""

from __future__ import annotations

from html import escape

from mcrisk.report import headline, verdicts
from mcrisk.report.answer import find_answer
from mcrisk.report.format import unbroken
from mcrisk.report.model import VERDICT_WORDS, Cell, Table
from mcrisk.report.source import Run

SIGNS = {"green": ("●", "#00704f"), "amber": ("▲", "#8f6200"), "red": ("■", "#b23a08"), "grey": ("○", "#6b747d")}


def html(run: Run) -> str:
    """What a reader needs before opening the report."""
    judged = verdicts.judge(run)
    answer = find_answer(run, judged)
    lights = _table(headline.verdict_table(run, judged))
    words = " · ".join(f"{_sign(colour)} {escape(word)}" for colour, word in VERDICT_WORDS.items())
    return (
        f"<p><b>{escape(unbroken(answer.worry))}</b><br>{escape(unbroken(answer.action))}</p>"
        f"{lights}<p><small>{words}</small></p>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(unbroken(column.title))}</th>" for column in table.columns)
    rows = "".join("<tr>" + "".join(_cell(item) for item in row) + "</tr>" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(item: Cell) -> str:
    if not item.verdict:
        return f"<th>{escape(unbroken(item.text))}</th>"
    title = escape("; ".join(t for t in (VERDICT_WORDS[item.verdict], item.range_text) if t), quote=True)
    means = f"<br><small><i>{escape(unbroken(item.meaning))}</i></small>" if item.meaning else ""
    return f'<td title="{title}">{_sign(item.verdict)} {escape(unbroken(item.text))}{means}</td>'


def _sign(colour: str) -> str:
    shape, ink = SIGNS[colour]
    return f'<span style="color:{ink}">{shape}</span>'
