"""Whether batches of our passes suit the processor: our pass against the best batch size and order found by search.

The search runs each network as its package gives it, with images in either order (channels last or first), in batches
of each size. Ours is the pass of a run: the size that the rule gives, channels last, batch normalisation folded.
Processor time is compared, the best of some rounds, on one thread; ours and the best are measured in turn, so that what
else the machine does meets both.

    nice -n 19 python benchmarks/batches.py
    nice -n 19 python benchmarks/batches.py --networks efficientnet_lite0 --sizes 2 4 8 --pixels 160
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module

import numpy as np
import torch
from _scene import machine, threads
from torch import nn

from oodbench.batch import pass_size
from oodbench.forward import Forward
from oodbench.given.model import GivenModel

CPU = torch.device("cpu")
ORDERS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
Run = Callable[[], object]


def efficientnet_lite0() -> nn.Module:
    """Return EfficientNet-Lite0 of the package efficientnet-lite-pytorch."""
    model: nn.Module = import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    return model


def of_torchvision(name: str) -> Callable[[], nn.Module]:
    """Return what makes a network of torchvision with random weights."""
    return lambda: import_module("torchvision.models").get_model(name)


def vit_small() -> nn.Module:
    """Return timm's ViT-S with patches of 16 × 16 pixels."""
    model: nn.Module = import_module("timm").create_model("vit_small_patch16_224")
    return model


NETWORKS = {
    "efficientnet_lite0": efficientnet_lite0,
    "resnet18": of_torchvision("resnet18"),
    "resnet50": of_torchvision("resnet50"),
    "vit_small": vit_small,
}


def seconds(run: Run, n_images: int) -> float:
    """Return processor seconds an image."""
    started = time.process_time()
    run()
    return (time.process_time() - started) / n_images


def plain(model: nn.Module, batch: torch.Tensor, order: torch.memory_format) -> Run:
    """Return a pass of a network as it is."""

    @torch.inference_mode()
    def run() -> object:
        # It stays in this order until the next one is tried.
        model.to(memory_format=order)  # type: ignore[call-overload]
        return model(batch)

    return run


def ours(model: nn.Module, pixels: np.ndarray) -> Run:
    """Return the pass of a run on a given model; making it ready is not part of it."""
    shape = pixels.shape[1:]
    ready = GivenModel.of(model, normalise="imagenet").on(CPU, shape)
    forward = Forward(ready.module, shape, CPU)
    return lambda: forward.in_memory(pixels)


def measure(name: str, sizes: Sequence[int], side: int, rounds: int) -> str:
    """Search, compare, print, and return a line of a table in Markdown."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval().requires_grad_(requires_grad=False)
    random = torch.Generator().manual_seed(0)
    found: dict[tuple[str, int], float] = {}
    for order, layout in ORDERS.items():
        for size in sizes:
            batch = torch.rand(size, 3, side, side, generator=random).contiguous(memory_format=layout)
            run = plain(model, batch, layout)
            run()
            found[order, size] = min(seconds(run, size) for _ in range(rounds))
            print(f"  {name}, {order}, {size:3} at once: {1000 * found[order, size]:6.1f} ms", flush=True)
    order, size = min(found, key=found.__getitem__)
    own = pass_size((3, side, side), CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (own * max(1, size // own), 3, side, side), dtype=np.uint8)
    mine = ours(model, pixels)
    batch = torch.rand(size, 3, side, side, generator=random).contiguous(memory_format=ORDERS[order])
    best = plain(model, batch, ORDERS[order])
    mine(), best()
    # In turn: what the machine does besides changes from minute to minute.
    turns = [(seconds(mine, len(pixels)), seconds(best, size)) for _ in range(2 * rounds)]
    taken, least = (1000 * min(times) for times in zip(*turns, strict=True))
    whole = 1000 * found["channels first", max(sizes)]
    return (
        f"| {name} | {own} | {taken:.1f} | {size}, {order} | {least:.1f} | {taken / least:.2f} | "
        f"{max(sizes)}: {whole:.1f} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--pixels", type=int, default=224, help="side of the images")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    with threads(given.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(machine(CPU))
        lines = [measure(name, given.sizes, given.pixels, given.rounds) for name in given.networks]
    print(
        "| network | ours, images at once | ms an image | best found | ms an image | ratio | largest, channels first |"
    )
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: |")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
