"""What the generated CUDA kernel compiles to, without a GPU: `python benchmarks/kernel_stats.py --json FILE`.

NVRTC (Python package `nvidia-cuda-nvrtc`, extra `cuda-tools`) compiles the kernel of each venue for one architecture; its
log gives registers, stack and spills of every function, nvdisasm (package `nvidia-cuda-nvdisasm`) the machine code, of which
instructions are counted: of all functions, and by kind of the loop over rows and of the functions that loop calls.
Nothing is run: counts are static, each instruction once, whether a path meets it or not.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

OPTIONS = ("--fmad=false", "-std=c++17", "--ptxas-options=-v")   # the first two are those of engine/cuda/device.py
VENUES = (
    "kraken-preipo", "tradexyz-ipop", "hyperliquid-hyperp", "okx-prelaunch-futures",
    "okx-premarket-perp", "okx-preipo-perp", "binance-premarket", "binance-preipo",
)
KINDS = {   # of SASS instructions, by the beginning of their name; the first that fits counts
    "float64": ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX"), "special function": ("MUFU",), "float32": ("F",),
    "local memory": ("LDL", "STL"), "global memory": ("LDG", "STG", "LD.", "ST."), "constant memory": ("LDC", "ULDC"),
    "branch or call": ("BRA", "CALL", "RET", "BSSY", "BSYNC", "EXIT", "WARPSYNC", "BRX", "BREAK"),
    "conversion": ("I2F", "F2I", "F2F"), "integer and other": ("",),
}


# ------------------------------------------------------------------------------------------------ tools
def _package_folders(*parts: str) -> list[Path]:
    """Folders of the `nvidia` packages, and of a toolkit under $CUDA_HOME or /usr/local/cuda."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (spec.submodule_search_locations if spec else [])]
    homes = [Path(p) for p in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if p]
    return [f for root in roots for name in ("cu*", "cuda_*") for f in sorted(root.glob(f"{name}/{parts[0]}"), reverse=True)] + [
        home / part for home in homes for part in parts]


def find_nvrtc() -> Path:
    """The NVRTC library."""
    for folder in _package_folders("lib", "lib64"):
        for file in sorted(folder.glob("libnvrtc.so*"), reverse=True):
            return file
    raise SystemExit("NVRTC was not found: pip install nvidia-cuda-nvrtc (extra cuda-tools), or set CUDA_HOME")


def find_tool(name: str) -> str | None:
    """A program of the CUDA toolkit, from its package, $CUDA_HOME or the PATH."""
    places = [str(folder) for folder in _package_folders("bin")] + os.environ.get("PATH", "").split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(places))


class Nvrtc:
    """The few calls of NVRTC that are needed."""

    def __init__(self, file: Path):
        for builtins in sorted(file.parent.glob("libnvrtc-builtins.so*")):   # NVRTC asks for it by name, without a folder
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(str(file))
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = f"{major.value}.{minor.value}"

    def _check(self, code: int) -> None:
        if code:
            self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise RuntimeError(self.library.nvrtcGetErrorString(code).decode())

    def _bytes(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        out = ctypes.create_string_buffer(size.value)
        self._check(getattr(self.library, f"nvrtcGet{what}")(program, out))
        return out.raw

    def compile(self, text: str, options: tuple[str, ...]) -> tuple[bytes, str]:
        """The machine code and the log. Raises RuntimeError with the log where it fails."""
        program = ctypes.c_void_p()
        self._check(self.library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"mcrisk.cu", 0, None, None))
        given = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
        code = self.library.nvrtcCompileProgram(program, len(options), given)
        log = self._bytes(program, "ProgramLog").rstrip(b"\0").decode()
        if code:
            raise RuntimeError(log)
        return self._bytes(program, "CUBIN"), log


# ------------------------------------------------------------------------------------------------ reading
def plain(name: str) -> str:
    """part_3_step of _ZN…11part_3_stepEP5frame."""
    found = re.search(r"(part_\d+\w*?|one_path)EP5frame", name) or re.search(r"(mcrisk_run)$", name)
    return found.group(1) if found else name


def resources(log: str) -> dict[str, dict[str, int]]:
    """Registers of the kernel; stack and spills of every function, in bytes per thread."""
    out: dict[str, dict[str, int]] = {}
    at = ""
    for line in log.splitlines():
        if found := re.search(r"Function properties for (\S+)", line):
            at = plain(found.group(1))
        elif found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            out[at] = dict(zip(("stack", "spill_stores", "spill_loads"), map(int, found.groups())))
        elif found := re.search(r"Used (\d+) registers.*?(\d+) bytes cumulative stack size", line):
            out.setdefault("mcrisk_run", {}).update(registers=int(found.group(1)), cumulative_stack=int(found.group(2)))
    return out


def machine_code(listing: str) -> dict[str, list[tuple[str, str]]]:
    """(label or "", instruction or "") line by line of every function of an `nvdisasm -c` listing."""
    out: dict[str, list[tuple[str, str]]] = {}
    lines: list[tuple[str, str]] = []
    for line in listing.splitlines():
        if found := re.match(r"(\.L_x_\d+):", line):
            lines.append((found.group(1), ""))
        elif found := re.match(r"(?:\$\S*?\$)?([A-Za-z_]\S*):$", line):
            lines = out.setdefault(plain(found.group(1)), [])
        elif found := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(.+?)\s*;", line):
            lines.append(("", found.group(1)))
    return {name: code for name, code in out.items() if any(text for _, text in code)}


