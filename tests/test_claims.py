"""What the first paper claims, on the embedded digits: metric learning with mined outliers finds novelty best."""

from __future__ import annotations

import pytest

import oodbench

NOVELTY = "digits 5 9 1"


@pytest.fixture(scope="module")
def auroc(tmp_path_factory):
    """Return the AUROC of each method on each OOD set, a mean over two seeds."""
    folder = tmp_path_factory.mktemp("claims")
    frame = oodbench.run(
        "digits", ["msp", "ml", "odm"], seeds=2, results_dir=folder / "results", cache_dir=folder / "cache"
    )
    return frame.groupby(["method", "out_dist"])["auroc"].mean()


@pytest.mark.parametrize("other", ["msp", "ml"])
def test_odm_beats_the_others_on_novelty(auroc, other):
    assert auroc["odm", NOVELTY] > auroc[other, NOVELTY]


def test_odm_is_nearly_perfect_on_novelty_and_on_what_it_has_seen(auroc):
    assert auroc["odm", NOVELTY] > 0.98
    assert auroc["odm", "digits 0 3 4 8"] > 0.98


@pytest.mark.parametrize("method", ["msp", "ml", "odm"])
def test_every_method_tells_photos_from_digits(auroc, method):
    assert auroc[method, "photo patches"] > 0.95
