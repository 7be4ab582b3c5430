"""Reading YAML from people we do not know: positions are kept, code and bombs are refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcrisk.config import source
from mcrisk.config.source import parse_yaml, read_yaml
from mcrisk.errors import InputError


def write(tmp_path, text, name="c.yaml"):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_key_and_item_knows_its_line(tmp_path):
    tree = read_yaml(write(tmp_path, "a: 1\nb:\n  c: 2\n  d:\n    - 3\n    - {e: 4}\n"))
    assert tree == {"a": 1, "b": {"c": 2, "d": [3, {"e": 4}]}}
    assert [tree.places[k].line for k in "ab"] == [1, 2]
    assert tree["b"].places["c"].line == 3
    assert [place.line for place in tree["b"]["d"].places] == [5, 6]
    assert str(tree["b"]["d"][1].places["e"]) == f"{tmp_path / 'c.yaml'}:6"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000_000", 1_000_000), ("-3", -3), ("1e6", 1e6), ("1e-4", 1e-4), (".5", 0.5), ("2.", 2.0), ("true", True),
        ("null", None), ("~", None), ("on", "on"), ("no", "no"), ("12:30", "12:30"), ("2026-11-20", "2026-11-20"),
        ("'3'", "3"), ('"true"', "true"), ("0x10", "0x10"), ("30min", "30min"), ("1 000", "1 000"), ("1__0", "1__0"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text, value):
    got = parse_yaml(text, "x")
    assert got == value and type(got) is type(value)


def test_nan_is_read_as_nan_so_that_the_model_can_refuse_it():
    assert math.isnan(parse_yaml("[.nan]", "x")[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("a:\n\t- 1", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "tag"),
        ("a: !!python/name:os.system x", "tag"),
        ("a: !custom 1", "tag"),
        ("a: &x [1]\nb: *x", "anchors"),
        ("a: 1\nb: 2\na: 3", "written twice"),
        ("<<: {a: 1}", "merge keys"),
        ("? [1, 2]\n: 3", "key must be plain text"),
        ("a: 1\n---\nb: 2", "second document"),
        ("- 1\n- 2", "no mapping"),
        ("just text", "no mapping"),
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("---\n", "empty"),
        (b"\xff\xfe\x00a", "not UTF-8"),
        (b"a: \x00", "not valid YAML"),
    ],
)
def test_refuses_with_the_place(tmp_path, text, says):
    file = write(tmp_path, text)
    with pytest.raises(InputError, match=says) as caught:
        read_yaml(file)
    assert str(file) in caught.value.where
    assert caught.value.remedy


def test_the_line_of_a_duplicate_key_and_of_the_first(tmp_path):
    with pytest.raises(InputError) as caught:
        read_yaml(write(tmp_path, "a: 1\nb: 2\na: 3\n"))
    assert caught.value.where.endswith("c.yaml:3") and "c.yaml:1" in caught.value.remedy


def test_alias_bomb_is_refused_before_it_is_built(tmp_path):
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    with pytest.raises(InputError, match="anchors"):
        read_yaml(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_refused_not_a_crash(tmp_path, depth):
    with pytest.raises(InputError):
        read_yaml(write(tmp_path, "a: " + "[" * depth + "]" * depth))


def test_size_and_number_of_values_are_capped(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="too large"):
        read_yaml(write(tmp_path, "a: " + "x" * 1000))
    assert read_yaml(write(tmp_path, "a: 1"))
    monkeypatch.setattr(source, "MAX_NODES", 10)
    with pytest.raises(InputError, match="too large"):
        read_yaml(write(tmp_path, "a: [1, 2, 3, 4, 5, 6, 7, 8, 9]"))


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(InputError, match="no such file") as caught:
        read_yaml(tmp_path / "none.yaml")
    assert "none.yaml" in caught.value.where
    with pytest.raises(InputError, match="directory"):
        read_yaml(tmp_path)


def test_byte_order_mark_is_no_key(tmp_path):
    assert read_yaml(write(tmp_path, "\ufeffa: 1")) == {"a": 1}


@given(st.binary(max_size=200) | st.text(alphabet="ab:[]{}!&*-?#|>'\"%@\n \t,<", max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused_with_an_input_error(tmp_path_factory, raw):
    file = tmp_path_factory.mktemp("fuzz") / "c.yaml"
    file.write_bytes(raw)
    try:
        tree = read_yaml(file)
    except InputError as error:
        assert str(error).isprintable() or "\n" in str(error)
    else:
        assert set(tree) == set(tree.places)
