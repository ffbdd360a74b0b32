"""How far apart two methods are, and whether that is more than noise."""

from __future__ import annotations

from dataclasses import dataclass

from oodbench.errors import MetricError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference of a metric, second minus first.

    Attributes:
        first: value of the first method.
        second: value of the second one.
        low: lower end of the interval of the difference.
        high: its upper end.
        p: of a two-sided test that there is no difference, in [0, 1]; how often noise alone does as much.
        level: of the interval, such as 0.95.
        test: in words, such as "DeLong".
    """

    first: float
    second: float
    low: float
    high: float
    p: float
    level: float
    test: str

    @property
    def estimate(self) -> float:
        """The difference, second minus first."""
        return self.second - self.first


def check_level(name: str, value: float) -> None:
    """Refuse a level of an interval or a test that is no share between 0 and 1.

    Raises:
        MetricError: it is not.
    """
    if not 0 < value < 1:
        raise MetricError(f"{name} must be between 0 and 1, got {value}; write 0.05 for 5%")
