"""Whatever is in the files, reading them ends in a ReplayInput or in an InputError that names the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcrisk.errors import InputError
from mcrisk.replay.read import read_replay

from .profiles import profile

PRICES = "time,last,bid,ask,impact_bid,impact_ask,external,depth,trades\n" + "".join(
    f"{60 * i},100.5,100,101,99,102,{'' if i % 2 else 100},5000,3\n" for i in range(5)
)
EVENTS = (
    "time,event,price,ratio\n60,listed,,\n60,halted,,\n120,resumed,,\n"
    "150,rebase,,2.5\n180,converted,,\n240,cancelled,12,\n"
)
YAML_EVENTS = "events:\n- {time: 60, event: listed}\n- {time: 2026-06-12T14:30:00Z, event: cancelled, price: 3}\n"
ACCOUNTS = "account_id,market,quantity,entry_price,collateral,margin_mode\nL,M,1,100,50,cross\nS,M,-1,100,50,isolated\n"

_PIECES = [
    "",
    ",",
    "\n",
    "\r",
    '"',
    "'",
    ";",
    "\t",
    " ",
    "-",
    "+",
    ".",
    "e",
    "inf",
    "nan",
    "NaN",
    "1e999",
    "1e308",
    "-0",
    "0x10",
    "1_0",
    "\x00",
    "\ufeff",
    "é",
    "٣",
    "2026-06-12",
    "9999-12-31",
    "0001-01-01",
    "24:00",
    "true",
    "{",
    "}",
    "[",
    "]",
    ":",
    "#",
    "&a",
    "*a",
    "!!",
    "<<",
    "time",
    "last",
    "event",
    "rebase",
    "99999999999999999999",
    "1e-320",
]


@st.composite
def mutated(draw, text: str) -> str:
    """The text with a few pieces cut out, put in, doubled or swapped."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.sampled_from(_PIECES), st.text(max_size=6), st.just(text[at:to] * 2)))
        text = text[:at] + piece + text[to:]
    return text


VENUES = [profile(), profile({"kind": "smoothed_feed"}), profile({"kind": "last_trade"}, {"kind": "external"})]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), which=st.sampled_from(["prices", "events", "yaml", "accounts"]), venue=st.sampled_from(VENUES))
def test_mutated_text_never_raises_anything_but_input_error(data, which, venue):
    texts = {"prices": PRICES, "events": EVENTS, "accounts": ACCOUNTS, "yaml": YAML_EVENTS}
    texts[which] = data.draw(mutated(texts[which]))
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.{'yaml' if name == 'yaml' else 'csv'}" for name in texts}
        for name, text in texts.items():
            paths[name].write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
        try:
            got = read_replay(venue, paths["prices"], paths["accounts"], paths["yaml" if which == "yaml" else "events"])
        except InputError as error:
            assert error.what and error.where
        else:
            assert (
                np.all(np.diff(got.row.utc) > 0) and np.all(got.row.last > 0) and np.all(np.isfinite(got.row.external))
            )


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".parquet", ".yaml"]))
def test_noise_is_an_input_error(noise, suffix):
    with tempfile.TemporaryDirectory() as folder:
        bad, good = Path(folder) / f"noise{suffix}", Path(folder) / "a.csv"
        bad.write_bytes(noise)
        good.write_text(ACCOUNTS)
        for prices, events in ((bad, None), (_file(folder), bad)):
            try:
                read_replay(profile(), prices, good, events)
            except InputError:
                pass


def _file(folder: str) -> Path:
    path = Path(folder) / "p.csv"
    path.write_text(PRICES)
    return path
