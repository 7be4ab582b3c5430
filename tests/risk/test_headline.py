"""Risk numbers of a made-up cell, against sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcrisk.errors import RunFailed
from mcrisk.report import names as report_names
from mcrisk.risk.headline import PAYERS, Context, as_table, fund_need, metrics, winners_haircut

from .cells import cell


def test_every_number_of_the_issue_is_there():
    found = {m.name for m in metrics(cell(), Context(open_interest=1e4))}
    wanted = {
        "p_fund_depleted",
        "required_fund_99",
        "required_fund_999",
        "var_99_fund_loss",
        "es_99_fund_loss",
        "var_99_bad_debt",
        "es_99_bad_debt",
        "p_adl",
        "adl_notional_mean",
        "adl_wealth_mean",
        "liquidated_accounts_mean",
        "liquidated_notional_mean",
        "latent_deficit_99",
        "winners_haircut_es99",
        "mark_index_gap_99",
        "mark_index_gap_max",
        "time_to_first_adl_median",
        "es_99_deficit_48h",
        "es_99_deficit_48h_of_oi",
        "p_unpaid",
        *(f"{payer}_mean" for payer in PAYERS),
        *(f"paid_by_{payer}" for payer in PAYERS),
    }
    assert wanted <= found
    for key, aliases in report_names.ALIASES.items():
        assert key == "cover_two" or found & set(aliases), f"the report looks for {aliases}"


def test_names_are_unique_and_bounds_ordered():
    found = metrics(cell(), Context(1e4))
    assert len({m.name for m in found}) == len(found)
    for m in found:
        assert m.resolved == (not any(map(math.isnan, m.interval)))
        assert not m.lower > m.estimate and not m.upper < m.estimate, m.name


def test_by_hand():
    paths = cell()
    got = as_table(metrics(paths, Context(1e4)))
    depleted = np.isfinite(paths.depletion_time.values)
    assert got["p_fund_depleted"].estimate == depleted.mean()
    debt = paths.bad_debt.values
    assert np.allclose(fund_need(paths), debt)  # everything beyond the fund was paid by others
    need = got["required_fund_99"].estimate
    assert (debt <= need).mean() >= 0.99 > (debt < need).mean()
    assert got["required_fund_99_of_oi"].estimate == pytest.approx(need / 1e4)
    total = sum(paths[p].sum().item() for p in PAYERS)
    assert got["paid_by_fund_loss"].estimate == pytest.approx(paths.fund_loss.sum().item() / total)
    assert sum(got[f"paid_by_{p}"].estimate for p in PAYERS) == pytest.approx(1)
    assert got["first_adl_after_liquidation_median"].estimate == pytest.approx(60)
    taken = paths.adl_wealth + paths.settlement_cut
    assert np.allclose(winners_haircut(paths), np.where(debt > 0, taken / np.where(debt > 0, 20 * debt, 1), 0))


def test_a_short_run_says_not_resolved():
    found = {m.name: m for m in metrics(cell(n=2048), Context(1e4))}
    far = found["required_fund_999"]
    assert math.isnan(far.upper) and not far.resolved and "3,688 paths" in far.note and math.isfinite(far.lower)
    assert found["required_fund_99"].resolved


def test_a_calm_cell():
    paths = cell(hit=0.0)
    found = as_table(metrics(paths, Context(1e4)))
    assert found["p_fund_depleted"].upper == pytest.approx(0.00094, abs=1e-5)
    assert found["var_99_bad_debt"] == (0, 0, 0) and math.isnan(found["es_99_bad_debt"].upper)
    assert math.isnan(found["paid_by_fund_loss"].estimate) and math.isnan(found["time_to_first_adl_median"].estimate)
    paths["event_time"] = ("path", np.full(4096, np.nan))
    paths["deficit_48h"] = ("path", np.full(4096, np.nan))
    assert math.isnan(as_table(metrics(paths, Context(1e4)))["es_99_deficit_48h"].estimate)


def test_missing_and_not_a_number_are_errors():
    with pytest.raises(RunFailed, match="no variable 'unpaid'"):
        metrics(cell().drop_vars("unpaid"), Context(1e4))
    paths = cell()
    paths["bad_debt"][17] = np.nan
    with pytest.raises(RunFailed, match="first 17"):
        metrics(paths, Context(1e4))
    paths = cell()
    paths["deficit_48h"][3] = np.nan
    with pytest.raises(RunFailed, match="deficit_48h"):
        metrics(paths, Context(1e4))
