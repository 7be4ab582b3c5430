"""Fit: known parameters come back inside their own intervals; files that are wrong are named."""

import numpy as np
import pandas as pd
import pytest

from mcrisk.calibrate import depth as books
from mcrisk.calibrate import estimate as est
from mcrisk.calibrate import fit as fitting
from mcrisk.cli.app import execute
from mcrisk.config.draws import drawn
from mcrisk.config.load import load_model
from mcrisk.config.prices import Liquidity, PriceModel
from mcrisk.errors import InputError

TRUE = est.Parameters(0.89, 0.6, 1.6, 0.2, 2 * 86400.0, 60.0, 0.45, 0.10, 0.12, 0.007, 1800.0)
CHECKED = ("calm", "stressed", "per_year", "p_up", "mean_up", "mean_down", "basis_sd", "basis_half_life",
           "share_of_time_stressed", "mean_stay_stressed")  # fmt: skip


def candles(seed, days=60, dt=900.0):
    steps = int(days * 86400 / dt)
    close = 100 * np.exp(np.concatenate([[0.0], np.cumsum(est.simulate(TRUE, 1, steps, dt, seed)[0])]))
    return fitting.Candles(close, dt, 0, 0.0)


def frame_of(close, dt=900.0):
    time = 1.76e12 + 1000 * dt * np.arange(len(close))
    high, low = close * 1.002, close * 0.998
    return pd.DataFrame({"timestamp": time, "open": close, "high": high, "low": low, "close": close, "volume": 1.0})


@pytest.fixture(scope="module")
def fits():
    return [fitting.fit(candles(seed, days=40), resamples=20, seed=seed) for seed in (0, 1)]


def test_known_parameters_lie_inside_their_own_intervals(fits):
    inside, resolved = 0, 0
    for found in fits:
        for name in CHECKED:
            interval = found.values[name]
            if interval.resolved:
                resolved += 1
                inside += interval.lower <= getattr(TRUE, name) <= interval.upper
    assert resolved >= 16 and inside >= 0.8 * resolved


def test_estimates_are_near_the_truth_on_average():
    found = est.estimate(est.simulate(TRUE, 8, 60 * 96, 900.0, 11), 900.0)
    for name, tolerance in (("calm", 0.1), ("stressed", 0.15), ("basis_sd", 0.15), ("basis_half_life", 0.25)):
        assert np.mean([getattr(p, name) for p in found]) == pytest.approx(getattr(TRUE, name), rel=tolerance)


def test_jumps_are_found_and_their_share_by_bipower_variation():
    rng = np.random.default_rng(5)
    quiet = 0.004 * rng.standard_normal(4000)
    assert est.find_jumps(quiet)[0].sum() == 0 and est.jump_share(quiet) < 0.05
    jumpy = quiet.copy()
    jumpy[[500, 1500, 2500, 3500]] += [0.1, -0.12, 0.15, -0.2]
    hit, up, down = est.find_jumps(jumpy)
    assert list(np.flatnonzero(hit)) == [500, 1500, 2500, 3500] and (up.count, down.count) == (2, 2)
    added = 0.1**2 + 0.12**2 + 0.15**2 + 0.2**2
    assert est.jump_share(jumpy) == pytest.approx(added / (added + 4000 * 0.004**2), rel=0.15)


def test_regimes_by_a_series_with_one_switch():
    rng = np.random.default_rng(2)
    r = np.concatenate([rng.normal(0, 0.01, 500), rng.normal(0, 0.04, 200), rng.normal(0, 0.01, 500)])
    low, high, up, down = est.regimes(r[None, :])
    assert np.sqrt([low[0], high[0]]) == pytest.approx([0.01, 0.04], rel=0.08)
    assert up[0] < 0.01 and down[0] < 0.03


