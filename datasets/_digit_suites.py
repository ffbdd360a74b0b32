"""Members of suites on ten digits: one class against the others, and random open-set splits."""

from __future__ import annotations

import random
from dataclasses import replace

from oodbench.benchmark import Benchmark, OodSet, Part

DIGITS = tuple("0123456789")
KNOWN = 6
OPEN_SET = 5
"""Known digits of an open-set split, and how many splits there are, as in the field's protocol (survey, §9)."""


def one_class(
    suite: str, base: Benchmark, dataset: str, known: str, others: tuple[str, ...], *more: OodSet
) -> Benchmark:
    """Return the benchmark in which one digit is in-distribution and all others are novelties.

    Args:
        suite: it is a member of.
        base: says conversion, network and recipes.
        dataset: of the digits.
        known: the digit.
        others: the other digits.
        more: further OOD sets.
    """
    return replace(
        base,
        name=f"{suite}-{known}",
        title=f"{dataset} {known} against the other digits",
        id_train=Part(dataset=dataset, split="train", classes=(known,)),
        id_test=Part(dataset=dataset, classes=(known,)),
        ood=(OodSet(name="other digits", part=Part(dataset=dataset, classes=others), role="novelty"), *more),
        seen={},
    )


def open_set(suite: str, base: Benchmark, dataset: str, seed: int) -> Benchmark:
    """Return the benchmark in which some digits, drawn from a seed, are known, and the others unknown.

    Args:
        suite: it is a member of.
        base: says conversion, network and recipes.
        dataset: of the digits.
        seed: of the draw.
    """
    known = tuple(sorted(random.Random(seed).sample(DIGITS, KNOWN)))  # noqa: S311  # no secret
    unknown = tuple(digit for digit in DIGITS if digit not in known)
    return replace(
        base,
        name=f"{suite}-{seed}",
        title=f"{dataset} {' '.join(known)} against {' '.join(unknown)}",
        id_train=Part(dataset=dataset, split="train", classes=known),
        id_test=Part(dataset=dataset, classes=known),
        ood=(OodSet(name="unknown digits", part=Part(dataset=dataset, classes=unknown), role="novelty"),),
        seen={},
    )
