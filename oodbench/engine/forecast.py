"""What a run will keep, and how often it will decode which images, before any of it is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from oodbench.data.source_images import SourceImages
from oodbench.forward import says, watched_by
from oodbench.image_rows import Rows
from oodbench.training.pixels import fits

from .needs import needs_of
from .outputs import reading_fault

if TYPE_CHECKING:
    from oodbench.data.loading import BenchmarkData
    from oodbench.images import ImageSet
    from oodbench.jobs import Cell

    from .runner import Prepared


@dataclass(frozen=True, kw_only=True)
class SetForecast:
    """What will become of one set.

    Attributes:
        name: of the set.
        images: how many there are.
        pixel_bytes: of all its images, decoded.
        kept: whether these are kept: "there already", "yes" or "no".
        decoded: how often, in words.
    """

    name: str
    images: int
    pixel_bytes: int
    kept: str
    decoded: str


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run will keep.

    Attributes:
        sets: those that lie in files, in the order in which they take their share of the room for pixels.
        pixel_bytes: of the sets that are kept, with those that are there already.
        output_bytes: of what networks will say of all images.
    """

    sets: tuple[SetForecast, ...]
    pixel_bytes: int
    output_bytes: int


def forecast(prepared: Prepared) -> Forecast:
    """Return what a planned run will keep and decode.

    Args:
        prepared: the plan; its images need not have been seen.
    """
    sets = dict[str, SetForecast]()
    limit, taken = prepared.workspace.pixels.size, 0
    for rows, images, data in _sources(prepared):
        if rows.key in sets:
            continue
        cells = [cell for cell in prepared.to_do() if cell.benchmark.name == data.benchmark.name]
        kept, decoded = _fate(rows, images, data, cells, prepared.devices[0], room=taken + rows.nbytes <= limit)
        taken += 0 if kept == _NO else rows.nbytes
        sets[rows.key] = SetForecast(
            name=rows.name, images=len(rows), pixel_bytes=rows.nbytes, kept=kept, decoded=decoded
        )
    return Forecast(sets=tuple(sets.values()), pixel_bytes=taken, output_bytes=_output_bytes(prepared))


_THERE, _YES, _NO = "there already", "yes", "no"


def _sources(prepared: Prepared) -> Iterator[tuple[SourceImages, ImageSet, BenchmarkData]]:
    """Yield the sets of a plan that lie in files, those that are used most first."""
    for data in prepared.data.values():
        for images in data.sets:
            rows = images.images.source if isinstance(images.images, Rows) else None
            if isinstance(rows, SourceImages):
                yield rows, images, data


def _fate(
    rows: SourceImages,
    images: ImageSet,
    data: BenchmarkData,
    cells: list[Cell],
    device: torch.device,
    *,
    room: bool,
) -> tuple[str, str]:
    """Return whether pixels are kept, and how often they are decoded."""
    jobs = {job.key: job for cell in cells for job in cell.networks}
    unseen = rows.identity is not None
    again = sorted({cell.method_name for cell in cells if "gradients" in needs_of(cell.method)})
    others = f"{', '.join(again[:3])}{' and others' if len(again) > 3 else ''}"
    if rows.is_kept or not (jobs or unseen):
        return (_THERE if rows.is_kept else _NO), "not again"
    if room and rows.again:
        return _YES, "once"
    if room and again:
        return _YES, f"twice: in the pass, and for {others}"
    # Nobody needs to see them apart from the pass, where there is a network from the start.
    uses = ["once to know them"] if unseen and (rows.again or not jobs) else []
    if images is data.id_train and any(job.training for job in jobs.values()):
        uses.append("once a training" if fits(images.images.shape, device) else "once an epoch")
    uses += ["once in the pass" if len(jobs) == 1 else f"in each of {len(jobs)} passes"] if jobs else []
    uses += [f"again for {others}"] if again else []
    return _NO, ", ".join(uses)


@torch.inference_mode()
def _output_bytes(prepared: Prepared) -> int:
    """Return how much all networks will say of all images, by what they say of one that is black."""
    total = 0
    for name, data in prepared.data.items():
        cells = [cell for cell in prepared.to_do() if cell.benchmark.name == name]
        jobs = {job.key: job for cell in cells for job in cell.networks}
        tests = len(data.id_test) + sum(map(len, data.ood.values()))
        for key, job in jobs.items():
            own = [cell for cell in cells if key in cell.network_keys]
            learns = any("training_images" in needs_of(cell.method) for cell in own)
            n = tests + (len(data.id_train) if learns and data.id_train is not None else 0)
            wanted = dict.fromkeys(reading for cell in own for reading in getattr(cell.method, "reads", ()))
            module, shape = job.untrained(data).eval(), data.id_test.shape
            black, cpu = np.zeros((1, *shape), np.uint8), torch.device("cpu")
            # A method whose reading fails is left out, and takes no room.
            readings = [reading for reading in wanted if not reading_fault(module, black, cpu, reading)]
            said = says(module, torch.zeros(1, *shape), watched_by(readings, module, shape))
            total += n * sum(values.numel() * 4 for values in said.values())
    return total
