"""A sweep compiles once: moving numbers of rulebook, accounts or world makes no new program, in either executor."""

import pytest

from mcrisk.calibrate.evaluate import evaluate, job
from mcrisk.calibrate.study import answering
from mcrisk.calibrate.world import moved
from mcrisk.config.load import load_config
from mcrisk.config.study import Input
from mcrisk.engine import build
from mcrisk.engine.native import compile as compiler
from mcrisk.engine.native import run as native

SMALL = ["grid=coarse", "venues=[kraken-preipo]", "scenarios=[valuation_reset]", "book.accounts=120", "book.variant=high",
         "execution.lane_paths=64", "execution.block_paths=64"]  # fmt: skip
INPUTS = [
    Input(name="band", fields=("venues.kraken-preipo.pre.mark.band",), low=0.001, high=0.1, log=True),
    Input(name="fund", fields=("venues.kraken-preipo.fund.initial",), low=0.002, high=0.2, log=True),
    Input(name="margin", fields=("venues.kraken-preipo.pre.margin.tiers.*.initial",), low=1.0, high=1.6, scale=True),
    Input(name="fall", fields=("scenarios.valuation_reset.reset.down.mean",), low=-0.2, high=-0.9),
    Input(name="depth", fields=("venue_liquidity.kraken-preipo.depth_1pct",), low=0.001, high=0.004),
    Input(name="calm", fields=("markets.company.prices.volatility.calm",), low=0.4, high=0.9),
]  # fmt: skip


class Answer:
    """The behavioural assumption that `answering` reads of a study."""

    traders, elasticity = "elastic", 0.5


def counts():
    """Programs made so far: kept by the native driver, built by the C compiler, traced by JAX."""
    return len(native._programs), compiler.compilations, build._lanes._cache_size()


def sweep(points, backend, paths=64):
    run = load_config("quickstart", [*SMALL, f"execution.backend={backend}"])
    run = answering(run, Answer(), run.venues[0].pre.margin)
    found, after_first = [], None
    for k in range(points):
        at = moved(run, INPUTS, [(k * step % points) / points for step in (1, 3, 7, 9, 11, 13)])
        found.append(evaluate(job(at, at.venues[0], "valuation_reset", paths, seed=1 + k % 3)))
        after_first = after_first or counts()
    return after_first, counts(), found


@pytest.mark.skipif(compiler.find_compiler() is None, reason="no C compiler")
def test_native_compiles_once_for_ten_points():
    first, last, found = sweep(10, "native")
    assert first == last and first[0] >= 1
    assert len({outcome.table["liquidated_notional_mean_of_oi"].estimate for outcome in found}) == 10


@pytest.mark.slow
@pytest.mark.skipif(compiler.find_compiler() is None, reason="no C compiler")
def test_the_count_sees_another_structure():
    """Another number of accounts is another program: the counter would notice."""
    sweep(1, "native")
    before = len(native._programs)
    run = load_config("quickstart", [*SMALL, "execution.backend=native", "book.accounts=60"])
    evaluate(job(run, run.venues[0], "valuation_reset", 32))
    assert len(native._programs) == before + 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["native", "jax"])
def test_fifty_points_compile_once(backend):
    first, last, found = sweep(50, backend, paths=64)
    assert first == last and len(found) == 50
