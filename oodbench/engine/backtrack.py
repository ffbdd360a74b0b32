"""From a stored result back to its images: which training images lie nearest to an image that was refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from oodbench.contamination import Contamination
from oodbench.errors import OodbenchError, ScoreError, StoreError
from oodbench.hashing.values import plain
from oodbench.metrics import roc_curve
from oodbench.plugins import registry

from .loaded import load_data
from .plan import make_plan
from .request import RECIPE, request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oodbench.api import Objective
    from oodbench.batch import Batch
    from oodbench.benchmark import Benchmark
    from oodbench.jobs import Cell
    from oodbench.store.records import Record, Scores
    from oodbench.store.workspace import Workspace

    from .material import Material
    from .request import Request

REFUSED_OF_EACH = 3
NEIGHBOURS = 8
ID_TEST = "in-distribution"
"""What stands for the ID test images that are refused."""


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
    """

    image: NDArray[np.uint8]
    score: float
    taken_for: str
    neighbours: NDArray[np.uint8]
    classes: Sequence[str]
    distances: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Backtracked:
    """Refused images of a result with their nearest training images.

    Attributes:
        space: where they are near: "code", "embedding" or "features".
        sets: the refused images of each set, the most refused one first; none of a set that is let through whole.
    """

    space: str
    sets: dict[str, list[Refused]]


def backtrack(record: Record, scores: Scores, workspace: Workspace) -> Backtracked:
    """Return refused test images of a stored result, with their nearest training images.

    An image is refused whose score is below the threshold at 95% TPR. Of each set those are taken that have the lowest
    score, the middle one and the highest one. Nothing is trained: the network must be in the cache still.

    Args:
        record: of the result.
        scores: that it was made from.
        workspace: where images and the network are looked for.

    Raises:
        StoreError: images, code or settings are not those of the result any more, or the network is gone.
        ScoreError: the network has nothing in which images could be near to each other.
    """
    cell, material = _again(record, workspace)
    objective = cell.method.networks[0]
    space = _space(material.id_test, objective)
    trained = _points(material.train, objective, space)
    threshold = _threshold(scores)
    near = _Near(train=material.train, points=trained, class_names=material.data.class_names, to=_to(objective, space))
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
    """

    train: Batch
    points: NDArray[np.float64]
    class_names: tuple[str, ...]
    to: Callable[[Batch], NDArray[np.float64]]

    def of(self, batch: Batch) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Yield which training images lie nearest to each image of a batch, and how far away they are."""
        for point in self.to(batch):
            distances = np.linalg.norm(self.points - point, axis=1)
            nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
            yield self.train.rows[nearest], distances[nearest]


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
    labels = near.train.source.labels
    for index, (rows, distances) in zip(chosen, near.of(batch.at(chosen)), strict=True):
        yield Refused(
            image=batch.source.images[index],
            score=float(scores[index]),
            taken_for="" if predicted is None else near.class_names[predicted[index]],
            neighbours=near.train.source.images[rows],
            classes=tuple("" if labels is None else near.class_names[labels[row]] for row in rows),
            distances=distances,
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


def _again(record: Record, workspace: Workspace) -> tuple[Cell, Material]:
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
        wanted = _request(record)
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


def _request(record: Record) -> Request:
    """Return the request that a record answers."""
    name, contaminate = record.benchmark["name"], None
    if record.contamination:
        contaminate = f"{record.contamination['share']:g}:{record.contamination['set']}"
        name = name.removesuffix(Contamination.parsed(contaminate).suffix)
    benchmark = _benchmark(name, record.suite)
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
    )
    return dataclasses.replace(wanted, seeds=(record.seed,))


def _benchmark(name: str, suite: str) -> Benchmark:
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
