"""What a plugin must look like. A plugin that fits these protocols needs to import nothing from oodbench.

Scores: higher = more in-distribution. Images: float32 in [0, 1], shape (n, channels, height, width).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from .images import Conversion, RawImages
from .splits import SplitRule

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from .batch import Batch
    from .benchmark import Benchmark
    from .progress import Reporter
    from .tables.model import Table
    from .training.learner import Learner, Setting

CONTRACT = 2
"""Version of this file. It counts up when a plugin that fitted the protocols below may fit them no longer; a plugin's
package, module or file says which one it was written for: `OODBENCH_CONTRACT = 2`."""

Sees = Literal["id_validation", "ood_validation", "seen_ood", "ood_test"]
"""What a method may see besides the labelled ID training images: held-out ID images, the benchmark's validation OOD
images, its unlabelled seen OOD training images, or the OOD test sets themselves (its rows are then marked). Where a
benchmark offers several kinds of seen OOD images, a method gets the first, or the one that its field `seen` names."""


Need = Literal["classes", "training_images", "seen_ood", "features", "gradients"]
"""What a method or an objective cannot do without, and some benchmarks and given models lack: two or more labelled ID
classes; ID training images; seen OOD training images; features with a head above them that gives the logits; gradients
of the network's outputs with respect to the images."""


class Network(Protocol):
    """A classifier or an embedding: `head(features(images))`. Every `torch.nn.Module` with these two parts fits.

    A module that says other things of images has a method `outputs(images)` instead, which returns arrays by name, a
    row an image: `{"code": …, "error": …}`. Methods ask for them by these names: `batch.output("error")`.
    """

    def features(self, images: Tensor) -> Tensor:
        """Return the input of the last linear layer, shape (n, n_features)."""

    def head(self, features: Tensor) -> Tensor:
        """Return logits or embeddings, shape (n, n_outputs)."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return `head(features(images))`."""


class NetworkBuilder(Protocol):
    """A network plugin: a class or function that makes an untrained network."""

    def __call__(self, shape: tuple[int, int, int], n_outputs: int) -> torch.nn.Module:
        """Return a module that fits `Network`, for images of `shape` (channels, height, width)."""


class Objective(Protocol):
    """How a network is built, and what it is trained for. A frozen dataclass: equal objectives share one network.

    Optional, with a default where an objective does not have them:

    - `needs`: what it cannot do without, a frozenset of `Need`; nothing.
    - `starts_from`: another objective, whose trained network this one begins with; None. That network is trained once
      for all who start from it.
    - `begin(network, start)`: takes over what the new network begins with of the trained one's weights; without it
      every tensor whose name and shape agree is copied.
    - `unlabelled`: whether it can learn from ID training images without a label, whose label is −1; False: they are
      left out. There are such where other images were mixed in as `--contaminate-labels none` has them.
    - `clean_share`: the share of the clean ID training images that it is trained on, and on no others; 0 for all as
      they are. Clean is what `--contaminate` has not mixed in.
    - `embed(outputs)`: the array "logits" as it is drawn in embedding figures, shape (n, n_outputs); without it nothing
      is drawn.
    - `drawn`: the name of the array that `embed` takes instead, such as "code".
    """

    name: ClassVar[str]

    def __hash__(self) -> int: ...

    @property
    def uses_seen_ood(self) -> bool:
        """Whether batches hold seen OOD images."""

    def build(
        self, backbone: NetworkBuilder, shape: tuple[int, int, int], n_classes: int, embedding_dim: int
    ) -> nn.Module:
        """Return the whole untrained module, which is saved after training and loaded again.

        Args:
            backbone: makes a network of the benchmark's architecture, `backbone(shape, n_outputs)`.
            shape: of the images: channels, height, width.
            n_classes: number of ID classes.
            embedding_dim: size of embeddings, as the benchmark prescribes.
        """

    def learner(self, network: nn.Module, setting: Setting) -> Learner:
        """Return what trains the network, a batch at a time; `oodbench.LossObjective` makes one from a loss."""


