"""The best of many methods by AUROC, on single sets and in means over sets, against DeLong's test and a bootstrap."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oodbench.comparison.mean_auroc import best_aurocs
from oodbench.comparison.measured import Pair, measure
from oodbench.metrics import auroc
from oodbench.statistics import find_best
from oodbench.store.records import Scores
from tests.test_records import a_record, a_row

N = 80


def a_cell(method, skill, *, seed=0, sets=("near", "far"), n=N, other_images=False):
    """Return a record with its scores, which noise of the images makes alike for all methods."""
    images = np.random.default_rng(99)
    own = np.random.default_rng([seed, *map(ord, method)])
    id_scores = images.normal(0, 1, n) + own.normal(skill, 0.3, n)
    ood = {name: images.normal(0, 1, n) + own.normal(0, 0.3, n) for name in sets}
    rows = [
        dataclasses.replace(
            a_row(name, "novelty", auroc=auroc(id_scores, ood[name])), fingerprint=f"{name} {seed * other_images}"
        )
        for name in sets
    ]
    return a_record(method, rows=rows, seed=seed, fingerprints={"id_test": "id"}), Scores(id=id_scores, ood=ood)


def cells(skills, *, seeds=1, **changes):
    return {m: [a_cell(m, skill, seed=seed, **changes) for seed in range(seeds)] for m, skill in skills.items()}


SKILLS = {"good": 1.2, "same": 1.2, "near it": 1.0, "bad": 0.1}


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("other_images", [False, True])
def test_on_a_single_set_it_is_the_test_of_compare(seeds, other_images):
    results = cells(SKILLS, seeds=seeds, other_images=other_images)

    def compared(best, other):
        pairs = [
            Pair(
                seed=record.seed,
                images=("id", record.rows[0].fingerprint),
                first=0.0,
                second=0.0,
                scores=((one.id, one.ood["near"]), (two.id, two.ood["near"])),
            )
            for (record, one), (_, two) in zip(results[best], results[other], strict=True)
        ]
        # Each seed has ID images of its own in `measure` where its OOD images are its own.
        return measure("auroc", pairs, level=0.95, resamples=100)[0]

    values = {m: np.mean([record.rows[0].metrics["auroc"] for record, _ in found]) for m, found in results.items()}
    expected = find_best(values, compared)
    found = best_aurocs(results, {"near": ("near",)})["near"]

    assert found.name == expected.name
    assert "bad" not in found.as_good
    if not other_images:
        assert found.as_good == expected.as_good
        assert found.test == expected.test


def test_the_error_of_a_mean_over_sets_is_that_of_a_bootstrap_that_draws_id_images_once(monkeypatch):
    from oodbench.comparison import mean_auroc

    kept = []
    monkeypatch.setattr(mean_auroc, "over_seeds", lambda *a, **k: kept.append(a) or _over(*a, **k))
    from oodbench.statistics import over_seeds as _over

    results = cells({"good": 1.2, "bad": 0.9}, n=300)
    best_aurocs(results, {"mean": ("near", "far")})
    (first, second, covariance) = kept[0]

    (_, good), (_, bad) = results["good"][0], results["bad"][0]
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(600):
        of_id = random.integers(0, 300, 300)
        of_ood = {name: random.integers(0, 300, 300) for name in good.ood}
        values = [np.mean([auroc(s.id[of_id], s.ood[name][of_ood[name]]) for name in s.ood]) for s in (good, bad)]
        drawn.append(values[1] - values[0])

    assert first[0] == pytest.approx(np.mean([auroc(good.id, ood) for ood in good.ood.values()]))
    assert second[0] == pytest.approx(np.mean([auroc(bad.id, ood) for ood in bad.ood.values()]))
    assert np.sqrt(covariance[0, 0]) == pytest.approx(np.std(drawn), rel=0.15)


def test_a_method_that_lacks_a_set_is_in_no_mean_with_it():
    results = {**cells(SKILLS), "half": [a_cell("half", 3.0, sets=("near",))]}
    found = best_aurocs(results, {"both": ("near", "far"), "near": ("near",)})

    assert found["near"].name == "half"
    assert found["both"].name in ("good", "same")
    assert "half" not in found["both"].as_good


def test_other_images_tell_nothing_apart():
    strange = a_cell("strange", 0.1)
    record = dataclasses.replace(strange[0], fingerprints={"id_test": "others"})
    found = best_aurocs({**cells(SKILLS), "strange": [(record, strange[1])]}, {"both": ("near", "far")})

    assert "strange" in found["both"].as_good


def test_of_a_set_of_one_image_nothing_is_said():
    results = cells(SKILLS, n=1)
    assert best_aurocs(results, {"near": ("near",), "both": ("near", "far")}) == {}
