"""Codes that travel inside paths: company branches and kinds of event. Numbers are part of stored results."""

from __future__ import annotations

from mcrisk.config.scenario import BRANCHES

ORDERLY, DELAYED, RESET_DOWN_BRANCH, RESET_UP_BRANCH, CANCELLED_BRANCH = range(len(BRANCHES))

# Events a market reacts to: rows of params.EventTable.
NONE, LISTING, DELAY, RESET_DOWN, RESET_UP, CANCELLATION, RUMOUR = range(7)
COUNT = 7
EVENT_NAMES = ("none", "listing", "delay", "reset_down", "reset_up", "cancellation", "rumour")
