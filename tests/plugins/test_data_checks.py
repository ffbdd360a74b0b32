"""Built-in data sets and benchmarks keep the contract; and each check fails one that breaks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from unittest import SkipTest

import numpy as np
import pytest

from oodbench.api import Location
from oodbench.benchmark import OodSet, Part, Recipe
from oodbench.errors import OodbenchError, PluginError
from oodbench.images import Conversion, RawImages
from oodbench.plugins import registry
from oodbench.testing import (
    BENCHMARK_CHECKS,
    benchmarks,
    check_benchmark,
    check_dataset,
    datasets,
    parametrize_with_checks,
    values,
)
from oodbench.training.config import TrainConfig
from tests.helpers import small_benchmark

# With few images each, where a data set can be told so.
DATASETS = [
    kind(count=50) if "count" in getattr(kind, "__dataclass_fields__", {}) else kind()
    for name, kind in registry.usable("datasets").items()
    if name != registry.FOLDER
]


@parametrize_with_checks([*DATASETS, registry.load("datasets", registry.FOLDER)(name="cats")])
def test_data_set_keeps_the_contract(plugin, check):
    check(plugin)


@parametrize_with_checks(list(registry.usable("benchmarks").values()))
def test_benchmark_keeps_the_contract(plugin, check):
    check(plugin)


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Numbered images: the first pixel says which one it is."""

    title: ClassVar[str] = "t"
    source: ClassVar[str] = "s"
    how_to_get: ClassVar[str] = ""
    downloadable: ClassVar[bool] = False

    def locate(self, split, data_dir):
        return Location()

    def images(self, split):
        images = np.zeros((6, 4, 4), dtype=np.uint8)
        images[:, 0, 0] = np.arange(6) + (100 if split == "test" else 0)
        return images

    def labels(self, split):
        return np.arange(6) % 2

    def names(self, split):
        return ("even", "odd")

    def read(self, split, data_dir, conversion):
        return RawImages(images=self.images(split), labels=self.labels(split), class_names=self.names(split))

    def download(self, data_dir):
        pass


class NoTitle(Sound):
    title = ""


class HowToGetIsNone(Sound):
    how_to_get = None


class Silent(Sound):
    def locate(self, split, data_dir):
        return Location(looked_for=(data_dir / "a",), present=False)


class LooksElsewhere(Silent):
    how_to_get = "copy it"

    def locate(self, split, data_dir):
        return Location(looked_for=(Path("/elsewhere"),), present=False)


class MakesFolders(LooksElsewhere):
    def locate(self, split, data_dir):
        (data_dir / "a").mkdir(exist_ok=True)
        return Location(looked_for=(data_dir / "a",), present=False)


class Liar(Sound):
    def locate(self, split, data_dir):
        return Location(files=(data_dir / "lost",))


class Floats(Sound):
    def images(self, split):
        return super().images(split).astype(np.float32)


class ChannelsFirst(Sound):
    def images(self, split):
        return np.repeat(super().images(split)[:, None], 3, axis=1)


class Empty(Sound):
    def images(self, split):
        return super().images(split)[:0]


class OneLabelLess(Sound):
    def labels(self, split):
        return super().labels(split)[:-1]


class FromOne(Sound):
    def labels(self, split):
        return super().labels(split) + 1


class FloatLabels(Sound):
    def labels(self, split):
        return super().labels(split).astype(float)


class SameNames(Sound):
    def names(self, split):
        return ("odd", "odd")


class NamesWithoutLabels(Sound):
    def labels(self, split):
        return None


class OtherOrder(Sound):
    def names(self, split):
        return super().names(split)[:: 1 if split == "train" else -1]


class Shuffled(Sound):
    def images(self, split):
        return np.random.default_rng().permutation(super().images(split))


