"""Plugins by name: found through entry points, refused with a word on what is wrong."""

from __future__ import annotations

from importlib.metadata import Distribution, EntryPoint, EntryPoints

import pytest

from oodbench.errors import PluginError, UnknownName
from oodbench.plugins import registry


@pytest.fixture
def entries(monkeypatch):
    """Let the registry see these entry points only."""

    def install(*values):
        found = [EntryPoint(name=name, value=value, group="oodbench.methods") for name, value in values]
        monkeypatch.setattr(registry, "entry_points", lambda: EntryPoints(found))
        registry.forget()

    yield install
    monkeypatch.undo()
    registry.forget()


def test_built_ins_are_there():
    assert {"ml", "msp", "odin", "odm"} <= set(registry.names("methods"))
    assert {"digits", "mnist-267"} <= set(registry.names("benchmarks"))
    assert registry.origin("methods", "msp").startswith("oodbench ")


@pytest.mark.parametrize("name", ["mnist_267", "MNIST-267", "mnist-267"])
def test_hyphens_underscores_and_capitals_are_one(name):
    assert registry.benchmark(name).name == "mnist-267"
    assert registry.spelled("benchmarks", name) == "mnist-267"


def test_unknown_name_names_its_neighbours():
    with pytest.raises(UnknownName, match="no method 'odn'. Did you mean 'odin' or 'godin' or 'odm'"):
        registry.method("odn")


def test_unknown_name_without_neighbours_names_all(entries):
    entries(("good", "json:dumps"))

    with pytest.raises(UnknownName, match="no method 'xyz'; there is: good"):
        registry.method("xyz")


def test_plugin_that_cannot_be_imported_is_named_with_its_reason(entries):
    entries(("broken", "no_such_module:Thing"))

    with pytest.raises(
        PluginError, match=r"method 'broken' .*no_such_module:Thing\) cannot be imported: ModuleNotFoundError"
    ):
        registry.method("broken")


def test_one_plugin_seen_twice_is_no_clash(entries):
    entries(("same", "json:dumps"), ("same", "json:dumps"))

    assert registry.names("methods") == ["same"]


def test_name_of_no_data_set_is_a_folder_of_images():
    assert registry.dataset("my-cats").name == "my-cats"


def test_folder_that_is_nearly_called_like_a_data_set_is_a_folder():
    assert registry.dataset("tiny-imagenet").name == "tiny-imagenet"


def test_what_a_distribution_says_of_itself_is_parsed_once_for_all_its_plugins(monkeypatch):
    parsed, metadata = [], Distribution.metadata.fget
    monkeypatch.setattr(Distribution, "metadata", property(lambda dist: parsed.append(dist) or metadata(dist)))
    registry.forget()

    assert sum(len(registry.names(kind)) for kind in registry.KINDS) > 100
    assert 0 < len(parsed) == len(set(map(id, parsed)))
