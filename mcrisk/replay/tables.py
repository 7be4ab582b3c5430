"""Tables from CSV, Parquet or DataFrames, with the place of every cell kept for error messages.

A replay is judged by its inputs, so nothing is guessed here: text that is no number is an error with file and line,
an empty cell is NaN, and the caller says what NaN means in its column.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from mcrisk.errors import InputError

Source = str | Path | pd.DataFrame | Mapping | Sequence

_EMPTY = {"", "nan", "na", "n/a", "null", "none", "<na>", "nat"}  # texts that mean: no value in this cell
_TOO_LATE = 1e11  # seconds; the year 5138. Larger numbers are milliseconds or nanoseconds written as seconds


@dataclass(frozen=True)
class Table:
    """Columns as read, plus what is needed to name a cell: the source's label and each row's line in it."""

    label: str
    frame: pd.DataFrame
    lines: np.ndarray
    unit: str  # "line" in a text file (header = line 1), "row" elsewhere (first = row 0)

    def __len__(self) -> int:
        return len(self.frame)

    def has(self, column: str) -> bool:
        """Is the column there at all? A missing column and an empty cell mean different things."""
        return column in self.frame.columns

    def at(self, position: int, column: str | None = None) -> str:
        """The place of a row (and column) in words."""
        where = f"{self.label}, {self.unit} {self.lines[position]}"
        return f"{where}, column '{column}'" if column else where


def read_table(source: Source, label: str | None = None) -> Table:
    """Read a CSV or Parquet file, or take a DataFrame or what makes one: columns by name, a list of rows, an xarray Dataset.

    Raises InputError when it cannot be read or has no rows.
    """
    if not isinstance(source, (str, Path)):
        source = _frame(source, label or "table")
        frame, name, lines, unit = source.reset_index(drop=True), label or "table", np.arange(len(source)), "row"
    else:
        path = Path(source)
        name = str(path)
        if not path.is_file():
            raise InputError(
                "no such file", name, "it does not exist or is a folder", "give the path of a CSV or Parquet file"
            )
        if path.suffix.lower() in {".parquet", ".pq"}:
            frame, unit = _parquet(path, name), "row"
            lines = np.arange(len(frame))
        else:
            frame, unit = _csv(path, name), "line"
            lines = np.arange(len(frame)) + 2
    return _cleaned(frame, name, lines, unit)


def _frame(source: object, name: str) -> pd.DataFrame:
    """A table given as an object."""
    if isinstance(source, pd.DataFrame):
        named = source.index.name in ("time", "account_id") and source.index.name not in source.columns
        return source.reset_index() if named else source
    try:
        if hasattr(source, "to_dataframe"):   # an xarray Dataset: its coordinates are columns, too
            return source.to_dataframe().reset_index()
        if isinstance(source, (Mapping, Sequence)):
            return pd.DataFrame(source)
    except (TypeError, ValueError) as error:
        raise InputError("not a table", name, _first_line(error), "give columns of one length, or a file") from error
    raise InputError("not a table", name, f"a {type(source).__name__} has no columns",
                     "give a file, a DataFrame, columns by name, a list of rows or an xarray Dataset")


def _parquet(path: Path, name: str) -> pd.DataFrame:
    try:
        return _frame(pd.read_parquet(path), name)
    except Exception as error:  # pyarrow raises a dozen kinds, some of them plain OSError
        raise InputError(
            "not a readable Parquet file", name, _first_line(error), "write it again, or give CSV"
        ) from error


def _csv(path: Path, name: str) -> pd.DataFrame:
    """All cells as text: what counts as a number is decided per column, with its line at hand."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError("file cannot be read", name, _first_line(error), "check its permissions") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not a text file", name, f"byte {error.start} is not UTF-8", "save it as UTF-8 CSV") from error
    return _csv_text(text, name)


def _csv_text(text: str, name: str) -> pd.DataFrame:
    if not text.strip():
        raise InputError(
            "empty file", name, "there is no header and no row", "write a header line and at least one row"
        )
    if "\0" in text:
        raise InputError("not a text file", name, "it contains a NUL character", "save it as UTF-8 CSV")
    try:
        return pd.read_csv(
            StringIO(text),
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            header=None,
            engine="c",
            on_bad_lines="error",
        ).pipe(_header_from_first_row, name)
    except InputError:
        raise
    except Exception as error:  # ParserError, csv.Error, OverflowError, ... all mean: no table in there
        raise InputError(
            "not a readable CSV file",
            name,
            _first_line(error),
            "every line needs as many commas as the header; quote text that contains one",
        ) from error


