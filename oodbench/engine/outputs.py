"""The one forward pass: a network's logits and features on a set of images, computed once and kept."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from oodbench.batch import Outputs, in_passes, to_unit_interval
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from oodbench.images import ImageSet
    from oodbench.progress import Reporter
    from oodbench.store.artifacts import ArtifactStore
    from oodbench.training.network import TrainedNetwork


@torch.inference_mode()
def compute_outputs(module: Any, images: NDArray[np.uint8], device: torch.device) -> Outputs:
    """Return the outputs of a network on images that fit the memory.

    Args:
        module: fits `oodbench.api.Network`, in evaluation mode, on the device.
        images: uint8, shape (n, channels, height, width).
        device: to compute on.
    """
    logits, features = (np.concatenate(parts) for parts in zip(*_passes(module, images, device), strict=True))
    return Outputs(logits=logits, features=features)


def _passes(
    module: Any, images: NDArray[np.uint8], device: torch.device
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield logits and features, a batch at a time."""

    def one_pass(part: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        features = module.features(to_unit_interval(torch.tensor(images[part], device=device)))
        logits = module.head(features)
        return logits.float().cpu().numpy(), features.float().cpu().numpy()

    return in_passes(images.shape[1:], len(images), device, one_pass)


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
        done = 0
        for logits, features in _passes(network.module, images.images, device):
            start, done = done, done + len(logits)
            for name, values in (("features", features), ("logits", logits)):
                if name not in arrays:
                    shape = (len(images), *values.shape[1:])
                    arrays[name] = open_memmap(aside / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)
                arrays[name][start:done] = values
            report.progress(f"forward pass on {images.name}", done, len(images))
        for array in arrays.values():
            array.flush()
        return {"network": network.digest, "images": images.fingerprint}

    return outputs
