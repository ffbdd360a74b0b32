"""Suites on MNIST: every digit once against the rest, and open-set splits of 6 known digits."""

from __future__ import annotations

from dataclasses import replace

from oodbench.suite import Suite, one_against_the_rest

from ._digit_suites import DIGITS, KNOWN, OPEN_SET, one_class, open_set
from .mnist_267 import BENCHMARK as MNIST_267

_BASE = replace(MNIST_267, seen={}, ood=(), layout="suite")

ONE_CLASS = one_against_the_rest(
    "mnist-one-class",
    DIGITS,
    lambda known, others: one_class("mnist-one-class", _BASE, "mnist", known, others),
    title="MNIST, every digit once against the nine others",
    source="the protocol of one-class novelty detection, survey of Salehi et al., §4 and Table 7",
)

OSR = Suite(
    name="mnist-osr",
    title=f"MNIST, {KNOWN} of 10 digits known, {OPEN_SET} random splits",
    source="the protocol of open-set recognition, survey of Salehi et al., §5 and Table 8",
    members=tuple(open_set("mnist-osr", _BASE, "mnist", seed) for seed in range(OPEN_SET)),
)
