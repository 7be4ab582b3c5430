"""Blocks, their order and size; who computes which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcrisk.errors import InputError
from mcrisk.runs.plan import Block, Plan, Variant
from mcrisk.runs.schedule import Queues

from . import fake


@given(paths=st.integers(1, 300), block=st.integers(1, 100))
def test_blocks_cover_every_path_once_in_order(paths, block):
    plan = fake.plan(paths, block)
    cells: dict[tuple[str, str], list[Block]] = {}
    for b in plan.blocks():
        cells.setdefault((b.venue, b.scenario), []).append(b)
    assert list(cells) == [(v, s) for v in fake.VENUES for s in fake.SCENARIOS]
    for blocks in cells.values():
        assert [b.number for b in blocks] == list(range(plan.blocks_per_cell))
        assert [p for b in blocks for p in range(b.first_path, b.first_path + b.n)] == list(range(paths))
        assert all(b.n == block for b in blocks[:-1])


def test_a_short_plan_is_a_prefix_of_a_longer_one_except_its_cut_block():
    short, long = list(fake.plan(64).blocks()), list(fake.plan(160).blocks())
    assert set(short) < set(long)


def test_variants_come_last_and_know_their_place():
    variant = Variant("low", fake.VENUES[1:], fake.SCENARIOS[:1], paths=40)
    plan = fake.plan(96, 32, (variant,))
    extra = [b for b in plan.blocks() if b.variant]
    assert [(b.index, b.n) for b in extra] == [((0, 1, 0, 0), 32), ((0, 1, 0, 1), 8)]
    assert list(plan.blocks())[-2:] == extra
    assert plan.total_paths == 6 * 96 + 40


def test_small_variants_get_small_chunks():
    assert fake.plan(96, 32, (Variant("low", fake.VENUES, fake.SCENARIOS, paths=10),)).variant_block == 10


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"paths": 0}, "paths"), ({"block_paths": 0}, "execution.block_paths"), ({"venues": ()}, "venues"),
     ({"scenarios": ("a", "a")}, "scenarios")],
)  # fmt: skip
def test_nonsense_is_refused(changes, where):
    parts = {"venues": fake.VENUES, "scenarios": fake.SCENARIOS, "paths": 10, "block_paths": 5, "layout": fake.layout()}
    with pytest.raises(InputError) as caught:
        Plan(**{**parts, **changes})
    assert caught.value.where == where


def test_the_statement_names_blocks_memory_and_disk():
    lines = " ".join(fake.plan().statement(workers=2))
    assert "18 blocks" in lines and "per worker" in lines and "on disk" in lines


# ---------------------------------------------------------------------- queues
def drain(queues: Queues, workers: list[str]) -> dict[str, list[Block]]:
    """Every worker takes one block in turn until nothing is left."""
    taken: dict[str, list[Block]] = {w: [] for w in workers}
    while len(queues):
        for w in workers:
            block = queues.take(w)
            if block:
                taken[w].append(block)
    return taken


def test_each_venue_goes_to_one_worker_when_they_are_equal():
    blocks = list(fake.plan(320).blocks())
    taken = drain(Queues(blocks, ["a", "b"]), ["a", "b"])
    assert all(len({b.venue for b in mine}) == 1 for mine in taken.values())


@given(st.lists(st.tuples(st.sampled_from("uvwxyz"), st.integers(1, 9)), min_size=1, max_size=60), st.integers(1, 5))
def test_every_block_is_taken_exactly_once(items, count):
    blocks = [Block(venue, "s", k, 0, n) for k, (venue, n) in enumerate(items)]
    workers = [f"w{k}" for k in range(count)]
    taken = drain(Queues(blocks, workers), workers)
    assert sorted(b for mine in taken.values() for b in mine) == sorted(blocks)
    sizes = [len(mine) for mine in taken.values()]
    assert max(sizes) - min(sizes) <= 1  # nobody idles while others have work waiting


def test_an_idle_worker_takes_a_venue_nobody_has_begun():
    blocks = [Block(v, "s", k, 0, 1) for v in "uvw" for k in range(4)]
    queues = Queues(blocks, ["a"])
    first = queues.take("a")
    helped = [queues.take("b") for _ in range(4)]
    assert {b.venue for b in helped} == {blocks[-1].venue} != {first.venue}


def test_newcomers_inherit_the_queues_of_the_dead():
    blocks = list(fake.plan().blocks())
    queues = Queues(blocks, ["a", "b"])
    queues.replace(["b", "c"])
    assert set(queues.queues) == {"b", "c"} and len(queues) == len(blocks)
    queues.replace(["b"])
    assert sorted(drain(queues, ["b"])["b"]) == sorted(blocks)