class SharesOne(Sound):
    def images(self, split):
        images = super().images(split)
        images[4, 0, 0] = 77
        return images


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (values.check_is_described, NoTitle, "set the class attribute 'title'"),
        (datasets.check_how_to_get_it_is_said, HowToGetIsNone, "'how_to_get' to a text"),
        (datasets.check_missing_files_are_reported, Silent, "say in 'how_to_get'"),
        (datasets.check_missing_files_are_reported, LooksElsewhere, "below the data folder"),
        (datasets.check_missing_files_are_reported, MakesFolders, "must not write"),
        (datasets.check_missing_files_are_reported, Liar, "calls files present that are not there"),
        (datasets.check_location_is_true, Liar, "lost, which is not there"),
        (datasets.check_images_are_8_bit, Floats, r"must give uint8 .* got float32 \(6, 4, 4\)"),
        (datasets.check_images_are_8_bit, ChannelsFirst, r"got uint8 \(6, 3, 4, 4\)"),
        (datasets.check_images_are_8_bit, Empty, "no images"),
        (datasets.check_labels_are_class_indices, OneLabelLess, r"6 images and labels of shape \(5,\)"),
        (datasets.check_labels_are_class_indices, FromOne, "run from 1 to 2; 2 class names ask for 0 to 1"),
        (datasets.check_labels_are_class_indices, FloatLabels, "whole numbers, got float64"),
        (datasets.check_labels_are_class_indices, SameNames, "class names must differ"),
        (datasets.check_labels_are_class_indices, NamesWithoutLabels, "names classes, but gives no labels"),
        (datasets.check_splits_have_the_same_classes, OtherOrder, "in the same order"),
        (datasets.check_order_never_changes, Shuffled, "other images at the second time"),
        (datasets.check_no_image_is_in_both_splits, SharesOne, "1 of 6 test images are training images .* number 4"),
    ],
    ids=lambda thing: getattr(thing, "__name__", ""),
)
def test_check_fails_a_data_set_that_breaks_it(check, broken, message):
    with pytest.raises(OodbenchError, match=message):
        check(broken())


def test_sound_data_set_passes_every_check():
    assert {outcome.status for outcome in check_dataset(Sound)} == {"passed"}


def test_data_set_whose_files_are_missing_is_not_called_sound(tmp_path):
    outcomes = {outcome.check: outcome for outcome in check_dataset(registry.dataset("mnist"), tmp_path)}

    for name in ("images_are_8_bit", "order_never_changes", "no_image_is_in_both_splits"):
        assert outcomes[name].status == "skipped"
        assert str(tmp_path) in outcomes[name].reason
        assert "oodbench data --download mnist" in outcomes[name].reason


@dataclass(frozen=True, kw_only=True)
class Tolerated(SharesOne):
    known_exceptions: ClassVar[Mapping[str, str]] = {"no_image_is_in_both_splits": "as published"}


def test_known_exception_of_a_data_set_is_shown():
    outcomes = {outcome.check: outcome for outcome in check_dataset(Tolerated())}

    assert outcomes["no_image_is_in_both_splits"].status == "known exception"


def recipes(**changes):
    return {"default": Recipe(**{"default": TrainConfig(), **changes})}


SEEN = Part(dataset="digits", split="train", classes=("0", "3"))


