"""Which methods cannot be told from the best one, so that a table can mark them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oodbench.errors import MetricError

from .difference import Difference, check_level
from .holm import holm


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best method on a set, and those that may be as good.

    Attributes:
        name: of the best.
        as_good: the methods that cannot be told from it, the best first, then as they were given.
        test: how each was compared with the best, in words.
        alpha: level of the tests, after Holm's correction for their number.
    """

    name: str
    as_good: tuple[str, ...]
    test: str
    alpha: float


def find_best(
    values: Mapping[str, float],
    compare: Callable[[str, str], Difference],
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
) -> Best:
    """Return the best method and those that a paired test cannot tell from it.

    Args:
        values: of a metric, by method.
        compare: returns the difference of two methods by their names, such as from `compare_aurocs`; called for the
            best with each other one.
        higher_is_better: direction of the metric.
        alpha: level, after Holm's correction.

    Raises:
        MetricError: there is no method.
    """
    check_level("alpha", alpha)
    if not values:
        raise MetricError("there is no method to find the best of; pass the values of at least one")
    best = (max if higher_is_better else min)(values, key=lambda name: values[name])
    others = [name for name in values if name != best]
    differences = [compare(best, name) for name in others]
    corrected = holm([difference.p for difference in differences])
    return Best(
        name=best,
        as_good=(best, *(name for name, p in zip(others, corrected, strict=True) if not p < alpha)),
        test=differences[0].test if differences else "",
        alpha=alpha,
    )
