"""One part of a benchmark to an image set: located, downloaded where wanted, decoded once, kept."""

from __future__ import annotations

import time
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from oodbench.errors import DataError, MissingData, StoreError
from oodbench.files import printable, walk
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest, file_digest
from oodbench.image_rows import MappedImages
from oodbench.images import Conversion, ImageSet, RawImages, convert, described
from oodbench.plugins import registry
from oodbench.store.space import new_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from oodbench.api import Dataset, Location
    from oodbench.benchmark import Part
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
    """Return the images of one part, from the cache where they have been decoded before.

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
    whole, notes = _decoded(dataset, part, location, conversion, workspace)
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


def _decoded(
    dataset: Dataset,
    part: Part,
    location: Location,
    conversion: Conversion,
    workspace: Workspace,
) -> tuple[ImageSet, list[str]]:
    """Return a whole split as converted arrays, memory-mapped from the cache, and what was passed over."""
    import numpy as np
    import PIL

    artifacts, report = workspace.artifacts, workspace.report
    name = f"{printable(part.dataset)} ({part.split})"
    sources = [_source_digest(file, workspace) for file in location.files]
    if location.listed:
        sources.append(digest([_stats(file) for file in location.listed]))
    # Many sets fall back to the folder plugin, and Pillow decodes and resizes.
    code = code_digest(dataset, convert, walk, registry.load("datasets", registry.FOLDER))
    key = digest(
        [
            IMAGES,
            "with digests",
            type(dataset).__name__,
            dataset,
            code,
            PIL.__version__,
            part.split,
            conversion,
            sources,
        ]
    )

    def decode(aside: Path) -> dict[str, Any]:
        report.progress(f"decoding {name}", 0, 1)
        try:
            raw = dataset.read(part.split, workspace.data_dir, conversion)
            images = convert(raw, _for(raw, location, conversion), name)
        # Else it would be taken for a failure to write to the cache.
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error}; repair the files, then run the command again") from error
        labels = None if raw.labels is None else np.asarray(raw.labels, dtype=np.int64)
        whole = ImageSet(name=name, images=images, labels=labels, class_names=tuple(raw.class_names))
        kept = new_array(aside / "images.npy", images.dtype, images.shape)
        kept[...] = images
        kept.flush()
        # A start asks for these, and reads no pixels.
        np.save(aside / "digests.npy", whole.digests)
        if labels is not None:
            np.save(aside / "labels.npy", labels)
        report.progress(f"decoding {name}", 1, 1)
        return {
            "shape": list(images.shape),
            "class_names": list(raw.class_names),
            "notes": [f"{name}: {note}" for note in raw.notes],
        }

    folder = artifacts.find(IMAGES, key, quick=True) or artifacts.save(IMAGES, key, decode)
    labels, facts = folder / "labels.npy", artifacts.facts(IMAGES, key)
    images = ImageSet(
        name=name,
        images=cast("NDArray[np.uint8]", MappedImages(folder / "images.npy", tuple(facts["shape"]))),
        labels=np.load(labels) if labels.exists() else None,
        class_names=tuple(facts["class_names"]),
        kept_digests=np.load(folder / "digests.npy"),
    )
    return images, facts["notes"]


IMAGES, _SOURCES = "images", "sources"
"""Kinds of artifacts: decoded images, and what files that hold many of them were found to hold."""

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
