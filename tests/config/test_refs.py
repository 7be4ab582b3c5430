"""Composition by name: lookup, merging over a base, and places that follow the values."""

import pytest

from mcrisk.config import catalog
from mcrisk.config.load import load_model, load_venue
from mcrisk.config.refs import load_tree, merge
from mcrisk.config.source import parse_yaml
from mcrisk.config.venue import Venue
from mcrisk.errors import InputError


def tree(text, file="t.yaml"):
    return parse_yaml(text, file)


def merged(base, over):
    return merge(tree(base, "base.yaml"), tree(over, "over.yaml"))


def test_mappings_merge_key_by_key_lists_are_replaced():
    out = merged("a: {x: 1, y: 2}\nl: [1, 2]\nk: 5", "a: {y: 3}\nl: [9]")
    assert out == {"a": {"x": 1, "y": 3}, "l": [9], "k": 5}


def test_places_follow_the_values():
    out = merged("a:\n  x: 1\n  y: 2", "b: 0\na: {y: 3}")
    assert str(out["a"].places["x"]) == "base.yaml:2"
    assert str(out["a"].places["y"]) == "over.yaml:2"


def test_another_kind_or_law_replaces_the_parameters():
    assert merged("m: {kind: a, p: 1}", "m: {kind: b, q: 2}") == {"m": {"kind": "b", "q": 2}}
    assert merged("m: {kind: a, p: 1}", "m: {kind: a, q: 2}") == {"m": {"kind": "a", "p": 1, "q": 2}}
    assert merged("j: {law: kou, p: 1}", "j: {law: merton, q: 2}") == {"j": {"law": "merton", "q": 2}}


def test_plus_appends_to_a_list_of_the_base():
    out = merged("l: [1, 2]", "l+: [3]")
    assert out == {"l": [1, 2, 3]}
    assert [str(p) for p in out["l"].places] == ["base.yaml:1", "base.yaml:1", "over.yaml:1"]
    for base in ("l: 5", "x: 1"):
        with pytest.raises(InputError, match="appends"):
            merged(base, "l+: [3]")


def test_merging_changes_neither_side():
    base, over = tree("a: {x: 1}"), tree("a: {x: 2}")
    merge(base, over)
    assert base == {"a": {"x": 1}} and over == {"a": {"x": 2}}


# ------------------------------------------------------------------------------------------------ files
def test_a_file_builds_on_a_base_of_its_own_folder(tmp_path):
    (tmp_path / "one.yaml").write_text("base: kraken-preipo\nname: one\nfund: {initial: 0.5}\n")
    (tmp_path / "two.yaml").write_text("base: ./one.yaml\nname: two\n")
    two, kraken = load_venue(tmp_path / "two.yaml"), load_venue("kraken-preipo")
    assert (two.name, two.fund.initial, two.fund.scope) == ("two", 0.5, kraken.fund.scope)


def test_a_base_that_goes_round_in_a_circle(tmp_path):
    (tmp_path / "a.yaml").write_text("base: ./b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: ./a.yaml\n")
    with pytest.raises(InputError, match="circle"):
        load_tree("venues", str(tmp_path / "a.yaml"))


def test_a_base_must_be_text(tmp_path):
    (tmp_path / "a.yaml").write_text("base: [1]\n")
    with pytest.raises(InputError, match="name or a path") as caught:
        load_tree("venues", str(tmp_path / "a.yaml"))
    assert caught.value.where.endswith("a.yaml:1")


def test_names_are_looked_up_beside_the_file_before_the_shipped_ones(tmp_path):
    (tmp_path / "venues").mkdir()
    (tmp_path / "venues" / "kraken-preipo.yaml").write_text("base: okx-preipo-perp\nname: mine\n")
    file = catalog.find("venues", "kraken-preipo", beside=tmp_path)
    assert file.parent.parent == tmp_path
    assert catalog.find("venues", "kraken-preipo") == catalog.root() / "venues" / "kraken-preipo.yaml"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("kraken-preip", "did you mean 'kraken-preipo'"),
        ("zzzzzz", "use one of these names"),
        ("./no.yaml", "no such file"),
    ],
)
def test_an_unknown_reference_names_what_is_known(reference, says):
    with pytest.raises(InputError) as caught:
        load_venue(reference)
    assert says in str(caught.value) and "kraken-preipo" in str(caught.value)


def test_a_name_with_control_characters_is_escaped():
    with pytest.raises(InputError) as caught:
        load_venue("evil\x1b[31m\u202e")
    assert "\x1b" not in str(caught.value) and "\\x1b" in str(caught.value)


def test_a_path_with_a_zero_byte():
    with pytest.raises(InputError, match="zero byte"):
        load_venue("a\0b.yaml")


@pytest.mark.parametrize("name", catalog.names("venues"))
def test_every_shipped_venue_is_valid_and_named_like_its_file(name):
    venue = load_venue(name)
    assert venue.name == name
    assert all(note.note for note in venue.provenance if note.assumption)


def test_the_eight_venues_ship():
    assert {
        "kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures", "okx-premarket-perp",
        "okx-preipo-perp", "binance-premarket", "binance-preipo",
    } <= set(catalog.names("venues"))  # fmt: skip


def test_a_new_venue_needs_only_yaml(tmp_path):
    (tmp_path / "new.yaml").write_text(
        "base: okx-preipo-perp\nname: new\ntitle: New\npre:\n  mark: {kind: index_band, band: 0.005}\n"
        "provenance+:\n  - {field: pre.mark, source: test, date: '2026-11-20', marker: found}\n"
    )
    new, okx = load_venue(tmp_path / "new.yaml"), load_venue("okx-preipo-perp")
    assert new.pre.mark.kind == "index_band" and new.pre.mark.band == 0.005
    assert new.post == okx.post and len(new.provenance) == len(okx.provenance) + 1


def test_python_mappings_and_models_are_taken_too():
    one = load_model(Venue, "venues", {"base": "kraken-preipo", "fund": {"initial": 0.25}})
    assert one.fund.initial == 0.25 and one.fund.scope == load_venue("kraken-preipo").fund.scope
    assert load_model(Venue, "venues", one) == one
    with pytest.raises(InputError, match="cannot be of type int"):
        load_model(Venue, "venues", 3)
