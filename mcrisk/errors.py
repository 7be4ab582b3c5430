"""Every error a user may meet, in one shape: what is wrong, where, why it matters, what to do.

`exit_code` is the contract of the command line: 0 done, 1 the run failed, 2 the input is wrong, 3 a risk limit is
breached, 4 a precision target was not reached, 130 interrupted. No import of mcrisk here: all rooms may raise these.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def printable(text: object) -> str:
    """`text` as it may be put on a terminal: control, bidirectional and unpaired characters become escapes.

    Names come from files we did not write; printed raw, they could move the cursor or hide a line. Spaces of any width
    stay: numbers are grouped with narrow ones.
    """
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode("ascii")
        for c in str(text)
    )


class McriskError(Exception):
    """Base of all errors that are for the user and therefore print without a traceback.

    Args:
        what: one sentence naming what is wrong.
        where: file:line, key path, option or path concerned.
        why: what is allowed, or why it matters.
        remedy: what the user should do next.
        also: further errors of the same check, printed after this one.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        where: str | None = None,
        why: str | None = None,
        remedy: str | None = None,
        *,
        also: Sequence[McriskError] = (),
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.remedy = what, where, why, remedy
        self.also = tuple(also)

    def __str__(self) -> str:
        return "\n".join(block for error in (self, *self.also) for block in error._lines())

    def __reduce__(self):
        """Errors cross process borders (dask workers); the default pickling would drop the keyword argument."""
        return _rebuild, (type(self), self.what, self.where, self.why, self.remedy, self.also)

    def _lines(self) -> list[str]:
        labelled = (("where", self.where), ("why", self.why), ("do", self.remedy))
        return [printable(self.what)] + [f"  {label + ':':<7}{printable(text)}" for label, text in labelled if text]


def _rebuild(kind, what, where, why, remedy, also):
    return kind(what, where, why, remedy, also=also)


class InputError(McriskError):
    """The configuration, a file or an option is wrong. Nothing was computed and nothing was written."""

    exit_code = 2


class RunFailed(McriskError):
    """The computation itself failed although the input was accepted."""

    exit_code = 1


class LimitBreached(McriskError):
    """The run is complete, and a risk limit that the config enforces is red."""

    exit_code = 3


class PrecisionNotReached(McriskError):
    """The run is complete, but an interval is wider than the precision asked for."""

    exit_code = 4


class Interrupted(McriskError):
    """Stopped by the user; finished blocks are kept."""

    exit_code = 130
