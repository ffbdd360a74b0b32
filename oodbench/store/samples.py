"""What is stored of the test images of a cell, in the form that metrics read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.errors import MetricError, StoreError
from oodbench.metrics import Samples

if TYPE_CHECKING:
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
        return Samples(
            scores_id=scores.id,
            scores_ood=scores.ood[out_dist],
            n_classes=max(1, len(record.class_names)),
            predicted_id=scores.predicted_id,
            true_id=scores.true_id,
            predicted_ood=scores.predicted_ood.get(out_dist),
            true_ood=scores.true_ood.get(out_dist),
            certainty_id=scores.certainty_id,
        )
    except MetricError as error:
        raise StoreError(f"the scores of {record.variant} on {out_dist} cannot be ({error})") from error
