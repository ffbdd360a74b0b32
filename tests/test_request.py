"""What a user can ask for, and how recipes and settings meet."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest

from oodbench.benchmark import OodSet, Part, Recipe
from oodbench.engine.plan import make_plan
from oodbench.engine.python import run
from oodbench.engine.request import parse_method, request
from oodbench.engine.runner import prepare
from oodbench.errors import ConfigError, UnknownName
from oodbench.plugins.registry import origin
from oodbench.posthoc import LogitMethod
from oodbench.training.config import TrainConfig

from .helpers import small_benchmark


def cells(*methods, benchmark=None, **options):
    wanted = request([benchmark or small_benchmark()], methods, **options)
    return make_plan(wanted, prepare(wanted).data).cells


def test_member_of_a_suite_can_be_asked_for_by_its_name():
    (member,) = [found for found in request(["digits-osr"], ["msp"]).benchmarks if found.name == "digits-osr-1"]
    assert request(["digits-osr-1"], ["msp"]).benchmarks == (member,)
    with pytest.raises(UnknownName, match="no benchmark 'digits-osr-77'"):
        request(["digits-osr-77"], ["msp"])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("odm", ("odm", {})),
        (" odm ( margin = 5 ) ", ("odm", {"margin": "5"})),
        ("odm(margin=5,squared=false)", ("odm", {"margin": "5", "squared": "false"})),
        ("odm()", ("odm", {})),
    ],
)
def test_method_with_settings_is_understood(text, parsed):
    assert parse_method(text) == parsed


@pytest.mark.parametrize("text", ["", "odm(", "odm(margin)", "odm(=5)", "odm)x(", "odm margin=5"])
def test_method_of_another_form_is_refused(text):
    with pytest.raises(ConfigError, match="is not of the form NAME or NAME"):
        parse_method(text)


def test_one_method_can_be_asked_for_with_several_settings():
    labels = [cell.label for cell in cells("ml", "ml(margin=5)", "ml(margin=5)")]

    assert labels == ["small ml seed 0", "small ml (margin=5) seed 0"]


def test_settings_of_a_method_go_before_those_for_its_name():
    first, second = cells("ml", "ml(margin=5)", settings=["ml.margin=3", "ml.same_share=0.5"])

    assert (first.method.margin, first.method.same_share) == (3.0, 0.5)
    assert (second.method.margin, second.method.same_share) == (5.0, 0.5)


def test_what_a_recipe_prescribes_is_no_change_of_ones_own():
    recipes = {"default": Recipe(default=TrainConfig(epochs=1), methods={"ml": {"margin": 4}})}
    plain, changed = cells("ml", "ml(squared=false)", benchmark=small_benchmark(recipes=recipes))

    assert (plain.method.margin, plain.changed) == (4.0, {})
    assert (changed.method.margin, changed.changed) == (4.0, {"squared": False})


def test_other_network_of_a_recipe_is_used_and_said():
    recipes = {
        "default": Recipe(default=TrainConfig(epochs=2)),
        "other": Recipe(default=TrainConfig(epochs=1, network="lenet")),
    }
    benchmark = small_benchmark(recipes=recipes)

    assert cells("msp", benchmark=benchmark)[0].cut_short == ""
    assert cells("msp", benchmark=benchmark, recipe="other")[0].cut_short == "1 of 2 epochs, lenet instead of tinynet"


def test_more_ood_sets_and_others_in_their_places():
    wanted = request([small_benchmark()], ["msp"], out=["uniform", "noise=rademacher"])

    sets = [(ood.name, ood.part.dataset, ood.role) for ood in wanted.benchmarks[0].ood]
    assert sets == [
        ("seen digits", "digits", "seen"),
        ("new digits", "digits", "novelty"),
        ("rademacher (for noise)", "rademacher", "anomaly"),
        ("uniform", "uniform", "anomaly"),
    ]


def test_place_that_is_not_there_is_refused():
    with pytest.raises(UnknownName, match="benchmark small has no OOD set 'nois'. Did you mean 'noise'"):
        request([small_benchmark()], ["msp"], out=["nois=uniform"])


def test_wrong_setting_of_a_recipe_is_found_before_images_are_loaded():
    recipes = {"default": Recipe(default=TrainConfig(epochs=1), methods={"ml": {"marign": 4}})}

    with pytest.raises(UnknownName, match="ml has no setting 'marign'. Did you mean 'margin'"):
        request([small_benchmark(recipes=recipes)], ["ml"])


def test_method_object_keeps_its_settings():
    from oodbench.plugins import registry

    method = registry.method("ml")(margin=2.5)
    (cell,) = cells(method)

    assert (cell.method_name, cell.method, cell.changed) == ("ml", method, {"margin": 2.5})


def test_equal_benchmarks_are_one():
    same = dataclasses.replace(small_benchmark())

    assert len(request([small_benchmark(), same], ["msp"]).benchmarks) == 1


def test_method_object_stands_as_it_is_whatever_the_recipe_prescribes():
    from oodbench.plugins import registry

    (own,) = cells(registry.method("ccag")())
    (prescribed,) = cells("ccag")

    assert own.method == registry.method("ccag")() != prescribed.method
    assert own.changed == {"width": own.method.width}
    assert prescribed.changed == {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weighted(LogitMethod):
    """Has settings that no text could give."""

    title: ClassVar[str] = "weighted"
    source: ClassVar[str] = "a test"

    weights: tuple[float, ...] = dataclasses.field(default_factory=lambda: (1.0,))
    pair: tuple[int, str] = (1, "a")

    def score_logits(self, logits):
        return self.weights[0] * logits.amax(1)


def test_method_object_keeps_what_a_factory_would_give_and_what_is_no_text():
    method = Weighted(weights=(-1.0,), pair=(2, "b"))
    (cell,) = cells(method)

    assert (cell.method_name, cell.method) == ("weighted", method)
    assert cell.changed == {"weights": (-1.0,), "pair": (2, "b")}


def test_settings_for_a_method_object_are_refused():
    from oodbench.plugins import registry

    with pytest.raises(ConfigError, match="ml is given as an object, which has all of its settings; change them there"):
        request([small_benchmark()], [registry.method("ml")()], settings=["ml.margin=3"])


def test_class_of_ones_own_is_called_as_it_says():
    named = type("MSP", (Weighted,), {"name": "my-msp"})

    assert request([small_benchmark()], [named()]).methods["small"][0].name == "my-msp"


@pytest.mark.parametrize("kind", [type("MSP", (Weighted,), {}), type("Mine", (Weighted,), {"name": "Msp"})])
def test_class_of_ones_own_does_not_take_the_name_of_an_installed_method(kind):
    with pytest.raises(ConfigError) as caught:
        request([small_benchmark()], [kind()])

    assert str(caught.value) == (
        f"the class {kind.__name__} has the name of the method 'msp' of {origin('methods', 'msp')}; rename the class, "
        "or give it a name: name: ClassVar[str] = 'my-method'"
    )


def test_two_classes_of_one_name_are_refused():
    one, other = (type("Mine", (Weighted,), {"score_logits": score}) for score in (abs, len))

    with pytest.raises(ConfigError, match="two classes are called 'mine'; rename one"):
        request([small_benchmark()], [one(), other()])


def test_record_of_a_class_of_ones_own_says_where_it_comes_from(tmp_path):
    frame = run(small_benchmark(), Weighted(), results_dir=tmp_path)

    assert set(frame["plugin"]) == {"passed to oodbench.run"}


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (["hard/stuff", "easy/stuff"], "two OOD sets are called 'stuff': {}/hard/stuff and {}/easy/stuff; rename one"),
        (["own/noise"], "has another OOD set 'noise'; put yours in its place: --out noise={}/own/noise, or rename"),
    ],
)
def test_ood_set_that_has_the_name_of_another_one_is_refused(out, said):
    with pytest.raises(ConfigError) as caught:
        request([small_benchmark()], ["msp"], out=out)

    assert said.replace("{}", str(Path.cwd())) in str(caught.value)


def test_ood_set_that_is_there_already_is_there_once():
    ood = OodSet(name="uniform", part=Part(dataset="uniform", settings={"count": 9}), role="anomaly")
    wanted = request([small_benchmark(ood=(ood,))], ["msp"], out=["uniform", "./stuff", "stuff/"])

    assert [entry.name for entry in wanted.benchmarks[0].ood] == ["uniform", "stuff"]
    assert wanted.benchmarks[0].ood[0] == ood


def test_other_classes_of_a_set_that_is_there_are_not_left_out_without_a_word():
    ood = OodSet(name="digits", part=Part(dataset="digits", classes=("5",)), role="novelty")

    with pytest.raises(ConfigError, match="has another OOD set 'digits'"):
        request([small_benchmark(ood=(ood,))], ["msp"], out=["digits"])


def test_method_object_is_none_of_the_variants_of_a_benchmark():
    from oodbench.plugins import registry

    benchmark = small_benchmark(variants={"ml": ({"margin": 3}, {"margin": 5})})
    assert [cell.method.margin for cell in cells("ml", benchmark=benchmark)] == [3.0, 5.0]

    method = registry.method("ml")()
    assert [cell.method for cell in cells(method, benchmark=benchmark)] == [method]


def test_two_benchmarks_of_one_name_are_refused_and_one_that_is_named_twice_is_one():
    photos = ["a/photos", "b/photos"]
    with pytest.raises(ConfigError, match="two benchmarks are called 'photos'; rename one folder"):
        request(photos, ["msp"])
    with pytest.raises(ConfigError, match="two benchmarks are called 'digits'"):
        request(["digits", "own/digits"], ["msp"])

    assert [benchmark.name for benchmark in request([*photos[:1], *photos[:1]], ["msp"]).benchmarks] == ["photos"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaled(LogitMethod):
    title: ClassVar[str] = "scaled"
    source: ClassVar[str] = "a test"

    factor: float = 1.0

    def score_logits(self, logits):
        return logits.amax(dim=1) * self.factor


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoDefault(LogitMethod):
    title: ClassVar[str] = "no default"
    source: ClassVar[str] = "a test"

    k: int

    def score_logits(self, logits):
        return logits.amax(dim=1) * self.k


class NoDataclass:
    def fit(self, inputs):
        raise NotImplementedError


def test_a_class_stands_for_its_object():
    assert request([small_benchmark()], [Scaled]).methods == request([small_benchmark()], [Scaled()]).methods


@pytest.mark.parametrize("entry", [NoDefault, NoDefault(k=2)])
def test_a_field_without_default_is_named(entry):
    with pytest.raises(
        ConfigError, match=r"^the method NoDefault cannot be used: it cannot be made with its defaults .*'k'"
    ):
        request([small_benchmark()], [entry])


@pytest.mark.parametrize("entry", [NoDataclass, NoDataclass()])
def test_a_class_that_is_no_dataclass_is_refused(entry):
    with pytest.raises(ConfigError, match="^the method NoDataclass cannot be used: it must be a dataclass: @dataclass"):
        request([small_benchmark()], [entry])


@pytest.mark.parametrize("methods", [None, {"msp"}, [["msp"]], [len], 5, [int], {"msp": 1}])
def test_what_is_no_method_is_refused(methods):
    with pytest.raises(ConfigError, match=r"^a method must be a name or an object such as Gap\(\), got ") as caught:
        run(small_benchmark(), methods)
    entry = methods[0] if isinstance(methods, list) else methods
    assert repr(entry) in str(caught.value)
