"""What every entry of the gallery is given to, made once."""

from __future__ import annotations

import numpy as np
import pytest

import oodbench as package
from oodbench.benchmark import Part
from oodbench.data.parts import load_part
from oodbench.images import Conversion
from oodbench.store.artifacts import ArtifactStore
from oodbench.store.workspace import Workspace
from tests.cli.conftest import small  # noqa: F401  # a fixture
from tests.networks_of_ones_own import brightness_classifier

GREYS = np.repeat(np.linspace(0, 200, 24).astype(np.uint8), 3 * 8 * 8).reshape(24, 3, 8, 8)
"""Images from black to light grey: the two classes of a classifier by brightness."""


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    """A detector of three classes of digits."""
    kept = tmp_path_factory.mktemp("kept")
    labels = np.arange(24) // 12
    package.evaluate(
        brightness_classifier(2, step=150), (GREYS, labels), GREYS[::-1] + 50, methods="msp", normalise="none",
        image_size=8, results_dir=kept / "results", save_detectors=True, cache_dir=kept / "cache", name="greys",
    )  # fmt: skip
    return package.Detector.load(next((kept / "results").rglob("*.detector")))


@pytest.fixture
def evaluated():
    """Return a function that evaluates a classifier by brightness on greys against each other, unless others come."""

    def evaluate(*, id_test=None, ood=None, n_classes=2, name=""):
        test = (GREYS, np.arange(24) // 12) if id_test is None else id_test
        return package.evaluate(
            brightness_classifier(n_classes, step=300 // n_classes), test, GREYS + 50 if ood is None else ood,
            methods="msp", normalise="none", image_size=8, name=name,
        )  # fmt: skip

    return evaluate


@pytest.fixture
def read(tmp_path):
    """Return a function that reads the test images of a path."""

    def load(path, size=None):
        workspace = Workspace(artifacts=ArtifactStore(tmp_path / "cache"))
        return load_part(Part(dataset=str(path)), Conversion(size=size), workspace)

    return load
