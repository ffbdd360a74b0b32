"""Table 1 of the first paper: SVHN against CIFAR-10 and the reverse, on VGG-13."""

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.claims import Claim
from oodbench.images import Conversion
from oodbench.training.config import TrainConfig

_PAPER_CONTRASTIVE = TrainConfig(
    epochs=6000,
    batch_size=1024,
    learning_rate=1e-4,
    schedule="steps",
    milestones=(300, 4500),
    weight_decay=1e-4,
    precision="float32",
)
"""Masana et al., BMVC 2018, public code. Its 3000 epochs have a batch for every 512 ID images, each of which gets a
drawn partner; ours pass every image once, so that twice as many have as many steps."""

_EMBED_FAST = {"pairs": "all", "warm_start": 0.6}
"""From a classifier, on every valid pair of a batch: what lets a VGG embed within minutes."""

_MINE_FAST = {**_EMBED_FAST, "ood_batches": 1.0}
"""The same with OOD images in every batch, since there are few batches."""


def _recipes(*, ccag_beta: float, ccag_batch: int, quick_images: int) -> dict[str, Recipe]:
    # Lee et al., ICLR 2018, public code, for their classifier and for its cross-entropy baseline alike.
    paper_classifier = TrainConfig(
        epochs=100,
        batch_size=ccag_batch,
        learning_rate=2e-4,
        schedule="steps",
        milestones=(60,),
        network="vgg13_ccag",
        precision="float32",
    )
    fast = TrainConfig(epochs=30, batch_size=128, learning_rate=1e-3, schedule="one-cycle", network="vgg13_bn")
    quick = TrainConfig(
        epochs=5,
        batch_size=128,
        learning_rate=1e-3,
        schedule="one-cycle",
        network="vgg13_bn",
        max_images=quick_images,
        precision="bfloat16",
    )
    return {
        "paper": Recipe(
            default=paper_classifier,
            objectives={"contrastive": _PAPER_CONTRASTIVE},
            methods={"ccag": {"beta": ccag_beta}},
            about="as published: 100 epochs for classifiers, 3000 for embeddings (6000 as counted here)",
        ),
        "fast": Recipe(
            default=fast,
            methods={"ccag": {"beta": ccag_beta}, "ml": _EMBED_FAST, "odm": _MINE_FAST},
            about="30 epochs with batch normalisation; embeddings start from a classifier",
        ),
        "quick": Recipe(
            default=quick,
            methods={"ccag": {"beta": ccag_beta, "width": 16}, "ml": _EMBED_FAST, "odm": _MINE_FAST},
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


def _benchmark(name: str, other: str, recipes: dict[str, Recipe], claims: tuple[Claim, ...]) -> Benchmark:
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
        recipes=recipes,
        recipe="fast",
        full_recipe="paper",
        layout="table1",
        claims=claims,
    )


_SVHN = _recipes(ccag_beta=1.0, ccag_batch=128, quick_images=8000)
_CIFAR10 = _recipes(ccag_beta=0.1, ccag_batch=64, quick_images=8000)

SVHN_BENCHMARK = _benchmark("svhn", "cifar10", _SVHN, _SVHN_CLAIMS)
CIFAR10_BENCHMARK = _benchmark("cifar10", "svhn", _CIFAR10, _CIFAR10_CLAIMS)
