"""Which network has learnt most after so many minutes of this processor: the choice behind the recipe `cpu`.

Each network is trained on a benchmark's own images by its recipe, on one cycle as long as its pace allows: the
pace, in images a second of processor time, is measured first on images that are made up. Networks follow one another,
each with one thread, so leave the other cores alone.

    python benchmarks/networks.py --minutes 10 --data-dir data
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from _scene import machine, threads

import oodbench
from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.training.config import TrainConfig
from oodbench.training.loop import TrainingImages, train

BATCH, CPU = 128, torch.device("cpu")
NETWORKS = ("airbench", "resnet9_half", "wrn_16_4", "resnet9", "vgg13_bn", "resnet18")


def pace(name: str, steps: int) -> float:
    """Return images that a network is trained with in a second of the processor, augmented as the recipe says."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * BATCH, 3, 32, 32), np.uint8)
    labels = rng.integers(0, 10, len(images))
    config = TrainConfig(steps=steps, batch_size=BATCH, optimizer="sgd", learning_rate=0.01, augment=("crop", "flip"))
    started = 0.0
    for _ in range(2):  # the first time sets up
        data = TrainingImages(images=images, labels=labels)
        started = time.process_time()
        train(
            lambda: registry.network(name)((3, 32, 32), 10),
            CrossEntropy(),
            data,
            config,
            seed=0,
            device=CPU,
        )
    return BATCH * steps / (time.process_time() - started)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="benchmark", default="cifar10")
    parser.add_argument("--recipe", default="cpu")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=registry.names("networks"))
    parser.add_argument("--minutes", type=float, default=10.0, help="of the processor, for each network")
    parser.add_argument("--steps", type=int, default=20, help="that the pace is measured on")
    parser.add_argument("--data-dir", type=Path, default=None)
    given = parser.parse_args(arguments)
    print(f"{machine(CPU)}; {given.benchmark}, {given.minutes:g} minutes each")
    print("| network | weights, millions | images a CPU second | steps | ID accuracy | minutes it took |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    places = {} if given.data_dir is None else {"data_dir": given.data_dir}
    with threads(1), tempfile.TemporaryDirectory() as folder:
        for name in given.networks:
            weights = sum(weight.numel() for weight in registry.network(name)((3, 32, 32), 10).parameters()) / 1e6
            images = pace(name, given.steps)
            steps = max(1, round(given.minutes * 60 * images / BATCH))
            started = time.process_time()
            frame = oodbench.run(
                given.benchmark,
                "msp",
                recipe=given.recipe,
                settings={"recipe": {"network": name, "steps": steps, "epochs": None}},
                results_dir=Path(folder, name),
                cache_dir=Path(folder, "cache"),
                device="cpu",
                **places,
            )
            took = (time.process_time() - started) / 60
            accuracy = 100 * frame["accuracy"].iloc[0]
            print(f"| {name} | {weights:.1f} | {images:.0f} | {steps:,} | {accuracy:.1f} | {took:.1f} |", flush=True)


if __name__ == "__main__":
    main()
