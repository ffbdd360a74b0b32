"""The options of a run, written once: `oodbench run`, `oodbench.run` and `oodbench.evaluate` read them from here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict, get_args, get_origin, get_type_hints

from .errors import ConfigError, did_you_mean
from .progress import WARNINGS, Reporter


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is said of an option, wherever it is said.

    Attributes:
        about: a sentence.
        default: its value where nothing is given.
        without: what happens then, where the value does not say it.
        flag: how the command line calls it, where that is not its name.
        metavar: how its value is written there.
        variable: environment variable that gives it as well.
        only_python: whether the command line has no such option.
        is_file: whether its value is the path of a file, not of a folder.
    """

    about: str
    default: Any = None
    without: str = ""
    flag: str = ""
    metavar: str | None = None
    variable: str | None = None
    only_python: bool = False
    is_file: bool = False


class Places(TypedDict, total=False):
    """Where a run finds and keeps things."""

    data_dir: Annotated[
        str | Path | None,
        Option(
            about="Folder where images are looked for.",
            without="OODBENCH_DATA, or data in the working folder",
            variable="OODBENCH_DATA",
        ),
    ]
    results_dir: Annotated[
        str | Path,
        Option(about="Folder of the records; cells that are there are not run again.", default="results"),
    ]
    cache_dir: Annotated[
        str | Path | None,
        Option(
            about="Folder for decoded images, networks and outputs.",
            without="OODBENCH_CACHE, or oodbench in your cache folder",
            variable="OODBENCH_CACHE",
        ),
    ]
    device: Annotated[
        str,
        Option(
            about="Where to compute: auto takes the GPUs there are; or cpu, cuda, or several such as cuda:0,cuda:1.",
            default="auto",
            metavar="[auto|cpu|cuda|…]",
        ),
    ]
    save_detectors: Annotated[
        bool, Option(about="Store each fitted detector beside its record, for oodbench detect.", default=False)
    ]
    report: Annotated[
        Reporter,
        Option(about="Told what is going on; by default of warnings only.", default=WARNINGS, only_python=True),
    ]


class ReadingOptions(TypedDict, total=False):
    """How images are read."""

    pixel_cache: Annotated[
        str,
        Option(
            about="How many bytes of decoded pixels are kept; images beyond that are decoded each time they are used.",
            default="20GB",
            metavar="SIZE",
        ),
    ]
    skip_damaged: Annotated[
        bool,
        Option(
            about="Leave out images that cannot be decoded, and count them in the records; else one of them ends the "
            "run.",
            default=False,
        ),
    ]


class GivenImageOptions(TypedDict, total=False):
    """What a user's own images are brought to."""

    image_size: Annotated[
        str | int | None,
        Option(
            about="What your own images are brought to, such as 64 or 48x64 (height, width).",
            without="32; what a model is given for must be said",
            metavar="SIZE",
        ),
    ]
    channels: Annotated[
        int | None, Option(about="1 (grey) or 3 (RGB), for your own images.", without="3", metavar="[1|3]")
    ]


class GivenModelOptions(TypedDict, total=False):
    """What is said of a trained classifier of a user's own."""

    normalise: Annotated[
        Any,
        Option(
            about="What the model was trained with, for images in [0, 1]: none, imagenet or MEAN/STD, such as "
            "0.5,0.5,0.5/0.25,0.25,0.25.",
            without="what --preprocess says of it",
            metavar="[none|imagenet|MEAN/STD]",
        ),
    ]
    preprocess: Annotated[
        Any,
        Option(
            about="How its images are prepared: stretch brings them to --image-size; "
            "resize=256,crop=224,interpolation=bicubic cuts out the centre; auto takes what comes with the model "
            "(timm, torchvision, Hugging Face), normalisation included.",
            without="stretch",
            metavar="[stretch|auto|resize=…,crop=…]",
        ),
    ]
    class_names: Annotated[
        str | Sequence[str] | None,
        Option(
            about="What its outputs stand for, in order; in a file, a name a line.",
            without="the classes of the images, in their order",
            metavar="NAME,NAME,…|FILE",
        ),
    ]
    labels: Annotated[
        str | None,
        Option(
            about="The same by a list that is known: imagenet, or the model's own (model).",
            metavar="[imagenet|model]",
        ),
    ]
    features: Annotated[
        str | None,
        Option(
            about="Layer that gives the logits, whose input the features are, or a part that it is in.",
            without="the last linear layer that does",
            metavar="LAYER",
        ),
    ]


class ModelOptions(GivenModelOptions, total=False):
    """The same with the model itself, as the command line is given it."""

    model: Annotated[
        str | None,
        Option(
            about="Score a trained classifier of your own, made by a function, such as my_module:build or "
            "'torchvision.models:resnet18(num_classes=10)'; one of a hub, such as timm:resnet50.a1_in1k, "
            "torchvision:resnet50 or hf:org/name; or a TorchScript or exported file.",
            metavar="MODULE:FUNCTION",
        ),
    ]
    weights: Annotated[
        Path | None,
        Option(about="Its weights: a checkpoint or a safetensors file.", metavar="FILE", is_file=True),
    ]


