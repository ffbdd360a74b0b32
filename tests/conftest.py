"""Shared by all tests: real data where there is any, and small threads so that numbers and times are steady."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

# Before anything reads it: tests share the cores by being several, and what they start is to do so as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from oodbench import cli
from oodbench.plugins import registry

LONGEST = (
    "test_ray.py",
    "test_method_checks.py",
    "test_memory.py",
    "test_snapshots.py",
    "test_work.py",
    "test_z_installed.py",
    "test_claims.py",
    "test_runner.py",
    "test_other_checks.py",
)
"""Files that are begun first, so that no worker is left alone with one of them at the end."""

# A shell lets commands in the background ignore Ctrl-C, and what tests start would inherit that.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Let files be begun in the order of `pytest_collection_modifyitems`; many tests are not a long time."""
    if config.pluginmanager.hasplugin("xdist"):
        config.option.loadscopereorder = False
    # The process that only hands tests to others needs no PyTorch.
    if hasattr(config, "workerinput") or not getattr(config.option, "tx", None):
        import torch

        torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage while thousands of tests are made, none of which is any: that takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        # Nor among them later.
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """Begin with the longest files. Each is one worker's (`--dist loadfile`): its tests share what is dear to make."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with real images, or skip the test."""
    places = [os.environ.get("OODBENCH_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for place in places:
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no real images: set OODBENCH_DATA to a folder that has them")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch, request):
    """Give each test a working folder, a cache and a data folder of its own, so that nothing of the user's is used."""
    monkeypatch.setenv("OODBENCH_CACHE", str(tmp_path / "cache"))
    # Files that models of an earlier test were built from are no longer there, or cannot be run elsewhere.
    monkeypatch.setattr("oodbench.given.building._run", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("OODBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Return a function that installs a distribution, as pip would, for this test only."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    modules = set(sys.modules)
    registry.forget()

    def install(distribution, entries, modules, version="1.0"):
        """Write modules (by path) and the entry points that name them (by kind and name)."""
        for path, text in modules.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        groups = (
            "\n".join((f"[oodbench.{kind}]", *(f"{name} = {value}" for name, value in named.items())))
            for kind, named in entries.items()
        )
        (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
        importlib.invalidate_caches()
        registry.forget()

    yield install
    monkeypatch.undo()
    registry.forget()
    for name in set(sys.modules) - modules:
        if str(site) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def no_plugin_files_left():
    """Forget what `--plugin` named: a command runs in this process here, and the next test is not its user."""
    yield
    if registry.added_files():
        registry._added.clear()
        registry.forget()


@pytest.fixture
def oodbench(capfd, monkeypatch):
    """Return a function that runs a command as a user would, in this process; it gives exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["oodbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capfd.readouterr()
        return SimpleNamespace(code=caught.value.code, out=out, err=err)

    return run
