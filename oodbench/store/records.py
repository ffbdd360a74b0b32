"""The results store: one record a cell, whole or absent, with its raw scores beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from oodbench.errors import StoreError
from oodbench.hashing.values import digest, file_digest, plain
from oodbench.settings import variant

from .atomic import TEMPORARY, abandoned, remove, write_atomic
from .locks import LOCK, locked
from .schema import Malformed, checked, parsed
from .space import reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA = 2
"""Of records: 2 knows suites, has the predicted and the true class of every image beside it, and its own checksum."""
READABLE = (1, 2)
CHECKSUM = "sha256"
"""Under which a record has the checksum of everything else that it says."""
SUFFIX = ".detector"
"""Of the files of detectors that are stored beside records."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result on one OOD test set.

    Attributes:
        out_dist: name of the set.
        role: "seen", "novelty", "anomaly" or "covariate", as the benchmark says.
        seen: whether images of this distribution were used in training.
        n_ood: number of its images.
        fingerprint: SHA-256 of its images.
        metrics: fractions, by the names in `oodbench.metrics.METRICS`, and those of metric plugins; where there are
            covariate-shifted sets, also `full_spectrum_…`, which count these as in-distribution, and on the shifted
            sets themselves `shifted_accuracy`.
    """

    out_dist: str
    role: str
    seen: bool
    n_ood: int
    fingerprint: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one cell, with all that is needed to make it again.

    Attributes:
        key: hash of everything that the result depends on.
        benchmark: its name, title, source, preferred table layout, default recipe, and the distribution and version
            that it comes from; the shape of the images, such as "3x32x32", where it is not a registered one.
        method: its registry name.
        settings: all its hyper-parameters.
        changed: those that are not at their defaults.
        sees: what it may see besides the labelled ID training images.
        fitted: what fitting chose, such as ODIN's ε.
        objective: its name and settings.
        recipe: name, with what was changed of it.
        training: the training configuration; empty for a model that was given.
        model: what a given model came with: its name, weights file, normalisation, layer of the features and class
            names; empty for a network that was trained, and in records of older versions.
        cut_short: by how much the training was shorter than the full one; "" where it was not.
        seed: of the training and of the method.
        seen: which of the benchmark's seen OOD images the method was given, or None.
        split: how the classes were divided, where they were.
        class_names: of the ID classes, in label order.
        accuracy: share of ID test images that are classified right, or None for methods that do not classify.
        n_train: number of ID images that the network was trained on.
        n_id: number of ID test images.
        rows: a row for each OOD test set.
        missing: roles of the OOD test sets that were not there.
        fingerprints: SHA-256 of the images trained and tested on, of the weights of the network, or of the first of
            several, and of the weights of all `members`.
        device: that scored.
        trained_on: device that trained, or several.
        versions: of oodbench, Python, torch and NumPy.
        plugin: distribution and version that the method comes from.
        seconds: time spent on training all its networks, fitting and scoring.
        scores_sha256: checksum of the scores beside it.
        suite: name of the suite that its benchmark was run as a member of; "" where it was run for itself.
        contamination: how many of the ID training images are others, and of which set, where there are such.
        damaged: how many images were left out since they could not be decoded, by the name of their set.
        schema: version of this format.
    """

    key: str
    benchmark: Mapping[str, str]
    method: str
    settings: Mapping[str, Any]
    changed: Mapping[str, Any]
    sees: tuple[str, ...]
    fitted: Mapping[str, Any]
    objective: Mapping[str, Any]
    recipe: str
    training: Mapping[str, Any]
    cut_short: str
    seed: int
    class_names: tuple[str, ...]
    accuracy: float | None
    n_id: int
    n_train: int = 0
    seen: str | None = None
    split: Mapping[str, Any] | None = None
    rows: tuple[Row, ...]
    missing: Mapping[str, str]
    fingerprints: Mapping[str, str | None]
    device: str
    trained_on: str
    versions: Mapping[str, str]
    plugin: str
    seconds: Mapping[str, float]
    scores_sha256: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""
    contamination: Mapping[str, Any] | None = None
    damaged: Mapping[str, int] = field(default_factory=dict)
    schema: int = field(default=SCHEMA)

    @property
    def variant(self) -> str:
        """The method with the hyper-parameters that are not at their defaults, such as "odm (margin=5.0)"."""
        return variant(self.method, self.changed)

    @property
    def has_checksum(self) -> bool:
        """Whether its file says that it is as it was written; those of the first schema do not."""
        return self.schema > 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """What one cell says of every test image, and a sample of embeddings to draw.

    Attributes:
        id: scores of the ID test images, float64, shape (n_id,).
        ood: scores of each OOD test set, float64, shape (n_ood,).
        predicted_id: the class that each ID test image is taken for, int64, shape (n_id,); None of a method that does
            not classify, and in results of older versions.
        true_id: the class of each ID test image, int64, shape (n_id,), or None.
        certainty_id: what the classifier's probabilities say of each ID test image, float32, shape (n_id, 4), with the
            columns of `oodbench.metrics.Certainty`; None of a method that reads no logits, and in results of older
            versions.
        predicted_ood: the class that each OOD test image is taken for, shape (n_ood,), or None; by set.
        true_ood: the label of each OOD test image among the classes of its own set, shape (n_ood,), or None; by set.
        embedding_id: embeddings (or class probabilities) of ID test images spread over the set, float32, shape
            (m, n_outputs); None where the network has nothing to draw.
        labels_id: their classes, shape (m,), or None.
        embedding_ood: the same of each OOD test set.
    """

    id: NDArray[np.float64]
    ood: Mapping[str, NDArray[np.float64]]
    predicted_id: NDArray[np.int64] | None = None
    true_id: NDArray[np.int64] | None = None
    certainty_id: NDArray[np.float32] | None = None
    predicted_ood: Mapping[str, NDArray[np.int64] | None] = field(default_factory=dict)
    true_ood: Mapping[str, NDArray[np.int64] | None] = field(default_factory=dict)
    embedding_id: NDArray[np.float32] | None = None
    labels_id: NDArray[np.int64] | None = None
    embedding_ood: Mapping[str, NDArray[np.float32] | None] = field(default_factory=dict)

    def of_set(self, name: str) -> dict[str, NDArray[Any] | None]:
        """Return what is known of an OOD test set, by the names of the fields."""
        return {
            "ood": self.ood[name],
            "predicted_ood": self.predicted_ood.get(name),
            "true_ood": self.true_ood.get(name),
            "embedding_ood": self.embedding_ood.get(name),
        }


