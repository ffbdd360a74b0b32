"""A single file is a plugin too: what it brings, under which names, and what is said when it cannot be used."""

from __future__ import annotations

import os
import pickle
from functools import partial
from pathlib import Path

import pytest

from oodbench.errors import PluginError, UnknownName
from oodbench.hashing.code import code_digest
from oodbench.plugins import registry

from .test_faults import BENCHMARK, METHOD

METRIC = """
class Gap:
    label = "Gap"
    higher_is_better = True

    def __call__(self, scores_id, scores_ood):
        return float(scores_id.mean() - scores_ood.mean())


mean_gap = Gap()
"""

LAYOUT = """
from oodbench.tables import Entry, Span, Table


def count_rows(frame) -> Table:
    return Table(caption="", header=("Rows",), rows=(((Span(str(len(frame))),),)), groups=(0,))
"""

NETWORK = """
from torch import nn


class SmallNet(nn.Module):
    def __init__(self, shape, n_outputs):
        super().__init__()
        self.head = nn.Linear(4, n_outputs)

    def features(self, images):
        return images.flatten(1)[:, :4]
"""


@pytest.fixture
def file(plugins, tmp_path):
    """Return a function that writes a plugin file and adds it."""

    def add(text, name="my_plugin.py"):
        path = tmp_path / name
        path.write_text(text)
        registry.add_file(path)
        return path

    return add


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        (METHOD.replace("Thing", "MyScore"), "methods", "my_score"),
        (METHOD.replace("Thing", "KNNScore"), "methods", "knn_score"),
        (METHOD + "    name: ClassVar[str] = 'best-score'\n", "methods", "best-score"),
        (BENCHMARK, "benchmarks", "thing"),
        (METRIC, "metrics", "mean_gap"),
        (LAYOUT, "layouts", "count_rows"),
        (NETWORK, "networks", "small_net"),
    ],
)
def test_what_a_file_defines_is_found_by_its_name(file, text, kind, name):
    path = file(text)

    (plugin,) = registry.in_file(path)

    assert (plugin.kind, plugin.name) == (kind, name)
    assert registry.names(kind).count(name) == 1
    assert registry.load(kind, name.replace("_", "-")) is plugin.fetch()
    assert registry.faults() == []


def test_what_a_file_imports_is_not_what_it_brings(file):
    text = "from oodbench import CrossEntropy, LogitMethod\nfrom oodbench.networks.tinynet import TinyNet\n" + METHOD

    assert [plugin.name for plugin in registry.in_file(file(text))] == ["thing"]


def test_names_that_begin_with_an_underscore_and_bases_are_passed_over(file):
    text = METHOD + "\n\nclass _Hidden(Thing): pass\n\n\nfrom abc import ABC\n\nclass Base(LogitMethod, ABC): pass\n"

    assert [plugin.name for plugin in registry.in_file(file(text))] == ["thing"]


def test_origin_of_a_file_is_its_name_and_content(file):
    path = file(METHOD)
    first = registry.origin("methods", "thing")
    path.write_text(METHOD + "# edited")
    registry.forget()

    assert first.startswith("my_plugin.py (sha256 ")
    assert registry.origin("methods", "thing") != first


def test_code_of_a_file_is_part_of_result_keys(file, tmp_path):
    digests = []
    for i, text in enumerate((METHOD, METHOD + "\n# a comment\n", METHOD.replace("amax", "amin"))):
        path = file(text, f"{i}/thing.py" if (tmp_path / str(i)).mkdir() is None else "")
        digests.append(code_digest(registry.in_file(path)[0].fetch()) if i == 0 else _digest_alone(path))

    assert digests[0] == digests[1] != digests[2]


def _digest_alone(path):
    registry._added.clear()
    registry.add_file(path)
    registry.forget()
    return code_digest(registry.in_file(path)[0].fetch())


def test_objects_of_a_file_can_be_pickled(file):
    path = file(METHOD)
    thing = registry.in_file(path)[0].fetch()()

    assert pickle.loads(pickle.dumps(thing)) == thing


