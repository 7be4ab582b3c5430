"""Replay: one given path through the rulebook, with a full ledger."""

from mcrisk.replay.api import replay
from mcrisk.replay.result import ReplayResult

__all__ = ["replay", "ReplayResult"]
