"""The one gate: what methods and their objectives cannot do without, held against what a benchmark has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oodbench.errors import ConfigError, NeedsTrainingImages
from oodbench.objectives import CrossEntropy
from oodbench.tuning import Tuned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oodbench.api import Method, Need, Objective
    from oodbench.benchmark import Benchmark
    from oodbench.data.loading import BenchmarkData
    from oodbench.given.model import GivenModel


def objectives_of(method: Method) -> Iterator[Objective]:
    """Yield the objectives of a method, and those that they start from."""
    for objective in method.networks:
        current: Objective | None = objective
        while current is not None:
            yield current
            current = getattr(current, "starts_from", None)


def needs_of(method: Method) -> frozenset[Need]:
    """Return what a method and its objectives need; seen OOD images that it may see it needs as well."""
    needs: frozenset[Need] = getattr(method, "needs", frozenset())
    seen = "seen_ood" in method.sees or any(objective.uses_seen_ood for objective in objectives_of(method))
    return needs.union(
        *(getattr(objective, "needs", frozenset()) for objective in objectives_of(method)), {"seen_ood"} if seen else ()
    )


def unmet(name: str, method: Method, data: BenchmarkData, model: GivenModel | None) -> ConfigError | None:
    """Return why a method cannot be run on a benchmark, as an error with one sentence, or None where it can.

    Args:
        name: of the method.
        method: with its hyper-parameters.
        data: the images of the benchmark.
        model: the trained classifier that is to be scored, or None where networks are trained.
    """
    needs, benchmark = needs_of(method), data.benchmark.name
    reason = "" if model is None else _not_on(model.offers(data.id_test.shape), method, needs)
    if reason:
        return ConfigError(f"{name} {reason}; leave {name} out")
    if "seen_ood" in needs and not data.seen:
        reason = f"{name} needs seen OOD training images, and {benchmark} has none"
        return ConfigError(f"{reason}; leave {name} out, or choose another benchmark")
    if "ood_validation" in method.sees and not data.ood_validation:
        return ConfigError(f"{name}.tune=val {untunable('val', data.benchmark)}")
    if "classes" in needs and data.n_classes < 2:
        reason = f"{name} tells classes apart, and {benchmark} has one class"
        return ConfigError(f"{reason}; leave {name} out, or choose a method that needs no classes")
    held_out = isinstance(method, Tuned) and data.id_validation is None
    if ("training_images" in needs or held_out) and data.id_train is None:
        return without_training_images(name)
    return None


def untunable(tune: str, benchmark: Benchmark) -> str:
    """Say why settings cannot be chosen on what a benchmark has, or return "".

    Args:
        tune: what they are to be chosen on, a word of `oodbench.tuning.Tune`.
        benchmark: that is to have it.
    """
    if benchmark.id_validation is None and not benchmark.validation_share:
        return f"needs held-out ID images, and {benchmark.name} holds none out; leave it out"
    if tune == "val" and not benchmark.ood_validation:
        return f"needs validation OOD images, and {benchmark.name} has none; take --tune id, which needs no OOD images"
    if tune == "seen" and not benchmark.seen:
        return f"needs seen OOD training images, and {benchmark.name} has none; take --tune id, which needs none"
    return ""


def _not_on(offers: frozenset[Need], method: Method, needs: frozenset[Need]) -> str:
    """Say why a method cannot be scored on a classifier that was given, or return ""."""
    for objective in objectives_of(method):
        if objective != CrossEntropy():
            return f"trains a network of its own ({objective.name}), and a trained model is given"
    if len(method.networks) > 1:
        return "combines several networks, and one model is given"
    lacking = sorted(needs & {"features", "gradients"} - offers)
    return f"needs {_OF_MODELS[lacking[0]]}" if lacking else ""


_OF_MODELS = {
    "features": "features with a linear layer above them that gives the logits, and the model that is given has none",
    "gradients": "gradients with respect to the images, and the model that is given has none",
}


def without_training_images(name: str) -> NeedsTrainingImages:
    """Return the error of a method that needs ID training images where none are given."""
    return NeedsTrainingImages(
        f"{name} needs ID training images, and none are given; put them into train/ beside test/ (in Python: "
        f"id_train=), or leave the method out"
    )
