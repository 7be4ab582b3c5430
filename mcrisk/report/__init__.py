"""Results that people read: one offline HTML page, Markdown and JSON from a finished store."""

from mcrisk.report.build import report

__all__ = ["report"]
