"""Backtests: the worked examples of worked-examples.md section K, laws under the null, files that are wrong."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mcrisk.calibrate import backtest as bt
from mcrisk.calibrate.history import backtest, read_history
from mcrisk.cli.app import execute


def test_w_bt_1_kupiec_and_christoffersen():
    coverage, independence = bt.kupiec(1043, 57, 0.05), bt.christoffersen(bt.Transitions(932, 53, 53, 4))
    both = bt.conditional_coverage(coverage, independence)
    assert coverage == pytest.approx((0.46147, 0.49694), abs=5e-6)
    assert independence == pytest.approx((0.25866, 0.61104), abs=6e-6)
    assert both == pytest.approx((0.72013, 0.69763), abs=1e-5)


def test_w_bt_2_kupiec_on_250_days():
    assert bt.kupiec(250, 3, 0.01) == pytest.approx((0.094940, 0.75799), abs=1e-5)
    assert bt.kupiec(250, 3, 0.05) == pytest.approx((10.812, 0.00101), abs=5e-4)


def test_w_bt_4_traffic_light():
    zones = [bt.traffic_light(250, x, 0.01) for x in range(14)]
    assert [z.zone for z in zones] == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 4
    assert zones[4].cumulative == pytest.approx(0.8922, abs=5e-5)
    assert zones[9].cumulative == pytest.approx(0.9997, abs=5e-5)
    assert [z.multiplier for z in zones[3:11]] == pytest.approx([3, 3, 3.4, 3.5, 3.65, 3.75, 3.85, 4])


def test_zero_cells_use_zero_log_zero():
    assert bt.kupiec(250, 0, 0.01).statistic == pytest.approx(-2 * 250 * math.log(0.99))
    assert bt.christoffersen(bt.Transitions(249, 0, 0, 0)) == (0.0, 1.0)
    assert math.isfinite(bt.christoffersen(bt.Transitions(240, 5, 4, 0)).statistic)


def test_transitions_count_every_pair_once():
    assert bt.transitions([0, 1, 1, 0, 0]) == (1, 1, 1, 1)


def history_of(rng, days, scale=1.0, clustered=False):
    """Student-t(4) results with the exact VaR and ES of scale 1."""
    law, p = stats.t(4), 0.025
    var = -law.ppf(p)
    es = law.pdf(var) / p * (4 + var**2) / 3
    size = np.where(np.arange(days) // 50 % 2, 2.0, 0.4) if clustered else scale
    return law.rvs(days, random_state=rng) * size, np.full(days, var), np.full(days, es), p


def test_shortfall_test_holds_its_size_and_has_power():
    rng = np.random.default_rng(3)
    size = [bt.acerbi_szekely(*history_of(rng, 250), draws=500) for _ in range(150)]
    rejected = np.mean([max(t.p_exponential, t.p_heavy) < 0.05 for t in size])
    assert rejected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)
    bad = [bt.acerbi_szekely(*history_of(rng, 250, 1.6), draws=500) for _ in range(40)]
    assert np.mean([max(t.p_exponential, t.p_heavy) < 0.05 for t in bad]) > 0.7
    assert np.mean([t.z2 for t in size]) == pytest.approx(0.0, abs=0.12)


def test_independence_is_rejected_for_clustered_exceptions():
    pnl, var, _, _ = history_of(np.random.default_rng(1), 2000, clustered=True)
    assert bt.christoffersen(bt.transitions(pnl < -var)).p_value < 0.05


def test_procyclicality_by_hand():
    swing = bt.procyclicality([10, 12, 9, 18, 15], horizons=(1, 2, 30))
    assert swing.peak_to_trough == 2.0 and swing.rises == pytest.approx({1: 1.0, 2: 1.0})
    assert swing.peak_over_mean == pytest.approx(18 / 12.8)


@pytest.fixture
def frame():
    pnl, var, es, _ = history_of(np.random.default_rng(0), 300)
    return pd.DataFrame({"date": pd.date_range("2026-01-01", periods=300), "margin": var, "pnl": pnl, "es": es})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_command_reads_both_formats(frame, tmp_path, suffix, capsys):
    file = tmp_path / f"h{suffix}"
    frame.to_csv(file, index=False) if suffix == ".csv" else frame.to_parquet(file)
    assert execute(["backtest", str(file), "--level", "0.975", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Kupiec" in said and "zone" in said and "Procyclicality" in said
    assert "Acerbi" in (tmp_path / "out" / "backtest.md").read_text()


def test_var_instead_of_margin_and_no_es(frame, tmp_path):
    frame.rename(columns={"margin": "VaR"}).drop(columns="es").to_csv(tmp_path / "h.csv", index=False)
    tables, _ = backtest(read_history(tmp_path / "h.csv"), 0.975)
    assert len(tables[0].rows) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="pnl").assign(pln=0), "did you mean 'pln'"),
        (lambda f: f.drop(columns="margin"), "'margin' is missing"),
        (lambda f: f.assign(margin=f["margin"].where(f.index != 7)), "h.csv:9"),
        (lambda f: f.assign(margin=-1.0), "no positive number in 300"),
        (lambda f: f.assign(pnl="much"), "'pnl' is no number"),
        (lambda f: f.iloc[::-1], "strictly increasing"),
        (lambda f: f.assign(date="yesterday"), "is no date"),
        (lambda f: f.assign(es=0.1), "es is smaller"),
        (lambda f: f.head(5), "too few"),
        (lambda f: f.head(0), "no rows"),
    ],
)
def test_bad_files_are_named(frame, tmp_path, change, said, capsys):
    change(frame).to_csv(tmp_path / "h.csv", index=False)
    assert execute(["backtest", str(tmp_path / "h.csv")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("level", ["0.2", "1", "99", "nan"])
def test_bad_level(frame, tmp_path, level, capsys):
    frame.to_csv(tmp_path / "h.csv", index=False)
    assert execute(["backtest", str(tmp_path / "h.csv"), "--level", level]) == 2
    assert "between" in capsys.readouterr().err


def test_no_file(tmp_path, capsys):
    assert execute(["backtest", str(tmp_path / "none.csv")]) == 2
    assert "no file" in capsys.readouterr().err
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 nothing")
    assert execute(["backtest", str(tmp_path / "torn.parquet")]) == 2
