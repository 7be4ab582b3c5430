"""Reading replay inputs: what each column means when it is there, missing, or empty; which mistakes are named where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mcrisk.config.load import load_venue
from mcrisk.errors import InputError
from mcrisk.replay.read import read_replay
from mcrisk.rules.types import CANCELLED, EXPIRED, POST, PRE, TRANSITION, BookSide, Row

from .profiles import profile

ACCOUNTS = "account_id,quantity,entry_price,collateral\nL,1,100,50\nS,-1,100,50\n"


@pytest.fixture
def read(tmp_path):
    """Write the three texts and read them; None leaves the events out."""

    def go(
        prices: str, accounts: str = ACCOUNTS, events: str | None = None, *, venue=None, ext: str = "csv", **options
    ):
        (tmp_path / "p.csv").write_text(prices)
        (tmp_path / "a.csv").write_text(accounts)
        file = None
        if events is not None:
            file = tmp_path / f"e.{ext}"
            file.write_text(events)
        return read_replay(venue or profile(), tmp_path / "p.csv", tmp_path / "a.csv", file, **options)

    return go


def rejected(read, *words: str, **inputs) -> None:
    with pytest.raises(InputError) as caught:
        read(**inputs)
    for word in words:
        assert word in str(caught.value), str(caught.value)


# ---------------------------------------------------------------- prices
def test_only_time_and_last_gives_a_full_row(read):
    data = read("time,last\n0,100\n3,101\n")
    assert data.row.dt.tolist() == [0, 3] and data.row.utc.tolist() == [0, 3]
    assert data.row.bid.top.tolist() == data.row.ask.top.tolist() == data.row.impact_bid.tolist() == [100, 101]
    assert data.row.bid.present.all() and data.row.has_impact_ask.all() and not data.row.has_external.any()
    assert data.row.trades.tolist() == [1, 1] and np.isinf(data.row.ask.total).all() and data.initial_price == 100


def test_every_field_of_a_row_has_one_finite_entry_per_row(read):
    data = read("time,last,bid,ask,external,depth\n0,100,,101,,500\n1,100,99,,50,\n2,100,99,101,,\n")
    for name, value in data.row._asdict().items():
        for part, array in value._asdict().items() if isinstance(value, BookSide) else [(name, value)]:
            assert array.shape == (3,), name
            assert not np.isnan(array.astype(float)).any(), (name, part)
    assert set(data.row._fields) == set(Row._fields)


def test_an_empty_quote_is_a_missing_side_and_a_missing_column_is_last(read):
    data = read("time,last,bid\n0,100,99\n1,100,\n")
    assert data.row.bid.present.tolist() == [True, False] and data.row.ask.present.tolist() == [True, True]
    assert data.row.has_impact_bid.tolist() == [True, False], "impact quotes default to the quotes"


def test_depth_is_quote_money_on_each_side(read):
    data = read("time,last,bid,ask,depth\n0,100,80,125,1000\n1,100,80,125,\n")
    assert data.row.bid.total.tolist() == [12.5, np.inf] and data.row.ask.total.tolist() == [8.0, np.inf]
    assert np.isinf(data.row.bid.refill).all() and (data.row.bid.consumed == 0).all()


def test_iso_times_become_epoch_seconds(read):
    data = read("time,last\n2026-06-12T14:30:00Z,100\n2026-06-12T16:30:02.5+02:00,100\n")
    assert data.dates and data.row.utc[0] == 1781274600 and data.row.dt.tolist() == [0, 2.5]


def test_a_date_without_a_zone_is_utc(read):
    assert read("time,last\n2026-06-12 14:30:00,100\n").row.utc[0] == 1781274600


def test_external_is_held_and_a_rebase_changes_its_unit(read):
    prices = "time,last,external\n0,100,50\n1,100,\n2,10,\n3,10,6\n"
    data = read(prices, events="time,event,ratio\n2,rebase,10\n", venue=profile({"kind": "smoothed_feed"}))
    assert data.row.external.tolist() == [50, 50, 5, 6] and data.row.has_external.tolist() == [True, False, False, True]


def test_parquet_and_frames_read_like_csv(read, tmp_path):
    frame = pd.DataFrame({"time": [0, 1], "last": [100.0, 101.0], "bid": [99.0, np.nan]})
    book = pd.DataFrame(
        {"account_id": ["L", "S"], "quantity": [1, -1], "entry_price": [100, 100], "collateral": [50, 50]}
    )
    frame.to_parquet(tmp_path / "p.parquet")
    book.to_parquet(tmp_path / "a.parquet")
    from_text = read("time,last,bid\n0,100,99\n1,101,\n")
    for got in (
        read_replay(profile(), tmp_path / "p.parquet", tmp_path / "a.parquet"),
        read_replay(profile(), frame, book),
    ):
        assert got.row.bid.present.tolist() == from_text.row.bid.present.tolist()
        assert got.row.last.tolist() == from_text.row.last.tolist() and got.accounts.account_id == ("L", "S")


def test_datetime_columns_of_frames(read):
    frame = pd.DataFrame({"time": pd.date_range("2026-06-12T14:30", periods=2, freq="3s"), "last": [1.0, 2.0]})
    book = pd.DataFrame({"account_id": [7], "quantity": [0.0], "entry_price": [1.0], "collateral": [0.0]})
    data = read_replay(profile(), frame, book)
    assert data.dates and data.row.utc.tolist() == [1781274600, 1781274603] and data.accounts.account_id == ("7",)


def test_blank_lines_keep_line_numbers(read):
    assert read("time,last\n0,100\n\n1,101\n\n").row.last.tolist() == [100, 101]
    rejected(read, "p.csv, line 4", prices="time,last\n0,100\n\n1,x\n")


def test_unused_columns_are_remarked_with_the_near_name(read):
    remarks = read("time,last,externl\n0,100,5\n").remarks
    assert any("externl" in remark and "external" in remark for remark in remarks)


def test_a_gap_in_time_is_told_with_its_row_and_allowed(read):
    rows = [f"{60 * i},100" for i in range(5)] + ["90000,100", "90060,100"]
    remarks = read("\n".join(["time,last", *rows]) + "\n").remarks
    assert any("line 7" in remark and "89760 s after the row before" in remark for remark in remarks)
    assert not any("after the row before" in r for r in read("time,last\n0,100\n60,100\n600,100\n660,100\n").remarks)


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ("", ("empty file", "p.csv")),
        ("time,last\n", ("empty file", "p.csv")),
        ("last\n100\n", ("'time' is missing",)),
        ("time,last\n0,100\n0,100\n", ("repeats", "line 3")),
        ("time,last\n1,100\n0,100\n", ("goes back", "line 3")),
        ("time,last\n0,100\n1,\n", ("'last' is empty", "line 3")),
        ("time,last\n0,100\n1,nan\n", ("'last' is empty", "line 3")),
        ("time,last\n0,100\n1,0\n", ("'last' '0' is not positive", "line 3")),
        ("time,last\n0,100\n1,-5\n", ("not positive", "line 3")),
        ("time,last\n0,100\n1,inf\n", ("infinite", "line 3")),
        ("time,last\n0,100\n1,12 dollars\n", ("12 dollars", "line 3")),
        ("time,last,bid\n0,100,99\n1,100,-1\n", ("'bid'", "line 3")),
        ("time,last,depth\n0,100,-1\n", ("'depth'", "line 2")),
        ("time,last,trades\n0,100,1.5\n", ("whole number", "line 2")),
        ("time,last\n0,100\n1,100,7\n", ("not a readable CSV",)),
        ("time,time,last\n0,0,100\n", ("twice",)),
        ("time,last\n1789000000000,100\n", ("milliseconds", "line 2")),
        ("time,last\n0,100\n2026-06-12,100\n", ("seconds", "line 3")),
        ("time,last\n2026-06-12,100\nlater,100\n", ("'time' 'later'", "line 3")),
        ("time,last\n2026-06-12,100\n2026-13-12,100\n", ("2026-13-12", "line 3")),
        ("time,last\n,100\n", ("'time' is empty", "line 2")),
    ],
)
def test_wrong_prices_are_named(read, prices, words):
    rejected(read, *words, prices=prices)


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.csv").write_text(ACCOUNTS)
    (tmp_path / "noise.csv").write_bytes(b"\xff\xfe\x00time")
    (tmp_path / "noise.parquet").write_bytes(b"PAR1 is not all of it")
    for name in ("none.csv", "noise.csv", "noise.parquet", "."):
        with pytest.raises(InputError):
            read_replay(profile(), tmp_path / name, tmp_path / "a.csv")


# ---------------------------------------------------------------- external where the index needs one
def test_a_feed_index_needs_the_feed_from_row_0(read):
    rejected(
        read,
        "no external index",
        "line 2",
        prices="time,last,external\n0,100,\n1,100,100\n",
        venue=profile({"kind": "smoothed_feed"}),
    )
    rejected(read, "no external index", prices="time,last\n0,100\n", venue=profile({"kind": "blend"}))


def test_a_last_trade_index_needs_spot_from_the_listing_on(read):
    venue, prices = profile({"kind": "last_trade"}), "time,last\n0,100\n1,100\n2,100\n"
    assert read(prices, venue=venue).rows == 3
    rejected(read, "no external index", "line 3", prices=prices, events="time,event\n1,listed\n", venue=venue)


def test_spot_from_converted_waits_for_conversion(read):
    venue = profile({"kind": "last_trade", "spot_from": "converted"}, {"kind": "external"})
    prices = "time,last,external\n0,100,\n1,100,\n2,100,\n"
    assert read(prices, events="time,event\n1,listed\n", venue=venue).phase.tolist() == [PRE, TRANSITION, TRANSITION]
    rejected(read, "line 4", prices=prices, events="time,event\n1,listed\n2,converted\n", venue=venue)


def test_internal_pricing_needs_no_external_at_all(read):
    assert read("time,last\n0,100\n1,100\n", events="time,event\n1,converted\n").phase.tolist() == [PRE, POST]


def test_rows_after_settlement_need_nothing(read):
    venue = profile({"kind": "last_trade"})
    data = read("time,last,external\n0,100,\n1,100,\n2,100,\n", events="time,event\n1,cancelled\n", venue=venue)
    assert data.settle_row == 1 and data.rows == 2


# ---------------------------------------------------------------- events
def test_an_event_acts_in_the_first_row_at_or_after_its_time(read):
    data = read("time,last\n0,100\n10,100\n20,100\n", events="time,event\n10,listed\n10.5,converted\n")
    assert data.row.listed.tolist() == [False, True, False] and data.row.converted.tolist() == [False, False, True]


def test_halts_cover_rows_and_rebases_multiply(read):
    data = read(
        "time,last\n0,1\n1,1\n2,1\n3,1\n", events="time,event,ratio\n1,halted,\n1.5,rebase,2\n2,rebase,5\n3,resumed,\n"
    )
    assert data.row.halted.tolist() == [False, True, True, False] and data.row.rebase.tolist() == [1, 1, 10, 1]


@pytest.mark.parametrize(("kind", "code"), [("cancelled", CANCELLED), ("expired", EXPIRED)])
def test_settlement_carries_its_price(read, kind, code):
    data = read("time,last\n0,1\n1,1\n2,1\n", events=f"time,event,price\n1,{kind},0.5\n")
    assert (
        data.row.settle.tolist() == [0, code, 0]
        and data.row.settle_price[1] == 0.5
        and data.row.has_settle_price.tolist() == [False, True, False]
    )


def test_yaml_events_dates_and_a_wrapped_list(read):
    prices = "time,last\n2026-06-12T14:30:00Z,100\n2026-06-12T14:31:00Z,100\n"
    for text in ("- {time: 2026-06-12T14:30:10Z, event: halted}\n", "events:\n- time: 1781274610\n  event: halted\n"):
        assert read(prices, events=text, ext="yaml").row.halted.tolist() == [False, True]
    assert read(prices, events="", ext="yaml").events == ()


def test_a_future_expires_by_itself_unless_told_otherwise(read):
    venue = profile(settlement={"cancellation": [{"price": "tick"}], "expires_after_listing": 5.0})
    prices = "time,last\n" + "".join(f"{t},100\n" for t in range(9))
    assert read(prices, events="time,event\n1,listed\n", venue=venue).settle_row == 6
    assert read(prices, events="time,event\n1,listed\n4,expired\n", venue=venue).settle_row == 4
    assert read(prices, events="time,event\n7,listed\n", venue=venue).settle_row is None
    rejected(read, "after settlement", prices=prices, events="time,event\n1,listed\n7,halted\n", venue=venue)


def test_the_final_hour_is_known_before_an_expiry_only(read):
    prices = "time,last\n0,1\n1,1\n3600,1\n3601,1\n"
    assert read(prices, events="time,event\n3601,expired\n").row.final_hour.tolist() == [False, False, True, True]
    assert not read(prices, events="time,event\n3601,cancelled\n").row.final_hour.any()


def test_an_event_before_the_first_row_acts_in_it(read):
    data = read("time,last\n0,1\n5,1\n", events="time,event\n-9,listed\n")
    assert data.row.listed.tolist() == [True, False] and any("before the first row" in remark for remark in data.remarks)


def test_the_hour_before_a_settlement_counts_by_the_second(read):
    data = read("time,last\n0,1\n3000,1\n6000,1\n6600,1\n", events="time,event\n6600,expired\n")
    assert data.row.averaging.tolist() == [0.0, 0.0, 3000.0, 600.0]


def test_of_several_ways_to_settle_the_most_probable_is_taken(read):
    venue = load_venue("okx-premarket-perp", ())
    data = read("time,last\n0,1\n5,1\n", events="time,event\n5,cancelled\n", venue=venue)
    assert data.row.settle_draw[0] > 0.25 and any("last_hour_index" in remark for remark in data.remarks)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ("time,event\n5,listed\n4,converted\n", ("out of order", "line 3")),
        ("time,event\n4,liste\n", ("unknown event 'liste'", "'listed'", "line 2")),
        ("time,event\n99,listed\n", ("after the end", "line 2")),
        ("time,event\n1,rebase\n", ("without its ratio",)),
        ("time,event,ratio\n1,rebase,0\n", ("'ratio'", "line 2")),
        ("time,event,ratio\n1,rebase,x\n", ("'ratio'", "line 2")),
        ("time,event,price\n1,listed,5\n", ("carries a price",)),
        ("time,event\n1,resumed\n", ("not halted",)),
        ("time,event\n1,halted\n2,halted\n", ("halted already", "line 3")),
        ("time,event\n1,converted\n2,listed\n", ("out of order", "line 3")),
        ("time,event\n1,cancelled\n2,halted\n", ("after settlement", "line 3")),
        ("time\n1\n", ("'event' is missing",)),
    ],
)
def test_wrong_events_are_named(read, events, words):
    rejected(read, *words, prices="time,last\n0,1\n5,1\n10,1\n", events=events)


@pytest.mark.parametrize(
    "text", ["a: [1", "5", "- 3", "- {time: [1], event: listed}", "- {1: 2}", "!!python/object/apply:os.system [ls]"]
)
def test_wrong_yaml_is_named(read, text):
    rejected(read, "e.yaml", prices="time,last\n0,1\n", events=text, ext="yaml")


def test_a_cancellation_at_a_given_price_needs_it(read):
    venue = profile(settlement={"cancellation": [{"price": "given"}]})
    rejected(
        read, "without a price", "line 2", prices="time,last\n0,1\n", events="time,event\n0,cancelled\n", venue=venue
    )
    assert read("time,last\n0,1\n", events="time,event,price\n0,cancelled,3\n", venue=venue).settle_row == 0


# ---------------------------------------------------------------- accounts
def test_accounts_keep_file_order_and_optional_columns(read):
    head = "account_id,market,quantity,entry_price,collateral,margin_mode,user_class\n"
    text = head + "b,X,2,100,50,cross,maker\na,X,-2,100,0,,\n"
    book = read("time,last\n0,100\n", text).accounts
    assert (
        book.account_id == ("b", "a")
        and book.cross.tolist() == [True, False]
        and book.user_class == ("maker", "")
        and book.market == "X"
    )


def test_an_unbalanced_book_is_remarked(read):
    assert any(
        "sum to 1" in r
        for r in read("time,last\n0,100\n", "account_id,quantity,entry_price,collateral\nL,1,100,50\n").remarks
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("L,1,100,50\nL,-1,100,50\n", ("'L' appears twice", "line 3")),
        ("L,1,100,-50\n", ("'collateral'", "line 2")),
        ("L,1,0,50\n", ("'entry_price'", "line 2")),
        ("L,many,100,50\n", ("'quantity' 'many'", "line 2")),
        ("L,,100,50\n", ("'quantity' is empty", "line 2")),
        (",1,100,50\n", ("'account_id' is empty", "line 2")),
    ],
)
def test_wrong_accounts_are_named(read, rows, words):
    rejected(read, *words, prices="time,last\n0,1\n", accounts="account_id,quantity,entry_price,collateral\n" + rows)


def test_an_account_in_another_market(read):
    text = "account_id,market,quantity,entry_price,collateral\nL,X,1,100,50\nS,Y,-1,100,50\n"
    rejected(read, "unknown market 'Y'", "line 3", prices="time,last\n0,1\n", accounts=text)
    rejected(read, "unknown market 'X'", "line 2", prices="time,last\n0,1\n", accounts=text, market="Z")


def test_an_unknown_margin_mode(read):
    rejected(
        read,
        "margin mode 'both'",
        prices="time,last\n0,1\n",
        accounts="account_id,quantity,entry_price,collateral,margin_mode\nL,1,100,50,both\n",
    )
