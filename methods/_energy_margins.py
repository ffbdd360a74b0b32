"""Energy margins that are read off the classifier that fine-tuning starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oodbench.training.learner import Learner, Setting

if TYPE_CHECKING:
    from .energy_finetune import EnergyBounded


def margins_of(energies_id: Tensor, energies_ood: Tensor, n_classes: int) -> tuple[float, float]:
    """Return the margins (m_in, m_out) that a classifier suggests.

    m_in is the mean energy of its ID images and m_out that of the seen OOD images ("around the mean of energy scores
    from a pre-trained model", Liu et al., Section 4.1), but at least −log C, the energy of logits that are all 0: a
    classifier that takes outliers for classes gives them no lower a bound. Where even that is not above m_in, m_out
    is one above it.

    Args:
        energies_id: shape (n,).
        energies_ood: shape (m,).
        n_classes: C.
    """
    m_in = float(energies_id.mean())
    m_out = max(float(energies_ood.mean()), -math.log(n_classes))
    return m_in, m_out if m_out > m_in else m_in + 1.0


class MarginsFromFirstBatch(Learner):
    """Looks at the energies of the first batch, then fine-tunes with these as margins.

    Args:
        network: in training mode, with the weights that it starts from.
        objective: with margins that are replaced.
        setting: of the training; it must have seen OOD images.
    """

    def __init__(self, network: nn.Module, objective: EnergyBounded, setting: Setting) -> None:
        self._network, self._objective, self._setting = network, objective, setting
        self._margins: tuple[float, float] | None = None
        self._after: Learner | None = None

    def _begin(self, m_in: float, m_out: float) -> Learner:
        self._margins = m_in, m_out
        given = replace(self._objective, m_in=m_in, m_out=m_out, margins="given")
        self._after = given.learner(self._network, self._setting)
        return self._after

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step of the fine-tuning."""
        after = self._after or self._begin(*self._measured(images))
        return after.step(images, labels)

    @torch.no_grad()
    def _measured(self, images: Tensor) -> tuple[float, float]:
        from .energy_finetune import energy

        # In evaluation mode, so that nothing is drawn and no running mean is moved.
        self._network.eval()
        logits, logits_ood = (self._network(batch).float() for batch in (images, self._setting.draw_seen(len(images))))
        self._network.train()
        return margins_of(energy(logits), energy(logits_ood), logits.shape[1])

    def parts(self) -> Mapping[str, Any]:
        """Return the learner of the fine-tuning, once it has begun."""
        return {} if self._after is None else {"after": self._after}

    def state_dict(self) -> dict[str, Any]:
        """Return the margins and the state of the fine-tuning."""
        return {**super().state_dict(), "margins": self._margins}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the margins and the state of the fine-tuning."""
        if state["margins"] is not None:
            self._begin(*state["margins"])
        super().load_state_dict(state)
