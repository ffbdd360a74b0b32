"""CIFAR-10 in the manner of OpenOOD, on other sets: near and far of what is small and easily had."""

from __future__ import annotations

from dataclasses import replace

from oodbench.benchmark import OodSet, Part

from .svhn_cifar10 import CIFAR10_BENCHMARK


def _far(name: str) -> OodSet:
    return OodSet(name=name, part=Part(dataset=name), role="anomaly")


BENCHMARK = replace(
    CIFAR10_BENCHMARK,
    name="cifar10-far-near",
    title="CIFAR-10: near Tiny ImageNet; far SVHN, scenes, digits, clothes and traffic signs",
    source="the protocol of Zhang et al., OpenOOD v1.5, 2023, on other sets: its numbers do not compare",
    ood=(
        OodSet(name="tiny_imagenet", part=Part(dataset="tiny_imagenet"), role="novelty"),
        *(_far(name) for name in ("svhn", "lsun", "mnist", "fashion_mnist", "tsinghua")),
    ),
    seen={},
    layout="openood",
    claims=(),
)
"""Its classifiers are those of `cifar10`, which are trained once for both."""
