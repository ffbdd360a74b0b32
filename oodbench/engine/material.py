"""What methods are fitted and scored on: networks, with all images of their benchmark as these networks see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from oodbench.batch import Batch
from oodbench.contamination import UNLABELLED
from oodbench.data.altering import WAYS, altered
from oodbench.errors import NeedsTrainingImages
from oodbench.tuning import drawn

from .outputs import KeptOutputs

if TYPE_CHECKING:
    import torch

    from oodbench.data.loading import BenchmarkData
    from oodbench.images import ImageSet
    from oodbench.jobs import NetworkJob, ReadyNetwork
    from oodbench.readings import Reading
    from oodbench.store.workspace import Workspace

ALTERED_IMAGES = 1000
"""So many of each kind are made at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """Networks with all images of a benchmark, shared by every method that is scored on them.

    Attributes:
        networks: what is evaluated: one, or several for methods that combine some.
        data: the images.
        device: to compute on.
        train: the labelled ID images that the first network was trained on.
        validation: the ID images that no network was trained on: the benchmark's own validation images, or the training
            images that were held out from all networks; None where there are none.
        id_test: the ID test images.
        seen: seen OOD training images, by the name of the OOD test set of that distribution.
        ood: the OOD test sets.
        ood_validation: OOD images to choose settings on.
        altered: images made by altering held-out ID images, by the way in which they are made; each is made, and seen
            by the networks, when a method asks for it.
    """

    networks: tuple[ReadyNetwork, ...]
    data: BenchmarkData
    device: torch.device
    train: Batch
    validation: Batch | None
    id_test: Batch
    seen: Mapping[str, Batch]
    ood: Mapping[str, Batch]
    ood_validation: Mapping[str, Batch]
    altered: Mapping[str, Batch]

    @classmethod
    def of(
        cls,
        jobs: Sequence[NetworkJob],
        networks: Sequence[ReadyNetwork],
        data: BenchmarkData,
        workspace: Workspace,
        device: torch.device,
        readings: Sequence[Reading] = (),
    ) -> Material:
        """Lay out the images of a benchmark; no forward pass is run before a method asks for its outputs.

        Args:
            jobs: that gave the networks.
            networks: to see the images with.
            data: the images.
            workspace: where outputs are kept.
            device: to compute on.
            readings: what any method wants of inner layers.
        """

        def batch(images: ImageSet) -> Batch:
            first, *others = (KeptOutputs(network, images, workspace, device, readings) for network in networks)
            return Batch.of(images, first, device, tuple(others))

        train, validation = _halves(jobs, data, batch)
        if data.id_validation is not None:
            validation = batch(data.id_validation)
        return cls(
            networks=tuple(networks),
            data=data,
            device=device,
            train=train,
            validation=validation,
            id_test=batch(data.id_test),
            seen={name: batch(images) for name, images in data.seen.items()},
            ood={name: batch(images) for name, images in data.ood.items()},
            ood_validation={name: batch(images) for name, images in data.ood_validation.items()},
            altered=Altered(validation, batch, jobs[0].seed),
        )


def _halves(
    jobs: Sequence[NetworkJob], data: BenchmarkData, batch: Callable[[ImageSet], Batch]
) -> tuple[Batch, Batch | None]:
    """Return the ID images that the first network was trained on, and those that were held out from all."""
    if data.id_train is None:
        return cast("Batch", NoTrainingImages()), None
    halves, whole = [job.hold_out(data) for job in jobs], batch(data.id_train)
    fit = halves[0].fit
    if data.id_train.partly_labelled:
        assert data.id_train.labels is not None  # some have one
        # Some objectives learn from images without a label; what is fitted to their outputs counts on labels.
        fit = fit[data.id_train.labels[fit] != UNLABELLED]
    # Each network has its own, drawn from its seed: else several could not be the networks of other methods.
    held_out = reduce(np.intersect1d, (each.validation for each in halves))
    return whole.at(fit), whole.at(held_out) if len(held_out) else None


class Altered(Mapping[str, Batch]):
    """Images made by altering held-out ID images, by the way in which they are made; made once, when asked for.

    Args:
        validation: held-out ID images, or None where there are none.
        batch: lays images out as the networks see them.
        seed: of everything random.
    """

    def __init__(self, validation: Batch | None, batch: Callable[[ImageSet], Batch], seed: int) -> None:
        self._validation, self._batch, self._seed = validation, batch, seed
        self._made: dict[str, Batch] = {}

    def __getitem__(self, way: str) -> Batch:
        if self._validation is None or way not in WAYS:
            raise KeyError(way)
        if way not in self._made:
            chosen = drawn(self._validation, ALTERED_IMAGES, self._seed)
            images = np.ascontiguousarray(chosen.source.images[chosen.rows])
            self._made[way] = self._batch(altered(images, way, self._seed))
        return self._made[way]

    def __iter__(self) -> Iterator[str]:
        return iter(() if self._validation is None else WAYS)

    def __len__(self) -> int:
        return 0 if self._validation is None else len(WAYS)


class NoTrainingImages:
    """Stands where training images would, and says so to a method that asks for them."""

    def __getattr__(self, name: str) -> Any:
        raise NeedsTrainingImages("there are no ID training images")

    def __len__(self) -> int:
        raise NeedsTrainingImages("there are no ID training images")
