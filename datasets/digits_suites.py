"""Embedded suites on scikit-learn's digits: every digit once against the rest, and open-set splits."""

from __future__ import annotations

from dataclasses import replace

from oodbench.benchmark import OodSet, Part
from oodbench.suite import Suite, one_against_the_rest

from ._digit_suites import DIGITS, KNOWN, OPEN_SET, one_class, open_set
from .digits_267 import BENCHMARK as DIGITS_267

_NOISE = OodSet(name="gaussian", part=Part(dataset="gaussian", settings={"count": 300}), role="anomaly")
_BASE = replace(
    DIGITS_267, seen={}, ood=(_NOISE,), layout="suite", source="one class of the embedded data against the rest"
)

ONE_CLASS = one_against_the_rest(
    "digits-one-class",
    DIGITS,
    lambda known, others: one_class("digits-one-class", _BASE, "digits", known, others, _NOISE),
    title="scikit-learn digits, every digit once against the nine others",
    source="the protocol of one-class novelty detection (survey of Salehi et al., §4) on embedded data",
)

OSR = Suite(
    name="digits-osr",
    title=f"scikit-learn digits, {KNOWN} of 10 known, {OPEN_SET} random splits",
    source="the protocol of open-set recognition (survey of Salehi et al., §5) on embedded data",
    members=tuple(open_set("digits-osr", _BASE, "digits", seed) for seed in range(OPEN_SET)),
)
