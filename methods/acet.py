"""ACET: a classifier that is trained to be undecided about the worst case near noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from oodbench.api import Objective
from oodbench.errors import ConfigError

from .ceda import CEDA, UndecidedOnNoise


@dataclass(frozen=True, kw_only=True)
class UndecidedNearNoise(UndecidedOnNoise):
    """The objective of ACET: that of CEDA with ε > 0, and with a recipe of its own."""

    name: ClassVar[str] = "acet"

    epsilon: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epsilon > 0:
            raise ConfigError(f"epsilon must be positive, got {self.epsilon}; without a step it is ceda")


@dataclass(frozen=True, kw_only=True)
class ACET(CEDA):
    """Adversarial confidence enhancing training; the score is the maximum softmax probability.

    Score: max_k softmax(f)_k, in [1/C, 1].
    Source: Hein et al., CVPR 2019, Eq. 9; survey (Salehi et al.) §6.9, Eq. 71: the noise of CEDA, changed by projected
    gradient ascent within ε in the maximum norm. A training step costs as many passes over the noise as it has steps.

    Attributes:
        weight, permuted: as of CEDA.
        epsilon: ε, largest change of a pixel in [0, 1].
        steps: of the ascent, each ε over their number.
    """

    title: ClassVar[str] = "Adversarial confidence enhancing training"
    source: ClassVar[str] = "Hein et al., CVPR 2019, Eq. 9"
    # 40 steps for each batch would take the checks of the contract minutes.
    quick: ClassVar[Mapping[str, object]] = {"steps": 2}

    epsilon: float = 0.3
    steps: int = 40

    @property
    def networks(self) -> tuple[Objective, ...]:
        """The classifier that is undecided about all that is near noise."""
        return (UndecidedNearNoise(weight=self.weight, permuted=self.permuted, epsilon=self.epsilon, steps=self.steps),)
