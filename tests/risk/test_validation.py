"""95 % intervals hold the truth in about 95 % of runs, on cases with a known answer."""

import pytest

from mcrisk.risk import validation

CASES = validation.cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_intervals_cover(case):
    found = validation.coverage(case, runs=200 if case.paths < 1000 else 80, seed=3)
    # 200 runs know a coverage of 95 % to ± 1.5 points; four of these, and a little over two where there are 80
    assert found.within((0.89, 1.0)) and found.unresolved == 0
    assert found.mean == pytest.approx(case.truth, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_intervals_cover_93_to_97_percent(case):
    assert validation.coverage(case, runs=1000).within()
