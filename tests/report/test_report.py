"""The three files: structure, numbers, missing groups, bad input."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from mcrisk.config.load import load_config
from mcrisk.errors import InputError
from mcrisk.report import report
from tests.report.synthetic import SCENARIOS, VENUES, write_store

VOID = {"meta", "link", "br", "hr", "img", "input", "polyline", "polygon", "line", "rect", "path"}


class Outline(HTMLParser):
    """Ids, headings, links, balance of tags, cells of tables by name."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.open, self.unbalanced = [], [], [], []
        self.tables, self.table, self.row = {}, None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" else []
        if tag == "table":
            self.table = self.tables.setdefault(attributes.get("data-name"), [])
        if tag == "tr" and self.table is not None:
            self.table.append([])
        if tag in ("td", "th") and self.table:
            self.table[-1].append(attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)
        if tag == "table":
            self.table = None


def test_files_and_size(made):
    assert [f.name for f in made.files] == ["report.html", "report.md", "report.json"]
    assert len(made.html.encode()) < 2_000_000


def test_structure(made):
    page = Outline(made.html)
    assert not page.unbalanced and not page.open
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {
        "limits",
        "deficit",
        "two-designs",
        "numbers",
        "event",
        "money",
        "accounts",
        "assumptions",
        "reproduce",
    } <= set(page.ids)
    assert len(page.tables["headline"]) == 1 + len(VENUES) * len(SCENARIOS)
    assert len(page.tables["limits"]) == 1 + len(VENUES)


def test_nothing_is_loaded_from_elsewhere(made, nasty):
    for text in (made.html, nasty.html):
        assert "default-src 'none'" in text
        loads = re.findall(
            r'<(?:script|img|iframe|link|source|use|object|embed)[^>]*(?:src|href|data)=["\']([^"\']*)', text
        )
        assert [x for x in loads if not x.startswith("data:")] == []
        assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket", text)


def test_the_answer_is_two_sentences_and_names_a_lever(made):
    answer = made.json["answer"]
    assert answer["worry"].endswith(".") and answer["action"].endswith(".")
    assert ". " not in answer["worry"] and ". " not in answer["action"]
    assert answer["venue"] in VENUES and answer["scenario"] in SCENARIOS
    assert (
        answer["lever"] == "leverage"
        and "the lever is leverage and open-interest caps, not the fund" in answer["action"]
    )


def test_headline_numbers_are_the_stored_ones(made):
    rows = Outline(made.html).tables["headline"][1:]
    stored = xr.open_datatree(made.store, engine="zarr")["metrics"]["value"]
    k = 0
    for venue in VENUES:
        for scenario in SCENARIOS:
            part = stored.sel(venue=venue, scenario=scenario)
            first = rows[k][2]
            assert [float(first[a]) for a in ("data-v", "data-lo", "data-hi")] == part.sel(
                metric="p_fund_depleted"
            ).values.tolist()
            k += 1


def test_json_carries_every_metric_and_no_nan(made):
    stored = xr.open_datatree(made.store, engine="zarr")["metrics"]["value"]
    rows = made.json["tables"]["metrics"]["rows"]
    assert len(rows) == int(np.prod([stored.sizes[d] for d in ("venue", "scenario", "metric")]))
    for row in rows[::97]:
        values = stored.sel(venue=row["venue"], scenario=row["scenario"], metric=row["metric"]).values
        for bound, value in zip(("estimate", "lower", "upper"), values):
            assert row[bound] is None if np.isnan(value) else row[bound] == value


def test_exceedance_and_payers_match_the_paths(made):
    paths = xr.open_datatree(made.store, engine="zarr")["paths"].to_dataset()
    cell = paths.sel(venue="okx-premarket-perp", scenario="valuation_reset")
    share = cell["bad_debt"].values / 30e6
    from mcrisk.report.cells import GRID

    at = GRID[np.argmin(np.abs(np.log(GRID / 0.01)))]
    row = next(
        r
        for r in made.json["tables"]["exceedance"]["rows"]
        if r["venue"] == "okx-premarket-perp" and r["scenario"] == "valuation_reset"
    )
    found = next(v for k, v in row.items() if k.startswith("> 1"))
    assert found["estimate"] == np.mean(share > at)
    row = next(
        r
        for r in made.json["tables"]["who-pays"]["rows"]
        if r["venue"] == "okx-premarket-perp" and r["scenario"] == "valuation_reset" and r["paths"] == "mean"
    )
    assert row["insurance fund"] == pytest.approx(cell["fund_loss"].values.mean() / 30e6, rel=1e-12)


def test_unresolved_bounds_say_so(made):
    assert "upper bound not resolved" in made.html and "upper bound not resolved" in made.md
    row = made.json["tables"]["headline"]["rows"][0]
    assert row["required fund 99.9 %"]["upper"] is None
    shown = re.sub(r"<script>.*?</script>|<[^>]*>", " ", made.html, flags=re.S)
    assert not re.search(r"\b(nan|inf|None)\b", shown)