class ResultStore:
    """A folder of records.

    Args:
        root: made when the first record is saved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[tuple[str, str], Path] = {}

    def check_writable(self) -> None:
        """Refuse before any work is done if no record could be written.

        Raises:
            StoreError: the folder cannot be made or written to.
        """
        place = next((folder for folder in (self.root, *self.root.absolute().parents) if folder.exists()), self.root)
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            if self.root.is_file():
                raise StoreError(f"{self.root} is a file; name a folder for the results: --results-dir")
            raise StoreError(
                f"the results folder {self.root} cannot be written to; change its permissions or name another one: "
                "--results-dir"
            )

    def load(self, file: Path) -> Record | None:
        """Return a record, or None where there is none.

        Args:
            file: name of the record, below the root.

        Raises:
            StoreError: the record is not whole.
        """
        path = self.root / file
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read ({error.strerror or error}); {_REMEDY}") from error
        try:
            record = _record(parsed(content), path)
        except Malformed as error:
            raise StoreError(f"{path} is not a whole record ({error}); {_REMEDY}") from error
        self._files[record.key, record.scores_sha256] = file
        return record

    def all(self) -> list[Record]:
        """Return all records, in the order of their file names.

        Raises:
            StoreError: the folder is missing or holds none, or a record is not whole.
        """
        files = self._records()
        if not files:
            raise StoreError(
                f"no results in {self.root.absolute()}; run a benchmark first (oodbench run) "
                "or name another folder: --results-dir"
            )
        loaded = map(self.load, files)
        return [record for record in loaded if record is not None]

    def _records(self) -> list[Path]:
        """Return the files of all records, below the root, in order."""
        # Files that are being written begin with a dot; other files are not ours.
        found = (path for path in self.root.glob("*/*-seed*.json") if not path.name.startswith("."))
        return sorted(path.relative_to(self.root) for path in found)

    def sweep(self) -> None:
        """Remove what processes that ended were writing; what others are writing stays."""
        endings = ((folder, ending) for folder in ("*", "*/generated") for ending in (TEMPORARY, LOCK))
        for path in abandoned(path for folder, ending in endings for path in self.root.glob(f"{folder}/.*{ending}")):
            remove(path)

    def file_of(self, record: Record) -> Path:
        """Return where a stored record is, below the root.

        Raises:
            StoreError: it is not there.
        """
        read = self._files.get((record.key, record.scores_sha256))
        for file in ([] if read is None else [read], self._records()):
            for each in file:
                if self.load(each) == record:
                    return each
        raise StoreError(f"no record of {record.variant} seed {record.seed} in {self.root}")

    def detector_of(self, file: Path) -> Path:
        """Return where the detector of a record is stored, if it is."""
        return (self.root / file).with_suffix(SUFFIX)

    def add(self, file: Path, record: Record, scores: Scores) -> tuple[Record, Scores]:
        """Write a record and its scores, with those that are stored for the same cell on other OOD sets.

        Reading, merging and writing are one step: of runs that share a cell none loses what another one stored.

        Args:
            file: name of the record, below the root.
            record: the new result.
            scores: its raw scores.

        Returns:
            What is stored now.

        Raises:
            StoreError: the folder cannot be written to; what was stored before is still there.
        """
        path = self.root / file
        try:
            with locked(path):
                merged, all_scores = self.with_other_sets(file, record, scores)
                return self._write(path, merged, all_scores), all_scores
        except OSError as error:
            raise _cannot_write(path, error) from error

    def save(self, file: Path, record: Record, scores: Scores) -> Record:
        """Write a record and its scores in the place of what is stored; the record says that both are whole.

        Args:
            file: name of the record, below the root.
            record: what to write.
            scores: written beside it, compressed, as `.npz`. Other scores are another file: whoever dies or writes at
                the same time leaves each record with those that it was made from.

        Returns:
            The record with the checksum of the scores.

        Raises:
            StoreError: the folder cannot be written to; what was stored before is still there.
        """
        path = self.root / file
        try:
            with locked(path):
                return self._write(path, record, scores)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def _write(self, path: Path, record: Record, scores: Scores) -> Record:
        packed = _packed(record, scores)
        whole = dataclasses.replace(record, scores_sha256=hashlib.sha256(packed).hexdigest(), schema=SCHEMA)
        content = plain(whole)
        content[CHECKSUM] = digest(content)
        text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        beside = _beside(path, whole)
        is_new = not beside.exists()
        try:
            write_atomic(beside, packed)
            # Last: it says that both are whole.
            write_atomic(path, (text + "\n").encode())
        except BaseException:
            if is_new and self._stored_checksum(path) != whole.scores_sha256:
                beside.unlink(missing_ok=True)
            raise
        for other in _scores_beside(path):
            if other != beside:
                other.unlink(missing_ok=True)
        return whole

    def _stored_checksum(self, path: Path) -> str | None:
        with suppress(StoreError):
            stored = self.load(path.relative_to(self.root))
            return None if stored is None else stored.scores_sha256
        return None

    def has_scores(self, file: Path, record: Record) -> bool:
        """Return whether the scores that a record was made from are stored beside it, whole.

        Args:
            file: name of the record, below the root.
            record: as it is stored there.
        """
        try:
            return file_digest(self._scores_file(file, record)) == record.scores_sha256
        except OSError:
            return False

    def _scores_file(self, file: Path, record: Record) -> Path:
        path = self.root / file
        named, older = _beside(path, record), path.with_suffix(".npz")
        # Scores had the name of their record once, and results that were published then have it still.
        return older if older.exists() and not named.exists() else named

    def with_other_sets(self, file: Path, record: Record, scores: Scores) -> tuple[Record, Scores]:
        """Return a new result with those that are stored for the same cell on other OOD sets.

        Args:
            file: name of the record, below the root.
            record: the new result.
            scores: its raw scores.
        """
        new = {row.out_dist for row in record.rows}
        try:
            stored = self.load(file)
            if stored is None or stored.key != record.key or {row.out_dist for row in stored.rows} <= new:
                return record, scores
            old = self.scores(stored)
        # What is damaged cannot be kept; a run with --force is how it is replaced.
        except StoreError:
            return record, scores
        kept = [row for row in stored.rows if row.out_dist not in new]
        names = [row.out_dist for row in kept]
        missing = {name: role for name, role in record.missing.items() if name not in names}
        return (
            dataclasses.replace(record, rows=(*record.rows, *kept), missing=missing),
            dataclasses.replace(
                scores,
                **cast(
                    "Any",
                    {
                        entry: {**getattr(scores, entry), **{name: old.of_set(name)[entry] for name in names}}
                        for entry in _OF_SETS
                    },
                ),
            ),
        )

    def scores(self, record: Record) -> Scores:
        """Return the raw scores of a stored record.

        Raises:
            StoreError: they are missing, or are not the ones that the record was made from.
        """
        file = self.file_of(record)
        path = self._scores_file(file, record)
        remedy = "run the benchmark again with --force"
        if not self.has_scores(file, record):
            raise StoreError(f"the scores {path} are missing or do not belong to their record; {remedy}")
        try:
            return _unpacked(path, record)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"the scores {path} are not those of their record ({error}); {remedy}") from error


_REMEDY = "delete it and run the benchmark again: all that it needs and is still cached will be used"


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path} ({reason(error)}); free space, change permissions or name another "
        "results folder: --results-dir"
    )


_OF_ID = ("predicted_id", "true_id", "certainty_id", "embedding_id", "labels_id")
"""What is known of ID test images besides their scores: the arrays are called as the fields are."""
_OF_SETS = {
    "ood": "scores_ood",
    "predicted_ood": "predicted_ood",
    "true_ood": "true_ood",
    "embedding_ood": "embedding_ood",
}
"""How the arrays of an OOD test set are called, with its number, by field."""


def open_results(folder: Path) -> tuple[ResultStore, list[Record]]:
    """Return a results folder with its records, or the folder of one benchmark in it with those of that one.

    Args:
        folder: such as results/ or results/mnist-267; of both, records lie one folder below the root of the store.

    Raises:
        StoreError: the folder is missing or holds none, or a record is not whole.
    """
    own = [file for file in sorted(folder.glob("*-seed*.json")) if not file.name.startswith(".")]
    if not own or any(folder.glob("*/*-seed*.json")):
        store = ResultStore(folder)
        return store, store.all()
    # Other benchmarks beside it, and what may be wrong with them, were not asked for.
    store = ResultStore(folder.absolute().parent)
    loaded = (store.load(file.absolute().relative_to(store.root)) for file in own)
    return store, [record for record in loaded if record is not None]


def _beside(path: Path, record: Record) -> Path:
    """Return the file of a record's scores, which is named by what it holds."""
    return path.with_name(f"{path.stem}-{record.scores_sha256[:8]}.npz")