class Detector(Protocol):
    """A fitted method. Its scores depend on each image alone, not on the batch it comes in."""

    def score(self, batch: Batch) -> Tensor:
        """Return one finite score an image, shape (n,); higher = more in-distribution."""

    def classify(self, batch: Batch) -> Tensor | None:
        """Return a class index an image, int64 of shape (n,), or None from a method that does not classify."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FitInputs:
    """What a method may use to make its detector.

    Attributes:
        networks: trained, in evaluation mode, one for each entry of the method's `networks`; their weights take no
            gradients.
        train: the ID images that the first network was trained on.
        validation: labelled ID training images that no network was trained on, for methods that declare
            "id_validation"; None where there are none.
        seen_ood: unlabelled seen OOD training images, for methods that declare "seen_ood"; else None.
        ood_test: the OOD test sets, for methods that declare "ood_test"; else empty.
        n_classes: number of ID classes.
        seed: for anything random.
        ood_validation: OOD images that are there to choose settings on, for methods that declare "ood_validation"; else
            empty.
        altered: images made by altering held-out ID ones, which are no benchmark's OOD images, by the way in which they
            were made; for methods that declare "id_validation", else empty. Nothing is made before it is asked for.
    """

    networks: tuple[Any, ...]
    train: Batch
    validation: Batch | None
    seen_ood: Batch | None
    ood_test: Mapping[str, Batch]
    n_classes: int
    seed: int
    ood_validation: Mapping[str, Batch] = field(default_factory=dict)
    altered: Mapping[str, Batch] = field(default_factory=dict)

    @property
    def network(self) -> Any:
        """The first network, or the only one: most methods have one, which fits `Network`."""
        return self.networks[0]


class Method(Protocol):
    """An OOD detection method: a frozen dataclass whose fields are its hyper-parameters.

    Optional, with a default where a method does not have them:

    - `needs`: what it cannot do without, a frozenset of `Need`; nothing. What its objectives need is added.
    - `reads`: what it wants to see of inner layers, a tuple of `oodbench.readings.Reading`; nothing.
    - `grid`: which values of which hyper-parameters are tried where a run is to choose them (`--tune`), a class
      attribute that maps names to tuples; nothing. A method that chooses by itself has `tuned(tune)` instead, which
      returns it with settings so that it does, for a word of `oodbench.tuning.Tune`.

    A method that cannot keep one of `oodbench.testing.METHOD_CHECKS` says so, with the reason, in a class attribute
    `known_exceptions`, a mapping from the check's name; so do plugins of the other kinds. One that takes long to train
    may name settings for the checks in a class attribute `quick`.
    """

    title: ClassVar[str]
    """One line for listings."""
    source: ClassVar[str]
    """Paper, and equation or section."""

    def __hash__(self) -> int: ...

    @property
    def networks(self) -> tuple[Objective, ...]:
        """What its networks are trained for: one for most methods, several for ensembles or likelihood ratios.

        Networks of equal objectives differ in their seeds: of M equal ones in a run of seed s, they have the seeds
        sM … sM + M − 1. `Batch.members` gives what each network says of images.
        """

    @property
    def sees(self) -> frozenset[Sees]:
        """What it may see besides the labelled ID training images; tables print it."""

    def fit(self, inputs: FitInputs) -> Detector:
        """Return a detector; everything learnt is its state, and the method itself stays as it is."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """Where the images of a data set are.

    Attributes:
        files: what is there: files, or one folder of images; empty for sets that are made or come installed.
        listed: the images that one of `files` names, where it is a list: they count by their sizes and dates.
        looked_for: every place where they could be, for messages.
        present: whether they can be read.
        divided: whether training and test images lie apart.
    """

    files: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()
    looked_for: tuple[Path, ...] = ()
    present: bool = True
    divided: bool = True


class Dataset(Protocol):
    """A source of images: a frozen dataclass whose fields choose a variant (seed, count)."""

    title: ClassVar[str]
    source: ClassVar[str]
    how_to_get: ClassVar[str]
    """The manual steps, or "" where the images come with the installation."""
    downloadable: ClassVar[bool]
    """Whether `download` may be called."""

    def locate(self, split: str, data_dir: Path) -> Location:
        """Say where the images of a split ("train" or "test") are; nothing is read."""

    def read(self, split: str, data_dir: Path, conversion: Conversion) -> RawImages:
        """Return the images of a split, undecoded or decoded, in an order that never changes.

        Sets that are made on the spot (noise) make them in the size and channels of `conversion`.

        Raises:
            DataError: a file is damaged; the message names it.
        """

    def download(self, data_dir: Path) -> None:
        """Fetch the official files into `data_dir`, with progress, and compare their checksums."""


@runtime_checkable
class Preparable(Protocol):
    """A data set whose published files must be worked up once before they can be read; most need not be.

    `oodbench data --prepare NAME` calls it.
    """

    def prepare(self, data_dir: Path, report: Reporter) -> None:
        """Make what `read` reads out of the published files in `data_dir`, and tell what was made of them.

        After a kill the next call goes on where it was; `locate` does not find unfinished work. A call that finds
        everything done does nothing.

        Raises:
            MissingData: the published files are not there; the message says how to get them.
            DataError: they cannot be used, or there is no room for what is made of them.
        """


class Metric(Protocol):
    """One more column of result rows: a function of two sets of scores that says how tables show it.

    One that needs the classes of images as well has an attribute `takes = "samples"`, and is called with one
    `oodbench.metrics.Samples` instead. One that is no fraction has an attribute `is_fraction = False`, and is printed
    as the number that it is.
    """

    @property
    def label(self) -> str:
        """Its heading."""

    @property
    def higher_is_better(self) -> bool:
        """Its direction."""

    def __call__(self, scores_id: NDArray[np.float64], scores_ood: NDArray[np.float64]) -> float:
        """Return a finite number, a fraction in [0, 1] where tables are to print it as a percentage.

        Args:
            scores_id: shape (n_id,), finite; higher means more in-distribution.
            scores_ood: shape (n_ood,), finite, on the same scale.
        """


class Layout(Protocol):
    """A way to lay out result rows; the first line of its docstring is its line in listings.

    One that shows more metrics on request takes their names as a second argument: `metrics: Sequence[str] = ()`.
    """

    def __call__(self, frame: pd.DataFrame) -> Table:
        """Return a table (`oodbench.tables.Table`) of rows as `oodbench.load_results` returns them, at least one."""


class Maker(Protocol):
    """The benchmark plugin that serves images of a user's own."""

    def of_all_classes(self, name: str, images: Mapping[str, object], conversion: Conversion) -> Benchmark:
        """Return a benchmark with all classes of a labelled set as in-distribution.

        Args:
            name: of the benchmark.
            images: `dataset` and `settings` of its parts.
            conversion: what images are brought to.
        """

    def of_some_classes(
        self, name: str, images: Mapping[str, object], conversion: Conversion, split: SplitRule
    ) -> Benchmark:
        """Return a benchmark with the classes of a labelled set divided by a rule."""
