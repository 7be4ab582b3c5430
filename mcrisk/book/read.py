"""Read a book of accounts from CSV or Parquet, and refuse what cannot be a book, naming the row.

Columns: account_id, quantity (signed, units of the underlying), entry_price, collateral; market (may be missing with
one market), margin_mode (isolated | cross; default isolated), user_class. Rows are counted from 1 after the header.
"""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from mcrisk.book.table import CROSS, HOUSE, ISOLATED, MARGIN_MODES, TRADER, Book
from mcrisk.errors import InputError

REQUIRED = ("account_id", "quantity", "entry_price", "collateral")
OPTIONAL = ("market", "margin_mode", "user_class")
_LARGEST = 1e150  # two such numbers still multiply within float64
Rows = list[dict[str, object]]


def read_book(
    path: str | PathLike[str],
    markets: Sequence[str],
    house_account: str | None = None,
    tolerance: float = 1e-6,
) -> Book:
    """The accounts of a file as a `Book` over `markets`, in file order.

    Rows of one cross account are merged (their collateral adds up); an isolated account with several markets becomes
    one row `id@market` per market. Longs and shorts may differ by `tolerance` of the one-sided quantity; beyond that
    `house_account` takes the difference at the mean entry price, or InputError is raised.

    Raises:
        InputError: nothing else, whatever the file contains.
    """
    path = Path(path)
    columns, rows = _table(path)
    ignored = _check_columns(columns, path, len(markets))
    if not rows:
        raise InputError("the book has no accounts", where=str(path), remedy="add at least one long and one short")
    records = [_record(row, number, path, tuple(markets)) for number, row in enumerate(rows, start=1)]
    _refuse_duplicates(records, path)
    book = _assemble(records, tuple(markets), path, ignored)
    return _balanced(book, house_account, tolerance, path)


# ---------------------------------------------------------------- files
def _table(path: Path) -> tuple[list[str], Rows]:
    if not path.is_file():
        raise InputError(
            "no such file" if not path.exists() else "not a file",
            where=str(path),
            remedy="give a CSV or Parquet file of accounts",
        )
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _read_parquet(path)
        return _read_csv(path)
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=f"{path}, byte {error.start}") from error
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror or error}", where=str(path)) from error


def _read_csv(path: Path) -> tuple[list[str], Rows]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.reader(handle, strict=True)
        try:
            columns = [cell.strip() for cell in next(reader, [])]
            rows: Rows = []
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    raise InputError(
                        f"{len(cells)} cells under {len(columns)} columns",
                        where=f"{path}, row {len(rows) + 1} (line {reader.line_num})",
                    )
                rows.append(dict(zip(columns, cells)))
        except csv.Error as error:
            raise InputError(f"not a CSV table: {error}", where=f"{path}, line {reader.line_num}") from error
    return columns, rows


