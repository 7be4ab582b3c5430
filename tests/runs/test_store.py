"""The store: laid out first, refused when it must be, never read torn."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mcrisk.errors import InputError, RunFailed
from mcrisk.runs import check, open_run
from mcrisk.runs import fingerprint as prints
from mcrisk.runs import store as store_module
from mcrisk.runs.damage import block_files, find_damage, find_missing
from mcrisk.runs.lock import StoreLock
from mcrisk.runs.merge import merge
from mcrisk.runs.plan import Variant
from mcrisk.runs.store import RunStore, write_block

from . import fake

IDENTITY = prints.identity({"seed": 1}, "fake")
FACTS = {"name": "fake", "seed": 1, "config": {}}


def opened(path: Path, plan=None, identity=IDENTITY) -> RunStore:
    return RunStore.open(path, plan or fake.plan(), identity, FACTS)


def fill(store: RunStore, blocks=None, session: str = "s") -> None:
    tasks = fake.tasks(variants=store.plan.variants)
    for block in store.pending() if blocks is None else blocks:
        result = fake.run_block(tasks[block.variant, block.venue, block.scenario], block.first_path, block.n)
        write_block(str(store.path), session, store.plan, block, result)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished store; tests that change it copy it first."""
    path = tmp_path_factory.mktemp("whole") / "run.zarr"
    with opened(path) as store:
        fill(store)
        merge(store)
        store.note(complete=True)
    return path


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy.zarr"))


def test_everything_is_laid_out_before_anything_is_computed(tmp_path):
    with opened(tmp_path / "run.zarr") as store:
        assert len(store.pending()) == 18
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = xr.open_datatree(tmp_path / "run.zarr", engine="zarr")
    assert set(tree.children) == {"paths", "accounts", "bands", "metrics", "blocks"}
    assert dict(tree["paths"].sizes) == {"venue": 2, "scenario": 3, "path": 96}
    assert list(tree["paths"]["venue"].values) == list(fake.VENUES)
    assert {f.name: str(tree["paths"][f.name].dtype) for f in fake.FIELDS} == {f.name: f.dtype for f in fake.FIELDS}
    assert tree["accounts"].coords["account_id"].dims == ("venue", "account")
    assert tree.attrs["fingerprint"] == prints.fingerprint(IDENTITY) and tree.attrs["complete"] is False
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_blocks_land_where_they_belong(whole):
    paths = open_run(whole).paths
    for v, venue in enumerate(fake.VENUES):
        for s, scenario in enumerate(fake.SCENARIOS):
            wanted = fake.run_block(fake.Task(venue, scenario), 0, 96)
            for name, values in wanted.paths.items():
                np.testing.assert_array_equal(paths[name].values[v, s], values)


def test_merged_groups_are_those_of_one_big_block(whole):
    result = open_run(whole)
    one = fake.run_block(fake.Task(fake.VENUES[1], fake.SCENARIOS[2]), 0, 96)
    np.testing.assert_array_equal(result.accounts["p_liquidated"].values[1, 2], one.accounts["liquidated"] / 96)
    np.testing.assert_allclose(result.accounts["pnl_mean"].values[1, 2], one.accounts["pnl_sum"] / 96, rtol=1e-12)
    assert np.isfinite(result.bands["mark"].values).all()
    assert (np.diff(result.bands["mark"].values, axis=-1) >= 0).all()


def test_files_of_a_finished_block_are_all_there(whole):
    with RunStore.existing(whole) as store:
        blocks = list(store.plan.blocks())
        assert all((whole / file).is_file() for block in blocks for file in block_files(store, block))
        assert find_damage(store) == []
        expected = {whole / file for block in blocks for file in block_files(store, block)}
        stray = {f for f in (whole / "paths").rglob("*") if f.parent.parent.parent.name == "c"} - expected
        assert not stray


