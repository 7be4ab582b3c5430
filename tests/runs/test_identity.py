"""What is the same run and what is not."""

from __future__ import annotations

import pytest

from mcrisk.errors import InputError
from mcrisk.runs import fingerprint as prints
from mcrisk.runs import manifest

CONFIG = {
    "name": "a",
    "paths": 10,
    "seed": 1,
    "venues": [{"name": "x", "fund": {"initial": 0.01}}],
    "execution": {"workers": 1},
}


def test_what_cannot_move_results_is_left_out():
    other = {**CONFIG, "name": "b", "paths": 99, "execution": {"workers": 7}, "limits": {}, "report": {"owner": "me"}}
    assert prints.fingerprint(prints.identity(CONFIG, "jax")) == prints.fingerprint(prints.identity(other, "jax"))


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"venues": [{"name": "x", "fund": {"initial": 0.02}}]}, {"start": "2026-01-01"}]
)
def test_what_moves_results_changes_the_fingerprint(change):
    a, b = prints.identity(CONFIG, "jax"), prints.identity({**CONFIG, **change}, "jax")
    assert prints.fingerprint(a) != prints.fingerprint(b)


@pytest.mark.parametrize("key", ["backend", "instruction_set", "packages", "mcrisk", "source"])
def test_where_and_with_what_is_part_of_it(key):
    one = prints.identity(CONFIG, "jax")
    assert one[key]
    assert prints.fingerprint(one) != prints.fingerprint({**one, key: "other"})


def test_the_order_of_keys_does_not_matter():
    one = prints.identity(CONFIG, "jax")
    assert prints.fingerprint(one) == prints.fingerprint(dict(reversed(one.items())))


def test_a_refusal_names_what_differs():
    a = prints.identity(CONFIG, "jax")
    b = prints.identity({**CONFIG, "venues": [{"name": "x", "fund": {"initial": 0.02}}]}, "native")
    with pytest.raises(InputError) as caught:
        prints.refuse_other(a, b, "run.zarr")
    assert "config.venues.0.fund.initial: 0.01 → 0.02" in caught.value.why
    assert 'backend: "jax" → "native"' in caught.value.why
    assert caught.value.exit_code == 2


def test_the_same_identity_is_not_refused():
    prints.refuse_other(prints.identity(CONFIG, "jax"), prints.identity(CONFIG, "jax"), "run.zarr")


def test_the_machine_is_described():
    facts = manifest.hardware()
    assert facts["cores"] >= 1 and facts["memory_gib"] > 0 and facts["instruction_set"]
    assert {"python", "jax", "numpy", "zarr", "mcrisk"} <= set(manifest.versions())
    assert set(manifest.git_state()) in (set(), {"commit", "dirty"})
