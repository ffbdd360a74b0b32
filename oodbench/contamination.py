"""Other images among the in-distribution training images: real training sets are not clean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast, get_args

from .errors import ConfigError
from .folders import place

OtherLabels = Literal["random", "none"]
"""What is said of the other images: a random ID class, or nothing."""
UNLABELLED = -1
"""The label of an image of which nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """A share of the training images that is of another set.

    Attributes:
        share: of all training images, above 0 and below 1.
        name: of the other set, as it stands in tables.
        dataset: the other set: name of a data set plugin, or of a folder or ZIP of images.
        labels: "random", of the ID classes, as in a set that was labelled badly; or "none", as in one that was labelled
            in part: what reads labels then learns from the others alone, see `Objective`.
    """

    share: float
    name: str
    dataset: str
    labels: OtherLabels = "random"

    def __post_init__(self) -> None:
        # Not a number is in no range.
        if not 0.0 < self.share < 1.0:
            raise ConfigError(
                f"the share of other images must be above 0 and below 1, such as 0.1 for a tenth of the training "
                f"images, got {self.share:g}"
            )
        if self.labels not in get_args(OtherLabels):
            raise ConfigError(
                f"--contaminate-labels must be one of {', '.join(get_args(OtherLabels))}, got {self.labels!r}"
            )

    @classmethod
    def parsed(cls, text: str, labels: str = "random") -> Contamination:
        """Return what a text such as "0.1:omniglot" says: a share and a set, by name or path.

        Args:
            text: the share and the set.
            labels: of the other images, see `Contamination`.

        Raises:
            ConfigError: it says something else.

        >>> Contamination.parsed("0.1:omniglot").described
        '10% omniglot'
        """
        share, colon, given = text.partition(":")
        number = _number(share)
        if not colon or not given.strip() or number is None:
            raise ConfigError(f"--contaminate must be SHARE:SET, such as 0.1:omniglot, got {text!r}")
        name, dataset = place(given.strip())
        return cls(share=number, name=name, dataset=dataset, labels=cast("OtherLabels", labels))

    @property
    def described(self) -> str:
        """The share and the set, for titles and messages."""
        return f"{100 * self.share:g}% {self.name}"

    @property
    def suffix(self) -> str:
        """What is put behind the name of a benchmark: its results are not those of the clean one."""
        return f"-with-{self.share:g}-{self.name}{'-unlabelled' if self.labels == 'none' else ''}"

    def counts(self, n_id: int, n_others: int) -> tuple[int, int]:
        """Return how many ID images and how many others are taken so that the share holds.

        Args:
            n_id: ID images that there are: all are taken where there are others enough.
            n_others: others that there are.
        """
        wanted = round(n_id * self.share / (1 - self.share))
        if wanted <= n_others:
            return n_id, wanted
        return math.floor(n_others * (1 - self.share) / self.share), n_others


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