def _scores_beside(path: Path) -> list[Path]:
    """Return all files of scores that a record has or had."""
    named = re.compile(re.escape(path.stem) + r"(-[0-9a-f]{8})?\.npz")
    return [other for other in path.parent.iterdir() if named.fullmatch(other.name)]


_NAMES = {"benchmark": ("name", "layout"), "objective": ("name",)}
"""What some mappings of a record hold at least."""


@dataclass(frozen=True, kw_only=True)
class _Split:
    """What tables and figures read of a split."""

    dataset: str
    id: tuple[str, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    dropped: Mapping[str, str]


def _record(content: Any, path: Path) -> Record:
    """Return the record that a file holds.

    Raises:
        Malformed: it holds none.
        StoreError: it is of a version that is not known here.
    """
    entries = checked(Mapping[str, Any], content)
    schema = checked(int, entries.get("schema"), "schema")
    said = entries.pop(CHECKSUM, None)
    if schema not in READABLE:
        readable = " and ".join(map(str, READABLE))
        raise StoreError(
            f"{path} has the format {schema}, this version of oodbench reads {readable}; delete it and run again"
        )
    if schema > 1 and said != digest(entries):
        raise Malformed("its checksum does not fit: it was changed after it was written")
    record: Record = checked(Record, entries)
    _check(record)
    return record


def _check(record: Record) -> None:
    """Refuse what has the types of a record, and cannot be one.

    Raises:
        Malformed: what is wrong with it.
    """
    for name, needed in _NAMES.items():
        for entry in needed:
            checked(str, getattr(record, name).get(entry), f"{name}.{entry}")
    folder = record.benchmark["name"]
    if folder in ("", ".", "..") or set(folder) & set("/\\\0"):
        raise Malformed(f"benchmark.name cannot be {folder!r}")
    if not re.fullmatch("([0-9a-f]{64})?", record.scores_sha256):
        raise Malformed(f"scores_sha256 must be a checksum, got {record.scores_sha256[:40]!r}")
    if record.accuracy is not None and not 0 <= record.accuracy <= 1:
        raise Malformed(f"accuracy must be in [0, 1], got {record.accuracy}")
    if record.split is not None:
        checked(_Split, record.split, "split")
    _check_rows(record)


def _check_rows(record: Record) -> None:
    if not record.rows:
        raise Malformed("it has no rows")
    counts = {"n_id": record.n_id, "n_train": record.n_train, "seed": record.seed}
    counts |= {f"rows[{i}].n_ood": row.n_ood for i, row in enumerate(record.rows)}
    if negative := [f"{name} must not be negative, got {count}" for name, count in counts.items() if count < 0]:
        raise Malformed(negative[0])
    if empty := [i for i, row in enumerate(record.rows) if not row.metrics]:
        raise Malformed(f"rows[{empty[0]}] has no metrics")
    names = [row.out_dist for row in record.rows]
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise Malformed(f"two rows are of {repeated[0]!r}")


def _unpacked(path: Path, record: Record) -> Scores:
    """Return the scores in a file.

    Raises:
        ValueError, KeyError, EOFError, BadZipFile: they are not those of the record.
    """
    import numpy as np

    names = [row.out_dist for row in record.rows]
    with np.load(path) as arrays:
        of_sets: dict[str, Any] = {
            entry: {name: arrays.get(f"{key}_{i}") for i, name in enumerate(names)} for entry, key in _OF_SETS.items()
        }
        of_id: dict[str, Any] = {entry: arrays.get(entry) for entry in _OF_ID}
        scores = Scores(id=arrays["scores_id"], **of_id, **of_sets)
    for name, array in {"the ID images": scores.id, **scores.ood}.items():
        if array is None or array.dtype.kind != "f" or array.ndim != 1 or not np.isfinite(array).all():
            raise ValueError(f"those of {name} are no finite numbers")
    return scores


def _packed(record: Record, scores: Scores) -> bytes:
    import numpy as np

    arrays: dict[str, Any] = {"scores_id": scores.id, **{entry: getattr(scores, entry) for entry in _OF_ID}}
    for i, row in enumerate(record.rows):
        arrays |= {f"{_OF_SETS[entry]}_{i}": array for entry, array in scores.of_set(row.out_dist).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: array for name, array in arrays.items() if array is not None})
    return buffer.getvalue()
