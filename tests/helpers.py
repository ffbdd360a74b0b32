"""Small benchmarks that run in a second, without any files."""

from __future__ import annotations

import numpy as np
from PIL import Image

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.hashing.values import digest
from oodbench.images import Conversion
from oodbench.store.records import CHECKSUM
from oodbench.training.config import TrainConfig

DIGITS = ("2", "6", "7")


def small_benchmark(name="small", **changes):
    """Return three of scikit-learn's digits against others and noise, trained for a moment."""
    fields = {
        "name": name,
        "title": "a small benchmark",
        "source": "tests",
        "id_train": Part(dataset="digits", split="train", classes=DIGITS),
        "id_test": Part(dataset="digits", classes=DIGITS),
        "seen": {"seen digits": Part(dataset="digits", split="train", classes=("0", "3"))},
        "ood": (
            OodSet(name="seen digits", part=Part(dataset="digits", classes=("0", "3")), role="seen"),
            OodSet(name="new digits", part=Part(dataset="digits", classes=("5",)), role="novelty"),
            OodSet(name="noise", part=Part(dataset="gaussian", settings={"count": 50}), role="anomaly"),
        ),
        "conversion": Conversion(size=(8, 8), channels=1),
        "network": "tinynet",
        "embedding_dim": 3,
        "recipes": {
            "default": Recipe(
                default=TrainConfig(epochs=4, batch_size=64, learning_rate=3e-3), methods={"ccag": {"width": 4}}
            ),
            "short": Recipe(default=TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, max_images=100)),
        },
        **changes,
    }
    return Benchmark(**fields)


def save_photos(folder, classes, seed=0):
    """Save 24 images a class in class folders, of differing sizes and of a brightness that tells the class."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(24):
            pixels = np.clip(rng.normal(40 * k, 20, (9 + i % 3, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


class Listener:
    """A reporter that writes down what it is told."""

    def __init__(self):
        self.messages = []
        self.tasks = []

    def message(self, text):
        self.messages.append(text)

    def warning(self, text):
        self.messages.append(text)

    def progress(self, task, done, total):
        self.tasks.append((task.partition(",")[0], done, total))

    def cells(self, done, total):
        self.tasks.append(("cells", done, total))

    def count(self, start):
        """Return how many messages start with some words."""
        return sum(message.startswith(start) for message in self.messages)


def signed(content):
    """Return a record's entries with a checksum that fits, as after a change."""
    entries = {name: value for name, value in content.items() if name != CHECKSUM}
    return {**entries, CHECKSUM: digest(entries)}
