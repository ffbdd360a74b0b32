"""How the confident classifier of CC-AG is trained, with generated and with seen outliers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from oodbench.training.learner import Learner, Setting, descend

from ._dcgan import Discriminator, Generator


def divergence_from_uniform(logits: Tensor) -> Tensor:
    """Return the mean of KL(U ‖ p) over a batch, with U uniform and p the softmax of logits, shape (n, C); a scalar.

    Zero where all classes are equally likely. Source: Lee et al., ICLR 2018, Eq. 1.
    """
    log_p = logits.log_softmax(dim=1)
    n_classes = logits.shape[1]
    entropy = -torch.tensor(float(n_classes), device=logits.device).log()
    return (entropy - log_p.mean(dim=1)).mean()


def confidence_loss(network: nn.Module, images: Tensor, labels: Tensor, outliers: Tensor, beta: float) -> Tensor:
    """Return cross-entropy on ID images plus β·KL(U ‖ p) on outliers, a scalar.

    Both go through the network in one pass: batch normalisation then has the same statistics for both, as it has when
    the network is used. In a pass of their own, outliers would be made to look like ID images.

    Args:
        network: the classifier, in training mode; the pass is made in the precision of the context.
        images: ID images, shape (n, channels, height, width).
        labels: int64, shape (n,).
        outliers: shape (m, channels, height, width).
        beta: β.
    """
    logits = network(torch.cat([images, outliers])).float()
    n = len(images)
    return cross_entropy(logits[:n], labels) + beta * divergence_from_uniform(logits[n:])


@contextmanager
def frozen_normalisation(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation use its running statistics for a block, and leave them as they are."""
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()


class SeenOutlierLearner(Learner):
    """Cross-entropy on ID images and β·KL(U ‖ p) on as many seen OOD images.

    Args:
        network: the classifier.
        beta: weight of the divergence.
        setting: of the training; it must have seen OOD images.
    """

    def __init__(self, network: nn.Module, beta: float, setting: Setting) -> None:
        self._network, self._beta, self._setting = network, beta, setting
        self._optimizer, self._schedule = setting.optimizer(network)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step of the optimizer."""
        outliers = self._setting.draw_seen(len(images))
        with self._setting.autocast():
            loss = confidence_loss(self._network, images, labels, outliers, self._beta)
        descend(loss, self._optimizer)
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return classifier, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}


class GeneratedOutlierLearner(Learner):
    """Classifier, generator and discriminator, trained jointly with three optimizers.

    Each step: the discriminator learns to tell ID images from generated ones; the generator learns to fool it and,
    with weight β, to make images that the classifier is undecided about (and, with weight `pull_away`, images
    that differ from each other); the classifier learns cross-entropy and, with weight β, to be undecided
    about freshly generated images.
    The published classifier has no batch normalisation. Where there is one, its statistics come from ID images and
    outliers together, and are left as they are in the generator's step.
    Source: Lee et al., ICLR 2018, joint confidence loss and Algorithm 1; order and settings of the public code.

    Args:
        network: the classifier.
        generator: makes outliers.
        discriminator: tells ID images from generated ones.
        beta: weight of the divergences.
        pull_away: weight of the pull-away term; 0 as in the public code.
        learning_rate: of generator and discriminator, which are trained by Adam whatever trains the classifier.
        setting: of the training.
    """

    def __init__(
        self,
        network: nn.Module,
        generator: Generator,
        discriminator: Discriminator,
        beta: float,
        pull_away: float,
        learning_rate: float,
        setting: Setting,
    ) -> None:
        self._network, self._beta, self._pull_away, self._setting = network, beta, pull_away, setting
        self._generator = generator.to(setting.device)
        self._discriminator = discriminator.to(setting.device)
        self._optimizer, self._schedule = setting.optimizer(network)
        # As in the public code, only the classifier's weights are penalised.
        options = {"lr": learning_rate, "betas": (0.5, 0.999), "weight_decay": 0.0}
        self._optimizer_g, self._schedule_g = setting.optimizer(self._generator, "adam", **options)
        self._optimizer_d, self._schedule_d = setting.optimizer(self._discriminator, "adam", **options)
        noise = torch.randn(64, self._generator.latent, generator=setting.random, device=setting.device)
        self._picture_noise = {"noise": noise}

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step of each of the three networks; the classifier's loss is reported."""
        self._step_discriminator_and_generator(images)
        with torch.no_grad():
            fake = self._generator.draw(len(images), self._setting.random)
        with self._setting.autocast():
            loss = confidence_loss(self._network, images, labels, fake, self._beta)
        descend(loss, self._optimizer)
        for schedule in (self._schedule, self._schedule_g, self._schedule_d):
            schedule.step()
        return loss.detach()

    def _step_discriminator_and_generator(self, images: Tensor) -> None:
        with self._setting.autocast():
            fake = self._generator.draw(len(images), self._setting.random)
            real_logits, fake_logits = self._discriminator(images), self._discriminator(fake.detach())
        descend(_is_real(real_logits, real=True) + _is_real(fake_logits, real=False), self._optimizer_d)
        with self._setting.autocast(), frozen_normalisation(self._network):
            fooled, fake_classes = self._discriminator(fake), self._network(fake)
        loss = _is_real(fooled, real=True) + self._beta * divergence_from_uniform(fake_classes.float())
        if self._pull_away > 0:
            loss = loss + self._pull_away * pull_away_term(fake.flatten(1).float())
        descend(loss, self._optimizer_g)

    def parts(self) -> Mapping[str, Any]:
        """Return the three networks with their optimizers and schedules, and the noise of the picture."""
        return {
            "network": self._network,
            "generator": self._generator,
            "discriminator": self._discriminator,
            "optimizer": self._optimizer,
            "optimizer_g": self._optimizer_g,
            "optimizer_d": self._optimizer_d,
            "schedule": self._schedule,
            "schedule_g": self._schedule_g,
            "schedule_d": self._schedule_d,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts, with the noise that the pictures are drawn from."""
        return {**super().state_dict(), **self._picture_noise}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up the state of all parts."""
        super().load_state_dict(state)
        self._picture_noise = {"noise": state["noise"]}

    @torch.no_grad()
    def picture(self) -> Tensor:
        """Return 64 generated images, from the same noise each time."""
        self._generator.eval()
        images: Tensor = self._generator(self._picture_noise["noise"])
        self._generator.train()
        return images


def pull_away_term(vectors: Tensor) -> Tensor:
    """Return the mean squared cosine between different vectors of a batch, shape (n, dim); a scalar in [0, 1].

    Source: Zhao et al., ICLR 2017, as Lee et al., ICLR 2018, use it (there on the generated images).
    """
    unit = torch.nn.functional.normalize(vectors, dim=1)
    squared, n = (unit @ unit.T).square(), len(vectors)
    return (squared.sum() - squared.diagonal().sum()) / max(1, n * (n - 1))


def _is_real(logits: Tensor, *, real: bool) -> Tensor:
    target = torch.full_like(logits, float(real), dtype=torch.float32)
    return binary_cross_entropy_with_logits(logits.float(), target)
