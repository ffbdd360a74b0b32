"""The images of a request: found, planned for, seen once, and in the order of the classes of a given model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from oodbench.data.loading import BenchmarkData, find_benchmark, once_seen, tell_untested
from oodbench.data.source_images import stand_ins
from oodbench.errors import ConfigError

from .plan import make_plan

if TYPE_CHECKING:
    from oodbench.given.model import GivenModel
    from oodbench.images import ImageSet
    from oodbench.progress import Reporter
    from oodbench.store.workspace import Workspace

    from .first_look import FirstLook
    from .request import Request


def load_data(
    wanted: Request,
    workspace: Workspace,
    *,
    download: bool = False,
    look: FirstLook | None = None,
) -> Mapping[str, BenchmarkData]:
    """Return the images of each benchmark of a request, by its name, all of them seen once.

    Args:
        wanted: with names found.
        workspace: where images are looked for and kept, and who is told.
        download: whether to fetch what is missing and may be fetched.
        look: how images are seen for the first time where a given model scores them; None decodes them.

    Raises:
        OodbenchError: images are missing, damaged, or do not fit.
    """
    found = find_data(wanted, workspace, download=download, again=look is None)
    data = seen_once(wanted, found, workspace, look)
    for entry in data.values():
        tell_untested(entry, workspace.report)
    return data


def seen_once(
    wanted: Request, found: Mapping[str, BenchmarkData], workspace: Workspace, look: FirstLook | None
) -> Mapping[str, BenchmarkData]:
    """Return images without those that cannot be decoded and those on both sides, after all were seen once.

    Args:
        wanted: with names found; what cannot be is told before the first image is decoded, for that may take hours.
        found: images as they lie.
        workspace: where they are kept, and who is told.
        look: how images are seen for the first time where a given model scores them; None decodes them.

    Raises:
        OodbenchError: images are damaged, or do not fit.
    """
    if any(not images.is_seen for data in found.values() for images in data.sets):
        if wanted.model is not None:
            for data in found.values():
                check_classes(wanted.model, data)
        make_plan(wanted, {name: data.each(_as_if_seen) for name, data in found.items()})
        for data in found.values():
            if look is not None:
                look.at(data)
    return {name: once_seen(data, workspace.report) for name, data in found.items()}


def find_data(
    wanted: Request, workspace: Workspace, *, download: bool = False, again: bool = True
) -> Mapping[str, BenchmarkData]:
    """Return the images of each benchmark of a request as they lie; those of files are not decoded yet.

    Args:
        wanted: with names found.
        workspace: where images are looked for and kept, and who is told.
        download: whether to fetch what is missing and may be fetched.
        again: whether pixels will be used again after all were seen once.

    Raises:
        OodbenchError: images are missing, or do not fit the model.
    """
    model = wanted.model
    data = {
        benchmark.name: find_benchmark(
            benchmark,
            workspace,
            download=download,
            train_needed=model is None,
            # They are read for nothing else.
            ood_validation=any("ood_validation" in entry.method.sees for entry in wanted.methods[benchmark.name]),
            again=again,
        )
        for benchmark in wanted.benchmarks
    }
    if model is None:
        return data
    return {name: _in_order_of(model, entry) for name, entry in data.items()}


def planned_for(found: BenchmarkData, report: Reporter) -> BenchmarkData:
    """Return images that a plan can be made for without decoding any.

    Where nobody has seen some of them, their digests stand for those that they will have: nothing that is stored has
    them, and what lies on both sides is found in the run.

    Args:
        found: images as they lie.
        report: told what is left out.

    Raises:
        DataError: nothing is left of a set.
    """
    return once_seen(found, report) if all(images.is_seen for images in found.sets) else found.each(_as_if_seen)


def _as_if_seen(images: ImageSet) -> ImageSet:
    return images if images.is_seen else replace(images, kept_digests=stand_ins([images.identity], len(images)))


def check_classes(model: GivenModel, data: BenchmarkData) -> None:
    """Refuse images of other classes than a model has.

    Raises:
        ConfigError: they are.
    """
    n_classes = model.check(data.id_test.shape)
    if n_classes != data.n_classes:
        raise ConfigError(
            f"the model {model.name} tells {n_classes} classes apart, and {data.benchmark.name} has {data.n_classes} "
            f"({', '.join(data.class_names[:5])}{', …' if data.n_classes > 5 else ''}); they must be the same, "
            "in order; where images do not have all of its classes, say what its outputs stand for: --class-names (in "
            "Python: class_names=)"
        )


def _in_order_of(model: GivenModel, data: BenchmarkData) -> BenchmarkData:
    train = None if data.id_train is None else model.ordered(data.id_train)
    validation = None if data.id_validation is None else model.ordered(data.id_validation)
    return replace(data, id_train=train, id_test=model.ordered(data.id_test), id_validation=validation)
