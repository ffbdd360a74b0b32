"""One page of stored results that opens anywhere: tables, curves, pictures and verdicts in a single HTML file."""

from __future__ import annotations

from .page import make_report

__all__ = ["make_report"]
