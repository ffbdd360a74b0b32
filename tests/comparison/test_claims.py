"""Claims of a paper are judged by stored results: beyond noise, against a limit, or not at all."""

from __future__ import annotations

import dataclasses

import pytest

from oodbench.claims import Claim
from oodbench.comparison.claims import judge
from oodbench.errors import ConfigError
from oodbench.plugins import registry
from oodbench.store.records import ResultStore
from tests.comparison.made import save_cells


def results_of(folder, **skills):
    save_cells(folder, skills, seeds=2)
    store = ResultStore(folder)
    found = {}
    for record in store.all():
        found.setdefault(record.variant, []).append((record, store.scores(record)))
    return found


def a_claim(kind="better", **changes):
    other = "msp" if kind in ("better", "lower accuracy") else ""
    return Claim(text="ODM wins", source="here", method="odm", kind=kind, **{"other": other, **changes})


def test_better_on_every_set_beyond_noise_holds(tmp_path):
    verdict = judge(a_claim(), results_of(tmp_path, odm=4.0, msp=0.0))

    assert verdict.answer == "holds"
    assert len(verdict.evidence) == 2
    assert verdict.evidence[0].startswith("near: ")
    assert "better (DeLong over 2 seeds)" in verdict.evidence[0]


def test_worse_beyond_noise_does_not_hold(tmp_path):
    assert judge(a_claim(), results_of(tmp_path, odm=0.0, msp=4.0)).answer == "does not hold"


def test_a_difference_within_noise_is_no_evidence(tmp_path):
    verdict = judge(a_claim(sets=("far",)), results_of(tmp_path, odm=1.02, msp=1.0))

    assert verdict.answer == "no evidence"
    assert "within noise" in verdict.evidence[0]


def test_metrics_of_which_less_is_better_count_the_other_way(tmp_path):
    verdict = judge(a_claim(metric="fpr_at_95tpr", sets=("near",)), results_of(tmp_path, odm=5.0, msp=0.0))

    assert verdict.answer == "holds"


@pytest.mark.parametrize(("kind", "answer"), [("at least", "holds"), ("at most", "does not hold")])
def test_means_are_held_against_a_limit(tmp_path, kind, answer):
    assert judge(a_claim(kind, value=0.9), results_of(tmp_path, odm=4.0)).answer == answer


def test_accuracies_are_compared_seed_by_seed(tmp_path):
    found = results_of(tmp_path, odm=1.0, msp=1.0)
    lower = [(dataclasses.replace(record, accuracy=0.5), scores) for record, scores in found["odm"]]

    assert judge(a_claim("lower accuracy"), {**found, "odm": lower}).answer == "holds"
    assert judge(a_claim("lower accuracy"), {"odm": found["msp"], "msp": lower}).answer == "does not hold"
    assert judge(a_claim("lower accuracy"), found).answer == "no evidence"


def test_what_lacks_results_is_not_tested(tmp_path):
    found = results_of(tmp_path, odm=1.0, msp=1.0)
    other_seed = [(dataclasses.replace(record, seed=record.seed + 9), scores) for record, scores in found["msp"]]

    assert judge(a_claim(), {"odm": found["odm"]}).evidence == ("no results of msp",)
    assert judge(a_claim(sets=("photos",)), found).evidence == ("no results on photos",)
    assert judge(a_claim(), {**found, "msp": other_seed}).answer == "not tested"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "better"}, "needs a method to compare with: other="),
        ({"kind": "at least", "other": "msp", "value": 0.9}, "compares with no method"),
        ({"kind": "at most"}, "needs a limit: value=0.95"),
        ({"kind": "better", "other": "msp", "value": 0.9}, "leave value out"),
    ],
)
def test_claims_that_cannot_be_tested_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        Claim(text="ODM wins", source="here", method="odm", **fields)


def test_claims_of_the_papers_name_sets_that_their_benchmarks_have():
    claimed = {name: benchmark for name, benchmark in registry.usable("benchmarks").items() if benchmark.claims}

    assert {"digits", "mnist-267", "svhn", "cifar10", "tsinghua"} <= set(claimed)
    for benchmark in claimed.values():
        sets = {ood.name for ood in benchmark.ood}
        assert {name for claim in benchmark.claims for name in claim.sets} <= sets


def test_how_a_claim_is_tested_is_said_in_words():
    assert a_claim(sets=("near",)).tested == "AUROC of odm better than that of msp on near, paired test"
    assert a_claim("at least", value=0.9).tested == "mean AUROC of odm at least 90% on every OOD set"
