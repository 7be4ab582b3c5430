"""What adding up money leaves behind is not a loss."""

import numpy as np

from mcrisk.risk.headline import Context, as_table, metrics
from tests.report.synthetic import synthetic_tree


def test_dust_below_half_a_cent_is_not_unpaid():
    tree = synthetic_tree(paths=64, accounts=2, venues=("kraken-preipo",), scenarios=("combined",))
    paths = tree["paths"].to_dataset().isel(venue=0, scenario=0)
    zeros = np.zeros(64)
    for name, values in (("unpaid", zeros + 1e-4), ("bad_debt", zeros - 1e-4), ("adl_wealth", zeros)):
        paths[name] = ("path", values)
    found = as_table(metrics(paths, Context(10e6)))
    assert found["p_unpaid"].estimate == 0 and found["unpaid_mean"].estimate == 0 and found["p_bad_debt"].estimate == 0
    paths["unpaid"] = ("path", zeros + 0.01)
    assert as_table(metrics(paths, Context(10e6)))["p_unpaid"].estimate == 1
