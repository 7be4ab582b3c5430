"""mcrisk: Monte Carlo risk of pre-IPO perpetual futures — venue rulebooks applied to every account on every path.

The public names are loaded on first use, so that `import mcrisk` and the command line's help are fast and load no JAX.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcrisk.config.load import load_config as load_config
    from mcrisk.config.load import load_venue as load_venue
    from mcrisk.replay import replay as replay
    from mcrisk.runs import open_run as open_run
    from mcrisk.runs import run as run
    from mcrisk.runs.explain import explain as explain

__version__ = "0.1.0"
__all__ = ["explain", "load_config", "load_venue", "open_run", "replay", "run"]

_HOME = {
    "explain": "mcrisk.runs.explain",
    "load_config": "mcrisk.config.load",
    "load_venue": "mcrisk.config.load",
    "open_run": "mcrisk.runs",
    "run": "mcrisk.runs",
}


def __getattr__(name: str) -> Any:
    """PEP 562: import a public name from its room when it is first asked for."""
    if name == "rules":   # the calculator: `import mcrisk; mcrisk.rules.liquidation_price(…)`
        return import_module("mcrisk.rules")
    if name not in _HOME:
        raise AttributeError(f"module 'mcrisk' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Callable(ModuleType):
    """The package `mcrisk.replay`, which is also the function `mcrisk.replay(…)`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.replay(*args, **kwargs)


class _Package(ModuleType):
    """Importing `mcrisk.replay.anything` binds the package over the function of that name; this lets both be true."""

    @property
    def replay(self) -> ModuleType:
        room = import_module("mcrisk.replay")
        room.__class__ = _Callable
        return room

    @replay.setter
    def replay(self, _room: ModuleType) -> None:
        """The import system binds a subpackage here; it stays in `sys.modules`, where the property finds it."""


sys.modules[__name__].__class__ = _Package