def test_the_stored_plan_is_the_plan(whole):
    with RunStore.existing(whole) as store:
        plan, wanted = store.plan, fake.plan()
    assert [b for b in plan.blocks()] == [b for b in wanted.blocks()]
    assert [(f.name, f.dtype) for f in plan.layout.fields] == [(f.name, f.dtype) for f in wanted.layout.fields]
    assert plan.layout.account_ids == wanted.layout.account_ids
    np.testing.assert_array_equal(plan.layout.pnl_edges[fake.VENUES[0]], wanted.layout.pnl_edges[fake.VENUES[0]])
    assert set(plan.layout.band_edges) == set(wanted.layout.band_edges)


# ---------------------------------------------------------------------- refusals
def test_another_fingerprint_is_refused(copy):
    with pytest.raises(InputError, match="not this one") as caught:
        opened(copy, identity=prints.identity({"seed": 2}, "fake"))
    assert "config.seed: 1 → 2" in caught.value.why
    with opened(copy):
        pass  # the refusal let go of the lock


def test_a_second_opener_is_refused_with_the_holder(copy):
    with opened(copy), pytest.raises(InputError, match="another mcrisk run") as caught:
        opened(copy)
    assert "process" in caught.value.why
    with opened(copy):
        pass


def test_a_lock_file_left_behind_is_no_lock(copy):
    (copy / ".lock").write_text("whatever a killed run left")
    with opened(copy):
        pass
    assert not (copy / ".lock").exists()


def test_release_is_repeatable(copy):
    lock = StoreLock(copy)
    lock.release()
    lock.release()


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    for path in (tmp_path / "precious", tmp_path / "precious" / "file"):
        with pytest.raises(InputError, match="not an mcrisk run"):
            opened(path)
    assert [p.name for p in (tmp_path / "precious").iterdir()] == ["file"]


def test_a_foreign_zarr_group_is_left_alone(tmp_path):
    xr.Dataset({"a": ("x", [1, 2])}).to_zarr(tmp_path / "theirs.zarr", zarr_format=3)
    with pytest.raises(InputError, match="not an mcrisk run"):
        opened(tmp_path / "theirs.zarr")


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "run.zarr").mkdir()
    with opened(tmp_path / "run.zarr") as store:
        assert store.created


