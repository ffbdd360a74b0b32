"""P-values of several tests, made so that all of them together seldom find what is not there.

Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from oodbench.errors import MetricError


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number: those below α are wrong in at most a share of α of all families.

    Args:
        p_values: of the tests of one family, in [0, 1]; NaN is a test that could not be made, and does not count.

    Returns:
        In the same order, in [0, 1], never below what they were; NaN stays.

    Raises:
        MetricError: a value is no probability.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    if wrong := [p for p in p_values if not (math.isnan(p) or 0 <= p <= 1)]:
        raise MetricError(f"{wrong[0]} is no p-value; pass numbers in [0, 1]")
    made = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    corrected = [math.nan] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(made, key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(made) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected
