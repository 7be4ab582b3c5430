"""The CUDA kernel on a GPU: parity with the CPU, memory checker, benchmarks. `make gpu-check`, or in two steps:

    python benchmarks/gpu_check.py --export cases.npz      on a machine with mcrisk and a C compiler
    python benchmarks/gpu_check.py cases.npz               on a machine with a GPU, CuPy and NumPy

The case file holds, per case, the kernel, its inputs as flat arrays and the native backend's results, so that the machine
with the GPU needs nothing else of mcrisk's dependencies. Without a file both steps are made here. Writes
benchmarks/results/gpu-<date>.json; exits with 1 where a check fails. `--on-host` lets the host stand in for the device.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mcrisk.engine.cuda import device  # noqa: E402
from mcrisk.engine.cuda.kernel import BLOCK, CudaProgram, plan  # noqa: E402
from mcrisk.engine.native.slots import Slots, Source  # noqa: E402

VENUES = (
    "kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures",
    "okx-premarket-perp", "okx-preipo-perp", "binance-premarket", "binance-preipo",
)
CASES = tuple(f"{venue}:64:256" for venue in VENUES) + ("kraken-preipo:1000:64", "kraken-preipo:10000:16")
SAME_COUNTS, MONEY = 0.999, 1e-6   # contract between backends: share of paths with equal counts; of Σ initial collateral
RESULTS = 4 << 30   # bytes of results that a measurement brings to the host, at most
TOOLS = ("memcheck", "initcheck", "racecheck")


@dataclass
class Case:
    """One kernel with inputs and the results of the native backend."""

    name: str
    source: Source
    shared: list[np.ndarray]
    lanes: list[np.ndarray]
    expected: list[np.ndarray]

    @property
    def paths(self) -> int:
        return len(self.expected[0])

    def named(self, name: str) -> np.ndarray | None:
        """The input common to all paths whose place ends like this."""
        return next((a for a, spec in zip(self.shared, self.source.shared) if spec.name.endswith(name)), None)

    @property
    def steps(self) -> int:
        return next(spec.shape[0] for spec in self.source.outs if "snapshots" in spec.name)


# ------------------------------------------------------------------------------------------------ case files
def make_case(text: str) -> Case:
    """venue:accounts:paths of the scenario `combined`, run by the native backend."""
    venue, accounts, paths = text.split(":")
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate
    from mcrisk.engine.native import run

    config = load_config("quickstart", [f"book.accounts={accounts}", "execution.backend=native"])
    sim = simulate.simulator(simulate.prepare(config, venue, "combined"))
    seen: list[Case] = []

    class Recording(run.Program):
        """A program that keeps what it is called with."""

        def __call__(self, shared: list, lanes: list, count: int) -> list[np.ndarray]:
            got = super().__call__(shared, lanes, count)
            seen.append(Case(text, self.source, [np.asarray(a) for a in shared], [np.asarray(a) for a in lanes], got))
            return got

    run.run_lanes(sim.cell, 0, int(paths), None, kind=Recording)
    return seen[0]


def save(cases: list[Case], file: Path) -> None:
    """All cases in one compressed file."""
    arrays: dict[str, np.ndarray] = {}
    heads = []
    for k, case in enumerate(cases):
        kinds = {kind: getattr(case, kind) for kind in ("shared", "lanes", "expected")}
        arrays |= {f"{k}/{kind}/{i}": a for kind, many in kinds.items() for i, a in enumerate(many)}
        heads.append({"name": case.name, "source": asdict(case.source), "counts": {kind: len(m) for kind, m in kinds.items()}})
    np.savez_compressed(file, heads=np.array(json.dumps(heads)), **arrays)


def load(file: Path) -> list[Case]:
    """The inverse of `save`."""
    with np.load(file) as found:
        cases = []
        for k, head in enumerate(json.loads(str(found["heads"]))):
            given = dict(head["source"])
            for kind in ("shared", "lanes", "outs"):
                given[kind] = tuple(Slots(tuple(s["shape"]), s["dtype"], s["name"]) for s in given[kind])
            parts = [[found[f"{k}/{kind}/{i}"] for i in range(n)] for kind, n in head["counts"].items()]
            cases.append(Case(head["name"], Source(**given), *parts))
    return cases


# ------------------------------------------------------------------------------------------------ parity
def is_count(spec: Slots) -> bool:
    """Results that count or name events: equal, not just close."""
    return spec.dtype != "float64"


def is_money(spec: Slots) -> bool:
    return spec.dtype == "float64" and (".tally." in spec.name or ".pool." in spec.name)


def compare(case: Case, got: list[np.ndarray]) -> dict[str, Any]:
    """Got against expected, as the contract between backends asks."""
    specs, rows = case.source.outs, (case.paths, -1)
    pairs = [(spec, a.reshape(rows), b.reshape(rows)) for spec, a, b in zip(specs, got, case.expected, strict=True)]
    bits = np.all([np.all((a == b) | ((a != a) & (b != b)), axis=1) for _, a, b in pairs], axis=0)
    same = np.all([np.all(a == b, axis=1) for spec, a, b in pairs if is_count(spec)], axis=0)
    scale = float(np.sum(np.abs(case.named("ref.collateral"))))
    with np.errstate(invalid="ignore"):   # times that never came are infinite on both sides
        gaps = {spec.name: float(np.max(np.where(a == b, 0.0, np.abs(a - b))[same], initial=0.0)) / scale
                for spec, a, b in pairs if is_money(spec)}
    worst = max(gaps, key=lambda name: gaps[name] if gaps[name] == gaps[name] else np.inf)
    fine = float(np.mean(same)) >= SAME_COUNTS and gaps[worst] < MONEY
    return {"paths": case.paths, "equal_bits": float(np.mean(bits)), "equal_counts": float(np.mean(same)),
            "largest_gap_of_money": gaps[worst], "in": worst, "ok": bool(fine)}


def check(case: Case, kind: Any, paths: int | None) -> dict[str, Any]:
    """Parity of one case, and that a path does not depend on the launch it comes in."""
    count = min(case.paths, paths or case.paths)
    case = Case(case.name, case.source, case.shared, [a[:count] for a in case.lanes], [a[:count] for a in case.expected])
    start = time.perf_counter()
    program = kind(case.source, None)
    compiled = time.perf_counter() - start
    got = program(case.shared, case.lanes, count)
    row = {"case": case.name, "compile_seconds": round(compiled, 2), **compare(case, got)}
    cut = count // 3
    parts = [program(case.shared, [a[s] for a in case.lanes], n) for s, n in ((slice(cut), cut), (slice(cut, None), count - cut))]
    row["independent_of_launch"] = all(
        np.array_equal(a, np.concatenate(b), equal_nan=a.dtype.kind == "f") for a, b in zip(got, zip(*parts)))
    row["ok"] = row["ok"] and row["independent_of_launch"]
    return row


# ------------------------------------------------------------------------------------------------ memory checker
def sanitize(file: Path, paths: int) -> list[dict[str, Any]]:
    """compute-sanitizer over a short parity run of the first case, where it is installed."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        return [{"tool": "compute-sanitizer", "ok": None, "said": "not installed"}]
    rows = []
    for tool in TOOLS:
        command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, __file__, str(file), "--only-parity",
                   "--first", "1", "--paths", str(paths)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        except subprocess.TimeoutExpired:
            rows.append({"tool": tool, "ok": None, "said": "not finished within 240 s"})
            continue
        lines = [line for line in done.stdout.splitlines() if line.startswith("=========")]
        rows.append({"tool": tool, "ok": done.returncode == 0, "said": lines[-1].strip("= ") if lines else done.stderr[-300:]})
    return rows


