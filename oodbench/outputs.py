"""The one forward pass: a network's logits and features on a set of images, computed once and kept."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from .batch import Outputs, to_unit_interval
from .hashing import code_digest, digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .artifacts import ArtifactStore
    from .images import ImageSet
    from .report import Reporter
    from .training.trained import TrainedNetwork

BATCH_SIZE = 1000


def outputs_of(
    network: TrainedNetwork,
    images: ImageSet,
    artifacts: ArtifactStore,
    device: torch.device,
    report: Reporter,
) -> Callable[[], Outputs]:
    """Return a function that gives the outputs of a network on a set; only its first call may run the network.

    Args:
        network: in evaluation mode; its weights name the artifact, not the settings it was trained with.
        images: the set; its content names the artifact.
        artifacts: where outputs are kept; they are memory-mapped from there.
        device: to compute on.
        report: told how far the pass is.
    """

    @cache
    def outputs() -> Outputs:
        key = digest(["outputs", network.digest, images.fingerprint, code_digest(network.module)])
        folder = artifacts.find("outputs", key) or artifacts.save("outputs", key, compute)
        arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("logits", "features"))
        logits, features = arrays
        return Outputs(logits=logits, features=features)

    @torch.inference_mode()
    def compute(aside: Path) -> dict[str, Any]:
        arrays: dict[str, np.memmap[Any, Any]] = {}
        for start in range(0, len(images), BATCH_SIZE):
            pixels = torch.tensor(images.images[start : start + BATCH_SIZE], device=device)
            features = network.module.features(to_unit_interval(pixels))
            for name, values in (("features", features), ("logits", network.module.head(features))):
                if name not in arrays:
                    shape = (len(images), *values.shape[1:])
                    arrays[name] = open_memmap(aside / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)
                arrays[name][start : start + len(values)] = values.float().cpu().numpy()
            report.progress(f"forward pass on {images.name}", min(start + BATCH_SIZE, len(images)), len(images))
        for array in arrays.values():
            array.flush()
        return {"network": network.digest, "images": images.fingerprint}

    return outputs
