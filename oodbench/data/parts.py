"""One part of a benchmark to an image set: located, downloaded where wanted, and decoded when it is asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sized
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from oodbench.decoded import DecodedImages
from oodbench.errors import DataError, MissingData, StoreError
from oodbench.files import printable, walk
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest, file_digest
from oodbench.image_rows import MappedImages
from oodbench.images import Conversion, ImageSet, RawImages, convert, described
from oodbench.plugins import registry
from oodbench.store.space import new_array

from .source_images import DIGESTS, IMAGES, Known, SourceImages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.api import Dataset, Location
    from oodbench.benchmark import Part
    from oodbench.decoded import Gallery
    from oodbench.progress import Reporter
    from oodbench.store.artifacts import ArtifactStore
    from oodbench.store.workspace import Workspace


def load_part(
    part: Part,
    conversion: Conversion,
    workspace: Workspace,
    *,
    download: bool = False,
    said: set[str] | None = None,
) -> ImageSet:
    """Return the images of one part, decoded now or before; those that cannot be are left out, where that is wanted.

    Args:
        part: names them.
        conversion: what they are brought to.
        workspace: where files are looked for and decoded arrays are kept; told what is being read, and which classes a
            folder of a user's own was found to have.
        download: whether to fetch what is missing and may be fetched.
        said: what was told before of such folders, and is not told again.

    Raises:
        MissingData: nothing is there; the message says where it was looked for, and how to get it.
        DataError: a file is damaged, or the part is empty or has no such class.
    """
    found = find_part(part, conversion, workspace, download=download, said=said)
    return found if found.digests is None else found.without_damaged()


def find_part(
    part: Part,
    conversion: Conversion,
    workspace: Workspace,
    *,
    download: bool = False,
    said: set[str] | None = None,
    again: bool = True,
) -> ImageSet:
    """Return the images of one part; those of files are not decoded yet, unless they were before.

    Args:
        part: names them.
        conversion: what they are brought to.
        workspace: where files are looked for and decoded arrays are kept; told what is being read, and which classes a
            folder of a user's own was found to have.
        download: whether to fetch what is missing and may be fetched.
        said: what was told before of such folders, and is not told again.
        again: whether pixels will be used again after all were seen once, so that keeping them pays.

    Raises:
        MissingData: nothing is there; the message says where it was looked for, and how to get it.
        DataError: a file is damaged, or the part is empty or has no such class.
    """
    data_dir = workspace.data_dir
    dataset = registry.dataset(part.dataset, dict(part.settings))
    location = dataset.locate(part.split, data_dir)
    if not location.present and download and dataset.downloadable:
        workspace.report.message(f"downloading {part.dataset} to {data_dir}")
        try:
            dataset.download(data_dir)
        except DataError as error:
            raise MissingData(str(error)) from error
        location = dataset.locate(part.split, data_dir)
    if not location.present:
        raise MissingData(missing_message(part.dataset, part.split, dataset, location))
    whole, notes = _images(dataset, part, location, conversion, workspace, again=again)
    if isinstance(dataset, registry.load("datasets", registry.FOLDER)):
        found = described(whole.name, whole.labels, whole.class_names, len(whole))
        _tell(found, notes, workspace.report, set() if said is None else said)
    return whole if part.classes is None else whole.of_classes(part.classes)


def _tell(found: str, notes: list[str], report: Reporter, said: set[str]) -> None:
    """Tell what was found and what was passed over, once."""
    if found not in said:
        report.message(found)
    for note in notes:
        if note not in said:
            report.warning(note)
    said.update([found, *notes])


def missing_message(name: str, split: str, dataset: Dataset, location: Location) -> str:
    """Return a sentence that says where images were looked for, and how to get them."""
    name = printable(name)
    places = " or ".join(printable(str(place)) for place in location.looked_for)
    near = [] if name in registry.names("datasets") else get_close_matches(name, registry.names("datasets"))
    path = Path(name)
    if path.is_absolute() and not path.is_dir() and not any(place.is_file() for place in location.looked_for):
        if path.exists():
            return f"no {split} images of {name}: it is no folder and no ZIP; unpack it, and give the folder"
        return f"no {split} images of {name}: there is no such folder, and no {name}.zip; check the path"
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    how_to_get = dataset.how_to_get
    if split == "train" and name not in registry.names("datasets"):
        how_to_get = f"Put training images into {location.looked_for[0]}/<class>/."
    return f"no {split} images of {name}: looked for {places}. {hint}{how_to_get}".strip()


def _images(
    dataset: Dataset,
    part: Part,
    location: Location,
    conversion: Conversion,
    workspace: Workspace,
    *,
    again: bool,
) -> tuple[ImageSet, list[str]]:
    """Return a whole split, from the cache or to be decoded when it is asked for, and what was passed over."""
    origin = _Origin(
        dataset=dataset,
        split=part.split,
        name=f"{printable(part.dataset)} ({part.split})",
        location=location,
        conversion=conversion,
        workspace=workspace,
    )
    key = origin.key()
    rows = workspace.sources.get(key)
    if rows is None:
        rows = workspace.sources[key] = origin.rows(key)
    rows.again = rows.again or again
    return _as_set(rows), rows.facts["notes"]


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """Where the images of a split come from.

    Attributes:
        dataset: reads them.
        split: "train" or "test".
        name: of the set, for messages.
        location: where its files are.
        conversion: what images are brought to.
        workspace: where they are kept.
    """

    dataset: Dataset
    split: Literal["train", "test"]
    name: str
    location: Location
    conversion: Conversion
    workspace: Workspace

    def key(self) -> str:
        """Return the hash of everything that goes into the decoded images."""
        import PIL

        sources = [_source_digest(file, self.workspace) for file in self.location.files]
        if self.location.listed:
            sources.append(digest([_stats(file) for file in self.location.listed]))
        # Many sets fall back to the folder plugin, and Pillow decodes and resizes.
        code = code_digest(self.dataset, convert, walk, registry.load("datasets", registry.FOLDER))
        kind = type(self.dataset).__name__
        return digest(
            [
                IMAGES,
                "with digests",
                kind,
                self.dataset,
                code,
                PIL.__version__,
                self.split,
                self.conversion,
                sources,
            ]
        )

    def rows(self, key: str) -> SourceImages:
        """Return the images: what is known of them from the cache, and their pixels from there or from their files.

        Raises:
            DataError: some could not be decoded, and are not to be left out.
        """
        artifacts = self.workspace.artifacts
        for kind in (IMAGES, DIGESTS):
            if (folder := artifacts.find(kind, key, quick=True)) is not None:
                return self._from_artifact(folder, artifacts.facts(kind, key), key)
        raw = self._read()
        facts = {"class_names": list(raw.class_names), "notes": [f"{self.name}: {note}" for note in raw.notes]}
        labels = None if raw.labels is None else np.asarray(raw.labels, dtype=np.int64)
        if not _by_index(raw.images):
            folder = artifacts.save(IMAGES, key, lambda aside: self._read_through(raw, labels, facts, aside))
            return self._from_artifact(folder, artifacts.facts(IMAGES, key), key)
        decoded = self._decoded(raw)
        return SourceImages(
            lambda: decoded,
            decoded.shape,
            name=self.name,
            key=key,
            facts=facts,
            labels=labels,
            workspace=self.workspace,
        )

    def _read(self) -> RawImages:
        try:
            return self.dataset.read(self.split, self.workspace.data_dir, self.conversion)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> DataError:
        return DataError(f"{self.name} cannot be read: {error}; repair the files, then run the command again")

    def _decoded(self, raw: RawImages) -> DecodedImages:
        return DecodedImages(
            cast("Gallery", raw.images),
            _for(raw, self.location, self.conversion),
            self.name,
            skip_damaged=self.workspace.skip_damaged,
        )

    def _from_artifact(self, folder: Path, facts: Mapping[str, Any], key: str) -> SourceImages:
        """Return images that were all seen before; none is decoded.

        Raises:
            DataError: some could not be decoded, and are not to be left out.
        """
        file, shape = folder / "labels.npy", tuple(facts["shape"])
        damaged = {int(row): fault for row, fault in facts.get("damaged", {}).items()}
        if damaged and not self.workspace.skip_damaged:
            raise DataError(next(iter(damaged.values())))
        kept = MappedImages(folder / "images.npy", shape) if (folder / "images.npy").exists() else None
        if kept is not None:
            self.workspace.pixels.counts(kept.nbytes)
        return SourceImages(
            lambda: self._decoded(self._read()),
            shape,
            name=self.name,
            key=key,
            facts={entry: facts[entry] for entry in ("class_names", "notes")},
            labels=np.load(file) if file.exists() else None,
            workspace=self.workspace,
            known=Known(digests=np.load(folder / "digests.npy"), damaged=damaged),
            kept=kept,
        )

    def _read_through(
        self, raw: RawImages, labels: NDArray[np.int64] | None, facts: Mapping[str, Any], aside: Path
    ) -> dict[str, Any]:
        """Write images that are read from end to end, and what is known of them; return what is noted."""
        report, task = self.workspace.report, f"decoding {self.name}"
        report.progress(task, 0, 1)
        try:
            images = convert(raw, _for(raw, self.location, self.conversion), self.name)
        # Else it would be taken for a failure to write to the cache.
        except OSError as error:
            raise self._unreadable(error) from error
        whole = ImageSet(name=self.name, images=images, labels=labels, class_names=tuple(facts["class_names"]))
        kept = new_array(aside / "images.npy", images.dtype, images.shape)
        kept[...] = images
        kept.flush()
        # A start asks for these, and reads no pixels.
        np.save(aside / "digests.npy", whole.digests)
        if labels is not None:
            np.save(aside / "labels.npy", labels)
        report.progress(task, 1, 1)
        return {"shape": list(images.shape), **facts}


def _as_set(rows: SourceImages) -> ImageSet:
    return ImageSet(
        name=rows.name,
        images=cast("NDArray[np.uint8]", rows),
        labels=rows.labels,
        class_names=tuple(rows.facts["class_names"]),
    )


def _by_index(images: object) -> bool:
    """Return whether pictures are decoded by index; arrays and what is read from end to end are not."""
    return not isinstance(images, np.ndarray) and hasattr(images, "__getitem__") and isinstance(images, Sized)


_SOURCES = "sources"
"""Kind of artifacts: what files that hold many images were found to hold."""

_SETTLED = 2.0
"""Seconds after which a file that changes again gets another date: until then its date says nothing."""


def _for(raw: RawImages, location: Location, conversion: Conversion) -> Conversion:
    """Return what images are brought to: noise that is made in the right size is not resized and cut again."""
    made = not location.files and getattr(raw.images, "shape", (0,))[1:3] == conversion.size
    return Conversion(size=conversion.size, channels=conversion.channels) if made else conversion


def _source_digest(file: Path, workspace: Workspace) -> str:
    """Return a hash that changes when a source does: of a file's content; of a folder's names, sizes and dates.

    A folder's files are not all read for it: that would take as long as decoding them.
    """
    report = workspace.report
    if file.is_file():
        return _content_digest(file, workspace.artifacts)
    looking = f"looking for images in {printable(str(file))}"

    def told(files: int) -> None:
        report.progress(f"{looking}, {files:,} files so far", 0, 1)
        # Lines stay, where progress is shown or not.
        if files % _TOLD == 0:
            report.message(f"{looking}: {files:,} files so far")

    found = walk(file, told)
    report.progress(looking, 1, 1)
    return digest([[[name, *_stats(file / name)] for name in found.images], found.passed_over()])


_TOLD = 100_000
"""After how many files of a folder a line says how many there are."""


def _content_digest(file: Path, artifacts: ArtifactStore) -> str:
    """Return the hash of a file's content; it is read again only where it has another size or date."""
    stat = file.stat()
    key = digest(
        [_SOURCES, str(file.absolute()), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    )
    if artifacts.find(_SOURCES, key, quick=True) is not None:
        return str(artifacts.facts(_SOURCES, key)["sha256"])
    checksum = file_digest(file)
    if time.time() - max(stat.st_mtime, stat.st_ctime) > _SETTLED:
        # Where it cannot be kept, it is computed again.
        with suppress(StoreError):
            artifacts.save(_SOURCES, key, lambda _: {"sha256": checksum})
    return checksum


def _stats(file: Path) -> list[int]:
    """Return size and date of a file; nothing where it is gone, which is told when it is read."""
    try:
        stat = file.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]
