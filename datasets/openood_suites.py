"""The open-set protocols of OpenOOD: some classes of a data set known, the others unknown, in five fixed splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.images import Conversion
from oodbench.suite import Suite

from .openood_benchmarks import FAST, OPENOOD, SOURCE

SEEDS = (1, 2, 3, 4, 5)
"""Of the splits; a list is there for each."""


def _suite(
    title: str,
    *,
    known: str,
    listed: str,
    unknown: tuple[str, str],
    side: int,
    network: str,
    fast: Mapping[str, object],
) -> Suite:
    """Return the five splits of a data set.

    Args:
        title: of the data set and how its classes are divided.
        known: of the folder of lists and of the members, such as "mnist6".
        listed: the known classes in the names of lists, such as "mnist_6".
        unknown: the unknown ones in results, and in the names of lists.
        side: of the images, in pixels.
        network: OpenOOD's.
        fast: what its short training has otherwise than that of CIFAR.
    """
    return Suite(
        name=f"openood-osr-{known}",
        title=f"OpenOOD v1.5, open-set recognition: {title}, {len(SEEDS)} splits",
        source=SOURCE,
        members=tuple(
            _split(title, seed, known=known, listed=listed, unknown=unknown, side=side, network=network, fast=fast)
            for seed in SEEDS
        ),
    )


def _split(
    title: str,
    seed: int,
    *,
    known: str,
    listed: str,
    unknown: tuple[str, str],
    side: int,
    network: str,
    fast: Mapping[str, object],
) -> Benchmark:
    def part(name: str, split: Literal["train", "test"] = "test", **settings: object) -> Part:
        settings = {"benchmark": f"osr_{known}", "name": f"{name}_seed{seed}", "folders": True, **settings}
        return Part(dataset="openood_list", split=split, settings={**settings, "shorter": side})

    name, others = unknown
    short = replace(FAST, **fast)  # type: ignore[arg-type]  # fields of a training configuration
    return Benchmark(
        name=f"openood-osr-{known}-seed{seed}",
        title=f"OpenOOD v1.5, {title}, split {seed}",
        source=SOURCE,
        id_train=part(listed, "train"),
        id_test=part(f"{listed}_id"),
        id_validation=part(listed, part="val"),
        validation_share=0.0,
        ood=(OodSet(name=name, part=part(f"{others}_ood"), role="novelty", optional=False),),
        # As OpenOOD, which makes grey images RGB.
        conversion=Conversion(size=(side, side), channels=3),
        network=network,
        embedding_dim=32,
        recipes={
            "paper": Recipe(default=OPENOOD, about="OpenOOD's baseline: 100 epochs of SGD"),
            "fast": Recipe(default=short, about="one cycle of few epochs"),
            "quick": Recipe(default=replace(short, epochs=2, max_images=4000), about="2 epochs on a subset"),
        },
        recipe="fast",
        full_recipe="paper",
        layout="suite",
    )


MNIST_6 = _suite(
    "MNIST, 6 of 10 digits known",
    known="mnist6",
    listed="mnist_6",
    unknown=("mnist4", "mnist_4"),
    side=28,
    network="lenet",
    fast={"network": None, "epochs": 5, "learning_rate": 0.1, "augment": ()},
)
"""With this project's LeNet, which is wider than OpenOOD's: its checkpoints do not load."""
CIFAR_6 = _suite(
    "CIFAR-10, 6 of 10 classes known",
    known="cifar6",
    listed="cifar10_6",
    unknown=("cifar4", "cifar10_4"),
    side=32,
    network="resnet18_32x32",
    fast={},
)
CIFAR_50 = _suite(
    "CIFAR-100, 50 of 100 classes known",
    known="cifar50",
    listed="cifar100_50",
    unknown=("cifar50", "cifar100_50"),
    side=32,
    network="resnet18_32x32",
    fast={"epochs": 30},
)
TIN_20 = _suite(
    "Tiny ImageNet, 20 of 200 classes known",
    known="tin20",
    listed="tin_20",
    unknown=("tin180", "tin_180"),
    side=64,
    network="resnet18_32x32",
    fast={"epochs": 50},
)
"""OpenOOD's ResNet18_64x64 is its network for 32×32, whose last map is then 8×8 instead of 4×4."""
