"""One console for all commands."""

from __future__ import annotations

from rich.console import Console

_FILE_WIDTH = 140  # rich assumes 80 columns when standard output is no terminal, which would fold names and numbers


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for every table when it is a file or a pipe."""
    probe = Console()
    return probe if probe.is_terminal else Console(width=max(_FILE_WIDTH, probe.width))