def operation(instruction: str) -> str:
    """The name of an instruction, without its predicate."""
    return re.sub(r"^@!?U?P\w+\s+", "", instruction).split()[0]


def kinds(code: list[tuple[str, str]]) -> dict[str, int]:
    """Instructions by kind."""
    count: Counter[str] = Counter()
    for name in (operation(text) for _, text in code if text):
        if name != "NOP":
            count[next(kind for kind, starts in KINDS.items() if name.startswith(starts))] += 1
    return {"all": sum(count.values()), **dict(count.most_common())}


def longest_loop(code: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The lines between the ends of the longest backward branch; one that calls parts of the program goes first."""
    places = {label: at for at, (label, _) in enumerate(code) if label}
    loops: list[list[tuple[str, str]]] = []
    for at, (_, text) in enumerate(code):
        found = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", text)
        if found and places.get(found.group(1), at) < at:
            loops.append(code[places[found.group(1)]:at + 1])
    return max(loops, key=lambda lines: (bool(called(lines)), len(lines)), default=[])


def called(code: list[tuple[str, str]]) -> list[str]:
    """Functions of the program that these lines call."""
    found = (re.search(r"CALL\S*\s+`\((\S+?)\)", text) for _, text in code)
    names = dict.fromkeys(plain(match.group(1)) for match in found if match)
    return [name for name in names if re.fullmatch(r"part_\d+\w*|one_path", name)]


def step(code: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """The loop over rows: its own instructions, and those of the functions a row enters unconditionally or in an account stage.

    A function that holds most of a row is called from the loop itself; functions that those call do the work on accounts.
    """
    loop = longest_loop(code["one_path"])
    row = [name for name in called(loop) if name in code]
    deeper = [name for name in dict.fromkeys(n for r in row for n in called(code[r])) if name not in row]
    return {"loop_itself": kinds(loop), "called_from_the_loop": {name: kinds(code[name]) for name in row},
            "called_from_those": {name: kinds(code[name]) for name in deeper}}


# ------------------------------------------------------------------------------------------------ the report
def kernel_text(venue: str, accounts: int) -> str:
    from mcrisk.config.load import load_config
    from mcrisk.engine import simulate
    from mcrisk.engine.native.dump import kernel_text as text

    config = load_config("quickstart", [f"book.accounts={accounts}", "execution.backend=jax"])
    cell = simulate.simulator(simulate.prepare(config, venue, config.scenarios[0].name)).cell
    return text(cell, "cuda")


def measure(venue: str, args: argparse.Namespace, nvrtc: Nvrtc, nvdisasm: str | None) -> dict[str, Any]:
    """One row of the report."""
    cubin, log = nvrtc.compile(kernel_text(venue, args.accounts), (f"--gpu-architecture={args.arch}", *OPTIONS))
    found = resources(log)
    row: dict[str, Any] = {"venue": venue, "accounts": args.accounts, "cubin_bytes": len(cubin), **found.pop("mcrisk_run")}
    row["spills"] = {name: {k: v for k, v in one.items() if k != "stack"} for name, one in found.items() if name[0] != "_"}
    if nvdisasm is None:
        return row | {"instructions": "not counted: nvdisasm was not found (package nvidia-cuda-nvdisasm)"}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        listing = subprocess.run([nvdisasm, "-c", file.name], capture_output=True, text=True, check=True).stdout
    code = machine_code(listing)
    return row | {"instructions": {name: kinds(lines)["all"] for name, lines in code.items()}, "row": step(code)}


def version(tool: str | None) -> str | None:
    if tool is None:
        return None
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
    return next((line.strip() for line in said.splitlines() if "release" in line), said.strip()[:80])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venues", nargs="+", default=list(VENUES))
    parser.add_argument("--accounts", type=int, default=64)
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args(argv)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    nvrtc, nvdisasm = Nvrtc(find_nvrtc()), find_tool("nvdisasm")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    rows = []
    for venue in args.venues:
        rows.append(measure(venue, args, nvrtc, nvdisasm))
        row = rows[-1]
        inner = sum(part["all"] for part in (row["row"]["loop_itself"], *row["row"]["called_from_the_loop"].values())
                    ) if "row" in row else "?"
        print(f"{venue:24} registers {row['registers']:4}  stack {row['cumulative_stack']:6} bytes  a row {inner} instructions "
              "without those for accounts", flush=True)
    report = {
        "what": "compiled, not run: static counts of what NVRTC made of the generated kernel, no GPU involved",
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "architecture": args.arch, "options": OPTIONS,
        "commit": commit,
        "tools": {"nvrtc": nvrtc.version, "nvdisasm": version(nvdisasm)},
        "command": "python benchmarks/kernel_stats.py " + " ".join(argv if argv is not None else sys.argv[1:]), "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
