"""What a paper says of its results, so that a report can say whether it holds here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .errors import ConfigError
from .metrics import METRICS

Kind = Literal["better", "at least", "at most", "lower accuracy"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of a paper, with how it is tested.

    Attributes:
        text: the claim as a sentence.
        source: paper and where in it.
        kind: "better" (the method against `other`, a paired test on each set), "at least" or "at most" (the mean of the
            metric against `value`), or "lower accuracy" (the ID accuracy of the method against that of `other`).
        method: a method, or a variant such as "odm (seen=background)".
        other: what it is compared with.
        sets: the OOD sets that the claim is about; () for all.
        metric: name of a column of result rows.
        value: the limit, a fraction.
    """

    text: str
    source: str
    kind: Kind = "better"
    method: str
    other: str = ""
    sets: tuple[str, ...] = ()
    metric: str = "auroc"
    value: float = math.nan

    def __post_init__(self) -> None:
        compares = self.kind in ("better", "lower accuracy")
        if compares == (not self.other):
            raise ConfigError(f"the claim {self.text!r} of kind {self.kind!r} {_other(compares=compares)}")
        if compares != math.isnan(self.value):
            raise ConfigError(
                f"the claim {self.text!r} of kind {self.kind!r} "
                + ("has a limit, which is not used; leave value out" if compares else "needs a limit: value=0.95")
            )

    @property
    def tested(self) -> str:
        """How it is tested, in words."""
        where = f" on {', '.join(self.sets)}" if self.sets else " on every OOD set"
        if self.kind == "lower accuracy":
            return f"ID accuracy of {self.method} below that of {self.other}, with every seed"
        metric = METRICS[self.metric].label if self.metric in METRICS else self.metric
        if self.kind == "better":
            return f"{metric} of {self.method} better than that of {self.other}{where}, paired test"
        return f"mean {metric} of {self.method} {self.kind} {100 * self.value:g}%{where}"


def _other(*, compares: bool) -> str:
    return "needs a method to compare with: other=" if compares else "compares with no method; leave other out"
