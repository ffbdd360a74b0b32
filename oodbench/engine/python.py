"""The two calls of Python users: `oodbench.run` on benchmarks, `oodbench.evaluate` on a model of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.data.loading import BenchmarkData, without_shared_images
from oodbench.device import resolve
from oodbench.errors import ConfigError, DataError
from oodbench.folders import check_name
from oodbench.given.images import ImageLoader, conversion_of
from oodbench.given.model import GivenModel, Normalisation
from oodbench.images import Conversion
from oodbench.progress import WARNINGS, Reporter
from oodbench.store.records import ResultStore, open_results
from oodbench.store.rows import to_frame
from oodbench.store.workspace import Workspace
from oodbench.training.config import TrainConfig

from .naming import GivenImages
from .request import request
from .runner import execute, prepare, prepare_with

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from oodbench.api import Method
    from oodbench.given.images import Images

    from .request import Settings


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
    report: Reporter = WARNINGS,
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
            test images that are left out, since they are training images as well, of images that are both ID and OOD,
            of files that are no images, and of classes that seem to be in another order than the model's outputs.

    Returns:
        A row for each method and OOD set, metrics as fractions; see `oodbench.load_results`.

    Raises:
        OodbenchError: something is missing or does not fit; the message says what, and what to do next.

    >>> frame = oodbench.evaluate(model, "photos/test", {"cats": "cats/"}, normalise="imagenet",
    ...                           image_size=224)  # doctest: +SKIP
    """
    if save_detectors and results_dir is None:
        raise ConfigError("save_detectors needs a folder to store them in: results_dir=")
    check_name(name)
    own = GivenModel.of(model, normalise=normalise, features=features, class_names=class_names, name=name)
    sets = _by_name(ood)
    workspace = Workspace.of(data_dir, cache_dir, report)
    loader = ImageLoader(conversion=conversion_of(image_size, channels), workspace=workspace)
    test = own.ordered(loader.load(id_test, "ID test"))
    train = None if id_train is None else own.ordered(loader.load(id_train, "ID train", split="train"))
    if train is not None and train.class_names != test.class_names:
        raise ConfigError(
            f"{train.name} has the classes {', '.join(train.class_names)}, and {test.name} has "
            f"{', '.join(test.class_names)}; give those of the model, in order: class_names="
        )
    loaded = {entry: loader.load(images, entry, labelled=False) for entry, images in sets.items()}
    for other in (*loaded.values(), *filter(None, (train,))):
        if other.shape != test.shape:
            raise DataError(
                f"the images of {other.name} have the shape {other.shape}, those of {test.name} {test.shape}; give "
                "the size that the model takes: image_size="
            )
    benchmark = _benchmark(own.name, list(sets), loader.conversion)
    data = BenchmarkData(benchmark=benchmark, id_train=train, id_test=test, seen={}, ood=loaded, missing={})
    data = without_shared_images(data, report)
    several = [methods] if isinstance(methods, str) or not isinstance(methods, Sequence) else methods
    wanted = replace(request([benchmark], several, model=own), seeds=(seed,))
    with tempfile.TemporaryDirectory() as aside:
        prepared = prepare_with(
            wanted,
            {benchmark.name: data},
            results=ResultStore(Path(results_dir or aside)),
            workspace=workspace,
            devices=resolve(device)[:1],
            save_detectors=save_detectors,
        )
        for reason in prepared.plan.left_out:
            report.warning(f"left out: {reason}")
        return to_frame(execute(prepared))


def _by_name(ood: Mapping[str, Images] | Images) -> Mapping[str, Images]:
    sets = ood if isinstance(ood, Mapping) else {"ood": ood}
    if not sets:
        raise ConfigError('give at least one OOD set: ood={"name": images}')
    if isinstance(ood, list | tuple) and ood and isinstance(ood[0], str | Path):
        raise ConfigError(f'paths of OOD sets need names: ood={{"name": {str(ood[0])!r}}}')
    return sets


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


