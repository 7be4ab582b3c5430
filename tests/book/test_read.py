"""The reader takes right tables and answers wrong ones with an InputError that names file and row."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcrisk.book.generate import generate
from mcrisk.book.read import read_book
from mcrisk.book.table import CROSS, HOUSE, ISOLATED
from mcrisk.config.book import BookSpec
from mcrisk.errors import InputError

from .venues import venue

HEADER = "account_id,quantity,entry_price,collateral"
GOOD = HEADER + "\nL,2,1000,400\nS,-2,1001.5,500\n"


@pytest.fixture
def write(tmp_path):
    def _write(text, name="book.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


def test_small_table(write):
    book = read_book(write(GOOD), ["X"])
    assert list(book.account_id) == ["L", "S"] and book.markets == ("X",)
    assert np.array_equal(book.quantity, [[2], [-2]]) and np.array_equal(book.entry_price, [[1000], [1001.5]])
    assert np.array_equal(book.collateral, [400, 500]) and set(book.margin_mode) == {ISOLATED}
    assert book.equity(1000.0) == pytest.approx([400, 503])
    assert book.one_sided_open_interest(1000.0)[0] == 2000


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        (HEADER + "\nL,2,1000,400\nL,-2,1000,400\n", "twice", "rows 1 and 2"),
        (HEADER + "\nL,nan,1000,400\nS,-2,1000,400\n", "quantity is nan", "row 1"),
        (HEADER + "\nL,2,NaN,400\nS,-2,1000,400\n", "entry_price is NaN", "row 1"),
        (HEADER + "\nL,2,1000,400\nS,-2,1000,-1\n", "collateral is negative", "row 2"),
        (HEADER + "\nL,0,1000,400\nS,-2,1000,1\n", "quantity is 0", "row 1"),
        (HEADER + "\nL,2,0,400\nS,-2,1000,1\n", "entry_price is 0", "row 1"),
        (HEADER + "\nL,2,-5,400\nS,-2,1000,1\n", "entry_price is -5", "row 1"),
        (HEADER + "\nL,2,inf,400\nS,-2,1000,1\n", "entry_price is inf", "row 1"),
        (HEADER + "\nL,1e999,5,400\nS,-2,1000,1\n", "quantity is 1e999", "row 1"),
        (HEADER + '\nL,"1,000",5,400\nS,-2,1000,1\n', "not a number", "row 1"),
        (HEADER + "\nL,1_0,5,400\nS,-2,1000,1\n", "not a number", "row 1"),
        (HEADER + "\nL,,5,400\nS,-2,1000,1\n", "quantity is empty", "row 1"),
        (HEADER + "\n,2,5,400\nS,-2,1000,1\n", "account_id is empty", "row 1"),
        (HEADER + "\nL,2,1000,400\nS,-1,1000,400\n", "unbalanced", "book.csv"),
        (HEADER + "\nL,2,1000\n", "3 cells under 4 columns", "row 1 (line 2)"),
        (HEADER + "\n", "no accounts", "book.csv"),
        ("", "is missing", "header"),
        ("account_id,quantity,entry_price\nL,1,2\n", "'collateral' is missing", "header"),
        ("account_id,quantity,entry_price,colateral\nL,1,2,3\n", "unknown column 'colateral'", "header"),
        (HEADER + ",collateral\nL,1,2,3,4\n", "2 times", "header"),
        (HEADER + ",market\nL,2,1000,400,Y\nS,-2,1000,400,X\n", "unknown market 'Y'", "row 1"),
        (
            HEADER + ",margin_mode\nL,2,1000,400,crossed\nS,-2,1000,400,cross\n",
            "unknown margin_mode 'crossed'",
            "row 1",
        ),
        (HEADER + '\n"L,2,1000,400\nS,-2,1000,400\n', "not a CSV table", "line"),
        (b"\xff\xfe\x00" + GOOD.encode(), "not UTF-8", "byte 0"),
    ],
)
def test_wrong_tables(write, text, message, where):
    with pytest.raises(InputError) as caught:
        read_book(write(text), ["X"])
    assert message in str(caught.value) and where in str(caught.value) and "book.csv" in str(caught.value)
    assert caught.value.exit_code == 2


def test_files_that_are_none(tmp_path, write):
    with pytest.raises(InputError, match="no such file"):
        read_book(tmp_path / "none.csv", ["X"])
    with pytest.raises(InputError, match="not a file"):
        read_book(tmp_path, ["X"])
    with pytest.raises(InputError, match="Parquet"):
        read_book(write("no parquet at all", "book.parquet"), ["X"])


def test_control_characters_are_data_and_never_reach_a_terminal(write):
    text = HEADER + "\n\x1b[31mL,2,1000,400\nS,-2,1000,400\n"
    assert read_book(write(text), ["X"]).account_id[0] == "\x1b[31mL"
    with pytest.raises(InputError) as caught:
        read_book(write(text.replace("S,-2", "\x1b[31mL,-2")), ["X"])
    assert "\x1b" not in str(caught.value) and "\\x1b[31mL" in str(caught.value)
    with pytest.raises(InputError, match="NUL"):
        read_book(write(HEADER + "\nL\0,2,1000,400\nS,-2,1000,400\n"), ["X"])


def test_house_account_takes_the_difference(write):
    path = write(HEADER + "\nL,3,1000,400\nS,-2,1100,400\n")
    book = read_book(path, ["X"], house_account="house")
    assert book.account_id[-1] == "house" and book.user_class[-1] == HOUSE
    assert book.quantity[:, 0].sum() == 0 and book.quantity[-1, 0] == -1
    assert book.entry_price[-1, 0] == pytest.approx(1040)
    assert "house" in book.notes[0]
    named = read_book(path, ["X"], house_account="S")
    assert list(named.account_id) == ["L", "S"] and named.quantity[1, 0] == -3
    assert named.entry_price[1, 0] == pytest.approx((2 * 1100 + 1040) / 3) and named.collateral[1] == 400


def test_tolerance(write):
    path = write(HEADER + "\nL,1.0000001,1000,400\nS,-1,1000,400\n")
    assert len(read_book(path, ["X"])) == 2
    with pytest.raises(InputError, match="unbalanced"):
        read_book(path, ["X"], tolerance=1e-9)


def test_cross_rows_merge_and_isolated_rows_stand_alone(write):
    rows = ["c,A,1,10,5,cross", "c,B,-1,20,6,cross", "i,A,-1,10,5,isolated", "i,B,1,20,7,isolated"]
    book = read_book(
        write(HEADER.replace("account_id", "account_id,market") + ",margin_mode\n" + "\n".join(rows)), ["A", "B"]
    )
    assert list(book.account_id) == ["c", "i@A", "i@B"]
    assert list(book.collateral) == [11, 5, 7] and list(book.margin_mode) == [CROSS, ISOLATED, ISOLATED]
    assert np.array_equal(book.quantity, [[1, -1], [-1, 0], [0, 1]]) and np.all(book.entry_price > 0)


def test_markets_are_needed_when_there_are_several(write):
    with pytest.raises(InputError, match="'market' is missing"):
        read_book(write(GOOD), ["X", "Y"])


def test_other_columns_are_ignored_aloud(write):
    text = "nickname," + HEADER + "\nx,L,2,1000,400\ny,S,-2,1000,400\n"
    assert read_book(write(text), ["X"]).notes == ("columns not read: nickname",)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_round_trip_of_a_generated_book(spec, tmp_path, suffix):
    changed = BookSpec.model_validate({**spec.model_dump(), "accounts": 300})
    book = generate(changed, venue(), ["A", "B", "C"], 3)
    path = tmp_path / f"book.{suffix}"
    table = book.to_table()
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    back = read_book(path, ["A", "B", "C"])
    held = book.quantity != 0
    for name in ("account_id", "quantity", "collateral", "margin_mode", "user_class"):
        assert np.array_equal(getattr(back, name), getattr(book, name)), name
    assert np.array_equal(back.entry_price[held], book.entry_price[held])


cell = st.one_of(
    st.sampled_from(
        ["", "L", "S", "2", "-2", "nan", "inf", "1e400", "0", "-0", "X", "cross", '"', ",", "\n", "\0", "\x1b[2J"]
    ),
    st.text(max_size=6),
    st.floats().map(str),
    st.integers().map(str),
)
columns = st.lists(
    st.sampled_from(
        ["account_id", "quantity", "entry_price", "collateral", "market", "margin_mode", "user_class", "note"]
    ),
    max_size=9,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=columns, rows=st.lists(st.lists(cell, max_size=9), max_size=6), house=st.sampled_from([None, "h", "L"]))
def test_any_table_is_read_or_refused(tmp_path, head, rows, house):
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    path = tmp_path / "any.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    _read_or_refuse(path, house)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), house=st.sampled_from([None, "house", "a1"]))
def test_mutated_good_tables(tmp_path, data, house):
    """A right table with some cells replaced, rows repeated and bytes flipped."""
    rows = [["account_id", "market", "quantity", "entry_price", "collateral", "margin_mode"]]
    rows += [[f"a{i}", "X", str((-1) ** i), "10", "5", "cross" if i % 3 else "isolated"] for i in range(6)]
    for _ in range(data.draw(st.integers(0, 3))):
        rows[data.draw(st.integers(0, 6))][data.draw(st.integers(0, 5))] = data.draw(cell)
    if data.draw(st.booleans()):
        rows.append(rows[data.draw(st.integers(0, 6))])
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    raw = bytearray(text.getvalue().encode())
    if data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.csv"
    path.write_bytes(bytes(raw))
    _read_or_refuse(path, house)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.one_of(st.none(), st.text(max_size=5), st.integers(), st.booleans()), min_size=1, max_size=5),
    numbers=st.lists(st.one_of(st.floats(), st.none()), min_size=15, max_size=15),
)
def test_any_parquet_is_read_or_refused(tmp_path, ids, numbers):
    n = len(ids)
    frame = pd.DataFrame(
        {
            "account_id": pd.Series(ids, dtype=object),
            "quantity": numbers[:n],
            "entry_price": numbers[5 : 5 + n],
            "collateral": numbers[10 : 10 + n],
        }
    )
    path = tmp_path / "any.parquet"
    try:
        frame.to_parquet(path)
    except Exception:  # a column of mixed types has no Parquet form
        return
    _read_or_refuse(path, None)


def _read_or_refuse(path, house):
    try:
        book = read_book(path, ["X"], house_account=house)
    except InputError as error:
        assert str(path) in str(error) and "\x1b" not in str(error)
        return
    assert abs(book.imbalance()[0]) <= 1e-6 and np.all(book.collateral >= 0)
    assert np.all(np.isfinite(book.quantity)) and np.all(np.isfinite(book.entry_price)) and np.all(book.entry_price > 0)
    assert len(set(book.account_id)) == len(book)
