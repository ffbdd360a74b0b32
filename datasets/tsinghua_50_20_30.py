"""The benchmark of Table 2 of the first paper: traffic signs that a classifier knows, and others."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.claims import Claim
from oodbench.images import Conversion
from oodbench.splits import SplitRule, read_split
from oodbench.training.config import TrainConfig

GROUPS = Path(__file__).with_name("tsinghua_groups.toml")
"""Which signs are too similar to be told apart as known and unknown, and which classes are left out."""

_EMBED = {"pairs": "all", "start": "ce"}
_MINE = {**_EMBED, "ood_batches": 1.0}


def _short(network: str, steps: int, steps_of_embedding: int) -> Mapping[str, TrainConfig]:
    """Return the configurations of classifiers and of embeddings, by their objectives; signs are not flipped."""
    classifier = TrainConfig(
        steps=steps,
        batch_size=128,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        schedule="one-cycle",
        augment=("crop", "jitter"),
        network=network,
    )
    embedding = replace(classifier, steps=steps_of_embedding, optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2)
    return {"ce": classifier, "ccag": classifier, "contrastive": embedding}


_FAST, _CPU = _short("resnet9", 2500, 1500), _short("airbench", 1200, 600)
_QUICK = TrainConfig(steps=240, batch_size=128, learning_rate=1e-3, schedule="one-cycle", network="resnet9_half")

_BACKGROUND = ("background",)

_PAPER = "Masana et al., BMVC 2018, Section 4.2 and Table 2"
_SEEN_BACKGROUND = "odm (seen=background)"

BENCHMARK = Benchmark(
    name="tsinghua",
    title="traffic signs of half of all kinds; other signs, background and noise",
    source="Masana et al., BMVC 2018, Section 4.2, Figure 2 and Table 2",
    id_train=Part(dataset="tsinghua", split="train", share="id"),
    id_test=Part(dataset="tsinghua", share="id"),
    seen={
        "seen signs": Part(dataset="tsinghua", split="train", share="seen"),
        "background": Part(dataset="tsinghua", split="train", classes=_BACKGROUND),
        "gaussian": Part(dataset="gaussian", split="train"),
    },
    ood=(
        OodSet(name="unseen signs", part=Part(dataset="tsinghua", share="unseen"), role="novelty"),
        OodSet(name="background", part=Part(dataset="tsinghua", classes=_BACKGROUND), role="anomaly"),
        OodSet(name="gaussian", part=Part(dataset="gaussian"), role="anomaly"),
        OodSet(name="seen signs", part=Part(dataset="tsinghua", share="seen"), role="seen"),
    ),
    conversion=Conversion(size=(32, 32), channels=3),
    network="wrn_28_10",
    embedding_dim=32,
    split=read_split(GROUPS, SplitRule(dataset="tsinghua")),
    variants={"odm": ({}, {"seen": "background"}, {"seen": "gaussian"})},
    recipes={
        "paper": Recipe(
            default=TrainConfig(
                steps=10_000, batch_size=128, learning_rate=1e-4, schedule="constant", precision="float32"
            ),
            about="as published: 10,000 steps of Adam at 1e-4; batches as large as WRN's own, natural sampling",
        ),
        "fast": Recipe(
            default=_FAST["ce"],
            objectives=_FAST,
            methods={"ml": _EMBED, "odm": _MINE},
            about="ResNet-9 with augmentation, 2,500 steps on one cycle; embeddings start from it and take 1,500 more",
        ),
        "cpu": Recipe(
            default=_CPU["ce"],
            objectives=_CPU,
            methods={"ml": _EMBED, "odm": _MINE, "ccag": {"width": 16}},
            about="1,200 and 600 steps of a network for processors: half an hour on two cores for a table",
        ),
        "quick": Recipe(
            default=_QUICK,
            objectives={"contrastive": replace(_QUICK, steps=160)},
            methods={"ml": _EMBED, "odm": _MINE, "ccag": {"width": 16}},
            about="240 steps of ResNet-9 at half width, minutes on 2 CPU cores",
        ),
    },
    recipe="fast",
    full_recipe="paper",
    layout="table2",
    known_exceptions={
        "no_test_image_is_trained_on": "a dozen of the published crops are in train and in test; runs leave them out"
    },
    claims=(
        Claim(text="ML beats ODIN on novelty", source=_PAPER, method="ml", other="odin", sets=("unseen signs",)),
        Claim(text="ML beats ODIN on background", source=_PAPER, method="ml", other="odin", sets=_BACKGROUND),
        *(
            Claim(
                text=f"seen OOD images help on their own kind: {name}",
                source=_PAPER,
                method=method,
                other="ml",
                sets=(name,),
            )
            for name, method in (
                ("seen signs", "odm"),
                ("background", _SEEN_BACKGROUND),
                ("gaussian", "odm (seen=gaussian)"),
            )
        ),
        Claim(
            text="other signs, once seen, help on novelty",
            source=_PAPER,
            method="odm",
            other="ml",
            sets=("unseen signs",),
        ),
        Claim(
            text="background as seen data can hurt on novelty",
            source=_PAPER,
            method="ml",
            other=_SEEN_BACKGROUND,
            sets=("unseen signs",),
        ),
    ),
)
