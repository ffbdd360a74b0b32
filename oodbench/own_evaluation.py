"""`oodbench.evaluate`: a trained classifier and images of any kind in, a table of results out."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from . import registry
from .artifacts import ArtifactStore, default_cache_dir
from .benchmark import Benchmark, OodSet, Part, Recipe
from .data import (
    SHARED,
    BenchmarkData,
    default_data_dir,
    load_part,
    without_shared_images,
)
from .device import resolve
from .errors import ConfigError, DataError
from .images import Conversion, ImageSet, RawImages, convert
from .own_images import OwnImages, place
from .own_model import Normalisation, OwnModel
from .records import ResultStore, to_frame
from .report import SILENT, Reporter, Silent
from .request import request
from .runner import execute, prepare_with
from .training.config import TrainConfig

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from .api import Method

Images: TypeAlias = "str | Path | ImageSet | np.ndarray[Any, Any] | tuple[Any, Any] | Sequence[Any]"
"""A folder or ZIP, the name of a data set, an `ImageSet`, uint8 arrays or tensors of shape (n, channels, height, width)
alone or in a tuple with labels, or a sequence of (PIL image, label) as torchvision's data sets are."""


def evaluate(
    model: nn.Module,
    id_test: Images,
    ood: Mapping[str, Images] | Images,
    *,
    id_train: Images | None = None,
    methods: str | Method | Sequence[str | Method] = "all",
    normalise: Normalisation,
    image_size: str | int | None = None,
    channels: int | None = None,
    features: str | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "",
    seed: int = 0,
    data_dir: str | Path | None = None,
    results_dir: str | Path | None = None,
    save_detectors: bool = False,
    cache_dir: str | Path | None = None,
    device: str = "auto",
    report: Reporter = SILENT,
) -> pd.DataFrame:
    """Score OOD sets with a classifier of your own and every method that does not train one.

    Args:
        model: gives logits, shape (n, n_classes), for normalised images; it stays as it is.
        id_test: labelled in-distribution test images.
        ood: out-of-distribution test sets by name, or one of them.
        id_train: labelled images that the model was trained on, for the methods that need them; of a folder with
            train/ and test/ those in train/, else all.
        methods: as in `oodbench.run`; "all" leaves out what cannot be scored on this model, and says why.
        normalise: what the model was trained with, for images in [0, 1]: "none", "imagenet" or MEAN/STD, such as
            "0.5,0.5,0.5/0.25,0.25,0.25" or ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).
        image_size: what images are brought to, such as 224 or "48x64" (height, width); None leaves arrays as they are.
        channels: 1 (grey) or 3 (RGB, the default), where `image_size` is given.
        features: name of the linear layer that gives the logits, whose input the features are; None for the last one.
        class_names: what the model's outputs stand for, in order, where folders have other names or another order.
        name: of the model, for tables and records.
        seed: of held-out images and of everything random in methods.
        data_dir: where names of data sets are looked for; default `OODBENCH_DATA`, or `data` in the working folder.
        results_dir: where records are kept, as `oodbench run` does; None keeps none.
        save_detectors: store each fitted detector beside its record, for `oodbench.Detector.load`.
        cache_dir: where images and outputs are kept; default `OODBENCH_CACHE`, or the user's cache folder.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        report: told what is going on; by default nobody is, and there are warnings of methods that "all" leaves out, of
            test images that are left out, since they are training images as well, and of images that are both ID and
            OOD.

    Returns:
        A row for each method and OOD set, metrics as fractions; see `oodbench.load_results`.

    Raises:
        OodbenchError: something is missing or does not fit; the message says what, and what to do next.

    >>> frame = oodbench.evaluate(model, "photos/test", {"cats": "cats/"}, normalise="imagenet",
    ...                           image_size=224)  # doctest: +SKIP
    """
    if save_detectors and results_dir is None:
        raise ConfigError("save_detectors needs a folder to store them in: results_dir=")
    own = OwnModel.of(model, normalise=normalise, features=features, class_names=class_names, name=name)
    sets = _by_name(ood)
    loader = _Loader(
        conversion=_conversion(image_size, channels),
        data_dir=Path(data_dir) if data_dir else default_data_dir(),
        artifacts=ArtifactStore(Path(cache_dir) if cache_dir else default_cache_dir()),
        report=report,
    )
    test = own.ordered(loader.load(id_test, "ID test"))
    train = None if id_train is None else own.ordered(loader.load(id_train, "ID train", split="train"))
    if train is not None and train.class_names != test.class_names:
        raise ConfigError(
            f"{train.name} has the classes {', '.join(train.class_names)}, and {test.name} has "
            f"{', '.join(test.class_names)}; give those of the model, in order: class_names="
        )
    loaded = {entry: loader.load(images, entry) for entry, images in sets.items()}
    for other in (*loaded.values(), *filter(None, (train,))):
        if other.shape != test.shape:
            raise DataError(
                f"the images of {other.name} have the shape {other.shape}, those of {test.name} {test.shape}; give "
                "the size that the model takes: image_size="
            )
    benchmark = _benchmark(own.name, list(sets), loader.conversion)
    data = BenchmarkData(benchmark=benchmark, id_train=train, id_test=test, seen={}, ood=loaded, missing={})
    data = without_shared_images(data, _Warning() if report is SILENT else report)
    several = [methods] if isinstance(methods, str) or not isinstance(methods, Sequence) else methods
    wanted = replace(request([benchmark], several, model=own), seeds=(seed,))
    if report is SILENT and wanted.every_method:
        report = _Warning()
    with tempfile.TemporaryDirectory() as aside:
        prepared = prepare_with(
            wanted,
            {benchmark.name: data},
            results=ResultStore(Path(results_dir or aside)),
            artifacts=loader.artifacts,
            devices=resolve(device)[:1],
            save_detectors=save_detectors,
        )
        for reason in prepared.plan.left_out:
            report.message(f"left out: {reason}")
        return to_frame(execute(prepared, report))


