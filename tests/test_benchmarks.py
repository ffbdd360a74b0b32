"""Every installed benchmark: sound as a definition, and on real images where there are any."""

from __future__ import annotations

import hashlib

import pytest

from oodbench.data.loading import load_benchmark
from oodbench.engine.request import request
from oodbench.errors import MissingData
from oodbench.plugins import registry
from oodbench.progress import SILENT
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace

NAMES = registry.names("benchmarks")


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_is_named_as_it_is_registered(name):
    assert registry.benchmark(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_can_be_used_with_every_method(name):
    benchmark = registry.benchmark(name)

    for recipe in benchmark.recipes:
        assert request([benchmark], ["all"], recipe=recipe).methods


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_every_recipe_are_installed(name):
    benchmark = registry.benchmark(name)
    configs = [c for r in benchmark.recipes.values() for c in (r.default, *r.objectives.values())]

    assert {config.network or benchmark.network for config in configs} <= set(registry.names("networks"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Decoded images, for benchmarks that share them."""
    return ArtifactStore(tmp_path_factory.mktemp("cache"))


def image_digests(images):
    return {hashlib.sha256(image.tobytes()).digest() for image in images.images}


@pytest.mark.parametrize("name", NAMES)
def test_no_image_that_is_trained_on_is_tested_on(name, request, tmp_path, cache):
    benchmark = registry.benchmark(name)
    data_dir = tmp_path if benchmark.embedded else request.getfixturevalue("real_data")
    if name == "svhn":
        pytest.skip("the same images as cifar10, in the other roles")
    try:
        data = load_benchmark(benchmark, Workspace(data_dir=data_dir, artifacts=cache, report=SILENT))
    except MissingData as error:
        pytest.skip(str(error))
    trained = {images.name: image_digests(images) for images in (data.id_train, *data.seen.values())}
    tested = {images.name: image_digests(images) for images in (data.id_test, *data.ood.values())}

    assert {(a, b): len(one & other) for a, one in trained.items() for b, other in tested.items() if one & other} == {}


def test_embedded_benchmark_needs_no_files(tmp_path):
    data = load_benchmark(
        registry.benchmark("digits"),
        Workspace(data_dir=tmp_path, artifacts=ArtifactStore(tmp_path / "cache"), report=SILENT),
    )

    assert {name: len(images) for name, images in data.ood.items()} == {
        "digits 0 3 4 8": 238,
        "digits 5 9 1": 180,
        "photo patches": 1000,
        "gaussian": 1000,
    }
    assert data.missing == {}
