"""From a stored result back to its images: which clusters and training images lie nearest to one that was refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from oodbench.benchmark import OodSet, Part
from oodbench.contamination import Contamination
from oodbench.errors import OodbenchError, ScoreError, StoreError, UnknownName
from oodbench.folders import place
from oodbench.hashing.values import plain
from oodbench.metrics import roc_curve
from oodbench.plugins import registry
from oodbench.splits import SHARES, KnownSplit

from .loaded import load_data
from .naming import GivenImages
from .plan import make_plan
from .request import RECIPE, request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.api import Objective
    from oodbench.batch import Batch
    from oodbench.benchmark import Benchmark, Role
    from oodbench.jobs import Cell
    from oodbench.store.records import Record, Scores
    from oodbench.store.workspace import Workspace

    from .material import Material
    from .request import Request

REFUSED_OF_EACH = 3
NEIGHBOURS = 8
CLUSTERS = 3
"""Of the nearest ones that are shown."""
TO_CENTRES = "squared_distances"
"""The output of a network with clusters: of each image to each centre, shape (n, n_clusters)."""
ID_TEST = "in-distribution"
"""What stands for the ID test images that are refused."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cluster:
    """A cluster of the training images, as a refused image sees it.

    Attributes:
        image: the training image nearest to its centre, uint8, shape (channels, height, width).
        name: the class that most of its training images are of, with their share where that is below 1; or its number.
        distance: of the refused image to the centre; inf in a cluster without training images, which is not shown.
    """

    image: NDArray[np.uint8]
    name: str
    distance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Refused:
    """A test image that was refused.

    Attributes:
        image: uint8, shape (channels, height, width).
        score: of the method.
        taken_for: name of the class that it is taken for, or "" of a method that does not classify.
        neighbours: the nearest training images, the nearest one first; uint8, shape (n, channels, height, width).
        classes: their names; "" where there are no classes.
        distances: how far away they are, shape (n,).
        clusters: the nearest clusters, the nearest one first; none where the network has no clusters.
    """

    image: NDArray[np.uint8]
    score: float
    taken_for: str
    neighbours: NDArray[np.uint8]
    classes: Sequence[str]
    distances: NDArray[np.float64]
    clusters: Sequence[Cluster] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtracked:
    """Refused images of a result with their nearest training images, and clusters where there are some.

    Attributes:
        space: where they are near: "code", "embedding" or "features".
        sets: the refused images of each set, the most refused one first; none of a set that is let through whole.
    """

    space: str
    sets: dict[str, list[Refused]]


