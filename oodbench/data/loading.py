"""From the parts that a benchmark names to image sets: found, seen once, and without what is on both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from oodbench.benchmark import COVARIATE
from oodbench.errors import DataError, MissingData, NeedsTrainingImages
from oodbench.images import ImageSet
from oodbench.splits import ClassSplit, class_counts

from .contaminating import contaminated
from .parts import find_part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from oodbench.benchmark import Benchmark, OodSet, Part
    from oodbench.progress import Reporter
    from oodbench.store.workspace import Workspace


SHARED = "are ID test images as well"
"""What is told of images on both sides."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchmarkData:
    """The images of a benchmark.

    Attributes:
        benchmark: what asked for them.
        id_train: with labels 0 … C − 1; validation images are still among them. None for a user's own model that came
            without.
        id_test: with the same classes.
        seen: seen OOD training images, by the name of the OOD test set of that distribution; the first is the default.
        ood: the OOD test sets that are there.
        missing: why each of the other OOD test sets is not there.
        split: how the classes were divided, where they were.
        id_validation: ID images that are neither trained nor tested on, where the benchmark has some of its own and
            they are there; None holds out training images as the benchmark says.
        contamination: how many of the ID training images are others, and of which set, where there are such.
        ood_validation: OOD images to choose settings on, by name; none where they are not wanted.
    """

    benchmark: Benchmark
    id_train: ImageSet | None
    id_test: ImageSet
    seen: Mapping[str, ImageSet]
    ood: Mapping[str, ImageSet]
    missing: Mapping[str, str]
    split: ClassSplit | None = None
    id_validation: ImageSet | None = None
    contamination: Mapping[str, Any] | None = None
    ood_validation: Mapping[str, ImageSet] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """Number of ID classes."""
        return len(self.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the ID classes, in label order."""
        return self.id_test.class_names

    @property
    def n_others(self) -> int:
        """How many of the last ID training images are others, which a benchmark has mixed in."""
        return 0 if self.contamination is None else int(self.contamination["images"])

    @property
    def training_images(self) -> ImageSet:
        """The ID training images, where a network is to be trained.

        Raises:
            NeedsTrainingImages: there are none.
        """
        if self.id_train is None:
            raise NeedsTrainingImages("there are no ID training images")
        return self.id_train

    @property
    def sets(self) -> tuple[ImageSet, ...]:
        """All of its images, those that are used most first."""
        first = (self.id_train, self.id_test, self.id_validation)
        own = (*first, *self.seen.values(), *self.ood.values(), *self.ood_validation.values())
        return tuple(images for images in own if images is not None)

    def each(self, change: Callable[[ImageSet], ImageSet]) -> BenchmarkData:
        """Return the same with every set changed."""
        return replace(
            self,
            id_train=None if self.id_train is None else change(self.id_train),
            id_test=change(self.id_test),
            id_validation=None if self.id_validation is None else change(self.id_validation),
            seen={name: change(images) for name, images in self.seen.items()},
            ood={name: change(images) for name, images in self.ood.items()},
            ood_validation={name: change(images) for name, images in self.ood_validation.items()},
        )

    @property
    def damaged(self) -> Mapping[str, int]:
        """How many images were left out of which sets since they could not be decoded."""
        return {images.name: len(images.damaged) for images in self.sets if images.damaged}

    def ood_set(self, name: str) -> OodSet:
        """Return the definition of an OOD test set."""
        return next(ood for ood in self.benchmark.ood if ood.name == name)

    @property
    def covariate(self) -> tuple[str, ...]:
        """Names of the sets that are there and count as in-distribution in full-spectrum metrics."""
        return tuple(name for name in self.ood if self.ood_set(name).role == COVARIATE)


def load_benchmark(
    benchmark: Benchmark,
    workspace: Workspace,
    *,
    download: bool = False,
    train_needed: bool = True,
    ood_validation: bool = False,
) -> BenchmarkData:
    """Return all images of a benchmark; test images that are training images as well are left out.

    Args:
        benchmark: names them.
        workspace: where files are looked for and decoded arrays are kept; it is told what is being decoded, which OOD
            test sets are missing, and which classes are not tested.
        download: whether to fetch what is missing and may be fetched.
        train_needed: whether ID training images must be there; a trained network does without.
        ood_validation: whether settings are chosen on the benchmark's validation OOD images, which then must be there.

    Raises:
        MissingData: in-distribution or seen images, an OOD test set that is not optional, or all of these are missing.
        DataError: files are damaged, a set is empty, the classes of training and test images differ, a class that is
            to be learnt has no training images, or all images of a test set are training images.
    """
    found = find_benchmark(
        benchmark, workspace, download=download, train_needed=train_needed, ood_validation=ood_validation
    )
    data = once_seen(found, workspace.report)
    tell_untested(data, workspace.report)
    return data


def find_benchmark(
    benchmark: Benchmark,
    workspace: Workspace,
    *,
    download: bool = False,
    train_needed: bool = True,
    ood_validation: bool = False,
    again: bool = True,
) -> BenchmarkData:
    """Return all images of a benchmark as they lie; those of files are not decoded yet, unless they were before.

    Args:
        benchmark: names them.
        workspace: where files are looked for and decoded arrays are kept; it is told which OOD test sets are missing.
        download: whether to fetch what is missing and may be fetched.
        train_needed: whether ID training images must be there; a trained network does without.
        ood_validation: whether settings are chosen on the benchmark's validation OOD images, which then must be there.
        again: whether pixels will be used again after all were seen once, so that keeping them pays.

    Raises:
        MissingData: in-distribution or seen images, an OOD test set that is not optional, or all of these are missing.
        DataError: a set is empty, the classes of training and test images differ, or a class that is to be learnt has
            no training images.
    """
    said: set[str] = set()

    def load(part: Part) -> ImageSet:
        return find_part(part, benchmark.conversion, workspace, download=download, said=said, again=again)

    report = workspace.report
    benchmark, split = divide(benchmark, load)
    id_train, id_test = _in_distribution(benchmark, load, train_needed=train_needed)
    id_validation = _validation(benchmark, id_test, load, report)
    contamination = None
    if benchmark.contamination is not None and id_train is not None:
        mixture = contaminated(id_train, id_test, benchmark.contamination, load, report)
        id_train, contamination = mixture.images, mixture.facts
    seen = _seen(benchmark, load, report)
    ood, missing = {}, {}
    for entry in benchmark.ood:
        try:
            ood[entry.name] = load(entry.part)
        except MissingData as error:
            if not entry.optional:
                raise
            missing[entry.name] = str(error)
            report.warning(f"{benchmark.name}: skipping the OOD set {entry.name!r}: {error}")
    chosen_on = {name: load(part) for name, part in benchmark.ood_validation.items()} if ood_validation else {}
    validation = (*([id_validation] if id_validation else []), *chosen_on.values())
    for other in (id_test, *validation, *seen.values(), *ood.values()):
        first = id_train or id_test
        if other.shape != first.shape:
            raise DataError(
                f"{benchmark.name}: images of {other.name} have the shape {other.shape}, those of {first.name} "
                f"{first.shape}; the benchmark's conversion must name a size and a number of channels"
            )
    if all(entry.role == COVARIATE for entry in benchmark.ood if entry.name in ood):
        raise MissingData(f"{benchmark.name} has no OOD test set to score. {next(iter(missing.values()), '')}")
    data = BenchmarkData(
        benchmark=benchmark,
        id_train=id_train,
        id_test=id_test,
        seen=seen,
        ood=ood,
        missing=missing,
        split=split,
        id_validation=id_validation,
        contamination=contamination,
        ood_validation=chosen_on,
    )
    _check_covariate(data)
    return data


def once_seen(data: BenchmarkData, report: Reporter) -> BenchmarkData:
    """Return images without those that cannot be decoded and those that are on both sides; all are seen for it.

    Args:
        data: as it was found.
        report: told what is being decoded, and what is left out.

    Raises:
        DataError: an image cannot be decoded, or nothing is left of a set or of a class that is to be learnt.
    """
    for images in data.sets:
        _ = images.digests
    data = data.each(ImageSet.without_damaged)
    for images in data.sets:
        if images.damaged:
            more = f", and {len(images.damaged) - 1:,} others" if len(images.damaged) > 1 else ""
            report.warning(f"leaving out {len(images.damaged):,} of {images.name}: {images.damaged[0]}{more}")
    if data.id_train is not None and data.id_train.damaged and (empty := _without_images(data.id_train)):
        raise DataError(f"{data.benchmark.name}: no training image of {', '.join(empty[:5])} can be decoded")
    return _without_test_images(without_shared_images(data, report), report)


def tell_untested(data: BenchmarkData, report: Reporter) -> None:
    """Tell which classes have no test images."""
    if empty := _without_images(data.id_test):
        name = data.benchmark.name
        report.warning(f"{name}: no test images of {', '.join(empty[:5])}: the accuracy says nothing of them")


def _validation(
    benchmark: Benchmark, id_test: ImageSet, load: Callable[[Part], ImageSet], report: Reporter
) -> ImageSet | None:
    """Return the ID validation images of a benchmark that has some of its own, where they are there."""
    images = _optional(benchmark.id_validation, "the ID validation images", benchmark, load, report)
    if images is not None and (images.labels is None or images.class_names != id_test.class_names):
        raise DataError(
            f"{benchmark.name}: the validation images have other classes than the test images; give both all"
        )
    return images


def _seen(benchmark: Benchmark, load: Callable[[Part], ImageSet], report: Reporter) -> dict[str, ImageSet]:
    """Return the seen OOD training images, without those that are missing and may be."""
    if not benchmark.optional_seen:
        return {name: load(part) for name, part in benchmark.seen.items()}
    found = {
        name: _optional(part, f"the seen OOD training images {name!r}", benchmark, load, report)
        for name, part in benchmark.seen.items()
    }
    return {name: images for name, images in found.items() if images is not None}


def _optional(
    part: Part | None, what: str, benchmark: Benchmark, load: Callable[[Part], ImageSet], report: Reporter
) -> ImageSet | None:
    """Return the images of a part that a benchmark does without, or None where they are missing, which is told."""
    if part is None:
        return None
    try:
        return load(part)
    except MissingData as error:
        report.warning(f"{benchmark.name}: going on without {what}: {error}")
        return None


def _check_covariate(data: BenchmarkData) -> None:
    """Refuse images that are to count as in-distribution and are of other classes."""
    for name in data.covariate:
        others = sorted(set(data.ood[name].class_names) - set(data.class_names))
        if others:
            raise DataError(
                f"{data.benchmark.name}: the covariate-shifted set {name} has classes that are no ID classes "
                f"({', '.join(others[:5])}); leave them out, or give the set another role"
            )


def divide(benchmark: Benchmark, load: Callable[[Part], ImageSet]) -> tuple[Benchmark, ClassSplit | None]:
    """Return a benchmark with its split drawn, and the split; or unchanged where it has none.

    Args:
        benchmark: whose ID training set says how many images each class has.
        load: gives the images of a part.

    Raises:
        DataError: the set has no labels.
        ConfigError: the split leaves a part without classes.
    """
    if benchmark.split is None:
        return benchmark, None
    whole = load(replace(benchmark.id_train, share=None, classes=None))
    split = benchmark.split.draw(class_counts(whole.labels, whole.class_names, benchmark.split.dataset))
    return benchmark.divided(split), split


def without_shared_images(data: BenchmarkData, report: Reporter) -> BenchmarkData:
    """Leave out the test images that are training images too, which published data now and then has.

    OOD test images that are ID test images too stay, and are told: no method can tell them apart.

    Args:
        data: with all images.
        report: told how many are left out, and how many are on both sides.

    Raises:
        DataError: nothing is left of a test set.
    """
    training_sets = (*data.seen.values(), *([data.id_train] if data.id_train else []))
    trained = _values([images.digests for images in training_sets])
    tested = _values([data.id_test.digests[~_is_among(data.id_test.digests, trained)]])
    id_test = _untrained(data.id_test, trained, report)
    ood = {}
    for name, images in data.ood.items():
        ood[name] = _untrained(images, trained, report)
        if shared := int(_is_among(images.digests, tested).sum()):
            report.warning(f"{shared} images of {name} {SHARED}: they cannot be told apart")
    return replace(data, id_test=id_test, ood=ood)


def _without_test_images(data: BenchmarkData, report: Reporter) -> BenchmarkData:
    """Leave out the validation OOD images that are test images too: nothing may be chosen on these unseen."""
    if not data.ood_validation:
        return data
    tested = _values([images.digests for images in (data.id_test, *data.ood.values())])
    kept = {name: _without(images, tested, report, "test images") for name, images in data.ood_validation.items()}
    return replace(data, ood_validation=kept)


def _values(digests: Sequence[NDArray[np.uint8]]) -> NDArray[np.bytes_]:
    """Return digests of several sets as 16 bytes each, sorted: half of what a set of Python's would take of memory."""
    import numpy as np

    whole = np.concatenate([np.empty((0, 16), dtype=np.uint8), *digests])
    return np.unique(_as_bytes(whole))


def _as_bytes(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    # Zeros at the end are no part of NumPy's bytes, and make no two digests equal that are not.
    import numpy as np

    values: NDArray[np.bytes_] = np.ascontiguousarray(digests).view("S16").reshape(-1)
    return values


def _is_among(digests: NDArray[np.uint8], values: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    import numpy as np

    return np.isin(_as_bytes(digests), values)


def _untrained(tests: ImageSet, trained: NDArray[np.bytes_], report: Reporter) -> ImageSet:
    return _without(tests, trained, report, "training images", "; test on others")


def _without(images: ImageSet, others: NDArray[np.bytes_], report: Reporter, of: str, advice: str = "") -> ImageSet:
    """Return the images of a set that are not among others, and tell how many are left out.

    Raises:
        DataError: none is left.
    """
    import numpy as np

    kept = np.flatnonzero(~_is_among(images.digests, others))
    if len(kept) == len(images):
        return images
    if not len(kept):
        raise DataError(f"every image of {images.name} is among the {of}{advice}")
    report.warning(f"leaving out {len(images) - len(kept)} images of {images.name}: they are {of} as well")
    return images.at(kept)


def _if_there(load: Callable[[Part], ImageSet], part: Part) -> ImageSet | None:
    try:
        return load(part)
    except MissingData:
        return None


def _in_distribution(
    benchmark: Benchmark, load: Callable[[Part], ImageSet], *, train_needed: bool
) -> tuple[ImageSet | None, ImageSet]:
    """Return the in-distribution training and test images; those without labels are of one class."""
    id_train = load(benchmark.id_train) if train_needed else _if_there(load, benchmark.id_train)
    id_test = load(benchmark.id_test)
    if id_test.labels is None and (id_train is None or id_train.labels is None):
        id_train, id_test = None if id_train is None else _as_one_class(id_train), _as_one_class(id_test)
    _check_classes(benchmark, id_train or id_test, id_test)
    if train_needed and (empty := _without_images(id_train)):
        raise DataError(
            f"{benchmark.name}: no training images of {', '.join(empty[:5])}; add some, or leave the "
            f"{'class' if len(empty) == 1 else 'classes'} out"
        )
    return id_train, id_test


def _as_one_class(images: ImageSet) -> ImageSet:
    """Return in-distribution images without labels as images of one class, which no method can tell apart."""
    import numpy as np

    return replace(images, labels=np.zeros(len(images), dtype=np.int64), class_names=("in-distribution",))


def _check_classes(benchmark: Benchmark, id_train: ImageSet, id_test: ImageSet) -> None:
    for part in (id_train, id_test):
        if part.labels is None:
            raise DataError(f"{benchmark.name}: the in-distribution images of {part.name} have no labels")
    if id_train.class_names != id_test.class_names:
        differing = sorted(set(id_train.class_names) ^ set(id_test.class_names))
        raise DataError(
            f"{benchmark.name}: training and test images have different classes "
            f"({', '.join(differing[:5]) + ' on one side only' if differing else 'in another order'}); "
            "give both splits the same classes"
        )


def _without_images(images: ImageSet | None) -> list[str]:
    """Return the classes of a set that none of its images is of."""
    if images is None or images.labels is None:
        return []
    there = set(images.labels.tolist())
    return [name for label, name in enumerate(images.class_names) if label not in there]
