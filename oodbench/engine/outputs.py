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
from oodbench.progress import Pace
from oodbench.store.space import new_array
from oodbench.store.unfinished import PIECE, unfinished

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.images import ImageSet
    from oodbench.jobs import ReadyNetwork
    from oodbench.readings import Reading
    from oodbench.store.unfinished import Unfinished
    from oodbench.store.workspace import Workspace

_KIND = "outputs"


class KeptOutputs(Mapping[str, "NDArray[Any]"]):
    """The outputs of a network on a set of images, memory-mapped from the cache; only the first look may compute them.

    One pass gives everything that is not kept yet: the network's own outputs and all readings, each an artifact. A pass
    that was killed goes on after its last piece; images that nobody has seen yet are seen in it.

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
        self._workspace, self._artifacts, self._report = workspace, workspace.artifacts, workspace.report
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
        names = ["", *self._readings]
        # Before all images were seen nobody can know what is there.
        missing = self._not_kept(names) if self._images.is_seen else names
        # What is wrong with one method's reading must not keep the others from the pass.
        self._faults = {name: fault for name in missing if name and (fault := self._fault(name))}
        missing = [name for name in missing if name not in self._faults]
        if missing and not self._taken_from_the_whole(missing):
            self._pass(missing)
        folders = [self._artifacts.folder(_KIND, self._key(name)) for name in names if name not in self._faults]
        files = [file for folder in folders for file in sorted(folder.glob("*.npy"))]
        return {file.stem: np.load(file, mmap_mode="r") for file in files}

    def _fault(self, name: str) -> str:
        return reading_fault(self._network.module, self._images.images[:1], self._device, self._readings[name])

    def _key(self, name: str) -> str:
        """Return the key of a reading, or, under "", of the network's own outputs."""
        basis = [self._network.digest, self._images.fingerprint, code_digest(self._network.module)]
        if not name:
            return digest([_KIND, *basis])
        return digest(["reading", *basis, self._readings[name], code_digest(self._readings[name])])

    def _not_kept(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if self._artifacts.find(_KIND, self._key(name)) is None]

    def _taken_from_the_whole(self, names: Sequence[str]) -> bool:
        """Copy rows where these images are a part of others that went through the network; return whether they are."""
        if self._images.part_of is None:
            return False
        whole, rows = self._images.part_of
        outputs = KeptOutputs(self._network, whole, self._workspace, self._device, tuple(self._readings.values()))
        if not whole.is_seen or outputs._not_kept(names):  # of the same class
            return False

        def copy(asides: Sequence[Path]) -> list[dict[str, Any]]:
            for name, aside in zip(names, asides, strict=True):
                for file in self._artifacts.folder(_KIND, outputs._key(name)).glob("*.npy"):
                    values = np.load(file, mmap_mode="r")
                    kept = new_array(aside / file.name, values.dtype, (len(rows), *values.shape[1:]))
                    for start in range(0, len(rows), PIECE):
                        kept[start : start + PIECE] = values[rows[start : start + PIECE]]
                    kept.flush()
            return [self._facts()] * len(names)

        self._artifacts.save_several(_KIND, [self._key(name) for name in names], copy)
        return True

    def _facts(self) -> dict[str, Any]:
        return {"network": self._network.digest, "images": self._images.fingerprint}

    def _pass(self, names: Sequence[str]) -> None:
        """Run the network once, from where an earlier start has come to, and keep what it says.

        Raises:
            StoreError: there is no room for it.
        """
        readings = [self._readings[name] for name in names if name]
        codes = [code_digest(thing) for thing in (self._network.module, *readings)]
        key = digest(["pass", self._network.digest, self._images.identity, readings, codes, "" in names])
        with self._artifacts.writing(), unfinished(self._artifacts.root, key, len(self._images)) as arrays:
            self._compute(arrays, names, readings)
            missing = self._not_kept(names)
            keys = [self._key(name) for name in missing]
            if missing:
                self._artifacts.save_several(
                    _KIND, keys, lambda asides: self._moved(arrays, dict(zip(missing, asides, strict=True)))
                )

    def _moved(self, arrays: Unfinished, asides: Mapping[str, Path]) -> list[dict[str, Any]]:
        for name in arrays.names:
            aside = asides.get(name if name in self._readings else "")
            if aside is not None:
                arrays.move(name, aside)
        return [self._facts()] * len(asides)

    @torch.inference_mode()
    @torch.inference_mode()
    def _compute(self, arrays: Unfinished, names: Sequence[str], readings: Sequence[Reading]) -> None:
        """Send the images through the network that have not been yet."""
        total = len(self._images)
        pace = Pace(self._report, f"forward pass on {self._images.name}", total, arrays.done)
        if arrays.done == total:
            return
        left = self._images.images
        if arrays.done:
            left = self._images.at(np.arange(arrays.done, total)).images
        for part in passes(self._network.module, left, self._device, readings):
            wanted = {name: values for name, values in part.items() if name in self._readings or "" in names}
            arrays.add(wanted)
            pace.went_on(len(next(iter(part.values()))))


def reading_fault(module: Any, image: NDArray[np.uint8], device: torch.device, reading: Reading) -> str:
    """Say what goes wrong with a reading of a network's layers, or return "".

    Args:
        module: the network, in evaluation mode, on the device.
        image: one to try it on, uint8 of shape (1, channels, height, width).
        device: to compute on.
        reading: what a method wants of the layers.
    """
    try:
        next(passes(module, image, device, [reading]))
    except OodbenchError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # foreign code
        return described(error)
    return ""