class _Warning(Silent):
    """Warns of what is left out or on both sides: nobody listens, and rows do not say what they are made of."""

    def message(self, text: str) -> None:
        if text.startswith(("left out: ", "leaving out ")) or SHARED in text:
            warnings.warn(text, stacklevel=2)


def _by_name(ood: Mapping[str, Images] | Images) -> Mapping[str, Images]:
    sets = ood if isinstance(ood, Mapping) else {"ood": ood}
    if not sets:
        raise ConfigError('give at least one OOD set: ood={"name": images}')
    if isinstance(ood, list | tuple) and ood and isinstance(ood[0], str | Path):
        raise ConfigError(f'paths of OOD sets need names: ood={{"name": {str(ood[0])!r}}}')
    return sets


def _conversion(image_size: str | int | None, channels: int | None) -> Conversion:
    if image_size is None:
        return Conversion(channels=1 if channels == 1 else 3 if channels == 3 else None)
    return OwnImages(image_size=str(image_size), channels=channels).conversion()


def _benchmark(name: str, sets: Sequence[str], conversion: Conversion) -> Benchmark:
    """Return what stands in records for images that no benchmark names."""
    return Benchmark(
        name=name,
        title=f"a trained {name}",
        source="evaluated with oodbench.evaluate",
        id_train=Part(dataset="ID train", split="train"),
        id_test=Part(dataset="ID test"),
        ood=tuple(OodSet(name=entry, part=Part(dataset=entry), role="anomaly") for entry in sets),
        conversion=conversion,
        network="given",
        recipes={"default": Recipe(default=TrainConfig())},
    )


