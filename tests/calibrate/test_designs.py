"""Design comparison: pairing, verdicts and the answer in words, without the engine; then bad input."""

import numpy as np
import pytest

from mcrisk.calibrate import designs
from mcrisk.calibrate.evaluate import Outcome
from mcrisk.calibrate.words import text_of
from mcrisk.cli.app import execute
from mcrisk.config.load import load_config
from mcrisk.risk.intervals import Interval, mean

RUN = ["venues=[kraken-preipo, okx-preipo-perp]", "scenarios=[baseline, squeeze]", "paths=64"]


def fake(jobs):
    """Common noise; the second venue loses 0.1 more in a squeeze and needs less margin."""
    out = []
    for job in jobs:
        other, squeeze = job.config.venues[0].name != "kraken-preipo", job.config.scenarios[0].name == "squeeze"
        noise = np.random.default_rng(int(squeeze)).random(400)
        samples = {m: noise * 0.2 + (0.1 * noise if other and squeeze else 0.0) for m in designs.JUDGED}
        margin = 0.3 if other else 0.8
        table = {m: mean(v) for m, v in samples.items()} | {m: Interval(margin, margin, margin) for m in designs.PRICES}
        fund = 0.0 if other else 0.01
        table["fund_size"] = Interval(fund, fund, fund)
        out.append(Outcome(table, samples))
    return out


def test_differences_are_paired_and_put_in_words():
    found = designs.compare(designs.from_run(load_config("quickstart", RUN), "kraken-preipo", None), fake)
    gap = found.difference("okx-preipo-perp", "squeeze", "p_adl")
    assert gap.estimate == pytest.approx(0.05, abs=0.01) and gap.lower > 0.04  # far narrower than unpaired
    assert found.difference("okx-preipo-perp", "baseline", "p_adl") == (0, 0, 0)
    text = designs.answer(found)
    assert text.startswith("Against kraken-preipo on the same paths, okx-preipo-perp is better in 0 and worse in 7 of 14 numbers, ")
    assert "worse in" in text and "(squeeze)" in text and "less initial margin" in text
    assert f"requires {text_of('initial_margin', 0.5)} of open interest less" in text
    assert "okx-preipo-perp: no fund" in designs.table(found, "squeeze").note
    assert len(designs.differences_table(found).rows) == 2 * len(designs.JUDGED)
    glance = designs.verdicts_table(found)
    assert glance.columns == ("design", "number", "baseline", "squeeze") and len(glance.rows) == len(designs.JUDGED)
    assert {(row[2], row[2].tone, row[3], row[3].tone) for row in glance.rows} == {("equal", "", "worse", "red")}


def test_base_comes_first_and_designs_keep_their_order():
    found = designs.compare(designs.from_run(load_config("quickstart", RUN), "okx-preipo-perp", None), fake)
    assert found.designs == ("okx-preipo-perp", "kraken-preipo")


def test_one_mix_makes_the_traders_the_same():
    seen = []
    run = load_config("quickstart", RUN)
    designs.compare(designs.from_run(run, "kraken-preipo", "max_5x"), lambda jobs: (seen.extend(jobs), fake(jobs))[1])
    assert {job.config.book.leverage_mix for job in seen} == {"max_5x"}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--base", "krakn-preipo"], "did you mean 'kraken-preipo'"),
        (["--same-mix", "max_5"], "did you mean 'max_5x'"),
        (["--set", "venues=[kraken-preipo]"], "one venue"),
    ],
)
def test_bad_input(extra, said, capsys, tmp_path):
    assert execute(["compare-designs", "quickstart", "--out", str(tmp_path), *extra]) == 2
    assert said in capsys.readouterr().err
