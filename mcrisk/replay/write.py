"""Write a replay's files: market.csv, ledger.csv, accounts.csv, summary.json (design contract 4.5)."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mcrisk.errors import InputError
from mcrisk.replay.result import ReplayResult

FILES = ("market.csv", "ledger.csv", "accounts.csv", "summary.json")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_replay(result: ReplayResult, folder: str | Path, *, dates: bool = False) -> list[Path]:
    """Write the four files into `folder` (made when missing) and return their paths.

    Times are epoch seconds in the tables; `dates` writes them as ISO-8601, as the price file had them.
    Numbers are written so that reading them gives the same bits. Each file appears complete or not at all.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        written = []
        for name, frame in (
            ("market.csv", result.market),
            ("ledger.csv", result.ledger),
            ("accounts.csv", result.accounts),
        ):
            written.append(_replace(target / name, lambda path, frame=frame: _table(frame, path, dates)))
        written.append(
            _replace(target / "summary.json", lambda path: path.write_text(_json(result.summary), encoding="utf-8"))
        )
        return written
    except OSError as error:
        raise InputError(
            "the output folder cannot be written", str(target), str(error), "give another --out"
        ) from error


def _replace(path: Path, write: Any) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _table(frame: pd.DataFrame, path: Path, dates: bool) -> None:
    frame = frame.copy(deep=False)
    if "time" in frame.columns:
        frame["time"] = [_iso(t) for t in frame["time"]] if dates else [_seconds(t) for t in frame["time"]]
    frame.to_csv(path, index=False, lineterminator="\n")


def _seconds(time: float) -> str:
    """Whole seconds without a trailing '.0', so that a file of integers gives integers back."""
    value = float(time)
    return str(int(value)) if value.is_integer() else repr(value)


def _iso(time: float) -> str:
    moment = _EPOCH + timedelta(microseconds=round(float(time) * 1e6))
    return moment.isoformat(timespec="seconds" if moment.microsecond == 0 else "microseconds").replace("+00:00", "Z")


def _json(summary: dict[str, Any]) -> str:
    return json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """JSON has neither numpy scalars nor NaN nor infinity: the first become numbers, the others null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
