"""Run the command line as a user would, in this process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from oodbench import cli


@pytest.fixture
def oodbench(capfd, monkeypatch):
    """Return a function that runs a command and returns its exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["oodbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capfd.readouterr()
        return SimpleNamespace(code=caught.value.code, out=out, err=err)

    return run


@pytest.fixture
def small(monkeypatch):
    """Let the registry know the benchmark "small", which runs in a second."""
    from oodbench.plugins import registry
    from tests.helpers import small_benchmark

    found = registry.benchmark
    monkeypatch.setattr(registry, "benchmark", lambda name: small_benchmark() if name == "small" else found(name))
    return "small"