def test_files_in_the_environment_are_found(plugins, tmp_path, monkeypatch):
    paths = [tmp_path / "one.py", tmp_path / "two.py"]
    for path in paths:
        path.write_text(METHOD.replace("Thing", path.stem.capitalize()))
    monkeypatch.setenv("OODBENCH_PLUGINS", os.pathsep.join(map(str, paths)))
    registry.forget()

    assert {"one", "two"} <= set(registry.names("methods"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module", "my_plugin.py cannot be imported: ModuleNotFoundError"),
        ("def :", "my_plugin.py cannot be imported: SyntaxError"),
        ("a = 1", "my_plugin.py offers nothing: a class with fit is taken for a method"),
        ("OODBENCH_CONTRACT = 3\nfrom oodbench import NoSuchThing", "my_plugin.py was written for contract 3"),
        ("class MyScore:\n    def fit(self): pass\n", "method 'my_score' of my_plugin.py .* must be a dataclass"),
        (METHOD.replace("Thing", "MSP"), "method 'msp' of my_plugin.py .* the name is taken by oodbench"),
    ],
)
def test_file_that_cannot_be_used_is_told_and_breaks_nothing(file, text, reason):
    path = file(text)

    with pytest.raises(PluginError, match=reason):
        registry.in_file(path)
    assert len(registry.faults()) == 1
    assert registry.method("odm").title


def test_file_that_is_not_there_is_told(plugins):
    registry.add_file(Path("nowhere.py"))

    with pytest.raises(PluginError, match=r"the plugin file .*nowhere.py cannot be read: No such file"):
        registry.in_file(Path("nowhere.py"))


def test_file_with_another_ending_is_told(file):
    with pytest.raises(PluginError, match="its name must end in .py"):
        registry.in_file(file(METHOD, "my_plugin.txt"))


def test_file_brings_nothing_to_the_next_process(plugins):
    with pytest.raises(UnknownName):
        registry.method("thing")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("share = CurveMetric('share', lambda curve: curve.fpr_at_tpr(0.5))", "0.5", "0.9"),
        ("SHARE = 0.5\nshare = CurveMetric('share', lambda curve: curve.fpr_at_tpr(SHARE))", "0.5", "0.9"),
        ("share = CurveMetric('share', partial(RocCurve.fpr_at_tpr, tpr=0.5))", "0.5", "0.9"),
        ("share = CurveMetric('share', RocCurve.auroc)", "RocCurve.auroc", "RocCurve.detection_accuracy"),
    ],
    ids=["lambda", "constant", "partial", "method"],
)
def test_edited_function_of_a_metric_is_part_of_result_keys(file, tmp_path, text, old, new):
    digests = []
    for i, edited in enumerate((text, f"# a comment\n{text}", text.replace(old, new))):
        (tmp_path / str(i)).mkdir()
        path = file(f"from functools import partial\nfrom oodbench.metrics import CurveMetric, RocCurve\n{edited}",
                    f"{i}/share.py")  # fmt: skip
        digests.append(_digest_alone(path))

    assert digests[0] == digests[1] != digests[2]


def test_object_that_is_a_metric_counts_with_what_it_holds(file):
    (plugin,) = registry.in_file(file(METRIC))
    gap = plugin.fetch()
    before = code_digest(gap)
    gap.scale = 2

    assert code_digest(gap) != before


def test_bound_arguments_of_a_network_are_part_of_result_keys():
    small, large, again = (partial(dict, width=width) for width in (4, 8, 4))

    assert code_digest(small) == code_digest(again)
    assert code_digest(small) != code_digest(large)


@pytest.mark.parametrize("call", ["registry.method('top_logit')", "registry.names('methods')"])
def test_a_file_that_runs_oodbench_while_it_is_loaded_is_refused(file, call):
    path = file(f"{METHOD}\nfrom oodbench.plugins import registry\n{call}\n")

    with pytest.raises(PluginError, match=r"my_plugin.py runs oodbench while it is loaded; put that under if __name__"):
        registry.in_file(path)
