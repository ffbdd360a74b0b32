"""The two calls of Python users: `oodbench.run` on benchmarks, `oodbench.evaluate` on a model of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

from oodbench.benchmark import Benchmark, OodSet, Part, Recipe
from oodbench.data.loading import BenchmarkData
from oodbench.device import resolve
from oodbench.errors import ConfigError, DataError
from oodbench.folders import check_name
from oodbench.given.images import ImageLoader, conversion_of
from oodbench.given.model import prepared
from oodbench.images import Conversion
from oodbench.options import (
    GivenImageOptions,
    GivenModelOptions,
    Option,
    Places,
    ReadingOptions,
    RunOptions,
    TuningOptions,
    documented,
    with_defaults,
)
from oodbench.store.records import ResultStore, open_results
from oodbench.store.rows import to_frame
from oodbench.store.workspace import Workspace
from oodbench.suite import Suite
from oodbench.training.config import TrainConfig

from .first_look import FirstLook
from .loaded import seen_once
from .naming import GivenImages
from .request import request
from .runner import execute, prepare, prepare_with

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from oodbench.api import Method
    from oodbench.given.images import Images
    from oodbench.given.model import GivenModel

    from .executors import Executor


class EvaluateOptions(Places, ReadingOptions, GivenImageOptions, GivenModelOptions, TuningOptions, total=False):
    """All options of `evaluate` but the model and the images."""

    name: Annotated[str, Option(about="Name of the model, for tables and records.", default="")]
    seed: Annotated[int, Option(about="Of held-out images and of everything random in methods.", default=0)]


def evaluate(
    model: nn.Module,
    id_test: Images,
    ood: Mapping[str, Images] | Images,
    *,
    id_train: Images | None = None,
    methods: str | Method | Sequence[str | Method] = "all",
    **options: Unpack[EvaluateOptions],
) -> pd.DataFrame:
    """Score OOD sets with a classifier of your own and every method that does not train one.

    There are warnings of methods that "all" leaves out, of test images that are left out, since they are training
    images as well, and of images that are both ID and OOD. Records are kept where `results_dir` is given.

    Args:
        model: gives logits, shape (n, n_classes), for normalised images, alone or first in a tuple or mapping; it stays
            as it is.
        id_test: labelled in-distribution test images.
        ood: out-of-distribution test sets by name, or one of them.
        id_train: labelled images that the model was trained on, for the methods that need them; of a folder with
            train/ and test/ those in train/, else all.
        methods: as in `oodbench.run`; "all" leaves out what cannot be scored on this model, and says why.
        {options}

    Returns:
        A row for each method and OOD set, metrics as fractions; see `oodbench.load_results`.

    Raises:
        OodbenchError: something is missing or does not fit; the message says what, and what to do next.

    >>> frame = oodbench.evaluate(model, "photos/test", {"cats": "cats/"}, normalise="imagenet",
    ...                           image_size=224)  # doctest: +SKIP
    """
    chosen = with_defaults(EvaluateOptions, options, of="oodbench.evaluate")
    results_dir, report = options.get("results_dir"), chosen["report"]
    save_detectors, image_size, name = chosen["save_detectors"], chosen["image_size"], chosen["name"]
    if save_detectors and results_dir is None:
        raise ConfigError("save_detectors needs a folder to store them in: results_dir=")
    check_name(name)
    own = prepared(model, chosen, name=name)
    sets = _by_name(ood)
    workspace = _workspace(chosen)
    loader = ImageLoader(conversion=conversion_of(image_size, chosen["channels"], own.conversion), workspace=workspace)
    report.message(own.in_words)
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
    several = [methods] if isinstance(methods, str) or not isinstance(methods, Sequence) else methods
    wanted = replace(request([benchmark], several, tune=chosen["tune"], model=own), seeds=(chosen["seed"],))
    devices = resolve(chosen["device"])[:1]
    look = FirstLook(wanted=wanted, workspace=workspace, device=devices[0])
    with tempfile.TemporaryDirectory() as aside:
        ready = prepare_with(
            wanted,
            seen_once(wanted, {benchmark.name: data}, workspace, look),
            results=ResultStore(Path(results_dir or aside)),
            workspace=workspace,
            devices=devices,
            save_detectors=save_detectors,
        )
        for reason in ready.plan.left_out:
            report.warning(f"left out: {reason}")
        return to_frame(execute(ready))


evaluate.__doc__ = documented(evaluate.__doc__, EvaluateOptions)


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
    benchmarks: str | Benchmark | Suite | Sequence[str | Benchmark | Suite],
    methods: str | Method | Sequence[str | Method] = "all",
    **options: Unpack[RunOptions],
) -> pd.DataFrame:
    """Run methods on benchmarks, as `oodbench run` does, and return the results.

    Args:
        benchmarks: names of benchmarks or suites, paths of folders or ZIPs of images, or such objects of your own; one
            or several.
        methods: names such as "odm" or "odm(margin=5)", or methods with hyper-parameters of your own; one or
            several, or "all".
        {options}

    Returns:
        A row for each cell and OOD test set, metrics as fractions; see `oodbench.load_results`.

    Raises:
        OodbenchError: something is missing or wrong; the message says what, where, and what to do next.

    >>> frame = oodbench.run("digits", ["msp", "odm"], seeds=3, settings={"recipe": {"epochs": 2}})  # doctest: +SKIP
    """
    chosen = with_defaults(RunOptions, options, of="oodbench.run")
    wanted = request(_several(benchmarks), _several(methods), **asked_for(chosen))
    prepared = prepare(wanted, **surroundings(chosen))
    for reason in prepared.plan.left_out:
        chosen["report"].warning(f"left out: {reason}")
    return to_frame(execute(prepared))


run.__doc__ = documented(run.__doc__, RunOptions)


def asked_for(options: Mapping[str, Any], *, model: GivenModel | None = None) -> dict[str, Any]:
    """Return what `request` takes of the options of a run.

    Args:
        options: all of `RunOptions`.
        model: a trained classifier to score instead of training networks.
    """
    size = options["image_size"]
    given = GivenImages(
        **{name: options[name] for name in ("split", "split_seed", "split_seeds", "channels")},
        image_size=None if size is None else str(size),
        trained=model is not None,
        prescribed=None if model is None else model.conversion,
        data_dir=None if options["data_dir"] is None else Path(options["data_dir"]),
    )
    plain = ("seeds", "first_seed", "recipe", "settings", "contaminate", "contaminate_labels", "snapshots", "tune")
    asked = {name: options[name] for name in plain}
    return {**asked, "out": _several(options["out"]), "own": given, "model": model}


def surroundings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `prepare` takes of the options of a run, besides the request."""
    taken = {name: options[name] for name in ("device", "force", "download", "save_detectors")}
    workspace = _workspace(options)
    executor = _executor(options["on"], options["ray_address"])
    return {**taken, "workspace": workspace, "results_dir": Path(options["results_dir"]), "executor": executor}


def _workspace(options: Mapping[str, Any]) -> Workspace:
    """Return the surroundings that the options of a run name.

    Raises:
        ConfigError: the limit of pixels is no size.
    """
    return Workspace.of(
        options["data_dir"],
        options["cache_dir"],
        options["report"],
        pixel_cache=options["pixel_cache"],
        skip_damaged=options["skip_damaged"],
    )


def _executor(on: str | None, address: str | None) -> Executor | None:
    """Return who does the work of a run, or None for this machine.

    Raises:
        ConfigError: there is no such executor.
    """
    if on is None:
        if address is not None:
            raise ConfigError("--ray-address is for --on ray; give it too")
        return None
    if on != "ray":
        raise ConfigError(f"--on must be ray, or be left out for this machine, got {on!r}")
    from .on_ray import OnRay

    return OnRay(address)


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
