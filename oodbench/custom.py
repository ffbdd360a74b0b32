"""Benchmarks of a user's own images: made on the spot, from a folder or from the classes of any labelled set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from . import registry
from .benchmark import Benchmark, OodSet, Part, Recipe
from .errors import ConfigError
from .images import Conversion
from .splits import SplitRule, parse_split
from .training.config import TrainConfig

TEST_SHARE = 0.2
"""Of the images of a folder that is not divided into train/ and test/."""

_EMBED = {"pairs": "all", "warm_start": 0.6}

RECIPES: Mapping[str, Recipe] = {
    "default": Recipe(
        default=TrainConfig(epochs=20, batch_size=128, learning_rate=1e-3, schedule="one-cycle"),
        methods={"ml": _EMBED, "odm": {**_EMBED, "ood_batches": 1.0}},
        about="20 epochs; embeddings start from a classifier",
    ),
    "quick": Recipe(
        default=TrainConfig(epochs=3, batch_size=128, learning_rate=1e-3, schedule="one-cycle", max_images=5000),
        methods={"ml": _EMBED, "odm": {**_EMBED, "ood_batches": 1.0}, "ccag": {"width": 16}},
        about="3 epochs on at most 5,000 images, to try things",
    ),
}


def is_path(text: str) -> bool:
    """Return whether a name means a folder or a ZIP of images, rather than something registered."""
    return "/" in text or "\\" in text or text.startswith((".", "~")) or Path(text).suffix.lower() == ".zip"


def place(text: str) -> tuple[str, str]:
    """Return the name and the data set of what a user calls a set: a registered one, or a path of images.

    >>> place("svhn")
    ('svhn', 'svhn')
    """
    if not is_path(text):
        return text, text
    path = Path(text).expanduser().absolute()
    return path.name.removesuffix(".zip"), str(path).removesuffix(".zip")


def conversion_of(image_size: str | None, channels: int | None) -> Conversion:
    """Return what a user wants images brought to.

    Args:
        image_size: "64", "48x64" (height, width), or None for 32×32.
        channels: 1, 3 or None for 3.

    Raises:
        ConfigError: neither a number nor two.
    """
    sides = (image_size or "32").lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ConfigError(
            f"--image-size must be a number such as 64, or HEIGHTxWIDTH such as 48x64, got {image_size!r}"
        )
    if channels not in (None, 1, 3):
        raise ConfigError(f"--channels must be 1 (grey) or 3 (RGB), got {channels}")
    return Conversion(size=(int(sides[0]), int(sides[-1])), channels=1 if channels == 1 else 3)


def with_split(benchmark: Benchmark, text: str, seed: int | None) -> Benchmark:
    """Return a benchmark that divides its classes anew, under a name of its own."""
    assert benchmark.split is not None
    rule = parse_split(text, benchmark.split, seed=seed)
    return replace(benchmark, name=f"{benchmark.name}-{_tag(rule, text)}", split=rule)


def split_benchmark(name: str, text: str, seed: int | None, conversion: Conversion) -> Benchmark:
    """Return a benchmark of the classes of one labelled data set: some are known, others are not.

    Args:
        name: of a data set, or the path of a folder or ZIP of images in class folders.
        text: the split, see `oodbench.splits.parse_split`.
        seed: of a random split, or None for 0.
        conversion: what images are brought to.
    """
    label, dataset = place(name)
    settings = _settings(dataset)
    rule = parse_split(text, SplitRule(dataset=label), seed=seed)

    def part(share: str, split: str) -> Part:
        return Part(dataset=dataset, split=split, share=share, settings=settings)  # type: ignore[arg-type]

    return Benchmark(
        name=f"{label}-{_tag(rule, text)}",
        title=f"classes of {label}, some of them unknown to the classifier",
        source="the protocol of Masana et al., BMVC 2018, Section 4.2",
        id_train=part("id", "train"),
        id_test=part("id", "test"),
        seen={"seen classes": part("seen", "train")},
        ood=(
            OodSet(name="seen classes", part=part("seen", "test"), role="seen"),
            OodSet(name="unseen classes", part=part("unseen", "test"), role="novelty"),
            OodSet(name="gaussian", part=Part(dataset="gaussian", settings={"count": 2000}), role="anomaly"),
        ),
        conversion=conversion,
        network="resnet18",
        embedding_dim=32,
        recipes=RECIPES,
        split=rule,
    )


def folder_benchmark(name: str, conversion: Conversion) -> Benchmark:
    """Return a benchmark with all classes of a labelled folder or ZIP as in-distribution, and noise as OOD set."""
    label, dataset = place(name)
    settings = _settings(dataset)
    return Benchmark(
        name=label,
        title=f"the classes of {label}",
        source="your images",
        id_train=Part(dataset=dataset, split="train", settings=settings),
        id_test=Part(dataset=dataset, settings=settings),
        ood=(OodSet(name="gaussian", part=Part(dataset="gaussian", settings={"count": 2000}), role="anomaly"),),
        conversion=conversion,
        network="resnet18",
        embedding_dim=32,
        recipes=RECIPES,
    )


def _settings(dataset: str) -> dict[str, object]:
    """Let a folder without train/ and test/ be divided; registered data sets have splits of their own."""
    return {} if dataset in registry.names("datasets") else {"test_share": TEST_SHARE}


def _tag(rule: SplitRule, text: str) -> str:
    """Name a split, for results that must not be taken for those of another one."""
    if rule.given is not None:
        return Path(text).stem
    return f"{rule.described.replace('/', '-')}-seed{rule.seed}"
