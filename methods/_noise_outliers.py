"""Noise that a classifier is to be undecided about: made for a batch of images, and made worse for the classifier."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, pad

from oodbench.training.learner import Setting

from ._own_loss import OwnLossLearner

LOWPASS_STD = (1.0, 2.5)
"""Standard deviations in pixels between which the width of the low-pass filter is drawn."""
LOWPASS_REACH = 7
"""Pixels to each side that the filter sees."""


def noise_like(images: Tensor, permuted: float, random: torch.Generator) -> Tensor:
    """Return as many images of smooth noise.

    Some are images whose pixels are shuffled, the others uniform noise; all go through one Gaussian filter of random
    width and are stretched to [0, 1].
    Source: the public code of Hein et al., CVPR 2019, Section 4.

    Args:
        images: float32 in [0, 1], shape (n, channels, height, width).
        permuted: share of the images that are shuffled, in [0, 1].
        random: the only source of randomness, on the device of the images.
    """
    n_permuted = int(permuted * len(images))
    noise = torch.rand(images.shape, generator=random, device=images.device)
    flat = images[:n_permuted].flatten(2)
    order = torch.rand(n_permuted, flat.shape[2], generator=random, device=images.device).argsort(dim=1)
    noise[:n_permuted] = flat.gather(2, order[:, None].expand_as(flat)).reshape(images[:n_permuted].shape)
    low, high = LOWPASS_STD
    std = low + (high - low) * torch.rand((), generator=random, device=images.device)
    return _stretched(_smooth(noise, std)).contiguous(memory_format=torch.channels_last)


def _smooth(images: Tensor, std: Tensor) -> Tensor:
    _, channels, height, width = images.shape
    reach = torch.arange(-LOWPASS_REACH, LOWPASS_REACH + 1, device=images.device)
    kernel = (-0.5 * (reach / std).square()).exp()
    kernel = kernel / kernel.sum()
    # Mirrored borders need larger images than the filter reaches; of smaller ones the border is repeated.
    mode = "reflect" if min(height, width) > LOWPASS_REACH else "replicate"
    out = pad(images, [LOWPASS_REACH] * 4, mode=mode)
    out = conv2d(out, kernel.reshape(1, 1, -1, 1).repeat(channels, 1, 1, 1), groups=channels)
    return conv2d(out, kernel.reshape(1, 1, 1, -1).repeat(channels, 1, 1, 1), groups=channels)


def _stretched(images: Tensor) -> Tensor:
    low, high = (bound(images, dim=(1, 2, 3), keepdim=True) for bound in (torch.amin, torch.amax))
    return (images - low) / (high - low).clamp(min=1e-12)


def log_confidence(logits: Tensor) -> Tensor:
    """Return max_k log p_k, shape (n,), at most 0, of logits, shape (n, C)."""
    return logits.log_softmax(dim=1).amax(dim=1)


def worst_near(network: nn.Module, images: Tensor, epsilon: float, steps: int, random: torch.Generator) -> Tensor:
    """Return images within ε of the given ones that a network is surest about.

    Projected gradient ascent on max_k log p_k from a random point near each image, with steps of ε over their number;
    of all points on the way the best is taken, the image itself included. The network is looked at in evaluation mode.
    Source: Hein et al., CVPR 2019, Eq. 9, with steps and starting points of the public code; survey (Salehi et al.)
    §6.9, Eq. 71.

    Args:
        network: gives logits; left as it was.
        images: float32 in [0, 1], shape (n, channels, height, width).
        epsilon: ε, largest change of a pixel.
        steps: how many.
        random: the only source of randomness, on the device of the images.
    """
    was_training = network.training
    network.eval()
    shrink = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device)
    change = (2 * torch.rand(images.shape, generator=random, device=images.device) - 1) * epsilon * shrink
    with torch.no_grad():
        best, best_value = images, log_confidence(network(images).float())
    point = (images + change).clamp(0, 1)
    for _ in range(steps + 1):
        with torch.enable_grad():
            point.requires_grad_()
            value = log_confidence(network(point).float())
            (gradient,) = torch.autograd.grad(value.sum(), point)
        point, value = point.detach(), value.detach()
        best = torch.where((value > best_value)[:, None, None, None], point, best)
        best_value = torch.maximum(value, best_value)
        moved = point + epsilon / steps * gradient.sign()
        point = torch.minimum(torch.maximum(moved, images - epsilon), images + epsilon).clamp(0, 1)
    network.train(was_training)
    return best


class NoiseLearner(OwnLossLearner):
    """Cross-entropy on ID images and λ times the mean of max_k log p_k on as many noise images, in one pass.

    Args:
        network: gives logits.
        objective: says how much noise of which kind.
        setting: of the training.
    """

    def __init__(self, network: nn.Module, objective: Any, setting: Setting) -> None:
        super().__init__(network, setting)
        self._objective = objective

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch with noise made for it."""
        objective, random = self._objective, self._setting.random
        noise = noise_like(images, objective.permuted, random)
        if objective.epsilon > 0:
            noise = worst_near(self._network, noise, objective.epsilon, objective.steps, random)
        logits = cast("Tensor", self.outputs(torch.cat([images, noise])))
        return noise_loss(logits, labels, objective.weight)


def noise_loss(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the loss of logits of n ID images and of noise after them, shape (n + m, C); a scalar.

    Source: Hein et al., CVPR 2019, Eq. 7; survey (Salehi et al.) §6.9, Eq. 70.
    """
    n = len(labels)
    return cross_entropy(logits[:n], labels) + weight * log_confidence(logits[n:]).mean()