def backtrack(
    record: Record, scores: Scores, workspace: Workspace, places: Mapping[str, str] | None = None
) -> Backtracked:
    """Return refused test images of a stored result, with their nearest clusters and training images.

    An image is refused whose score is below the threshold at 95% TPR. Of each set those are taken that have the lowest
    score, the middle one and the highest one. Nothing is trained: the network must be in the cache still.

    Args:
        record: of the result.
        scores: that it was made from.
        workspace: where images and the network are looked for.
        places: paths of folders or ZIPs of images of a user's own, by the name that the set has in the record; others
            are looked for in the data folder. OOD sets that are not there are left out, and told.

    Raises:
        StoreError: images, code or settings are not those of the result any more, or the network is gone.
        ScoreError: the network has nothing in which images could be near to each other.
    """
    cell, material = _again(record, workspace, places or {})
    objective = cell.method.networks[0]
    space = _space(material.id_test, objective)
    trained = _points(material.train, objective, space)
    threshold = _threshold(scores)
    near = _Near(
        train=material.train,
        points=trained,
        class_names=material.data.class_names,
        to=_to(objective, space),
        clusters=_Clusters.of(material.train, material.data.class_names),
    )
    there = {row.out_dist: row.fingerprint for row in record.rows}
    tests: dict[str, tuple[Batch, NDArray[np.float64], NDArray[np.int64] | None]] = {
        ID_TEST: (material.id_test, scores.id, scores.predicted_id)
    }
    tests |= {
        name: (batch, scores.ood[name], scores.predicted_ood.get(name))
        for name, batch in material.ood.items()
        if there.get(name) == batch.source.fingerprint
    }
    return Backtracked(
        space=space,
        sets={
            name: list(_refused(batch, of_set, predicted, threshold, near))
            for name, (batch, of_set, predicted) in tests.items()
        },
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Near:
    """Where the training images lie, and what to hold against them.

    Attributes:
        train: the training images.
        points: where each of them lies, float64, shape (n, n_dimensions).
        class_names: in label order.
        to: says where images of another batch lie.
        clusters: of the training images, or None.
    """

    train: Batch
    points: NDArray[np.float64]
    class_names: tuple[str, ...]
    to: Callable[[Batch], NDArray[np.float64]]
    clusters: _Clusters | None

    def of(self, batch: Batch) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Yield which training images lie nearest to each image of a batch, and how far away they are."""
        for point in self.to(batch):
            distances = np.linalg.norm(self.points - point, axis=1)
            nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
            yield self.train.rows[nearest], distances[nearest]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Clusters:
    """The clusters of the training images that are not empty.

    Attributes:
        numbers: of each, as the network counts them.
        images: the training image nearest to each centre, uint8, shape (n_clusters, channels, height, width).
        names: of each, see `Cluster`.
    """

    numbers: NDArray[np.intp]
    images: NDArray[np.uint8]
    names: Sequence[str]

    @classmethod
    def of(cls, train: Batch, class_names: Sequence[str]) -> _Clusters | None:
        """Return the clusters of the training images, or None where the network has none."""
        if TO_CENTRES not in train.outputs:
            return None
        distances = train.output(TO_CENTRES).double().cpu().numpy()
        home = distances.argmin(axis=1)
        numbers = np.unique(home)
        labels = train.labels
        names = [
            str(number) if labels is None else _most(labels.cpu().numpy()[home == number], class_names)
            for number in numbers
        ]
        central = train.rows[distances[:, numbers].argmin(axis=0)]
        return cls(numbers=numbers, images=train.source.images[central], names=names)

    def near(self, batch: Batch) -> Iterator[list[Cluster]]:
        """Yield the clusters nearest to each image of a batch, the nearest one first."""
        for row in batch.output(TO_CENTRES).double().sqrt().cpu().numpy()[:, self.numbers]:
            yield [
                Cluster(image=self.images[i], name=self.names[i], distance=float(row[i]))
                for i in np.argsort(row, kind="stable")[:CLUSTERS]
            ]


def _most(labels: NDArray[np.int64], class_names: Sequence[str]) -> str:
    """Return the class of most images, with their share where that is not all.

    >>> _most(np.array([1, 1, 1, 0]), ["2", "7"])
    '7 (75%)'
    """
    counts = np.bincount(labels, minlength=len(class_names))
    share = counts.max() / counts.sum()
    return class_names[int(counts.argmax())] + ("" if share == 1 else f" ({math.floor(100 * share)}%)")


def _threshold(scores: Scores) -> float:
    """Return the highest threshold that at least 95% of the ID test images reach."""
    curve = roc_curve(scores.id, scores.id)
    return float(curve.thresholds[curve.index_at_tpr(0.95)])


def _refused(
    batch: Batch,
    scores: NDArray[np.float64],
    predicted: NDArray[np.int64] | None,
    threshold: float,
    near: _Near,
) -> Iterator[Refused]:
    order = np.argsort(scores, kind="stable")
    order = order[scores[order] < threshold]
    if not len(order):
        return
    chosen = order[np.unique(np.linspace(0, len(order) - 1, REFUSED_OF_EACH).astype(np.intp))]
    labels, refused = near.train.source.labels, batch.at(chosen)
    clusters = [[]] * len(chosen) if near.clusters is None else list(near.clusters.near(refused))
    for index, (rows, distances), close in zip(chosen, near.of(refused), clusters, strict=True):
        yield Refused(
            image=batch.source.images[index],
            score=float(scores[index]),
            taken_for="" if predicted is None else near.class_names[predicted[index]],
            neighbours=near.train.source.images[rows],
            classes=tuple("" if labels is None else near.class_names[labels[row]] for row in rows),
            distances=distances,
            clusters=close,
        )


EMBEDDING = "embedding"


def _space(batch: Batch, objective: Objective) -> str:
    """Return in what images are near to each other: a code, an embedding that training made one, or features.

    Raises:
        ScoreError: the network gives nothing of that kind.
    """
    names = [*batch.outputs]
    if "code" in names:
        return "code"
    embed = getattr(objective, "embed", None)
    if embed is not None and "logits" in names:
        drawn = embed(batch.at(slice(0, 100)).logits).double()
        # Class probabilities are no place to look for neighbours in: most images lie in a corner.
        probabilities = bool((drawn >= 0).all()) and np.allclose(drawn.sum(dim=1).cpu(), 1.0, atol=1e-3)
        if not probabilities:
            return EMBEDDING
    if "features" in names:
        return "features"
    raise ScoreError(
        f"the network has neither features nor an embedding in which images could be near (it gives: "
        f"{', '.join(names)}); choose another method"
    )


def _to(objective: Objective, space: str) -> Callable[[Batch], NDArray[np.float64]]:
    return lambda batch: _points(batch, objective, space)


def _points(batch: Batch, objective: Objective, space: str) -> NDArray[np.float64]:
    """Return where the images of a batch lie, shape (n, n_dimensions)."""
    values = objective.embed(batch.logits) if space == EMBEDDING else batch.output(space)  # type: ignore[attr-defined]
    points: NDArray[np.float64] = values.double().flatten(1).cpu().numpy()
    return points


def _again(record: Record, workspace: Workspace, places: Mapping[str, str]) -> tuple[Cell, Material]:
    """Return the cell that a record came from, and its images as its networks see them.

    Raises:
        StoreError: something has changed since, or is not in the cache any more.
    """
    from .material import Material

    name = record.benchmark["name"]
    again = f"run it again: oodbench run --in {name} --method {record.method} --force"
    if not record.training:
        raise StoreError(
            f"{name} was scored with a model that was given, which is not kept; nothing can be drawn of it"
        )
    try:
        wanted = _request(record, places, workspace)
        data = load_data(wanted, workspace)
    except OodbenchError as error:
        raise StoreError(f"the images of {record.variant} on {name} cannot be laid out again: {error}") from error
    cell = next((cell for cell in make_plan(wanted, data).cells if cell.key == record.key), None)
    if cell is None:
        raise StoreError(
            f"{record.variant} on {name} is not what would be run now: images, settings or code have changed; {again}"
        )
    if any(workspace.artifacts.find("networks", job.key) is None for job in cell.networks):
        raise StoreError(f"the network of {record.variant} on {name} is not in {workspace.artifacts.root}; {again}")
    device = torch.device("cpu")
    # They are in the cache, so that nothing is trained and no picture written.
    networks = [job.obtain(data, workspace, device, workspace.artifacts.root) for job in cell.networks]
    return cell, Material.of(cell.networks, networks, data[cell.benchmark.name], workspace, device)


def _request(record: Record, places: Mapping[str, str], workspace: Workspace) -> Request:
    """Return the request that a record answers.

    Args:
        record: of a result.
        places: paths of images of a user's own, by the name of the set.
        workspace: knows the data folder, where others are looked for.
    """
    name, contaminate, labels = record.benchmark["name"], None, None
    if record.contamination:
        others = str(record.contamination["set"])
        contaminate = f"{record.contamination['share']:g}:{places.get(others, others)}"
        labels = str(record.contamination["labels"])
        name = name.removesuffix(Contamination.parsed(contaminate, labels).suffix)
    benchmark = _with_sets_of(record, _benchmark(record, name, places, workspace), places)
    recipe = record.recipe.partition(" (")[0]
    prescribed = benchmark.recipes[recipe].config(str(record.objective["name"]))
    settings: dict[str, dict[str, object]] = {
        record.method: dict(record.changed),
        RECIPE: _changes(record.training, plain(prescribed)),
    }
    wanted = request(
        [benchmark],
        [record.method],
        recipe=recipe,
        settings={owner: entry for owner, entry in settings.items() if entry},
        contaminate=contaminate,
        contaminate_labels=labels,
    )
    return replace(wanted, seeds=(record.seed,))


def _with_sets_of(record: Record, benchmark: Benchmark, places: Mapping[str, str]) -> Benchmark:
    """Return a benchmark with the OOD sets that a run added or put in the place of others; each may be missing."""
    sets = {entry.name: replace(entry, optional=True) for entry in benchmark.ood}
    for row in record.rows:
        if row.out_dist in sets:
            continue
        name, _, stands_for = row.out_dist.removesuffix(")").partition(" (for ")
        where = places.get(row.out_dist, places.get(name, name))
        sets.pop(stands_for, None)
        sets[row.out_dist] = OodSet(name=row.out_dist, part=Part(dataset=place(where)[1]), role=cast("Role", row.role))
    return replace(benchmark, ood=tuple(sets.values()))


def _benchmark(record: Record, name: str, places: Mapping[str, str], workspace: Workspace) -> Benchmark:
    """Return the benchmark of a record: a registered one, a member of a suite, or one of a user's own images.

    Args:
        record: of a result.
        name: of the benchmark, without what says that it was contaminated.
        places: paths of images of a user's own, by the name of the set.
        workspace: knows the data folder, where others are looked for.
    """
    if record.split is not None:
        return _divided(record, name, places, workspace)
    if name not in places:
        try:
            return _registered(name, record.suite)
        except UnknownName:
            if "shape" not in record.benchmark:
                raise
    path = places.get(name, str(workspace.data_dir / name))
    return replace(_as_given(record).benchmark(path), name=name)


def _as_given(record: Record) -> GivenImages:
    """Return how images of a user's own were made a benchmark."""
    channels, height, width = record.benchmark.get("shape", "3x32x32").split("x")
    return GivenImages(image_size=f"{height}x{width}", channels=int(channels))


def _divided(record: Record, name: str, places: Mapping[str, str], workspace: Workspace) -> Benchmark:
    """Return a benchmark with the classes divided as they were."""
    assert record.split is not None  # as the caller knows
    dataset = str(record.split["dataset"])
    rule = KnownSplit(dataset=dataset, drawn={share: tuple(record.split[share]) for share in SHARES})
    registered: Mapping[str, Benchmark] = registry.usable("benchmarks")
    for known in registered.values():
        if known.split is not None and known.split.dataset == dataset and name.startswith(known.name):
            return replace(known, name=name, split=rule)
    path = places.get(dataset, places.get(name))
    if path is None and dataset not in registry.names("datasets"):
        path = str(workspace.data_dir / dataset)
    given = replace(_as_given(record), split="50/20/30").benchmark(path or dataset)
    return replace(given, name=name, split=rule)


def _registered(name: str, suite: str) -> Benchmark:
    """Return a registered benchmark, or a member of a registered suite."""
    members = [
        member
        for known in registry.usable("suites").values()
        for member in known.benchmarks
        if suite.startswith(member.suite) and member.name == name
    ]
    return members[0] if suite and members else registry.benchmark(name)


def _changes(taken: Mapping[str, Any], prescribed: Mapping[str, Any]) -> dict[str, object]:
    """Return what was changed of a training configuration; the precision that "auto" took is no change."""
    return {
        name: value
        for name, value in taken.items()
        if name in prescribed and value != prescribed[name] and not (name == "precision" and prescribed[name] == "auto")
    }
