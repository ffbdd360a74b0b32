"""The contract of a method. A check takes the class, which is checked with its defaults, or an instance."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import random
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from unittest import SkipTest

import numpy as np
import torch
from torch import Tensor

from oodbench.api import Detector, Method, Need, Sees
from oodbench.batch import Batch
from oodbench.errors import OodbenchError, PluginError
from oodbench.hashing.values import array_digest
from oodbench.settings import reconfigure

from .contract import Check, require
from .problem import Problem, problem
from .values import VALUE_CHECKS, made

Subject = type[Method] | Method


@dataclass(frozen=True, kw_only=True, eq=False)
class _Observed:
    """A method that was fitted once, and what its first fit and scores did to what it was given.

    Attributes:
        problem: what it was fitted to.
        detector: what all checks share that leave it as it is.
        easy: its first scores, of the easy images.
        content: digests of all that it was given, before it was fitted.
        network_fault: what is wrong with the networks that were shared; "" where nothing is.
    """

    problem: Problem
    detector: Detector
    easy: Tensor
    content: tuple[str, ...]
    network_fault: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Again:
    """What a second detector says.

    Attributes:
        before: scores of the easy images.
        after: the same, once it has scored the far ones.
        generators: names of the global random generators whose state is another than before the fit.
    """

    before: Tensor
    after: Tensor
    generators: tuple[str, ...]


def _fitted(subject: Subject) -> tuple[Problem, Detector]:
    """Return the problem and a detector that all checks share which leave it as it is."""
    observed = _observed(_method(subject))
    return observed.problem, observed.detector


@cache
def _observed(method: Method) -> _Observed:
    """Fit a method, score, and look at what became of what it was given: one fit for all checks that ask."""
    tested = problem(method)
    networks = torch.nn.ModuleList(tested.inputs.networks).eval()
    weights = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
    content = _content(tested)
    try:
        detector = method.fit(tested.inputs)
        easy = _scores(detector, tested.easy)
        return _Observed(
            problem=tested,
            detector=detector,
            easy=easy,
            content=content,
            network_fault=_network_fault(networks, weights),
        )
    finally:
        # The next check, and the next method, get the networks as this one got them.
        networks.load_state_dict(weights)
        networks.eval().requires_grad_(requires_grad=False)
        networks.zero_grad(set_to_none=True)


@cache
def _again(method: Method, *, other_ood: bool = False) -> _Again:
    """Fit a method a second time, or with other OOD images that it does not declare to see."""
    # The first fit has imported what it needs: what packages draw as they are imported is not the method's doing.
    _observed(method)
    # Both fits may have seeded a generator alike: it is moved on in between.
    _ = random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002, S311  # the global ones are looked at
    tested = problem(method, other_ood=other_ood)
    states = _random_states()
    detector = method.fit(tested.inputs)
    before = _scores(detector, tested.easy)
    _scores(detector, tested.far)
    after = _scores(detector, tested.easy)
    changed = tuple(name for (name, state), (_, now) in zip(states, _random_states(), strict=True) if state != now)
    return _Again(before=before, after=after, generators=changed)


def _method(subject: Subject) -> Method:
    """Return the method to check: a class may name settings with which its checks are quick."""
    method: Method = made(subject)
    quick = getattr(subject, "quick", {}) if isinstance(subject, type) else {}
    return typing.cast("Method", dataclasses.replace(typing.cast("typing.Any", method), **quick)) if quick else method


def _scores(detector: Detector, batch: Batch) -> Tensor:
    with torch.no_grad():
        return detector.score(batch)


def check_data_needs_are_declared(subject: Subject) -> None:
    """`sees` names what the method may see, seen OOD images if its objectives train on them; `needs` what it needs."""
    method = _method(subject)
    words = typing.get_args(Sees)
    known = isinstance(method.sees, frozenset) and method.sees <= set(words)
    require(known, f"sees must be a frozenset of {', '.join(map(repr, words))}, got {method.sees!r}")
    trains_on = any(objective.uses_seen_ood for objective in method.networks)
    declared = "seen_ood" in method.sees or not trains_on
    require(declared, "its objective trains on seen OOD images: add 'seen_ood' to sees")
    needs: frozenset[str] = getattr(method, "needs", frozenset())
    words = typing.get_args(Need)
    known = isinstance(needs, frozenset) and needs <= set(words)
    require(known, f"needs must be a frozenset of {', '.join(map(repr, words))}, got {needs!r}")


def check_grid_can_be_tried(subject: Subject) -> None:
    """`grid`, where there is one, names settings, and the method takes each of their values."""
    method = _method(subject)
    grid = getattr(method, "grid", {})
    require(isinstance(grid, Mapping), f"grid must map names of settings to the values to try, got {grid!r}")
    for name, values in grid.items():
        known = [field.name for field in dataclasses.fields(typing.cast("typing.Any", method))]
        require(name in known, f"grid names {name!r}, which is no setting; there is: {', '.join(known)}")
        several = isinstance(values, tuple) and len(values) > 0
        require(several, f"grid must have a tuple of values for {name}, got {values!r}")
        for value in values:
            try:
                again = reconfigure(method, {name: value}, of="grid")
            except OodbenchError as error:
                require(holds=False, message=f"grid has a value that the method refuses ({error}); leave it out")
            require(getattr(again, name) == value, f"grid has {value!r} for {name}, which is of another type")


def check_one_finite_score_an_image(subject: Subject) -> None:
    """`score` returns one finite number for each image."""
    tested, detector = _fitted(subject)
    for batch in (tested.easy, tested.far):
        scores = _scores(detector, batch)
        given = f"score() must return shape ({len(batch)},) for {len(batch)} images, got {tuple(scores.shape)}"
        require(tuple(scores.shape) == (len(batch),), given)
        require(torch.isfinite(scores).all(), "score() must return finite numbers")


def check_classes_are_indices_or_none(subject: Subject) -> None:
    """`classify` returns one class index for each image, or None; easy images are mostly classified right."""
    tested, detector = _fitted(subject)
    classes = detector.classify(tested.easy)
    if classes is None:
        return
    given = f"classify() must return shape ({len(tested.easy)},) or None, got {tuple(classes.shape)}"
    require(tuple(classes.shape) == (len(tested.easy),), given)
    labels = tested.easy.labels
    assert labels is not None
    right = float((classes == labels).float().mean())
    require(right > 0.9, f"classify() is right on {right:.0%} of easy images; are these class indices?")


def check_scores_do_not_depend_on_the_batch(subject: Subject) -> None:
    """An image has the same score alone, in any batch and in any order."""
    tested, detector = _fitted(subject)
    whole = _scores(detector, tested.easy)
    pieces = torch.cat([_scores(detector, part) for part in tested.easy.split(7)])
    backwards = _scores(detector, tested.easy.at(np.arange(len(tested.easy))[::-1])).flip(0)
    for other in (pieces, backwards):
        same = torch.allclose(whole.double(), other.double(), rtol=1e-5, atol=1e-7)
        require(same, "the score of an image must not depend on the other images of its batch, or on their order")


def check_same_seed_same_scores(subject: Subject) -> None:
    """Fitting twice gives the same detector."""
    method = _method(subject)
    same = torch.equal(_observed(method).easy, _again(method).before)
    require(same, "fitting twice must give equal scores; draw from inputs.seed only")


def check_labels_of_scored_images_are_not_read(subject: Subject) -> None:
    """Images without labels, or with wrong ones, get the same scores and classes."""
    tested, detector = _fitted(subject)
    labels = tested.easy.source.labels
    assert labels is not None
    for others in (None, labels[::-1].copy()):
        blind = dataclasses.replace(tested.easy, source=dataclasses.replace(tested.easy.source, labels=others))
        same = torch.equal(_scores(detector, tested.easy), _scores(detector, blind))
        require(same, "score() must not read the labels of the images that it scores")
        classes, blindly = detector.classify(tested.easy), detector.classify(blind)
        same = classes is blindly is None or (
            classes is not None and blindly is not None and torch.equal(classes, blindly)
        )
        require(same, "classify() must not read the labels of the images that it classifies")


def check_undeclared_ood_images_change_nothing(subject: Subject) -> None:
    """Other OOD images, where the method does not declare to see them, leave all scores of ID images as they are."""
    method = _method(subject)
    same = torch.equal(_again(method).after, _again(method, other_ood=True).after)
    message = "scores of ID images change with OOD images that the method does not declare to see; declare them in "
    require(same, message + "sees, and let score() learn nothing from the images that it is given")


def check_inputs_are_left_alone(subject: Subject) -> None:
    """Fitting and scoring change neither images nor labels nor outputs."""
    observed = _observed(_method(subject))
    observed.detector.classify(observed.problem.easy)
    same = _content(observed.problem) == observed.content
    require(same, "images, labels and outputs are shared: copy what is changed in place")


def _content(tested: Problem) -> tuple[str, ...]:
    inputs = tested.inputs
    several = (inputs.ood_test, inputs.ood_validation, inputs.altered)
    batches = [
        *(tested.easy, inputs.train, inputs.validation, inputs.seen_ood),
        *(batch for named in several for batch in named.values()),
    ]
    return tuple(
        array_digest(batch.source.images, batch.source.labels, *batch.outputs.values())
        for batch in batches
        if batch is not None
    )


def check_network_is_left_alone(subject: Subject) -> None:
    """Fitting and scoring change nothing about the network."""
    fault = _observed(_method(subject)).network_fault
    require(not fault, f"the network is shared: {fault}")


def _network_fault(networks: torch.nn.Module, before: dict[str, Tensor]) -> str:
    if not all(torch.equal(tensor, before[name]) for name, tensor in networks.state_dict().items()):
        return "leave its weights as they are"
    if any(module.training for module in networks.modules()):
        return "leave it in evaluation mode"
    if any(parameter.grad is not None or parameter.requires_grad for parameter in networks.parameters()):
        return "leave no gradients on its weights"
    return ""


def check_global_random_state_is_left_alone(subject: Subject) -> None:
    """Fitting and scoring draw from none of the global generators, and seed none."""
    changed = _again(_method(subject)).generators
    message = f"leave the global generator of {' and '.join(changed)} alone: use one of your own, from inputs.seed"
    require(not changed, message)


def _random_states() -> list[tuple[str, object]]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # the global one is what is looked at
    return [
        ("PyTorch", torch.get_rng_state().numpy().tobytes()),
        ("NumPy", (name, typing.cast("np.ndarray", keys).tobytes(), *rest)),
        ("Python", random.getstate()),
    ]


def check_detector_can_be_pickled(subject: Subject) -> None:
    """A detector can be stored and taken home."""
    tested, detector = _fitted(subject)
    try:
        again = pickle.loads(pickle.dumps(detector))  # noqa: S301  # it was made one line before
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise PluginError(f"a detector must be picklable ({error}): keep no lambdas or local classes in it") from error
    same = torch.equal(_scores(detector, tested.easy), _scores(again, tested.easy))
    require(same, "a detector must give the same scores after pickling")


def check_higher_means_more_in_distribution(subject: Subject) -> None:
    """Images of the training kind score above noise with stripes, which is unlike anything in training."""
    tested, detector = _fitted(subject)
    easy, far = (float(_scores(detector, batch).median()) for batch in (tested.easy, tested.far))
    require(easy > far, f"ID images score {easy:.4g}, noise {far:.4g}: higher must mean more in-distribution")


def check_scores_are_the_same_on_a_gpu(subject: Subject) -> None:
    """A GPU gives the scores that the CPU gives, up to rounding."""
    if not torch.cuda.is_available():
        raise SkipTest("there is no GPU here")
    method = _method(subject)
    scores = []
    for device in ("cpu", "cuda"):
        tested = problem(method, device=device)
        with _exact():
            scores.append(_scores(method.fit(tested.inputs), tested.easy).double().cpu())
    scale = float(scores[0].abs().max())
    gap = float((scores[0] - scores[1]).abs().max())
    message = f"scores on a GPU differ by up to {gap:.2g} from those on the CPU, of size {scale:.2g}"
    require(gap <= 1e-3 * scale, message)


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    """Multiply in full float32, as the CPU does."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


METHOD_CHECKS: tuple[Check, ...] = (
    *VALUE_CHECKS,
    check_data_needs_are_declared,
    check_grid_can_be_tried,
    check_one_finite_score_an_image,
    check_classes_are_indices_or_none,
    check_scores_do_not_depend_on_the_batch,
    check_same_seed_same_scores,
    check_labels_of_scored_images_are_not_read,
    check_undeclared_ood_images_change_nothing,
    check_inputs_are_left_alone,
    check_network_is_left_alone,
    check_global_random_state_is_left_alone,
    check_detector_can_be_pickled,
    check_higher_means_more_in_distribution,
    check_scores_are_the_same_on_a_gpu,
)
