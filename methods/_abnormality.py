"""A classifier with a decoder and an abnormality module, and how the module learns from distorted images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from oodbench.networks.autoencoder import Decoder, squared_error
from oodbench.training.learner import Learner, Setting

if TYPE_CHECKING:
    from .abnormality_module import TellDistorted

HIDDEN = (512, 128)
NOISE = (0.9, 1.2)
BLUR = (4.5 / 28, 5.0 / 28)
"""Standard deviation of the blur as a share of the image's height."""


class ReconstructingClassifier(nn.Module):
    """A classifier whose features are also drawn by a decoder, and a small network on all that comes of it.

    Args:
        classifier: has features and a head.
        shape: channels, height and width of the images.
        n_classes: number of ID classes.
        width: of the decoder.
    """

    def __init__(self, classifier: nn.Module, shape: tuple[int, int, int], n_classes: int, width: int) -> None:
        super().__init__()
        self.classifier = classifier
        training = classifier.training
        with torch.no_grad():
            # In evaluation mode, so that nothing is drawn and no running mean is moved.
            n_features = classifier.eval().features(torch.zeros(1, *shape)).shape[1]  # type: ignore[operator]
        classifier.train(training)
        self.decoder = Decoder(shape, n_features, width)
        self.module = nn.Sequential(
            nn.Linear(n_classes + n_features + math.prod(shape), HIDDEN[0]),
            nn.GELU(),
            nn.Linear(HIDDEN[0], HIDDEN[1]),
            nn.GELU(),
            nn.Linear(HIDDEN[1], 1),
        )

    def features(self, images: Tensor) -> Tensor:
        """Return the classifier's features, shape (n, n_features)."""
        out: Tensor = self.classifier.features(images)  # type: ignore[operator]
        return out

    def head(self, features: Tensor) -> Tensor:
        """Return the classifier's logits, shape (n, n_classes)."""
        out: Tensor = self.classifier.head(features)  # type: ignore[operator]
        return out

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `features`, `logits`, `error`, the mean squared error, and `normality`, a logit, of each image."""
        features = self.features(images)
        logits = self.head(features)
        made = torch.sigmoid(self.decoder(features).float())
        residual = (images - made).square().flatten(1)
        normality = self.module(torch.cat([logits, features, residual.to(features.dtype)], dim=1)).squeeze(1)
        return {
            "features": features,
            "logits": logits,
            "error": squared_error(made, images),
            "normality": normality,
        }

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each image: see `forward`."""
        return self(images)  # type: ignore[no-any-return]


def distorted(images: Tensor, random: torch.Generator, *, turn: bool) -> Tensor:
    """Return images of which half has noise, a quarter is blurred and a quarter is turned (or has noise as well).

    Args:
        images: float32 in [0, 1], shape (n, channels, height, width).
        random: the only source of randomness, on the device of the images.
        turn: whether any are turned; images that are not square never are.
    """
    half, three_quarters = len(images) // 2, len(images) - len(images) // 4
    turned = images[three_quarters:]
    if turn and images.shape[2] == images.shape[3]:
        once = torch.rand(len(turned), 1, 1, 1, generator=random, device=images.device) < 0.5
        turned = torch.where(once, turned.rot90(1, (2, 3)), turned.rot90(3, (2, 3)))
    else:
        turned = _with_noise(turned, random)
    return torch.cat([_with_noise(images[:half], random), _blurred(images[half:three_quarters], random), turned])


def _between(bounds: tuple[float, float], random: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand((), generator=random, device=random.device)


def _with_noise(images: Tensor, random: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=random, device=images.device)
    return images + _between(NOISE, random) * noise


def _blurred(images: Tensor, random: torch.Generator) -> Tensor:
    """Return images that each side has been blurred along, as a product with a matrix of Gaussian weights."""
    deviation = _between(BLUR, random) * images.shape[2]
    rows, columns = (_blur_matrix(side, deviation) for side in images.shape[2:])
    return rows @ images @ columns.T


def _blur_matrix(side: int, deviation: Tensor) -> Tensor:
    position = torch.arange(side, device=deviation.device)
    weights = torch.exp(-0.5 * ((position[:, None] - position) / deviation).square())
    return weights / weights.sum(dim=1, keepdim=True)


class DistortionLearner(Learner):
    """Trains the abnormality module on a third of each batch as it is and the rest distorted.

    Args:
        network: a `ReconstructingClassifier` that classifies and reconstructs; it stays in evaluation mode.
        objective: gives the loss, and says whether images are turned.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, objective: TellDistorted, setting: Setting) -> None:
        assert isinstance(network, ReconstructingClassifier)  # what the objective builds
        self._network, self._objective, self._setting = network, objective, setting
        network.requires_grad_(requires_grad=False)
        network.module.requires_grad_(requires_grad=True)
        self._optimizer, self._schedule = setting.optimizer(network.module)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Do one step of the optimizer on the module's weights."""
        # The classifier is as it will be used, without dropout and with its running means.
        self._network.eval()
        n_clean = max(1, len(images) // 3)
        shown = torch.cat(
            [images[:n_clean], distorted(images[n_clean:], self._setting.random, turn=self._objective.turn)]
        )
        is_clean = (torch.arange(len(images), device=images.device) < n_clean).long()
        with self._setting.autocast():
            outputs = self._network(shown)
        loss = self._objective.loss(
            {name: tensor.float() for name, tensor in outputs.items()}, is_clean, self._setting.random
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach()

    def parts(self) -> Mapping[str, Any]:
        """Return network, optimizer and schedule."""
        return {"network": self._network, "optimizer": self._optimizer, "schedule": self._schedule}
