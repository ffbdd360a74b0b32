"""The images of a request, in the order of the classes of a given model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from oodbench.data.loading import BenchmarkData, load_benchmark

if TYPE_CHECKING:
    from oodbench.given.model import GivenModel
    from oodbench.store.workspace import Workspace

    from .request import Request


def load_data(wanted: Request, workspace: Workspace, *, download: bool = False) -> Mapping[str, BenchmarkData]:
    """Return the images of each benchmark of a request, by its name.

    Args:
        wanted: with names found.
        workspace: where images are looked for and kept, and who is told.
        download: fetch data sets that are missing and may be fetched.

    Raises:
        OodbenchError: images are missing, damaged, or do not fit.
    """
    data = {
        benchmark.name: load_benchmark(
            benchmark,
            workspace,
            download=download,
            train_needed=wanted.model is None,
            # They are read for nothing else.
            ood_validation=any("ood_validation" in entry.method.sees for entry in wanted.methods[benchmark.name]),
        )
        for benchmark in wanted.benchmarks
    }
    if wanted.model is None:
        return data
    return {name: _in_order_of(wanted.model, entry) for name, entry in data.items()}


def _in_order_of(model: GivenModel, data: BenchmarkData) -> BenchmarkData:
    train = None if data.id_train is None else model.ordered(data.id_train)
    validation = None if data.id_validation is None else model.ordered(data.id_validation)
    return dataclasses.replace(data, id_train=train, id_test=model.ordered(data.id_test), id_validation=validation)
