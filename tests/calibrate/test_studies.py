"""Studies at the command line: `validate` and `schema` know them, errors name file, line and the nearest name."""

import pytest
import yaml

from mcrisk.cli.app import execute
from mcrisk.config import catalog

SHIPPED = {"calibrations": "kraken-band", "reverse-stress": "kraken-reverse", "sensitivities": "kraken-inputs",
           "comparisons": "kraken-okx-tradexyz"}  # fmt: skip


def changed(folder, kind, **changes):
    """A shipped study with some keys changed, outside of the folders that would give its kind away."""
    tree = yaml.safe_load((catalog.root() / kind / f"{SHIPPED[kind]}.yaml").read_text()) | changes
    (folder / "mine.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return str(folder / "mine.yaml")


@pytest.mark.parametrize("kind", SHIPPED)
def test_the_kind_is_known_by_its_keys(tmp_path, capsys, kind):
    assert execute(["validate", changed(tmp_path, kind)]) == 0
    assert f"valid {catalog.KINDS[kind]} configuration" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "changes", "said", "key"),
    [
        ("calibrations", {"venue": "kraken-prepio"}, "did you mean 'kraken-preipo'", "key venue"),
        ("calibrations", {"traders": "elastc"}, "did you mean 'elastic'", "key traders"),
        ("reverse-stress", {"directons": 3}, "did you mean 'directions'", "key directons"),
        ("reverse-stress", {"metric": "p_fund_deplted"}, "did you mean 'p_fund_depleted'", "key metric"),
        ("sensitivities", {"scenario": "valuation_rest"}, "did you mean 'valuation_reset'", "key scenario"),
        ("comparisons", {"venues": ["kraken-preipo", "okx-preipo-prep"]}, "did you mean 'okx-preipo-perp'", "key venues"),
        ("comparisons", {"against": "binance-preipo"}, "is not among the venues", "mine.yaml:1"),
        ("comparisons", {"same_mix": "max_5"}, "did you mean 'max_5x'", "key same_mix"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, capsys, kind, changes, said, key):
    file = changed(tmp_path, kind, **changes)
    assert execute(["validate", "--kind", kind, file]) == 2
    found = capsys.readouterr().err
    assert said in found and f"{file}:" in found and key in found


def test_settings_reach_a_study(tmp_path, capsys):
    assert execute(["validate", "kraken-band", "--set", "trials=7", "--set", "variables.fund.low=0.01"]) == 0
    assert "7 candidates" in capsys.readouterr().out
    assert execute(["validate", "kraken-band", "--set", "variables.fund.low=0.5"]) == 2
    assert "not below" in capsys.readouterr().err
