"""The contract of a benchmark. A check takes the benchmark and the data folder.

What needs images is checked on those that are there; where some are missing, the check says which and is skipped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import SkipTest

import torch

from oodbench.batch import to_unit_interval
from oodbench.benchmark import Benchmark, Part
from oodbench.data.loading import divide
from oodbench.data.parts import load_part
from oodbench.errors import MissingData
from oodbench.images import ImageSet
from oodbench.plugins import registry
from oodbench.settings import configure
from oodbench.store.workspace import Workspace

from .contract import Check, require
from .datasets import image_digests, none_shared


def _parts(benchmark: Benchmark) -> dict[str, Part]:
    """Return all parts by what they are."""
    seen = {f"seen OOD training images of {name!r}": part for name, part in benchmark.seen.items()}
    own = {"ID training images": benchmark.id_train, "ID test images": benchmark.id_test}
    return {**own, **seen, **{f"OOD images of {ood.name!r}": ood.part for ood in benchmark.ood}}


def _images(benchmark: Benchmark, data_dir: Path | None) -> tuple[dict[str, ImageSet], list[str]]:
    """Return the images that are there by what they are, and what is missing.

    Raises:
        SkipTest: the ID training images are missing.
    """
    workspace = Workspace.of(data_dir)

    def load(part: Part) -> ImageSet:
        return load_part(part, benchmark.conversion, workspace)

    try:
        divided, _ = divide(benchmark, load)
    except MissingData as error:
        raise SkipTest(str(error)) from error
    found, missing = {}, {}
    for what, part in _parts(divided).items():
        try:
            found[what] = load(part)
        except MissingData as error:
            # Without these nothing can be told, and noise beside them is drawn in vain.
            if what == "ID training images":
                raise SkipTest(str(error)) from error
            missing[what] = str(error)
    return found, list(missing)


def _skip_if(missing: list[str]) -> None:
    if missing:
        raise SkipTest(f"nothing is wrong with what is there, but these are missing: {', '.join(missing)}")


def check_is_described(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """A name, a title and a source are there, for listings and tables."""
    for name in ("name", "title", "source"):
        require(getattr(benchmark, name), f"set {name!r} to a non-empty text")


def check_there_is_something_to_score(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """There is at least one OOD test set."""
    require(benchmark.ood, "add an OodSet to 'ood'")


def check_settings_of_parts_fit(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """Each part names a data set, or a folder of images, and gives it settings that it has."""
    for part in _parts(benchmark).values():
        registry.dataset(part.dataset, dict(part.settings))


def check_recipes_can_be_followed(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """The networks that recipes name are there, and methods have the settings that recipes prescribe."""
    for recipe in benchmark.recipes.values():
        for config in (recipe.default, *recipe.objectives.values()):
            if config.network is not None:
                registry.find("networks", config.network)
        for name, settings in recipe.methods.items():
            # A recipe may say something about a method that is not installed here.
            if name in registry.names("methods"):
                configure(registry.method(name), settings, of=name)


def check_network_takes_the_images(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """The network can be made for the size of the images, and gives one output a class or embedding dimension."""
    conversion = benchmark.conversion
    if conversion.size is None or conversion.channels is None:
        shape = _images(benchmark, data_dir)[0]["ID training images"].shape
    else:
        shape = (conversion.channels, *conversion.size)
    networks = {config.network for recipe in benchmark.recipes.values() for config in (recipe.default,)}
    for name in {benchmark.network, *filter(None, networks)}:
        network = registry.network(name)(shape, benchmark.embedding_dim).eval()
        with torch.no_grad():
            outputs = network(to_unit_interval(torch.zeros((2, *shape), dtype=torch.uint8)))
        given = f"the network {name} gives outputs of shape {tuple(outputs.shape)} for 2 images of shape {shape}"
        require(tuple(outputs.shape) == (2, benchmark.embedding_dim), given)


def check_embedded_is_true(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """A benchmark that says that it is embedded needs no files."""
    if not benchmark.embedded:
        raise SkipTest("it does not say that it is embedded")
    with tempfile.TemporaryDirectory() as empty:
        for what, part in _parts(benchmark).items():
            present = registry.dataset(part.dataset, dict(part.settings)).locate(part.split, Path(empty)).present
            require(present, f"the {what} need files: set 'embedded' to False")


def check_images_fit_together(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """All images have one shape, and ID images have labels of the same classes in training and test."""
    images, missing = _images(benchmark, data_dir)
    shapes = {what: found.shape for what, found in images.items()}
    same = len(set(shapes.values())) == 1
    require(same, f"shapes differ ({shapes}): let 'conversion' name a size and a number of channels")
    labelled = [found for what, found in images.items() if what.startswith("ID")]
    require(all(found.labels is not None for found in labelled), "in-distribution images need labels")
    classes = {found.class_names for found in labelled}
    require(len(classes) == 1, f"training and test images must have the same classes, in one order; got {classes}")
    require(len(labelled[0].class_names) > 1, "a classifier needs at least 2 classes")
    _skip_if(missing)


def check_no_test_image_is_trained_on(benchmark: Benchmark, data_dir: Path | None = None) -> None:
    """No image of a test set, ID or OOD, is among the ID or seen OOD training images."""
    images, missing = _images(benchmark, data_dir)
    digests = {what: image_digests(found) for what, found in images.items()}
    for what, training in _pairs(digests):
        require(*none_shared(what, digests[what], training, digests[training]))
    _skip_if(missing)


def _pairs(names: dict[str, tuple[bytes, ...]]) -> Iterator[tuple[str, str]]:
    trained_on = [name for name in names if "training" in name]
    return ((name, training) for name in names if name not in trained_on for training in trained_on)


BENCHMARK_CHECKS: tuple[Check, ...] = (
    check_is_described,
    check_there_is_something_to_score,
    check_settings_of_parts_fit,
    check_recipes_can_be_followed,
    check_network_takes_the_images,
    check_embedded_is_true,
    check_images_fit_together,
    check_no_test_image_is_trained_on,
)
