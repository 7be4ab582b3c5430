"""Results that people read: one offline HTML page, Markdown, JSON, CSV, PDF and figures from a finished store."""

from mcrisk.report.build import report

__all__ = ["report"]