# ------------------------------------------------------------------------------------------------ benchmarks
def many(case: Case, count: int) -> list[np.ndarray]:
    """Inputs of paths 0 … count−1: other numbers, the rest as in the first path."""
    lanes = [np.repeat(a[:1], count, axis=0) for a in case.lanes]
    lanes[0] = np.arange(count, dtype=case.lanes[0].dtype)
    return lanes


def measure(case: Case, kind: Any, count: int, repeats: int = 3) -> dict[str, Any]:
    """Time of whole calls (copies and planning included) and, on a device, of the kernel alone; `count` paths at most."""
    program = kind(case.source, None)
    count = min(count, RESULTS // (8 * sum(spec.slots for spec in case.source.outs)))
    lanes, seconds = many(case, count), []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        program(case.shared, lanes, count)
        seconds.append(time.perf_counter() - start)
    whole = float(np.median(seconds[1:]))
    shape = plan(case.source, count, program.device.threads, program.device.free())
    row = {"case": case.name, "paths": count, "steps": case.steps, "seconds": whole, "first_call_seconds": seconds[0],
           "ns_per_path_step": 1e9 * whole / (count * case.steps), "launch": {**asdict(shape), "threads_per_block": BLOCK}}
    kernel = getattr(program.device, "kernel", None)
    if kernel is not None:
        row["kernel"] = {"registers": kernel.num_regs, "local_bytes": kernel.local_size_bytes}
        row["kernel_seconds"] = kernel_time(program, case, lanes, min(count, shape.paths))
        row["kernel_ns_per_path_step"] = 1e9 * row["kernel_seconds"] / (min(count, shape.paths) * case.steps)
    return row


def kernel_time(program: Any, case: Case, lanes: list[np.ndarray], count: int) -> float:
    """Seconds of one launch between two events of the device."""
    import cupy

    launch, times = program.device.launch, []

    def timed(*args: Any) -> None:
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record()
        launch(*args)
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3)

    program.device.launch = timed
    for _ in range(3):
        program(case.shared, [a[:count] for a in lanes], count)
    program.device.launch = launch
    return float(np.median(times))


