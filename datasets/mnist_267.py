"""The benchmark of Figure 1 of the first paper: three digits of MNIST against everything else."""

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.claims import Claim
from oodbench.images import Conversion
from oodbench.training.config import TrainConfig

_PAPER = "Masana et al., BMVC 2018, Section 3.3 and Figure 1"
_NOVELTY = ("digits 5 9 1",)

BENCHMARK = Benchmark(
    name="mnist-267",
    title="MNIST digits 2, 6, 7; other digits as novelty, other images and noise as anomalies",
    source="Masana et al., BMVC 2018, Section 3.3 and Figure 1",
    id_train=Part(dataset="mnist", split="train", classes=("2", "6", "7")),
    id_test=Part(dataset="mnist", split="test", classes=("2", "6", "7")),
    seen={"digits 0 3 4 8": Part(dataset="mnist", split="train", classes=("0", "3", "4", "8"))},
    ood=(
        OodSet(name="digits 0 3 4 8", part=Part(dataset="mnist", classes=("0", "3", "4", "8")), role="seen"),
        OodSet(name="digits 5 9 1", part=Part(dataset="mnist", classes=("5", "9", "1")), role="novelty"),
        OodSet(name="svhn", part=Part(dataset="svhn"), role="anomaly"),
        OodSet(name="cifar10", part=Part(dataset="cifar10"), role="anomaly"),
        OodSet(name="gaussian", part=Part(dataset="gaussian"), role="anomaly"),
    ),
    conversion=Conversion(size=(28, 28), channels=1),
    network="lenet",
    embedding_dim=3,
    recipes={
        "default": Recipe(
            default=TrainConfig(epochs=10, batch_size=256, learning_rate=1e-3, schedule="constant"),
            about="10 epochs; the paper does not say how it trained here",
        ),
        "quick": Recipe(
            default=TrainConfig(epochs=2, batch_size=256, learning_rate=1e-3, schedule="one-cycle", max_images=4000),
            about="2 epochs on 4,000 images, to try things",
        ),
    },
    claims=(
        Claim(text="ODM beats ML on novelty", source=_PAPER, method="odm", other="ml", sets=_NOVELTY),
        Claim(text="ML beats cross-entropy on novelty", source=_PAPER, method="ml", other="msp", sets=_NOVELTY),
        *(
            Claim(
                text=f"{method} tells other kinds of images from digits",
                source=_PAPER,
                kind="at least",
                method=method,
                sets=("svhn", "cifar10"),
                value=0.95,
            )
            for method in ("msp", "ml", "odm")
        ),
    ),
)
