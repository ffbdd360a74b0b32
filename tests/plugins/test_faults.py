"""Whatever is wrong with a plugin is said with its name, where it comes from and why, and breaks nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from oodbench.columns import COLUMNS
from oodbench.engine.python import run
from oodbench.errors import PluginError
from oodbench.hashing.code import code_digest
from oodbench.metrics import METRICS, SAMPLE_METRICS
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from tests.helpers import small_benchmark

METHOD = """
from dataclasses import dataclass
from typing import ClassVar

from oodbench import LogitMethod


@dataclass(frozen=True, kw_only=True)
class Thing(LogitMethod):
    title: ClassVar[str] = "A thing"
    source: ClassVar[str] = "a test"

    def score_logits(self, logits):
        return logits.amax(dim=1)
"""

BENCHMARK = """
from oodbench import Benchmark, Conversion, OodSet, Part, Recipe, TrainConfig

THING = Benchmark(
    name="thing",
    title="t",
    source="s",
    id_train=Part(dataset="digits", split="train"),
    id_test=Part(dataset="digits"),
    ood=(OodSet(name="noise", part=Part(dataset="uniform"), role="anomaly"),),
    conversion=Conversion(size=(8, 8), channels=1),
    network="tinynet",
    recipes={"default": Recipe(default=TrainConfig())},
)
"""

ANY_CLASS = "from dataclasses import dataclass\n\n@dataclass\nclass Thing:\n    a: int = 0\n"

FAULTS = [
    ("methods", "import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    ("methods", "def :", "cannot be imported: SyntaxError"),
    ("methods", "raise SystemExit('usage')", "cannot be imported: SystemExit: usage"),
    ("methods", "Other = 1", "cannot be imported: AttributeError: module 'stranger' has no attribute 'Thing'"),
    ("methods", "Thing = 3", "cannot be used: it is 3, and must be a class"),
    ("methods", "class Thing: pass", "cannot be used: it must be a dataclass: @dataclass(frozen=True, kw_only=True)"),
    ("methods", ANY_CLASS, "cannot be used: it lacks title, source, networks, sees, fit; see oodbench.api.Method"),
    ("methods", METHOD + "    k: int\n", "cannot be used: it cannot be made with its defaults (TypeError: "),
    (
        "methods",
        ANY_CLASS + "    objective = None\n",
        "was written for contract 1 of plugins; name networks, a tuple of objectives, instead of objective",
    ),
    ("methods", METHOD + "\n\nOODBENCH_CONTRACT = 3\n", "was written for contract 3 of plugins (stranger.OODBENCH_"),
    ("methods", METHOD + "\n\nOODBENCH_CONTRACT = 3\n", "this oodbench has contract 2; upgrade oodbench"),
    ("methods", "OODBENCH_CONTRACT = 1\n" + METHOD, "contract 2; install a newer version of the plugin"),
    ("datasets", ANY_CLASS, "it lacks title, source, how_to_get, downloadable, locate, read, download; see"),
    ("benchmarks", "Thing = 'digits'", "cannot be used: it is 'digits', not a Benchmark"),
    ("benchmarks", BENCHMARK.replace('"thing"', '"other"') + "Thing = THING", "it calls itself 'other'; give the"),
    ("benchmarks", BENCHMARK.replace("tinynet", "alexnet") + "Thing = THING", "it names the network 'alexnet', which"),
    ("networks", "Thing = 3", "it is 3, and must be a class or function that makes a network"),
    ("metrics", "Thing = 3", "it is 3, and must be a function of scores_id and scores_ood"),
    ("metrics", "def Thing(a, b): return 0.5", "it lacks label, higher_is_better; see oodbench.api.Metric"),
    ("layouts", "Thing = 3", "it is 3, and must be a function from result rows to a Table"),
]


@pytest.mark.parametrize(("kind", "source", "reason"), FAULTS)
def test_fault_is_told_with_name_place_and_reason(plugins, kind, source, reason):
    plugins("stranger", {kind: {"thing": "stranger:Thing"}}, {"stranger.py": source})

    told = registry.faults()

    assert len(told) == 1
    assert told[0].startswith(f"{kind[:-1]} 'thing' of stranger 1.0 (stranger:Thing) ")
    assert reason in told[0]
    assert "thing" not in registry.usable(kind)
    with pytest.raises(PluginError) as caught:
        registry.load(kind, "thing")
    assert str(caught.value) == told[0]


def test_contract_of_the_package_is_asked_before_its_modules_are_imported(plugins):
    files = {"stranger/__init__.py": "OODBENCH_CONTRACT = 7", "stranger/method.py": "from oodbench import NoSuchThing"}
    plugins("stranger", {"methods": {"thing": "stranger.method:Thing"}}, files)

    assert "was written for contract 7" in registry.faults()[0]


def test_package_that_states_this_contract_is_used(plugins):
    files = {"stranger/__init__.py": "OODBENCH_CONTRACT = 2", "stranger/method.py": METHOD}
    plugins("stranger", {"methods": {"thing": "stranger.method:Thing"}}, files)

    assert registry.faults() == []
    assert registry.origin("methods", "thing") == "stranger 1.0"
    assert registry.method("thing").title == "A thing"


def test_name_of_a_built_in_stays_its_own(plugins):
    ours = registry.method("msp")
    plugins("stranger", {"methods": {"MSP": "stranger:Thing"}}, {"stranger.py": METHOD})

    (told,) = registry.faults()

    assert registry.method("msp") is ours
    assert "MSP" not in registry.names("methods")
    assert told.startswith(
        "method 'MSP' of stranger 1.0 (stranger:Thing) cannot be used: the name is taken by oodbench"
    )


def test_of_two_strangers_with_one_name_neither_is_used(plugins):
    for who in ("one", "two"):
        plugins(who, {"methods": {"thing": f"{who}:Thing"}}, {f"{who}.py": METHOD})

    told = registry.faults()

    assert sorted(line.partition(" cannot")[0] for line in told) == [
        f"method 'thing' of {who} 1.0 ({who}:Thing)" for who in ("one", "two")
    ]
    assert all("rename or uninstall one of them" in line for line in told)
    assert "thing" not in registry.names("methods")
    with pytest.raises(PluginError, match="the name is taken by (one|two) 1.0"):
        registry.method("thing")


def test_data_set_that_two_strangers_bring_is_no_folder(plugins):
    for who in ("one", "two"):
        plugins(who, {"datasets": {"thing": f"{who}:Thing"}}, {f"{who}.py": ANY_CLASS})

    with pytest.raises(PluginError, match="the name is taken by"):
        registry.dataset("thing")


def test_metric_of_oodbench_is_not_replaced(plugins):
    plugins("stranger", {"metrics": {"auroc": "stranger:Thing"}}, {"stranger.py": "def Thing(a, b): return 1.0"})

    assert "the name is taken by a metric of oodbench" in registry.faults()[0]


@pytest.mark.parametrize("name", ["seed", "key", "torch_version"])
def test_metric_is_not_called_like_another_column(plugins, name):
    plugins("stranger", {"metrics": {name: "stranger:Thing"}}, {"stranger.py": "def Thing(a, b): return 1.0"})

    assert "result rows have another column of this name" in registry.faults()[0]


def test_columns_that_no_metric_may_be_called_are_those_of_result_rows():
    frame = run(small_benchmark(), "msp", settings={"recipe": {"epochs": 1}})
    others = {name for name in frame.columns if not name.endswith(("_version", "_seconds"))}

    assert others - {*METRICS, *SAMPLE_METRICS} == COLUMNS


def test_broken_plugins_of_every_kind_break_no_run(plugins):
    entries = {kind: {f"a_broken_{kind}": "stranger:Thing"} for kind in registry.KINDS}
    plugins("stranger", entries, {"stranger.py": "import no_such_module"})

    with pytest.warns(UserWarning, match="left out: method 'a_broken_methods' of stranger"):
        frame = run(small_benchmark(), "all", settings={"recipe": {"epochs": 1, "max_images": 100}})

    assert {"msp", "odin", "ml", "odm", "ccag"} <= set(frame["method"])


def test_method_that_is_passed_as_an_object_runs_beside_a_broken_one(plugins):
    msp = registry.method("msp")
    plugins("stranger", {"methods": {"a_broken": "stranger:Thing"}}, {"stranger.py": "import no_such_module"})

    frame = run(small_benchmark(), msp(), settings={"recipe": {"epochs": 1}})

    assert set(frame["method"]) == {"msp"}


def test_record_names_the_distribution_of_method_and_benchmark(plugins):
    files = {"stranger/__init__.py": "", "stranger/method.py": METHOD, "stranger/benchmark.py": BENCHMARK}
    entries = {"methods": {"thing": "stranger.method:Thing"}, "benchmarks": {"thing": "stranger.benchmark:THING"}}
    plugins("stranger", entries, files, version="3.1")

    frame = run("thing", "thing", settings=["recipe.epochs=1", "recipe.max_images=100"])

    (record,) = ResultStore(Path("results")).all()
    assert set(frame["plugin"]) == {record.plugin} == {"stranger 3.1"}
    assert record.benchmark["plugin"] == "stranger 3.1"


@pytest.mark.parametrize(
    "statement",
    [
        "from .helper import factor",
        "from . import helper",
        "from stranger.helper import factor",
        "import stranger.helper",
        "from stranger import helper",
        "from .inner.deep import factor",
        "from stranger.inner import deep",
    ],
)
def test_all_modules_of_its_own_package_count_as_the_code_of_a_plugin(plugins, tmp_path, statement):
    digests = []
    for who, factor in (("a", 2), ("b", 2), ("c", 3)):
        root = tmp_path / who / "stranger"
        (root / "inner").mkdir(parents=True)
        helper = f"factor = {factor}\n"
        method = METHOD.replace("    def score", f"    def other(self):\n        {statement}\n\n    def score")
        files = {"__init__.py": "", "inner/__init__.py": "", "helper.py": helper, "inner/deep.py": helper}
        for path, text in {**files, "method.py": method}.items():
            (root / path).write_text(text)
        registry.add_file(root / "method.py")
        digests.append(code_digest(registry.in_file(root / "method.py")[0].fetch()))
        registry._added.clear()
        registry.forget()

    assert digests[0] == digests[1] != digests[2]
