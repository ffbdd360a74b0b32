"""The contract of a method as small named checks, each with a message that says what to change.

They run on a problem of three classes that a tiny network learns in a second: a bright square in one of three corners.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .api import Detector, FitInputs, Method, Objective
from .batch import Batch, Outputs, to_unit_interval
from .errors import PluginError
from .images import ImageSet
from .networks.tinynet import TinyNet
from .training.config import TrainConfig
from .training.loop import TrainingImages, train

Check = Callable[[type[Method]], None]

_SIDE = 12
_CLASSES = ("top left", "top right", "bottom left")
_CORNERS = ((1, 1), (1, 7), (7, 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A method's network with the images that it is checked on.

    Attributes:
        inputs: what `fit` is given; validation, seen OOD and OOD test images only where the method declares them.
        easy: ID images that no method may find hard.
        far: black images, unlike anything in training.
    """

    inputs: FitInputs
    easy: Batch
    far: Batch


@cache
def problem(method: Method) -> Problem:
    """Return the problem that a method is checked on, with a network trained for its objective."""
    network = _network(method.objective)
    device = torch.device("cpu")

    def batch(images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Batch:
        source = ImageSet(name="check", images=images, labels=labels, class_names=_CLASSES)
        with torch.no_grad():
            features = network.features(to_unit_interval(torch.tensor(images)))
            outputs = Outputs(logits=network.head(features).numpy(), features=features.numpy())
        return Batch.of(source, lambda: outputs, device)

    far = batch(np.zeros((40, 1, _SIDE, _SIDE), dtype=np.uint8))
    inputs = FitInputs(
        network=network,
        train=batch(*_squares(300, seed=0)),
        validation=batch(*_squares(60, seed=1)) if "id_validation" in method.sees else None,
        seen_ood=batch(_seen_ood()) if "seen_ood" in method.sees else None,
        ood_test={"far": far} if "ood_test" in method.sees else {},
        n_classes=len(_CLASSES),
        seed=0,
    )
    return Problem(inputs=inputs, easy=batch(*_squares(90, seed=2)), far=far)


def _squares(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (count, 1, _SIDE, _SIDE))
    labels = np.arange(count) % len(_CLASSES)
    for image, label in zip(images, labels, strict=True):
        top, left = _CORNERS[label]
        image[0, top : top + 4, left : left + 4] += rng.integers(180, 220)
    return images.astype(np.uint8), labels.astype(np.int64)


def _seen_ood() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 120, (200, 1, _SIDE, _SIDE)).astype(np.uint8)


@cache
def _network(objective: Objective) -> TinyNet:
    images, labels = _squares(300, seed=0)
    size = objective.output_size(len(_CLASSES), 3)
    network, _ = train(
        lambda: TinyNet((1, _SIDE, _SIDE), size),
        objective,
        TrainingImages(images=images, labels=labels, seen=_seen_ood() if objective.uses_seen_ood else None),
        TrainConfig(epochs=20, batch_size=60, learning_rate=3e-3),
        seed=0,
        device=torch.device("cpu"),
    )
    assert isinstance(network, TinyNet)
    return network


def _fitted(kind: type[Method]) -> tuple[Problem, Detector]:
    method = kind()
    return problem(method), method.fit(problem(method).inputs)


def _scores(detector: Detector, batch: Batch) -> Tensor:
    with torch.no_grad():
        return detector.score(batch)


def _require(holds: bool, kind: type[Method], message: str) -> None:  # noqa: FBT001  # it reads like an assert
    if not holds:
        raise PluginError(f"{kind.__name__}: {message}")


def check_is_described(kind: type[Method]) -> None:
    """A title and a source are there, for listings and tables."""
    for name in ("title", "source"):
        _require(bool(getattr(kind, name, "")), kind, f"set the class attribute {name!r} to a non-empty text")


def check_hyper_parameters_are_a_frozen_value(kind: type[Method]) -> None:
    """Equal hyper-parameters are equal methods, and nothing can change them."""
    _require(dataclasses.is_dataclass(kind), kind, "make it a dataclass: @dataclass(frozen=True, kw_only=True)")
    _require(kind() == kind() and hash(kind()) == hash(kind()), kind, "make it a frozen dataclass of hashable fields")


