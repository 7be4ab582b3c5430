"""The run model: references, defaults, what a run depends on, what is refused."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

import mcrisk
from mcrisk.config import catalog
from mcrisk.config.load import load_config
from mcrisk.config.run import RunConfig
from mcrisk.errors import InputError


def load(world, *overrides):
    return load_config(world / "run.yaml", overrides)


def refused(world, *overrides):
    with pytest.raises(InputError) as caught:
        load(world, *overrides)
    return str(caught.value)


def test_names_become_models(world):
    run = load(world)
    assert [venue.name for venue in run.venues] == ["kraken-preipo", "okx-preipo-perp"]
    assert run.markets[0].prices.name == "near" and run.book.name == "default" and run.grid.horizon == 30 * 86400
    assert run.start == datetime(2026, 11, 20, tzinfo=UTC)
    assert run.limits.enforce is False and run.execution.block_paths == 1024


def test_a_run_holds_what_its_venues_and_scenarios_name(world):
    run = load(world)
    assert run.liquidity_of("kraken-preipo").name == "thin" and run.liquidity_of("okx-preipo-perp").name == "made"
    assert run.feed_of("baseline").name == "published" and run.feed_of("late").name == "stale"


def test_an_override_of_the_name_is_followed(world):
    run = load(world, "venues.kraken-preipo.liquidity=made", "scenarios.late.feed=published")
    assert run.liquidity_of("kraken-preipo").name == "made" and run.feed_of("late").name == "published"


def test_one_venues_liquidity_can_be_changed_alone(world):
    run = load(world, "venue_liquidity.kraken-preipo.depth_1pct=0.004")
    assert (
        run.liquidity_of("kraken-preipo").depth_1pct == 0.004 and run.liquidity_of("okx-preipo-perp").depth_1pct == 0.02
    )
    assert load(world, "liquidity=made").liquidity_of("kraken-preipo").name == "made"


def test_a_book_for_one_venue(world):
    run = load(world, "book.accounts=50", "venue_books.kraken-preipo={base: default, accounts: 20}")
    assert run.book_of("kraken-preipo").accounts == 20 and run.book_of("okx-preipo-perp").accounts == 50


def test_whole_lists_may_be_set_by_name(world):
    run = load(world, "venues=[okx-preipo-perp]", "scenarios=[late]", "markets.company.prices={base: near, drift: 0.1}")
    assert [v.name for v in run.venues] == ["okx-preipo-perp"] and list(run.venue_liquidity) == ["okx-preipo-perp"]
    assert run.markets[0].prices.drift == 0.1


def test_inline_variants_stand_beside_their_base(world):
    run = load(world, "venues=[kraken-preipo, {base: kraken-preipo, name: kraken-rich, fund: {initial: 0.3}}]")
    assert [v.fund.initial for v in run.venues] == [0.01, 0.3]
    assert run.liquidity_of("kraken-rich").name == "thin"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("paths=0", ["'paths' is 0", "greater than 0"]),
        ("paths=-5", ["'paths' is -5"]),
        ("paths=many", ["'paths' is 'many'"]),
        ("paths=1.5", ["'paths' is 1.5"]),
        ("paths=true", ["'paths'"]),
        ("venues=[]", ["'venues'"]),
        ("venues=[krakn-preipo]", ["unknown venue 'krakn-preipo'", "did you mean 'kraken-preipo'"]),
        ("venues=[3]", ["venues[0]"]),
        ("venues=kraken-preipo", ["'venues'"]),
        ("scenarios=[basline]", ["unknown scenario 'basline'"]),
        ("venues=[kraken-preipo, kraken-preipo]", ["'kraken-preipo' occurs twice"]),
        ("markets=[]", ["'markets'"]),
        ("markets=[{name: a}, {name: a}]", ["'a' occurs twice"]),
        ("markets=[{name: 'a b'}]", ["markets[0].name"]),
        ("execution.backend=warp", ["'execution.backend'", "'warp'", "jax"]),
        ("execution.block_paths=100", ["block_paths 100 is not a multiple"]),
        ("seed=-1", ["'seed'"]),
        ("start=yesterday", ["'start'"]),
        ("limits.break_even_jump.red_down=-0.9", ["red jumps must be smaller"]),
        ("limits.p_fund_depleted.amber=0", ["amber must not be below green"]),
        ("book.accounts=1", ["'book.accounts' is 1"]),
        ("grid.horizon=3 fortnights", ["fortnights", "8h"]),
        ("report.data_date=soon", ["'report.data_date'"]),
        ("nothing=1", ["unknown key 'nothing'"]),
    ],
)
def test_refuses(world, override, says):
    text = refused(world, override)
    assert f"--set {override}" in text
    for part in says:
        assert part in text


def test_a_table_names_only_venues_of_the_run(world):
    text = refused(world, "venue_liquidity.kraken=thin")
    assert "'kraken' is not among the venues of this run, which are kraken-preipo, okx-preipo-perp" in text
    assert "key venue_liquidity" in text


def test_nine_markets_are_too_many(world):
    assert "'markets'" in refused(world, f"markets=[{', '.join(f'{{name: m{i}}}' for i in range(9))}]")
    assert len(load(world, f"markets=[{', '.join(f'{{name: m{i}}}' for i in range(8))}]").markets) == 8


def test_errors_in_a_referenced_file_name_that_file(world):
    (world / "liquidity" / "odd.yaml").write_text("name: odd\ndepth: 1\n")
    text = refused(world, "liquidity=odd")
    assert "odd.yaml:2, key liquidity.depth" in text and "unknown key" in text


def test_times_without_zone_are_utc_and_others_are_converted(world):
    assert load(world, "start='2026-01-01T00:00:00'").start == datetime(2026, 1, 1, tzinfo=UTC)
    assert load(world, "start='2026-01-01T02:00:00+02:00'").start == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_run_is_frozen_and_survives_json(world):
    run = load(world)
    with pytest.raises(ValidationError):
        run.paths = 5
    stored = json.loads(run.model_dump_json())
    assert RunConfig.model_validate(stored) == run
    assert load_config(stored) == run == load_config(run)
    assert load_config(stored, ["venues.kraken-preipo.liquidity=made", "paths=5"]).paths == 5


def test_python_arguments_may_be_names():
    from mcrisk.config.venue import Venue

    venue = mcrisk.load_venue("kraken-preipo")
    assert isinstance(venue, Venue)
    with pytest.raises(InputError, match="unknown venue 'krak'"):
        RunConfig(name="x", paths=1, venues=["krak"], scenarios=[], markets=[])


def test_the_schema_admits_names_bases_and_models():
    schema = RunConfig.model_json_schema()
    venue = schema["properties"]["venues"]["items"]["anyOf"]
    assert venue[0]["type"] == "string" and venue[1]["required"] == ["base"]
    assert schema["additionalProperties"] is False and set(schema["properties"]) == set(RunConfig.model_fields)


# ------------------------------------------------------------------------------------------------ shipped runs
def test_quickstart_is_the_main_job():
    run = load_config(catalog.root() / "quickstart.yaml")
    assert [venue.name for venue in run.venues] == [
        "kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures", "okx-premarket-perp",
        "okx-preipo-perp", "binance-premarket", "binance-preipo",
    ]  # fmt: skip
    assert [scenario.name for scenario in run.scenarios] == [
        "baseline", "ipo_delay", "valuation_reset", "cancellation", "feed_error", "squeeze", "combined",
    ]  # fmt: skip
    assert run.paths >= 2048 and run.book.accounts == 1000 and run.grid.horizon == 30 * 86400
    assert not run.limits.enforce and run.assumption_strip and run.break_even


def test_full_is_quickstart_with_a_million_paths():
    full, quick = load_config("full"), load_config("quickstart")
    assert full.paths == 1_000_000 and full.venues == quick.venues and full.scenarios == quick.scenarios
