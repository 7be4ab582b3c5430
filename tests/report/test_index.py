"""The page over a folder of runs, and the server that shows it."""

import http.client
import json
import os
import threading
from contextlib import contextmanager

import fsspec
import pytest

from mcrisk.cli.app import execute
from mcrisk.errors import InputError
from mcrisk.report.folder import entries, remote_entries
from mcrisk.report.index import index
from mcrisk.report.serve import server
from tests.report.synthetic import write_store

OPTIONS = {"paths": 32, "accounts": 4, "venues": ("kraken-preipo", "okx-preipo-perp"), "scenarios": ("combined",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs of a schedule, one pruned slot, one passed over, one run on its own, one broken store."""
    root = tmp_path_factory.mktemp("results")
    slots = root / "nightly" / "slots"
    slots.mkdir(parents=True)
    for k, day in enumerate((18, 19)):
        name = f"202611{day}T053000Z"
        write_store(root / "nightly" / f"{name}.zarr", seed=k, **OPTIONS)
        (slots / f"{name}.json").write_text(json.dumps({"slot": name, "status": "done"}))
        (root / "nightly" / name).mkdir()
        (root / "nightly" / name / "report.html").write_text("<title>report</title>")
    metrics = {"kraken-preipo": {"p_fund_depleted": [0.1, 0.05, None]}, "<i>x</i>": {"p_fund_depleted": [0.9, 0.8, 1]}}
    pruned = {"slot": "20261117T053000Z", "status": "done", "pruned": True, "metrics": metrics}
    (slots / "20261117T053000Z.json").write_text(json.dumps(pruned))
    (slots / "20261116T053000Z.json").write_text(json.dumps({"slot": "20261116T053000Z", "status": "skipped"}))
    (slots / "junk.json").write_text('{"slot": "../../etc", "metrics": 3}')
    write_store(root / "single.zarr", **OPTIONS)
    (root / "broken.zarr").mkdir()
    (root / "broken.zarr" / "zarr.json").write_text('{"attributes": {"config": "x"}}')
    (root / "nightly" / ".secret.html").write_text("secret")
    os.symlink("/etc/hostname", root / "out.html")
    return root


def test_results_behind_a_url_have_a_page_too(folder, tmp_path, monkeypatch):
    """Any file system of fsspec; here one in memory. The page lies where it was asked for, nothing is written there."""
    files = fsspec.filesystem("memory")
    files.put(str(folder / "single.zarr"), "/far/one.zarr", recursive=True)
    files.put(str(folder / "single.zarr"), "/far/two.zarr", recursive=True)
    files.pipe_file("/far/bad.zarr/zarr.json", b"{}")
    for k, name in enumerate(("two", "one")):
        facts = json.loads(files.cat_file(f"/far/{name}.zarr/zarr.json"))
        facts["attributes"]["created"] = f"2026-11-{18 + k}T05:30:00+00:00"
        files.pipe_file(f"/far/{name}.zarr/zarr.json", json.dumps(facts).encode())
    found = remote_entries("memory://far")
    local = next(e for e in entries(folder) if e.name == "quickstart")
    assert [e.name for e in found] == ["two", "one"] and all(e.metrics == local.metrics for e in found)
    monkeypatch.chdir(tmp_path)
    assert execute(["index", "memory://far", "--out", "pages", "--quiet"]) == 0
    text = (tmp_path / "pages" / "index.html").read_text()
    assert "headline numbers over time" in text and "memory://far" in text and not files.exists("/far/index.html")
    files.mkdir("/empty")
    with pytest.raises(InputError, match="no run was found"):
        index("memory://empty")
    assert execute(["index", "nosuch://x"]) == 2


def test_the_first_lines_say_what_is_most_at_risk_and_days_stay_on_one_line(folder):
    text = index(folder).read_text(encoding="utf-8")
    latest = entries(folder)[-1]
    worst = max(latest.metrics, key=lambda venue: latest.metrics[venue]["p_fund_depleted"][0])
    assert f"Most at risk there: {worst}, P(fund gone) " in text.partition("<main")[0]
    assert "2026\u201111\u201119\u00a0" in text and 'data-v="2026-11-19 ' in text


def test_runs_and_remembered_slots_are_found_in_order(folder):
    found = entries(folder)
    assert [(e.series, e.state) for e in found][:3] == [
        ("nightly", "results pruned"), ("nightly", "complete"), ("nightly", "complete")
    ]  # fmt: skip
    assert {e.name for e in found} >= {"quickstart", "broken"} and len(found) == 5
    assert found[1].report == "nightly/20261118T053000Z/report.html" and found[0].report == ""


def test_the_page_links_reports_and_draws_trends_with_intervals(folder):
    html = index(folder).read_text()
    assert 'href="nightly/20261119T053000Z/report.html"' in html
    assert "headline numbers over time" in html and html.count("<polygon") >= 2
    assert "<i>x</i>" not in html and "&lt;i&gt;x&lt;/i&gt;" in html
    assert "results pruned" in html and "default-src 'none'" in html


def test_a_folder_without_runs_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            index(place)


@contextmanager
def serving(folder):
    with server(folder) as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made.server_address
        made.shutdown()


def get(address, path, **headers):
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(errors="replace")


def test_only_pages_below_the_folder_are_served_and_only_to_this_machine(folder):
    index(folder)
    with serving(folder) as address:
        assert address[0] == "127.0.0.1"
        assert get(address, "/")[0] == 200
        assert "report" in get(address, "/nightly/20261119T053000Z/report.html")[1]
        for path in ("/single.zarr/zarr.jso", "/../../etc/passwd", "/%2e%2e/x.html", "/nightly/.secret.html",
                     "/out.html", "/nightly/", "/nothing.html", "/a%00.html"):  # fmt: skip
            assert get(address, path)[0] == 404, path
        assert get(address, "/", Host="evil.example")[0] == 403


def test_command_line(folder, capsys):
    assert execute(["index", str(folder)]) == 0 and "index.html" in capsys.readouterr().out
    assert execute(["index", str(folder / "nothing")]) == 2
    assert execute(["serve", str(folder / "nothing")]) == 2
