"""A fitted detector to take home: scores new images without the benchmark that it comes from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from . import device as devices
from .batch import Batch, batch_size
from .detector_file import FORMAT, Contents, read_contents, write_contents
from .errors import DataError
from .files import Member, Pictures, Source, images_at, printable
from .forward import Forward
from .hashing.values import plain
from .images import Conversion, ImageSet, RawImages, convert, pixels_of
from .metrics import roc_curve
from .plugins import registry
from .scoring import BATCH_SIZE, classes_of, scores_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from . import api
    from .readings import Reading
    from .store.records import Record, Scores

Images: TypeAlias = "str | Path | Image | NDArray[np.uint8] | Iterable[str | Path | Image | NDArray[np.uint8]]"
"""An image file, a folder, a PIL image, a uint8 array of shape (n, channels, height, width), or several of these."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What a detector says of one image.

    Attributes:
        source: path of its file, or "image 0" and so on, counted from 0, for one that comes from no file.
        class_name: the in-distribution class that it looks most like; None where the method does not classify.
        score: higher = more in-distribution.
        is_in_distribution: whether the score reaches the threshold.
    """

    source: str
    class_name: str | None
    score: float
    is_in_distribution: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """A fitted method with its networks and all that it takes to score images as its benchmark's were.

    Attributes:
        method: with the hyper-parameters that are not at their defaults, such as "odm (margin=5)".
        in_dist: name of the benchmark.
        class_names: of the in-distribution classes, in the order of their indices.
        conversion: size and channels that every image is brought to.
        scores_id: scores of the benchmark's in-distribution test images, sorted, float64, shape (n_id,).
        record: what the record of its result says of how it was made: key, settings, seed, versions.
        fitted: gives the scores.
        networks: one, or several for methods that combine some.
        readings: what the method wants of inner layers.
        device: to compute on.
    """

    method: str
    in_dist: str
    class_names: tuple[str, ...]
    conversion: Conversion
    scores_id: NDArray[np.float64]
    record: Mapping[str, Any]
    fitted: api.Detector
    networks: tuple[torch.nn.Module, ...]
    device: torch.device
    readings: tuple[Reading, ...] = ()

    @classmethod
    def of(
        cls,
        record: Record,
        scores: Scores,
        fitted: api.Detector,
        *,
        networks: tuple[torch.nn.Module, ...],
        conversion: Conversion,
        device: torch.device,
        readings: tuple[Reading, ...] = (),
    ) -> Detector:
        """Return the detector of an evaluated cell.

        Args:
            record: of the cell.
            scores: of the cell.
            fitted: what gave them.
            networks: what it was fitted on.
            conversion: size and channels of the images.
            device: to compute on.
            readings: what the method wants of inner layers.
        """
        kept = ("key", "settings", "recipe", "training", "cut_short", "seed", "fingerprints", "versions", "plugin")
        return cls(
            method=record.variant,
            in_dist=record.benchmark["name"],
            class_names=record.class_names,
            conversion=conversion,
            scores_id=np.sort(scores.id),
            record={name: plain(getattr(record, name)) for name in kept},
            fitted=fitted,
            networks=networks,
            readings=readings,
            device=device,
        )

    def save(self, file: str | Path) -> None:
        """Write everything to one file, whole or not at all.

        Raises:
            PluginError: the network or the method is of a class that cannot be stored.
            StoreError: the file cannot be written.
        """
        about = {name: plain(getattr(self, name)) for name in ("method", "in_dist", "class_names", "conversion")}
        write_contents(
            Path(file),
            Contents(
                about={"format": FORMAT, **about, "record": self.record},
                scores_id=self.scores_id,
                things={
                    "fitted": self.fitted,
                    "networks": self.networks,
                    "readings": self.readings,
                    "conversion": self.conversion,
                },
            ),
        )

    @classmethod
    def load(cls, file: str | Path, device: str = "auto") -> Detector:
        """Return a detector that was saved, or that `oodbench run --save-detectors` stored.

        Loading runs code that the file names: load only files of people whom you trust.

        Args:
            file: the file.
            device: "auto" (a GPU where there is one), "cpu" or "cuda".

        Raises:
            DeviceError: the device is not there.
            PluginError: code that it needs cannot be imported here.
            StoreError: there is no such file, or it is damaged or of another format.
        """
        chosen = devices.resolve(device)[0]
        # Plugin files define classes as well: they are run before one is asked for.
        registry.names("methods")
        contents = read_contents(Path(file), chosen)
        about = contents.about
        size, channels = about["conversion"]["size"], about["conversion"]["channels"]
        return cls(
            method=about["method"],
            in_dist=about["in_dist"],
            class_names=tuple(about["class_names"]),
            # Older files have no other than these.
            conversion=contents.things.get("conversion", Conversion(size=tuple(size), channels=channels)),
            scores_id=contents.scores_id,
            record=about["record"],
            fitted=contents.things["fitted"],
            networks=contents.things["networks"],
            readings=contents.things["readings"],
            device=chosen,
        )

    def threshold(self, tpr: float = 0.95) -> float:
        """Return the highest threshold that accepts at least `tpr` of the benchmark's ID test images.

        An image is in-distribution where its score is at least as high. All metrics "at 95% TPR" take this threshold.

        Raises:
            MetricError: tpr is not in (0, 1].
        """
        curve = roc_curve(self.scores_id, self.scores_id)
        return float(curve.thresholds[curve.index_at_tpr(tpr)])

    def detect(self, images: Images, tpr: float = 0.95) -> list[Detection]:
        """Return class, score and verdict of each image, in order; those of a folder by their paths.

        Args:
            images: of any size and colours; they are converted as the benchmark's are.
            tpr: share of in-distribution images that the threshold accepts, in (0, 1].

        Raises:
            DataError: an image cannot be decoded, or there is none.
            MetricError: tpr is not in (0, 1].
        """
        return list(self.stream(images, tpr))

    def stream(
        self,
        images: Images,
        tpr: float = 0.95,
        *,
        unreadable: Callable[[DataError], None] | None = None,
        passed_over: Callable[[str], None] | None = None,
    ) -> Iterator[Detection]:
        """Yield what `detect` returns, with no more images in memory than are scored together.

        Args:
            images: as for `detect`.
            tpr: as for `detect`.
            unreadable: told of an image that cannot be decoded, which is then passed over; None raises the error.
            passed_over: told what a folder or ZIP holds besides images.

        Raises:
            DataError: as for `detect`.
            MetricError: as for `detect`.
        """
        threshold = self.threshold(tpr)
        entries = self._decoded(images, unreadable, passed_over)
        size = batch_size(self._shape, BATCH_SIZE)
        # The batches of a run, so that the same images in the same order get the same scores to the last bit.
        while some := list(itertools.islice(entries, size)):
            sources, pixels = zip(*some, strict=True)
            yield from self._detections(sources, np.stack(pixels), threshold)

    def _detections(self, sources: Sequence[str], pixels: NDArray[np.uint8], threshold: float) -> Iterator[Detection]:
        images = ImageSet(name="your own", images=pixels)
        first, *others = (_Outputs(partial(forward.in_memory, pixels)) for forward in self._forwards)
        batch = Batch.of(images, first, self.device, tuple(others))
        scores = scores_of(self.fitted, batch, self.method)
        classes = classes_of(self.fitted, batch, self.method)
        for i, source in enumerate(sources):
            yield Detection(
                source=source,
                class_name=None if classes is None else self.class_names[classes[i]],
                score=float(scores[i]),
                is_in_distribution=bool(scores[i] >= threshold),
            )

    @cached_property
    def _forwards(self) -> tuple[Forward, ...]:
        """The networks, made ready for passes as they are in a run."""
        return tuple(Forward(network, self._shape, self.device, self.readings) for network in self.networks)

    @property
    def _shape(self) -> tuple[int, int, int]:
        assert self.conversion.size is not None
        return self.conversion.channels or 3, *self.conversion.size

    def _decoded(
        self,
        images: Images,
        unreadable: Callable[[DataError], None] | None,
        passed_over: Callable[[str], None] | None,
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the name and the converted pixels, shape (channels, height, width), of each image."""
        for i, entry in enumerate(_one_by_one(images, passed_over or (lambda _: None))):
            name = printable(str(entry)) if isinstance(entry, Path | Member) else f"image {i}"
            try:
                raw = RawImages(images=Pictures([entry]) if isinstance(entry, Path | Member) else entry)
                yield name, convert(raw, self.conversion, name)[0]
            except DataError as error:
                if unreadable is None:
                    raise
                unreadable(error)


