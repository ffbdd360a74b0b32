"""The experiments of "Skip the question you don't know": MNIST and CIFAR-10 against other images, and left-out digits.

Sets that are missing are skipped, as everywhere, or another one takes the place of one: `--out sun=my_scenes`.
"""

from __future__ import annotations

from dataclasses import replace

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.images import Conversion
from oodbench.suite import Suite
from oodbench.training.config import TrainConfig

from ._digit_suites import DIGITS

_SOURCE = "Chen & Zhao, Skip the question you don't know, Section IV"

_ADAM = TrainConfig(epochs=20, batch_size=256, learning_rate=1e-3, schedule="one-cycle")

_RECIPES = {
    "default": Recipe(default=_ADAM, about="20 epochs; the paper does not say how long it trained"),
    "sgd": Recipe(
        default=_ADAM,
        objectives={
            "skip": replace(
                _ADAM, optimizer="sgd", learning_rate=0.01, momentum=0.0, nesterov=False, schedule="constant"
            )
        },
        about="the same with plain SGD at 0.01 for skip, as published; its auto-encoder before that as in default",
    ),
    "quick": Recipe(default=replace(_ADAM, epochs=3, max_images=4000), about="3 epochs on 4,000 images, to try things"),
}


def _anomaly(name: str, dataset: str | None = None) -> OodSet:
    return OodSet(name=name, part=Part(dataset=dataset or name), role="anomaly")


MNIST = Benchmark(
    name="skip-mnist",
    title="MNIST against Omniglot, notMNIST, CIFAR-10 in grey and noise",
    source=f"{_SOURCE} and Table I",
    id_train=Part(dataset="mnist", split="train"),
    id_test=Part(dataset="mnist"),
    ood=(
        _anomaly("omniglot"),
        _anomaly("notmnist"),
        _anomaly("cifar10_bw", "cifar10"),
        _anomaly("gaussian"),
        _anomaly("uniform"),
    ),
    conversion=Conversion(size=(28, 28), channels=1),
    network="lenet",
    embedding_dim=10,
    recipes=_RECIPES,
    layout="skip1",
)

CIFAR10 = replace(
    MNIST,
    name="skip-cifar10",
    title="CIFAR-10 against scenes of SUN and noise",
    id_train=Part(dataset="cifar10", split="train"),
    id_test=Part(dataset="cifar10"),
    # The paper's SUN is iSUN, as the authors of ODIN resized it.
    ood=(_anomaly("sun", "isun"), _anomaly("gaussian")),
    conversion=Conversion(size=(32, 32), channels=3),
    network="resnet9_half",
)

LEFT_OUT = "left-out digits"


def without(*digits: str) -> Benchmark:
    """Return the benchmark in which some digits of MNIST are novelties, and all others in-distribution.

    Args:
        digits: that are left out.
    """
    kept = tuple(digit for digit in DIGITS if digit not in digits)
    return replace(
        MNIST,
        name=f"skip-mnist-digits-{''.join(digits)}",
        title=f"MNIST without {' and '.join(digits)} against these digits",
        source=f"{_SOURCE} and Table II",
        id_train=Part(dataset="mnist", split="train", classes=kept),
        id_test=Part(dataset="mnist", classes=kept),
        ood=(OodSet(name=LEFT_OUT, part=Part(dataset="mnist", classes=digits), role="novelty"),),
        layout="skip2",
    )


MNIST_DIGITS = Suite(
    name="skip-mnist-digits",
    title="MNIST without two digits against these two, five splits",
    source=f"{_SOURCE} and Table II",
    members=tuple(without(*pair) for pair in ("01", "23", "45", "67", "89")),
    layout="skip2",
)
