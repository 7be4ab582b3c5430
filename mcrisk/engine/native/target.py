"""Where a generated text is compiled: what stands before it makes the same statements C or CUDA C++.

A head defines the types `vd`, `vi`, `vu` of four elements and `slots` (scratch memory); `INLINE`, `TABLE`, `PART` (a function of
the program) and `ENTRY`; `FIRST_PATH` and `PATHS_AT_ONCE`, which paths a thread takes; `CONSTANTS`, `INPUT`, `KEPT`, `KEEP` and
`PARAM`, where parameters stand; `I64`, `U64`, `copy_slots`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

TITLE = "/* Generated from the per-path functions of mcrisk/engine/trip.py. Do not edit: the rules stand in mcrisk/rules. */\n"


@dataclass(frozen=True)
class Target:
    """A machine the program is compiled for: its head, and what every target shares."""

    name: str
    head: str   # files beside this one
    four: str   # elementary functions of four elements

    def text(self, body: str) -> str:
        """The whole file of a program."""
        return TITLE + "\n".join([_file(name) for name in (self.head, "elementary.h", self.four, "shared.h")] + [body])


@lru_cache(maxsize=8)
def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


C = Target("c", "head_c.h", "four_c.h")
CUDA = Target("cuda", "head_cuda.h", "four_cuda.h")
TARGETS = {target.name: target for target in (C, CUDA)}
