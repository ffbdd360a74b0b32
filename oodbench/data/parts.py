"""One part of a benchmark to an image set: located, downloaded where wanted, decoded once, kept."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.errors import DataError, MissingData
from oodbench.folders import files_below
from oodbench.hashing.code import code_digest
from oodbench.hashing.values import digest, file_digest
from oodbench.images import Conversion, ImageSet, convert
from oodbench.plugins import registry

if TYPE_CHECKING:
    from oodbench.api import Dataset, Location
    from oodbench.benchmark import Part
    from oodbench.store.workspace import Workspace


def load_part(
    part: Part,
    conversion: Conversion,
    workspace: Workspace,
    *,
    download: bool = False,
) -> ImageSet:
    """Return the images of one part, from the cache where they have been decoded before.

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
    whole = _decoded(dataset, part, location, conversion, workspace)
    return whole if part.classes is None else whole.of_classes(part.classes)


def missing_message(name: str, split: str, dataset: Dataset, location: Location) -> str:
    """Return a sentence that says where images were looked for, and how to get them."""
    places = " or ".join(str(place) for place in location.looked_for)
    near = [] if name in registry.names("datasets") else get_close_matches(name, registry.names("datasets"))
    if Path(name).is_absolute() and not any(Path(f"{name}{suffix}").exists() for suffix in ("", ".zip")):
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
) -> ImageSet:
    """Return a whole split as converted arrays, memory-mapped from the cache."""
    import numpy as np
    import PIL

    artifacts, report = workspace.artifacts, workspace.report

    name = f"{part.dataset} ({part.split})"
    sources = [_source_digest(file) for file in location.files]
    if location.listed:
        sources.append(digest([_stats(file) for file in location.listed]))
    # Many sets fall back to the folder plugin, and Pillow decodes and resizes.
    code = code_digest(dataset, convert, registry.load("datasets", registry.FOLDER))
    key = digest(["images", type(dataset).__name__, dataset, code, PIL.__version__, part.split, conversion, sources])

    def decode(aside: Path) -> dict[str, Any]:
        report.progress(f"decoding {name}", 0, 1)
        try:
            raw = dataset.read(part.split, workspace.data_dir, conversion)
            images = convert(raw, conversion, name)
        # Else it would be taken for a failure to write to the cache.
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error}; repair the files, then run the command again") from error
        np.save(aside / "images.npy", images)
        if raw.labels is not None:
            np.save(aside / "labels.npy", np.asarray(raw.labels, dtype=np.int64))
        report.progress(f"decoding {name}", 1, 1)
        return {"class_names": list(raw.class_names)}

    folder = artifacts.find("images", key) or artifacts.save("images", key, decode)
    labels = folder / "labels.npy"
    return ImageSet(
        name=name,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=np.load(labels) if labels.exists() else None,
        class_names=tuple(artifacts.facts("images", key)["class_names"]),
    )


def _source_digest(file: Path) -> str:
    """Return a hash that changes when a source does: of a file's content; of a folder's names, sizes and dates.

    A folder's files are not all read for it: that would take as long as decoding them.
    """
    if file.is_file():
        return file_digest(file)
    return digest([[entry.relative_to(file).as_posix(), *_stats(entry)] for entry in sorted(files_below(file))])


def _stats(file: Path) -> list[int]:
    """Return size and date of a file; nothing where it is gone, which is told when it is read."""
    try:
        stat = file.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]
