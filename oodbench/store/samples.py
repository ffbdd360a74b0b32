"""What is stored of the test images of a cell, in the form that metrics read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.errors import MetricError, StoreError
from oodbench.metrics import Samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .records import Record, Scores


def samples_of(record: Record, scores: Scores, out_dist: str) -> Samples:
    """Return the samples of one OOD set; of the classifier's probabilities their `Certainty` is stored.

    Args:
        record: as it is stored.
        scores: from the file beside it.
        out_dist: name of the set.

    Raises:
        StoreError: the arrays do not fit together.
    """
    try:
        return samples_of_scores(scores, out_dist, max(1, len(record.class_names)))
    except MetricError as error:
        raise StoreError(f"the scores of {record.variant} on {out_dist} cannot be ({error})") from error


def samples_of_scores(
    scores: Scores, out_dist: str, n_classes: int, probabilities_id: NDArray[np.float64] | None = None
) -> Samples:
    """Return the same of a cell that has no record yet.

    Args:
        scores: of the cell.
        out_dist: name of the set.
        n_classes: at least 1.
        probabilities_id: of the ID test images, shape (n_id, n_classes), where they are at hand.

    Raises:
        MetricError: the arrays do not fit together.
    """
    return Samples(
        scores_id=scores.id,
        scores_ood=scores.ood[out_dist],
        n_classes=n_classes,
        predicted_id=scores.predicted_id,
        true_id=scores.true_id,
        predicted_ood=scores.predicted_ood.get(out_dist),
        true_ood=scores.true_ood.get(out_dist),
        probabilities_id=probabilities_id,
        certainty_id=scores.certainty_id,
    )
