"""Plugins by name: found through entry points, refused with a word on what is wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from oodbench import registry
from oodbench.errors import PluginError, UnknownName


@pytest.fixture
def entries(monkeypatch):
    """Let the registry see these entry points only."""

    def install(*values):
        found = [EntryPoint(name=name, value=value, group="oodbench.methods") for name, value in values]
        monkeypatch.setattr(registry, "entry_points", lambda group: found)
        registry._entries.cache_clear()

    yield install
    monkeypatch.undo()
    registry._entries.cache_clear()


def test_built_ins_are_there():
    assert {"ml", "msp", "odin", "odm"} <= set(registry.names("methods"))
    assert {"digits", "mnist-267"} <= set(registry.names("benchmarks"))
    assert registry.origin("methods", "msp").startswith("oodbench ")


def test_unknown_name_names_its_neighbours():
    with pytest.raises(UnknownName, match="no method 'odn'. Did you mean 'odin' or 'odm'"):
        registry.method("odn")


def test_unknown_name_without_neighbours_names_all(entries):
    entries(("good", "json:dumps"))

    with pytest.raises(UnknownName, match="no method 'xyz'; there is: good"):
        registry.method("xyz")


def test_plugin_that_cannot_be_imported_is_named_with_its_reason(entries):
    entries(("broken", "no_such_module:Thing"))

    with pytest.raises(PluginError, match="method 'broken' .* no_such_module:Thing: ModuleNotFoundError"):
        registry.method("broken")


def test_two_plugins_of_one_name_are_refused_with_both(entries):
    entries(("same", "json:dumps"), ("same", "json:loads"))

    with pytest.raises(PluginError, match="two packages bring method 'same'"):
        registry.names("methods")


def test_one_plugin_seen_twice_is_no_clash(entries):
    entries(("same", "json:dumps"), ("same", "json:dumps"))

    assert registry.names("methods") == ["same"]


def test_thing_that_is_no_benchmark_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "load", lambda kind, name: "not a benchmark")

    with pytest.raises(PluginError, match="not a Benchmark"):
        registry.benchmark("digits")


def test_name_of_no_data_set_is_a_folder_of_images():
    assert registry.dataset("my-cats").name == "my-cats"
