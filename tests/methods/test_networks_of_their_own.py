"""Methods with networks of their own, from training to scores, on benchmarks with classes and without."""

from __future__ import annotations

import oodbench
from oodbench.benchmark import Part
from tests.helpers import Listener, small_benchmark

UNLABELLED = (
    "autoencoder(width=4)",
    "vae(width=4,draws=1)",
    "flow(width=4,couplings=1)",
    "deep_svdd(width=4)",
    "pixel_gmm",
    "memae(width=4)",
    "robust_ae(width=4)",
    "dec(width=4,clusters=3)",
)
LABELLED = ("skip(width=4)", "idec(width=4)", "flow_hierarchies(width=4,couplings=1)", "abnormality_module(width=4)")


def run(benchmark, methods, folder):
    listener = Listener()
    frame = oodbench.run(
        benchmark, list(methods), results_dir=folder / "results", cache_dir=folder / "cache", report=listener
    )
    return frame, listener


def test_one_class_is_enough_for_methods_that_read_no_labels(tmp_path):
    one = {
        "id_train": Part(dataset="digits", split="train", classes=("2",)),
        "id_test": Part(dataset="digits", classes=("2",)),
    }
    benchmark = small_benchmark(**one)

    frame, listener = run(benchmark, UNLABELLED, tmp_path)

    assert set(frame["method"]) == {name.partition("(")[0] for name in UNLABELLED}
    assert frame["auroc"].between(0, 1).all()
    # Deep SVDD starts from an auto-encoder without biases; the others share the one of `autoencoder`.
    assert listener.count("trained small autoencoder") == 2


def test_classes_and_seen_images_are_used_where_they_are_needed(tmp_path):
    frame, listener = run(small_benchmark(), LABELLED, tmp_path)

    assert set(frame["method"]) == {name.partition("(")[0] for name in LABELLED}
    assert listener.count("trained small flow_general") == 1
    assert listener.count("trained small ce_reconstruction") == 1
    again, second = run(small_benchmark(), LABELLED, tmp_path)
    assert second.count("trained") == 0
    assert again["auroc"].tolist() == frame["auroc"].tolist()
