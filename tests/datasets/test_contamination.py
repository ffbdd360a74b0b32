"""Other images among the training images: how many, which, under which labels, and what cannot be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oodbench.benchmark import OodSet, Part
from oodbench.contamination import Contamination
from oodbench.data.loading import BenchmarkData, load_benchmark
from oodbench.engine.plan import make_plan
from oodbench.engine.request import request
from oodbench.errors import ConfigError, DataError, MissingData
from oodbench.holdout import HoldOut
from oodbench.images import digest_of
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace
from tests.helpers import Listener, small_benchmark

NOISE = OodSet(name="noise", part=Part(dataset="gaussian", settings={"count": 50}), role="anomaly")


def loaded(text: str | None, tmp_path: Path, report: Listener | None = None, **changes: object) -> BenchmarkData:
    small = small_benchmark(**{"seen": {}, "ood": (NOISE,), **changes})
    (benchmark,) = request([small], ["msp"], contaminate=text).benchmarks
    cache = ArtifactStore(tmp_path / "cache")
    return load_benchmark(benchmark, Workspace(data_dir=tmp_path, artifacts=cache, report=report or Listener()))


@pytest.mark.parametrize(
    ("share", "n_id", "n_others", "taken"),
    [
        (0.1, 900, 500, (900, 100)),
        (0.5, 10, 10, (10, 10)),
        # 20 others are a fifth of 100: 80 ID images, not 900.
        (0.2, 900, 20, (80, 20)),
        (0.001, 100, 50, (100, 0)),
    ],
)
def test_the_share_is_that_of_all_training_images(
    share: float, n_id: int, n_others: int, taken: tuple[int, int]
) -> None:
    assert Contamination(share=share, name="x", dataset="x").counts(n_id, n_others) == taken


@pytest.mark.parametrize("text", ["", "omniglot", "0.1", "0.1:", "ten:omniglot", ":omniglot"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--contaminate must be SHARE:SET, such as 0.1:omniglot"):
        Contamination.parsed(text)


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.1", "nan", "inf"])
def test_shares_of_nothing_or_of_everything_are_refused(share: str) -> None:
    with pytest.raises(ConfigError, match=r"share of other images must be above 0 and below 1.*got"):
        Contamination.parsed(f"{share}:omniglot")


def test_other_images_stand_last_under_random_labels_of_the_id_classes(tmp_path: Path) -> None:
    clean = loaded(None, tmp_path).training_images
    data = loaded("0.2:uniform", tmp_path)
    mixed = data.training_images
    n_others = round(len(clean) / 4)

    assert len(mixed) == len(clean) + n_others
    np.testing.assert_array_equal(mixed.images[: len(clean)], clean.images)
    assert mixed.labels is not None
    assert set(mixed.labels[len(clean) :].tolist()) == {0, 1, 2}
    assert mixed.class_names == clean.class_names
    assert data.contamination == {
        "share": 0.2,
        "set": "uniform",
        "split": "train",
        "images": n_others,
        "of": len(mixed),
        "labels": "random",
    }


def test_the_mixture_is_the_same_each_time_and_another_experiment_than_the_clean_one(tmp_path: Path) -> None:
    first, again, more = (loaded(text, tmp_path) for text in ("0.1:uniform", "0.1:uniform", "0.2:uniform"))
    prints = [data.training_images.fingerprint for data in (first, again, more)]
    assert prints[0] == prints[1] != prints[2]
    assert first.benchmark.name == "small-with-0.1-uniform"


def test_images_of_the_id_classes_are_not_mixed_in(tmp_path: Path) -> None:
    data = loaded("0.1:digits", tmp_path)
    trained = [digest_of(image) for image in data.training_images.images]
    assert len(set(trained)) == len(trained)
    assert not set(trained) & {digest_of(image) for image in data.id_test.images}


def test_half_of_a_set_without_training_images_is_left_to_be_tested_on(tmp_path: Path) -> None:
    scenes = OodSet(name="scenes", part=Part(dataset="scenes"), role="anomaly")
    write_scenes(tmp_path / "scenes" / "test", 40)
    report = Listener()
    data = loaded("0.5:scenes", tmp_path, report, ood=(scenes,))

    assert data.contamination is not None
    assert (data.contamination["split"], data.contamination["images"], data.contamination["of"]) == ("test", 20, 40)
    assert len(data.ood["scenes"]) == 20
    assert report.count("scenes (test) has 20 images to mix in, so ") == 1
    assert report.count("leaving out 20 images of scenes (test)") == 1


def write_scenes(folder: Path, count: int) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{i:02}.png")


def test_a_set_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"no test images of omniglott.*Did you mean 'omniglot'"):
        loaded("0.1:omniglott", tmp_path)


def test_too_few_other_images_are_told(tmp_path: Path) -> None:
    write_scenes(tmp_path / "few" / "test", 4)
    with pytest.raises(DataError, match=r"90% few cannot be mixed in: there are .* ID training images and 2 of few"):
        loaded("0.9:few", tmp_path)


def test_nothing_but_id_images_is_told(tmp_path: Path) -> None:
    digits = {f"id_{part}": Part(dataset="digits", split=part) for part in ("train", "test")}
    with pytest.raises(DataError, match=r"every image of digits \(train\) is an in-distribution image; mix in"):
        loaded("0.1:digits", tmp_path, **digits)


def without_labels(tmp_path: Path) -> BenchmarkData:
    small = small_benchmark(seen={}, ood=(NOISE,))
    wanted = request([small], ["msp"], contaminate="0.2:uniform", contaminate_labels="none")
    cache = ArtifactStore(tmp_path / "cache")
    return load_benchmark(wanted.benchmarks[0], Workspace(data_dir=tmp_path, artifacts=cache))


def test_other_images_may_have_no_label(tmp_path: Path) -> None:
    data, labelled = without_labels(tmp_path), loaded("0.2:uniform", tmp_path)
    images = data.training_images
    assert images.labels is not None
    assert data.contamination is not None

    assert images.partly_labelled
    assert set(images.labels[-data.n_others :].tolist()) == {-1}
    assert set(images.labels[: -data.n_others].tolist()) == {0, 1, 2}
    assert data.contamination["labels"] == "none"
    assert data.benchmark.name == "small-with-0.2-uniform-unlabelled"
    assert images.fingerprint != labelled.training_images.fingerprint


def held_out(method: str, data: BenchmarkData, **settings: object) -> tuple[HoldOut, int]:
    """Return the halves that the first network of a method takes, and which images are others from."""
    wanted = request([data.benchmark], [method], settings={method: settings} if settings else ())
    wanted = replace(wanted, benchmarks=(data.benchmark,))
    (cell,) = make_plan(wanted, {data.benchmark.name: data}).cells
    job = cell.networks[0]
    return (job.start or job).hold_out(data), len(data.training_images) - data.n_others


def test_what_reads_labels_learns_from_labelled_images_and_what_does_not_from_all(tmp_path: Path) -> None:
    data = without_labels(tmp_path)
    classifier, first_other = held_out("msp", data)
    autoencoder, _ = held_out("autoencoder", data)

    assert (classifier.fit < first_other).all()
    assert (autoencoder.fit >= first_other).any()
    # Held-out images are for those who choose by their labels.
    assert (autoencoder.validation < first_other).all()
    np.testing.assert_array_equal(classifier.fit, autoencoder.fit[autoencoder.fit < first_other])


def test_a_share_of_the_clean_images_is_learnt_from(tmp_path: Path) -> None:
    data = loaded("0.2:uniform", tmp_path)
    everything, first_other = held_out("skip", data)
    part, _ = held_out("skip", data, clean=0.5)

    assert (everything.fit >= first_other).any()
    assert (part.fit < first_other).all()
    assert len(part.fit) == round((everything.fit < first_other).sum() / 2)
    assert set(part.fit) <= set(everything.fit)
    with pytest.raises(ConfigError, match=r"would be trained on 0 of \d+ clean images; give it a larger share"):
        held_out("skip", data, clean=0.0001)


def test_other_words_for_labels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--contaminate-labels must be one of random, none, got 'some'"):
        request(["digits"], ["msp"], contaminate="0.1:uniform", contaminate_labels="some")
    with pytest.raises(ConfigError, match=r"--contaminate-labels is for images that are mixed in; give --contaminate"):
        request(["digits"], ["msp"], contaminate_labels="none")


def test_members_of_a_suite_and_the_suite_are_renamed() -> None:
    wanted = request(["digits-osr"], ["msp"], contaminate="0.05:uniform")
    assert {entry.suite for entry in wanted.benchmarks} == {"digits-osr-with-0.05-uniform"}
    assert wanted.benchmarks[0].name == "digits-osr-0-with-0.05-uniform"
