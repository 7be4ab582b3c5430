"""The generated source for reading: of a run's cell, for any target, without compiling it."""

from __future__ import annotations

from typing import Any

from mcrisk.engine.native.run import program_of
from mcrisk.engine.native.slots import Source
from mcrisk.engine.native.target import TARGETS

HOW = """/* How to read this file

   ENTRY takes one path after the other (C) or one path per thread (CUDA); one_path is a path from its draws to its last row.
   The loop over rows stands in it; big stretches of a row, such as all work on accounts, are functions part_0, part_1, …
   A value is called what the rule calls it, with a number behind: mark_812. Vectors of four accounts have a v before the
   number, copies of a scalar for a vector loop an s, sums an a. A comment names the file and function of mcrisk the lines
   below it come from. Lines are in the order in which they run, which is the rules' order up to independent statements.
   Buffers b… are scratch memory; one is used again when nobody reads it any more. */
"""


class Uncompiled:
    """A source and the tree of its results, as `program_of` makes them."""

    def __init__(self, source: Source, out: Any):
        self.source, self.out = source, out


def kernel_text(cell: Any, target: str) -> str:
    """The source of a cell (`engine.trip.Cell`) for `target`, c or cuda. Raises InputError where the generator refuses it."""
    return HOW + program_of(cell, Uncompiled).source.for_target(TARGETS[target])
