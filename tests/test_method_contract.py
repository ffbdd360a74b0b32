"""Every installed method keeps the contract; and each check fails a method that breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from oodbench import checks, registry
from oodbench.checks import METHOD_CHECKS
from oodbench.errors import PluginError
from oodbench.posthoc import LogitMethod


@pytest.mark.parametrize("check", METHOD_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry.names("methods"))
def test_method_keeps_the_contract(name, check):
    check(registry.method(name))


@dataclass(frozen=True, kw_only=True)
class Sound(LogitMethod):
    title: ClassVar[str] = "test"
    source: ClassVar[str] = "test"

    def score_logits(self, logits):
        return logits.amax(dim=1)


class NoTitle(Sound):
    title = ""


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


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (checks.check_is_described, NoTitle),
        (checks.check_hyper_parameters_are_a_frozen_value, NotFrozen),
        (checks.check_one_finite_score_an_image, NotOneScoreEach),
        (checks.check_one_finite_score_an_image, Infinite),
        (checks.check_classes_are_indices_or_none, WrongClasses),
        (checks.check_scores_do_not_depend_on_the_batch, BatchDependent),
        (checks.check_same_seed_same_scores, Random),
        (checks.check_network_and_global_randomness_are_left_alone, Random),
        (checks.check_network_and_global_randomness_are_left_alone, ChangesTheNetwork),
        (checks.check_higher_means_more_in_distribution, Flipped),
    ],
    ids=lambda thing: thing.__name__,
)
def test_check_fails_a_method_that_breaks_it(check, broken):
    with pytest.raises((PluginError, TypeError)):
        check(broken)


def test_check_fails_a_detector_that_does_not_survive_pickling():
    with pytest.raises((PluginError, AttributeError)):
        checks.check_detector_can_be_pickled(NotPicklable)


@pytest.mark.parametrize("check", METHOD_CHECKS[:-2], ids=lambda check: check.__name__)
def test_sound_method_passes(check):
    check(Sound)
