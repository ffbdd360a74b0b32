"""What a user can ask for, and how recipes and settings meet."""

from __future__ import annotations

import dataclasses

import pytest

from oodbench.benchmark import Recipe
from oodbench.errors import ConfigError, UnknownName
from oodbench.plan import make_plan
from oodbench.request import parse_method, request
from oodbench.runner import prepare
from oodbench.training.config import TrainConfig

from .helpers import small_benchmark


def cells(*methods, benchmark=None, **options):
    wanted = request([benchmark or small_benchmark()], methods, **options)
    return make_plan(wanted, prepare(wanted).data).cells


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
    from oodbench import registry

    method = registry.method("ml")(margin=2.5)
    (cell,) = cells(method)

    assert (cell.method_name, cell.method, cell.changed) == ("ml", method, {"margin": 2.5})


def test_equal_benchmarks_are_one():
    same = dataclasses.replace(small_benchmark())

    assert len(request([small_benchmark(), same], ["msp"]).benchmarks) == 1