def _read_parquet(path: Path) -> tuple[list[str], Rows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()  # read_table would take `a=1` in a folder name for a column
        columns = list(table.column_names)
        values = [table.column(i).to_pylist() for i in range(len(columns))]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InputError(f"not a Parquet table: {error}", where=str(path)) from error
    return columns, [dict(zip(columns, cells)) for cells in zip(*values)]


def _check_columns(columns: list[str], path: Path, markets: int) -> tuple[str, ...]:
    """Raises on missing, repeated or misspelt columns; returns those nobody reads."""
    where = f"{path}, header"
    known = REQUIRED + OPTIONAL
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(f"column '{name}' is there {columns.count(name)} times", where=where)
    needed = REQUIRED + (("market",) if markets > 1 else ())
    missing = [name for name in needed if name not in columns]
    others = [name for name in columns if name not in known]
    for name in others:
        near = difflib.get_close_matches(name, [k for k in known if k not in columns], n=1, cutoff=0.75)
        if near:
            raise InputError(f"unknown column '{name}'", where=where, remedy=f"did you mean '{near[0]}'?")
    if missing:
        raise InputError(
            f"column '{missing[0]}' is missing",
            where=where,
            why=f"a book has the columns {', '.join(needed)}",
            remedy=f"found: {', '.join(columns) or 'none'}",
        )
    return tuple(others)


# ---------------------------------------------------------------- rows
def _record(row: dict[str, object], number: int, path: Path, markets: tuple[str, ...]) -> dict:
    where = f"{path}, row {number}"
    account = _text(row, "account_id", where)
    if not account:
        raise InputError("account_id is empty", where=where)
    if "\0" in account:
        raise InputError(
            f"account_id '{account[:40]}' contains a NUL character",
            where=where,
            why="arrays of text cannot carry it, two accounts might become one",
        )
    market = _text(row, "market", where) or (markets[0] if len(markets) == 1 else "")
    if market not in markets:
        near = difflib.get_close_matches(market, markets, n=1)
        raise InputError(
            f"unknown market '{market}'",
            where=where,
            why=f"this venue trades {', '.join(markets)}",
            remedy=f"did you mean '{near[0]}'?" if near else None,
        )
    mode = _text(row, "margin_mode", where).lower() or "isolated"
    if mode not in MARGIN_MODES:
        raise InputError(f"unknown margin_mode '{mode}'", where=where, why=f"allowed: {', '.join(MARGIN_MODES)}")
    quantity = _number(row, "quantity", where)
    entry = _number(row, "entry_price", where)
    collateral = _number(row, "collateral", where)
    if quantity == 0:
        raise InputError("quantity is 0", where=where, remedy="leave accounts without a position out")
    if entry <= 0:
        raise InputError(f"entry_price is {entry:g}", where=where, why="prices are above 0")
    if collateral < 0:
        raise InputError(f"collateral is negative ({collateral:g})", where=where, why="a debt is not collateral")
    return {
        "account": account,
        "market": markets.index(market),
        "mode": MARGIN_MODES.index(mode),
        "class": _text(row, "user_class", where) or TRADER,
        "quantity": quantity,
        "entry": entry,
        "collateral": collateral,
        "row": number,
    }


def _text(row: dict[str, object], column: str, where: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InputError(f"{column} is neither text nor a whole number: {str(value)[:40]}", where=where)
    return str(value) if column == "account_id" else str(value).strip()


def _number(row: dict[str, object], column: str, where: str) -> float:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InputError(f"{column} is empty", where=where, why="a missing number is never taken as 0")
    shown = str(value)[:40]
    if isinstance(value, (bool, bytes)) or (isinstance(value, str) and "_" in value):
        raise InputError(f"{column} is not a number: '{shown}'", where=where)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{column} is not a number: '{shown}'", where=where, why="a decimal point and no thousands separators"
        ) from None
    if not math.isfinite(number) or abs(number) > _LARGEST:
        raise InputError(f"{column} is {shown}", where=where, why=f"numbers are finite and below {_LARGEST:g}")
    return number


def _refuse_duplicates(records: list[dict], path: Path) -> None:
    seen: dict[tuple[str, int], int] = {}
    for record in records:
        earlier = seen.setdefault((record["account"], record["market"]), record["row"])
        if earlier != record["row"]:
            raise InputError(
                f"account '{record['account']}' is there twice in the same market",
                where=f"{path}, rows {earlier} and {record['row']}",
                remedy="merge the two positions",
            )


# ---------------------------------------------------------------- the book
def _row_ids(records: list[dict], markets: tuple[str, ...], path: Path) -> list[str]:
    """Key of the book row of each record: cross positions share one, isolated ones stand alone."""
    positions: dict[str, int] = {}
    for record in records:
        positions[record["account"]] = positions.get(record["account"], 0) + 1
    ids = [
        record["account"]
        if record["mode"] == CROSS or positions[record["account"]] == 1
        else f"{record['account']}@{markets[record['market']]}"
        for record in records
    ]
    owner: dict[str, str] = {}
    for key, record in zip(ids, records):
        if owner.setdefault(key, record["account"]) != record["account"]:
            raise InputError(
                f"two accounts would be called '{key}'",
                where=f"{path}, row {record['row']}",
                why="an isolated account with several markets becomes id@market",
                remedy="rename one of them",
            )
    return ids


def _assemble(records: list[dict], markets: tuple[str, ...], path: Path, ignored: tuple[str, ...]) -> Book:
    ids = _row_ids(records, markets, path)
    index = {key: i for i, key in enumerate(dict.fromkeys(ids))}
    shape = (len(index), len(markets))
    quantity, entry = np.zeros(shape), np.zeros(shape)
    collateral, mode = np.zeros(len(index)), np.full(len(index), ISOLATED, np.int8)
    user_class = [""] * len(index)
    for key, record in zip(ids, records):
        a, m = index[key], record["market"]
        if user_class[a] and user_class[a] != record["class"]:
            raise InputError(f"account '{key}' has two user classes", where=f"{path}, row {record['row']}")
        quantity[a, m], entry[a, m] = record["quantity"], record["entry"]
        collateral[a] += record["collateral"]
        mode[a], user_class[a] = record["mode"], record["class"]
    entry = np.where(entry > 0, entry, _mean_entry(quantity, entry))
    notes = (f"columns not read: {', '.join(ignored)}",) if ignored else ()
    return Book(
        np.array(list(index), dtype=np.str_),
        quantity,
        entry,
        collateral,
        mode,
        np.array(user_class, dtype=np.str_),
        np.zeros(len(index)),
        markets,
        notes,
    )


def _mean_entry(quantity: np.ndarray, entry: np.ndarray) -> np.ndarray:
    """Quantity-weighted entry price per market [M]; 1 where nobody has a position."""
    weight = np.abs(quantity)
    largest = np.maximum(weight.max(0), np.finfo(float).tiny)
    weight = weight / largest  # keeps the products away from overflow
    total = weight.sum(0)
    mean = (weight * entry).sum(0) / np.maximum(total, np.finfo(float).tiny)
    return np.where(total > 0, np.maximum(mean, np.finfo(float).tiny), 1.0)


def _balanced(book: Book, house_account: str | None, tolerance: float, path: Path) -> Book:
    off = book.imbalance()
    worst = int(np.argmax(np.abs(off)))
    if abs(off[worst]) <= tolerance:
        return book
    if house_account is None:
        longer = "longs" if off[worst] > 0 else "shorts"
        raise InputError(
            f"the book is unbalanced: in market '{book.markets[worst]}' {longer} exceed the other side"
            f" by {abs(off[worst]):.3%}",
            where=str(path),
            why="every contract has a long and a short",
            remedy="correct the table, or name a house account that takes the difference (house_account)",
        )
    existing = np.flatnonzero(book.account_id == house_account)
    if len(existing) == 0:
        return book.with_house(house_account, _mean_entry(book.quantity, book.entry_price))
    return _absorbed(book, int(existing[0]), house_account, path)


def _absorbed(book: Book, house: int, name: str, path: Path) -> Book:
    """The difference goes to an account of the file, at the market's mean entry price, collateral unchanged."""
    held = book.quantity[house]
    after = -np.delete(book.quantity, house, axis=0).sum(0)  # not held + gap: a huge held would drown the others
    gap = after - held
    if book.margin_mode[house] == ISOLATED and np.any((gap != 0) & (held == 0) & np.any(held != 0)):
        raise InputError(
            f"house account '{name}' is isolated in another market than the difference",
            where=str(path),
            remedy="make it cross, or name an account that is not in the file",
        )
    quantity, entry = book.quantity.copy(), book.entry_price.copy()
    mean = _mean_entry(book.quantity, book.entry_price)
    # growing positions average their entries; shrinking ones keep theirs; flipped ones start at the mean
    grows = (np.abs(after) > np.abs(held)) & (held * after > 0)
    entry[house] = np.where(grows, (held * entry[house] + gap * mean) / np.where(after == 0, 1, after), entry[house])
    entry[house] = np.where((held * after <= 0) & (gap != 0), mean, entry[house])
    quantity[house] = after
    user_class = book.user_class.astype(object)
    user_class[house] = HOUSE
    note = f"account '{name}' takes the difference {', '.join(f'{g:+.6g} {m}' for g, m in zip(gap, book.markets))}"
    return Book(
        book.account_id,
        quantity,
        entry,
        book.collateral,
        book.margin_mode,
        user_class.astype(np.str_),
        book.depth_share,
        book.markets,
        book.notes + (note,),
    )
