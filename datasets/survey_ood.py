"""The OOD benchmarks of a survey: its Tables 3, 4 and 6, on CIFAR-10, CIFAR-100 and Tiny ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.images import Conversion
from oodbench.training.config import TrainConfig

_SOURCE = "Salehi et al., TMLR 2022, §9.1 and Tables 3, 4 and 6; Hendrycks et al., ICLR 2019, and its public code"

_PALE: Mapping[str, object] = {"low": 0.22, "high": 0.72}
"""Noise in [−1, 1] of images normalised by CIFAR's mean (0.47) and deviation (0.25), both over all channels."""

_NOISE = (
    OodSet(name="gaussian", part=Part(dataset="gaussian", settings={**_PALE, "deviation": 0.25}), role="anomaly"),
    OodSet(name="rademacher", part=Part(dataset="rademacher", settings=_PALE), role="anomaly"),
    OodSet(name="blob", part=Part(dataset="blob", settings=_PALE), role="anomaly"),
)
"""As Outlier Exposure's public code makes them, whose numbers the survey prints for MSP, MLV and both with OE."""

_SCENES = (
    OodSet(name="lsun(crop)", part=Part(dataset="lsun_crop"), role="anomaly"),
    OodSet(name="lsun(resize)", part=Part(dataset="lsun"), role="anomaly"),
    OodSet(name="isun", part=Part(dataset="isun"), role="anomaly"),
    OodSet(name="svhn", part=Part(dataset="svhn"), role="anomaly"),
)

_TINY = (
    OodSet(
        name="tinyimagenet(crop)", part=Part(dataset="tiny_imagenet_apart", settings={"crop": True}), role="anomaly"
    ),
    OodSet(name="tinyimagenet(resize)", part=Part(dataset="tiny_imagenet_apart"), role="seen"),
)

_METHODS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "outlier_exposure": ({}, {"score": "max_logit"}),
    "ensemble": ({"members": 3},),
}
"""What the survey's rows are: MSP-OE and MLV-OE, and an ensemble of 3."""

_PAPER = TrainConfig(
    epochs=100,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=5e-4,
    schedule="cosine",
    augment=("crop", "flip"),
    network="wrn_40_2",
    precision="float32",
)
"""The training of Outlier Exposure's public code; the survey does not say its own."""


def _recipes(fast_epochs: int, cpu_epochs: int, cpu_network: str) -> Mapping[str, Recipe]:
    fast = TrainConfig(
        epochs=fast_epochs,
        batch_size=512,
        optimizer="sgd",
        learning_rate=0.4,
        weight_decay=5e-4,
        schedule="one-cycle",
        augment=("crop", "flip"),
        network="resnet9",
    )
    cpu = replace(fast, epochs=cpu_epochs, batch_size=128, learning_rate=0.1, network=cpu_network)
    quick = replace(cpu, epochs=5, max_images=8000, network="airbench")
    return {
        "paper": Recipe(default=_PAPER, about="as Outlier Exposure trains: 100 epochs of WRN-40-2"),
        "fast": Recipe(default=fast, about="ResNet-9 on one cycle, a minute a network on a GPU"),
        "cpu": Recipe(default=cpu, about="the same with a network for processors"),
        "quick": Recipe(default=quick, about="5 epochs on a subset, minutes on 2 CPU cores"),
    }


def _cifar(n_classes: int, other: OodSet, layout: str, recipes: Mapping[str, Recipe]) -> Benchmark:
    own = f"cifar{n_classes}"
    return Benchmark(
        name=f"survey-{own}",
        title=f"CIFAR-{n_classes} against noise, Tiny ImageNet, scenes, SVHN and {other.name}; outliers: Tiny ImageNet",
        source=_SOURCE,
        id_train=Part(dataset=own, split="train"),
        id_test=Part(dataset=own),
        # The survey's outliers were 80 Million Tiny Images.
        seen={"tinyimagenet(resize)": Part(dataset="tiny_imagenet_apart", split="train")},
        optional_seen=True,
        ood=(*_NOISE, *_TINY, *_SCENES, other),
        conversion=Conversion(size=(32, 32), channels=3),
        network="wrn_40_2",
        variants=_METHODS,
        recipes=recipes,
        recipe="fast",
        full_recipe="paper",
        layout=layout,
    )


CIFAR10 = _cifar(
    10,
    OodSet(name="cifar-100", part=Part(dataset="cifar100"), role="novelty"),
    "survey3",
    _recipes(16, 18, "airbench_wide"),
)
CIFAR100 = _cifar(
    100, OodSet(name="cifar-10", part=Part(dataset="cifar10"), role="novelty"), "survey4", _recipes(30, 40, "airbench")
)
TINY_IMAGENET = Benchmark(
    name="survey-tiny-imagenet",
    title="Tiny ImageNet against noise, scenes and SVHN; no outliers to train on",
    source=_SOURCE,
    id_train=Part(dataset="tiny_imagenet_200", split="train"),
    id_test=Part(dataset="tiny_imagenet_200"),
    ood=(*_NOISE, *_SCENES),
    conversion=Conversion(size=(64, 64), channels=3),
    network="wrn_40_2",
    variants=_METHODS,
    recipes=_recipes(30, 40, "airbench"),
    recipe="fast",
    full_recipe="paper",
    layout="survey6",
)
