"""Table 1 of the first paper: SVHN against CIFAR-10 and the reverse."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.claims import Claim
from oodbench.images import Conversion
from oodbench.training.config import Augmentation, TrainConfig

_EMBED = {"pairs": "all", "start": "ce"}
"""From the classifier, on every valid pair of a batch: what lets a deep network embed within minutes."""

_MINE = {**_EMBED, "ood_batches": 1.0}
"""The same with OOD images in every batch, since there are few batches."""


@dataclass(frozen=True, kw_only=True)
class _Side:
    """What differs between the two directions.

    Attributes:
        n_train: images of the official training set, that the papers' numbers of steps come from.
        beta: of CC-AG.
        ccag_batch: batch size of CC-AG and of its baseline.
        augment: changes that leave the classes what they are: digits are not flipped.
        fast_epochs: of the classifier, of CC-AG and of the embedding, by what is enough on a GPU.
        fast_batch: as large as the set allows.
        cpu_epochs: the same as `fast_epochs`, by what two cores do in hours.
        cpu_network: of those that were tried, the fastest with the ID accuracy that is aimed at.
        cpu_ccag_start: what CC-AG begins with.
    """

    n_train: int
    beta: float
    ccag_batch: int
    augment: tuple[Augmentation, ...]
    fast_epochs: tuple[int, int, int]
    fast_batch: int
    cpu_epochs: tuple[int, int, int]
    cpu_network: str
    cpu_ccag_start: Literal["scratch", "ce"] = "scratch"


def _paper(side: _Side) -> Recipe:
    """Return the recipe as published, in steps, so that images that are held out here shorten nothing.

    Classifiers are those of Lee et al., ICLR 2018, public code, for CC-AG and for its cross-entropy baseline alike:
    VGG-13 with its initial weights, Adam at 2e-4, 100 epochs, a tenth of the learning rate from epoch 61 on. Embeddings
    are those of Masana et al., BMVC 2018, public code: VGG-13 with its initial weights, the loss without squares that
    the hyper-parameters belong to, Adam at 1e-4 with an L2 penalty of 1e-4, 3000 epochs of a batch for every 512
    images, a tenth of the learning rate from the 152nd epoch on and of that from the 2252nd on.
    Deviations: a tenth of the training images is held out; the partner of an image is drawn from its batch, which has
    1024 training images, and not from the training set; CIFAR-10's pixels are divided by 255, not by 256; an epoch
    leaves out what is left of the last batch.
    """
    of_classifier, of_embedding = -(-side.n_train // side.ccag_batch), side.n_train // 512
    classifier = TrainConfig(
        steps=100 * of_classifier,
        batch_size=side.ccag_batch,
        learning_rate=2e-4,
        schedule="steps",
        milestones=(60 * of_classifier,),
        network="vgg13_ccag",
        precision="float32",
    )
    contrastive = TrainConfig(
        steps=3000 * of_embedding,
        batch_size=1024,
        learning_rate=1e-4,
        schedule="steps",
        milestones=(151 * of_embedding, 2251 * of_embedding),
        weight_decay=1e-4,
        precision="float32",
    )
    return Recipe(
        default=classifier,
        objectives={"contrastive": contrastive},
        methods={"ccag": {"beta": side.beta}, "ml": {"squared": False}, "odm": {"squared": False}},
        about=f"as published: {classifier.length} for classifiers, {contrastive.length} for embeddings",
    )


def _short(
    side: _Side,
    network: str,
    batch_size: int,
    epochs: tuple[int, int, int],
    ccag_start: Literal["scratch", "ce"] = "scratch",
) -> dict[str, TrainConfig]:
    """Return the configurations of classifiers, of CC-AG and of embeddings, by their objectives."""
    rate = 0.4 * batch_size / 512
    classifier = TrainConfig(
        epochs=epochs[0],
        batch_size=batch_size,
        optimizer="sgd",
        learning_rate=rate,
        weight_decay=5e-4,
        schedule="one-cycle",
        augment=side.augment,
        network=network,
    )
    embedding = replace(classifier, epochs=epochs[2], optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2)
    # What is trained already is not thrown far off.
    ccag_rate = rate / 5 if ccag_start == "ce" else rate
    ccag = replace(classifier, epochs=epochs[1], learning_rate=ccag_rate)
    return {"ce": classifier, "ccag": ccag, "contrastive": embedding}


def _recipes(side: _Side) -> Mapping[str, Recipe]:
    fast = _short(side, "resnet9", side.fast_batch, side.fast_epochs)
    cpu = _short(side, side.cpu_network, 128, side.cpu_epochs, side.cpu_ccag_start)
    quick = TrainConfig(
        epochs=5, batch_size=128, learning_rate=1e-3, schedule="one-cycle", network="resnet9_half", max_images=8000
    )
    methods: Mapping[str, Mapping[str, object]] = {"ccag": {"beta": side.beta}, "ml": _EMBED, "odm": _MINE}
    return {
        "paper": _paper(side),
        "fast": Recipe(
            default=fast["ce"],
            objectives=fast,
            methods=methods,
            about="ResNet-9 with augmentation on one cycle, a minute a network on a GPU; embeddings start from it",
        ),
        "cpu": Recipe(
            default=cpu["ce"],
            objectives=cpu,
            methods={**methods, "ccag": {"beta": side.beta, "width": 16, "start": side.cpu_ccag_start}},
            about="the same with a network for processors: hours on two cores for a whole table",
        ),
        "quick": Recipe(
            default=quick,
            objectives={"contrastive": replace(quick, epochs=3)},
            methods={**methods, "ccag": {"beta": side.beta, "width": 16}},
            about="5 epochs on a subset, minutes on 2 CPU cores",
        ),
    }


_PAPER = "Masana et al., BMVC 2018, Section 4.1 and Table 1"
_SEEN_CCAG = "ccag (outliers=seen)"
_NEAR_PERFECT = 0.98
_HARD = 0.75
"""Mean AUROCs that stand for the paper's words; its own numbers are 98.7 or more, and 66.2 or less."""