def check_one_finite_score_an_image(kind: type[Method]) -> None:
    """`score` returns one finite number for each image."""
    tested, detector = _fitted(kind)
    for batch in (tested.easy, tested.far):
        scores = _scores(detector, batch)
        _require(tuple(scores.shape) == (len(batch),), kind, f"score() must return shape ({len(batch)},)")
        _require(bool(torch.isfinite(scores).all()), kind, "score() must return finite numbers")


def check_classes_are_indices_or_none(kind: type[Method]) -> None:
    """`classify` returns one class index for each image, or None; easy images are mostly classified right."""
    tested, detector = _fitted(kind)
    classes = detector.classify(tested.easy)
    if classes is None:
        return
    _require(tuple(classes.shape) == (len(tested.easy),), kind, f"classify() must return shape ({len(tested.easy)},)")
    labels = tested.easy.labels
    assert labels is not None
    right = float((classes == labels).float().mean())
    _require(right > 0.9, kind, f"classify() is right on {right:.0%} of easy images; are these class indices?")


def check_scores_do_not_depend_on_the_batch(kind: type[Method]) -> None:
    """An image has the same score alone, in any batch and in any order."""
    tested, detector = _fitted(kind)
    whole = _scores(detector, tested.easy)
    pieces = torch.cat([_scores(detector, part) for part in tested.easy.split(7)])
    backwards = _scores(detector, tested.easy.at(np.arange(len(tested.easy))[::-1])).flip(0)
    message = "the score of an image must not depend on the other images of its batch"
    for other in (pieces, backwards):
        _require(torch.allclose(whole.double(), other.double(), rtol=1e-5, atol=1e-7), kind, message)


def check_same_seed_same_scores(kind: type[Method]) -> None:
    """Fitting twice gives the same detector."""
    first, second = (_scores(detector, tested.easy) for tested, detector in (_fitted(kind), _fitted(kind)))
    _require(torch.equal(first, second), kind, "fitting twice must give equal scores; draw from inputs.seed only")


def check_network_and_global_randomness_are_left_alone(kind: type[Method]) -> None:
    """Fitting and scoring change neither the network nor PyTorch's global generator."""
    tested = problem(kind())
    network = tested.inputs.network
    assert isinstance(network, torch.nn.Module)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    _scores(kind().fit(tested.inputs), tested.easy)
    same = all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    _require(same and not network.training, kind, "the network is shared: leave its weights and mode as they are")
    untouched = all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    _require(untouched, kind, "the network is shared: leave no gradients on its weights")
    _require(
        torch.equal(state, torch.get_rng_state()), kind, "draw from a generator of your own, seeded by inputs.seed"
    )


def check_detector_can_be_pickled(kind: type[Method]) -> None:
    """A detector can be stored and taken home."""
    tested, detector = _fitted(kind)
    again = pickle.loads(pickle.dumps(detector))  # noqa: S301  # it was made one line before
    same = torch.equal(_scores(detector, tested.easy), _scores(again, tested.easy))
    _require(same, kind, "a detector must give the same scores after pickling")


def check_higher_means_more_in_distribution(kind: type[Method]) -> None:
    """Images of the training kind score above black ones."""
    tested, detector = _fitted(kind)
    easy, far = (float(_scores(detector, batch).median()) for batch in (tested.easy, tested.far))
    _require(easy > far, kind, f"ID images score {easy:.4g}, far ones {far:.4g}: higher must mean more in-distribution")


METHOD_CHECKS: tuple[Check, ...] = (
    check_is_described,
    check_hyper_parameters_are_a_frozen_value,
    check_one_finite_score_an_image,
    check_classes_are_indices_or_none,
    check_scores_do_not_depend_on_the_batch,
    check_same_seed_same_scores,
    check_network_and_global_randomness_are_left_alone,
    check_detector_can_be_pickled,
    check_higher_means_more_in_distribution,
)
