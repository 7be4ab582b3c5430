"""The drill-down: what a page keeps of a walked path, how it is shown, and what it says when a path cannot be walked."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mcrisk.report import ledgers, report
from mcrisk.report.ledgers import ENTRIES, Told, Wanted
from mcrisk.report.source import Run

EVIL = "<img src=x onerror=alert(1)>\x1b[31m"


def walked(entries: int = 400) -> SimpleNamespace:
    """Twenty accounts; account k loses k·100, ADL closes k contracts of it at 10."""
    ids = [EVIL, *(f"a{k}" for k in range(1, 20))]
    accounts = pd.DataFrame({
        "account_id": ids, "quantity": 0.0, "entry_price": 10.0, "collateral": 5.0,
        "realized_pnl": [-9999.0, *(-100.0 * k for k in range(1, 20))], "funding_paid": 1.0, "fees_paid": 0.5, "status": "open",
    })  # fmt: skip
    rng = np.random.default_rng(1)
    ledger = pd.DataFrame({
        "seq": np.arange(entries), "time": 1.79e9 + np.arange(entries, dtype=float), "account_id": rng.choice(ids, entries),
        "event": "liquidation", "quantity": 2.0, "price": 10.0, "cash": rng.normal(size=entries), "fee": 0.1, "fund": 0.0,
    })  # fmt: skip
    adl = pd.DataFrame({
        "seq": entries + np.arange(20), "time": 1.79e9 + entries, "account_id": ids, "event": "adl",
        "quantity": [0.0, *map(float, range(1, 20))], "price": 10.0, "cash": 1.0, "fee": 0.0, "fund": 0.0,
    })  # fmt: skip
    paid = ledger.head(50).assign(event="funding")
    fund = pd.DataFrame([[0, 1.79e9, "fund", "fund", 0.0, 0.0, 0.0, 0.0, -7.0]], columns=ledger.columns)
    time = 1.79e9 + np.arange(0.0, 86400.0, 600.0)
    market = pd.DataFrame({"time": time, "mark": np.linspace(100.0, 50.0, time.size), "index": np.linspace(100.0, 60.0, time.size)})
    return SimpleNamespace(market=market, ledger=pd.concat([ledger, adl, paid, fund], ignore_index=True), accounts=accounts)


def told(which: Wanted, **changes) -> Told:
    return ledgers.condense(which, walked(**changes), ["line one", f"{EVIL} closed"], "bit for bit", 43200.0)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    run = Run.open(made.store)
    chosen = ledgers.wanted(run)
    all_told = [told(chosen[0]), told(chosen[1], entries=3000), Told(chosen[2], failure=f"it differs {EVIL}"), told(chosen[3])]
    folder = tmp_path_factory.mktemp("ledgers")
    html, md, _ = report(made.store, folder, ("html", "md", "json"), told=all_told)
    return SimpleNamespace(run=run, chosen=chosen, html=html.read_text(), md=md.read_text(), told=all_told)


def test_the_venue_that_worries_is_walked_down_three_worst_and_a_median(made, page):
    venue = next(v for v in page.run.venues if v.name == made.json["answer"]["venue"])
    deficit = page.run.cell(venue.index, page.run.headline, ("bad_debt",))["bad_debt"]
    order = np.argsort(-deficit, kind="stable")
    assert {c.venue for c in page.chosen} == {venue.name} and len(page.chosen) == 4
    assert [c.path for c in page.chosen[:3]] == list(order[:3])
    losing = np.sort(deficit[deficit > 0])
    assert deficit[page.chosen[3].path] == pytest.approx(np.median(losing), rel=0.2)


def test_what_is_kept_is_bounded_and_adds_up(page):
    one = page.told[1]
    kept = [row[0] for row in one.accounts]
    assert kept[:5] == [EVIL, "a19", "a18", "a17", "a16"] and kept[5:] == ["a15", "a14", "a13"]
    assert len(one.ledger) == ENTRIES and {row[1] for row in one.ledger} <= set(kept)
    assert [row[0] for row in one.ledger] == sorted(row[0] for row in one.ledger)
    totals = {row[0]: row for row in one.totals}
    assert totals["liquidation"][1] == 3000 and totals["liquidation"][3] == pytest.approx(3000 * 20.0)
    assert totals["adl"][3] == pytest.approx(10.0 * sum(range(20))) and totals["fund"][5] == -7.0
    assert one.entries == 3000 + 20 + 50 + 1


def test_the_page_shows_it_collapsed_exportable_and_escaped(page):
    assert page.html.count('<details class="fold"') == 4 and 'data-name="ledger-0-entries"' in page.html
    assert "<img src" not in page.html and "\x1b" not in page.html and "&lt;img src=x onerror=alert(1)&gt;" in page.html
    assert "Down to the ledger" in page.md and "<img" not in page.md
    assert len(page.html.encode()) < 2_000_000


def test_a_path_that_cannot_be_walked_says_so(page):
    for text in (page.html, page.md):
        assert "1 of 4 paths could not be walked again to the stored numbers" in text
        assert "Could not be walked again: it differs" in text


def test_without_a_walk_the_page_names_the_command(made):
    assert "Down to the ledger" not in made.html and "mcrisk report --ledgers" in made.html


def test_a_market_that_stands_still_is_a_line_in_the_middle(made):
    path = walked()
    path.market[["mark", "index"]] = 428.0
    one = ledgers.condense(ledgers.wanted(Run.open(made.store))[0], path, [], "bit for bit", 43200.0)
    figure = ledgers._chart(0, one)
    assert figure.see == "The mark stands still at 428 in the time shown."
    heights = {float(p.split(",")[1]) for p in re.findall(r'class="l s5 mark" points="([^"]+)"', figure.panels[0].svg)[0].split()}
    assert len(heights) == 1 and 80 < heights.pop() < 160  # of 250
