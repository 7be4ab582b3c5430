"""The incident library: data that loads, pages that are current, replays that keep to the rules and meet their facts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mcrisk.errors import InputError
from mcrisk.replay import pages
from mcrisk.replay.facts import METRICS
from mcrisk.replay.incidents import Incident, load_incident, names, price_rows, replay_incident

DOCS = Path(__file__).resolve().parents[2] / "docs" / "incidents"
ASKED = {"skhx-2026-07-27", "ventuals-spacex-2026-05-28", "cbrs-conversion-2026-05-14", "xpl-2025-08-26",
         "hyperliquid-2025-10-10"}  # fmt: skip
QUICK = ("skhx-2026-07-27",)  # replayed in the default suite; the others behind `slow`


def test_the_incidents_asked_for_are_there():
    assert ASKED <= set(names())


@pytest.mark.parametrize("name", sorted(ASKED))
def test_every_fact_names_a_known_metric_and_every_choice_a_fact(name):
    incident = load_incident(name)
    metrics = {fact.metric for fact in incident.reported if fact.metric}
    assert metrics <= set(METRICS)
    assert {choice.meets for choice in incident.chosen if choice.meets} <= metrics
    assert "placeholder" not in incident.reading


@pytest.mark.parametrize("name", sorted(ASKED))
def test_price_rows_are_a_function_of_the_file(name):
    incident = load_incident(name)
    rows = price_rows(incident)
    pd.testing.assert_frame_equal(rows, price_rows(incident))
    assert (np.diff(rows["time"]) > 0).all() and (rows["bid"] <= rows["ask"]).all()


def test_pages_say_what_the_files_say():
    """The part without replay on every page; the list; no page without an incident."""
    assert (DOCS / "README.md").read_text(encoding="utf-8") == pages.index()
    assert {file.stem for file in DOCS.glob("*.md")} == {"README", *names()}
    for name in names():
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        assert text.startswith(pages.fixed_part(load_incident(name))), f"{name}: run python -m mcrisk.replay.pages"


def meets(told) -> None:
    """Money conserved, and the facts that numbers were chosen to meet are met within a quarter."""
    assert told.result.summary["conservation_residual"] <= 1e-9
    for row in told.comparison[told.comparison["chosen_to_meet"]].itertuples():
        assert row.simulated == pytest.approx(float(row.reported), rel=0.30), row.what


@pytest.mark.parametrize("name", QUICK)
def test_a_replayed_incident_is_what_its_page_says(name):
    told = replay_incident(name)
    meets(told)
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == pages.page(told)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ASKED - set(QUICK)))
def test_all_incidents_are_what_their_pages_say(name):
    told = replay_incident(name)
    meets(told)
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == pages.page(told)


def test_a_wrong_name_or_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="unknown incident"):
        load_incident("skhx")
    broken = tmp_path / "x.yaml"
    broken.write_text("name: x\n")
    with pytest.raises(InputError, match="not as it must be"):
        load_incident(broken)


def test_an_unknown_metric_is_refused():
    incident = load_incident("skhx-2026-07-27").model_dump()
    incident["reported"][0]["metric"] = "nonsense"
    from mcrisk.replay.facts import compare

    with pytest.raises(InputError, match="unknown metric"):
        compare(Incident.model_validate(incident), _empty(), pd.DataFrame(), pd.DataFrame({"account_id": []}))


def _empty():
    from mcrisk.replay.result import ACCOUNT_COLUMNS, LEDGER_COLUMNS, MARKET_COLUMNS, ReplayResult

    frame = lambda columns: pd.DataFrame({name: [] for name in columns})  # noqa: E731
    return ReplayResult(frame(MARKET_COLUMNS), frame(LEDGER_COLUMNS), frame(ACCOUNT_COLUMNS), {"conservation_residual": 0.0})


def test_the_command_line():
    def call(*arguments):
        return subprocess.run([sys.executable, "-m", "mcrisk", *arguments], capture_output=True, text=True)

    listed = call("incidents")
    assert listed.returncode == 0 and all(name in listed.stdout for name in ASKED)
    both = call("replay", "--incident", "skhx-2026-07-27", "--venue", "kraken-preipo")
    assert both.returncode == 2 and "both given" in both.stderr
    nothing = call("replay")
    assert nothing.returncode == 2 and "--prices" in nothing.stderr