def _header_from_first_row(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    """Own header handling: pandas would rename a repeated column in silence."""
    header = [str(cell) if isinstance(cell, str) else "" for cell in raw.iloc[0]]
    if not any(cell.strip() for cell in header):
        raise InputError("no header", f"{name}, line 1", "the first line is blank", "start with the column names")
    frame = raw.iloc[1:].reset_index(drop=True)
    frame.columns = header
    return frame


def _cleaned(frame: pd.DataFrame, name: str, lines: np.ndarray, unit: str) -> Table:
    frame = frame.copy(deep=False)
    frame.columns = [str(column).strip() for column in frame.columns]
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise InputError(f"column '{doubled[0]}' appears twice", name, "it is not clear which one counts", "keep one")
    if unit == "line":  # a blank line is no row, but it keeps its number
        blank = np.ones(len(frame), bool)
        for column in frame.columns:
            blank &= _is_empty(frame[column])
        frame, lines = frame[~blank].reset_index(drop=True), lines[~blank]
    if len(frame) == 0:
        raise InputError(
            "empty file" if unit == "line" else "empty table", name, "there is no row", "give at least one row"
        )
    return Table(name, frame, lines, unit)


def _is_empty(column: pd.Series) -> np.ndarray:
    missing = column.isna().to_numpy(bool)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return missing
    text = column.astype(str).str.strip().str.lower()
    return missing | text.isin(_EMPTY).to_numpy(bool)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def require_columns(table: Table, required: Sequence[str], optional: Sequence[str]) -> list[str]:
    """Raise when a required column is missing; return a remark for each unknown one (it is ignored)."""
    for column in required:
        if not table.has(column):
            close = difflib.get_close_matches(column, list(table.frame.columns), 1)
            hint = f"; '{close[0]}' looks like it" if close else ""
            raise InputError(
                f"column '{column}' is missing",
                table.label,
                f"there are {', '.join(map(repr, table.frame.columns))}{hint}",
                f"add '{column}'",
            )
    known = {*required, *optional}
    remarks = []
    for column in table.frame.columns:
        if column not in known:
            close = difflib.get_close_matches(column, sorted(known), 1)
            remarks.append(
                f"{table.label}: column '{column}' is not used" + (f"; did you mean '{close[0]}'?" if close else "")
            )
    return remarks


def numbers(
    table: Table,
    column: str,
    *,
    required: bool = False,
    minimum: float | None = None,
    positive: bool = False,
    infinite: bool = False,
) -> np.ndarray:
    """A column as float64, NaN where a cell is empty. Raises InputError with the line of the first bad cell."""
    series = table.frame[column]
    empty = _is_empty(series)
    values = _floats(series, empty)
    _refuse(
        table, column, ~empty & np.isnan(values), "is not a number", "a number is needed here", "write a plain number"
    )
    if required:
        _refuse(table, column, empty, "is empty", "a value is needed in every row", "fill it in or leave the row out")
    if not infinite:
        _refuse(table, column, np.isinf(values), "is infinite", "a finite number is needed", "write a plain number")
    if positive:
        _refuse(table, column, values <= 0, "is not positive", "a price or ratio must be above zero", "correct it")
    elif minimum is not None:
        _refuse(
            table, column, values < minimum, f"is below {minimum:g}", "this column cannot be negative", "correct it"
        )
    return values


def _floats(series: pd.Series, empty: np.ndarray) -> np.ndarray:
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_datetime64_any_dtype(series):
        return np.full(len(series), np.nan)  # neither is a number to us
    if pd.api.types.is_numeric_dtype(series):
        return series.to_numpy(np.float64, na_value=np.nan)
    text = series.astype(str).str.strip().where(~empty, "0")
    plain = text.str.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?inf").to_numpy(bool)
    values = np.full(len(series), np.nan)
    values[plain] = text[plain].astype(float).to_numpy()
    values[empty] = np.nan
    return values


def _refuse(table: Table, column: str, bad: np.ndarray, what: str, why: str, remedy: str) -> None:
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        cell = table.frame[column].iloc[first]
        shown = "" if what == "is empty" else f" '{str(cell)[:40]}'"
        raise InputError(f"'{column}'{shown} {what}", table.at(first, column), why, remedy)


def texts(table: Table, column: str) -> list[str]:
    """A column as stripped text, '' where a cell is empty."""
    series, empty = table.frame[column], _is_empty(table.frame[column])
    return ["" if gone else str(cell).strip() for cell, gone in zip(series, empty)]


def times(table: Table, column: str = "time") -> tuple[np.ndarray, bool]:
    """Epoch seconds, and whether they were written as dates. A date without a zone is UTC."""
    series, empty = table.frame[column], _is_empty(table.frame[column])
    _refuse(table, column, empty, "is empty", "every row needs its time", "fill it in or leave the row out")
    if pd.api.types.is_datetime64_any_dtype(series):
        return _epoch(pd.to_datetime(series, utc=True)), True
    seconds = _floats(series, empty)
    if not np.isnan(seconds[0]):
        _refuse(
            table,
            column,
            np.isnan(seconds),
            "is not a number of seconds",
            "the first row gives seconds",
            "write all times alike",
        )
        _refuse(
            table,
            column,
            np.abs(seconds) > _TOO_LATE,
            "lies too far off",
            "times are seconds; these look like milliseconds or less",
            "divide by 1000, or write ISO-8601 dates",
        )
        return seconds, False
    dates = pd.to_datetime(series.astype(str).str.strip(), utc=True, format="ISO8601", errors="coerce")
    _refuse(
        table,
        column,
        dates.isna().to_numpy(),
        "is no time",
        "times are seconds or ISO-8601 dates",
        "write e.g. 1789000000 or 2026-06-12T14:30:00Z",
    )
    return _epoch(dates), True


def _epoch(dates: pd.Series) -> np.ndarray:
    return dates.dt.as_unit("us").astype("int64").to_numpy() / 1e6