# ------------------------------------------------------------------------------------------------ the report
def hardware(on_host: bool) -> dict[str, Any]:
    here = {"python": platform.python_version(), "numpy": np.__version__, "host": platform.machine(), "cores": os.cpu_count()}
    if on_host:
        return here | {"device": "none: the host stands in"}
    return here | {"device": asdict(device.facts()), "environment": device.environment()}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="case file of --export")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the case file and stop")
    parser.add_argument("--cases", nargs="+", default=list(CASES), metavar="VENUE:ACCOUNTS:PATHS")
    parser.add_argument("--paths", type=int, help="of each case's parity, at most")
    parser.add_argument("--first", type=int, help="only the first so many cases")
    parser.add_argument("--bench-paths", type=int, nargs="+", default=[16_384, 131_072])
    parser.add_argument("--only-parity", action="store_true")
    parser.add_argument("--on-host", action="store_true", help="compile the CUDA text for the host and run it there")
    parser.add_argument("--json", type=Path, help="the report; benchmarks/results/gpu-<date>.json if not given")
    args = parser.parse_args(argv)
    if args.export:
        save([make_case(text) for text in args.cases], args.export)
        print(f"{args.export}: {len(args.cases)} cases, {args.export.stat().st_size / 2**20:.1f} MiB")
        return 0
    if not args.on_host and device.missing() is not None:
        print(f"gpu-check needs a CUDA device: {device.missing()}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        file = args.file or Path(folder) / "cases.npz"
        if args.file is None:
            save([make_case(text) for text in args.cases], file)
        return report(load(file)[: args.first], file, args)


def report(cases: list[Case], file: Path, args: argparse.Namespace) -> int:
    """All checks; what they found is printed and written."""
    kind: Any = CudaProgram
    if args.on_host:
        from mcrisk.engine.cuda.onhost import HostProgram as kind
    out: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "hardware": hardware(args.on_host)}
    out["parity"] = [tell(check(case, kind, args.paths)) for case in cases]
    ok = all(row["ok"] for row in out["parity"])
    if not args.only_parity:
        if not args.on_host:
            out["sanitizer"] = [tell(row) for row in sanitize(file, 64)]
            ok = ok and all(row["ok"] is not False for row in out["sanitizer"])
        out["benchmarks"] = [tell(measure(case, kind, count)) for case in cases for count in args.bench_paths]
    out["ok"] = ok
    if args.json or not args.only_parity:
        target = args.json or ROOT / "benchmarks" / "results" / f"gpu-{out['date'][:10]}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(out, indent=1) + "\n")
        print(target)
    print("all checks passed" if ok else "A CHECK FAILED")
    return 0 if ok else 1


def tell(row: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