def test_every_figure_has_a_sentence_and_a_table(made):
    figures = re.split(r'<div class="figure"', made.html)[1:]
    assert len(figures) >= 6
    for text in figures:
        assert re.search(r'<p class="see">[^<]{40,}\.</p>', text) and '<details class="numbers">' in text
    assert made.html.count('role="img"') == made.html.count("<svg viewBox") - len(
        re.findall(r"<svg[^>]*aria-hidden", made.html)
    )


def test_the_two_designs_are_told_apart_by_numbers(made):
    section = made.html.split('id="two-designs"')[1].split("</section>")[0]
    assert "while the mark still says" in section and "sold into the very book that sets the index" in section
    rows = {r["measure"]: r for r in made.json["tables"]["designs"]["rows"]}
    lasts = next(v for k, v in rows.items() if k.startswith("half of that gap"))
    assert lasts["kraken-preipo"] > 10 * lasts["okx-premarket-perp"]


def test_missing_groups_are_named(bare):
    for text in (
        "Metrics with intervals were not stored",
        "no fan chart",
        "no account can be named",
        "not run low and high",
        "needs a Kraken and an OKX venue",
    ):
        assert text in bare.html and text in " ".join(bare.json["missing"])
    assert "not computed" in bare.html
    assert bare.html.index('id="numbers"') < bare.html.index('id="two-designs"')  # what is not there does not come first
    assert not Outline(bare.html).unbalanced


def test_same_run_same_bytes(made, tmp_path):
    again = report(made.store, tmp_path)
    assert again[0].read_text(encoding="utf-8") == made.html


def test_one_format_only(made, tmp_path):
    assert [f.name for f in report(made.store, tmp_path / "deep" / "er", formats=["json"])] == ["report.json"]
    assert [f.name for f in (tmp_path / "deep" / "er").iterdir()] == ["report.json"]


@pytest.mark.parametrize("formats, message", [(("docx",), "unknown report format 'docx'"), ((), "no report format")])
def test_wrong_format(made, tmp_path, formats, message):
    with pytest.raises(InputError, match=message):
        report(made.store, tmp_path / "x", formats=formats)
    assert not (tmp_path / "x").exists()


def test_wrong_stores(tmp_path):
    with pytest.raises(InputError, match="no such run"):
        report(tmp_path / "none.zarr", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a readable results store"):
        report(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unfinished_run(tmp_path):
    write_store(tmp_path / "half.zarr", paths=32, accounts=3, complete=False)
    with pytest.raises(InputError, match="unfinished"):
        report(tmp_path / "half.zarr", tmp_path / "out")


def test_the_shipped_run_config_is_understood(tmp_path):
    config = load_config("quickstart").model_dump(mode="json")
    config["report"]["owner"] = "Jane <Doe>"
    write_store(tmp_path / "run.zarr", paths=64, accounts=4, config=config)
    data = json.loads(report(tmp_path / "run.zarr", tmp_path, formats=["json"])[0].read_text(encoding="utf-8"))
    assert data["people"]["Owner"] == "Jane <Doe>" and data["people"]["Data date"] == config["report"]["data_date"]
    notes = data["tables"]["notes"]["rows"]
    wanted = {n["note"] for v in config["venues"] for n in v["provenance"] if n["assumption"]}
    assert len(notes) > 50 and wanted <= {n["note"] for n in notes}
    assert not [n["where"] for n in notes if n["where"].count(",") >= len(config["venues"]) - 1]  # all of them is "all venues"
    assert {"all scenarios", "liquidity: all venues"} <= {n["where"] for n in notes}
    assert "30 days" in data["answer"]["worry"] or "no insurance fund" in data["answer"]["worry"]


def test_folder_that_cannot_be_written(made):
    with pytest.raises(InputError, match="cannot be written"):
        report(made.store, "/proc/nowhere")


def test_the_add_on_names_the_assumption_that_makes_it_worse():
    """Not the one that moves the number most: a higher fund lowers it and is no add-on."""
    from mcrisk.report.sections import _addon

    nan = float("nan")
    assert _addon(np.array([[nan, -0.24], [0.16, -0.18]]), ["fund", "depth"]) == (0.16, "depth")
    assert _addon(np.array([[0.0, -0.1]]), ["index recipe"]) == (0.0, "–")
    assert _addon(np.array([[nan, nan]]), ["fund"])[1] == "not resolved"


def test_a_paired_difference_has_the_sign_of_its_sentence(monkeypatch):
    from mcrisk.report import designs

    class Fake:
        shock, n_paths = 0, 400

        def cell(self, venue, scenario, names):
            return {"bad_debt": np.full(400, [1.0, 2.0][venue]) + np.arange(400) % 7 * [0.1, 0.2][venue]}

    a, b = (SimpleNamespace(index=k, name=n, open_interest=100.0) for k, n in enumerate(("kraken", "okx")))
    for first, second in ((a, b), (b, a)):
        text = designs._contrast(Fake(), first, second)
        assert "okx ends with the larger hole" in text and "−" not in text
