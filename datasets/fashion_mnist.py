"""Fashion-MNIST against MNIST, and the reverse: where likelihoods are higher for images never trained on."""

from __future__ import annotations

from dataclasses import replace

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.images import Conversion
from oodbench.training.config import TrainConfig

_SOURCE = "Nalisnick et al., ICLR 2019, Section 3, Figure 2"

_ADAM = TrainConfig(epochs=20, batch_size=128, learning_rate=1e-3, schedule="one-cycle")

_RECIPES = {
    "default": Recipe(default=_ADAM, about="20 epochs, on a processor; the papers train Glow and PixelCNN++ for days"),
    "quick": Recipe(default=replace(_ADAM, epochs=3, max_images=4000), about="3 epochs on 4,000 images, to try things"),
}


def _anomaly(name: str) -> OodSet:
    return OodSet(name=name, part=Part(dataset=name), role="anomaly")


FASHION_MNIST = Benchmark(
    name="fashion-mnist",
    title="Fashion-MNIST against MNIST, letters and noise",
    source=_SOURCE,
    id_train=Part(dataset="fashion_mnist", split="train"),
    id_test=Part(dataset="fashion_mnist"),
    ood=(_anomaly("mnist"), _anomaly("omniglot"), _anomaly("gaussian"), _anomaly("uniform")),
    conversion=Conversion(size=(28, 28), channels=1),
    network="lenet",
    recipes=_RECIPES,
)

MNIST = replace(
    FASHION_MNIST,
    name="mnist-fashion",
    title="MNIST against Fashion-MNIST, letters and noise",
    id_train=Part(dataset="mnist", split="train"),
    id_test=Part(dataset="mnist"),
    ood=(_anomaly("fashion_mnist"), _anomaly("omniglot"), _anomaly("gaussian"), _anomaly("uniform")),
)
