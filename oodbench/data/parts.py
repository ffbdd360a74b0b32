"""One part of a benchmark to an image set: located, downloaded where wanted, decoded once, kept."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.errors import DataError, MissingData
from oodbench.files import printable, walk
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest, file_digest
from oodbench.images import Conversion, ImageSet, RawImages, convert, described
from oodbench.plugins import registry

if TYPE_CHECKING:
    from oodbench.api import Dataset, Location
    from oodbench.benchmark import Part
    from oodbench.progress import Reporter
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
    sources = [_source_digest(file, report) for file in location.files]
    if location.listed:
        sources.append(digest([_stats(file) for file in location.listed]))
    # Many sets fall back to the folder plugin, and Pillow decodes and resizes.
    code = code_digest(dataset, convert, walk, registry.load("datasets", registry.FOLDER))
    key = digest(["images", type(dataset).__name__, dataset, code, PIL.__version__, part.split, conversion, sources])

    def decode(aside: Path) -> dict[str, Any]:
        report.progress(f"decoding {name}", 0, 1)
        try:
            raw = dataset.read(part.split, workspace.data_dir, conversion)
            images = convert(raw, _for(raw, location, conversion), name)
        # Else it would be taken for a failure to write to the cache.
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error}; repair the files, then run the command again") from error
        np.save(aside / "images.npy", images)
        if raw.labels is not None:
            np.save(aside / "labels.npy", np.asarray(raw.labels, dtype=np.int64))
        report.progress(f"decoding {name}", 1, 1)
        return {"class_names": list(raw.class_names), "notes": [f"{name}: {note}" for note in raw.notes]}

    folder = artifacts.find("images", key) or artifacts.save("images", key, decode)
    labels, facts = folder / "labels.npy", artifacts.facts("images", key)
    images = ImageSet(
        name=name,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=np.load(labels) if labels.exists() else None,
        class_names=tuple(facts["class_names"]),
    )
    return images, facts["notes"]


def _for(raw: RawImages, location: Location, conversion: Conversion) -> Conversion:
    """Return what images are brought to: noise that is made in the right size is not resized and cut again."""
    made = not location.files and getattr(raw.images, "shape", (0,))[1:3] == conversion.size
    return Conversion(size=conversion.size, channels=conversion.channels) if made else conversion


def _source_digest(file: Path, report: Reporter) -> str:
    """Return a hash that changes when a source does: of a file's content; of a folder's names, sizes and dates.

    A folder's files are not all read for it: that would take as long as decoding them.
    """
    if file.is_file():
        return file_digest(file)
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


def _stats(file: Path) -> list[int]:
    """Return size and date of a file; nothing where it is gone, which is told when it is read."""
    try:
        stat = file.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]
