"""Benchmarks of a user's own images: made on the spot, from a folder or from the classes of any labelled set."""

from __future__ import annotations

from collections.abc import Mapping

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.images import Conversion
from oodbench.splits import Share, SplitRule
from oodbench.training.config import TrainConfig

_EMBED = {"pairs": "all", "start": "ce"}
_MINE = {**_EMBED, "ood_batches": 1.0}

RECIPES: Mapping[str, Recipe] = {
    "default": Recipe(
        default=TrainConfig(epochs=20, batch_size=128, learning_rate=1e-3, schedule="one-cycle"),
        objectives={
            "contrastive": TrainConfig(epochs=10, batch_size=128, learning_rate=1e-3, schedule="one-cycle"),
        },
        methods={"ml": _EMBED, "odm": _MINE},
        about="20 epochs; embeddings start from that classifier and take 10 more",
    ),
    "quick": Recipe(
        default=TrainConfig(epochs=3, batch_size=128, learning_rate=1e-3, schedule="one-cycle", max_images=5000),
        methods={"ml": _EMBED, "odm": _MINE, "ccag": {"width": 16}},
        about="3 epochs on at most 5,000 images, to try things",
    ),
}

_NOISE = OodSet(name="gaussian", part=Part(dataset="gaussian", settings={"count": 2000}), role="anomaly")


def of_all_classes(name: str, images: Mapping[str, object], conversion: Conversion) -> Benchmark:
    """Return a benchmark with all classes of a labelled set as in-distribution, and noise as the OOD set.

    Args:
        name: of the benchmark.
        images: `dataset` and perhaps `settings` of its parts.
        conversion: what images are brought to.
    """
    return Benchmark(
        name=name,
        title=f"the classes of {name}",
        source="your images",
        id_train=Part(split="train", **images),  # type: ignore[arg-type]
        id_test=Part(**images),  # type: ignore[arg-type]
        ood=(_NOISE,),
        conversion=conversion,
        network="resnet18",
        embedding_dim=32,
        recipes=RECIPES,
    )


def of_some_classes(name: str, images: Mapping[str, object], conversion: Conversion, split: SplitRule) -> Benchmark:
    """Return a benchmark of the classes of one labelled set: some are known, others are not.

    Args:
        name: of the benchmark.
        images: `dataset` and perhaps `settings` of its parts.
        conversion: what images are brought to.
        split: how the classes are divided.
    """

    def train(share: Share) -> Part:
        return Part(split="train", share=share, **images)  # type: ignore[arg-type]

    def test(share: Share) -> Part:
        return Part(share=share, **images)  # type: ignore[arg-type]

    return Benchmark(
        name=name,
        title=f"classes of {split.dataset}, some of them unknown to the classifier",
        source="the protocol of Masana et al., BMVC 2018, Section 4.2",
        id_train=train("id"),
        id_test=test("id"),
        seen={"seen classes": train("seen")},
        ood=(
            OodSet(name="seen classes", part=test("seen"), role="seen"),
            OodSet(name="unseen classes", part=test("unseen"), role="novelty"),
            _NOISE,
        ),
        conversion=conversion,
        network="resnet18",
        embedding_dim=32,
        recipes=RECIPES,
        split=split,
    )
