"""What a network says of a set of images: computed in one forward pass for all methods, and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from oodbench.errors import OodbenchError, ScoreError, described
from oodbench.forward import passes
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest
from oodbench.store.space import new_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.images import ImageSet
    from oodbench.jobs import ReadyNetwork
    from oodbench.readings import Reading
    from oodbench.store.workspace import Workspace

_KIND = "outputs"


class KeptOutputs(Mapping[str, "NDArray[Any]"]):
    """The outputs of a network on a set of images, memory-mapped from the cache; only the first look may compute them.

    One pass gives everything that is not kept yet: the network's own outputs and all readings, each an artifact.

    Args:
        network: in evaluation mode; its weights name the artifacts, not the settings it was trained with.
        images: the set; its content names the artifacts.
        workspace: where outputs are kept, and who is told how far the pass is.
        device: to compute on.
        readings: what methods want of inner layers.
    """

    def __init__(
        self,
        network: ReadyNetwork,
        images: ImageSet,
        workspace: Workspace,
        device: torch.device,
        readings: Sequence[Reading] = (),
    ) -> None:
        self._network, self._images, self._device = network, images, device
        self._artifacts, self._report = workspace.artifacts, workspace.report
        self._readings = {reading.name: reading for reading in readings}
        self._faults: dict[str, str] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        arrays = self._arrays
        if name in self._faults:
            raise ScoreError(f"the reading {name} of the network's layers fails: {self._faults[name]}")
        return arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        basis = [self._network.digest, self._images.fingerprint, code_digest(self._network.module)]
        keys = {"": digest([_KIND, *basis])}
        keys |= {
            name: digest(["reading", *basis, reading, code_digest(reading)]) for name, reading in self._readings.items()
        }
        missing = [name for name, key in keys.items() if self._artifacts.find(_KIND, key) is None]
        # What is wrong with one method's reading must not keep the others from the pass.
        self._faults = {name: fault for name in missing if name and (fault := self._fault(self._readings[name]))}
        missing = [name for name in missing if name not in self._faults]
        keys = {name: key for name, key in keys.items() if name not in self._faults}
        if missing:
            wanted = [self._readings[name] for name in missing if name]
            self._artifacts.save_several(
                _KIND,
                [keys[name] for name in missing],
                lambda asides: self._compute(dict(zip(missing, asides, strict=True)), wanted),
            )
        files = [file for key in keys.values() for file in sorted(self._artifacts.folder(_KIND, key).glob("*.npy"))]
        return {file.stem: np.load(file, mmap_mode="r") for file in files}

    @torch.inference_mode()
    def _fault(self, reading: Reading) -> str:
        """Say what goes wrong with a reading on the first image, or return ""."""
        try:
            next(passes(self._network.module, self._images.images[:1], self._device, [reading]))
        except OodbenchError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  # foreign code
            return described(error)
        return ""

    @torch.inference_mode()
    def _compute(self, asides: Mapping[str, Path], readings: Sequence[Reading]) -> list[dict[str, Any]]:
        """Run the network once; write its own outputs into the folder "", and each reading into the one of its name."""
        arrays: dict[str, np.memmap[Any, Any]] = {}
        done = 0
        for part in passes(self._network.module, self._images.images, self._device, readings):
            start, done = done, done + len(next(iter(part.values())))
            for name, values in part.items():
                aside = asides.get(name if name in self._readings else "")
                if aside is None:
                    continue
                if name not in arrays:
                    shape = (len(self._images), *values.shape[1:])
                    arrays[name] = new_array(aside / f"{name}.npy", values.dtype, shape)
                arrays[name][start:done] = values
            self._report.progress(f"forward pass on {self._images.name}", done, len(self._images))
        for array in arrays.values():
            array.flush()
        return [{"network": self._network.digest, "images": self._images.fingerprint} for _ in asides]