class _Outputs(Mapping[str, "NDArray[Any]"]):
    """Outputs that are computed when the first of them is asked for.

    Args:
        compute: returns all of them.
    """

    def __init__(self, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> None:
        self._compute = cache(compute)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._compute()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._compute())

    def __len__(self) -> int:
        return len(self._compute())


def _one_by_one(images: Images, passed_over: Callable[[str], None]) -> Iterator[Source | Any]:
    """Yield what images of files are in; other images as `RawImages` takes them, one each.

    Raises:
        MissingData: there is no such file or folder, or no image in it.
        DataError: something else was given.
    """
    from PIL.Image import Image

    if isinstance(images, str | Path):
        path = Path(images).expanduser()
        found, others = images_at(path)
        if others:
            passed_over(f"{printable(str(path))}: passing over {others}")
        yield from found
    elif isinstance(images, Image):
        yield [images]
    elif hasattr(images, "shape"):
        for image in pixels_of(images, "your own"):
            # Conversion wants the channels last, and none for grey images.
            yield image.transpose(1, 2, 0)[np.newaxis] if len(image) == 3 else image
    elif isinstance(images, Iterable):
        for some in images:
            yield from _one_by_one(some, passed_over)
    else:
        raise DataError(
            f"images must be paths, PIL images or uint8 arrays of shape (n, channels, height, width), got a "
            f"{type(images).__name__}"
        )
