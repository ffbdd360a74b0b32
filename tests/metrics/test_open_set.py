"""Open-set metrics against plain loops over images, scikit-learn, pytorch-ood and counts by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_score, recall_score

from oodbench.errors import MetricError
from oodbench.metrics import (
    Samples,
    auroc,
    macro_f,
    micro_f,
    normalized_accuracy,
    open_set_accuracy,
    openness,
    openness_of,
    oscr,
    precision_recall,
)


def decisions(samples: Samples) -> tuple[list[int], list[int]]:
    """Return true and decided classes of all images at 95% TPR, where C is unknown, image by image."""
    threshold = next(t for t in sorted(samples.scores_id)[::-1] if np.mean(samples.scores_id >= t) >= 0.95)
    unknown = samples.n_classes
    true = [*samples.true_id, *[unknown] * samples.scores_ood.size]
    scores, taken_for = [*samples.scores_id, *samples.scores_ood], [*samples.predicted_id, *samples.predicted_ood]
    decided = [c if score >= threshold else unknown for c, score in zip(taken_for, scores, strict=True)]
    return [int(c) for c in true], [int(c) for c in decided]


# By hand: of the tiny samples, 3 of 4 known images are right, and 1 of 3 unknown ones is rejected.


def test_tiny_case_equals_the_counts_by_hand(tiny):
    assert open_set_accuracy(tiny) == pytest.approx(4 / 7)
    assert normalized_accuracy(tiny) == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert normalized_accuracy(tiny, known_weight=1) == 3 / 4
    # Class 0: one taken, one right, two there. Class 1: three taken, one right, one there. Class 2: two, one, one.
    precision, recall = (1 + 1 / 3 + 1 / 2) / 3, (1 / 2 + 1 + 1) / 3
    assert precision_recall(tiny, average="macro") == pytest.approx((precision, recall))
    assert macro_f(tiny) == pytest.approx(2 * precision * recall / (precision + recall))
    assert precision_recall(tiny, average="micro") == pytest.approx((3 / 6, 3 / 4))
    assert micro_f(tiny) == pytest.approx(0.6)
    # Right ID images of scores 6, 4, 2 exceed 3, 2 and 1½ of the 3 OOD scores.
    assert oscr(tiny) == pytest.approx((3 + 2 + 1.5) / 12)


def test_one_vs_rest_counts_true_negatives_of_every_class(tiny):
    # 12 decisions on 4 known images, of which the wrong class makes 2 wrong; then 3 unknown images.
    assert open_set_accuracy(tiny, counting="one_vs_rest") == pytest.approx((10 + 1) / 15)
    assert normalized_accuracy(tiny, counting="one_vs_rest") == pytest.approx((10 / 12 + 1 / 3) / 2)


def test_another_threshold_replaces_that_of_95_percent(tiny):
    # Accepted: right ID 6 and 4; OOD 5, taken for class 1.
    assert open_set_accuracy(tiny, threshold=4) == pytest.approx((2 + 2) / 7)
    assert open_set_accuracy(tiny, threshold=4, counting="one_vs_rest") == pytest.approx((12 - 2 + 2) / 15)
    assert precision_recall(tiny, average="micro", threshold=4) == pytest.approx((2 / 3, 2 / 4))
    assert open_set_accuracy(tiny, tpr=0.5) == open_set_accuracy(tiny, threshold=4)


def test_nothing_accepted_has_no_precision_and_no_recall(tiny):
    assert precision_recall(tiny, average="macro", threshold=100) == (0, 0)
    assert precision_recall(tiny, average="micro", threshold=100) == (0, 0)
    assert macro_f(tiny, threshold=100) == micro_f(tiny, threshold=100) == 0
    assert open_set_accuracy(tiny, threshold=100) == pytest.approx(3 / 7)


# Against scikit-learn, with unknown as one more class.


def test_open_set_accuracy_equals_scikit_learn_with_unknown_as_a_class(samples):
    assert open_set_accuracy(samples) == pytest.approx(accuracy_score(*decisions(samples)), rel=1e-14)


def test_normalized_accuracy_is_the_mean_of_both_accuracies(samples):
    true, decided = map(np.array, decisions(samples))
    known = true < samples.n_classes
    both = [accuracy_score(true[part], decided[part]) for part in (known, ~known)]

    assert normalized_accuracy(samples, known_weight=0.3) == pytest.approx(0.3 * both[0] + 0.7 * both[1], rel=1e-14)


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_precision_and_recall_equal_scikit_learn_over_known_classes(samples, average):
    known = {"labels": range(samples.n_classes), "average": average, "zero_division": 0}
    theirs = tuple(score(*decisions(samples), **known) for score in (precision_score, recall_score))

    assert precision_recall(samples, average=average) == pytest.approx(theirs, rel=1e-14)


def test_one_vs_rest_equals_a_loop_over_images_and_classes(samples):
    right = total = 0
    for true, decided in zip(*decisions(samples), strict=True):
        if true == samples.n_classes:
            right, total = right + (decided == true), total + 1
        for known in range(samples.n_classes) if true < samples.n_classes else ():
            right, total = right + ((true == known) == (decided == known)), total + 1

    assert open_set_accuracy(samples, counting="one_vs_rest") == pytest.approx(right / total, rel=1e-14)


# OSCR.


def test_oscr_equals_a_loop_over_pairs(samples):
    wins = sum(
        Fraction(2 * bool(a > b) + bool(a == b), 2)
        for a, right in zip(samples.scores_id, samples.correct, strict=True)
        for b in samples.scores_ood
        if right
    )

    assert oscr(samples) == pytest.approx(float(wins / (samples.scores_id.size * samples.scores_ood.size)), rel=1e-14)


def test_oscr_is_accuracy_times_the_auroc_of_what_is_right(samples):
    of_right = auroc(samples.scores_id[samples.correct], samples.scores_ood)

    assert oscr(samples) == pytest.approx(samples.correct.mean() * of_right, rel=1e-14)


def test_oscr_equals_pytorch_ood(samples):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("pytorch_ood.metrics.functional", exc_type=ImportError)
    scores = torch.from_numpy(-np.concatenate([samples.scores_id, samples.scores_ood]))
    predicted = torch.from_numpy(np.concatenate([samples.predicted_id, samples.predicted_ood]))
    labels = torch.tensor([*samples.true_id, *[-1] * samples.scores_ood.size])

    assert oscr(samples) == pytest.approx(peers.oscr_score(scores, predicted, labels), rel=1e-12)


def test_oscr_of_constant_scores_is_half_the_accuracy():
    assert oscr(Samples(scores_id=[1, 1], scores_ood=[1], n_classes=2, predicted_id=[0, 1], true_id=[0, 0])) == 0.25


# Openness.


def test_openness_is_0_where_all_classes_are_known_and_grows_with_unknown_ones():
    assert openness(10, 10) == 0
    assert openness(6, 10) == pytest.approx(1 - (12 / 16) ** 0.5)
    assert openness(4, 14) == pytest.approx(1 / 3)


def test_openness_equals_pytorch_ood():
    peers = pytest.importorskip("pytorch_ood.metrics.functional", exc_type=ImportError)

    assert openness(6, 10) == pytest.approx(peers.calc_openness(6, 10, 6), rel=1e-14)


def test_openness_of_samples_counts_the_unknown_classes_that_occur(tiny):
    assert openness_of(tiny) == openness(3, 5)


@pytest.mark.parametrize("numbers", [(0, 3), (4, 3), (-1, -1)])
def test_openness_refuses_impossible_numbers(numbers):
    with pytest.raises(MetricError, match="count the known classes among the test classes too"):
        openness(*numbers)


def test_openness_of_unlabelled_images_is_refused():
    with pytest.raises(MetricError, match="true_ood holds the class -1"):
        openness_of(Samples(scores_id=[1], scores_ood=[0], n_classes=1, true_ood=[-1]))


@pytest.mark.parametrize("metric", [open_set_accuracy, normalized_accuracy, macro_f, micro_f])
def test_tpr_outside_0_to_1_is_refused(tiny, metric):
    with pytest.raises(MetricError, match=r"tpr must be in \(0, 1\], got 95"):
        metric(tiny, tpr=95)


def test_unknown_options_are_refused(tiny):
    with pytest.raises(MetricError, match="counting must be one of 'images', 'one_vs_rest', got 'classes'"):
        open_set_accuracy(tiny, counting="classes")
    with pytest.raises(MetricError, match="average must be one of 'macro', 'micro', got 'weighted'"):
        precision_recall(tiny, average="weighted")
    with pytest.raises(MetricError, match=r"known_weight must be in \[0, 1\], got 2"):
        normalized_accuracy(tiny, known_weight=2)
