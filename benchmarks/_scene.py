"""What the speed scripts share: a network, images that are made up, and a clock."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from oodbench.images import ImageSet
from oodbench.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

N_CLASSES = 10
SHAPES = {"lenet": (1, 28, 28), "resnet18": (3, 32, 32)}
DROPOUT = 0.5
LAST_MAPS = "maps"
"""Name of the module that gives the last maps of a network here."""


class Counted(nn.Module):
    """A network that counts the images that pass through it; copies count together.

    Args:
        network: fits `oodbench.api.Network`.
    """

    images: ClassVar[int] = 0

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.until_maps, self.from_maps = _parts(network)
        # Does nothing, and gives methods that read the last maps one name for them in all networks.
        self.maps = nn.Identity()
        # Does nothing in evaluation mode, and gives Monte-Carlo dropout something to drop.
        self.dropout = nn.Dropout(DROPOUT)

    @property
    def halves(self) -> tuple[nn.Module, nn.Module]:
        """What gives the last maps, and what makes logits of them, as pytorch-ood wants them."""
        return _CountedBody(self.until_maps), nn.Sequential(self.from_maps, self.network.head)

    def as_maps(self, images: Tensor) -> Tensor:
        """Return the penultimate features as maps of one position, shape (n, n_features, 1, 1)."""
        return self.features(images)[:, :, None, None]

    def flat_head(self, maps: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes), of maps of one position."""
        return self.head(maps.flatten(1))

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate features, shape (n, n_features)."""
        Counted.images += len(images)
        features: Tensor = self.dropout(self.from_maps(self.maps(self.until_maps(images))))
        return features

    def head(self, features: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes)."""
        logits: Tensor = self.network.head(features)  # type: ignore[operator]
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (n, n_classes)."""
        return self.head(self.features(images))


def _parts(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return what a network does up to its last maps, and what makes features of them."""
    if isinstance(body := getattr(network, "body", None), nn.Sequential):
        flatten = next(i for i, layer in enumerate(body) if isinstance(layer, nn.Flatten))
        return body[:flatten], body[flatten:]
    return nn.Sequential(network.stem, network.stages), network.pool  # type: ignore[return-value, arg-type]


class _CountedBody(nn.Module):
    """The part up to the last maps, which counts as `Counted` does."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        Counted.images += len(images)
        maps: Tensor = self.body(images)
        return maps


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A classifier, the images that it was fitted to, and test sets.

    Attributes:
        network: in evaluation mode, on the device.
        train: labelled ID training images.
        id_test: labelled ID test images.
        ood: OOD test sets by name.
        device: to compute on.
    """

    network: Counted
    train: ImageSet
    id_test: ImageSet
    ood: dict[str, ImageSet]
    device: torch.device

    @classmethod
    def of(cls, name: str, *, n_images: int, n_sets: int, n_train: int, device: torch.device) -> Scene:
        """Return a scene whose classes are noisy patterns; each OOD set has a pattern of its own, fainter each time.

        The network keeps its random weights but for the last layer, which least squares fits to the training images,
        and LeNet's hidden layer is shifted so that no unit is dead: speed depends on none of this, but scores can be
        compared.
        """
        rng = np.random.default_rng(0)
        shape = SHAPES[name]
        patterns = rng.uniform(0, 255, (N_CLASSES + n_sets, *shape))

        def images(kinds: np.ndarray, strength: float, title: str, *, labelled: bool) -> ImageSet:
            pixels = np.empty((len(kinds), *shape), dtype=np.uint8)
            for start in range(0, len(kinds), 1000):
                part = kinds[start : start + 1000]
                noise = rng.integers(0, 256, (len(part), *shape))
                pixels[start : start + 1000] = strength * patterns[part] + (1 - strength) * noise
            labels, names = (kinds, tuple(map(str, range(N_CLASSES)))) if labelled else (None, ())
            return ImageSet(name=title, images=pixels, labels=labels, class_names=names)

        train = images(rng.integers(0, N_CLASSES, n_train), 0.5, "ID train", labelled=True)
        id_test = images(rng.integers(0, N_CLASSES, n_images), 0.5, "ID test", labelled=True)
        ood = {
            f"set {i}": images(np.full(n_images, N_CLASSES + i), 0.5 / (1 + i), f"set {i}", labelled=False)
            for i in range(n_sets)
        }
        torch.manual_seed(0)
        network = registry.network(name)(shape, N_CLASSES).eval()
        _fit_head(network, train)
        counted = Counted(network).to(device).eval()
        return cls(network=counted, train=train, id_test=id_test, ood=ood, device=device)

    def again(self) -> Scene:
        """Return the same with images whose fingerprints have not been computed."""

        def fresh(images: ImageSet) -> ImageSet:
            return ImageSet(
                name=images.name, images=images.images, labels=images.labels, class_names=images.class_names
            )

        return Scene(
            network=self.network,
            train=fresh(self.train),
            id_test=fresh(self.id_test),
            ood={name: fresh(images) for name, images in self.ood.items()},
            device=self.device,
        )


@torch.no_grad()
def _fit_head(network: nn.Module, train: ImageSet, n: int = 1000) -> None:
    assert train.labels is not None  # made with labels
    pixels, labels = torch.tensor(train.images[:n]) / 255, torch.tensor(train.labels[:n])
    if isinstance(body := getattr(network, "body", None), nn.Sequential):
        body[-2].bias -= body[:-1](pixels).mean(dim=0)  # type: ignore[operator]
    features = torch.cat([network.features(part) for part in pixels.split(100)]).double()  # type: ignore[operator]
    wanted = 10 * torch.nn.functional.one_hot(labels, N_CLASSES).double()
    offset = features.mean(dim=0)
    centred = features - offset
    ridge = 1e-2 * centred.square().sum() / centred.shape[1] * torch.eye(centred.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(centred.T @ centred + ridge, centred.T @ (wanted - wanted.mean(dim=0)))
    # The fitted weights of all classes add up to 0, those of a trained head do not.
    weights += 0.1 * weights.std() * torch.randn_like(weights)
    network.head.weight.copy_(weights.T)  # type: ignore[operator, union-attr]
    network.head.bias.copy_(wanted.mean(dim=0) - offset @ weights)  # type: ignore[operator, union-attr]


@dataclass
class Seconds:
    """How long something took.

    Attributes:
        wall: seconds on the clock.
        cpu: seconds of all threads of this process on processors.
        images: that passed through the network.
    """

    wall: float = 0.0
    cpu: float = 0.0
    images: int = 0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu, self.images + other.images)


@contextmanager
def timed(device: torch.device) -> Iterator[Seconds]:
    """Measure a block; the result is filled in when it ends."""
    taken = Seconds()
    images, wall, cpu = Counted.images, time.perf_counter(), time.process_time()
    yield taken
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    taken.wall, taken.cpu = time.perf_counter() - wall, time.process_time() - cpu
    taken.images = Counted.images - images


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let all libraries use this many threads, for a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n):
            yield
    finally:
        torch.set_num_threads(before)


def machine(device: torch.device) -> str:
    """Return a line about where this runs."""
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"torch {torch.__version__} on {device.type}{gpu}, {torch.get_num_threads()} CPU threads of {os.cpu_count()}, "
        f"load {load}"
    )