_ACCURACY = Claim(
    text="metric learning has the lower ID accuracy", source=_PAPER, kind="lower accuracy", method="odm", other="msp"
)

_SVHN_CLAIMS = (
    *(
        Claim(
            text=f"with SVHN as in-distribution, {method} is near perfect",
            source=_PAPER,
            kind="at least",
            method=method,
            value=_NEAR_PERFECT,
        )
        for method in ("odm", _SEEN_CCAG)
    ),
    *(
        Claim(text=f"ODM beats {words}", source=_PAPER, method="odm", other=other)
        for other, words in (("msp", "cross-entropy"), ("odin", "ODIN"))
    ),
    _ACCURACY,
)

_CIFAR10_CLAIMS = (
    *(
        Claim(
            text=f"the seen SVHN is near perfect for {method}",
            source=_PAPER,
            kind="at least",
            method=method,
            sets=("svhn",),
            value=_NEAR_PERFECT,
        )
        for method in ("odm", _SEEN_CCAG)
    ),
    *(
        Claim(
            text=f"unseen images are hard for {method}",
            source=_PAPER,
            kind="at most",
            method=method,
            sets=("tiny_imagenet",),
            value=_HARD,
        )
        for method in ("msp", _SEEN_CCAG, "odm")
    ),
    _ACCURACY,
)


def _benchmark(name: str, other: str, side: _Side, claims: tuple[Claim, ...]) -> Benchmark:
    return Benchmark(
        name=name,
        title=f"{name} against {other} (seen), Tiny ImageNet, LSUN and noise",
        source="Masana et al., BMVC 2018, Section 4.1 and Table 1",
        id_train=Part(dataset=name, split="train"),
        id_test=Part(dataset=name),
        seen={other: Part(dataset=other, split="train")},
        ood=(
            OodSet(name=other, part=Part(dataset=other), role="seen"),
            OodSet(name="tiny_imagenet", part=Part(dataset="tiny_imagenet"), role="anomaly"),
            OodSet(name="lsun", part=Part(dataset="lsun"), role="anomaly"),
            OodSet(name="gaussian", part=Part(dataset="gaussian"), role="anomaly"),
        ),
        conversion=Conversion(size=(32, 32), channels=3),
        network="vgg13",
        embedding_dim=10,
        recipes=_recipes(side),
        recipe="fast",
        full_recipe="paper",
        layout="table1",
        claims=claims,
    )


SVHN_BENCHMARK = _benchmark(
    "svhn",
    "cifar10",
    _Side(
        n_train=73_257,
        beta=1.0,
        ccag_batch=128,
        augment=("crop", "randaugment"),
        fast_epochs=(60, 40, 20),
        fast_batch=128,
        cpu_epochs=(60, 40, 20),
        cpu_network="airbench",
    ),
    _SVHN_CLAIMS,
)
CIFAR10_BENCHMARK = _benchmark(
    "cifar10",
    "svhn",
    _Side(
        n_train=50_000,
        beta=0.1,
        ccag_batch=64,
        augment=("crop", "flip"),
        fast_epochs=(16, 12, 8),
        fast_batch=512,
        cpu_epochs=(18, 2, 3),
        cpu_network="airbench_wide",
        cpu_ccag_start="ce",
    ),
    _CIFAR10_CLAIMS,
)
