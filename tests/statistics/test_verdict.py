"""The sentence: what it says where tests agree, contradict each other, or cannot be made."""

from __future__ import annotations

import math

from oodbench.statistics import Difference, OnSet, judge, signed_rank


def on_set(name, estimate, p, test="DeLong"):
    return OnSet(
        name=name,
        difference=Difference(
            first=0.5, second=0.5 + estimate, low=estimate - 0.01, high=estimate + 0.01, p=p, level=0.95, test=test
        ),
        p=p,
    )


def test_better_over_sets_and_seeds():
    found = judge(
        "msp",
        "odm",
        "AUROC",
        signed_rank([0.01, 0.02, 0.03, 0.04, 0.05, 0.06]),
        [on_set("svhn", 0.02, 0.001), on_set("noise", 0.05, 0.3)],
        n_seeds=3,
    )

    assert found.word == "better"
    assert found.sentence == (
        "odm is better than msp: AUROC +3.50 points on average over 2 sets and 3 seeds, higher in 6 and lower in 0 of "
        "6 pairs (Wilcoxon p = 0.031); by the tests of single sets, better on svhn."
    )


def test_worse_where_lower_is_better():
    found = judge(
        "a", "b", "FPR", signed_rank([0.01, 0.02, 0.03, 0.04, 0.05, 0.06]), [], n_seeds=6, higher_is_better=False
    )

    assert found.word == "worse"


def test_one_set_and_one_seed_are_judged_by_the_images():
    found = judge("msp", "odm", "AUROC", signed_rank([0.25]), [on_set("svhn", 0.25, 0.00001)])

    assert found.sentence == (
        "odm is better than msp: AUROC 50.00 → 75.00, +25.00 points (95% interval +24.00 to +26.00, DeLong p < 0.0001)."
    )


def test_no_evidence_is_said_so():
    found = judge("msp", "odm", "AUROC", signed_rank([0.001]), [on_set("svhn", 0.001, 0.8)])

    assert found.word == "no evidence"
    assert found.sentence.startswith("no evidence that odm is better or worse than msp: AUROC 50.00 → 50.10")


def test_sets_that_contradict_each_other_are_no_evidence_of_either():
    found = judge("msp", "odm", "AUROC", signed_rank([0.1, -0.1]), [on_set("x", 0.1, 0.001), on_set("y", -0.1, 0.001)])

    assert found.word == "no evidence"
    assert found.better_on == ("x",)
    assert found.worse_on == ("y",)
    assert found.sentence.endswith("by the tests of single sets, better on x and worse on y.")


def test_few_pairs_are_judged_by_their_sets():
    found = judge("a", "b", "AUROC", signed_rank([0.1, 0.2]), [on_set("x", 0.1, 0.001), on_set("y", 0.2, 0.001)])

    assert found.word == "better"
    assert found.sentence.endswith("better on all 2.")


def test_a_difference_within_the_margin_is_none():
    tiny = signed_rank([0.001, 0.0011, 0.0012, 0.0013, 0.0014, 0.0015])
    found = judge("a", "b", "AUROC", tiny, [on_set("x", 0.001, 0.001)], margin=0.002)

    assert found.word == "no evidence"
    assert found.better_on == ()


def test_what_was_not_tested_is_no_evidence():
    found = judge("a", "b", "OSCR", signed_rank([0.1]), [on_set("x", 0.1, math.nan)])

    assert found.word == "no evidence"
    assert "not tested" in found.sentence