@pytest.mark.parametrize("place", ["/proc/run.zarr", "/dev/null/run.zarr"])
def test_a_place_that_cannot_be_written_is_refused(place):
    with pytest.raises(InputError):
        opened(Path(place))


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(InputError, match="MiB are free"):
        opened(tmp_path / "run.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_keeps_what_is_done(tmp_path, monkeypatch):
    with opened(tmp_path / "run.zarr") as store:
        blocks = store.pending()
        fill(store, blocks[:2])
        monkeypatch.setattr(store_module, "_write_base", _raise(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(InputError, match="no space left"):
            fill(store, blocks[2:3])
        assert store.pending() == blocks[2:]


def test_a_layout_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "lay_out", _raise(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(InputError, match="no space left"):
        opened(tmp_path / "run.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_misshapen_block_is_refused(tmp_path):
    with opened(tmp_path / "run.zarr") as store:
        block = store.pending()[0]
        result = fake.run_block(fake.Task(block.venue, block.scenario), 0, block.n - 1)
        with pytest.raises(RunFailed, match="another shape"):
            write_block(str(store.path), "s", store.plan, block, result)
        assert block in store.pending()


# ---------------------------------------------------------------------- torn and flipped files
def damaged_file(store: RunStore, number: int = 3) -> tuple[Path, object]:
    block = list(store.plan.blocks())[number]
    return store.path / block_files(store, block)[0], block


@pytest.mark.parametrize("harm", ["truncate", "flip", "empty", "delete", "swap"])
def test_damage_is_found_and_only_that_block_is_computed_again(copy, whole, harm):
    with RunStore.existing(copy) as store:
        file, block = damaged_file(store)
        raw = bytearray(file.read_bytes())
        if harm == "truncate":
            file.write_bytes(raw[: len(raw) // 2])
        elif harm == "flip":
            raw[len(raw) // 2] ^= 1
            file.write_bytes(raw)
        elif harm == "empty":
            file.write_bytes(b"")
        elif harm == "delete":
            file.unlink()
        else:  # a sound chunk of another block, as a mixed-up backup would leave
            shutil.copy(damaged_file(store, 4)[0], file)
    if harm in ("truncate", "flip", "empty"):
        with pytest.raises(Exception):  # noqa: B017 - a torn chunk raises when it is read, it is never returned
            open_run(copy).paths.load()
    found = check(copy)
    assert [d.block for d in found] == [block]
    with opened(copy) as store:
        assert store.pending() == [block]
        fill(store, session="repair")
    assert same_paths(copy, whole)
    assert check(copy) == []


@pytest.mark.parametrize("harm", ["flip", "delete"])
def test_a_damaged_mark_costs_one_block_and_not_the_run(copy, whole, harm):
    mark = copy / "blocks/done/c/1/2/1"
    raw = bytearray(mark.read_bytes())
    raw[1] ^= 1
    mark.write_bytes(raw) if harm == "flip" else mark.unlink()
    (found,) = check(copy)
    assert found.block.index == (1, 2, 1) and "mark" in found.reason
    with opened(copy) as store:
        assert [b.index for b in store.pending()] == [(1, 2, 1)]
        fill(store, session="repair")
    assert same_paths(copy, whole)


@pytest.mark.parametrize("name", ["accounts/pnl_mean", "bands/mark", "paths/path", "paths/venue", "blocks/pnl_edges"])
def test_damage_outside_the_blocks_is_found_and_made_good(copy, whole, name):
    file = next(path for path in sorted((copy / name / "c").rglob("*")) if path.is_file())
    sound = file.read_bytes()
    raw = bytearray(sound)
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    if name in ("paths/venue", "blocks/pnl_edges"):  # an axis without which nothing can be checked
        with pytest.raises(InputError, match="axes are damaged"):
            check(copy)
    else:
        (found,) = check(copy)
        assert found.block is None and str(found).startswith(f"/{name}: ")
    with opened(copy) as store:  # what the same command does
        assert store.pending() == []
        merge(store)
        store.note(complete=True)
    assert check(copy) == [] and file.read_bytes() == sound and same_paths(copy, whole)


class Bomb:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


@pytest.mark.parametrize("kind", ["codec", "old format"])
def test_no_pickle_is_loaded_from_a_store(copy, tmp_path, kind):
    """Neither as a codec of Zarr v3, nor as an object array of v2, whose pickle filter numcodecs does know."""
    array, mark = copy / "paths/fund_minimum", tmp_path / "went-off"
    load = pickle.dumps(np.array([Bomb(mark)] * 4, dtype=object))
    if kind == "codec":
        facts = json.loads((array / "zarr.json").read_text())
        facts["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]
        (array / "zarr.json").write_text(json.dumps(facts))
        for chunk in (path for path in (array / "c").rglob("*") if path.is_file()):
            chunk.write_bytes(load)
    else:
        shutil.rmtree(array)
        array.mkdir()
        facts = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "|O", "compressor": None, "fill_value": 0, "order": "C",
                 "filters": [{"id": "pickle", "protocol": 5}]}  # fmt: skip
        (array / ".zarray").write_text(json.dumps(facts))
        (array / "0").write_bytes(load)
    for read in (check, lambda path: open_run(path).paths.load(), open_run):
        with suppress(Exception):
            read(copy)
    assert not mark.exists()
    pickle.loads(load)
    assert mark.exists()  # it would have gone off


def test_a_resume_notices_lost_files_without_reading_everything(copy):
    with RunStore.existing(copy) as store:
        file, block = damaged_file(store)
        file.unlink()
        assert [d.block for d in find_missing(store)] == [block]


def test_temporary_files_of_a_killed_writer_are_swept(copy):
    leftover = copy / "paths" / "fund_minimum" / "c" / "0" / "0" / "0.abc.partial"
    leftover.write_bytes(b"half")
    with opened(copy) as store:
        store.sweep()
    assert not leftover.exists()


# ---------------------------------------------------------------------- extending
def test_more_paths_add_blocks_and_equal_the_run_made_at_once(copy, tmp_path):
    with opened(copy, fake.plan(150)) as store:
        assert {b.number for b in store.pending()} == {3, 4}
        fill(store, session="longer")
        merge(store)
        store.note(complete=True)
    with opened(tmp_path / "once.zarr", fake.plan(150)) as store:
        fill(store, session="once")
        merge(store)
        store.note(complete=True)
    assert same_paths(copy, tmp_path / "once.zarr")
    np.testing.assert_array_equal(
        open_run(copy).accounts["pnl_mean"], open_run(tmp_path / "once.zarr").accounts["pnl_mean"]
    )


def test_a_cut_block_is_computed_again_when_it_grows(tmp_path):
    with opened(tmp_path / "run.zarr", fake.plan(40)) as store:
        fill(store)
    with opened(tmp_path / "run.zarr", fake.plan(64)) as store:
        assert {(b.number, b.n) for b in store.pending()} == {(1, 32)}
        before = store.root["paths/fund_minimum"][...]
        fill(store, session="2")
        assert before[:, :, :40].tobytes() == store.root["paths/fund_minimum"][:, :, :40].tobytes()


def test_fewer_paths_keep_what_is_there(copy):
    with opened(copy, fake.plan(32)) as store:
        assert store.plan.paths == 96 and store.pending() == []


def test_another_block_size_adopts_that_of_the_store(copy):
    with opened(copy, fake.plan(96, 48)) as store:
        assert store.plan.block_paths == 32 and store.pending() == []


def test_a_resize_that_was_killed_is_repeated(copy, monkeypatch):
    monkeypatch.setattr(store_module, "resize", _raise(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        opened(copy, fake.plan(150))
    monkeypatch.undo()
    with opened(copy, fake.plan(150)) as store:
        assert len(store.pending()) == 12


# ---------------------------------------------------------------------- variants and reading
def test_variants_are_stored_beside_and_can_change(tmp_path):
    low = Variant("low", fake.VENUES, fake.SCENARIOS[:1], paths=40, text="fund at its low end")
    path = tmp_path / "run.zarr"
    with opened(path, fake.plan(64, 32, (low,))) as store:
        fill(store)
        assert store.pending() == []
    data = open_run(path).tree["variants"].to_dataset()
    got = (
        data["value"].sel(variant="low", venue=fake.VENUES[1], scenario=fake.SCENARIOS[0], field="fund_minimum").values
    )
    wanted = fake.run_block(fake.Task(fake.VENUES[1], fake.SCENARIOS[0]), 0, 40).paths["fund_minimum"]
    np.testing.assert_array_equal(got[:40], wanted)
    with opened(path, fake.plan(64, 32, (replace(low, text="another end"),))) as store:
        assert {b.variant for b in store.pending()} == {"low"}


def test_an_unfinished_run_shows_only_whole_paths(tmp_path):
    path = tmp_path / "run.zarr"
    with opened(path) as store:
        fill(store, [b for b in store.pending() if b.number < 2])
    result = open_run(path)
    assert not result.complete and result.blocks_done == (12, 18)
    assert result.paths.sizes["path"] == 64 and result.paths_everywhere == 64
    with pytest.raises(InputError, match="unfinished: 12 of 18"):
        result.metrics


def test_html_and_repr_escape_names(copy):
    with RunStore.existing(copy) as store:
        store.note(name="<script>alert(1)</script>")
    html = open_run(copy)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attributes": 3}', "\x00\xff"])
def test_broken_metadata_is_no_run(tmp_path, text):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "zarr.json").write_text(text)
    with pytest.raises(InputError):
        open_run(tmp_path / "x.zarr")


def same_paths(a: Path, b: Path) -> bool:
    one, two = open_run(a).tree["paths"].to_dataset().load(), open_run(b).tree["paths"].to_dataset().load()
    return list(one.data_vars) == list(two.data_vars) and all(
        one[n].values.tobytes() == two[n].values.tobytes() for n in one
    )


def _raise(error: BaseException):
    def stand_in(*_args, **_kwargs):
        raise error

    return stand_in