def run(
    benchmarks: str | Benchmark | Sequence[str | Benchmark],
    methods: str | Method | Sequence[str | Method] = "all",
    *,
    seeds: int = 1,
    recipe: str | None = None,
    settings: Settings | Sequence[str] = (),
    out: str | Sequence[str] = (),
    split: str | None = None,
    split_seed: int | None = None,
    split_seeds: int | None = None,
    image_size: str | int | None = None,
    channels: int | None = None,
    data_dir: str | Path | None = None,
    results_dir: str | Path = "results",
    cache_dir: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    download: bool = False,
    save_detectors: bool = False,
    report: Reporter = WARNINGS,
) -> pd.DataFrame:
    """Run methods on benchmarks, as `oodbench run` does, and return the results.

    Args:
        benchmarks: names, paths of folders or ZIPs of images, or benchmarks of your own; one or several.
        methods: names such as "odm" or "odm(margin=5)", or methods with hyper-parameters of your own; one or
            several, or "all".
        seeds: how many: 0 … seeds − 1.
        recipe: name of a training recipe, or None for each benchmark's default.
        settings: such as `{"odm": {"margin": 5}, "recipe": {"epochs": 2}}` or `["odm.margin=5"]`.
        out: more OOD test sets, each the name of a data set or a path; "lsun=scenes" puts one in the place of another.
        split: divides the classes of a labelled set: "50/20/30" (known, seen, unseen), or the path of a TOML file.
        split_seed: of a random split; default 0.
        split_seeds: how many random splits make a suite, instead of one split.
        image_size: 64 or "48x64" (height, width): what images of your own are brought to; default 32×32.
        channels: 1 (grey) or 3 (RGB, the default) for images of your own.
        data_dir: where images are looked for; default `OODBENCH_DATA`, or `data` in the working folder.
        results_dir: where records are kept; cells that are there are not run again.
        cache_dir: where networks and outputs are kept; default `OODBENCH_CACHE`, or the user's cache folder.
        device: "auto" (all GPUs, or the CPU where there is none), "cpu", "cuda", or devices such as "cuda:0,cuda:1".
        force: run cells that are stored already as well.
        download: fetch data sets that are missing and may be fetched.
        save_detectors: store each fitted detector beside its record, for `oodbench.Detector.load`.
        report: told what is going on; by default nobody is.

    Returns:
        A row for each cell and OOD test set, metrics as fractions; see `oodbench.load_results`.

    Raises:
        OodbenchError: something is missing or wrong; the message says what, where, and what to do next.
    """
    wanted = request(
        _several(benchmarks),
        _several(methods),
        seeds=seeds,
        recipe=recipe,
        settings=settings,
        out=_several(out),
        own=GivenImages(
            split=split,
            split_seed=split_seed,
            split_seeds=split_seeds,
            image_size=None if image_size is None else str(image_size),
            channels=channels,
            data_dir=None if data_dir is None else Path(data_dir),
        ),
    )
    prepared = prepare(
        wanted,
        workspace=Workspace.of(data_dir, cache_dir, report),
        results_dir=Path(results_dir),
        device=device,
        force=force,
        download=download,
        save_detectors=save_detectors,
    )
    for reason in prepared.plan.left_out:
        report.warning(f"left out: {reason}")
    return to_frame(execute(prepared))


def _several(one_or_more: Any) -> Sequence[Any]:
    return [one_or_more] if isinstance(one_or_more, str) or not isinstance(one_or_more, Sequence) else one_or_more


def load_results(results_dir: str | Path = "results") -> pd.DataFrame:
    """Return all stored results as a tidy table.

    Args:
        results_dir: where records are kept, or the folder of one benchmark in it.

    Returns:
        A row for each cell and OOD test set; see `oodbench.store.rows.to_frame` for the columns.

    Raises:
        StoreError: there are none, or a record is not whole.
    """
    return to_frame(open_results(Path(results_dir))[1])
