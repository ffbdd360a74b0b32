"""What a network said of a few images after each epoch of its training, kept beside the records that can be drawn."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.errors import StoreError
from oodbench.spelling import for_shell

from .atomic import write_atomic
from .records import Record, ResultStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "snapshots.npz"
"""In the artifact of a network that was trained with snapshots."""
ID = ""
"""Stands for the ID images among the names of the OOD sets."""
_PREFIX = "snapshots-"


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshots:
    """Outputs for the same images after each of several epochs.

    Attributes:
        epochs: number of epochs that were done, rising, shape (k,); 0 is the network before its training.
        id: of ID test images, float32, shape (k, m, n_outputs).
        labels_id: their classes, shape (m,), or None.
        ood: of images of each OOD set, shape (k, m', n_outputs).
        fingerprints: SHA-256 of the sets that the images are of, by name; that of the ID test images under `ID`.
    """

    epochs: NDArray[np.int64]
    id: NDArray[np.float32]
    labels_id: NDArray[np.int64] | None
    ood: Mapping[str, NDArray[np.float32]]
    fingerprints: Mapping[str, str]

    def packed(self) -> bytes:
        """Return them as the content of a file."""
        import numpy as np

        names = [*self.ood]
        arrays: dict[str, Any] = {"epochs": self.epochs, "id": self.id, "names": np.array(names, dtype=np.str_)}
        arrays["fingerprints"] = np.array([self.fingerprints[name] for name in (ID, *names)], dtype=np.str_)
        if self.labels_id is not None:
            arrays["labels_id"] = self.labels_id
        arrays |= {f"ood_{i}": values for i, values in enumerate(self.ood.values())}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def of_file(cls, path: Path) -> Snapshots:
        """Return what a file holds.

        Raises:
            StoreError: it is damaged.
        """
        import numpy as np

        try:
            with np.load(path) as arrays:
                names = [str(name) for name in arrays["names"]]
                return cls(
                    epochs=arrays["epochs"],
                    id=arrays["id"],
                    labels_id=arrays.get("labels_id"),
                    ood={name: arrays[f"ood_{i}"] for i, name in enumerate(names)},
                    fingerprints=dict(zip((ID, *names), map(str, arrays["fingerprints"]), strict=True)),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path} is damaged ({error}); delete it, and run the benchmark again") from error


def snapshots_file(store: ResultStore, record: Record, *, file: Path | None = None) -> Path:
    """Return where the snapshots of a record's training are, if there are any: one file for all that share its network.

    Args:
        store: where the record is.
        record: as it is stored.
        file: name of the record below the root, where it is known.

    Raises:
        StoreError: the record is not in the store.
    """
    folder = (store.root / (file or store.file_of(record))).parent
    # A record may come from anywhere, and names no other folder.
    weights = re.sub("[^0-9a-z]", "", record.fingerprints.get("weights") or "")
    return folder / f"{_PREFIX}{weights[:16]}.npz"


def keep_snapshots(content: bytes, store: ResultStore, file: Path, record: Record) -> None:
    """Write the snapshots of a network beside a record, and remove those of networks that no record there has.

    Args:
        content: of the file in the network's artifact.
        store: where the record is.
        file: its name below the root.
        record: as it is stored.

    Raises:
        StoreError: the folder cannot be written to.
    """
    from .space import reason

    place = snapshots_file(store, record, file=file)
    try:
        if not place.is_file() or place.read_bytes() != content:
            write_atomic(place, content)
    except OSError as error:
        raise StoreError(
            f"cannot write {place} ({reason(error)}); free space or name another results folder: --results-dir"
        ) from error
    _remove_others(place.parent, store)


def _remove_others(folder: Path, store: ResultStore) -> None:
    there = set(folder.glob(f"{_PREFIX}*.npz"))
    if len(there) < 2:
        return
    for path in folder.glob("*-seed*.json"):
        try:
            record = store.load(path.relative_to(store.root))
        # Whose snapshots are whose is not known then.
        except StoreError:
            return
        if record is not None:
            there.discard(snapshots_file(store, record, file=path.relative_to(store.root)))
    for path in there:
        with suppress(OSError):
            path.unlink()


def load_snapshots(store: ResultStore, record: Record) -> Snapshots:
    """Return the snapshots of the training of a record, of those of its sets that they were taken of.

    Raises:
        StoreError: there are none, they are of other images, or they are damaged.
    """
    path = snapshots_file(store, record)
    name = record.benchmark["name"]
    of = f"of the training of {record.variant} on {name}, seed {record.seed}"
    again = for_shell("oodbench", "run", "--in", name, "--method", record.method, "--snapshots", "300")
    if not path.is_file():
        raise StoreError(
            f"no snapshots {of} ({path} is missing): only trainings that kept them can be drawn epoch by epoch; keep "
            f"some: {again}, with --force where the network is trained already"
        )
    found = Snapshots.of_file(path)
    if found.fingerprints[ID] != record.fingerprints["id_test"]:
        raise StoreError(f"the snapshots {of} ({path}) are of other images; take new ones: {again} --force")
    there = {row.out_dist: row.fingerprint for row in record.rows}
    return replace(
        found, ood={name: values for name, values in found.ood.items() if there.get(name) == found.fingerprints[name]}
    )
