"""Open-set recognition: known images get their class, unknown ones are rejected (survey of Salehi et al., section 8).

Where a metric needs a decision, an image is rejected whose score lies below a threshold. By default that is the
highest threshold that accepts 95% of the ID test images or more, the one of `fpr_at_tpr`, so a method is judged at
the same operating point in all columns; `threshold` takes another one, as from validation images. Known classes are
those of the ID set; unknown images are the OOD set. A known image counts as right if it is accepted and taken for
its class.

The survey is "A Unified Survey on Anomaly, Novelty, Open-Set, and Out-of-Distribution Detection" (Salehi et al.,
TMLR 2022); its equations 110 to 115 follow Júnior et al. (Machine Learning 2017) and Geng et al. (TPAMI 2021).
"""

from __future__ import annotations

from math import sqrt
from typing import Literal, get_args

import numpy as np

from oodbench.errors import MetricError

from .axis import dot, mean, or_one
from .checked import check_option
from .samples import Accepted, Samples

Counting = Literal["images", "one_vs_rest"]
Average = Literal["macro", "micro"]


def open_set_accuracy(
    samples: Samples, *, tpr: float = 0.95, threshold: float | None = None, counting: Counting = "images"
) -> float:
    """Return the share of all images that are right: known ones with their class, unknown ones rejected.

    A_O of equation 111 of the survey. It depends on how many images each set has; `normalized_accuracy` does not.

    Args:
        samples: with predicted and true classes of the ID images.
        tpr: target true positive rate of the threshold, in (0, 1].
        threshold: another threshold; `tpr` does not count then.
        counting: "images" counts each image once, as the field's code does. "one_vs_rest" is the letter of the
            equation, where each of C classes counts its true negatives too: a known image then has C decisions, of
            which a wrong class gets two wrong and a rejection one, so the value is near 1 where C is large.

    Returns:
        A fraction in [0, 1]; higher is better.

    Raises:
        MetricError: classes are missing, or an option is unknown or out of its range.

    >>> known = {"n_classes": 2, "predicted_id": [0, 1, 1, 0], "true_id": [0, 1, 0, 0]}
    >>> samples = Samples(scores_id=[4, 3, 2, 1], scores_ood=[3, 0], **known)
    >>> open_set_accuracy(samples), open_set_accuracy(samples, threshold=2)
    (0.6666666666666666, 0.5)
    """
    accepted = samples.n_accepted(tpr=tpr, threshold=threshold)
    n_right, n_decisions = _known(samples, accepted, counting)
    return (n_right + samples.n_ood - accepted.n_ood) / (n_decisions + samples.n_ood)


def normalized_accuracy(
    samples: Samples,
    *,
    known_weight: float = 0.5,
    tpr: float = 0.95,
    threshold: float | None = None,
    counting: Counting = "images",
) -> float:
    """Return the accuracy on known images and that on unknown ones, averaged: equations 112 and 113 of the survey.

    NA = λ AKS + (1 - λ) AUS, so that it does not depend on how many images each set has. AUS is the share of unknown
    images that are rejected. Other arguments, range, direction and errors are as for `open_set_accuracy`.

    Args:
        samples: with predicted and true classes of the ID images.
        known_weight: λ, the weight of known images, in [0, 1].
        tpr: see `open_set_accuracy`.
        threshold: see `open_set_accuracy`.
        counting: see `open_set_accuracy`.

    >>> known = {"n_classes": 2, "predicted_id": [0, 1, 1, 0], "true_id": [0, 1, 0, 0]}
    >>> normalized_accuracy(Samples(scores_id=[4, 3, 2, 1], scores_ood=[3, 0], **known))
    0.625
    """
    if not 0 <= known_weight <= 1:
        raise MetricError(f"known_weight must be in [0, 1], got {known_weight}")
    accepted = samples.n_accepted(tpr=tpr, threshold=threshold)
    n_right, n_decisions = _known(samples, accepted, counting)
    unknown = (samples.n_ood - accepted.n_ood) / samples.n_ood
    return known_weight * n_right / n_decisions + (1 - known_weight) * unknown


def precision_recall(
    samples: Samples, *, average: Average, tpr: float = 0.95, threshold: float | None = None
) -> tuple[float, float]:
    """Return precision and recall over the known classes: equation 115 of the survey, after Júnior et al. (2017).

    Unknown images are no class of their own, for none was seen in training. They count as false positives of the class
    that they are taken for if accepted, and rejected known images as false negatives of theirs.

    Args:
        samples: with predicted and true classes of the ID images, for "macro" with predicted classes of the OOD images.
        average: "macro" takes the mean over classes, where a class that nothing is taken for has precision 0, and
            one without images recall 0 (scikit-learn's `zero_division=0`); "micro" adds up the counts of all classes.
        tpr: target true positive rate of the threshold, in (0, 1].
        threshold: another threshold; `tpr` does not count then.

    Returns:
        Two fractions in [0, 1]; higher is better.

    Raises:
        MetricError: classes are missing, or an option is unknown or out of its range.
    """
    check_option("average", average, get_args(Average))
    if average == "micro":
        accepted = samples.n_accepted(tpr=tpr, threshold=threshold)
        return accepted.n_correct / or_one(accepted.n_id + accepted.n_ood), accepted.n_correct / samples.n_id
    n_right, n_taken, n_there = samples.per_class(tpr=tpr, threshold=threshold)
    return mean(n_right / or_one(n_taken)), mean(n_right / or_one(n_there))


