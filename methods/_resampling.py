"""Weights on seen outliers that are learnt against a classifier, and a classifier trained on the heaviest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from oodbench.training.learner import Learner, Setting

from ._own_loss import OwnLossLearner

if TYPE_CHECKING:
    from .background_resampling import ResampledBackground


def uniformity(logits: Tensor) -> Tensor:
    """Return −1/C Σ_k log p_k − log C, shape (n,), at least 0, of logits, shape (n, C).

    Source: Li & Vasconcelos, CVPR 2020, Eq. 2; survey (Salehi et al.) §6.13, Eq. 78.
    """
    n_classes = torch.tensor(float(logits.shape[1]), device=logits.device)
    return -logits.log_softmax(dim=1).mean(dim=1) - n_classes.log()


class _WithOutliers(OwnLossLearner):
    """Cross-entropy on ID images and α times the uniformity loss on as many seen OOD images, in one pass.

    Args:
        network: gives logits.
        alpha: α.
        setting: of the training; it must have seen OOD images.
    """

    def __init__(self, network: nn.Module, alpha: float, setting: Setting) -> None:
        super().__init__(network, setting)
        self._alpha = alpha

    def _losses(self, images: Tensor, labels: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy, a scalar, and the uniformity loss of each chosen outlier, shape (m,)."""
        seen = self._setting.seen
        assert seen is not None  # the plan gives no benchmark without seen images to an objective that uses them
        logits = cast("Tensor", self.outputs(torch.cat([images, self._setting.shown(seen[chosen])])))
        n = len(labels)
        return cross_entropy(logits[:n], labels), uniformity(logits[n:])


class WeightSearch(_WithOutliers):
    """Trains a classifier to lower the weighted loss on outliers, and the weights to raise it.

    Weights are w = softplus(v). Outliers are drawn with probabilities ∝ √w, with those of the last epoch, and their
    losses weigh √w over the root of the mean of w, scaled so that both together weigh w over its mean: what the public
    code does, so that heavy outliers are also seen often.

    Args:
        network: gives logits; it is given up after the search.
        alpha: α.
        rate: learning rate of the weights, by gradient descent with momentum 0.9.
        setting: of the search.
    """

    def __init__(self, network: nn.Module, alpha: float, rate: float, setting: Setting) -> None:
        super().__init__(network, alpha, setting)
        assert setting.seen is not None
        self._v = nn.Parameter(torch.zeros(len(setting.seen), device=setting.device))
        self._optimizer_v = torch.optim.SGD([self._v], rate, momentum=0.9)
        self._drawn_with = self.weights().sqrt().double().cumsum(dim=0)

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Return the weight of each outlier, shape (m,), positive."""
        return softplus(self._v)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of the classifier; its gradient to the weights is kept for them, with the sign turned."""
        setting = self._setting
        # Twenty million outliers are too many for torch.multinomial; the cumulated weights are searched instead.
        where = torch.rand(len(images), generator=setting.random, device=setting.device, dtype=torch.float64)
        chosen = torch.searchsorted(self._drawn_with, where * self._drawn_with[-1]).clamp(max=len(self._v) - 1)
        w = softplus(self._v)
        scale = w.sqrt().mean() / w.mean().sqrt()
        weight = scale * (w[chosen] / w.mean()).sqrt()
        classes, outliers = self._losses(images, labels, chosen)
        return classes + self._alpha * (weight * outliers).mean()

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step down the loss for the classifier and up for the weights."""
        self._optimizer_v.zero_grad(set_to_none=True)
        loss = super().step(images, labels)
        assert self._v.grad is not None  # every loss depends on the weights
        self._v.grad.neg_()
        self._optimizer_v.step()
        if self._schedule.last_epoch % self._setting.steps_per_epoch == 0:
            self._drawn_with = self.weights().sqrt().double().cumsum(dim=0)
        return loss

    def parts(self) -> Mapping[str, Any]:
        """Return the classifier, the optimizers and the schedule."""
        return {**super().parts(), "optimizer_v": self._optimizer_v}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts, and the weights."""
        return {**super().state_dict(), "v": self._v.detach().clone(), "drawn_with": self._drawn_with}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of all parts, and the weights."""
        super().load_state_dict(state)
        with torch.no_grad():
            self._v.copy_(state["v"])
        self._drawn_with = state["drawn_with"]


class KeptOutliers(_WithOutliers):
    """Trains a classifier with the kept outliers, drawn evenly.

    Args:
        network: gives logits.
        alpha: α.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, alpha: float, setting: Setting) -> None:
        super().__init__(network, alpha, setting)
        self.kept = torch.empty(0, dtype=torch.int64, device=setting.device)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch with as many outliers."""
        setting = self._setting
        chosen = torch.randint(len(self.kept), (len(images),), generator=setting.random, device=setting.device)
        classes, outliers = self._losses(images, labels, self.kept[chosen])
        return classes + self._alpha * outliers.mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts, and which outliers are kept."""
        return {**super().state_dict(), "kept": self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of all parts, and which outliers are kept."""
        super().load_state_dict(state)
        self.kept = state["kept"]


class ResamplingLearner(Learner):
    """Searches for the outliers that count with a copy of the classifier, then trains the classifier with them.

    Each of the two has a whole schedule of its own.

    Args:
        network: gives logits.
        objective: says how long is searched, and how many are kept.
        setting: of the training; it must have seen OOD images.
    """

    def __init__(self, network: nn.Module, objective: ResampledBackground, setting: Setting) -> None:
        assert setting.seen is not None
        self._steps_first = max(1, min(round(objective.search * setting.steps), setting.steps - 1))
        searching = replace(setting, steps=self._steps_first)
        training = replace(setting, steps=max(1, setting.steps - self._steps_first))
        self.search = WeightSearch(copy.deepcopy(network), objective.weight, objective.weights_rate, searching)
        self.training = KeptOutliers(network, objective.weight, training)
        self._n_kept = max(1, round(objective.keep * len(setting.seen)))
        self._done = 0

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Let the learner whose turn it is do a step."""
        if self._done == self._steps_first:
            self.training.kept = self.search.weights().topk(self._n_kept).indices.sort().values
        learner = self.search if self._done < self._steps_first else self.training
        self._done += 1
        return learner.step(images, labels)

    def parts(self) -> Mapping[str, Any]:
        """Return both learners."""
        return {"search": self.search, "training": self.training}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both learners and the number of steps done."""
        return {**super().state_dict(), "done": self._done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of both learners and the number of steps done."""
        super().load_state_dict(state)
        self._done = state["done"]