class TuningOptions(TypedDict, total=False):
    """How hyper-parameters are chosen."""

    tune: Annotated[
        str | None,
        Option(
            about="Choose what methods have a grid for and --set does not give: on held-out ID images (id), on the "
            "benchmark's validation OOD images too (val), on its seen OOD images (seen), or on the OOD test sets, "
            "which tables then say (test).",
            without="nothing is chosen",
            metavar="[id|val|seen|test]",
        ),
    ]


class RunOptions(Places, ReadingOptions, GivenImageOptions, TuningOptions, total=False):
    """All options of a run but what is run: benchmarks and methods."""

    seeds: Annotated[int, Option(about="How many seeds: 0, 1, …", default=1)]
    first_seed: Annotated[
        int, Option(about="The first of them, to add more later or to divide them among machines.", default=0)
    ]
    recipe: Annotated[str | None, Option(about="Training recipe.", without="each benchmark's own", metavar="NAME")]
    settings: Annotated[
        Mapping[str, Mapping[str, object]] | Sequence[str],
        Option(
            about="Change a hyper-parameter (odm.margin=5) or the training (recipe.epochs=2); can be repeated.",
            default=(),
            flag="--set",
            metavar="NAME.SETTING=VALUE",
        ),
    ]
    out: Annotated[
        str | Sequence[str],
        Option(
            about="Score one more OOD set, by name or path, or one in the place of another (lsun=my_scenes); can be "
            "repeated.",
            default=(),
            metavar="[SET=]NAME",
        ),
    ]
    contaminate: Annotated[
        str | None,
        Option(
            about="Train on a set that is not clean: that share of the training images is of another set, given by "
            "name or path (0.1:omniglot).",
            metavar="SHARE:SET",
        ),
    ]
    contaminate_labels: Annotated[
        str | None,
        Option(
            about="What is said of these images: a random ID class (random), or nothing (none): then what reads labels "
            "learns from the others alone.",
            metavar="[random|none]",
            without="random",
        ),
    ]
    split: Annotated[
        str | None,
        Option(
            about="Divide the classes of a labelled set into known, seen and unseen ones: shares such as 50/20/30, or "
            "a TOML file.",
            metavar="ID/SEEN/UNSEEN",
        ),
    ]
    split_seed: Annotated[int | None, Option(about="Seed of the random split.", without="0")]
    split_seeds: Annotated[
        int | None, Option(about="A suite of so many random splits, with the seeds 0, 1, …", metavar="N")
    ]
    snapshots: Annotated[
        int | None,
        Option(
            about="Keep what each network says of so many images of each test set after each epoch of its training, "
            "for oodbench plot embeddings --animate --epochs; with --force networks that are there without are trained "
            "again.",
            metavar="N",
        ),
    ]
    on: Annotated[
        str | None,
        Option(about="Who does the work: ray for a Ray cluster.", without="this machine", metavar="[ray]"),
    ]
    ray_address: Annotated[
        str | None,
        Option(
            about="Ray cluster to join, such as auto or ray://head:10001.",
            without="RAY_ADDRESS, or one on this machine",
            metavar="ADDRESS",
        ),
    ]
    force: Annotated[bool, Option(about="Run cells that are stored already as well.", default=False)]
    download: Annotated[bool, Option(about="Download data sets that are missing and may be downloaded.", default=False)]


def options_of(kind: type) -> dict[str, tuple[Any, Option]]:
    """Return the type and the description of each option of a group, by name, those of its bases first."""
    found = {}
    for name, annotated in get_type_hints(kind, include_extras=True).items():
        value, *extras = get_args(annotated) if get_origin(annotated) is Annotated else (annotated,)
        option = next((extra for extra in extras if isinstance(extra, Option)), None)
        if option is not None:
            found[name] = (value, option)
    return found


def with_defaults(kind: type, given: Mapping[str, Any], *, of: str) -> dict[str, Any]:
    """Return all options of a group, those that are not given at their defaults.

    Args:
        kind: the group.
        given: some of them.
        of: what they are options of, for messages.

    Raises:
        ConfigError: there is no such option.
    """
    known = options_of(kind)
    for name in given:
        if name not in known:
            raise ConfigError(f"{of} has no option {name!r}{did_you_mean(name, known)}")
    return {name: given.get(name, option.default) for name, (_, option) in known.items()}


def documented(text: str | None, kind: type) -> str:
    """Return a docstring with a line for each option of a group, in the place of `{options}`."""
    lines = []
    for name, (_, option) in options_of(kind).items():
        words = option.about
        default = option.without or ("" if option.default in (None, (), False, WARNINGS) else repr(option.default))
        lines.append(f"    {name}: {words[0].lower()}{words[1:]}{f' Default: {default}.' if default else ''}")
    return inspect.cleandoc(text or "").replace("    {options}", "\n".join(lines))
