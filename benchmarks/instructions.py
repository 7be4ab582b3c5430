"""Machine instructions per path-step of the native backend, by venue and book size: independent of what else runs.

`python benchmarks/instructions.py [--venues …] [--accounts 100 10000] [--paths 4] [--dense]` needs valgrind and a C compiler.
The compiled library is called from a small C program, without Python, under callgrind. `--dense` takes the engine that puts
all accounts through every row that is not quiet (what several markets still do).
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from run import VENUES, environment

CALLER = r"""
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
static int64_t word(FILE *f) { int64_t x = 0; return fread(&x, 8, 1, f) == 1 ? x : -1; }
int main(int argc, char **argv) {
  FILE *f = fopen(argv[2], "rb");
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!f || !library) return 1;
  void (*run)(void *, void *, int64_t, double *) = dlsym(library, "mcrisk_run");
  int64_t ins = word(f), outs = word(f), count = word(f), arena = word(f);
  void **in = calloc(ins + 1, 8), **out = calloc(outs + 1, 8);
  for (int64_t i = 0; i < ins; i++) {
    int64_t size = word(f);
    in[i] = aligned_alloc(64, (size + 127) / 64 * 64);
    if ((int64_t)fread(in[i], 1, size, f) != size) return 1;
  }
  for (int64_t i = 0; i < outs; i++) out[i] = malloc(word(f));
  run(in, out, count, aligned_alloc(64, (arena + 16) * 8 / 64 * 64 + 64));
  return 0;
}
"""


def inputs(cell, program, first: int, count: int) -> bytes:
    """What the caller reads: counts, then every input and the size of every result."""
    import jax

    from mcrisk.engine.chosen import chosen_lanes
    from mcrisk.engine.native.slots import slot_arrays

    number = np.uint64(first) + np.arange(count, dtype=np.uint64)
    lanes = [number & np.uint64(0xFFFFFFFF), number >> np.uint64(32), *jax.tree.leaves(chosen_lanes(first, count, None)),
             np.zeros(count, bool)]
    source = program.source
    arrays = [a.tobytes() for a in slot_arrays(source, jax.tree.leaves(cell), lanes)]
    head = struct.pack("4q", len(arrays), len(source.outs), count, source.arena)
    sizes = b"".join(struct.pack("q", spec.slots * 8 * count) for spec in source.outs)
    return head + b"".join(struct.pack("q", len(a)) + a for a in arrays) + sizes


def measure(venue: str, scenario: str, accounts: int, paths: int, dense: bool, folder: Path) -> dict:
    """Instructions per path-step; loading the inputs is counted apart and taken off."""
    from stage_profile import simulator

    from mcrisk.engine.native import run

    cell = simulator(venue, scenario, accounts, "native").cell
    cell = cell._replace(orders=()) if dense else cell
    program, counted = run.program_of(cell), []
    for count in (0, paths):
        file = folder / "inputs"
        file.write_bytes(inputs(cell, program, 1000, max(count, 1))[:16] + struct.pack("q", count)
                         + inputs(cell, program, 1000, max(count, 1))[24:])
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", str(folder / "caller"),
                   program.library._name, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counted.append(int(re.search(r"refs:\s+([\d,]+)", done.stderr)[1].replace(",", "")))
    steps = cell.params.grid.slope.shape[-1]
    return {"venue": venue, "scenario": scenario, "accounts": accounts, "paths": paths, "steps": steps, "dense": dense,
            "instructions_per_path_step": (counted[1] - counted[0]) / paths / steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venues", nargs="+", default=list(VENUES))
    parser.add_argument("--scenario", default="combined")
    parser.add_argument("--accounts", nargs="+", type=int, default=[100, 10_000])
    parser.add_argument("--paths", type=int, default=4)
    parser.add_argument("--dense", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    environment()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "caller.c").write_text(CALLER)
        subprocess.run(["cc", "-O1", "-o", str(folder / "caller"), str(folder / "caller.c"), "-ldl"], check=True)
        for venue in args.venues:
            for accounts in args.accounts:
                rows.append(measure(venue, args.scenario, accounts, args.paths, args.dense, folder))
                print(f"{venue:24}{accounts:8d}{rows[-1]['instructions_per_path_step']:12.0f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
