"""Every installed method keeps the contract; and each check fails a method that breaks it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch

from oodbench.errors import PluginError
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.posthoc import LogitDetector, LogitMethod
from oodbench.testing import check_method, methods, parametrize_with_checks, values

ODIN = registry.method("odin")
VARIANTS = [
    ODIN(tune="seen", epsilon="auto"),
    ODIN(tune="val", epsilon="auto"),
    ODIN(tune="test", epsilon="auto"),
    registry.method("ccag")(outliers="seen", width=8),
]


@parametrize_with_checks([*registry.usable("methods").values(), *VARIANTS])
def test_method_keeps_the_contract(plugin, check):
    check(plugin)


@dataclass(frozen=True, kw_only=True)
class Sound(LogitMethod):
    title: ClassVar[str] = "test"
    source: ClassVar[str] = "test"

    def score_logits(self, logits):
        return logits.amax(dim=1)


class NoTitle(Sound):
    title = ""


class GridOfNoSetting(Sound):
    grid: ClassVar = {"power": (1.0, 2.0)}


class GridOfRefusedValues(ODIN):
    grid: ClassVar = {"temperature": (1.0, -1.0)}


class NotOneScoreEach(Sound):
    def score_logits(self, logits):
        return logits


class Infinite(Sound):
    def score_logits(self, logits):
        return logits.amax(dim=1) / 0


class BatchDependent(Sound):
    def score_logits(self, logits):
        return logits.amax(dim=1) - logits.mean()


class Random(Sound):
    def score_logits(self, logits):
        return logits.amax(dim=1) + torch.rand(len(logits))


class Flipped(Sound):
    def score_logits(self, logits):
        return -logits.amax(dim=1)


class ChangesTheNetwork(Sound):
    def fit(self, inputs):
        inputs.network.head.bias += 0.01
        return super().fit(inputs)


@dataclass
class NotFrozen:
    title = source = "test"


@dataclass(frozen=True)
class NotPicklableDetector:
    method: object
    hook = None

    def __reduce__(self):
        return (dict, ())

    def score(self, batch):
        return batch.logits.amax(dim=1)

    def classify(self, batch):
        return None


class NotPicklable(Sound):
    def fit(self, inputs):
        return NotPicklableDetector(self)


class WrongClasses(Sound):
    def fit(self, inputs):
        detector = super().fit(inputs)

        class Zero(type(detector)):
            def classify(self, batch):
                return torch.zeros(len(batch), dtype=torch.int64)

        return Zero(method=self)


@dataclass(frozen=True, kw_only=True)
class NotSettable(Sound):
    weights: dict = field(default_factory=lambda: {"a": 1}, hash=False)


@dataclass(frozen=True, kw_only=True)
class Hidden(Sound):
    power: float = field(default=1.0, repr=False)


@dataclass(frozen=True, kw_only=True)
class NotHashable(Sound):
    layers: list = field(default_factory=list)


class OfOddNeeds(Sound):
    sees = frozenset({"everything"})


@dataclass(frozen=True, kw_only=True)
class OnSeenImages(CrossEntropy):
    name = "ce with seen images"
    uses_seen_ood = True

    def n_ood_images(self, batch_size, step):
        return batch_size // 4

    def loss(self, outputs, labels, generator):
        known = labels >= 0
        return super().loss(outputs[known], labels[known], generator) + outputs[~known].square().mean()


class TrainsOnUndeclaredImages(Sound):
    @property
    def networks(self):
        return (OnSeenImages(),)


class OnTheFly(LogitDetector):
    """Subtracts the mean of all that it has scored so far."""

    def score(self, batch):
        scores = super().score(batch)
        past = vars(self).setdefault("past", [])
        past.append(scores.mean())
        return scores - sum(past) / len(past)


class LearnsWhileScoring(Sound):
    def fit(self, inputs):
        return OnTheFly(method=self)


class WithLabels(LogitDetector):
    def score(self, batch):
        right = 0 if batch.labels is None else batch.logits.argmax(dim=1) == batch.labels
        return super().score(batch) + right


class ReadsLabels(Sound):
    def fit(self, inputs):
        return WithLabels(method=self)


class Answers(LogitDetector):
    def classify(self, batch):
        return super().classify(batch) if batch.labels is None else batch.labels


class ClassifiesByLabels(Sound):
    def fit(self, inputs):
        return Answers(method=self)


class ChangesImages(Sound):
    def fit(self, inputs):
        inputs.train.source.images[0] = 0
        return super().fit(inputs)


class ChangesFeatures(Sound):
    def fit(self, inputs):
        inputs.train.outputs["features"][:] += 1
        return super().fit(inputs)


class DrawsFromNumPy(Sound):
    def fit(self, inputs):
        np.random.rand()  # noqa: NPY002  # what no method may do
        return super().fit(inputs)


class SeedsPython(Sound):
    def fit(self, inputs):
        random.seed(0)
        return super().fit(inputs)


class TrainsTheNetwork(Sound):
    def fit(self, inputs):
        inputs.network.train()
        return super().fit(inputs)


class LeavesGradients(Sound):
    def fit(self, inputs):
        inputs.network.requires_grad_(requires_grad=True)
        return super().fit(inputs)


class Overwriting(LogitDetector):
    def classify(self, batch):
        classes = super().classify(batch)
        batch.outputs["logits"][:] = 0
        return classes


class ChangesOutputsWhileClassifying(Sound):
    def fit(self, inputs):
        return Overwriting(method=self)


fits = []
"""What methods of the class `Counted` were fitted with."""


class Counted(Sound):
    def fit(self, inputs):
        fits.append(inputs)
        return super().fit(inputs)


class OtherEachTime(Counted):
    """Fits otherwise each time, and scores always alike."""

    def fit(self, inputs):
        super().fit(inputs)
        return Shifted(method=self, by=float(len(fits)))


@dataclass(frozen=True, kw_only=True)
class Shifted(LogitDetector):
    by: float

    def score(self, batch):
        return super().score(batch) + self.by


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (values.check_is_described, NoTitle, "set the class attribute 'title'"),
        (values.check_settings_are_a_frozen_value, NotFrozen, "frozen"),
        (values.check_settings_are_a_frozen_value, NotHashable, "tuples instead of lists"),
        (values.check_settings_can_be_set_as_text, NotSettable, "the setting weights cannot be given"),
        (values.check_settings_can_be_set_as_text, Hidden, "repr\\(\\) must show the setting power"),
        (methods.check_data_needs_are_declared, OfOddNeeds, "sees must be a frozenset of 'id_validation'"),
        (methods.check_data_needs_are_declared, TrainsOnUndeclaredImages, "add 'seen_ood' to sees"),
        (methods.check_grid_can_be_tried, GridOfNoSetting, "grid names 'power', which is no setting"),
        (methods.check_grid_can_be_tried, GridOfRefusedValues, "temperature must be positive, got -1"),
        (methods.check_one_finite_score_an_image, NotOneScoreEach, r"must return shape \(90,\).* got \(90, 3\)"),
        (methods.check_one_finite_score_an_image, Infinite, "finite"),
        (methods.check_classes_are_indices_or_none, WrongClasses, "right on 33% of easy images"),
        (methods.check_scores_do_not_depend_on_the_batch, BatchDependent, "other images of its batch"),
        (methods.check_same_seed_same_scores, Random, "fitting twice"),
        (methods.check_same_seed_same_scores, OtherEachTime, "fitting twice"),
        (methods.check_labels_of_scored_images_are_not_read, ReadsLabels, "must not read the labels"),
        (methods.check_labels_of_scored_images_are_not_read, ClassifiesByLabels, "classify\\(\\) must not read"),
        (methods.check_undeclared_ood_images_change_nothing, TrainsOnUndeclaredImages, "does not declare to see"),
        (methods.check_undeclared_ood_images_change_nothing, LearnsWhileScoring, "learn nothing"),
        (methods.check_inputs_are_left_alone, ChangesImages, "copy what is changed in place"),
        (methods.check_inputs_are_left_alone, ChangesFeatures, "copy what is changed in place"),
        (methods.check_inputs_are_left_alone, ChangesOutputsWhileClassifying, "copy what is changed in place"),
        (methods.check_network_is_left_alone, ChangesTheNetwork, "leave its weights"),
        (methods.check_network_is_left_alone, TrainsTheNetwork, "evaluation mode"),
        (methods.check_network_is_left_alone, LeavesGradients, "no gradients"),
        (methods.check_global_random_state_is_left_alone, Random, "generator of PyTorch"),
        (methods.check_global_random_state_is_left_alone, DrawsFromNumPy, "generator of NumPy"),
        (methods.check_global_random_state_is_left_alone, SeedsPython, "generator of Python"),
        (methods.check_detector_can_be_pickled, NotPicklable, "has no attribute 'score'"),
        (methods.check_higher_means_more_in_distribution, Flipped, "higher must mean more in-distribution"),
    ],
    ids=lambda thing: getattr(thing, "__name__", ""),
)
def test_check_fails_a_method_that_breaks_it(check, broken, message):
    with pytest.raises((PluginError, AttributeError), match=message):
        check(broken)


@parametrize_with_checks([Sound])
def test_sound_method_passes(plugin, check):
    check(plugin)


def test_what_a_method_did_to_the_network_is_undone_before_the_next_check():
    with pytest.raises(PluginError):
        methods.check_network_is_left_alone(TrainsTheNetwork)

    methods.check_network_is_left_alone(Sound)


def test_all_checks_together_fit_a_method_three_times():
    fits.clear()
    check_method(Counted)

    # Once more, to see that it is the same, and once with other OOD images; where there is a GPU, there as well.
    assert len(fits) == (5 if torch.cuda.is_available() else 3)


def test_all_checks_say_together_what_is_wrong():
    with pytest.raises(
        PluginError, match=r"Flipped fails 1 of 17 checks\nhigher_means_more_in_distribution: ID images"
    ):
        check_method(Flipped)


def test_other_numbers_on_a_gpu_are_found(monkeypatch):
    """Where there is no GPU, a method that scores otherwise on its second fit stands for one."""
    fits = []

    class Drifting(Sound):
        def fit(self, inputs):
            fits.append(inputs)
            return LogitDetector(method=Sound() if len(fits) % 2 else Flipped())

    found = methods.problem
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(methods, "problem", lambda method, device: found(method))

    methods.check_scores_are_the_same_on_a_gpu(Sound)
    with pytest.raises(PluginError, match="scores on a GPU differ by up to"):
        methods.check_scores_are_the_same_on_a_gpu(Drifting)


class Sampling(Sound):
    known_exceptions: ClassVar = dict.fromkeys(
        (
            "check_same_seed_same_scores",
            "scores_do_not_depend_on_the_batch",
            "labels_of_scored_images_are_not_read",
            "undeclared_ood_images_change_nothing",
            "global_random_state_is_left_alone",
            "detector_can_be_pickled",
        ),
        "it samples",
    )

    def score_logits(self, logits):
        return logits.amax(dim=1) + torch.rand(len(logits))


def test_known_exception_is_no_failure_and_keeps_its_reason():
    outcomes = {outcome.check: outcome for outcome in check_method(Sampling)}

    assert outcomes["same_seed_same_scores"].status == "known exception"
    assert outcomes["same_seed_same_scores"].reason == "it samples"


def test_known_exception_that_is_none_any_more_fails():
    class Mended(Sound):
        known_exceptions: ClassVar = {"same_seed_same_scores": "it samples"}

    with pytest.raises(PluginError, match="same_seed_same_scores: it passes; remove it from known_exceptions"):
        check_method(Mended)


def test_known_exception_to_no_check_fails():
    class Odd(Sound):
        known_exceptions: ClassVar = {"check_seeds": "it samples"}

    with pytest.raises(PluginError, match="there is no check 'seeds'"):
        check_method(Odd)


def test_known_exception_is_a_strict_xfail_in_pytest():
    decorator = parametrize_with_checks([Sampling])
    marks = {case.id: [mark.kwargs for mark in case.marks] for case in decorator.args[1]}

    assert marks["Sampling-same_seed_same_scores"] == [{"reason": "it samples", "strict": True}]
    assert marks["Sampling-is_described"] == []


def test_thing_that_is_no_plugin_cannot_be_checked():
    with pytest.raises(PluginError, match="is no plugin"):
        parametrize_with_checks(["msp"])


def test_checks_name_where_foreign_code_failed():
    class Failing(Sound):
        def score_logits(self, logits):
            raise ZeroDivisionError("by hand")

    with pytest.raises(
        PluginError, match=r"ZeroDivisionError: by hand \(test_method_checks.py, line \d+, in score_log"
    ):
        check_method(Failing)
