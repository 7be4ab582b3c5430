"""What a wrong configuration is told: file and line, key path, what is allowed, what to do."""

import pytest

from mcrisk.config import catalog
from mcrisk.config.load import load_venue
from mcrisk.errors import InputError

BASE = "base: kraken-preipo\nname: mine\n"


def refused(tmp_path, text, overrides=()):
    file = tmp_path / "mine.yaml"
    file.write_text(BASE + text)
    with pytest.raises(InputError) as caught:
        load_venue(file, overrides)
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("fund: {intial: 0.1}", 3, "fund.intial", ["unknown key 'fund.intial'", "'initial'", "usable_share"]),
        ("funds: {}", 3, "funds", ["unknown key 'funds'", "did you mean 'fund'"]),
        ("fund: {initial: -1}", 3, "fund.initial", ["-1", "greater than or equal to 0"]),
        ("fund: {usable_share: 50}", 3, "fund.usable_share", ["50", "a fraction: 1 % is 0.01"]),
        ("fund:\n  usable_share: 50%", 4, "fund.usable_share", ["'50%'", "a fraction: 1 % is 0.01"]),
        ("fund: {initial: .nan}", 3, "fund.initial", ["nan", "finite"]),
        ("fund: {initial: .inf}", 3, "fund.initial", ["inf", "finite"]),
        ("fund: many", 3, "fund", ["'many'"]),
        ("settlement: {notice: 3 parsecs}", 3, "settlement.notice", ["parsecs", "no duration", "8h"]),
        ("settlement: {notice: -5}", 3, "settlement.notice", ["-5", "greater than or equal to 0"]),
        ("pre:\n  mark: {kind: index_bnd}", 4, "pre.mark", ["unknown kind 'index_bnd'", "did you mean 'index_band'"]),
        ("pre:\n  mark: {kind: median3, emma: 1}", 4, "pre.mark.emma", ["unknown key", "did you mean 'ema'"]),
        ("adl: {rank: okex}", 3, "adl.rank", ["'okex'", "did you mean 'okx'"]),
        ("contract: {initial_price: 0}", 3, "contract.initial_price", ["0", "greater than 0"]),
        ("name: Not A Name", 3, "name", ["pattern"]),
        (
            "pre:\n  margin:\n    tiers:\n      - {up_to: 10, initial: 0.2, maintenance: 0.1}\n"
            "      - {up_to: 5, initial: 0.3, maintenance: 0.2}",
            4, "pre.margin", ["tiers must have increasing up_to"],
        ),
        (
            "pre: {margin: {tiers: [{up_to: 10, initial: 0.2, maintenance: 0.1}, {initial: 0.1, maintenance: 0.05}]}}",
            3, "pre.margin", ["must not fall"],
        ),
        ("pre: {margin: {tiers: [{initial: 0.1, maintenance: 0.2}]}}", 3, "pre.margin", ["must not exceed initial"]),
        ("pre:\n  margin:\n    tiers:\n      - {initial: 0.2}", 6, "pre.margin.tiers[0].maintenance", ["is missing"]),
        (
            "settlement:\n  cancellation:\n    - {price: tick, probability: 0.5}",
            3, "settlement", ["sum to 0.5, not 1"],
        ),
        ("provenance:\n  - {field: a, source: b, date: c, marker: assumption, assumption: true}", 4, "provenance[0]",
         ["an assumption needs a note"]),
    ],
)  # fmt: skip
def test_message_names_place_key_and_remedy(tmp_path, text, line, key, says):
    if text.startswith("name:"):
        error = _named(tmp_path, text)
    else:
        error = refused(tmp_path, text)
    shown = str(error)
    assert f"mine.yaml:{line}, key {key}" in shown
    for part in says:
        assert part in shown
    assert error.remedy and error.exit_code == 2


def _named(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text("base: kraken-preipo\n\n" + text)
    with pytest.raises(InputError) as caught:
        load_venue(file)
    return caught.value


def test_all_findings_are_told_at_once_but_not_too_many(tmp_path):
    error = refused(tmp_path, "fund: {initial: -1, usable_share: 2}\nbackstop: {loss_capacity: -1}")
    assert len(error.also) == 2
    error = refused(tmp_path, "\n".join(f"x{i}: 1" for i in range(30)))
    assert len(error.also) == 8 and "22 more" in str(error)


def test_a_value_inherited_wrongly_is_located_in_the_base(tmp_path):
    (tmp_path / "base.yaml").write_text("base: kraken-preipo\nname: base\nfund:\n  initial: -1\n")
    (tmp_path / "top.yaml").write_text("base: ./base.yaml\nname: top\n")
    with pytest.raises(InputError) as caught:
        load_venue(tmp_path / "top.yaml")
    assert "base.yaml:4, key fund.initial" in caught.value.where


# ------------------------------------------------------------------------------------------------ --set
def test_overrides_reach_everywhere():
    venue = load_venue(
        "kraken-preipo",
        ["fund.initial=0", "fund.usable_share=0.5", "pre.margin.tiers.0.maintenance=0.01", "settlement.notice=2h",
         "pre.margin.tiers[1].initial=0.45",
         "post.margin.tiers.*.maintenance=0.005", "pre.mark={kind: index_band, band: 0.01}", "backstop.enabled=true"],
    )  # fmt: skip
    assert venue.fund.initial == 0 and venue.fund.usable_share == 0.5 and venue.settlement.notice == 7200
    assert venue.pre.margin.tiers[0].maintenance == 0.01 and venue.pre.margin.tiers[1].initial == 0.45
    assert {tier.maintenance for tier in venue.post.margin.tiers} == {0.005}
    assert venue.pre.mark.band == 0.01 and venue.backstop.enabled is True


def test_an_override_leaves_the_shipped_value_alone():
    before = load_venue("kraken-preipo")
    load_venue("kraken-preipo", ["fund.initial=0.5"])
    assert load_venue("kraken-preipo") == before


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("no.such.key=1", ["unknown key 'no.such.key'", "fund"]),
        ("fnd.initial=1", ["unknown key 'fnd.initial'", "did you mean 'fund'"]),
        ("fund.intial=1", ["unknown key 'fund.intial'", "did you mean 'initial'"]),
        ("fund.initial.deeper=1", ["'fund.initial' is a single value"]),
        ("fund.initial", ["sets nothing", "KEY=VALUE"]),
        ("=1", ["sets nothing"]),
        ("...=1", ["unknown key"]),
        ("pre.margin.tiers.9.initial=1", ["no item '9'"]),
        ("pre.margin.tiers.x.initial=1", ["no item 'x'"]),
        ("fund.initial=", ["'fund.initial'"]),
        ("fund.initial=[1", ["not valid YAML"]),
        ("fund.initial=!!python/name:os.system x", ["tag"]),
        ("fund.initial=.nan", ["finite"]),
    ],
)
def test_a_wrong_override_is_named(override, says):
    with pytest.raises(InputError) as caught:
        load_venue("kraken-preipo", [override])
    assert f"--set {override}" in str(caught.value)
    for part in says:
        assert part in str(caught.value)


def test_the_catalogue_suggests_only_near_names():
    assert catalog.suggest("krakn", ["kraken", "okx"]) == "did you mean 'kraken'?"
    assert catalog.suggest("zzz", ["kraken", "okx"]) is None