def macro_f(samples: Samples, *, tpr: float = 0.95, threshold: float | None = None) -> float:
    """Return the macro-F-measure over known classes: equation 114 of the survey with P_ma and R_ma of equation 115.

    The harmonic mean of the mean precision and the mean recall, which is not the mean of the F-measures of all classes
    that scikit-learn calls "macro". 0 where both are 0. Arguments and errors are as for `precision_recall`.

    Returns:
        A fraction in [0, 1]; higher is better.

    >>> classes = {"n_classes": 2, "predicted_id": [0, 1, 1], "true_id": [0, 1, 0], "predicted_ood": [1, 0]}
    >>> macro_f(Samples(scores_id=[4, 3, 2], scores_ood=[3, 0], **classes))
    0.7058823529411765
    """
    return _harmonic_mean(*precision_recall(samples, average="macro", tpr=tpr, threshold=threshold))


def micro_f(samples: Samples, *, tpr: float = 0.95, threshold: float | None = None) -> float:
    """Return the micro-F-measure over known classes: equation 114 of the survey with P_mi and R_mi of equation 115.

    It does not need to know which class OOD images are taken for. Range, direction, arguments and errors are as for
    `macro_f`.

    >>> classes = {"n_classes": 2, "predicted_id": [0, 1, 1], "true_id": [0, 1, 0]}
    >>> micro_f(Samples(scores_id=[4, 3, 2], scores_ood=[3, 0], **classes))
    0.5714285714285715
    """
    return _harmonic_mean(*precision_recall(samples, average="micro", tpr=tpr, threshold=threshold))


def oscr(samples: Samples) -> float:
    """Return the area under the open-set classification rate (Dhamija et al., NeurIPS 2018).

    The curve of the share of known images that are accepted and taken for their class (CCR) over the share of unknown
    images that are accepted (FPR), from the highest threshold to the lowest, with straight lines between thresholds.
    Equal to the accuracy times the AUROC of the rightly classified known images against the unknown ones. As for the
    AUROC, a known and an unknown image with one score count half; the paper's CCR leaves out images at the threshold,
    so ties are lost there.

    Returns:
        A fraction in [0, 1], at most the accuracy; higher is better.

    Raises:
        MetricError: predicted or true classes of the ID images are missing.

    >>> oscr(Samples(scores_id=[3, 2, 1], scores_ood=[2, 0], n_classes=2, predicted_id=[0, 0, 1], true_id=[0, 0, 0]))
    0.5833333333333334
    """
    heights = samples.n_accepted_correct
    double_area = dot(np.diff(samples.curve.n_accepted_ood), heights[..., 1:] + heights[..., :-1])
    return double_area / (2 * samples.n_id * samples.n_ood)


def openness(n_training_classes: int, n_test_classes: int) -> float:
    """Return how open an experiment is: 1 - sqrt(2 |C_TR| / (|C_TR| + |C_TE|)), equation 38 of the survey.

    The definition of Geng et al. (TPAMI 2021): that of Scheirer et al. (TPAMI 2013) with all training classes as those
    to recognise. It describes an experiment and judges no method.

    Args:
        n_training_classes: |C_TR|, number of known classes, at least 1.
        n_test_classes: |C_TE|, number of classes in the tests, the known ones included.

    Returns:
        A fraction in [0, 1), 0 where all test classes are known.

    Raises:
        MetricError: a number is too small.

    >>> openness(6, 10)
    0.1339745962155614
    """
    if not 1 <= n_training_classes <= n_test_classes:
        raise MetricError(
            f"openness needs at least one training class, and no fewer test classes, got {n_training_classes} and "
            f"{n_test_classes}; count the known classes among the test classes too"
        )
    return 1 - sqrt(2 * n_training_classes / (n_training_classes + n_test_classes))


def openness_of(samples: Samples) -> float:
    """Return the `openness` of an experiment whose unknown classes are those that occur in `true_ood`.

    Raises:
        MetricError: `true_ood` is missing or below 0, so that unknown classes cannot be counted.

    >>> openness_of(Samples(scores_id=[1], scores_ood=[0, 0, 0], n_classes=1, true_ood=[7, 7, 9]))
    0.2928932188134524
    """
    unknown = samples.required("true_ood")
    if unknown.min() < 0:
        raise MetricError(f"true_ood holds the class {unknown.min()}; openness needs the class of every OOD image")
    return openness(samples.n_classes, samples.n_classes + np.unique(unknown).size)


def _known(samples: Samples, accepted: Accepted, counting: Counting) -> tuple[int, int]:
    """Return how many decisions on known images are right, and how many there are."""
    check_option("counting", counting, get_args(Counting))
    if counting == "images":
        return accepted.n_correct, samples.n_id
    n_decisions = samples.n_classes * samples.n_id
    n_rejected, n_wrong = samples.n_id - accepted.n_id, accepted.n_id - accepted.n_correct
    return n_decisions - n_rejected - 2 * n_wrong, n_decisions


def _harmonic_mean(precision: float, recall: float) -> float:
    return 2 * precision * recall / or_one(precision + recall)
