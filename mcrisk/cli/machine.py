"""Commands about this machine: backends, warmup."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.options import SetOption, overrides

_WHAT = {
    "jax": "portable, XLA on the CPU or a GPU that JAX finds",
    "native": "the generated kernel, compiled by the host compiler",
    "cupy": "the generated kernel, compiled for a CUDA GPU",
}


def register(app: typer.Typer) -> None:
    app.command("backends")(backends)
    app.command("warmup")(warmup)


def backends() -> None:
    """Say which backends can be used here."""
    from mcrisk.cli.checks import backend_state

    for name, what in _WHAT.items():
        state = backend_state(name)
        typer.echo(f"{name:<8}{'ready' if state is None else 'absent':<8}{what}" + (f" — {state}" if state else ""))


def warmup(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Run whose kernels are compiled.")] = "quickstart",
    backend: Annotated[str | None, typer.Option("--backend", help="auto, jax, native or cupy.")] = None,
    settings: SetOption = None,
) -> None:
    """Compile a run's kernels into the cache, so that the run itself starts at once."""
    from mcrisk.cli import checks
    from mcrisk.config.load import load_config, validated
    from mcrisk.config.run import RunConfig

    asked = load_config(config, overrides(settings, backend=("execution.backend", backend)))
    checks.usable_backend(asked.execution.backend, f"--backend {asked.execution.backend}")
    whole = asked.model_dump(mode="json")
    small = {"paths": asked.execution.lane_paths, "assumption_strip": False, "break_even": False}
    one = {
        "scenarios": whole["scenarios"][:1],
        "scenario_feeds": {},
    }  # scenarios are parameters: one compilation serves all
    short = validated(RunConfig, {**whole, **small, **one}, config)
    from mcrisk.runs import run as compute

    with tempfile.TemporaryDirectory(prefix="mcrisk-warmup-") as folder:
        compute(short, out=Path(folder) / "warmup.zarr")
    typer.echo("the kernels are compiled")
