"""The files a replay leaves: columns, number formats, times as they came, nothing half written."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mcrisk.errors import InputError
from mcrisk.replay.result import ACCOUNT_COLUMNS, LEDGER_COLUMNS, MARKET_COLUMNS, ReplayResult
from mcrisk.replay.write import FILES, write_replay


def result(**changes) -> ReplayResult:
    parts = {
        "market": pd.DataFrame(
            [[1781274600.0, "pre", 0.1 + 0.2, 100.0, 0.0, np.inf, 0.0, 0.0, 0.0, 5.0]], columns=MARKET_COLUMNS
        ),
        "ledger": pd.DataFrame([[0, 1781274600.5, "L", "funding", 0.0, 100.0, -0.1, 0.0, 0.0]], columns=LEDGER_COLUMNS),
        "accounts": pd.DataFrame([["L", 1.0, 100.0, 50.0, 0.0, 0.1, 0.0, "open"]], columns=ACCOUNT_COLUMNS),
        "summary": {"conservation_residual": np.float64(1e-17), "rows": np.int64(1), "nothing": np.nan},
    }
    return ReplayResult(**{**parts, **changes})


def test_four_files_with_the_columns_of_the_contract(tmp_path):
    written = write_replay(result(), tmp_path / "out" / "deep")
    assert [path.name for path in written] == list(FILES) and sorted(
        p.name for p in written[0].parent.iterdir()
    ) == sorted(FILES)
    assert tuple(pd.read_csv(written[0]).columns) == MARKET_COLUMNS
    assert tuple(pd.read_csv(written[1]).columns) == LEDGER_COLUMNS
    assert tuple(pd.read_csv(written[2]).columns) == ACCOUNT_COLUMNS


def test_numbers_come_back_bit_for_bit_and_infinity_is_readable(tmp_path):
    market = pd.read_csv(write_replay(result(), tmp_path)[0])
    assert market["index"][0] == 0.1 + 0.2 and np.isinf(market["upper_limit"][0]) and market["time"][0] == 1781274600


def test_times_are_written_as_they_came(tmp_path):
    seconds = [path.read_text() for path in write_replay(result(), tmp_path)]
    dates = [path.read_text() for path in write_replay(result(), tmp_path, dates=True)]
    assert "\n1781274600,pre" in seconds[0] and "1781274600.5,L" in seconds[1]
    assert "2026-06-12T14:30:00Z,pre" in dates[0] and "2026-06-12T14:30:00.500000Z,L" in dates[1]


def test_summary_is_strict_json(tmp_path):
    summary = json.loads(write_replay(result(), tmp_path)[3].read_text())
    assert summary == {"conservation_residual": 1e-17, "rows": 1, "nothing": None}


def test_an_unwritable_folder_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        write_replay(result(), tmp_path / "file" / "out")


def test_results_refuse_foreign_words_and_columns():
    with pytest.raises(ValueError):
        result(market=pd.DataFrame({"time": [0]}))
    with pytest.raises(ValueError):
        result(accounts=pd.DataFrame([["L", 1.0, 100.0, 50.0, 0.0, 0.1, 0.0, "gone"]], columns=ACCOUNT_COLUMNS))
    with pytest.raises(ValueError):
        result(summary={})
