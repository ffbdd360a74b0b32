"""Covariate-shifted images: scored apart, in-distribution in full-spectrum metrics, and in nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import oodbench
from oodbench.benchmark import OodSet, Part
from oodbench.errors import ConfigError
from oodbench.metrics import auroc, fpr_at_tpr
from oodbench.plugins import registry
from oodbench.plugins.shapes import unfit
from oodbench.progress import SILENT
from oodbench.store.records import ResultStore

from .helpers import DIGITS, small_benchmark

SHIFTED = OodSet(name="other hands", part=Part(dataset="digits", split="test", classes=("6", "7")), role="covariate")
NEW = OodSet(name="new digits", part=Part(dataset="digits", classes=("5",)), role="novelty")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Return rows, record and scores of a run with a shifted set."""
    place = tmp_path_factory.mktemp("results")
    benchmark = small_benchmark(seen={}, ood=(NEW, SHIFTED))
    frame = oodbench.run(benchmark, "msp", results_dir=place, cache_dir=place / "cache", report=SILENT)
    store = ResultStore(place)
    (record,) = store.all()
    return frame.set_index("out_dist"), record, store.scores(record)


def test_full_spectrum_metrics_count_shifted_images_as_in_distribution(result):
    frame, _, scores = result
    both = np.concatenate([scores.id, scores.ood["other hands"]])
    row = frame.loc["new digits"]
    assert row["full_spectrum_auroc"] == auroc(both, scores.ood["new digits"])
    assert row["full_spectrum_fpr_at_95tpr"] == fpr_at_tpr(both, scores.ood["new digits"])


def test_plain_metrics_leave_shifted_images_out(result):
    frame, _, scores = result
    assert frame.loc["new digits"]["auroc"] == auroc(scores.id, scores.ood["new digits"])


def test_the_accuracy_on_shifted_images_goes_by_the_names_of_classes(result):
    frame, record, scores = result
    # "6" and "7" are the second and the third of the ID classes, and the first and the second of the shifted set.
    assert record.class_names == DIGITS
    right = scores.predicted_ood["other hands"] == scores.true_ood["other hands"] + 1
    assert frame.loc["other hands"]["shifted_accuracy"] == right.mean()
    assert np.isnan(frame.loc["new digits"]["shifted_accuracy"])


def test_a_shifted_set_has_no_metrics_of_open_sets(result):
    frame, _, _ = result
    assert np.isnan(frame.loc["other hands"]["oscr"])
    assert not np.isnan(frame.loc["new digits"]["oscr"])


def test_a_benchmark_without_shifted_sets_has_no_such_columns(tmp_path):
    frame = oodbench.run(
        small_benchmark(seen={}, ood=(NEW,)), "msp", recipe="short", results_dir=tmp_path, cache_dir=tmp_path / "c"
    )
    assert not [name for name in frame.columns if "full_spectrum" in name or "shifted" in name]


def test_a_benchmark_of_shifted_sets_only_is_refused():
    with pytest.raises(ConfigError, match="has covariate-shifted sets only; add an OOD set"):
        small_benchmark(seen={}, ood=(SHIFTED,))


def test_validation_images_of_its_own_and_held_out_ones_are_too_many():
    with pytest.raises(ConfigError, match="set validation_share to 0"):
        small_benchmark(id_validation=Part(dataset="digits"), validation_share=0.1)


def test_validation_images_of_its_own_are_what_methods_see(tmp_path):
    """The digits that train nothing here are those that knn, say, would choose on."""
    from oodbench.data.loading import load_benchmark
    from oodbench.store.artifacts import ArtifactStore
    from oodbench.store.workspace import Workspace

    part = Part(dataset="digits", split="test", classes=DIGITS)
    benchmark = small_benchmark(id_validation=part, validation_share=0.0)
    workspace = Workspace(data_dir=tmp_path, artifacts=ArtifactStore(tmp_path / "cache"))
    data = load_benchmark(benchmark, workspace)
    assert data.id_validation.fingerprint == data.id_test.fingerprint


@pytest.mark.parametrize("optional", [True, False])
def test_seen_images_that_are_missing_are_done_without_where_they_may_be(optional, tmp_path):
    seen = {"new digits": Part(dataset="lost", split="train")}
    benchmark = small_benchmark(seen=seen, ood=(NEW,), optional_seen=optional)
    settings = {"recipe": "short", "results_dir": tmp_path, "cache_dir": tmp_path / "c", "data_dir": tmp_path}
    if optional:
        with pytest.warns(UserWarning, match="going on without the seen OOD training images 'new digits'"):
            assert len(oodbench.run(benchmark, "msp", **settings)) == 1
    else:
        with pytest.raises(oodbench.OodbenchError, match="no train images of lost"):
            oodbench.run(benchmark, "msp", **settings)


@pytest.mark.parametrize("name", ["full_spectrum_mine", "shifted_accuracy"])
def test_no_metric_may_take_the_names(name):
    assert "choose another" in unfit("metrics", name, lambda scores_id, scores_ood: 0.5)


def test_published_checkpoints_of_small_images_have_the_names_of_our_weights():
    state = registry.network("resnet18_32x32")((3, 32, 32), 10).state_dict()
    names = {name for name in state if "num_batches" not in name}
    blocks = [f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)]
    norm = ("weight", "bias", "running_mean", "running_var")
    expected = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{name}" for name in norm)}
    for block in blocks:
        expected |= {f"{block}.conv1.weight", f"{block}.conv2.weight"}
        expected |= {f"{block}.bn{i}.{name}" for i in (1, 2) for name in norm}
    for i in (2, 3, 4):
        expected |= {f"layer{i}.0.shortcut.0.weight", *(f"layer{i}.0.shortcut.1.{name}" for name in norm)}
    assert names == expected
    assert state["layer4.0.shortcut.0.weight"].shape == (512, 256, 1, 1)
    assert state["fc.weight"].shape == (10, 512)


@pytest.mark.parametrize(("name", "theirs"), [("resnet18_224x224", "resnet18"), ("resnet50", "resnet50")])
def test_networks_for_large_images_are_those_of_torchvision(name, theirs):
    import torch
    import torchvision

    ours, other = registry.network(name)((3, 64, 64), 5).eval(), getattr(torchvision.models, theirs)(num_classes=5)
    ours.load_state_dict(other.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(images), other.eval()(images), atol=1e-5)


def test_a_published_checkpoint_loads_by_the_command_line_s_words(tmp_path):
    import torch

    from oodbench.given.building import load_model

    network = registry.network("resnet18_32x32")((3, 32, 32), 100)
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, tmp_path / "best.ckpt")
    text = "oodbench.networks.resnet18_32x32:ResNet18Small(n_outputs=100)"
    assert torch.equal(load_model(text, tmp_path / "best.ckpt").fc.bias, network.fc.bias)