def test_parquet_and_iso_times_read_the_same(tmp_path):
    frame = frame_of(candles(1, days=8).close)
    frame.to_parquet(tmp_path / "c.parquet")
    frame.assign(timestamp=pd.to_datetime(frame["timestamp"], unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(
        tmp_path / "c.csv", index=False
    )
    one, other = (fitting.read_candles(tmp_path / f"c.{kind}") for kind in ("parquet", "csv"))
    assert one.dt == other.dt == 900 and one.gaps == other.gaps == 0 and one.close == pytest.approx(other.close)


def test_command_writes_models_that_load(tmp_path, capsys):
    file = tmp_path / "c.csv"
    frame_of(candles(1, days=15).close).to_csv(file, index=False)
    snapshots(tmp_path / "d.csv")
    arguments = ["fit", str(file), "--depth", str(tmp_path / "d.csv"), "--open-interest", "1e6", "--resamples", "20"]
    assert execute([*arguments, "--out", str(tmp_path / "out"), "--name", "mine"]) == 0
    model = load_model(PriceModel, "prices", str(tmp_path / "out" / "prices" / "mine.yaml"))
    assert 0.3 < model.volatility.calm < 1.2 and model.post_listing.calendar == "us"
    assert any(note.field == "volatility.calm" and note.range for note in model.provenance)
    book = load_model(Liquidity, "liquidity", str(tmp_path / "out" / "liquidity" / "mine.yaml"))
    assert book.shape == pytest.approx(1.5, rel=0.05) and book.depth_1pct == pytest.approx(0.02, rel=0.05)
    assert "not resolved" in capsys.readouterr().out or (tmp_path / "out" / "fit-draws.csv").exists()


def snapshots(file, shape=1.5, near=20_000.0, count=25):
    """Books with depth(x) = near·(x/1 %)^shape around 100, half spread 10 bp."""
    at = np.linspace(0.0, 0.05, 501)[1:]
    quote = np.diff(near * (np.concatenate([[0.0], at]) / 0.01) ** shape)
    rows = []
    for k in range(count):
        for side, sign in (("bid", -1), ("ask", 1)):
            prices = 100 * (1 + sign * np.maximum(at, 0.001))
            rows.append(pd.DataFrame({"timestamp": k, "side": side, "price": prices, "amount": quote / prices}))
    pd.concat(rows).to_csv(file, index=False)


def test_depth_by_its_own_law(tmp_path):
    snapshots(tmp_path / "d.csv")
    depth = books.read_depth(tmp_path / "d.csv")
    assert depth.half_spread.estimate == pytest.approx(0.001) and depth.snapshots == 25
    assert depth.depth_1pct.estimate == pytest.approx(20_000, rel=0.03)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="close"), "'close' is missing"),
        (lambda f: f.assign(close=0.0), "positive number"),
        (lambda f: f.assign(high=f["low"] * 0.9), "outside low and high"),
        (lambda f: f.iloc[::-1], "no time after"),
        (lambda f: f.head(50), "too few"),
        (lambda f: f.iloc[np.sort(np.random.default_rng(0).permutation(len(f))[:400])], "missing"),
        (lambda f: f.assign(open=1.0, high=1.0, low=1.0, close=1.0), "never moves"),
        (lambda f: f.assign(timestamp="soon"), "no time"),
    ],
)
def test_bad_candles(tmp_path, change, said):
    change(frame_of(candles(1, days=8).close)).to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(InputError, match=said):
        fitting.read_candles(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,bid,99,1\n", "one side only"),
        ("1,bid,101,1\n1,ask,100,1\n", "crossed"),
        ("1,buy,99,1\n1,ask,100,1\n", "no side"),
        ("1,bid,99.9,1\n1,ask,100.1,1\n", "far enough"),
    ],
)
def test_bad_depth(tmp_path, rows, said):
    (tmp_path / "d.csv").write_text("timestamp,side,price,amount\n" + rows)
    with pytest.raises(InputError, match=said):
        books.read_depth(tmp_path / "d.csv")


def test_bad_options(tmp_path, capsys):
    frame_of(candles(1, days=8).close).to_csv(tmp_path / "c.csv", index=False)
    assert execute(["fit", str(tmp_path / "c.csv"), "--depth", "x.csv"]) == 2
    assert "open interest is missing" in capsys.readouterr().err
    assert execute(["fit", str(tmp_path / "c.csv"), "--base", "neer"]) == 2
    assert "did you mean 'near'" in capsys.readouterr().err
    assert execute(["fit", str(tmp_path / "c.csv"), "--resamples", "3", "--out", str(tmp_path / "o")]) == 2


def test_the_answer_comes_first_with_its_intervals(fits):
    words = fitting.headline(fits[0])
    assert words.startswith("40.0 days of candles give a volatility of ") and words.count("[") == 2 and "were seen" in words


def test_draws_are_parameter_sets_as_likely_as_the_fit(fits):
    """They spread as the intervals do, cover the truth about as often, and every set is a possible model."""
    inside = total = 0
    for found in fits:
        sets = fitting.draws(found)
        assert {len(values) for values in sets.values()} == {20}
        for name, values in sets.items():
            low, high = np.quantile(values, (0.025, 0.975))
            inside, total = inside + (low <= getattr(TRUE, name) <= high), total + 1
            if name.startswith(("calm", "stressed", "basis", "mean_stay")):
                assert found.values[name].lower <= low <= high <= found.values[name].upper
        model = fitting.price_model(found, load_model(PriceModel, "prices", "near"), "mine", "simulated")
        assert set(model.draws) == {fitting._FIELDS[name] for name in sets}
        assert {drawn(model, k).volatility.calm for k in range(20)} == {float(f"{x:.6g}") for x in sets["calm"]}
    assert inside >= 0.7 * total  # both series together hold 17 numbers; one of them saw none of its six jumps
