"""The benchmarks of OpenOOD v1.5: near and far OOD sets, covariate-shifted ID sets, and validation OOD images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe, Role
from oodbench.images import Conversion
from oodbench.training.config import TrainConfig

_ROLES: Mapping[Literal["near", "far"], Role] = {"near": "novelty", "far": "anomaly"}
"""OpenOOD's words and ours."""

SOURCE = "Zhang et al., OpenOOD v1.5, 2023, and the lists of its public code"

OPENOOD = TrainConfig(
    epochs=100,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=5e-4,
    schedule="cosine",
    augment=("crop", "flip"),
    precision="float32",
)
"""Its baseline: SGD with Nesterov's momentum on half a cosine."""

FAST = TrainConfig(
    epochs=16,
    batch_size=512,
    optimizer="sgd",
    learning_rate=0.4,
    weight_decay=5e-4,
    schedule="one-cycle",
    augment=("crop", "flip"),
    network="resnet9",
)


def _list(benchmark: str, name: str, split: Literal["train", "test"] = "test", **settings: object) -> Part:
    return Part(dataset="openood_list", split=split, settings={"benchmark": benchmark, "name": name, **settings})


def _cifar(n_classes: int, other: str) -> Benchmark:
    own = f"cifar{n_classes}"

    def part(name: str, split: Literal["train", "test"] = "test", of: str = "") -> Part:
        return _list(own, name, split, shorter=32, **({"part": of} if of else {}))

    sets: Mapping[Literal["near", "far"], tuple[str, ...]] = {
        "near": (other, "tin"),
        "far": ("mnist", "svhn", "texture", "places365"),
    }
    # Corrupted test images, CIFAR-10-C and -100-C, as its evaluation and configuration name them. CINIC-10, which its
    # configuration of full-spectrum CIFAR-10 has in their place, is not read.
    shifted = OodSet(name=f"{own}c", part=part(f"{own}c"), role="covariate")
    fast = replace(FAST, epochs=16 if n_classes == 10 else 30)
    network, epochs = ("airbench_wide", 18) if n_classes == 10 else ("airbench", 40)
    cpu = replace(fast, epochs=epochs, batch_size=128, learning_rate=0.1, network=network)
    quick = replace(cpu, epochs=5, max_images=8000, network="airbench")
    return Benchmark(
        name=f"openood-{own}",
        title=f"OpenOOD v1.5, CIFAR-{n_classes}: near {other}, tin; far mnist, svhn, texture, places365",
        source=SOURCE,
        id_train=part("", "train"),
        id_test=part(""),
        id_validation=part("", of="val"),
        validation_share=0.0,
        ood_validation={"tin": part("tin", of="val")},
        ood=(
            *(OodSet(name=name, part=part(name), role=_ROLES[word]) for word, names in sets.items() for name in names),
            shifted,
        ),
        conversion=Conversion(size=(32, 32), channels=3),
        network="resnet18_32x32",
        embedding_dim=32,
        recipes={
            "paper": Recipe(default=OPENOOD, about="OpenOOD's baseline: 100 epochs of ResNet-18"),
            "fast": Recipe(default=fast, about="ResNet-9 on one cycle, a minute a network on a GPU"),
            "cpu": Recipe(default=cpu, about="the same with a network for processors"),
            "quick": Recipe(default=quick, about="5 epochs on a subset, minutes on 2 CPU cores"),
        },
        recipe="fast",
        full_recipe="paper",
        layout="openood",
    )


_NEAR_FAR: Mapping[Literal["near", "far"], tuple[str, ...]] = {
    "near": ("ssb_hard", "ninco"),
    "far": ("inaturalist", "textures", "openimage_o"),
}


def _imagenet(name: str, title: str, shifted: Mapping[str, str], *, network: str, batch_size: int) -> Benchmark:
    """Return one of the two ImageNet benchmarks.

    Args:
        name: of its folder of lists.
        title: one line for listings.
        shifted: list of each covariate-shifted ID set, by its name.
        network: OpenOOD's for it.
        batch_size: OpenOOD's.
    """

    def part(listed: str, split: Literal["train", "test"] = "test", **settings: object) -> Part:
        images = "classic" if listed == "textures" else "largescale"
        # Those of ImageNet-C have 224 pixels already, and OpenOOD leaves them as they are.
        shorter = 0 if listed.endswith("_c") else 256
        return _list(name, listed, split, images=images, shorter=shorter, **settings)

    paper = replace(OPENOOD, epochs=90, batch_size=batch_size, weight_decay=1e-4, augment=("flip",), precision="auto")
    return Benchmark(
        name=f"openood-{name}",
        title=title,
        source=SOURCE,
        id_train=part("", "train"),
        id_test=part(""),
        id_validation=part("", part="val"),
        validation_share=0.0,
        ood_validation={"openimage_o": part("openimage_o", part="val")},
        ood=(
            *(
                OodSet(name=listed, part=part(listed), role=_ROLES[word])
                for word, names in _NEAR_FAR.items()
                for listed in names
            ),
            *(OodSet(name=own, part=part(listed), role="covariate") for own, listed in shifted.items()),
        ),
        conversion=Conversion(size=(224, 224), channels=3),
        network=network,
        embedding_dim=128,
        recipes={
            "paper": Recipe(default=paper, about="90 epochs of SGD"),
            "quick": Recipe(default=replace(paper, epochs=1, max_images=2000), about="1 epoch on 2,000 images"),
        },
        recipe="paper",
        full_recipe="paper",
        layout="openood",
    )


CIFAR10 = _cifar(10, "cifar100")
CIFAR100 = _cifar(100, "cifar10")
IMAGENET200 = _imagenet(
    "imagenet200",
    "OpenOOD v1.5, ImageNet-200: near ssb_hard, ninco; far inaturalist, textures, openimage_o; shifted v2, c, r",
    {f"imagenet_{shift}": f"imagenet200_{shift}" for shift in ("v2", "c", "r")},
    network="resnet18_224x224",
    batch_size=256,
)
IMAGENET = _imagenet(
    "imagenet",
    "OpenOOD v1.5, ImageNet-1K: near ssb_hard, ninco; far inaturalist, textures, openimage_o; shifted v2, c, r, es",
    {f"imagenet_{shift}": f"imagenet_{shift}" for shift in ("v2", "c", "r", "es")},
    network="resnet50",
    batch_size=256,
)
"""Both have more training images than a memory holds; a classifier that is given is what OpenOOD scores."""
