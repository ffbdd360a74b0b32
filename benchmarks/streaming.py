"""Photos in files, more than the memory holds: decoding, one pass and all methods, against a bare loop without methods.

The bare loop is what a practitioner writes: torchvision's folder, a DataLoader with workers, and the network. Ours
decodes the same files, runs the same network on them, fits and scores every method that reads what the pass gave, and
computes all metrics. Each runs in a process of its own, whose peak memory is taken; half of the files are ID test
images, a quarter ID training images and a quarter an OOD set.

    python benchmarks/streaming.py                       # 20,000 files, and 2,000 for the growth of memory
    python benchmarks/streaming.py --files 1000 --small 200 --network resnet18
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

N_CLASSES = 10
PARTS = {"train": 0.25, "test": 0.5, "ood": 0.25}

FEWEST = 240
RUN_AGAIN = frozenset({"adascale", "mc_dropout", "rankfeat", "odin", "mahalanobis", "gradnorm"})
"""Methods that run the network again, or parts of it, so that they measure something else."""


def write_photos(place: Path, n_files: int, side: int) -> None:
    """Write JPEG files that are as large as photos of their size, a few at a time, in folders of classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, share in PARTS.items():
        for i in range(round(n_files * share)):
            file = place / part / f"class {i % N_CLASSES}" / f"{i:06}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
            grain = rng.integers(-12, 13, smooth.shape, dtype=np.int16)
            Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(file, quality=90)


def network(name: str) -> Any:
    """Return a network of torchvision with weights drawn from a seed."""
    import torch
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.get_model(name, num_classes=N_CLASSES).eval()


def bare(place: Path, name: str, size: int, workers: int, batch: int) -> int:
    """Send all files through the network, and return how many these are."""
    import torch
    from torch.utils.data import ConcatDataset, DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, Resize, ToTensor

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = network(name).to(device)
    steps = Compose([Resize((size, size)), ToTensor()])
    images = ConcatDataset([ImageFolder(str(place / part), steps) for part in PARTS])
    done = 0
    with torch.inference_mode():
        for pixels, _ in DataLoader(images, batch_size=batch, num_workers=workers):
            done += len(module(pixels.to(device)).cpu())
    return done


def ours(place: Path, name: str, size: int) -> int:
    """Evaluate all methods that read what one pass gives, and return how many images there were."""
    import warnings

    import oodbench
    from oodbench.engine.needs import needs_of
    from oodbench.engine.request import request
    from oodbench.given.model import GivenModel

    module = network(name)
    everything = request(["digits"], ["posthoc"], model=GivenModel.of(module, normalise="none"))
    methods = [
        entry.method
        for entry in everything.methods["digits"]
        if len(entry.method.networks) == 1 and "gradients" not in needs_of(entry.method) and entry.name not in RUN_AGAIN
        and not getattr(entry.method, "reads", ())
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as cache, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = oodbench.evaluate(
            module,
            place / "test",
            {"ood": place / "ood"},
            id_train=place / "train",
            methods=methods,
            normalise="none",
            image_size=size,
            cache_dir=cache,
        )
    print(f"{frame['method'].nunique()} methods", file=sys.stderr)
    return int(frame["n_id"][0] + frame["n_ood"][0]) + sum(1 for _ in (place / "train").rglob("*.jpg"))


def measured(kind: str, place: Path, given: argparse.Namespace) -> dict[str, float]:
    """Run one of the two in a process of its own; return images a second and peak memory in MB."""
    command = [
        sys.executable, __file__, "--run", kind, "--place", str(place), "--network", given.network,
        "--size", str(given.size), "--workers", str(given.workers), "--batch", str(given.batch),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  # this script
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_one(given: argparse.Namespace) -> None:
    """Do one of the two, and print what it took."""
    started = time.perf_counter()
    if given.run == "bare":
        n = bare(given.place, given.network, given.size, given.workers, given.batch)
    else:
        n = ours(given.place, given.network, given.size)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"images": n, "seconds": seconds, "pace": n / seconds, "peak": peak}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--small", type=int, default=2_000, help="so many files for the growth of memory")
    parser.add_argument("--side", type=int, default=256, help="of the files, in pixels")
    parser.add_argument("--size", type=int, default=224, help="of what the network sees")
    parser.add_argument("--network", default="resnet18", help="of torchvision")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64, help="of the bare loop")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--run", choices=["bare", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if min(given.files, given.small) < FEWEST:
        parser.error(f"--files and --small must be at least {FEWEST}: of fewer, no ID images are held out for klm")
    if given.run:
        run_one(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        found: dict[tuple[str, int], dict[str, float]] = {}
        for n in (given.small, given.files):
            place = Path(folder) / str(n)
            write_photos(place, n, given.side)
            for _ in range(given.rounds):
                for kind in ("bare", "ours"):
                    result = measured(kind, place, given)
                    if (kind, n) not in found or result["pace"] > found[kind, n]["pace"]:
                        found[kind, n] = result
    print(f"{given.network}, JPEG files of {given.side} pixels, {given.size} for the network, best of {given.rounds}")
    for (kind, n), result in found.items():
        print(f"{kind:5} {n:8,} files {result['pace']:9.1f} images a second, peak memory {result['peak']:8,.0f} MB")
    ratio = found["ours", given.files]["pace"] / found["bare", given.files]["pace"]
    growth = found["ours", given.files]["peak"] - found["ours", given.small]["peak"]
    print(f"ratio {ratio:.3f} (aim: at least 0.95), memory grows by {growth:,.0f} MB (aim: at most 300)")


if __name__ == "__main__":
    main()
