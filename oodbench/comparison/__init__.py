"""Stored results side by side: what differs between two of them, and how several rank."""

from __future__ import annotations

from .comparing import compare
from .result import Comparison, OnOodSet, OnSeed, Pairing

__all__ = ["Comparison", "OnOodSet", "OnSeed", "Pairing", "compare"]
