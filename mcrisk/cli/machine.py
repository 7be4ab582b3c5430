"""Commands about this machine and what is installed on it: backends, warmup, validate-model."""

from __future__ import annotations

import json
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mcrisk.cli.answer import Answer
from mcrisk.cli.options import JsonOption, QuietOption, SetOption, overrides
from mcrisk.errors import InputError, RunFailed

_WHAT = {
    "jax": "portable, XLA on the CPU or a GPU that JAX finds",
    "native": "the generated kernel, compiled by the host compiler",
    "cupy": "the generated kernel, compiled for a CUDA GPU",
}


def register(app: typer.Typer) -> None:
    app.command("backends")(backends)
    app.command("warmup")(warmup)
    app.command("validate-model")(validate_model)


class Target(StrEnum):
    """What a kernel is written for."""

    c = "c"
    cuda = "cuda"


def backends(
    config: Annotated[str, typer.Argument(metavar="[CONFIG]", help="With --dump-kernel: the run whose kernel is shown.")] = "",
    dump_kernel: Annotated[
        bool, typer.Option("--dump-kernel", help="Print the generated source that the native and CUDA backends compile.")
    ] = False,
    venue: Annotated[
        str | None, typer.Option("--venue", help="With --dump-kernel: whose rules; the run's first if not given.")
    ] = None,
    target: Annotated[Target, typer.Option("--target", help="With --dump-kernel: C or CUDA C++.")] = Target.c,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which backends can be used here, or print the kernel generated from the rules."""
    from mcrisk.cli.checks import backend_state

    if dump_kernel:
        _dump_kernel(config or "quickstart", venue, target, settings)
        return
    if config or venue or settings:
        raise InputError("CONFIG, --venue and --set choose the kernel to print", "mcrisk backends", None, "add --dump-kernel")
    if as_json:
        states = {name: backend_state(name) for name in _WHAT}
        told = {name: {"ready": why is None, "why": why, "what": _WHAT[name]} for name, why in states.items()}
        typer.echo(json.dumps(told, indent=1))
        return
    for name, what in _WHAT.items():
        state = backend_state(name)
        typer.echo(f"{name:<8}{'ready' if state is None else 'absent':<8}{what}" + (f" — {state}" if state else ""))


def _dump_kernel(config: str, venue: str | None, target: Target, settings: list[str] | None) -> None:
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate
    from mcrisk.engine.native.dump import kernel_text

    asked = load_config(config, overrides(settings, backend=("execution.backend", "jax")))
    names = [one.name for one in asked.venues]
    if venue is not None and venue not in names:
        raise InputError(f"the run has no venue '{venue}'", "--venue", f"it has {', '.join(names)}", "choose one of these")
    task = simulate.prepare(asked, venue or names[0], asked.scenarios[0].name)
    typer.echo(kernel_text(simulate.simulator(task).cell, target.value))


def warmup(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Run whose kernels are compiled.")] = "quickstart",
    backend: Annotated[str | None, typer.Option("--backend", help="auto, jax, native or cupy.")] = None,
    settings: SetOption = None,
    quiet: QuietOption = False,
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
        compute(short, out=Path(folder) / "warmup.zarr", quiet=quiet)
    Answer(quiet=quiet).say("the kernels are compiled")


def validate_model(
    runs: Annotated[int, typer.Option("--runs", min=50, max=100_000, help="Small runs per case.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63, help="Of the random numbers.")] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Repeat small runs on cases with a known answer: how often do the 95 % intervals hold it?"""
    import jax

    jax.config.update("jax_enable_x64", True)
    from rich.table import Table

    from mcrisk.risk import validation

    low, high = validation.BAND
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("case", "known answer", "mean estimate", "paths", "runs", "coverage", f"{low:.0%}–{high:.0%}"):
        table.add_column(title, justify="left" if title == "case" else "right")
    outside, facts = [], []
    for case in validation.cases():
        found = validation.coverage(case, runs, seed)
        verdict = "yes" if found.within() else "no"
        outside += [found.name] if verdict == "no" else []
        numbers = (f"{found.truth:.5g}", f"{found.mean:.5g}", f"{found.paths:,}", f"{found.runs:,}", f"{found.share:.1%}")
        table.add_row(found.name, *numbers, verdict)
        facts.append({"case": found.name, "truth": found.truth, "mean": found.mean, "paths": found.paths,
                      "runs": found.runs, "coverage": found.share, "within": verdict == "yes"})  # fmt: skip
    answer = Answer(as_json, quiet)
    answer.show(table)
    answer.give(facts)
    if outside:
        raise RunFailed(
            f"{len(outside)} interval(s) do not cover as they should", "; ".join(outside),
            f"with {runs:,} runs the coverage itself is known to ± {2 * (0.95 * 0.05 / runs) ** 0.5:.1%}",
            "repeat with more --runs or another --seed; if it persists, report it with `mcrisk backends`",
        )  # fmt: skip
