"""What a network said of a few images after each epoch of its training, kept beside a record to be drawn."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oodbench.errors import StoreError

from .atomic import write_atomic
from .records import Record, ResultStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshots:
    """Embeddings of the same images after each of several epochs.

    Attributes:
        epochs: number of epochs that were done, rising, shape (k,).
        id: of ID images, float32, shape (k, m, n_outputs).
        labels_id: their classes, shape (m,), or None.
        ood: of images of each OOD set, shape (k, m', n_outputs).
    """

    epochs: NDArray[np.int64]
    id: NDArray[np.float32]
    labels_id: NDArray[np.int64] | None
    ood: Mapping[str, NDArray[np.float32]]


def snapshots_file(store: ResultStore, record: Record) -> Path:
    """Return where the snapshots of a record's training are, if there are any.

    Raises:
        StoreError: the record is not in the store.
    """
    return (store.root / store.file_of(record)).with_suffix(".snapshots.npz")


def save_snapshots(path: Path, snapshots: Snapshots) -> None:
    """Write snapshots, whole or not at all.

    Args:
        path: as `snapshots_file` returns it.
        snapshots: of the training of the record beside it.
    """
    import numpy as np

    arrays = {"epochs": snapshots.epochs, "id": snapshots.id, "names": np.array([*snapshots.ood], dtype=np.str_)}
    if snapshots.labels_id is not None:
        arrays["labels_id"] = snapshots.labels_id
    arrays |= {f"ood_{i}": values for i, values in enumerate(snapshots.ood.values())}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stubs take the arrays for an option
    write_atomic(path, buffer.getvalue())


def load_snapshots(store: ResultStore, record: Record) -> Snapshots:
    """Return the snapshots of the training of a record.

    Raises:
        StoreError: there are none, or they are damaged.
    """
    import numpy as np

    path = snapshots_file(store, record)
    if not path.is_file():
        raise StoreError(
            f"no snapshots of the training of {record.variant} on {record.benchmark['name']}, seed {record.seed} "
            f"({path} is missing); only trainings that kept them can be drawn epoch by epoch"
        )
    try:
        with np.load(path) as arrays:
            return Snapshots(
                epochs=arrays["epochs"],
                id=arrays["id"],
                labels_id=arrays.get("labels_id"),
                ood={str(name): arrays[f"ood_{i}"] for i, name in enumerate(arrays["names"])},
            )
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} is damaged ({error}); delete it and train again") from error
