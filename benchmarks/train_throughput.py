"""Images a second in training: this project's loop against the usual one, on the same network and images.

The usual loop: torchvision's CIFAR-10 class with ToTensor, a shuffling DataLoader with workers, float32, contiguous
memory. Ours: images on the device as bytes, channels-last, in float32 and in bfloat16, and with `--compile` both
compiled (`torch.compile`, which needs a compiler; what it takes before the first step is not counted). All train
VGG-13 with batch normalisation and Adam on random images; what they learn does not matter here. Rounds alternate, and
the ratio of the medians is printed.

    python benchmarks/train_throughput.py --rounds 3 --images 1024
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10
from torchvision.transforms import ToTensor

from oodbench.objectives import CrossEntropy
from oodbench.plugins import registry
from oodbench.training.config import TrainConfig
from oodbench.training.loop import TrainingImages, train


def usual(images: np.ndarray, labels: np.ndarray, *, batch_size: int, workers: int, device: torch.device) -> float:
    """Return images a second of one epoch of the usual loop, after the workers have started."""
    data = CIFAR10.__new__(CIFAR10)
    data.data, data.targets = images.transpose(0, 2, 3, 1), labels.tolist()
    data.transform, data.target_transform = ToTensor(), None
    loader = DataLoader(
        data,
        batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
    network = registry.network("vgg13_bn")((3, 32, 32), 10).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for epoch in range(2):
        started = time.perf_counter()
        for batch, target in loader:
            outputs = network(batch.to(device, non_blocking=True))
            loss = torch.nn.functional.cross_entropy(outputs, target.to(device, non_blocking=True))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        _wait(device)
        if epoch:
            return len(loader) * batch_size / (time.perf_counter() - started)
    raise AssertionError


def ours(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    precision: str,
    device: torch.device,
    compiled: bool = False,
) -> float:
    """Return images a second of one epoch of this project's loop, after a first one."""
    ends: list[float] = []

    def note(*_: object) -> None:
        _wait(device)
        ends.append(time.perf_counter())

    config = TrainConfig(
        epochs=2,
        batch_size=batch_size,
        precision=precision,  # type: ignore[arg-type]
        compile=compiled,
    )
    build = registry.network("vgg13_bn")
    data = TrainingImages(images=images, labels=labels)
    train(lambda: build((3, 32, 32), 10), CrossEntropy(), data, config, seed=0, device=device, on_epoch=note)
    return len(images) // batch_size * batch_size / (ends[1] - ends[0])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="also measure the compiled network")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (arguments.images, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, arguments.images)
    batch: dict[str, Any] = {"batch_size": arguments.batch_size, "device": device}
    contestants: dict[str, Callable[[], float]] = {
        "usual loop, float32": lambda: usual(images, labels, workers=arguments.workers, **batch),
        "ours, float32": lambda: ours(images, labels, precision="float32", **batch),
        "ours, bfloat16": lambda: ours(images, labels, precision="bfloat16", **batch),
    }
    if arguments.compile:
        contestants |= {
            "ours, float32, compiled": lambda: ours(images, labels, precision="float32", compiled=True, **batch),
            "ours, bfloat16, compiled": lambda: ours(images, labels, precision="bfloat16", compiled=True, **batch),
        }
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            speeds[name].append(run())
    base = statistics.median(speeds["usual loop, float32"])
    print(f"VGG-13 with batch norm on {device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"{name:25} {middle:8.0f} images/s   {middle / base:5.2f}x   ({min(values):.0f} to {max(values):.0f})")


if __name__ == "__main__":
    main()