class _Loader:
    """Turns whatever holds images into image sets.

    Args:
        conversion: what images are brought to.
        data_dir: where names are looked for.
        artifacts: where decoded folders are kept.
        report: told what is being decoded.
    """

    def __init__(self, *, conversion: Conversion, data_dir: Path, artifacts: ArtifactStore, report: Reporter) -> None:
        self.conversion, self.artifacts = conversion, artifacts
        self._data_dir, self._report = data_dir, report

    def load(self, images: Images, name: str, split: Literal["train", "test"] = "test") -> ImageSet:
        if isinstance(images, ImageSet):
            return images
        if isinstance(images, str | Path):
            _, dataset = place(str(images) if isinstance(images, str) else f"{images.absolute()}")
            part = Part(dataset=dataset, split="test" if self._is_undivided(dataset) else split)
            return load_part(part, self.conversion, self._data_dir, self.artifacts, self._report)
        array, labels = images if isinstance(images, tuple) else (images, None)
        if hasattr(array, "shape"):
            return self._of_array(np.asarray(array), labels, name)
        return self._of_pairs(images, name)

    def _is_undivided(self, dataset: str) -> bool:
        """Return whether a folder holds images as they lie, without a part for training and one for tests."""
        found = registry.dataset(dataset)
        is_train = found.locate("train", self._data_dir).present
        return not is_train and self._data_dir / dataset in found.locate("test", self._data_dir).files

    def _of_array(self, array: np.ndarray[Any, Any], labels: Any, name: str) -> ImageSet:
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3):
            raise DataError(
                f"{name}: images must be uint8 of shape (n, channels, height, width) with 1 or 3 channels, got "
                f"{array.dtype} {array.shape}; {_remedy(array)}"
            )
        # Conversion wants the channels last, and none for grey images.
        pixels = array.transpose(0, 2, 3, 1)
        raw = RawImages(images=pixels[..., 0] if pixels.shape[3] == 1 else pixels)
        return self._labelled(raw, labels, name)

    def _of_pairs(self, pairs: Any, name: str) -> ImageSet:
        from PIL.Image import Image

        if not hasattr(pairs, "__len__") or not hasattr(pairs, "__getitem__"):
            raise DataError(
                f"{name} must be a path, the name of a data set, uint8 arrays or a sequence of PIL images, got a "
                f"{type(pairs).__name__}"
            )
        pairs = [
            entry if isinstance(entry, tuple) else (entry, None) for entry in (pairs[i] for i in range(len(pairs)))
        ]
        if not pairs or not all(isinstance(picture, Image) for picture, _ in pairs):
            kind = type(pairs[0][0]).__name__ if pairs else "nothing"
            raise DataError(
                f"{name} must hold PIL images, or pairs of one with its label, got {kind}; leave transforms out"
            )
        labels = None if pairs[0][1] is None else [label for _, label in pairs]
        return self._labelled(RawImages(images=[picture for picture, _ in pairs]), labels, name)

    def _labelled(self, raw: RawImages, labels: Any, name: str) -> ImageSet:
        whole = None if labels is None else _whole_numbers(labels, name)
        pixels = convert(raw, self.conversion, name)
        if whole is None:
            return ImageSet(name=name, images=pixels)
        names = tuple(map(str, range(int(whole.max(initial=-1)) + 1)))
        return ImageSet(name=name, images=pixels, labels=whole, class_names=names)


def _remedy(array: np.ndarray[Any, Any]) -> str:
    """Say how an array becomes images."""
    if array.ndim == 4 and array.shape[3] in (1, 3) and array.shape[1] not in (1, 3):
        return "put the channels first: .transpose(0, 3, 1, 2)"
    if array.dtype.kind == "f":
        return 'bring values from 0 to 1 to bytes: (x * 255).astype("uint8"); normalisation is given apart: normalise='
    return "normalisation is given apart: normalise="


def _whole_numbers(labels: Any, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    try:
        given = np.asarray(labels)
    # Of differing lengths.
    except ValueError:
        given = np.empty(0, dtype=object)
    whole = given.dtype.kind in "iub" or (
        given.dtype.kind == "f" and bool((np.isfinite(given) & (given == np.floor(given))).all())
    )
    if given.ndim != 1 or not whole:
        raise DataError(
            f"{name}: labels must be whole numbers of shape (n,), the classes counted from 0, got {given.dtype} "
            f"{given.shape}"
        )
    return given.astype(np.int64)
