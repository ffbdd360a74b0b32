"""The embedded benchmark: the split of Figure 1 of the first paper on scikit-learn's digits."""

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.claims import Claim
from oodbench.images import Conversion
from oodbench.training.config import TrainConfig

_PAPER = "Masana et al., BMVC 2018, Section 3.3 and Figure 1"
_NOVELTY = ("digits 5 9 1",)

BENCHMARK = Benchmark(
    name="digits",
    title="scikit-learn digits 2, 6, 7; other digits as novelty, photo patches and noise as anomalies",
    source="the split of Masana et al., BMVC 2018, Figure 1, on embedded data",
    id_train=Part(dataset="digits", split="train", classes=("2", "6", "7")),
    id_test=Part(dataset="digits", split="test", classes=("2", "6", "7")),
    seen={"digits 0 3 4 8": Part(dataset="digits", split="train", classes=("0", "3", "4", "8"))},
    ood=(
        OodSet(name="digits 0 3 4 8", part=Part(dataset="digits", classes=("0", "3", "4", "8")), role="seen"),
        OodSet(name="digits 5 9 1", part=Part(dataset="digits", classes=("5", "9", "1")), role="novelty"),
        OodSet(name="photo patches", part=Part(dataset="photo_patches"), role="anomaly"),
        OodSet(name="gaussian", part=Part(dataset="gaussian", settings={"count": 1000}), role="anomaly"),
    ),
    conversion=Conversion(size=(8, 8), channels=1),
    network="tinynet",
    embedding_dim=3,
    recipes={
        "default": Recipe(
            default=TrainConfig(epochs=100, batch_size=64, learning_rate=3e-3, schedule="one-cycle"),
            # A generator as wide as the paper's would take longer than everything else together.
            methods={"ccag": {"width": 8}},
            objectives={"ccag": TrainConfig(epochs=50, batch_size=64, learning_rate=3e-3, schedule="one-cycle")},
            about="100 epochs of 5 steps each; 50 with a generator",
        ),
    },
    embedded=True,
    claims=(
        Claim(text="ODM beats ML on novelty", source=_PAPER, method="odm", other="ml", sets=_NOVELTY),
        Claim(text="ML beats cross-entropy on novelty", source=_PAPER, method="ml", other="msp", sets=_NOVELTY),
        *(
            Claim(
                text=f"{method} tells other kinds of images from digits",
                source=_PAPER,
                kind="at least",
                method=method,
                sets=("photo patches",),
                value=0.95,
            )
            for method in ("msp", "ml", "odm")
        ),
    ),
)
