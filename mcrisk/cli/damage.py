"""Results that cannot be read: told as what they are, and not as a defect of the command that met them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcrisk.errors import InputError, McriskError


@contextmanager
def readable(run: Path) -> Iterator[None]:
    """Whatever goes wrong inside is the store's fault if the store cannot be read as a whole: then an InputError."""
    try:
        yield
    except McriskError:
        raise
    except Exception as error:
        why = _fault(run)
        if why is None:
            raise
        raise InputError(
            "the store is damaged", str(run), why, "run `mcrisk check` on it, then the `mcrisk run` command again"
        ) from error


def _fault(run: Path) -> str | None:
    """Why a store cannot be read, or is not what a run writes; None when it can and is."""
    import xarray as xr

    try:
        with xr.open_datatree(run, engine="zarr", chunks=None) as tree:
            for node in tree.subtree:
                for name in node.data_vars:
                    node[name].load()
            lacking = {"paths", "metrics", "accounts", "bands"} - set(tree.children)
            axes = [f"/{group}" for group in sorted(tree.children) if group in ("paths", "metrics", "accounts", "bands")
                    if not {"venue", "scenario"} <= set(tree[group].coords)]  # fmt: skip
    except Exception as error:  # noqa: BLE001 - decoders raise whatever a damaged chunk makes them raise
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    if lacking or axes:
        return f"the group /{sorted(lacking)[0]} is missing" if lacking else f"{axes[0]} has lost its venues or scenarios"
    return None