@pytest.mark.parametrize(
    ("check", "changes", "message"),
    [
        (benchmarks.check_is_described, {"title": ""}, "set 'title'"),
        (benchmarks.check_there_is_something_to_score, {"ood": ()}, "add an OodSet"),
        (
            benchmarks.check_settings_of_parts_fit,
            {"seen": {"noise": Part(dataset="gaussian", split="train", settings={"cuont": 5})}},
            "gaussian has no setting 'cuont'",
        ),
        (
            benchmarks.check_recipes_can_be_followed,
            {"recipes": recipes(default=TrainConfig(network="alexnet"))},
            "no network 'alexnet'",
        ),
        (
            benchmarks.check_recipes_can_be_followed,
            {"recipes": recipes(methods={"odm": {"margn": 5}})},
            "odm has no setting 'margn'",
        ),
        (benchmarks.check_network_takes_the_images, {"network": "one_output"}, r"gives outputs of shape \(2, 1\)"),
        (
            benchmarks.check_embedded_is_true,
            {"embedded": True, "seen": {"digits": Part(dataset="mnist", split="train")}},
            "set 'embedded' to False",
        ),
        (
            benchmarks.check_images_fit_together,
            {
                "conversion": Conversion(channels=1),
                "ood": (OodSet(name="n", part=Part(dataset="photo"), role="anomaly"),),
            },
            "let 'conversion' name a size",
        ),
        (
            benchmarks.check_images_fit_together,
            {"id_test": Part(dataset="digits", classes=("2", "7", "6"))},
            "must have the same classes",
        ),
        (benchmarks.check_images_fit_together, {"id_test": Part(dataset="gaussian")}, "need labels"),
        (
            benchmarks.check_no_test_image_is_trained_on,
            {"ood": (OodSet(name="seen digits", part=SEEN, role="seen"),)},
            r"\d+ of \d+ OOD images of 'seen digits' are seen OOD training images of 'seen digits' as well",
        ),
        (
            benchmarks.check_no_test_image_is_trained_on,
            {"id_test": Part(dataset="digits", split="train", classes=("2", "6", "7"))},
            "ID test images are ID training images as well",
        ),
    ],
)
def test_check_fails_a_benchmark_that_breaks_it(plugins, tmp_path, check, changes, message):
    from PIL import Image

    (tmp_path / "data" / "photo" / "test").mkdir(parents=True)
    Image.new("L", (5, 9)).save(tmp_path / "data" / "photo" / "test" / "a.png")
    network = "from torch import nn\n\ndef one(shape, n):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))\n"
    plugins("stranger", {"networks": {"one_output": "stranger:one"}}, {"stranger.py": network})

    with pytest.raises(OodbenchError, match=message):
        check(small_benchmark(**changes), tmp_path / "data")


def test_benchmark_with_missing_images_is_not_called_sound(tmp_path):
    lost = OodSet(name="lost", part=Part(dataset="nowhere"), role="anomaly")
    benchmark = small_benchmark()
    outcomes = check_benchmark(dataclasses.replace(benchmark, ood=(*benchmark.ood, lost)), tmp_path)
    reasons = {outcome.check: outcome.reason for outcome in outcomes if outcome.status == "skipped"}

    assert reasons["no_test_image_is_trained_on"].endswith("these are missing: OOD images of 'lost'")


def test_leak_is_found_although_other_images_are_missing(tmp_path):
    lost = OodSet(name="lost", part=Part(dataset="nowhere"), role="anomaly")
    leak = OodSet(name="leak", part=SEEN, role="seen")

    with pytest.raises(PluginError, match="'leak' are seen OOD training images of"):
        benchmarks.check_no_test_image_is_trained_on(small_benchmark(ood=(lost, leak)), tmp_path)


def test_benchmark_without_its_training_images_is_skipped(tmp_path):
    with pytest.raises(SkipTest, match="no train images of nowhere"):
        benchmarks.check_images_fit_together(small_benchmark(id_train=Part(dataset="nowhere", split="train")), tmp_path)


def test_sound_benchmark_passes_every_check(tmp_path):
    outcomes = check_benchmark(small_benchmark(), tmp_path)

    assert len(outcomes) == len(BENCHMARK_CHECKS)
    assert {outcome.check for outcome in outcomes if outcome.status != "passed"} == {"embedded_is_true"}


def test_known_exception_of_a_benchmark_is_shown(tmp_path):
    leak = OodSet(name="leak", part=SEEN, role="seen")
    benchmark = small_benchmark(ood=(leak,), known_exceptions={"no_test_image_is_trained_on": "as published"})
    outcomes = {outcome.check: outcome for outcome in check_benchmark(benchmark, tmp_path)}

    assert outcomes["no_test_image_is_trained_on"].status == "known exception"


def test_nothing_else_is_read_where_the_training_images_are_missing(monkeypatch):
    asked, found = [], benchmarks.load_part
    monkeypatch.setattr(benchmarks, "load_part", lambda part, *given: asked.append(part.dataset) or found(part, *given))

    with pytest.raises(SkipTest, match="no train images of mnist"):
        benchmarks.check_images_fit_together(small_benchmark(id_train=Part(dataset="mnist", split="train")))

    assert asked == ["mnist"]
