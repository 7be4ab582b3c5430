"""`parameters: bootstrap`: a path's numbers depend on its own parameter set and number, and on nothing else."""

import numpy as np
import pytest

from mcrisk.config import draws
from mcrisk.config.load import load_config, load_model
from mcrisk.config.prices import PriceModel
from mcrisk.engine import parameter_sets as sets
from mcrisk.engine.simulate import prepare, run_block
from mcrisk.errors import InputError

CALM = (0.3, 0.6, 1.2)
SMALL = ["grid=coarse", "venues=[kraken-preipo]", "scenarios=[valuation_reset]", "book.accounts=120", "book.variant=high",
         "execution.lane_paths=64", "execution.block_paths=64"]  # fmt: skip


@pytest.fixture(scope="module")
def uncertain(tmp_path_factory):
    """A price model that is not sure of its volatility, as a file."""
    file = tmp_path_factory.mktemp("prices") / "unsure.yaml"
    file.write_text(f"base: near\nname: unsure\ndraws: {{volatility.calm: {list(CALM)}}}\n")
    return str(file)


def run(uncertain, *more):
    return load_config("quickstart", [*SMALL, f"markets.company.prices={uncertain}", *more])


def task(config):
    return prepare(config, "kraken-preipo", "valuation_reset")


def same(a, b):
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


def test_a_path_is_a_pure_function_of_its_number(uncertain):
    config = run(uncertain, "parameters=bootstrap")
    whole = run_block(task(config), 0, 128).paths
    parts = [run_block(task(config), first, n).paths for first, n in ((0, 40), (40, 1), (41, 55), (96, 32))]
    assert same(whole, {name: np.concatenate([part[name] for part in parts]) for name in whole})
    for group in range(4):  # set 0 again from path 96 on
        fixed = run(uncertain, f"markets.company.prices.volatility.calm={CALM[group % 3]}")
        plain = run_block(task(fixed), 32 * group, 32).paths
        assert same({name: values[32 * group : 32 * (group + 1)] for name, values in whole.items()}, plain)
    assert len({float(whole["terminal_mark"][k]) for k in (0, 32, 64)}) == 3


def test_sums_over_accounts_are_those_of_the_parts(uncertain):
    config = run(uncertain, "parameters=bootstrap")
    whole = run_block(task(config), 0, 64)
    parts = [run_block(task(config), 0, 32), run_block(task(config), 32, 32)]
    for name, total in whole.accounts.items():
        assert np.array_equal(total, parts[0].accounts[name] + parts[1].accounts[name])
    assert all(int(hist.sum()) == sum(int(p.bands[name].sum()) for p in parts) for name, hist in whole.bands.items())


def test_which_set_a_path_takes():
    a = load_model(PriceModel, "prices", {"base": "near", "draws": {"volatility.calm": [0.5, 0.6]}})
    b = load_model(PriceModel, "prices", {"base": "near", "draws": {"jumps.per_year": [1.0, 2.0, 3.0]}})
    config = load_config("quickstart", [*SMALL, "parameters=fixed"])
    markets = tuple(config.markets[0].model_copy(update={"prices": p, "name": n}) for p, n in ((a, "a"), (b, "b")))
    config = config.model_copy(update={"markets": markets, "parameters": "bootstrap"})
    assert draws.period(config) == 6
    assert list(draws.clusters(config, 7 * 32)[::32]) == [0, 1, 2, 3, 4, 5, 0]
    taken = [draws.with_set(config, g) for g in range(6)]
    assert [c.markets[0].prices.volatility.calm for c in taken] == [0.5, 0.6] * 3
    assert [c.markets[1].prices.jumps.per_year for c in taken] == [1.0, 2.0, 3.0] * 2
    assert all(c.parameters == "fixed" and not c.markets[0].prices.draws for c in taken)
    assert [list(sets.stretches(config, 40, 60))] == [[(40, 24), (64, 32), (96, 4)]]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"volatility.clm": [0.5, 0.6]}, "'volatility.clm' is no number"),
        ({"volatility": [0.5, 0.6]}, "'volatility' is no number"),
        ({"volatility.calm": [0.5], "jumps.per_year": [1.0]}, "2 or more values"),
        ({"volatility.calm": [0.5, 0.6], "jumps.per_year": [1.0]}, "equally many"),
    ],
)
def test_bad_draws_are_named(table, said):
    with pytest.raises(InputError, match=said):
        load_model(PriceModel, "prices", {"base": "near", "draws": table})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["markets.company.prices=near"], "none of 'near', 'valuation_reset' has draws"),
        (["paths_per_draw=96"], "neither divides"),
        (["markets.company.prices.draws={volatility.calm: [0.5, -1]}"], "parameter set 1 of 'unsure' is not possible"),
        (["variance_reduction.sampling=stratified"], "plain Monte Carlo"),
    ],
)
def test_runs_that_cannot_be_bootstrapped_are_told(uncertain, settings, said):
    with pytest.raises(InputError) as caught:
        run(uncertain, *settings, "parameters=bootstrap")
    assert said in str(caught.value) and "parameters" in caught.value.where
