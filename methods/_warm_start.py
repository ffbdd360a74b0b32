"""A classifier first, then something else: two learners for one network, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from oodbench.objectives import CrossEntropy
from oodbench.training.learner import Learner, LossLearner, Setting


class FirstOutputs(CrossEntropy):
    """Cross-entropy on the first outputs of a network.

    Args:
        n_classes: number of ID classes; the network has at least as many outputs.
    """

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes

    def loss(self, outputs: Tensor, labels: Tensor, generator: object) -> Tensor:
        """Return the mean cross-entropy of the first outputs; a scalar."""
        return cross_entropy(outputs[:, : self._n_classes], labels)


class WarmStart(Learner):
    """Trains a network to classify for the first steps, and as another learner does for the others.

    Each of the two has a whole schedule of its own.

    Args:
        network: in training mode.
        share: of the steps that classify; at least one, and never all.
        after: makes the learner of the other steps.
        setting: of the training.
    """

    def __init__(
        self, network: nn.Module, share: float, after: Callable[[nn.Module, Setting], Learner], setting: Setting
    ) -> None:
        self._steps_first = max(1, min(round(share * setting.steps), setting.steps - 1))
        steps_after = max(1, setting.steps - self._steps_first)
        self._first = LossLearner(
            _classifier(network, setting), FirstOutputs(setting.n_classes), replace(setting, steps=self._steps_first)
        )
        self._after = after(network, replace(setting, steps=steps_after))
        self._done = 0

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Let the learner whose turn it is do a step."""
        learner = self._first if self._done < self._steps_first else self._after
        self._done += 1
        return learner.step(images, labels)

    def parts(self) -> Mapping[str, Any]:
        """Return both learners."""
        return {"first": self._first, "after": self._after}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both learners and the number of steps done."""
        return {**super().state_dict(), "done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of both learners."""
        super().load_state_dict(state)
        self._done = state["done"]


def _classifier(network: nn.Module, setting: Setting) -> nn.Module:
    """Return the network itself, or with a linear layer on top where its embedding has fewer dimensions than classes.

    The layer is left behind when the classes have been learnt.
    """
    with torch.no_grad():
        # In evaluation mode, so that nothing is drawn and no running mean is moved.
        dim = network.eval()(torch.zeros(1, *setting.shape, device=setting.device)).shape[1]
    network.train()
    if dim >= setting.n_classes:
        return network
    return nn.Sequential(network, nn.Linear(dim, setting.n_classes, device=setting.device))
