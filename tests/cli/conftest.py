"""What tests of commands share."""

from __future__ import annotations

import pytest


@pytest.fixture
def small(monkeypatch):
    """Let the registry know the benchmark "small", which runs in a second."""
    from oodbench.plugins import registry
    from tests.helpers import small_benchmark

    found = registry.benchmark
    monkeypatch.setattr(registry, "benchmark", lambda name: small_benchmark() if name == "small" else found(name))
    return "small"
